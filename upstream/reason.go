package upstream

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

var (
	errConnecting = errors.New("connect: still under way")
	errTLSSilent  = errors.New("no answer to TLS")
	errHungUp     = errors.New("closed by the upstream")
	errResting    = errors.New("closed for want of use")
)

// lateError is why a connection is given up that owes a reply.
type lateError struct{ after time.Duration }

func (e *lateError) Error() string { return fmt.Sprintf("timeout: no reply within %s", e.after) }

// late notes that a reply has not come within the read timeout.
func (p *Pool) late() error {
	err := &lateError{p.opt.ReadTimeout}
	p.breaker.overdue(err)
	return err
}

// reason shortens what the net package says to what a client may know: what went wrong, not where.
func reason(err error) error {
	var op *net.OpError
	var name *net.DNSError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errHungUp
	case errors.As(err, &name):
		return fmt.Errorf("connect: the upstream's name leads nowhere: %s", name.Err)
	case errors.As(err, &op):
		return op.Err
	}
	return err
}

// unanswered says of a connect that has taken too long how long that was.
func (p *Pool) unanswered(err error) error {
	switch {
	case errors.Is(err, errTLSSilent):
		return fmt.Errorf("connect: %w within %s", errTLSSilent, p.opt.DialTimeout)
	case timedOut(err):
		return fmt.Errorf("connect: no answer within %s", p.opt.DialTimeout)
	}
	return err
}

func timedOut(err error) bool {
	var late net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &late) && late.Timeout()
}

// silent says of a timeout that it came while TLS was being shaken: a server that speaks none waits for the end of a line.
func silent(conn net.Conn, err error) error {
	if t, ok := conn.(*tls.Conn); ok && timedOut(err) && !t.ConnectionState().HandshakeComplete {
		return errTLSSilent
	}
	return reason(err)
}

// lossOf says how a connection was lost.
func lossOf(why error) error {
	var late *lateError
	if errors.As(why, &late) {
		return why
	}
	return fmt.Errorf("connection lost: %w", reason(why))
}

// gone is why, when the hold is over.
func (p *Pool) gone(why error) error {
	return fmt.Errorf("%w, for longer than upstream.hold (%s)", why, p.cfg.Hold)
}
