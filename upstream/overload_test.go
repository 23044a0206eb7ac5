package upstream_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sessiongate/upstream"
)

// gagged is a fake that swallows commands while it is told to.
func gagged(t *testing.T, gag *atomic.Bool) *fake {
	return newFake(t, func(c *fakeConn, args [][]byte) {
		if !gag.Load() {
			c.out = append(c.out, "+OK\r\n"...)
		}
	})
}

// TestLoad_swallowed has an upstream that reads and answers nothing: what waits for replies is bounded, over all links.
func TestLoad_swallowed(t *testing.T) {
	for _, driver := range drivers {
		for _, test := range []struct {
			cfg  upstream.Config
			want string
		}{
			{upstream.Config{MaxInFlight: 1 << 20}, "bytes of requests wait for their replies, the limit is 1MiB (upstream.max_in_flight)"},
			{upstream.Config{MaxCommands: 16}, "overloaded: 17 commands wait for their replies, the limit is 16 (upstream.max_commands)"},
		} {
			var gag atomic.Bool
			gag.Store(true)
			test.cfg.URL, test.cfg.Driver, test.cfg.ReadTimeout = gagged(t, &gag).url(), driver, time.Minute
			p := open(t, test.cfg)
			var wg sync.WaitGroup
			for i := range 16 {
				wg.Go(func() {
					b := upstream.Batch{Req: cmd("SET", "k", strings.Repeat("v", 1<<20)), Count: 1}
					if err := p.Link(2+i%2, 0).Do(t.Context(), &b); err == nil || strings.Contains(err.Error(), "overloaded") {
						t.Errorf("%s: got %v, want it to wait", driver, err)
					}
				})
			}
			until(t, "all are in flight", func() bool { return p.Stats().Commands == 16 })
			b := upstream.Batch{Req: cmd("SET", "k", strings.Repeat("v", 100)), Count: 1}
			if err := p.Link(2, 0).Do(t.Context(), &b); !upstream.SafeToRetry(err) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: got %v, want %s, safe to retry", driver, err, test.want)
			}
			if got := p.Stats().Overloaded; got != 1 {
				t.Errorf("%s: Overloaded: got %d, want 1", driver, got)
			}
			p.Close()
			wg.Wait()
			if s := p.Stats(); s.Waiting != 0 || s.Commands != 0 {
				t.Errorf("%s: afterwards %d bytes and %d commands are in flight, want none", driver, s.Waiting, s.Commands)
			}
		}
	}
}

// TestLoad_even comes back to nothing, whatever became of batches.
func TestLoad_even(t *testing.T) {
	var gag atomic.Bool
	f := gagged(t, &gag)
	p := open(t, upstream.Config{URL: f.url(), ReadTimeout: 20 * time.Millisecond, Hold: 20 * time.Millisecond, Breaker: -1})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for n := range 20 {
				b := upstream.Batch{Req: cmd("SET", "k", strings.Repeat("v", 2000*i)), Count: 1}
				_ = p.Link(2, 0).Do(t.Context(), &b)
				if i == 0 {
					gag.Store(n%4 == 1)
				}
				if i == 1 && n%5 == 0 {
					f.cut()
				}
			}
		})
	}
	wg.Wait()
	until(t, "nothing is in flight", func() bool { s := p.Stats(); return s.Waiting == 0 && s.Commands == 0 })
}

