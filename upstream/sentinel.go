package upstream

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	doubtEvery = 100 * time.Millisecond // at most; who doubts more often is not heard
	probeAgain = 50 * time.Millisecond  // after a server that sentinels call the master said that it is not
	maxWatched = 32                     // sentinels
)

// sentinels follows what the sentinels of a master say. Each of them has a goroutine that listens to it; one more, run, owns all
// of the state below, and alone moves the Pool.
//
// A sentinel's word is the address it names with the epoch of its configuration, in which Redis's sentinels count failovers: one that
// has not heard of the last failover yet has a lower epoch, and the word of the highest epoch counts. Nobody moves to a server that
// doesn't call itself a master.
type sentinels struct {
	pool   *Pool
	name   string // of the master
	told   chan report
	doubts chan struct{}         // capacity 1: there is reason to ask
	why    atomic.Pointer[error] // why there is no master; for others to read

	watched map[string]*watched
	trying  map[string]bool // sentinels that have announced a failover
	holdEnd *time.Timer     // of the freeze that this brings
	probing string          // address that is asked for its role, or will be again
	refusal string          // what came of that, when it was logged last
	again   *time.Timer     // until it is asked once more
	asked   time.Time
}

// watched is one sentinel.
type watched struct {
	ask    chan struct{} // capacity 1
	cancel context.CancelFunc
	word   *word // nil: it can't be reached
}

// word is what a sentinel knows.
type word struct {
	addr      string // of the master
	epoch     int64
	replicas  []string // that are up
	sentinels []string // the other ones
}

// report is what the owner hears.
type report struct {
	from  string // a sentinel
	word  *word
	lost  error // why it can't be reached
	event failover
	of    string // begins: the master that it is to replace

	probed string // a server that was asked for its role
	role   error  // nil: it is a master
}

// failover is what a sentinel announces of one.
type failover int

const (
	noFailover failover = iota
	begins
	aborted
)

func newSentinels(p *Pool) *sentinels {
	return &sentinels{
		pool: p, name: p.target.master, told: make(chan report), doubts: make(chan struct{}, 1),
		watched: map[string]*watched{}, trying: map[string]bool{},
		holdEnd: stoppedTimer(), again: stoppedTimer(),
	}
}

func stoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// run decides until the Pool closes.
func (s *sentinels) run() {
	for _, addr := range s.pool.target.sentinels {
		s.watch(addr)
	}
	for {
		select {
		case r := <-s.told:
			s.hear(r)
		case <-s.doubts:
			s.ask()
		case <-s.again.C:
			s.probing = ""
		case <-s.holdEnd.C:
			s.pool.log.Warn("failover has taken longer than the hold", zap.Duration("hold", s.pool.cfg.Hold))
			s.endHold()
		case <-s.pool.ctx.Done():
			return
		}
		s.decide()
	}
}

// tell is for all other goroutines.
func (s *sentinels) tell(r report) {
	select {
	case s.told <- r:
	case <-s.pool.ctx.Done():
	}
}

// watch has a sentinel listened to.
func (s *sentinels) watch(addr string) {
	if s.watched[addr] != nil || len(s.watched) >= maxWatched {
		return
	}
	ctx, cancel := context.WithCancel(s.pool.ctx)
	w := &watched{ask: make(chan struct{}, 1), cancel: cancel}
	s.watched[addr] = w
	s.pool.wg.Go(func() { s.listen(ctx, addr, w.ask) })
}

// ask has all sentinels asked what they know.
func (s *sentinels) ask() {
	if time.Since(s.asked) < doubtEvery {
		return
	}
	s.asked = time.Now()
	for _, w := range s.watched {
		select {
		case w.ask <- struct{}{}:
		default:
		}
	}
}

func (s *sentinels) hear(r report) {
	if r.probed != "" {
		s.judge(r)
		return
	}
	w := s.watched[r.from]
	if w == nil {
		return // nobody watches it any more
	}
	switch {
	case r.lost != nil:
		w.word = nil
		s.forget(r.from)
		s.lack(r.lost)
	case r.word != nil:
		w.word = r.word
		for _, addr := range r.word.sentinels {
			s.watch(addr)
		}
	case r.event == begins && r.of != s.pool.place.Load().addr: // old news, or of a master that we have left
	case r.event == begins:
		s.trying[r.from] = true
		s.hold(r.from)
	case r.event == aborted:
		delete(s.trying, r.from)
		if len(s.trying) == 0 {
			s.endHold()
		}
	}
}

// hold keeps what is not yet written until the failover is over: the sentinels promote a replica before they demote the master, and
// what is written to that one in between is lost.
func (s *sentinels) hold(from string) {
	if s.pool.cfg.Hold <= 0 || s.pool.place.Load().addr == "" || s.pool.frozen.Load() != nil {
		return
	}
	s.pool.log.Info("failover begins: commands wait for its end", zap.String("sentinel", from), zap.String("addr", s.pool.Addr()))
	s.pool.freeze()
	s.holdEnd.Reset(s.pool.cfg.Hold)
}

func (s *sentinels) endHold() {
	s.holdEnd.Stop()
	clear(s.trying)
	s.pool.thaw()
}

// forget gives up a sentinel that was only heard of, once no other speaks of it.
func (s *sentinels) forget(addr string) {
	if slices.Contains(s.pool.target.sentinels, addr) {
		return
	}
	known := false
	for _, w := range s.watched {
		if w.word != nil {
			if slices.Contains(w.word.sentinels, addr) {
				return
			}
			known = true
		}
	}
	if known {
		s.watched[addr].cancel()
		delete(s.watched, addr)
	}
}

// lack notes why there is no master.
func (s *sentinels) lack(why error) { s.why.Store(&why) }

// best is the word that counts; nil if there is none.
func (s *sentinels) best() *word {
	var best *word
	at := s.pool.place.Load().addr
	for _, addr := range slices.Sorted(maps.Keys(s.watched)) {
		w := s.watched[addr].word
		if w != nil && (best == nil || w.epoch > best.epoch || w.epoch == best.epoch && w.addr == at) {
			best = w
		}
	}
	return best
}

// decide has the server that the sentinels call the master asked whether it is, if that is news.
func (s *sentinels) decide() {
	best := s.best()
	if best == nil {
		return
	}
	s.pool.replicas.Store(&best.replicas)
	if best.addr == s.pool.place.Load().addr || s.probing != "" {
		return
	}
	s.probing = best.addr
	s.pool.wg.Go(func() {
		conn, _, err := s.pool.dialAt(s.pool.ctx, setKey{proto: 2, db: s.pool.opt.DB}, best.addr)
		if err == nil {
			abort(conn)
		}
		s.tell(report{probed: best.addr, role: err})
	})
}

// judge hears what a server has said of its role.
func (s *sentinels) judge(r report) {
	s.probing = ""
	best := s.best()
	switch {
	case best == nil || best.addr != r.probed:
	case r.role == nil, final(r.role) && s.pool.place.Load().addr == "": // where there is no other, clients hear from it what is wrong
		s.refusal = ""
		s.pool.move(r.probed)
		s.endHold()
	default:
		why := fmt.Errorf("%s, which the sentinels call the master: %w", r.probed, reason(r.role))
		if why.Error() != s.refusal {
			s.refusal = why.Error()
			s.pool.log.Warn("upstream master can't be moved to", zap.Error(why))
		}
		s.lack(why)
		s.probing = r.probed // until then
		s.again.Reset(probeAgain)
	}
}
