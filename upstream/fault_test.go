package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sessiongate/upstream"
)

// TestLink_nothingDoubled cuts connections under load: the counter may not be above what was acknowledged plus what
// the link said it doesn't know of.
func TestLink_nothingDoubled(t *testing.T) {
	s := startRedis(t)
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			p := open(t, upstream.Config{URL: s.url(), Driver: driver})
			do(t, p.Link(2, 0), cmd("DEL", "counter"))
			var acked, unknown, unsent atomic.Int64
			var done atomic.Bool
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					l := p.Link(2, 0)
					b := upstream.Batch{Req: cmd("INCR", "counter"), Count: 1}
					for !done.Load() {
						switch err := l.Do(t.Context(), &b); {
						case err == nil:
							acked.Add(1)
						case upstream.SafeToRetry(err):
							unsent.Add(1)
						default:
							unknown.Add(1)
						}
					}
				})
			}
			killer := open(t, upstream.Config{URL: s.url()}).Admin()
			for range 30 {
				was := acked.Load()
				until(t, "commands run", func() bool { return acked.Load() > was+10 })
				if err := killer.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
					t.Fatal(err)
				}
			}
			done.Store(true)
			wg.Wait()
			got, err := killer.Get(t.Context(), "counter").Int64()
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("counter %d, acknowledged %d, unknown %d, unsent %d", got, acked.Load(), unknown.Load(), unsent.Load())
			if got < acked.Load() || got > acked.Load()+unknown.Load() {
				t.Errorf("counter is %d, want %d to %d", got, acked.Load(), acked.Load()+unknown.Load())
			}
			if unsent.Load() > 0 {
				t.Errorf("%d commands failed though they could have waited", unsent.Load())
			}
		})
	}
}

// TestLink_hold restarts the upstream within the hold: what is not yet sent waits.
func TestLink_hold(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			s := startRedis(t)
			p := open(t, upstream.Config{URL: s.url(), Driver: driver, Hold: time.Minute})
			l := p.Link(2, 0)
			do(t, l, cmd("PING"))
			s.kill()
			until(t, "the loss is noticed", func() bool { up, _ := p.Health(); return !up && p.Stats().Connections == 0 })
			var wg sync.WaitGroup
			var waiting atomic.Int64
			for range 20 {
				wg.Go(func() {
					b := upstream.Batch{Req: cmd("ECHO", "late"), Count: 1}
					waiting.Add(1)
					if err := l.Do(t.Context(), &b); err != nil {
						t.Error(err)
					} else if got, want := string(b.Replies[0].Raw), bulk("late"); got != want {
						t.Errorf("got %q, want %q", got, want)
					}
				})
			}
			until(t, "all wait", func() bool { return waiting.Load() == 20 })
			s.start(t)
			wg.Wait()
		})
	}
}

// TestLink_unavailable has nobody listening.
func TestLink_unavailable(t *testing.T) {
	for _, driver := range drivers {
		for _, hold := range []time.Duration{-1, 50 * time.Millisecond} {
			p := open(t, upstream.Config{URL: "redis://127.0.0.1:1", Driver: driver, Hold: hold})
			for range 3 { // later ones don't wait again
				b := upstream.Batch{Req: cmd("PING"), Count: 1}
				err := p.Link(2, 0).Do(t.Context(), &b)
				if !upstream.SafeToRetry(err) || !strings.Contains(err.Error(), "connection refused") {
					t.Errorf("%s, hold %v: got %v, want a refused connection, safe to retry", driver, hold, err)
				}
			}
			if _, err := p.Dedicated(t.Context(), 2, 0); !upstream.SafeToRetry(err) || !strings.Contains(err.Error(), "connection refused") {
				t.Errorf("Dedicated, hold %v: got %v, want a refused connection, safe to retry", hold, err)
			}
		}
	}
}

