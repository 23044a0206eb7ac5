//go:build amd64 || arm64

package proxy

import (
	"syscall"
	"unsafe"
)

// quickBytes is how much is read or sent at once without telling the runtime: so little that it would not have found anything better to do meanwhile.
const quickBytes = 16 << 10

// quickRead and quickWrite read from and write to a socket without waiting. They don't tell the runtime, as syscall.Read does, in case the
// call takes long: these can't, and that costs as much as parsing a command. recvfrom and sendto are the shorter ways through the kernel.
// Copying more, into pages that may not be there yet, would keep the garbage collector and other goroutines waiting. Some of the other
// architectures have no system calls of these names.
func quickRead(fd uintptr, b []byte) (int, error) {
	switch {
	case len(b) == 0:
		return 0, nil
	case len(b) > quickBytes:
		return syscall.Read(int(fd), b)
	}
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), syscall.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func quickWrite(fd uintptr, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
