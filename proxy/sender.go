package proxy

import (
	"net"
	"os"
	"syscall"
)

// sender writes to a client. It is the session's alone.
type sender struct {
	conn  net.Conn
	raw   syscall.RawConn              // nil: conn can't be written to without going through it
	ready func(fd uintptr) (done bool) // s.send, bound once so that a write allocates nothing

	rest []byte // not yet written
	err  error
}

func newSender(conn net.Conn, raw syscall.RawConn) *sender {
	s := &sender{conn: conn, raw: raw}
	s.ready = s.send
	return s
}

// write writes b, and blocks until all of it is on its way.
func (s *sender) write(b []byte) (int, error) {
	if s.raw == nil || len(b) > quickBytes {
		return s.conn.Write(b)
	}
	s.rest, s.err = b, nil
	err := s.raw.Write(s.ready)
	if err == nil {
		err = s.err
	}
	n := len(b) - len(s.rest)
	s.rest = nil
	return n, err
}

// send writes what the socket takes. It returns false when there is more: the runtime calls it again once there is room.
func (s *sender) send(fd uintptr) (done bool) {
	for len(s.rest) > 0 {
		n, err := quickWrite(fd, s.rest)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return false
		case err != nil:
			s.err = os.NewSyscallError("write", err)
			return true
		}
		s.rest = s.rest[n:]
	}
	return true
}
