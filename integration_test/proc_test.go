package integration_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// rss is the memory that a process holds, in bytes.
func rss(t testing.TB, pid int) int {
	t.Helper()
	return status(t, pid, "VmRSS:") << 10
}

func status(t testing.TB, pid int, name string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), name)
	n, err := strconv.Atoi(strings.Fields(after + " x")[0])
	if err != nil {
		t.Fatalf("no %s for process %d", name, pid)
	}
	return n
}

// openFiles is how many files and sockets a process has open.
func openFiles(t testing.TB, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
