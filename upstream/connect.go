package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"go.uber.org/zap"
)

const (
	minBackoff = 10 * time.Millisecond
	maxBackoff = time.Second
)

// run keeps l connected: dial, receive until that ends, again. It returns when l is closed or rests.
func (l *link) run() {
	relay := make(chan struct{}, 1)
	defer close(relay)
	l.pool.wg.Go(func() { l.runRelay(relay) })
	for attempt := 0; ; attempt++ {
		left := l.pool.place.Load().left
		conn, hello, err := l.pool.connect(l.ctx, l.key, l.pool.turns.links)
		switch {
		case errors.Is(err, errMoved):
			attempt = 0
		case err != nil:
			l.failed(err)
		default:
			r := receiver{link: l, conn: conn}
			l.connected(conn, hello, relay)
			l.disconnected(&r, r.run())
			if r.served {
				attempt = 0
			}
		}
		if l.ended() {
			return
		}
		l.pool.breaker.pause(l.ctx, left, backoff(attempt), l.pool.cfg.IdleTimeout) // at times it looks whether it is still wanted
	}
}

// runRelay flushes for those who can't wait: a client whose own reply is there, run after a connect, the watchdog.
func (l *link) runRelay(relay <-chan struct{}) {
	for range relay {
		l.flush(nil)
	}
}

// connected opens the gate for what has been queued meanwhile.
func (l *link) connected(conn net.Conn, hello hello, relay chan struct{}) {
	l.pool.learn(hello)
	l.pool.stats.connections.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.pool.place.Load().addr != hello.addr { // it has moved meanwhile
		l.cause = errMoved
		abort(conn)
		return
	}
	if l.watch.connects++; l.watch.connects > 1 {
		l.pool.stats.reconnects.Add(1)
		l.pool.log.Info("upstream link is back", l.fields(zap.Duration("after", time.Since(l.downSince)))...)
	}
	l.conn, l.at, l.relay, l.cause, l.down, l.why = conn, hello.addr, relay, nil, nil, nil
	l.watch.quiet = time.Now()
	if len(l.queue) > 0 && l.pool.frozen.Load() == nil {
		l.startRelay()
	}
}

// startRelay makes the relay the flusher. It needs l.mu, and nobody flushing.
func (l *link) startRelay() {
	l.flushing = true
	l.relay <- struct{}{}
}

// disconnected fails what was sent and keeps what was not.
func (l *link) disconnected(r *receiver, why error) {
	abort(r.conn)
	l.mu.Lock()
	l.conn = nil
	l.pool.stats.connections.Add(-1)
	if l.cause != nil {
		why = l.cause
	}
	why = lossOf(why)
	trouble := !l.closed && !l.watch.resting && !errors.Is(why, errMoved)
	if l.why, l.downSince = why, time.Now(); trouble {
		l.downSince = l.pool.breaker.lost(why)
	}
	for l.flushing { // it may still be reading some owner's request
		l.wrote.Wait()
	}
	if l.hold() == 0 {
		l.down = why
		l.failQueue(why)
	}
	l.mu.Unlock()
	r.fail(l.pool.error(true, why))
	if trouble {
		l.pool.trouble()
		l.pool.log.Warn("upstream link lost", l.fields(zap.Error(why))...)
		l.pool.doubt()
	}
}

// giveUp closes conn because of why. It needs l.mu; the receiver notices and run goes on from there.
func (l *link) giveUp(conn net.Conn, why error) {
	if l.conn != conn {
		return
	}
	l.conn, l.cause = nil, why
	l.why, l.downSince = why, time.Now() // the watchdog may look before the receiver has noticed
	abort(conn)
}

// failed notes a dial that led to nothing.
func (l *link) failed(err error) {
	err = reason(err)
	l.pool.doubt()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if l.why.Error() != err.Error() {
		l.pool.log.Warn("upstream link can't connect", l.fields(zap.Error(err))...)
	}
	l.why = err
	l.pool.trouble()
	switch {
	case final(err), l.hold() == 0:
		l.down = err
		l.failQueue(err)
	case l.down != nil:
		l.down = l.pool.gone(err)
	}
}

// hold is how long calls wait for a connection. Nothing waits for a replica: the master is there too.
func (l *link) hold() time.Duration {
	if l.key.replica {
		return 0
	}
	return l.pool.cfg.Hold
}

