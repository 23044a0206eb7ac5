//go:build !race && linux && (amd64 || arm64)

package quick

func acquire(uintptr) {}

func release(uintptr) {}
