//go:build !linux

package upstream

import "syscall"

// limitUnacked can't be had here: TCP keep-alive has to notice.
func (p *Pool) limitUnacked(string, string, syscall.RawConn) error { return nil }
