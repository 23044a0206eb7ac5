package proxy

import (
	"sync"
	"time"

	"sessiongate/command"
)

// slowLog keeps the last batches that took long. A batch of which nobody knows which command was the slow one is an entry as a
// whole, under its first command.
type slowLog struct {
	threshold time.Duration // 0: nothing is kept
	show      KeyForm

	mu   sync.Mutex // a leaf
	ring []SlowEntry
	next int // where in the ring the next one goes
	last int64

	second time.Duration // since the server's start: of the last entry
	kept   int           // entries of that second
}

// SlowEntry is what took long.
type SlowEntry struct {
	ID              int64
	At              time.Time
	Tenant, Command string
	Key             string // the first of the command, in the form of KeyForm; empty: it names none
	Commands        int    // that came with it, itself included
	Total, Upstream time.Duration
	Client          ClientRef
}

// ClientRef names a client.
type ClientRef struct {
	ID                  int64
	Addr, Name, Library string
}

// is reports whether that long is slow.
func (l *slowLog) is(d time.Duration) bool { return l.threshold > 0 && d >= l.threshold }

// room reports whether there is room for another entry: for as many a second as the log holds. Where a server can't keep up, everything is slow,
// and what is written down of each command would make it slower still. Entries left out are gaps in the ids.
func (l *slowLog) room(now time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if second := now.Truncate(time.Second); second != l.second {
		l.second, l.kept = second, 0
	}
	if l.kept >= cap(l.ring) {
		l.last++
		return false
	}
	l.kept++
	return true
}

func (l *slowLog) add(s *Session, t *timing, total time.Duration) {
	if !l.room(t.began + total) {
		return
	}
	e := SlowEntry{At: time.Now(), Tenant: s.tenantName(), Command: "", Commands: t.n, Total: total, Upstream: t.upstream, Client: s.ref()}
	if len(t.first.args) > 0 && t.read == s.in.reads {
		e.Command = commandName(t.first)
		e.Key = l.show.Form(firstKey(t.first))
	} else if t.first.spec != nil {
		e.Command = t.first.spec.Name
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if cap(l.ring) == 0 {
		return
	}
	l.last++
	e.ID = l.last
	if len(l.ring) < cap(l.ring) {
		l.ring = append(l.ring, e)
		return
	}
	l.ring[l.next] = e
	l.next = (l.next + 1) % len(l.ring)
}

// latest returns up to n entries, the latest first.
func (l *slowLog) latest(n int) (list []SlowEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range min(n, len(l.ring)) {
		list = append(list, l.ring[(l.next+2*len(l.ring)-1-i)%len(l.ring)])
	}
	return list
}

func (l *slowLog) clear() (removed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	removed = len(l.ring)
	l.ring, l.next = l.ring[:0], 0
	return removed
}

// firstKey is the first key that the command names, nil if none.
func firstKey(c cmd) []byte {
	if c.spec == nil || c.spec.Names == nil || !c.spec.ArityOK(len(c.args)) {
		return nil
	}
	names, _ := c.spec.Names(c.args, nil)
	for _, name := range names {
		if name.Kind == command.In || name.Kind == command.Out {
			return c.args[name.Arg]
		}
	}
	return nil
}

func (s *Session) tenantName() string {
	if s.tenant == nil {
		return ""
	}
	return s.tenant.Name
}

// ref names the session's client for logs.
func (s *Session) ref() ClientRef {
	a := s.about.Load()
	return ClientRef{ID: s.id, Addr: s.peer(), Name: a.name[:min(len(a.name), longestName)], Library: a.library()}
}