// TestBreaker_timeouts has an upstream that greets and answers nothing else: after three replies that are late nobody waits for
// one any more but who is let through to see.
func TestBreaker_timeouts(t *testing.T) {
	for _, driver := range drivers {
		var gag atomic.Bool
		f := gagged(t, &gag)
		const patience = 100 * time.Millisecond
		p := open(t, upstream.Config{URL: f.url(), Driver: driver, ReadTimeout: patience, Hold: 50 * time.Millisecond, HealthInterval: 10 * time.Millisecond})
		l := p.Link(2, 0)
		do(t, l, cmd("X"))
		gag.Store(true)
		for range 3 {
			until(t, "the link is up", func() bool {
				b := upstream.Batch{Req: cmd("X"), Count: 1}
				err := l.Do(t.Context(), &b)
				return strings.Contains(fmt.Sprint(err), "timeout: no reply within 100ms") && !upstream.SafeToRetry(err)
			})
		}
		until(t, "it is half-open", func() bool { return p.Stats().Breaker == upstream.BreakerHalfOpen })
		var slow, fast int
		start := time.Now()
		for time.Since(start) < 5*patience {
			b := upstream.Batch{Req: cmd("X"), Count: 1}
			at := time.Now()
			err := l.Do(t.Context(), &b)
			switch {
			case strings.Contains(err.Error(), "circuit open: ") && upstream.SafeToRetry(err) && time.Since(at) < patience:
				fast++
			case upstream.SafeToRetry(err): // the link is on its way
			default:
				slow++
			}
		}
		if slow > 5 || fast < 100 {
			t.Errorf("%s: %d waited for a reply, %d were told at once; want 5 at most, and many", driver, slow, fast)
		}
		until(t, "Health says so, unless it is the next batch's turn", func() bool {
			up, why := p.Health()
			if up {
				b := upstream.Batch{Req: cmd("X"), Count: 1}
				_ = l.Do(t.Context(), &b)
			}
			return !up && strings.Contains(why.Error(), "circuit open")
		})
		gag.Store(false)
		until(t, "it is closed", func() bool {
			b := upstream.Batch{Req: cmd("X"), Count: 1}
			return l.Do(t.Context(), &b) == nil && p.Stats().Breaker == upstream.BreakerClosed
		})
		if got := p.Stats().Openings; got < 1 {
			t.Errorf("%s: Openings: got %d, want some", driver, got)
		}
	}
}

// TestBreaker_pings does not take answers to its own PINGs for replies.
func TestBreaker_pings(t *testing.T) {
	var gag atomic.Bool
	p := open(t, upstream.Config{URL: gagged(t, &gag).url(), ReadTimeout: 30 * time.Millisecond, HealthInterval: 5 * time.Millisecond, Hold: 50 * time.Millisecond})
	idle, busy := p.Link(3, 0), p.Link(2, 0)
	do(t, idle, cmd("X"))
	gag.Store(true)
	until(t, "it opens", func() bool {
		b := upstream.Batch{Req: cmd("X"), Count: 1}
		_ = busy.Do(t.Context(), &b)
		return p.Stats().Openings > 0
	})
}

// counted is a listener of a fake server's that counts connections.
type counted struct {
	net.Listener
	n *atomic.Int64
}

func (c counted) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.n.Add(1)
	}
	return conn, err
}

