package integration_test

import (
	"strings"
	"testing"
)

// Pushes that have to wait behind a reply are kept up to the output limit, not beyond.
func TestSlow_PushesAboveLimit(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"limits: {output: 10KiB}\n")
	c := dial3(t, g.addr)
	c.wantPrefix(">3\r\n", "SUBSCRIBE ch")
	shout := func(n int) { c.send(strings.Repeat(encode("PUBLISH", "ch", strings.Repeat("x", 1000)), n)) }
	shout(5)
	for range 5 {
		if message, reply := c.read(), c.read(); !strings.HasPrefix(message, ">3\r\n") || reply != one {
			t.Fatalf("got %q and %q, want a message and a count", shorten(message), shorten(reply))
		}
	}
	shout(100)
	c.readAll() // ends
	eventually(t, "the log says why", func() bool {
		return strings.Contains(g.out.String(), "client closed: what it is sent unasked is above the output limit")
	})
}

// Subscribers that take nothing cost the gate no more than the message on its way: what waits does so at Redis, under its limits.
func TestSlow_SubscribersMemory(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startPlainGate(t, r.upstream())
	const deaf, messages = 10, 100
	for i := range deaf {
		c := dial(t, g.addr)
		if i%2 == 0 {
			c = dial3(t, g.addr)
		}
		c.line("SUBSCRIBE ch")
	}
	w := dial(t, g.addr)
	before := rss(t, g.pid())
	message := strings.Repeat("x", 1<<20)
	for range messages {
		w.do("PUBLISH", "ch", message)
	}
	if grown := rss(t, g.pid()) - before; grown > 150<<20 {
		t.Errorf("%d subscribers that take none of %d MiB cost %d MiB", deaf, messages, grown>>20)
	}
	w.want(pong, "PING")
}
