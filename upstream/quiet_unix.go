//go:build unix

package upstream

import (
	"net"
	"syscall"
)

// quiet reports whether conn is open and nothing waits to be read, without blocking and without reading. A connection
// that the upstream has closed is found out here, before a client's bytes are written to it.
func quiet(conn net.Conn) bool {
	s, ok := socket(conn).(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	var peek error
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, peek = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true // whatever it says, don't wait
	})
	return err == nil && (peek == syscall.EAGAIN || peek == syscall.EWOULDBLOCK)
}