// TestLink_timeout stalls: after the read timeout the link is given up, and the next connection serves again.
func TestLink_timeout(t *testing.T) {
	var stall atomic.Bool
	f := newFake(t, func(c *fakeConn, args [][]byte) {
		if !stall.Load() {
			c.out = append(c.out, "+OK\r\n"...)
		}
	})
	for _, driver := range drivers {
		p := open(t, upstream.Config{URL: f.url(), Driver: driver, ReadTimeout: 50 * time.Millisecond})
		l := p.Link(2, 0)
		do(t, l, cmd("X"))
		stall.Store(true)
		b := upstream.Batch{Req: cmd("X"), Count: 1}
		start := time.Now()
		err := l.Do(t.Context(), &b)
		if err == nil || upstream.SafeToRetry(err) || !strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: got %v, want a timeout, not safe to retry", driver, err)
		}
		if took := time.Since(start); took < 40*time.Millisecond || took > 5*time.Second {
			t.Errorf("%s: timeout of 50ms took %v", driver, took)
		}
		stall.Store(false)
		do(t, l, cmd("X"))
	}
}

// TestLink_slowButMoving has a reply that takes longer than the read timeout altogether, but never stops.
func TestLink_slowButMoving(t *testing.T) {
	f := newFake(t, func(c *fakeConn, args [][]byte) {
		c.say("$30\r\n")
		for range 30 {
			time.Sleep(10 * time.Millisecond) // the slowness of the upstream is what the test is about
			c.say("x")
		}
		c.say("\r\n")
	})
	l := open(t, upstream.Config{URL: f.url(), ReadTimeout: 150 * time.Millisecond}).Link(2, 0)
	if got, want := do(t, l, cmd("X"))[0], bulk(strings.Repeat("x", 30)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestLink_deadPeer loses an idle upstream without a word: the PING notices.
func TestLink_deadPeer(t *testing.T) {
	var deaf atomic.Bool
	f := (&fake{
		answer: func(c *fakeConn, args [][]byte) { c.out = append(c.out, "+OK\r\n"...) },
		greet: func(c *fakeConn, args [][]byte) string {
			reply := manners(c, args)
			if string(args[0]) == "PING" && deaf.Swap(false) {
				return "+"
			}
			return reply
		},
	}).start(t)
	p := open(t, upstream.Config{URL: f.url(), ReadTimeout: 40 * time.Millisecond, HealthInterval: 20 * time.Millisecond})
	do(t, p.Link(2, 0), cmd("X"))
	deaf.Store(true)
	until(t, "the link has been replaced", func() bool { return p.Stats().Reconnects == 1 })
	do(t, p.Link(2, 0), cmd("X"))
}

// TestLink_cancel gives up waiting in both states a batch can be in.
func TestLink_cancel(t *testing.T) {
	release := make(chan struct{})
	f := newFake(t, func(c *fakeConn, args [][]byte) {
		if string(args[0]) == "SLOW" {
			<-release
		}
		c.out = append(c.out, "+"+string(args[0])+"\r\n"...)
	})
	l := open(t, upstream.Config{URL: f.url()}).Link(2, 0)
	do(t, l, cmd("X"))

	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	b := upstream.Batch{Req: cmd("SLOW"), Count: 1, Limits: []int64{10}}
	err := l.Do(ctx, &b)
	if !errors.Is(err, context.Canceled) || upstream.SafeToRetry(err) {
		t.Errorf("sent: got %v, want canceled, not safe to retry", err)
	}
	copy(b.Req, "overwritten by its owner")
	copy(b.Limits, []int64{1})
	close(release)
	b.Req = cmd("NEXT")
	b.Limits = nil
	if err := l.Do(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if got, want := string(b.Replies[0].Raw), "+NEXT\r\n"; got != want {
		t.Errorf("after a batch was given up: got %q, want %q", got, want)
	}

	down := open(t, upstream.Config{URL: "redis://127.0.0.1:1", Hold: time.Minute}).Link(2, 0)
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := down.Do(ctx, &b); !errors.Is(err, context.DeadlineExceeded) || !upstream.SafeToRetry(err) {
		t.Errorf("queued: got %v, want deadline exceeded, safe to retry", err)
	}
	if err := l.Do(ctx, &b); !errors.Is(err, context.DeadlineExceeded) || !upstream.SafeToRetry(err) {
		t.Errorf("too late: got %v, want deadline exceeded, safe to retry", err)
	}
}

// TestLink_cancelBig gives up a batch whose bytes are being written: the owner gets its buffer back only when the
// link is done with it, or the link has timed out.
func TestLink_cancelBig(t *testing.T) {
	block := make(chan struct{})
	f := newFake(t, func(c *fakeConn, args [][]byte) { <-block })
	t.Cleanup(func() { close(block) }) // runs before the fake waits for its goroutines
	l := open(t, upstream.Config{URL: f.url(), ReadTimeout: 100 * time.Millisecond}).Link(2, 0)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			b := upstream.Batch{Req: bytes.Repeat(cmd("SET", "k", strings.Repeat("v", 1<<20)), 32), Count: 32}
			if err := l.Do(ctx, &b); err == nil {
				t.Error("got replies, want an error")
			}
			clear(b.Req) // a race if the link still reads it
		})
	}
	wg.Wait()
}

