package integration_test

import (
	"fmt"
	"strings"
	"testing"
)

// Two clients of a gate without rules meet each other as two clients of the server would.

func TestTransparent_PubSub(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream())
	for resp := 2; resp <= 3; resp++ {
		direct, proxied := dialRESP(t, r.addr, resp), dialRESP(t, g.addr, resp)
		both := []*conn{direct, proxied}
		for _, c := range both {
			c.send(encode("SUBSCRIBE", "news", "weather") + encode("PSUBSCRIBE", "n*"))
		}
		for range 3 {
			if want, got := direct.read(), proxied.read(); got != want {
				t.Errorf("RESP%d: subscribed with %q, want %q", resp, got, want)
			}
		}
		dial(t, g.addr).want(":4\r\n", "PUBLISH", "news", "through the gate")
		dial(t, r.addr).want(":4\r\n", "PUBLISH", "news", "past the gate\x00\r\n")
		for range 4 {
			if want, got := direct.read(), proxied.read(); got != want {
				t.Errorf("RESP%d: got message %q, want %q", resp, got, want)
			}
		}
		for _, line := range []string{"PING", "PING hello"} {
			same(t, direct, proxied, split(line)...)
		}
		for _, c := range both {
			c.send(encode("UNSUBSCRIBE") + encode("PUNSUBSCRIBE"))
		}
		for range 3 {
			// The order in which several channels are left is the hash function's.
			want, got := direct.read(), proxied.read()
			if len(got) != len(want) && len(got)+len(want) != len(want)*2+3 && len(got)+len(want) != len(want)*2-3 {
				t.Errorf("RESP%d: unsubscribed with %q, want %q", resp, got, want)
			}
		}
		same(t, direct, proxied, "GET", "none")
		eventually(t, "nobody is subscribed any more", func() bool {
			return dial(t, r.addr).line("PUBSUB NUMSUB news") == "*2\r\n"+bulk("news")+":0\r\n"
		})
		direct.Close()
		proxied.Close()
	}
}

// A subscriber that goes away takes its subscription with it.
func TestTransparent_SubscriberLeaves(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream())
	c, behind := dial(t, g.addr), dial(t, r.addr)
	c.wantPrefix("*3\r\n$9\r\nsubscribe", "SUBSCRIBE ch")
	behind.wantLine("*2\r\n"+bulk("ch")+one, "PUBSUB NUMSUB ch")
	c.Close()
	eventually(t, "the subscription is gone upstream", func() bool {
		return behind.line("PUBSUB NUMSUB ch") == "*2\r\n"+bulk("ch")+zero
	})
}

func TestTransparent_Blocking(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream())
	behind := dial(t, r.addr)
	waiting := func() bool { return strings.Contains(behind.line("INFO clients"), "blocked_clients:1\r\n") }

	c, other := dial(t, g.addr), dial(t, g.addr)
	c.send(encode("BLPOP", "queue", "0"))
	eventually(t, "the client waits", waiting)
	other.want(one, "RPUSH", "queue", "job") // not held up by the one who waits
	if got, want := c.read(), "*2\r\n"+bulk("queue")+bulk("job"); got != want {
		t.Errorf("BLPOP = %q, want %q", got, want)
	}
	c.want(pong, "PING")

	// What comes in the same write is answered after the wait.
	c.send(encode("SET", "before", "v") + encode("BLPOP", "queue", "0") + encode("GET", "before"))
	if got := c.read(); got != ok {
		t.Errorf("SET before BLPOP = %q", got)
	}
	eventually(t, "the client waits again", waiting)
	other.want(one, "RPUSH", "queue", "job2")
	if got, want := c.read()+c.read(), "*2\r\n"+bulk("queue")+bulk("job2")+bulk("v"); got != want {
		t.Errorf("BLPOP and GET = %q, want %q", got, want)
	}

	// One that goes away while it waits takes no element.
	c.send(encode("BLPOP", "queue", "0"))
	eventually(t, "the client waits once more", waiting)
	c.Close()
	eventually(t, "nobody waits", func() bool { return strings.Contains(behind.line("INFO clients"), "blocked_clients:0\r\n") })
	other.want(one, "RPUSH", "queue", "job3")
	other.want(one, "LLEN", "queue")
}

