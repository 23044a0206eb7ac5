package proxy

import (
	"strings"
	"testing"
)

func TestFailedPart(t *testing.T) {
	const down, ok = "-ERR upstream unavailable: connect: connection refused", "+OK\r\n"
	for _, c := range []struct {
		want    string
		replies []string
	}{
		{down + notRun, []string{down + notRun, down + notRun}},
		{down + partRun, []string{down + notRun, ok}},
		{down + partRun, []string{down + notRun, down + maybeRun}},
		{down + partRun, []string{down + maybeRun, ok}},
		{down + partRun, []string{down + notRun, "-OOM"}},
		{"-OOM", []string{"-OOM", down + notRun}},
	} {
		replies := make([][]byte, len(c.replies))
		for i, reply := range c.replies {
			replies[i] = []byte(strings.TrimSuffix(reply, "\r\n") + "\r\n")
		}
		if got := string(failedPart(replies, 0)); got != c.want+"\r\n" {
			t.Errorf("%q: %q, want %q", c.replies, got, c.want)
		}
	}
}
