package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	logs "go.uber.org/zap/zaptest/observer"

	"sessiongate/command"
)

// Whatever is seen, and however many classes there are: the lines add up, and they are bounded.
func TestObservedLog(t *testing.T) {
	core, lines := logs.New(zap.WarnLevel)
	l := observedLog{log: zap.New(core)}
	now := time.Now()
	seen := 0
	see := func(client string, times int) {
		for range times {
			l.note(sighting{tenant: "t", rule: "web", kind: "expiry", verdict: wouldRewrite, command: "SET", client: client}, "why")
			seen++
		}
	}
	sum := func() (n int) {
		for _, line := range lines.All() {
			n += int(line.ContextMap()["count"].(int64))
		}
		return n
	}
	see("a", 3)
	if lines.Len() != 1 || lines.All()[0].ContextMap()["reason"] != "why" {
		t.Errorf("the first of a class is logged as %v", lines.All())
	}
	l.flush(now)
	if lines.Len() != 2 || sum() != 3 {
		t.Errorf("%d lines add up to %d", lines.Len(), sum())
	}
	l.flush(now)
	if lines.Len() != 2 {
		t.Error("a line counts nothing")
	}
	if l.due(now.Add(observedEvery-1)) || !l.due(now.Add(observedEvery)) {
		t.Error("it is not due when it should be")
	}
	for i := range 2 * maxSightings {
		see(fmt.Sprint("client", i), 2)
	}
	l.flush(now)
	if sum() != seen {
		t.Errorf("the lines add up to %d, want %d", sum(), seen)
	}
	if n := len(l.counts); n != maxSightings+1 {
		t.Errorf("%d classes are told apart", n)
	}
}

func TestCommandName(t *testing.T) {
	for name, want := range map[string]string{
		"get": "GET", "json.set": "JSON.SET", "ft._list": "FT._LIST", "": "(unknown)", "k7q2k7q2": "(unknown)", "a b": "(unknown)",
		strings.Repeat("a", 33): "(unknown)", "\xff": "(unknown)",
	} {
		args := [][]byte{[]byte(name)}
		if got := commandName(cmd{spec: command.Lookup(args), args: args}); got != want {
			t.Errorf("%q is logged as %q, want %q", name, got, want)
		}
	}
}
