package integration_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

// standIn is a simple gate of go-redis's own clients: slow, without rules, but with Sentinel and Cluster. It shows what the
// tests of faults say of somebody else's work; and what they say when it does what a gate must not do.
type standIn struct {
	addr     string
	client   redis.UniversalClient
	sabotage sabotage
	wg       sync.WaitGroup
	mu       sync.Mutex
	others   string // the last reply to a GET, for whoever comes next
	n        int    // INCRs so far
}

type sabotage string

const (
	honest  sabotage = ""
	swaps   sabotage = "gives a client another one's reply"
	doubles sabotage = "runs a command twice"
	forgets sabotage = "acknowledges a write that it hasn't made"
	splits  sabotage = "runs a transaction's commands one by one"
)

func startStandIn(t testing.TB, client redis.UniversalClient, s sabotage) *standIn {
	t.Helper()
	l, err := net.Listen("tcp", loopback(freePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	g := &standIn{addr: l.Addr().String(), client: client, sabotage: s}
	g.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			g.wg.Go(func() { g.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		g.wg.Wait() // its clients have left by now
		client.Close()
	})
	return g
}

func (g *standIn) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	var queued [][]any
	inTx := false
	for {
		raw, err := readReply(r)
		if err != nil {
			return
		}
		v, _ := parse(raw)
		args := make([]any, len(v.elems))
		for i, e := range v.elems {
			args[i] = e.text
		}
		reply := ""
		switch name := args[0].(string); {
		case name == "MULTI":
			inTx, queued, reply = true, nil, ok
		case name == "EXEC":
			inTx, reply = false, g.exec(queued)
		case inTx && g.sabotage != splits:
			queued, reply = append(queued, args), "+QUEUED\r\n"
		default:
			reply = g.do(args)
		}
		if _, err := c.Write([]byte(reply)); err != nil {
			return
		}
	}
}

func (g *standIn) exec(queued [][]any) string {
	cmds, err := g.client.TxPipelined(context.Background(), func(p redis.Pipeliner) error {
		for _, args := range queued {
			p.Do(context.Background(), args...)
		}
		return nil
	})
	if err != nil {
		return "-ERR " + err.Error() + "\r\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(cmds))
	for _, c := range cmds {
		b.WriteString(spoken(c.(*redis.Cmd).Result()))
	}
	return b.String()
}

func (g *standIn) do(args []any) string {
	name := args[0].(string)
	g.mu.Lock()
	if name == "INCR" {
		g.n++
	}
	due, last := g.sabotage != honest && g.n%200 == 100, g.others
	g.mu.Unlock()
	if due && g.sabotage == doubles && name == "RPUSH" {
		g.client.Do(context.Background(), args...)
	}
	if due && g.sabotage == forgets && name == "SET" {
		return ok
	}
	reply := spoken(g.client.Do(context.Background(), args...).Result())
	if name == "GET" {
		g.mu.Lock()
		g.others = reply
		g.mu.Unlock()
		if due && g.sabotage == swaps {
			return last
		}
	}
	return reply
}

// spoken is what go-redis made of a reply, in RESP again.
func spoken(v any, err error) string {
	switch {
	case errors.Is(err, redis.Nil):
		return null
	case err != nil:
		return "-ERR " + strings.ReplaceAll(err.Error(), "\r\n", " ") + "\r\n"
	}
	switch v := v.(type) {
	case int64:
		return fmt.Sprintf(":%d\r\n", v)
	case string:
		if v == "OK" {
			return ok
		}
		return bulk(v)
	case []any:
		var b strings.Builder
		fmt.Fprintf(&b, "*%d\r\n", len(v))
		for _, e := range v {
			b.WriteString(spoken(e, nil))
		}
		return b.String()
	}
	return fmt.Sprintf("-ERR a reply of type %T\r\n", v)
}

// The witnesses notice what a gate must not do, and nothing else.
func TestWitnesses(t *testing.T) {
	t.Parallel()
	for _, s := range []sabotage{honest, swaps, doubles, forgets, splits} {
		t.Run(string("a gate "+s), func(t *testing.T) {
			t.Parallel()
			r := startRedis(t)
			g := startStandIn(t, redis.NewClient(&redis.Options{Addr: r.addr}), s)
			w := startWitnesses(t, g.addr, 6, 1)
			eventually(t, "there is something to see", func() bool { return w.done.Load() > 5000 })
			w.stop()
			for _, c := range w.list {
				c.verify(t)
			}
			lost := w.losses()
			if caught := len(w.problems) > 0 || len(lost) > 0; caught != (s != honest) {
				t.Errorf("%d problems, %d missing: %q", len(w.problems), len(lost), w.problems)
			}
		})
	}
}

// A relay that gives a client every reply twice is noticed too.
func TestWitnesses_Relay(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	relay := startRelay(t, r.addr)
	w := startWitnesses(t, relay.addr, 3, 1)
	eventually(t, "all is well", func() bool { return w.done.Load() > 500 })
	w.report(t)
	relay.set(fault{kind: double})
	eventually(t, "a problem is seen", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.problems) > 0
	})
	relay.close()
}
