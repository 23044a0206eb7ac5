package upstream_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sessiongate/upstream"
)

// halfOpen has replies come late until the breaker is half-open, and no later ones.
func halfOpen(t *testing.T, p *upstream.Pool, l upstream.Link, gag *atomic.Bool) {
	t.Helper()
	gag.Store(true)
	until(t, "it is half-open", func() bool {
		state := p.Stats().Breaker
		if state == upstream.BreakerClosed {
			b := upstream.Batch{Req: cmd("X"), Count: 1}
			_ = l.Do(t.Context(), &b)
		}
		return state == upstream.BreakerHalfOpen
	})
	gag.Store(false)
}

// TestBreaker_unasked has an upstream that is well again when nobody sends anything: whoever looks at Health before he does would wait for
// ever otherwise.
func TestBreaker_unasked(t *testing.T) {
	var gag atomic.Bool
	f := gagged(t, &gag)
	const patience = 100 * time.Millisecond
	p := open(t, upstream.Config{URL: f.url(), ReadTimeout: patience, Hold: 50 * time.Millisecond, HealthInterval: 10 * time.Millisecond})
	l := p.Link(2, 0)
	do(t, l, cmd("X"))
	halfOpen(t, p, l, &gag)
	until(t, "it counts as up", func() bool { up, _ := p.Health(); return up })
	until(t, "it is closed", func() bool { return p.Stats().Breaker == upstream.BreakerClosed })

	gag.Store(true)
	was := p.Stats().Openings
	b := upstream.Batch{Req: cmd("X"), Count: 1}
	until(t, "a batch is sent", func() bool { err := l.Do(t.Context(), &b); return err != nil && !upstream.SafeToRetry(err) })
	if got := p.Stats().Openings - was; got != 1 {
		t.Errorf("after one late reply more it opened %d times, want once: nothing has shown that commands are answered", got)
	}
}

// TestBreaker_replica reads from a replica again that was late and is well.
func TestBreaker_replica(t *testing.T) {
	var gag atomic.Bool
	var reads [2]atomic.Int64
	f := newFakeCluster(t, 2, func(node int, c *fakeConn, args [][]byte) {
		if string(args[0]) == "GET" {
			reads[node].Add(1)
		}
		if node == 0 || !gag.Load() || string(args[0]) == "READONLY" { // which belongs to the handshake
			c.out = append(c.out, "+OK\r\n"...)
		}
	})
	f.show(f.nodes[0])
	replica := "*10\r\n" + bulk("endpoint") + bulk("") + bulk("port") + ":" + port(f.nodes[1]) + "\r\n" + bulk("tls-port") + ":0\r\n" +
		bulk("role") + bulk("replica") + bulk("health") + bulk("online")
	told := strings.Replace(*f.told.Load(), bulk("nodes")+"*1\r\n", bulk("nodes")+"*2\r\n", 1) + replica
	f.told.Store(&told)
	p := open(t, upstream.Config{URL: f.url(), ReadTimeout: 100 * time.Millisecond, HealthInterval: 10 * time.Millisecond, Hold: 200 * time.Millisecond})
	l := p.Link(2, 0)
	read := func() {
		var b upstream.Batch
		slot(&b, 0, "GET a")
		b.Units[0].Replica = true
		_ = l.Do(t.Context(), &b)
	}
	until(t, "the replica reads", func() bool { read(); return reads[1].Load() > 0 })
	gag.Store(true)
	until(t, "it is half-open", func() bool {
		for _, n := range p.Nodes() {
			if n.Role == "replica" && n.Breaker == upstream.BreakerHalfOpen {
				return true
			}
			if n.Role == "replica" && n.Breaker == upstream.BreakerClosed {
				read()
			}
		}
		return false
	})
	gag.Store(false)
	was := reads[1].Load()
	until(t, "the replica reads again", func() bool { read(); return reads[1].Load() > was })
}

// TestBreaker_idle has an upstream that hangs while nobody sends anything: PINGs that are late are no replies that are.
func TestBreaker_idle(t *testing.T) {
	var gag atomic.Bool
	var pings atomic.Int64
	f := (&fake{
		answer: func(c *fakeConn, _ [][]byte) { c.out = append(c.out, "+OK\r\n"...) },
		greet: func(c *fakeConn, args [][]byte) string {
			if gag.Load() && string(args[0]) == "PING" && len(c.out) == 0 { // not a handshake's
				pings.Add(1)
				return swallowed
			}
			return manners(c, args)
		},
	}).start(t)
	p := open(t, upstream.Config{URL: f.url(), ReadTimeout: 50 * time.Millisecond, HealthInterval: 10 * time.Millisecond})
	for proto := 2; proto <= 3; proto++ {
		for db := range 3 {
			do(t, p.Link(proto, db), cmd("X"))
		}
	}
	c := dedicated(t, p, 2, 0)
	c.Release()
	gag.Store(true)
	until(t, "links are given up", func() bool { return pings.Load() >= 12 && p.Stats().Reconnects >= 6 })
	c = dedicated(t, p, 2, 0)
	c.Close()
	if s := p.Stats(); s.Openings > 0 {
		t.Errorf("it opened %d times, though no client has missed a reply", s.Openings)
	}
}

