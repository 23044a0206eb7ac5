//go:build !linux || !(amd64 || arm64)

package quick

import "syscall"

// Read reads what has arrived on a socket that doesn't block; an error is a syscall.Errno.
func Read(fd uintptr, b []byte) (int, error) {
	n, err := syscall.Read(int(fd), b)
	return max(n, 0), err // it says -1
}

// Write writes as much of b, which is Bytes at most, as the socket takes.
func Write(fd uintptr, b []byte) (int, error) {
	n, err := syscall.Write(int(fd), b)
	return max(n, 0), err
}
