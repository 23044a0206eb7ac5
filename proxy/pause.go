package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// pausing holds commands back while the upstream is restarted. A client that is in the middle of something upstream (a transaction,
// watched keys) goes on until it is through; who only waits there is answered as if the time were over.
type pausing struct {
	now  atomic.Pointer[pause]
	held atomic.Int64 // clients that wait
	mu   sync.Mutex   // one beginning or end at a time
}

// pause is one of them.
type pause struct {
	since, until time.Time
	over         chan struct{} // closed at its end
	timer        *time.Timer
}

// PauseState is a pause as others see it.
type PauseState struct {
	Since, Until time.Time
	Held         int64 // clients that wait
}

var (
	ErrPaused    = errors.New("it is paused already")
	ErrNotPaused = errors.New("it is not paused")
	// ErrDraining is why there is no pause at the end.
	ErrDraining = errors.New("the server is about to end")
)

const (
	// quietTries is how often it is looked whether something is still under way.
	quietTries = 2 * time.Millisecond
	// quietLimit is how long that is waited for, at most: everybody else is held meanwhile.
	quietLimit = 5 * time.Second
)

// Pause lets no further command go upstream, and returns when nothing is under way any more. If that takes longer than the limit, or
// quietLimit, or ctx ends, there is no pause. It ends at Resume, or by itself after the limit.
func (s *Server) Pause(ctx context.Context, limit time.Duration) (until time.Time, err error) {
	if !s.pausing.mu.TryLock() {
		return time.Time{}, ErrPaused
	}
	defer s.pausing.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, quietLimit)
	defer cancel()
	if s.pausing.now.Load() != nil {
		return time.Time{}, ErrPaused
	}
	p := &pause{since: time.Now(), until: time.Now().Add(limit), over: make(chan struct{})}
	p.timer = time.AfterFunc(limit, func() {
		if s.pausing.finish(p) {
			s.log.Warn("resumed: the pause has come to its limit", zap.Duration("limit", limit))
		}
	})
	s.pausing.now.Store(p)
	tick := time.NewTicker(quietTries)
	defer tick.Stop()
	for {
		busy := s.underWay()
		switch {
		case s.draining.Load(): // looked at after the pause has begun: its end may have been before
			s.pausing.finish(p)
			return time.Time{}, ErrDraining
		case busy == 0:
			return p.until, nil
		case ctx.Err() != nil, s.pausing.now.Load() != p:
			s.pausing.finish(p)
			return time.Time{}, fmt.Errorf("%d clients are in the middle of something upstream; nothing is paused", busy)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// Resume lets commands go again, once the upstreams answer and the links to them are back. If they are not when ctx ends, the pause goes on,
// unless force is set.
func (s *Server) Resume(ctx context.Context, force bool) error {
	p := s.pausing.now.Load()
	if p == nil {
		return ErrNotPaused
	}
	for _, pool := range s.Pools() {
		if err := pool.Recover(ctx); err != nil && !force {
			return fmt.Errorf("upstream %s: %w; it is still paused", pool.Addr(), err)
		}
	}
	if !s.pausing.finish(p) {
		return ErrNotPaused
	}
	return nil
}

// Paused returns the pause of the moment, if there is one.
func (s *Server) Paused() (state PauseState, yes bool) {
	p := s.pausing.now.Load()
	if p == nil {
		return PauseState{}, false
	}
	return PauseState{p.since, p.until, s.pausing.held.Load()}, true
}

// finish ends p, unless it has ended.
func (g *pausing) finish(p *pause) bool {
	if !g.now.CompareAndSwap(p, nil) {
		return false
	}
	close(p.over)
	p.timer.Stop()
	return true
}

// end ends the pause of the moment, if there is one.
func (g *pausing) end() {
	if p := g.now.Load(); p != nil {
		g.finish(p)
	}
}

// underWay counts the sessions that have sent what has not been answered, and wakes those that wait for other clients.
func (s *Server) underWay() (n int) {
	s.each(func(c *Session) {
		if c.underWay() {
			n++
			if c.about.Load().stateful {
				c.interrupt() // await looks why, and lets go
			}
		}
	})
	return n
}

// inMidst reports whether the client has begun upstream what a restart would break and only it can end.
func (s *Session) inMidst() bool { return s.tx.open || s.own != nil && s.own.watching }

// hold waits while there is a pause. What is under way is finished before, and whoever is in the middle of something goes on.
func (s *Session) hold(ctx context.Context) error {
	for {
		p := s.srv.pausing.now.Load()
		if p == nil || s.inMidst() || !s.in.whole() {
			return nil
		}
		s.landAll(ctx)
		if err := s.flush(); err != nil {
			return err
		}
		s.settleAccount()
		s.srv.pausing.held.Add(1)
		s.doing.Store(held)
		s.sit(ctx, p)
		s.doing.Store(working)
		s.srv.pausing.held.Add(-1)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := s.left(); err != nil {
			return err
		}
	}
}

// sit waits for the end of the pause, or of the session.
func (s *Session) sit(ctx context.Context, p *pause) {
	roused := make(chan struct{})
	s.held.Store(&roused)
	defer s.held.Store(nil)
	if s.killed.Load() { // looked at after kill can see that it waits
		return
	}
	select {
	case <-p.over:
	case <-ctx.Done():
	case <-roused:
	}
}

// left returns why the command of a client that was held is not to be run: it was killed, or has gone meanwhile and may have asked again
// elsewhere. Redis drops what a client had asked for during its own pause, too.
func (s *Session) left() error {
	_ = s.conn.SetReadDeadline(time.Now().Add(glimpse))
	err := s.in.await()
	if err := s.conn.SetReadDeadline(time.Time{}); err != nil { // before looking why: who comes now wakes it again
		return err
	}
	if s.killed.Load() {
		return io.EOF
	}
	var late net.Error
	if errors.Is(err, errFull) || errors.As(err, &late) && late.Timeout() {
		return nil
	}
	return err
}
