package proxy

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"sessiongate/policy"
)

// refusalLog logs the first refusal of a class (tenant, rule, kind, command) at once and then one line a minute that says
// how many there were, so that a client in a loop doesn't fill the disk.
type refusalLog struct {
	log  *zap.Logger
	mu   sync.Mutex
	seen map[refusalClass]*refusalCount
}

type refusalClass struct{ tenant, rule, kind, command string }

type refusalCount struct {
	logged time.Time
	held   int // refusals since then that were not logged
}

// refusalEvery is the distance of two lines of one class.
const refusalEvery = time.Minute

func (l *refusalLog) note(tenant, command string, r *policy.Refusal) {
	class := refusalClass{tenant, r.Rule, r.Kind, command}
	now := time.Now()
	l.mu.Lock()
	if l.seen == nil {
		l.seen = map[refusalClass]*refusalCount{}
	}
	c := l.seen[class]
	if c == nil {
		c = &refusalCount{}
		l.seen[class] = c
	}
	due := now.Sub(c.logged) >= refusalEvery
	held := c.held
	if due {
		c.logged, c.held = now, 0
	} else {
		c.held++
	}
	l.mu.Unlock()
	if due {
		l.log.Warn("refused", zap.String("tenant", tenant), zap.String("rule", r.Rule), zap.String("kind", r.Kind),
			zap.String("command", command), zap.String("reason", r.Text), zap.Int("not_logged_before", held))
	}
}