// TestLink_refusedBig answers a big request before it has been read.
func TestLink_refusedBig(t *testing.T) {
	f := newFake(t, func(c *fakeConn, args [][]byte) {
		if string(args[0]) == "FIRST" {
			c.out = append(c.out, strings.Repeat("-ERR no\r\n", 9)...)
		}
	})
	l := open(t, upstream.Config{URL: f.url()}).Link(2, 0)
	do(t, l, cmd("FIRST"), cmd("A"), cmd("A"), cmd("A"), cmd("A"), cmd("A"), cmd("A"), cmd("A"), cmd("A"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			b := upstream.Batch{Req: append(cmd("FIRST"), bytes.Repeat(cmd("A", strings.Repeat("v", 1<<20)), 8)...), Count: 9}
			if err := l.Do(t.Context(), &b); err != nil {
				t.Error(err)
			}
			clear(b.Req)
		})
	}
	wg.Wait()
}

func TestLink_brokenFraming(t *testing.T) {
	for name, garbage := range map[string]string{
		"garbage":           "hello\r\n",
		"string's end":      "$3\r\nabcd\r\n",
		"length":            "$99999999999999999999\r\n",
		"unasked reply":     "+OK\r\n+and another\r\n",
		"end in the middle": "*2\r\n:1\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			var broken atomic.Bool
			f := newFake(t, func(c *fakeConn, args [][]byte) {
				if broken.CompareAndSwap(false, true) {
					c.say(garbage)
					if name == "end in the middle" {
						c.Close()
					}
				} else {
					c.out = append(c.out, ":7\r\n"...)
				}
			})
			p := open(t, upstream.Config{URL: f.url()})
			l := p.Link(2, 0)
			b := upstream.Batch{Req: cmd("X"), Count: 1}
			err := l.Do(t.Context(), &b)
			if name != "unasked reply" && (err == nil || upstream.SafeToRetry(err)) {
				t.Errorf("got %v, want an error, not safe to retry", err)
			}
			until(t, "the link is replaced", func() bool { return p.Stats().Reconnects == 1 })
			if got, want := do(t, l, cmd("X"))[0], ":7\r\n"; got != want {
				t.Errorf("afterwards: got %q, want %q", got, want)
			}
		})
	}
}

