package proxy

import (
	"crypto/tls"
	"net"
	"syscall"
)

// cork has the kernel hold back what is written to a TCP connection until the end of the stream, which then goes in the same packet
// as the last bytes. Who reads those knows of the end.
func cork(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	tcp, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := tcp.SyscallConn(); err == nil { // a UNIX socket knows no such option
		_ = raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CORK, 1) })
	}
}