// TestBreaker_connects has an upstream that hangs up on everybody: with many links only one probe knocks, and when it is back all are
// served at once.
func TestBreaker_connects(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	var knocks atomic.Int64
	served := make(chan struct{})
	go func() {
		defer close(served)
		for c := (counted{ln, &knocks}); ; {
			conn, err := c.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	const links = 40
	p := open(t, upstream.Config{URL: "redis://" + addr, Links: links, Hold: time.Minute, HealthInterval: time.Hour})
	var wg sync.WaitGroup
	for range links {
		wg.Go(func() {
			b := upstream.Batch{Req: cmd("X"), Count: 1}
			if err := p.Link(2, 0).Do(t.Context(), &b); err != nil {
				t.Error(err)
			}
		})
	}
	until(t, "it opens", func() bool { return p.Stats().Breaker == upstream.BreakerOpen })
	first := knocks.Load()
	until(t, "it is probed", func() bool { return knocks.Load() > first+5 })
	if got := knocks.Load(); got > links+20 {
		t.Errorf("%d connects by %d links; want no more than one each and the probe's", got, links)
	}
	ln.Close()
	<-served
	back := &fake{answer: func(c *fakeConn, args [][]byte) { c.out = append(c.out, "+OK\r\n"...) }, at: addr}
	back.start(t)
	wg.Wait()
	until(t, "it is closed", func() bool { return p.Stats().Breaker == upstream.BreakerClosed })
}

// TestBreaker_holdOfTheOutage has the hold run from the beginning of the outage, not anew for everyone who comes.
func TestBreaker_holdOfTheOutage(t *testing.T) {
	for _, driver := range drivers {
		p := open(t, upstream.Config{URL: "redis://127.0.0.1:1", Driver: driver, Hold: 300 * time.Millisecond})
		b := upstream.Batch{Req: cmd("X"), Count: 1}
		if err := p.Link(2, 0).Do(t.Context(), &b); !strings.HasSuffix(err.Error(), "connection refused, for longer than upstream.hold (300ms)") {
			t.Errorf("%s: got %v", driver, err)
		}
		start := time.Now()
		for i := range 20 { // links of their own, and dedicated connections
			if err := p.Link(3, i).Do(t.Context(), &b); !upstream.SafeToRetry(err) {
				t.Errorf("%s: got %v, want an error that is safe to retry", driver, err)
			}
			if _, err := p.Dedicated(t.Context(), 2, 0); !upstream.SafeToRetry(err) {
				t.Errorf("%s: Dedicated: got %v, want an error that is safe to retry", driver, err)
			}
		}
		if took := time.Since(start); took > 300*time.Millisecond {
			t.Errorf("%s: 40 that came after the hold took %v", driver, took)
		}
	}
}

// TestTurns lets few connect at once, and links past dedicated connections.
func TestTurns(t *testing.T) {
	var now, most, greeted atomic.Int64
	var slow atomic.Bool
	f := (&fake{
		answer: func(c *fakeConn, args [][]byte) { c.out = append(c.out, "+OK\r\n"...) },
		greet: func(c *fakeConn, args [][]byte) string {
			if slow.Load() && string(args[0]) == "HELLO" {
				n := now.Add(1)
				for was := most.Load(); n > was && !most.CompareAndSwap(was, n); was = most.Load() {
				}
				time.Sleep(2 * time.Millisecond) // the handshake takes its time
				now.Add(-1)
				greeted.Add(1)
			}
			return manners(c, args)
		},
	}).start(t)
	p := open(t, upstream.Config{URL: f.url(), MaxConnects: 4, HealthInterval: time.Hour})
	until(t, "it is up", func() bool { up, _ := p.Health(); return up })
	slow.Store(true)
	conns := make(chan *upstream.Conn, 200)
	var wg sync.WaitGroup
	for range cap(conns) {
		wg.Go(func() {
			c, err := p.Dedicated(t.Context(), 2, 0)
			if err != nil {
				t.Error(err)
				return
			}
			conns <- c
		})
	}
	until(t, "they connect", func() bool { return greeted.Load() > 0 })
	do(t, p.Link(2, 0), cmd("X"))
	if got := greeted.Load(); got > 100 {
		t.Errorf("the link had to wait for %d dedicated connections", got)
	}
	wg.Wait()
	close(conns)
	for c := range conns {
		c.Close()
	}
	if got := most.Load(); got > 5 {
		t.Errorf("%d connections were made at once, want 4 and the link's", got)
	}
}

// TestTurns_stuck has an upstream that never greets: who has no turn within the connect timeout is told so.
func TestTurns_stuck(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	p := open(t, upstream.Config{URL: "redis://" + ln.Addr().String(), MaxConnects: 1, ConnectTimeout: 50 * time.Millisecond, Hold: -1, Breaker: -1})
	var mu sync.Mutex
	var all []string
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			_, err := p.Dedicated(t.Context(), 2, 0)
			mu.Lock()
			all = append(all, fmt.Sprint(err))
			mu.Unlock()
		})
	}
	wg.Wait()
	want := "overloaded: no turn to connect within 50ms, the limit is 1 at a time (upstream.max_connects)"
	if !slices.ContainsFunc(all, func(s string) bool { return strings.HasSuffix(s, want) }) {
		t.Errorf("got %q, want some to end with %q", all, want)
	}
}

// TestConn_deadIdle has a pooled connection whose peer is gone without a word: the next client gets another.
func TestConn_deadIdle(t *testing.T) {
	var deaf sync.Map
	f := (&fake{
		answer: func(c *fakeConn, args [][]byte) { c.out = append(c.out, "+OK\r\n"...) },
		greet: func(c *fakeConn, args [][]byte) string {
			if _, dead := deaf.Load(c); dead {
				return swallowed
			}
			return manners(c, args)
		},
	}).start(t)
	p := open(t, upstream.Config{URL: f.url(), ReadTimeout: 50 * time.Millisecond, HealthInterval: time.Millisecond})
	var idle []*upstream.Conn
	for range 5 {
		idle = append(idle, dedicated(t, p, 2, 0))
	}
	for _, c := range idle {
		c.Release()
	}
	f.mu.Lock()
	for c := range f.conns {
		deaf.Store(c, true)
	}
	f.mu.Unlock()
	time.Sleep(2 * time.Millisecond) // idle for longer than the health interval
	c := dedicated(t, p, 2, 0)
	defer c.Close()
	if got := ask(t, c, "X"); got != "+OK\r\n" {
		t.Errorf("got %q, want +OK", got)
	}
	if got := p.Stats().Dedicated; got != 1 {
		t.Errorf("Dedicated: got %d, want 1: the others lead nowhere too", got)
	}
}
