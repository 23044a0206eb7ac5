package upstream

import (
	"syscall"
	"time"
)

// userTimeout is TCP_USER_TIMEOUT, which package syscall doesn't have on every architecture.
const userTimeout = 0x12

// limitUnacked has the kernel give a connection up when what was written is not even received for the read timeout, and 5 s at least: a
// few packets may get lost. By itself it goes on trying for a quarter of an hour.
func (p *Pool) limitUnacked(network, _ string, c syscall.RawConn) error {
	if network == "unix" {
		return nil
	}
	return c.Control(func(fd uintptr) {
		ms := max(p.opt.ReadTimeout, 5*time.Second).Milliseconds()
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, userTimeout, int(ms)) // a kernel without it knows no better
	})
}
