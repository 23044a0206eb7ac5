//go:build amd64 || arm64

package quick

import (
	"syscall"
	"unsafe"
)

// Read reads what has arrived on a socket that doesn't block; an error is a syscall.Errno. recvfrom and sendto are the shorter ways through the kernel.
// Some of the other architectures have no system calls of these names.
func Read(fd uintptr, b []byte) (int, error) {
	switch {
	case len(b) == 0:
		return 0, nil
	case len(b) > Bytes:
		n, err := syscall.Read(int(fd), b)
		return max(n, 0), err
	}
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), syscall.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	acquire(fd)
	return int(n), nil
}

// Write writes as much of b, which is Bytes at most, as the socket takes.
func Write(fd uintptr, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	release(fd)
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
