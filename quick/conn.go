// Package quick reads from and writes to sockets without telling the Go runtime in case the call takes long.
//
// Package net tells it, twice a call, which costs as much as parsing a command, and has side effects that cost more: whenever all is idle the
// runtime's monitor goes to sleep, the next such call wakes it, and it then looks every 20 us whether the call is still under way. A call that
// doesn't wait can't take long, so that there is nothing to be told. Without such calls the monitor sleeps on, until a timer is due: who computes for
// long without a pause keeps his processor until then. That is a quarter of a second at most wherever there is an upstream, whose links are looked at so
// often.
package quick

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// Bytes is how much is read or written at once without telling the runtime: so little that it would not have found anything better to do meanwhile.
// Copying more, into pages that may not be there yet, would keep the garbage collector and other goroutines waiting.
const Bytes = 16 << 10

// Conn is a TCP or UNIX connection.
type Conn struct {
	net.Conn
	raw syscall.RawConn

	in   transfer
	long bool // the last read was one of Bytes: more than that may have arrived
	out  transfer
}

// transfer is a read or a write under way.
type transfer struct {
	mu    sync.Mutex                   // one at a time
	ready func(fd uintptr) (done bool) // bound once so that a call allocates nothing
	b     []byte
	n     int
	err   error
}

// New returns conn as a *Conn if it is a TCP or UNIX connection, else as it is.
func New(conn net.Conn) net.Conn {
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return conn
	}
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil { // it is closed
		return conn
	}
	c := &Conn{Conn: conn, raw: raw}
	c.in.ready, c.out.ready = c.read, c.write
	return c
}

// Listener is l with what it accepts as New returns it.
func Listener(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return New(conn), nil
}

// Below is the connection that conn was made of, if it is a *Conn, else conn.
func Below(conn net.Conn) net.Conn {
	if c, ok := conn.(*Conn); ok {
		return c.Conn
	}
	return conn
}

// SyscallConn gives access to the socket.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.raw, nil }

// CloseWrite tells the other end that nothing more comes.
func (c *Conn) CloseWrite() error { return c.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// Read reads what has arrived, and blocks until something has.
func (c *Conn) Read(b []byte) (int, error) {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	if len(b) > Bytes && !c.long {
		b = b[:Bytes]
	}
	c.in.b, c.in.n, c.in.err = b, 0, nil
	err := c.raw.Read(c.in.ready)
	c.in.b = nil
	c.long = c.in.n >= Bytes
	return c.in.n, c.failed("read", err, c.in.err)
}

// read returns false when nothing was there: the runtime calls it again once there is.
func (c *Conn) read(fd uintptr) (done bool) {
	for {
		n, err := Read(fd, c.in.b)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return false
		case err != nil:
			c.in.err = err
		case n == 0 && len(c.in.b) > 0:
			c.in.err = io.EOF
		}
		c.in.n = n
		return true
	}
}

// Write writes b, and blocks until all of it is on its way.
func (c *Conn) Write(b []byte) (int, error) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if len(b) > Bytes {
		return c.Conn.Write(b)
	}
	c.out.b, c.out.err = b, nil
	err := c.raw.Write(c.out.ready)
	n := len(b) - len(c.out.b)
	c.out.b = nil
	return n, c.failed("write", err, c.out.err)
}

// failed is the error of package net for what the runtime says, or else the socket.
func (c *Conn) failed(op string, runtime, socket error) error {
	if runtime == nil {
		if socket == nil || socket == io.EOF {
			return socket
		}
		return &net.OpError{Op: op, Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, socket)}
	}
	var known *net.OpError
	if errors.As(runtime, &known) {
		known.Op = op // it says raw-read
	}
	return runtime
}

// write writes what the socket takes. It returns false when there is more: the runtime calls it again once there is room.
func (c *Conn) write(fd uintptr) (done bool) {
	for len(c.out.b) > 0 {
		n, err := Write(fd, c.out.b)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return false
		case err != nil:
			c.out.err = err
			return true
		}
		c.out.b = c.out.b[n:]
	}
	return true
}
