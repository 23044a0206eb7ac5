//go:build !linux

package proxy

import "syscall"

const quickBytes = 16 << 10

func quickRead(fd uintptr, b []byte) (int, error) { return syscall.Read(int(fd), b) }

func quickWrite(fd uintptr, b []byte) (int, error) { return syscall.Write(int(fd), b) }
