package proxy

import (
	"bytes"
	"fmt"
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

// noteDenied counts and logs a refusal that comes from a check of ours within Redis: a guard's, or a confined script's. Of the error
// only the figures are taken, and none of its words: a script can say what it likes.
func (s *Session) noteDenied(sl *slot, raw []byte) {
	if !isError(raw) {
		return
	}
	text, ok := bytes.CutPrefix(errorText(raw), []byte("DENIED "))
	if !ok {
		return
	}
	var r *policy.Refusal
	var got, limit int64
	switch n, _ := fmt.Sscanf(string(text[:min(len(text), 128)]), "size: value of %d bytes is above the limit of %d", &got, &limit); {
	case n == 2:
		r = policy.Oversize(sl.rule, limit, got)
	case bytes.HasPrefix(text, []byte("script: ")):
		r = &policy.Refusal{Rule: sl.rule, Kind: "script", Text: "DENIED script: it would write where rules don't let it"}
	default:
		return
	}
	s.srv.Counts.Refused.Add(1)
	s.srv.refused.note(s.tenant.Name, sl.spec.Name, r)
}
