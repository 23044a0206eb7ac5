package upstream_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sessiongate/upstream"
)

// dedicated takes a connection from p.
func dedicated(t testing.TB, p *upstream.Pool, proto, db int) *upstream.Conn {
	t.Helper()
	c, err := p.Dedicated(t.Context(), proto, db)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ask sends a command and returns its reply.
func ask(t testing.TB, c *upstream.Conn, args ...string) string {
	t.Helper()
	if err := c.Write(t.Context(), cmd(args...)); err != nil {
		t.Fatal(err)
	}
	reply, err := c.ReadReply(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(reply)
}

func TestConn_transaction(t *testing.T) {
	s := startRedis(t)
	p := open(t, upstream.Config{URL: s.url()})
	c := dedicated(t, p, 3, 2)
	defer c.Release()
	for _, step := range []struct{ command, want string }{
		{"WATCH k", "+OK\r\n"}, {"MULTI", "+OK\r\n"}, {"SET k v", "+QUEUED\r\n"}, {"HGETALL h", "+QUEUED\r\n"},
		{"EXEC", "*2\r\n+OK\r\n%0\r\n"},
	} {
		if got := ask(t, c, strings.Fields(step.command)...); got != step.want {
			t.Errorf("%s: got %q, want %q", step.command, got, step.want)
		}
	}
	if got, want := ask(t, c, "CLIENT", "ID"), ":"+strconv.FormatInt(c.ID, 10)+"\r\n"; got != want {
		t.Errorf("CLIENT ID: got %q, want %q", got, want)
	}
	if got := ask(t, c, "CLIENT", "LIST", "ID", strconv.FormatInt(c.ID, 10)); !strings.Contains(got, "name=sessiongate ") || !strings.Contains(got, " db=2 ") {
		t.Errorf("CLIENT LIST: got %q, want name=sessiongate and db=2", got)
	}
	if got := ask(t, c, "CLIENT", "LIST"); !strings.Contains(got, "addr="+c.LocalAddr().String()) {
		t.Errorf("CLIENT LIST doesn't show our address %v: %q", c.LocalAddr(), got)
	}
}

func TestConn_reuse(t *testing.T) {
	s := startRedis(t)
	p := open(t, upstream.Config{URL: s.url()})
	c := dedicated(t, p, 2, 0)
	first := c.ID
	c.Release()
	c.Release() // has no effect
	if c = dedicated(t, p, 2, 0); c.ID != first {
		t.Errorf("got connection %d, want %d again", c.ID, first)
	}
	if other := dedicated(t, p, 2, 0); other.ID == first {
		t.Error("a connection in use was given out")
	}
	if other := dedicated(t, p, 3, 0); other.ID == first {
		t.Error("got a connection of another RESP version")
	}
	if got, want := p.Stats().Dedicated, int64(3); got != want {
		t.Errorf("Dedicated: got %d, want %d", got, want)
	}

	// It dies while it waits.
	c.Release()
	if err := p.Admin().Do(t.Context(), "CLIENT", "KILL", "ID", first).Err(); err != nil {
		t.Fatal(err)
	}
	c = dedicated(t, p, 2, 0)
	if c.ID == first {
		t.Error("got the dead connection")
	}
	if got, want := ask(t, c, "PING"), "+PONG\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}

	// A reply nobody read.
	second := c.ID
	if err := c.Write(t.Context(), append(cmd("PING"), cmd("PING")...)); err != nil { // their replies come together
		t.Fatal(err)
	}
	if _, err := c.ReadReply(nil); err != nil {
		t.Fatal(err)
	}
	c.Release()
	if c = dedicated(t, p, 2, 0); c.ID == second {
		t.Error("got a connection with an unread reply")
	}
	c.Close()
	c.Close()
	if got, want := p.Stats().Dedicated, int64(2); got != want {
		t.Errorf("Dedicated: got %d, want %d", got, want)
	}
}

func TestConn_limits(t *testing.T) {
	s := startRedis(t)
	p := open(t, upstream.Config{URL: s.url(), MaxDedicated: 3, MaxIdle: 1, IdleTimeout: 20 * time.Millisecond})
	a, b, c := dedicated(t, p, 2, 0), dedicated(t, p, 2, 0), dedicated(t, p, 2, 0)
	if _, err := p.Dedicated(t.Context(), 2, 0); !upstream.SafeToRetry(err) || !strings.Contains(err.Error(), "overloaded: 4 connections of one client each, the limit is 3 (upstream.max_dedicated)") {
		t.Errorf("got %v, want too many connections", err)
	}
	a.Release()
	b.Release() // more than MaxIdle
	c.Close()
	until(t, "the idle one is closed", func() bool { return p.Stats().Dedicated == 0 })
}

// TestConn_blocking ends a blocking command by closing: it must take no element.
func TestConn_blocking(t *testing.T) {
	s := startRedis(t)
	p := open(t, upstream.Config{URL: s.url()})
	c := dedicated(t, p, 2, 0)
	if err := c.Write(t.Context(), cmd("BLPOP", "list", "0")); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { _, err := c.ReadReply(nil); ended <- err }()
	until(t, "it blocks", func() bool {
		info, _ := p.Admin().Info(t.Context(), "clients").Result()
		return strings.Contains(info, "blocked_clients:1")
	})
	c.Close()
	if err := <-ended; err == nil {
		t.Error("ReadReply: got no error")
	}
	until(t, "it is gone", func() bool {
		info, _ := p.Admin().Info(t.Context(), "clients").Result()
		return strings.Contains(info, "blocked_clients:0")
	})
	if got, want := do(t, p.Link(2, 0), cmd("RPUSH", "list", "x"), cmd("LLEN", "list"))[1], ":1\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestConn_pushes(t *testing.T) {
	s := startRedis(t)
	p := open(t, upstream.Config{URL: s.url()})
	c := dedicated(t, p, 3, 0)
	defer c.Close()
	if got, want := ask(t, c, "SUBSCRIBE", "ch"), ">3\r\n"+bulk("subscribe")+bulk("ch")+":1\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	do(t, p.Link(2, 0), cmd("PUBLISH", "ch", "hello"))
	reply, err := c.ReadReply([]byte("before "))
	if got, want := string(reply), "before >3\r\n"+bulk("message")+bulk("ch")+bulk("hello"); got != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// TestConn_readDeadline interrupts the reading of a value: nothing of it is lost.
func TestConn_readDeadline(t *testing.T) {
	next := make(chan string)
	end := sync.OnceFunc(func() { close(next) })
	f := newFake(t, func(c *fakeConn, args [][]byte) {
		for s := range next {
			c.say(s)
		}
	})
	t.Cleanup(end)
	p := open(t, upstream.Config{URL: f.url()})
	c := dedicated(t, p, 2, 0)
	if err := c.Write(t.Context(), cmd("X")); err != nil {
		t.Fatal(err)
	}
	first := int64(len("$10\r\n01234"))
	next <- "$10\r\n01234"
	var buf []byte
	until(t, "the first half has come", func() bool {
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		var err error
		if buf, err = c.ReadReply(buf[:0]); !errors.Is(err, os.ErrDeadlineExceeded) || len(buf) > 0 {
			t.Fatalf("got %q, %v; want nothing, deadline exceeded", buf, err)
		}
		return p.Stats().BytesIn == first
	})
	next <- "56789\r\n:1\r\n"
	end()
	_ = c.SetReadDeadline(time.Time{})
	buf, err := c.ReadReply(buf)
	if got, want := string(buf), bulk("0123456789"); got != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if buf, err = c.ReadReply(buf[:0]); string(buf) != ":1\r\n" || err != nil {
		t.Errorf("got %q, %v; want :1", buf, err)
	}
}

func TestConn_over(t *testing.T) {
	s := startRedis(t)
	p := open(t, upstream.Config{URL: s.url()})
	c := dedicated(t, p, 2, 0)
	defer c.Release()
	ask(t, c, "SETRANGE", "big", "1048575", "x")
	for _, req := range [][]byte{cmd("GET", "big"), cmd("PING"), cmd("GET", "big")} {
		if err := c.Write(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	reply, over, err := c.ReadReplyWithin([]byte("before "), 1000)
	if string(reply) != "before " || over != 1<<20 || err != nil {
		t.Errorf("got %d bytes, over %d, %v; want what was there, over 1048576", len(reply), over, err)
	}
	reply, over, err = c.ReadReplyWithin(reply, 1000)
	if string(reply) != "before +PONG\r\n" || over != 0 || err != nil {
		t.Errorf("got %q, over %d, %v; want +PONG", reply, over, err)
	}
	reply, over, err = c.ReadReplyWithin(nil, 1<<20)
	if len(reply) != 1<<20+len("$1048576\r\n\r\n") || over != 0 || err != nil {
		t.Errorf("got %d bytes, over %d, %v; want all of it", len(reply), over, err)
	}
}

// TestConn_stuckWrite has an upstream that doesn't read: it is still at the command before.
func TestConn_stuckWrite(t *testing.T) {
	block := make(chan struct{})
	f := newFake(t, func(c *fakeConn, args [][]byte) { <-block })
	t.Cleanup(func() { close(block) })
	p := open(t, upstream.Config{URL: f.url(), ReadTimeout: 50 * time.Millisecond})
	huge := append(cmd("X"), cmd("SET", "k", strings.Repeat("v", 64<<20))...)
	c := dedicated(t, p, 2, 0)
	err := c.Write(t.Context(), huge)
	if !errors.Is(err, os.ErrDeadlineExceeded) || upstream.SafeToRetry(err) {
		t.Errorf("got %v, want a timeout, not safe to retry", err)
	}
	c.Close()

	p = open(t, upstream.Config{URL: f.url()})
	c = dedicated(t, p, 2, 0)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := c.Write(ctx, huge); err == nil || upstream.SafeToRetry(err) {
		t.Errorf("got %v, want an error, not safe to retry", err)
	}
	c.Close()
	c = dedicated(t, p, 2, 0)
	if err := c.Write(ctx, cmd("X")); !errors.Is(err, context.DeadlineExceeded) || !upstream.SafeToRetry(err) {
		t.Errorf("too late: got %v, want deadline exceeded, safe to retry", err)
	}
}

// TestPool_Dedicated_hold restarts the upstream while somebody wants a connection.
func TestPool_Dedicated_hold(t *testing.T) {
	s := startRedis(t)
	p := open(t, upstream.Config{URL: s.url(), Hold: time.Minute})
	s.kill()
	got := make(chan error)
	go func() {
		c, err := p.Dedicated(t.Context(), 2, 0)
		if err == nil {
			err = c.Write(t.Context(), cmd("PING"))
		}
		got <- err
	}()
	until(t, "the loss is noticed", func() bool { up, _ := p.Health(); return !up })
	s.start(t)
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// TestDedicated_failover has somebody want a connection to a master that is gone for good: he hears of its successor at once.
func TestDedicated_failover(t *testing.T) {
	f := newFakeCluster(t, 3, func(_ int, c *fakeConn, args [][]byte) { c.out = append(c.out, "+OK\r\n"...) })
	f.show(f.nodes[0], f.nodes[1])
	p := open(t, upstream.Config{URL: f.url(), Hold: time.Minute, HealthInterval: 20 * time.Millisecond})
	until(t, "up", func() bool { up, _ := p.Health(); return up })
	node := p.NodeOf(upstream.Slots - 1)
	f.nodes[1].stop()
	until(t, "the loss is noticed", func() bool { up, _ := node.Health(); return !up })
	errs := make(chan error, 2)
	go func() { _, err := node.Dedicated(t.Context(), 2, 0); errs <- err }()
	until(t, "it waits, and the circuit opens", func() bool { return node.Stats().Breaker == upstream.BreakerOpen })
	f.fail(f.nodes[2], f.nodes[0], f.nodes[1])
	select {
	case err := <-errs:
		if !upstream.Elsewhere(err) || !upstream.SafeToRetry(err) {
			t.Errorf("got %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it waits for the one that has failed")
	}
	if _, err := node.Dedicated(t.Context(), 2, 0); !upstream.Elsewhere(err) {
		t.Errorf("afterwards: got %v", err)
	}
	if c := dedicated(t, p.NodeOf(upstream.Slots-1), 2, 0); c.Pool().Addr() != f.nodes[2].addr() {
		t.Errorf("a connection to %s", c.Pool().Addr())
	}
}
