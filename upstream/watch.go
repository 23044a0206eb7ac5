package upstream

import "time"

// ping keeps an idle link honest: a peer that vanished without a word doesn't answer it.
var ping = []byte("*1\r\n$4\r\nPING\r\n")

// watch is what the watchdog remembers of a link between two looks. It is guarded by link.mu.
//
// Watching instead of a deadline per command keeps clocks and timers off the path of commands: a look every
// quarter of a second compares counters.
type watch struct {
	connects  int       // of this run
	moved     uint64    // link.moved at the last look
	submitted uint64    // link.submitted at the last look
	quiet     time.Time // since when nothing has moved though something is owed
	used      time.Time // when a session last submitted
	pinged    time.Time
	before    uint64 // link.submitted when it was pinged
	resting   bool   // closed for want of use
}

// look is called every tick for a link that runs. It enforces read timeout, hold and rest, and pings.
func (l *link) look(now time.Time, tick time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w, cfg := &l.watch, &l.pool.cfg
	if w.submitted != l.submitted || w.used.IsZero() {
		w.submitted, w.used = l.submitted, now
	}
	if l.conn == nil {
		if l.down == nil && l.hold() > 0 && now.Sub(l.downSince) >= l.hold() {
			l.down = l.pool.gone(l.why)
		}
		if l.down != nil {
			l.failQueue(l.down)
			w.resting = w.resting || now.Sub(w.used) > cfg.IdleTimeout
		}
		return
	}
	moved := l.moved.Load()
	owed := l.flushing || l.sent != l.answered.Load()
	if !owed || moved != w.moved {
		w.moved, w.quiet = moved, now
	}
	switch {
	case owed && l.key.role != nil && l.key.role.Patient && l.pool.alive(now):
	case owed && now.Sub(w.quiet) >= l.pool.opt.ReadTimeout+tick: // a tick more: quiet may have begun after its look
		l.giveUp(l.conn, l.late())
	case owed, l.pool.frozen.Load() != nil:
	case now.Sub(w.used) > cfg.IdleTimeout:
		w.resting = true
		l.giveUp(l.conn, errResting)
	case now.Sub(w.used) >= cfg.HealthInterval && now.Sub(w.pinged) >= cfg.HealthInterval:
		w.pinged, w.before = now, l.submitted
		c := &call{req: ping, count: 1, ours: true, wake: make(chan struct{}, 1)}
		l.queue = append(l.queue, c)
		l.startRelay()
	}
}

// late is why the link is given up. A PING says nothing of replies, whether it is answered or not. It needs l.mu.
func (l *link) late() error {
	if !l.watch.pinged.IsZero() && l.watch.before == l.submitted {
		return &lateError{l.pool.opt.ReadTimeout}
	}
	return l.pool.late()
}