// evict gives back what waits for a connection that may be long in coming: it can go to another node now.
func (l *link) evict() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		l.failQueue(errElsewhere)
	}
}

// failQueue fails all that waits to be sent. It needs l.mu.
func (l *link) failQueue(why error) {
	err := l.pool.error(false, why)
	for i, c := range l.queue {
		c.state = sent // nothing is, but req is the owner's again
		l.pool.load.leave(c)
		c.fail(err)
		l.queue[i] = nil
	}
	l.queue = l.queue[:0]
}

// ended reports whether run is over, because l is closed or nobody has used it for long; the next Do then starts
// another run.
func (l *link) ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := l.watch.resting && len(l.queue) == 0
	l.watch.resting = false
	if !l.closed && !rest {
		return false
	}
	l.running, l.down, l.watch = false, nil, watch{}
	l.pool.stopped(l)
	return true
}

// Close fails what is under way and ends run.
func (l *link) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	l.cancel()
	if l.conn != nil {
		l.giveUp(l.conn, errClosed)
	}
	l.failQueue(errClosed)
	return nil
}

func (l *link) fields(f ...zap.Field) []zap.Field {
	return append(f, zap.String("addr", l.pool.Addr()), zap.Int("proto", l.key.proto), zap.Int("db", l.key.db), zap.String("role", l.key.role.label()))
}

// dial opens a connection to the upstream that is ready for commands. If the master leaves meanwhile it is in vain, and says so.
func (p *Pool) dial(ctx context.Context, key setKey) (net.Conn, hello, error) {
	at := p.place.Load()
	if at.addr == "" {
		pauseUnless(ctx, at.left, firstWord)
		if at = p.place.Load(); at.addr == "" {
			return nil, hello{}, p.noMaster()
		}
	}
	there, done := at.while(ctx)
	defer done()
	conn, h, err := p.dialAt(there, key, at.addr)
	if ctx.Err() == nil && p.place.Load() != at {
		if err == nil {
			abort(conn)
		}
		return nil, hello{}, errMoved
	}
	return conn, h, err
}

// dialAs opens a connection to the server at addr as id.
func (p *Pool) dialAs(ctx context.Context, key setKey, addr string, id *Identity) (net.Conn, hello, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opt.DialTimeout)
	defer cancel()
	conn, err := p.tcp(ctx, addr)
	if err != nil {
		return nil, hello{}, err
	}
	conn = id.secure(conn, addr)
	// The deadline covers the handshake, and comes early when ctx ends.
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	h, err := shakeHands(conn, handshake{
		proto: key.proto, db: key.db, user: id.user, password: id.password, name: p.opt.ClientName, role: key.role,
		master: p.sentinels != nil && !key.replica, replica: key.replica,
	})
	h.addr = addr
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		abort(conn)
		if !answered(err) {
			err = fmt.Errorf("handshake: %w", silent(conn, err))
		}
		return nil, hello{}, err
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, h, nil
}

// abort closes conn without the courtesies of TLS, which could block.
func abort(conn net.Conn) {
	_ = socket(conn).Close()
}

// socket is what lies under conn.
func socket(conn net.Conn) net.Conn {
	if t, ok := conn.(*tls.Conn); ok {
		return t.NetConn()
	}
	return conn
}

// final reports whether dialing again is of no use: an upstream that answers, but refuses us, or isn't who it should be,
// won't think better of it within the hold.
func final(err error) bool {
	var refused *Refused
	var role *RoleError
	var cert *tls.CertificateVerificationError
	if errors.As(err, &refused) {
		return !refused.temporary()
	}
	return errors.As(err, &role) || errors.As(err, &cert)
}

// answered reports whether err is what the upstream made of our handshake.
func answered(err error) bool {
	var refused *Refused
	var role *RoleError
	return errors.As(err, &refused) || errors.As(err, &role) || errors.Is(err, errReplica)
}

// backoff is how long to wait after the attempt, counted from 0: doubling, with a jitter of a quarter so that many
// proxies don't knock in step.
func backoff(attempt int) time.Duration {
	d := maxBackoff
	if attempt < 7 {
		d = min(minBackoff<<attempt, maxBackoff)
	}
	return d*3/4 + rand.N(d/2)
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) { pauseUnless(ctx, nil, d) }

// pauseUnless is pause that a closed channel ends too.
func pauseUnless(ctx context.Context, closed <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-closed:
	case <-ctx.Done():
	}
}
