package proxy

import (
	"syscall"
	"unsafe"
)

// quickBytes is how much is sent at once without telling the runtime: so little that it would not have found anything better to do meanwhile.
const quickBytes = 16 << 10

// quickRead and quickWrite read from and write to a socket without waiting. They don't tell the runtime, as syscall.Read does, in case the
// call takes long: these can't, and that costs as much as parsing a command. recvfrom and sendto are the shorter ways through the kernel.
func quickRead(fd uintptr, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
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
