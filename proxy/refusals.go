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
// how many there were, so that a client in a loop doesn't fill the disk. For the API it counts them all, and keeps the latest.
type refusalLog struct {
	log  *zap.Logger
	mu   sync.Mutex
	seen map[refusalClass]*refusalCount
	ring []RefusalEntry // the latest
	next int            // where in it the next one goes
}

type refusalClass struct{ tenant, rule, kind, command string }

type refusalCount struct {
	logged time.Time
	held   int // refusals since then that were not logged
	all    int64
	last   time.Time
}

// RefusalClass is how many refusals of a kind there were.
type RefusalClass struct {
	Tenant, Rule, Kind, Command string
	Count                       int64
	Last                        time.Time
}

// RefusalEntry is one refusal, and whom it met.
type RefusalEntry struct {
	At                          time.Time
	Tenant, Rule, Kind, Command string
	Reason                      string
	Client                      ClientRef
}

const (
	// refusalEvery is the distance of two lines of one class.
	refusalEvery = time.Minute
	// keptRefusals is how many of the latest are kept.
	keptRefusals = 200
)

func (l *refusalLog) note(e RefusalEntry) {
	class := refusalClass{e.Tenant, e.Rule, e.Kind, e.Command}
	l.mu.Lock()
	if l.seen == nil {
		l.seen = map[refusalClass]*refusalCount{}
	}
	c := l.seen[class]
	if c == nil {
		c = &refusalCount{}
		l.seen[class] = c
	}
	due := e.At.Sub(c.logged) >= refusalEvery
	held := c.held
	if due {
		c.logged, c.held = e.At, 0
	} else {
		c.held++
	}
	c.all, c.last = c.all+1, e.At
	if len(l.ring) < keptRefusals {
		l.ring = append(l.ring, e)
	} else {
		l.ring[l.next] = e
		l.next = (l.next + 1) % keptRefusals
	}
	l.mu.Unlock()
	if due {
		l.log.Warn("refused", zap.String("tenant", e.Tenant), zap.String("rule", e.Rule), zap.String("kind", e.Kind),
			zap.String("command", e.Command), zap.String("reason", e.Reason), zap.Int("not_logged_before", held))
	}
}

// Refusals returns how many refusals of each kind there were, and the latest ones, the last first.
func (s *Server) Refusals() (classes []RefusalClass, latest []RefusalEntry) {
	l := &s.refused
	l.mu.Lock()
	defer l.mu.Unlock()
	for class, c := range l.seen {
		classes = append(classes, RefusalClass{class.tenant, class.rule, class.kind, class.command, c.all, c.last})
	}
	for i := range l.ring {
		latest = append(latest, l.ring[(l.next+2*len(l.ring)-1-i)%len(l.ring)])
	}
	return classes, latest
}

// noteRefusal counts and logs a refusal, which a client of that tenant's has met.
func (s *Server) noteRefusal(tenant, command string, r *policy.Refusal, client ClientRef) {
	s.Counts.Refused.Add(1)
	e := RefusalEntry{At: time.Now(), Tenant: tenant, Rule: r.Rule, Kind: r.Kind, Command: command, Reason: r.Text, Client: client}
	s.refused.note(e)
	s.tell(Event{Kind: EventRefusal, Tenant: tenant, Rule: r.Rule, Reason: r.Kind, Text: r.Text, Command: command, Client: client})
}

func (s *Session) noteRefusal(command string, r *policy.Refusal) {
	s.srv.noteRefusal(s.tenant.Name, command, r, s.ref())
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
	sl.refusal = r
	s.noteRefusal(sl.spec.Name, r)
}
