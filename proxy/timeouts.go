package proxy

import (
	"time"

	"go.uber.org/zap"

	"sessiongate/policy"
)

// rest gives back the buffers of a client that has been silent for a while.
func (s *Session) rest() {
	if s.rested {
		return
	}
	s.rested = true
	s.in.shrink()
	if !s.tx.open {
		s.flight, s.spare, s.flying = &flight{policy: s.policy}, nil, nil
	}
	s.out, s.req, s.plan = nil, policy.Request{}, policy.Plan{}
}

// restAfter is how long a client is silent before its buffers are given back.
const restAfter = 3 * time.Second

// checkTimeouts runs on the server's sweeper, once a second: it wakes a session that should rest or leave.
func (s *Session) checkTimeouts() {
	now := time.Now()
	cfg := &s.srv.cfg
	silent := now.Sub(time.Unix(s.active.Load(), 0))
	if since := s.writing.Load(); since != 0 && now.Sub(time.Unix(since, 0)) > cfg.Write+time.Second { // the clock that was read may be a second late
		_ = s.conn.SetWriteDeadline(now)
		return
	}
	if since := s.heard.Load(); since != 0 && now.Sub(time.Unix(since, 0)) > cfg.Write+time.Second {
		_ = s.conn.SetWriteDeadline(now)
		return
	}
	if s.shaking.Load() { // has its own limit
		return
	}
	a := s.about.Load()
	switch {
	case a.notified:
		s.interrupt()
	case a.stateful: // Redis exempts subscribers and blocked clients from its timeout too
	case cfg.Idle > 0 && silent > cfg.Idle+time.Second:
		s.kill()
	case a.tenant == "" && now.Sub(a.since) > cfg.Login:
		s.kill()
	case silent >= restAfter && silent < restAfter+2*time.Second:
		s.interrupt()
	}
}

// kill makes the session leave as soon as it reads again.
func (s *Session) kill() {
	s.killed.Store(true)
	if roused := s.held.Swap(nil); roused != nil {
		close(*roused)
	}
	s.interrupt()
	_ = s.conn.SetWriteDeadline(time.Unix(1, 0)) // it may be busy writing to a client that doesn't read
}

// closed logs that the client is closed, and why, unless it was asked to leave anyway.
func (s *Session) closed(why string) {
	if !s.killed.Load() {
		s.srv.log.Warn("client closed: "+why, zap.Int64("client", s.id), zap.String("addr", s.peer()))
	}
}

// interrupt ends a read that is under way.
func (s *Session) interrupt() {
	_ = s.conn.SetReadDeadline(time.Unix(1, 0))
}

// peer is the client's address, for logs and CLIENT LIST.
func (s *Session) peer() string {
	if addr := s.conn.RemoteAddr(); addr != nil && addr.String() != "" && addr.String() != "@" {
		return addr.String()
	}
	return s.conn.LocalAddr().String() + ":0" // a UNIX socket: Redis shows the socket's path
}
