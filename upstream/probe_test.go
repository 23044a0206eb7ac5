package upstream

import (
	"errors"
	"testing"
	"time"
)

// A breaker that is reset, as at a move, and opens again while its probe pauses has one probe.
func TestBreaker_oneProbe(t *testing.T) {
	p, err := Open(Config{URL: "redis://127.0.0.1:1", HealthInterval: time.Hour, Breaker: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	b := &p.breaker
	for range 50 {
		b.reset()
		b.refuse(errors.New("it doesn't answer"))
	}
	tries := 0
	for deadline := time.Now().Add(10 * time.Second); tries < 3; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it is not probed")
		}
		b.mu.Lock()
		tries = b.probes
		b.mu.Unlock()
	}
	if tries > 10 { // the eleventh of one probe comes after seconds
		t.Errorf("%d tries at once, want those of one probe", tries)
	}
}
