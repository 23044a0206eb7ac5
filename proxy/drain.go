package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"go.uber.org/zap"
)

// At the end of the server every client is let go at a moment at which it loses nothing. One that asks and waits is closed
// right behind a reply, in the same packet where the system can do that (cork_linux.go): it sees the end before it can send the
// next command. One that is silent gets a little time to say something, and is closed then. Who holds something that ends with the
// connection, a transaction or a wait, may keep it until the last call, shortly before cfg.Drain is over.

const (
	// quiet is how long a client that was busy a moment ago is waited for.
	quiet = time.Second
	// glimpse is how long it takes to see what has arrived already.
	glimpse = time.Millisecond
	// lingering is how long, after the end of what we send, the client may go on sending: a connection that is closed with
	// something unread is reset, and a reply that has not been read yet may be lost with it.
	lingering = 500 * time.Millisecond
	// maxLastCall is how long before the end of cfg.Drain the last call comes, at most. Half of it is for what follows from it.
	maxLastCall = time.Second
)

// errDrained ends a client that has nothing more to say.
var errDrained = errors.New("the server ends")

// drain closes the listeners, lets all clients go, and returns when they are gone or cfg.Drain is over.
func (s *Server) drain(listeners []net.Listener, cut context.CancelFunc) {
	end := time.Now().Add(s.cfg.Drain)
	s.draining.Store(true)
	s.pausing.end()
	for _, ln := range listeners {
		_ = ln.Close()
	}
	gone := make(chan struct{})
	go func() { s.wg.Wait(); close(gone) }()
	s.each((*Session).unwind)

	margin := min(s.cfg.Drain/10, maxLastCall)
	if within(gone, time.Until(end)-margin) {
		return
	}
	s.lastCall.Store(true)
	s.each((*Session).unwind)
	if within(gone, time.Until(end)-margin/2) {
		return
	}
	s.log.Warn("drain time is over, closing clients", zap.Duration("drain", s.cfg.Drain))
	cut()
	s.each((*Session).sever)
	within(gone, time.Until(end)) // who still waits for the upstream ends when the pool is closed
}

// within waits for done, so long at most, and reports whether it came.
func within(done <-chan struct{}, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// unwind wakes a session to look at what has come to an end. A TLS handshake may go on for a moment.
func (s *Session) unwind() {
	if s.shaking.Load() {
		_ = s.conn.SetReadDeadline(time.Now().Add(quiet))
		return
	}
	s.interrupt()
}

// holds reports whether the client has begun what the end of its connection would undo. Subscriptions don't count: they have no end.
func (s *Session) holds() bool {
	return s.tx.open || s.own != nil && s.own.watching || s.in.buffered() > 0
}

// lastWords limits the read to come, or ends it.
func (s *Session) lastWords() error {
	if err := s.conn.SetReadDeadline(time.Time{}); err != nil { // before looking: who comes now wakes it again
		return err
	}
	called := s.srv.lastCall.Load()
	if s.holds() && !called {
		return nil
	}
	now := time.Now()
	if s.parts.IsZero() {
		s.parts = now.Add(glimpse)
		if silent := s.srv.clock.Load() - s.active.Load(); silent < 2 && !called { // seconds, to the second
			s.parts = now.Add(quiet)
		}
	}
	if !now.Before(s.parts) {
		return errDrained
	}
	return s.conn.SetReadDeadline(s.parts)
}

// done reports whether the client is at a point where it can be let go: nothing is begun, and nothing more has arrived.
func (s *Session) done() bool {
	_ = s.conn.SetReadDeadline(time.Now().Add(glimpse))
	_ = s.in.await() // its error comes again
	_ = s.conn.SetReadDeadline(time.Time{})
	return !s.holds() || s.srv.lastCall.Load() && s.in.buffered() == 0
}

// part writes what is owed together with the end of the stream, and waits a little for the client to see it. What it still sends
// is not run.
func (s *Session) part(why error) error {
	cork(s.conn)
	err := s.flush()
	s.disown(false) // no push comes behind the end
	if err == nil {
		err = closeWrite(s.conn)
	}
	_ = s.conn.SetReadDeadline(time.Now().Add(lingering))
	var scrap [512]byte
	for err == nil {
		_, err = s.conn.Read(scrap[:])
	}
	return errors.Join(why, err)
}

// closeWrite tells the client that nothing more comes, over what it is connected by and below.
func closeWrite(conn net.Conn) error {
	var err error
	if secure, ok := conn.(*tls.Conn); ok {
		err = secure.CloseWrite()
		conn = secure.NetConn()
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok && err == nil {
		err = half.CloseWrite()
	}
	return err
}