func TestTransparent_Watch(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream())
	a, b := dial(t, g.addr), dial(t, g.addr)
	a.want(ok, "WATCH", "k")
	b.want(ok, "SET", "k", "b's")
	a.want(ok, "MULTI")
	a.want("+QUEUED\r\n", "SET", "k", "a's")
	b.want(bulk("b's"), "GET", "k")
	a.want("*-1\r\n", "EXEC")
	a.want(bulk("b's"), "GET", "k")
	// Half a transaction of a client that goes away never happens.
	a.want(ok, "MULTI")
	a.want("+QUEUED\r\n", "SET", "k", "half")
	a.Close()
	b.want(ok, "MULTI")
	b.want("+QUEUED\r\n", "GET", "k")
	b.want("*1\r\n"+bulk("b's"), "EXEC")
}

// Connections that were used for a transaction, a database or a subscription are clean when somebody else gets them.
func TestTransparent_NothingLeftBehind(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream())
	for i := range 20 {
		c := dial(t, g.addr)
		c.want(ok, "SELECT", "5")
		c.want(ok, "WATCH", "w")
		c.want(ok, "MULTI")
		c.want("+QUEUED\r\n", "SET", "w", fmt.Sprint(i))
		c.Close()
		d := dial(t, g.addr)
		d.want(null, "GET", "w")
		d.want(ok, "MULTI")
		d.want("+QUEUED\r\n", "GET", "w")
		d.want("*1\r\n"+null, "EXEC")
		d.send(encode("BLPOP", "none", "0.01"))
		if got := d.read(); got != "*-1\r\n" {
			t.Errorf("BLPOP = %q", got)
		}
		d.Close()
	}
}

func TestTransparent_Monitor(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream())
	m, c := dial(t, g.addr), dial(t, g.addr)
	m.want(ok, "MONITOR")
	c.want(ok, "SET", "seen", "v")
	for {
		line := m.read()
		if strings.Contains(line, `"SET" "seen" "v"`) {
			break
		}
	}
}

// A client that caches hears of every change, by whomever.
func TestTransparent_Tracking(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream())
	c, other := dial3(t, g.addr), dial(t, r.addr)
	c.want(ok, "CLIENT", "TRACKING", "ON")
	c.want("_\r\n", "GET", "cached")
	other.want(ok, "SET", "cached", "new")
	if got, want := c.read(), ">2\r\n"+bulk("invalidate")+"*1\r\n"+bulk("cached"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	c.want(bulk("new"), "GET", "cached")
	other.want(one, "DEL", "cached")
	if got, want := c.read(), ">2\r\n"+bulk("invalidate")+"*1\r\n"+bulk("cached"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// One client's commands run in the order in which it sent them, whatever kinds of connections they need upstream.
func TestTransparent_Order(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream())
	c := dial(t, g.addr)
	var raw, want strings.Builder
	for i := range 300 {
		n := fmt.Sprint(i)
		raw.WriteString(encode("SET", "k", n) + encode("MULTI") + encode("GET", "k") + encode("EXEC") + encode("RPUSH", "l", n) + encode("BLPOP", "l", "1") + encode("GET", "k"))
		want.WriteString(ok + ok + "+QUEUED\r\n" + "*1\r\n" + bulk(n) + one + "*2\r\n" + bulk("l") + bulk(n) + bulk(n))
	}
	go c.Write([]byte(raw.String()))
	var got strings.Builder
	for got.Len() < want.Len() {
		got.WriteString(c.read())
	}
	if got.String() != want.String() {
		t.Errorf("got %s\nwant %s", shorten(got.String()), shorten(want.String()))
	}
}
