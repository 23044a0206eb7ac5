package upstream_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sessiongate/upstream"
)

// script appends a script on a key to the batch.
func script(b *upstream.Batch, key, text string, args ...string) {
	unit(b, key, append([]string{"EVAL", text, "1", key}, args...)...)
	b.Units[len(b.Units)-1].Script = true
}

// TestRouted_script has scripts answer in a node's words: each runs once, and nobody's slots are thought to have moved.
func TestRouted_script(t *testing.T) {
	c := startCluster(t, 3, 0)
	p := c.pool(t, upstream.Config{Hold: time.Second})
	l := p.Link(2, 0)
	slot := upstream.Slot(nil, []byte("k"))
	home := p.NodeOf(slot)
	other := p.Masters()[0]
	if other == home {
		other = p.Masters()[1]
	}
	for _, text := range []string{
		"TRYAGAIN come back later", "TRYAGAIN Multiple keys request during rehashing of slot",
		"CLUSTERDOWN says my script", "CLUSTERDOWN The cluster is down", "CLUSTERDOWN Hash slot not served",
		fmt.Sprintf("MOVED %d %s", slot, other.Addr()), fmt.Sprintf("ASK %d %s", slot, other.Addr()),
	} {
		var b upstream.Batch
		unit(&b, "k", "DEL", "k")
		script(&b, "k", "redis.call('INCR',KEYS[1]); return redis.error_reply(ARGV[1])", text)
		unit(&b, "k", "GET", "k")
		if err := l.Do(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		if got := texts(&b); got[1] != "-"+text+"\r\n" || got[2] != bulk("1") {
			t.Errorf("%s: got %q", text, got)
		}
		if p.NodeOf(slot) != home {
			t.Errorf("%s: the slot is thought to have moved", text)
		}
	}
}

// TestRouted_scriptFollows has scripts count while their slot moves: none runs twice, and none fails.
func TestRouted_scriptFollows(t *testing.T) {
	c := startCluster(t, 3, 0)
	p := c.pool(t, upstream.Config{})
	slot := upstream.Slot(nil, []byte("m"))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var rounds atomic.Int64
	for i := range 3 {
		wg.Go(func() {
			l, key := p.Link(2, 0), fmt.Sprintf("{m}%d", i)
			for n := 1; ctx.Err() == nil; n++ {
				var b upstream.Batch
				script(&b, key, "return redis.call('INCR',KEYS[1])")
				if err := l.Do(context.Background(), &b); err != nil || texts(&b)[0] != fmt.Sprintf(":%d\r\n", n) {
					t.Errorf("round %d: %v, %q", n, err, texts(&b))
					return
				}
				rounds.Add(1)
			}
		})
	}
	from := slot * 3 / upstream.Slots
	for range 4 {
		to := (from + 1) % 3
		was := rounds.Load()
		c.migrate(t, slot, from, to)
		until(t, "scripts run where the slot is", func() bool { return rounds.Load() > was+10 || t.Failed() })
		from = to
	}
	cancel()
	wg.Wait()
}

// TestRouted_scriptDown has a script wait while the cluster says of itself that it is down, and not while only the script says so.
func TestRouted_scriptDown(t *testing.T) {
	var down atomic.Int64
	f := newFakeCluster(t, 1, func(_ int, c *fakeConn, args [][]byte) {
		if down.Add(-1) >= 0 {
			c.out = append(c.out, "-CLUSTERDOWN The cluster is down\r\n"...)
			return
		}
		c.out = append(c.out, "+OK\r\n"...)
	})
	l := open(t, upstream.Config{URL: f.url()}).Link(2, 0)
	for _, test := range []struct{ state, want string }{{"fail", "+OK"}, {"ok", "-CLUSTERDOWN The cluster is down"}} {
		f.state.Store(&test.state)
		down.Store(2)
		var b upstream.Batch
		slot(&b, 7, "X")
		b.Units[0].Script = true
		if err := l.Do(t.Context(), &b); err != nil || strings.TrimSpace(texts(&b)[0]) != test.want {
			t.Errorf("state %s: got %v, %q", test.state, err, texts(&b))
		}
	}
}
