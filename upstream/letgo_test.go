package upstream_test

import (
	"testing"
	"time"

	"sessiongate/upstream"
)

// The old master ends the wait of who waits there, and is given up if it doesn't answer.
func TestSentinel_letGo(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		a, b := newNode(t), newNode(t)
		s := newSentinel(t, a.addr(), 1)
		p := open(t, upstream.Config{URL: sentinelURL(s), ReadTimeout: 20 * time.Second, ConnectTimeout: 20 * time.Second, Hold: 20 * time.Second})
		l := p.Link(2, 0)
		at(t, l, a)
		c := dedicated(t, p, 2, 0)
		defer c.Close()
		if err := c.Write(t.Context(), cmd("BLPOP", "q", "0")); err != nil {
			t.Fatal(err)
		}
		until(t, "it waits", func() bool { return a.waits.Load() != nil })
		if why := c.Left(); why != nil {
			t.Errorf("Left: got %v before the master has moved", why)
		}
		a.letsGo.Store(true)
		a.hangs.Store(hangs)
		start := time.Now()
		s.say(b.addr(), 2)
		s.publish("+switch-master", "m x 1 y 2")
		raw, err := c.ReadReply(nil)
		switch {
		case hangs && err == nil, !hangs && (err != nil || string(raw) != "*-1\r\n"):
			t.Errorf("hangs: %v: a blocked client gets %q, %v", hangs, raw, err)
		case !upstream.SafeToRetry(c.Left()):
			t.Errorf("hangs: %v: Left: got %v, want that nothing has run", hangs, c.Left())
		}
		c.Close()
		at(t, l, b)
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("hangs: %v: the move took %v", hangs, d)
		}
	}
}
