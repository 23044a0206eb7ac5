package main

import (
	"strings"
	"unsafe"
)

// withoutSecrets returns a copy of the program's arguments, and blots passwords of URLs out of the originals: those are the memory that
// ps shows to everyone on the machine.
func withoutSecrets(args []string) []string {
	kept := make([]string, len(args))
	for i, arg := range args {
		kept[i] = strings.Clone(arg)
		from, to := passwordOf(arg)
		memory := unsafe.Slice(unsafe.StringData(arg), len(arg))
		for at := from; at < to; at++ {
			memory[at] = 'x'
		}
	}
	return kept
}

// passwordOf is where the password stands in an argument that is a URL, or --flag=URL; from is to where there is none.
func passwordOf(arg string) (from, to int) {
	_, rest, ok := strings.Cut(arg, "://")
	if !ok {
		return 0, 0
	}
	start := len(arg) - len(rest)
	if to = strings.LastIndexByte(arg, '@'); to < start {
		return 0, 0
	}
	if from = strings.IndexByte(arg[start:to], ':'); from < 0 {
		return 0, 0
	}
	return start + from + 1, to
}
