// Package proxy is the client side: listeners, sessions, local answers, rewriting, reply editing.
//
// The straight line of one command:
//
//	1 accept   server.go           Server.accept     a goroutine and a Session per client
//	2 read     reader.go           reader.fill       every whole command that has arrived
//	3 look up  command/table.go    command.Lookup    its row; none: refused under rules
//	4 decide   policy/policy.go    Policy.Decide     a Plan, plain data, no I/O
//	5 rewrite  send.go             Session.send      arguments and Plan to bytes for Redis
//	6 forward  upstream/shared.go  Link.Do           one write, replies in order
//	7 edit     edit.go             Session.edit      raw reply to reply for the client
//	8 write    session.go          Session.flush     one write
//
// A rule is not known here: policy decides, this package carries out. One goroutine serves a client from its first
// byte to its last; a second one exists only while the upstream speaks unasked (own.go).
package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"sessiongate/policy"
	"sessiongate/quick"
	"sessiongate/upstream"
)

// Config holds the limits of the client side. See Defaults for the values used when nothing is configured.
type Config struct {
	Clients    int           // connected clients at most
	AcceptRate int           // new connections per second at most; 0: any number
	Limits     Limits        // of one command, once the client is authenticated
	Output     int64         // bytes of replies to one batch of commands at most; a client that asks for more is closed
	Idle       time.Duration // a client that says nothing for so long is closed; 0: never
	Login      time.Duration // a client that has to AUTH and hasn't for so long is closed
	Write      time.Duration // a client that doesn't take its replies for so long is closed
	KeepAlive  time.Duration // between TCP keep-alive probes
	Drain      time.Duration // how long what is in flight may take at the end
	Version    string        // of Sessiongate, for INFO
	Facade     bool          // clients see a cluster of one node, the proxy, whatever the upstream is
	Announce   string        // host:port of that node; empty: where the client has connected to

	Metrics    bool          // count by tenant and command, and measure how long they take
	Slow       time.Duration // what takes so long goes into the slow log; 0: nothing does
	SlowLength int           // how many of those are kept
	SlowRate   int           // how many of those are taken down in a second at most; 0: any number
	Keys       KeyForm       // of keys in logs
	Audit      func(Event)   // is told of refusals and logins, and must not block; nil: nobody is
	Trace      func(Span)    // is told of commands that are traced, and must not block; nil: none is
	TraceRatio float64       // of commands that are traced, 0 to 1
}

// Defaults are Redis's own limits where Redis has them.
func Defaults() Config {
	return Config{
		Clients:   10000,
		Limits:    Limits{Args: 1 << 20, Bulk: 512 << 20, Request: 1 << 30},
		Output:    1 << 30,
		Login:     time.Minute,
		Write:     time.Minute,
		KeepAlive: 300 * time.Second,
		Drain:     30 * time.Second,
		Metrics:   true,
	}
}

// Server accepts clients and owns their sessions.
type Server struct {
	cfg      Config
	main     *upstream.Pool // of clients that are nobody's yet, and of tenants that have none of their own
	tenants  atomic.Pointer[tenants]
	log      *zap.Logger
	refused  refusalLog
	observed observedLog
	suspects *suspects
	recent   policy.Recent  // of the upstreams' keys
	written  policy.Written // where replicas may answer
	started  time.Time

	slow     slowLog
	measures bool   // how long commands take
	nobody   *tally // of clients that have not authenticated
	pausing  pausing

	lastID    atomic.Int64
	rejecting atomic.Int64 // TLS clients that are being told that there is no room
	Counts    Counts
	swept     atomic.Int64 // when all sessions were last looked at, Unix seconds; 0: not yet
	window    atomic.Int64 // how many values a new session may ask for at once
	clock     atomic.Int64 // Unix seconds, to the second: cheaper than asking each time
	draining  atomic.Bool  // clients are let go, see drain.go
	lastCall  atomic.Bool  // those that hold something too

	settings sync.Mutex // held while a session changes a setting of the upstream
	mu       sync.Mutex // guards sessions, nothing else
	sessions map[int64]*Session
	wg       sync.WaitGroup // one for each session and each accept loop
}

// Counts are running totals since the start, for INFO and metrics.
type Counts struct {
	Connections, Rejected, Commands, Refused, Withheld, Panics atomic.Int64
	FailedLogins, Reloads, FailedReloads                       atomic.Int64
}

// New returns a Server that forwards to pool, unless a tenant has its own, under the tenants' rules. It serves nothing until Serve.
func New(cfg Config, pool *upstream.Pool, list []*Tenant, log *zap.Logger) *Server {
	s := &Server{
		cfg:      cfg,
		main:     pool,
		log:      log,
		refused:  refusalLog{log: log},
		observed: observedLog{log: log, flushed: time.Now()},
		suspects: newSuspects(),
		started:  time.Now(),
		sessions: map[int64]*Session{},
		slow:     slowLog{threshold: cfg.Slow, rate: int64(cfg.SlowRate), show: cfg.Keys, ring: make([]SlowEntry, 0, cfg.SlowLength)},
		measures: cfg.Metrics || cfg.Slow > 0 || cfg.Trace != nil,
		nobody:   newTally(),
	}
	s.tenants.Store(newTenants(list, pool))
	s.clock.Store(s.started.Unix())
	s.window.Store(firstWindow)
	return s
}