// TestLink_overloaded has an upstream that doesn't read.
func TestLink_overloaded(t *testing.T) {
	block := make(chan struct{})
	f := newFake(t, func(c *fakeConn, args [][]byte) { <-block })
	t.Cleanup(func() { close(block) })
	p := open(t, upstream.Config{URL: f.url(), MaxInFlight: 1 << 20})
	l := p.Link(2, 0)
	ctx, cancel := context.WithCancel(t.Context())
	var refused atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			b := upstream.Batch{Req: cmd("SET", "k", strings.Repeat("v", 60<<10)), Count: 1}
			err := l.Do(ctx, &b)
			for ; err == nil; err = l.Do(ctx, &b) {
			}
			if strings.Contains(err.Error(), "overloaded") && upstream.SafeToRetry(err) {
				refused.Add(1)
			}
		})
	}
	// Sockets take some megabytes before writes block; 64 clients with 60 KiB each aren't enough to fill them and the cap.
	for range 4 {
		wg.Go(func() {
			b := upstream.Batch{Req: bytes.Repeat(cmd("SET", "k", strings.Repeat("v", 1<<20)), 32), Count: 32}
			_ = l.Do(ctx, &b)
		})
	}
	until(t, "some are refused", func() bool {
		b := upstream.Batch{Req: cmd("SET", "k", strings.Repeat("v", 60<<10)), Count: 1}
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		err := l.Do(short, &b)
		return refused.Load() > 0 || err != nil && strings.Contains(err.Error(), "overloaded")
	})
	cancel()
	p.Close()
	wg.Wait()
}

// TestPool_Close wakes everyone, and leaves no goroutine.
func TestPool_Close(t *testing.T) {
	for _, driver := range drivers {
		block := make(chan struct{})
		f := newFake(t, func(c *fakeConn, args [][]byte) { <-block })
		before := runtime.NumGoroutine()
		served, err := upstream.Open(upstream.Config{URL: f.url(), Driver: driver}, nil)
		if err != nil {
			t.Fatal(err)
		}
		lost, err := upstream.Open(upstream.Config{URL: "redis://127.0.0.1:1", Driver: driver, Hold: time.Minute}, nil)
		if err != nil {
			t.Fatal(err)
		}
		idle, err := served.Dedicated(t.Context(), 2, 0)
		if err != nil {
			t.Fatal(err)
		}
		busy, err := served.Dedicated(t.Context(), 2, 0)
		if err != nil {
			t.Fatal(err)
		}
		idle.Release()
		var wg sync.WaitGroup
		var waiting atomic.Int64
		wait := func(what func() error) {
			wg.Go(func() {
				waiting.Add(1)
				if err := what(); err == nil {
					t.Errorf("%s: got no error", driver)
				}
			})
		}
		for range 5 {
			b, c := upstream.Batch{Req: cmd("X"), Count: 1}, upstream.Batch{Req: cmd("X"), Count: 1}
			wait(func() error { return served.Link(2, 0).Do(context.Background(), &b) })
			wait(func() error { return lost.Link(3, 1).Do(t.Context(), &c) })
		}
		wait(func() error { _, err := busy.ReadReply(nil); return err })
		wait(func() error { _, err := lost.Dedicated(context.Background(), 2, 0); return err })
		until(t, "all wait", func() bool { return waiting.Load() == 12 })
		served.Close()
		lost.Close()
		wg.Wait()
		b := upstream.Batch{Req: cmd("X"), Count: 1}
		if err := served.Link(2, 0).Do(t.Context(), &b); !upstream.SafeToRetry(err) {
			t.Errorf("%s: Do after Close: got %v, want an error that is safe to retry", driver, err)
		}
		if _, err := served.Dedicated(t.Context(), 2, 0); !upstream.SafeToRetry(err) {
			t.Errorf("%s: Dedicated after Close: got %v, want an error that is safe to retry", driver, err)
		}
		close(block)
		f.cut()
		until(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
	}
}

// TestLink_rest closes links that nobody uses, and opens them again.
func TestLink_rest(t *testing.T) {
	f := newFake(t, func(c *fakeConn, args [][]byte) { c.out = append(c.out, "+OK\r\n"...) })
	p := open(t, upstream.Config{URL: f.url(), IdleTimeout: 20 * time.Millisecond, HealthInterval: 5 * time.Millisecond})
	l := p.Link(2, 0)
	for range 3 {
		do(t, l, cmd("X"))
		until(t, "the link rests", func() bool { return p.Stats().Connections == 0 })
	}
	for db := range 200 { // far more sets than are kept
		do(t, p.Link(2, db), []byte("*2\r\n$1\r\nX\r\n"+bulk(strconv.Itoa(db))))
	}
	until(t, "all links rest", func() bool { return p.Stats().Connections == 0 })
	do(t, l, cmd("X"))
}
