package policy

import (
	"fmt"
	"testing"
)

// What jitter chooses is between the limits that it promises, even over them, and the same each time.
func TestJitter(t *testing.T) {
	const full, keys = 1_800_000, 100_000
	var tenths [10]int
	for i := range keys {
		key := fmt.Appendf(nil, "sess:%d", i)
		got := jitter(10).of(full, key)
		if again := jitter(10).of(full, key); got <= full-full/10 || got > full || got != again {
			t.Fatalf("%s has %d ms, then %d", key, got, again)
		}
		tenths[(full-got)*100/full]++
	}
	for i, n := range tenths {
		if n < keys/10*9/10 || n > keys/10*11/10 {
			t.Errorf("of %d keys %d lose between %d and %d%%", keys, n, i, i+1)
		}
	}
	if got := jitter(0).of(full, []byte("k")); got != full {
		t.Errorf("without jitter a key has %d ms", got)
	}
}

// A session that is read all the time must not end: its expiry is put back before it is over, however short jitter makes it.
func TestJitter_Window(t *testing.T) {
	h := duration(t, "1h")
	c := ExpiryConfig{Idle: h, IdleRefresh: Share{50, true}, Jitter: Share{50, true}}
	if got, least := c.sliding().window, h.Milliseconds()/2; got > least/2 {
		t.Errorf("an expiry of %d ms need not be put back for %d", least, got)
	}
}

func BenchmarkDecide_Jitter(b *testing.B) {
	p := mustNew(b, Config{Rules: []RuleConfig{{Expiry: &ExpiryConfig{Default: duration(b, "30m"), Jitter: Share{10, true}}}}})
	benchmark(b, p, request(b, words("SET session:f8J2kd93mdkQ9s8dk2 v")))
}