// Serve accepts clients on the listeners, which it owns from now on, until ctx is cancelled; then it lets every session
// finish what it has begun, for at most cfg.Drain, and returns when the last one is gone.
func (s *Server) Serve(ctx context.Context, listeners []net.Listener) error {
	sweep, stopSweep := context.WithCancel(context.Background())
	defer stopSweep()
	go s.sweep(sweep)
	go s.examine(sweep)
	hard, cut := context.WithCancel(context.Background())
	defer cut()

	failed := make(chan error, len(listeners))
	for _, ln := range listeners {
		s.wg.Add(1)
		go func() { defer s.wg.Done(); failed <- s.accept(hard, ln) }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.drain(listeners, cut)
	s.observed.flush(time.Now())
	return err
}

// accept hands each new client to a goroutine of its own. A failure such as "too many open files" waits a little and
// longer each time, as net/http does; it never spins and never gives up while the listener is open.
func (s *Server) accept(ctx context.Context, ln net.Listener) error {
	var pause time.Duration
	var tenant string
	if own, ok := ln.(tenantListener); ok {
		tenant = own.tenant
	}
	limit := newBucket(s.cfg.AcceptRate)
	for {
		limit.wait(ctx)
		conn, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			s.admit(ctx, conn, tenant)
			continue
		case s.draining.Load() || errors.Is(err, net.ErrClosed):
			return nil
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		s.log.Warn("accept failed", zap.Error(err), zap.Duration("retry_in", pause))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// admit starts a session for conn, which came by a listener of that tenant's, if of anyone's, or tells the client in Redis's words that there is no room.
func (s *Server) admit(ctx context.Context, conn net.Conn, tenant string) {
	s.Counts.Connections.Add(1)
	if tcp, ok := quick.Below(conn).(*net.TCPConn); ok && s.cfg.KeepAlive > 0 {
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: s.cfg.KeepAlive, Interval: s.cfg.KeepAlive / 3})
	}
	c := newSession(s, conn, s.lastID.Add(1))
	c.came.tenant = tenant
	s.mu.Lock()
	room := len(s.sessions) < s.cfg.Clients
	if room {
		s.sessions[c.id] = c
	}
	s.mu.Unlock()
	if !room {
		s.Counts.Rejected.Add(1)
		s.reject(conn)
		return
	}
	s.wg.Add(1)
	go c.run(ctx)
}

// mostRejecting is how many TLS clients at once are told that there is no room. That takes a handshake, for which accepting must not wait.
const mostRejecting = 64

// reject tells a client that there is no room.
func (s *Server) reject(conn net.Conn) {
	tell := func() {
		_ = conn.SetDeadline(time.Now().Add(time.Second))
		_, _ = conn.Write([]byte(errMaxClients))
		_ = conn.Close()
	}
	secure, ok := conn.(*tls.Conn)
	switch {
	case !ok: // fits into the socket's buffer
		tell()
	case s.rejecting.Add(1) > mostRejecting:
		s.rejecting.Add(-1)
		_ = secure.NetConn().Close()
	default:
		s.wg.Go(func() {
			defer s.rejecting.Add(-1)
			tell()
		})
	}
}

// leave forgets a session. The session's own goroutine calls it last.
func (s *Server) leave(c *Session) {
	s.mu.Lock()
	delete(s.sessions, c.id)
	s.mu.Unlock()
	s.wg.Done()
}

// each calls f for every session of the moment, without holding the lock.
func (s *Server) each(f func(*Session)) {
	s.mu.Lock()
	all := make([]*Session, 0, len(s.sessions))
	for _, c := range s.sessions {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		f(c)
	}
}

// sweep looks after timeouts once a second, so that no command has to set a deadline.
func (s *Server) sweep(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.clock.Store(now.Unix())
			s.each((*Session).checkTimeouts)
			if s.observed.due(now) {
				s.observed.flush(now)
			}
			s.swept.Store(now.Unix())
		}
	}
}

// Alive reports whether the server still does what it does every second: it looks at every session, which nothing may keep it from.
func (s *Server) Alive() bool {
	swept := s.swept.Load()
	return swept == 0 || time.Now().Unix()-swept < 5
}

// bucket is a token bucket that makes its caller wait: new clients queue in the kernel's backlog meanwhile.
type bucket struct {
	gap  time.Duration // between two tokens; 0: no limit
	next time.Time     // when the next token is there
}

func newBucket(perSecond int) *bucket {
	if perSecond <= 0 {
		return &bucket{}
	}
	return &bucket{gap: time.Second / time.Duration(perSecond)}
}

// wait returns when a token is there. Up to a second's worth of unused tokens is kept, so that a burst passes.
func (b *bucket) wait(ctx context.Context) {
	if b.gap == 0 {
		return
	}
	now := time.Now()
	if oldest := now.Add(-time.Second); b.next.Before(oldest) {
		b.next = oldest
	}
	pause := b.next.Sub(now)
	b.next = b.next.Add(b.gap)
	if pause > 0 {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}