// TestBreaker_late has one late reply, and an outage later on: that is held like any other.
func TestBreaker_late(t *testing.T) {
	var gag atomic.Bool
	f := gagged(t, &gag)
	const hold = 500 * time.Millisecond
	p := open(t, upstream.Config{URL: f.url(), ReadTimeout: 50 * time.Millisecond, Hold: hold, HealthInterval: 20 * time.Millisecond})
	l := p.Link(2, 0)
	do(t, l, cmd("X"))
	gag.Store(true)
	b := upstream.Batch{Req: cmd("X"), Count: 1}
	_ = l.Do(t.Context(), &b)
	late := time.Now()
	gag.Store(false)
	until(t, "the link is up, and quiet", func() bool { return p.Stats().Connections == 1 && time.Since(late) > hold })
	at := f.addr()
	f.stop()
	until(t, "it is lost", func() bool { return p.Stats().Connections == 0 })
	done := make(chan error, 1)
	holds := p.Stats().Holds
	go func() {
		b := upstream.Batch{Req: cmd("X"), Count: 1}
		done <- l.Do(t.Context(), &b)
	}()
	until(t, "it is held, or refused", func() bool { return p.Stats().Holds > holds || len(done) > 0 })
	(&fake{answer: f.answer, at: at}).start(t)
	if err := <-done; err != nil {
		t.Errorf("not held: %v", err)
	}
}

// TestBreaker_refusedTurn refuses a batch for another reason: somebody else may be the one that is let through.
func TestBreaker_refusedTurn(t *testing.T) {
	var gag atomic.Bool
	f := gagged(t, &gag)
	p := open(t, upstream.Config{URL: f.url(), ReadTimeout: 100 * time.Millisecond, Hold: 50 * time.Millisecond, HealthInterval: 10 * time.Millisecond, MaxCommands: 1})
	l := p.Link(2, 0)
	do(t, l, cmd("X"))
	halfOpen(t, p, l, &gag)
	gag.Store(true)
	wait := make(chan struct{})
	patient := p.LinkAs(&upstream.Role{Patient: true}, 2, 0)
	go func() {
		defer close(wait)
		b := upstream.Batch{Req: cmd("X"), Count: 1}
		_ = patient.Do(t.Context(), &b)
	}()
	until(t, "it is full", func() bool { return p.Stats().Commands == 1 })
	until(t, "the next may try", func() bool { up, _ := p.Health(); return up })
	b := upstream.Batch{Req: cmd("X"), Count: 1}
	if err := l.Do(t.Context(), &b); err == nil || !strings.Contains(err.Error(), "overloaded") {
		t.Errorf("got %v, want overloaded", err)
	}
	if up, why := p.Health(); !up {
		t.Errorf("the turn is taken by a batch that was refused: %v", why)
	}
	p.Close()
	<-wait
}

// TestSentinel_dialsLeft moves while the old master accepts connections and greets nobody: who waits for it goes to the new one at once,
// and what it has failed to answer does not count against that.
func TestSentinel_dialsLeft(t *testing.T) {
	a, b := newNode(t), newNode(t)
	s := newSentinel(t, a.addr(), 1)
	const patience = 3 * time.Second
	p := open(t, upstream.Config{URL: sentinelURL(s), ConnectTimeout: patience, Hold: 100 * time.Millisecond})
	l := p.Link(2, 0)
	at(t, l, a)
	a.hangs.Store(true)
	a.cut()
	const clients = 10
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			c, err := p.Dedicated(t.Context(), 2, 0)
			if err != nil {
				t.Error(err)
				return
			}
			c.Close()
		})
	}
	until(t, "all knock, the link too", func() bool { return a.hung.Load() > clients })
	until(t, "the hold is over", func() bool {
		b := upstream.Batch{Req: cmd("SET", "a", "b"), Count: 1}
		err := l.Do(t.Context(), &b)
		return err != nil && strings.Contains(err.Error(), "for longer than upstream.hold")
	})
	start := time.Now()
	s.say(b.addr(), 2)
	s.publish("+switch-master", "m x 1 y 2")
	until(t, "the link goes to the other master", func() bool {
		x := upstream.Batch{Req: cmd("SET", "a", "b"), Count: 1}
		return l.Do(t.Context(), &x) == nil && string(x.Replies[0].Raw) == bulk(b.addr())
	})
	wg.Wait()
	if d := time.Since(start); d > patience/2 {
		t.Errorf("it took %v: they have waited for the old master", d)
	}
	a.fake.stop()
	at(t, l, b)
	if n := p.Stats().Openings; n > 0 {
		t.Errorf("the breaker opened %d times, and the new master is well", n)
	}
}

// TestSentinel_oldNews hears of the beginning of a failover that is over: nothing waits for its end.
func TestSentinel_oldNews(t *testing.T) {
	a, b := newNode(t), newNode(t)
	s := newSentinel(t, a.addr(), 1)
	const hold = 3 * time.Second
	p := open(t, upstream.Config{URL: sentinelURL(s), Hold: hold})
	l := p.Link(2, 0)
	at(t, l, a)
	s.say(b.addr(), 2)
	at(t, l, b)
	asked := s.asked.Load()
	s.publish("+try-failover", "master m "+words(a.addr()))
	until(t, "it has been heard", func() bool { return s.asked.Load() > asked+1 })
	start := time.Now()
	at(t, l, b)
	if d := time.Since(start); d > hold/2 {
		t.Errorf("SET waited %v for the end of a failover that is over", d)
	}
}
