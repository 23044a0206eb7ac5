package integration_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// rulesYAML has every write followed by its expiry, in a MULTI of the proxy's.
const rulesYAML = "rules: [{expiry: {default: 30m, max: 12h}}]\n"

// until returns everything up to and including the marker.
func (c *conn) until(marker string) string {
	c.t.Helper()
	var got strings.Builder
	for !strings.HasSuffix(got.String(), marker) {
		b, err := c.r.ReadByte()
		if err != nil {
			c.t.Fatalf("before %q: %v (so far %s)", marker, err, got.String())
		}
		got.WriteByte(b)
	}
	return got.String()
}

// burst sends the lines and an ECHO in one write, and returns all that is said up to the reply to that.
func (c *conn) burst(lines ...string) string {
	c.t.Helper()
	var raw strings.Builder
	for _, l := range append(lines, "ECHO end") {
		raw.WriteString(encode(split(l)...))
	}
	c.send(raw.String())
	c.SetReadDeadline(time.Now().Add(patience))
	return strings.TrimSuffix(c.until(bulk("end")), bulk("end"))
}

// Redis writes what a command has it tell its own client into the middle of EXEC's array, where it counts for nothing.
func TestStateful_PushesInside(t *testing.T) {
	t.Parallel()
	message := func(channel, text string) string {
		return ">3\r\n$7\r\nmessage\r\n" + bulk(channel) + bulk(text)
	}
	event := message("__keyevent@0__:hset", "h")
	for name, yaml := range map[string]string{"rules": rulesYAML, "both": rulesYAML + "namespace: \"app:\"\n"} {
		r := startRedis(t, "--notify-keyspace-events", "KEA")
		g := startGate(t, r.upstream()+yaml)
		c := dial3(t, g.addr)
		c.line("SUBSCRIBE __keyevent@0__:hset")
		if got, want := c.burst("HSET h f v", "GET none", "HGET h f", "DEL zz"), event+":1\r\n_\r\n"+bulk("v")+":0\r\n"; got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		if got, want := c.burst("MULTI", "HSET h f w", "GET none", "EXEC", "HGET h f"),
			ok+strings.Repeat("+QUEUED\r\n", 2)+event+"*2\r\n:0\r\n_\r\n"+bulk("w"); got != want {
			t.Errorf("%s: MULTI: got %q, want %q", name, got, want)
		}
		c.line("PSUBSCRIBE __key*__:*")
		if got := c.burst("SADD s m"); !strings.HasSuffix(got, ":1\r\n") || strings.Count(got, "pmessage") != 4 || strings.Contains(got, "app:") {
			t.Errorf("%s: SADD: got %q", name, got)
		}

		heir := dial3(t, g.addr) // hears of keys that it changes itself
		id := strconv.Itoa(heir.int("CLIENT", "ID"))
		c = dial3(t, g.addr)
		c.want(ok, "CLIENT", "TRACKING", "ON", "REDIRECT", id)
		c.line("HGETALL h")
		if got := heir.burst("HSET h f u", "GET none", "HGET h f"); !strings.HasSuffix(got, ":0\r\n_\r\n"+bulk("u")) || strings.Contains(got, "app:") ||
			!strings.Contains(got, "invalidate") {
			t.Errorf("%s: redirected: got %q", name, got)
		}
	}
}

// Without rules the client sees such a push where Redis has put it.
func TestTransparent_PushesInside(t *testing.T) {
	t.Parallel()
	r, plain := startRedis(t), startRedis(t)
	g := startGate(t, r.upstream())
	var got [2]string
	for i, addr := range []string{plain.addr, g.addr} {
		c := dial3(t, addr)
		c.line("SUBSCRIBE x")
		got[i] = c.burst("SET k v", "SET z w", "MULTI", "PUBLISH x m", "GET k", "EXEC", "GET z") + c.burst("GET k")
	}
	if got[0] != got[1] {
		t.Errorf("got %q, Redis says %q", got[1], got[0])
	}
}

// A client that waits hears at once what it is told.
func TestStateful_WaitHears(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := governedGate(t, r)
	c, w, direct := dial3(t, g.addr), dial(t, g.addr), dial(t, r.addr)
	c.line("SUBSCRIBE ch")
	for _, line := range []string{"WAIT 9 0", "BLMOVE q r LEFT LEFT 0", "BLPOP q 0"} {
		c.send(encode(split(line)...))
		eventually(t, "it waits", func() bool { return strings.Contains(direct.line("INFO clients"), "blocked_clients:1\r\n") })
		for range 2 {
			w.want(one, "PUBLISH", "ch", "m")
			if got, want := c.read(), ">3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$1\r\nm\r\n"; got != want {
				t.Errorf("%s: got %q, want %q", line, got, want)
			}
		}
		w.want(one, "CLIENT", "UNBLOCK", strconv.Itoa(clientID(w, "sub=1")))
		c.read()
	}
}

// clientID finds a client in CLIENT LIST.
func clientID(c *conn, field string) (id int) {
	for _, line := range strings.Split(c.line("CLIENT LIST"), "\n") {
		if at := strings.Index(line, "id="); at >= 0 && strings.Contains(line, " "+field+" ") {
			fmt.Sscanf(line[at:], "id=%d", &id)
		}
	}
	return id
}

// Any number of commands may stand behind one that waits.
func TestStateful_PipelineBehindBlocked(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream())
	c := dial(t, g.addr)
	element := strings.Repeat("x", 1000)
	const n = 4000
	go c.Write([]byte(strings.Repeat(encode("RPUSH", "q", element)+encode("BLPOP", "q", "1"), n)))
	for i := range n {
		if push, pop := c.read(), c.read(); push != one || pop != "*2\r\n"+bulk("q")+bulk(element) {
			t.Fatalf("pair %d: got %s, %s", i, shorten(push), shorten(pop))
		}
	}
	c.send(encode("BLPOP", "q", "0") + encode("SET", "big", strings.Repeat("x", 3<<20)))
	dial(t, r.addr).want(one, "RPUSH", "q", "e")
	if got := c.read() + c.read(); got != "*2\r\n"+bulk("q")+bulk("e")+ok {
		t.Errorf("got %q", got)
	}
}

// What the upstream refuses to subscribe to changes nothing.
func TestStateful_RefusedSubscription(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	direct := dial(t, r.addr)
	direct.want(ok, split("ACL SETUSER prox on >pw ~* +@all resetchannels &ok*")...)
	direct.want(":3\r\n", "RPUSH", "l", "message", "a", "b")
	g := startGate(t, "upstream: redis://prox:pw@"+r.addr+"\n")
	for _, dialed := range []func(testing.TB, string) *conn{dial, dial3} {
		want, got := dialed(t, r.addr), dialed(t, g.addr)
		want.want(ok, "AUTH", "prox", "pw")
		for _, line := range []string{
			"SUBSCRIBE bad", "LRANGE l 0 -1", "SUBSCRIBE bad bad2", "UNSUBSCRIBE", "PING", "SUBSCRIBE ok", "SUBSCRIBE bad", "PSUBSCRIBE ok* bad*",
			"PUNSUBSCRIBE", "UNSUBSCRIBE", "LRANGE l 0 -1", "GET k",
		} {
			same(t, want, got, split(line)...)
		}
		for _, lines := range [][]string{
			{"SUBSCRIBE bad bad2", "UNSUBSCRIBE", "LRANGE l 0 -1", "SUBSCRIBE ok", "UNSUBSCRIBE"},
			{"SUBSCRIBE ok1", "SUBSCRIBE bad", "SUBSCRIBE ok2", "PSUBSCRIBE bad*", "UNSUBSCRIBE ok1", "UNSUBSCRIBE ok2", "LRANGE l 0 -1"},
			{"SUBSCRIBE bad", "SUBSCRIBE ok1", "SUBSCRIBE ok2 bad", "UNSUBSCRIBE none", "UNSUBSCRIBE", "LRANGE l 0 -1"},
		} {
			if want, got := want.burst(lines...), got.burst(lines...); got != want {
				t.Errorf("pipelined %q: got %q, want %q", lines, got, want)
			}
		}
	}
}

// Tenants that ask for notifications at the same time all get theirs.
func TestStateful_NotificationFlags(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"tenants:\n  - {name: one, user: one, password: p, namespace: \"one:\"}\n  - {name: two, user: two, password: p, namespace: \"two:\"}\n")
	direct, a, b := dial(t, r.addr), dial(t, g.addr), dial(t, g.addr)
	a.want(ok, "AUTH", "one", "p")
	b.want(ok, "AUTH", "two", "p")
	const setting = "notify-keyspace-events"
	set := func(flags string) string { return encode("CONFIG", "SET", setting, flags) }
	for range 50 {
		direct.want(ok, "CONFIG", "SET", setting, "")
		a.send(set("Ex"))
		b.send(set("Kg"))
		if got := a.read() + b.read(); got != ok+ok {
			t.Fatalf("got %q", got)
		}
		for _, flag := range "ExKg" {
			if got := direct.do("CONFIG", "GET", setting); !strings.ContainsRune(got[strings.LastIndex(got, "$"):], flag) {
				t.Fatalf("%c is lost: %q", flag, got)
			}
		}
	}
	a.want(ok, "CONFIG", "SET", setting, "KEA")
	b.want(ok, "CONFIG", "SET", setting, "Exgn") // A shows instead of these
}

// A second MONITOR has no reply.
func TestTransparent_MonitorTwice(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream())
	c := dial(t, g.addr)
	got := c.burst("MONITOR", "MONITOR")
	lines := strings.SplitAfter(got, "\r\n")
	if got := slices.DeleteFunc(lines, func(line string) bool { return line == "" || strings.HasPrefix(line, "+1") }); len(got) != 1 || got[0] != ok {
		t.Errorf("got %q, want one OK", got)
	}
}

// PUBSUB NUMPAT counts patterns, not who is subscribed to them.
func TestStateful_NumPat(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := governedGate(t, r)
	w := dial(t, g.addr)
	a, b := dial3(t, g.addr), dial3(t, g.addr)
	for _, step := range []struct {
		c    *conn
		line string
		want string
	}{
		{a, "PSUBSCRIBE p*", one}, {b, "PSUBSCRIBE p*", one}, {a, "PSUBSCRIBE p*", one}, {b, "PSUBSCRIBE q*", ":2\r\n"}, {a, "PUNSUBSCRIBE p*", ":2\r\n"},
		{a, "PUNSUBSCRIBE p*", ":2\r\n"}, {b, "PUNSUBSCRIBE p*", one}, {a, "PSUBSCRIBE x*", ":2\r\n"}, {b, "PUNSUBSCRIBE", one}, {a, "RESET", zero},
	} {
		step.c.line(step.line)
		w.want(step.want, "PUBSUB", "NUMPAT")
	}
	a.line("PSUBSCRIBE z*")
	a.Close()
	eventually(t, "it is gone", func() bool { return w.line("PUBSUB NUMPAT") == zero })
}

// A timeout may be hexadecimal.
func TestStateful_HexTimeout(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+rulesYAML)
	c, direct := dial(t, g.addr), dial(t, r.addr)
	c.send(encode("BLMOVE", "q", "r", "LEFT", "LEFT", "0x10"))
	eventually(t, "it waits", func() bool { return strings.Contains(direct.line("INFO clients"), "blocked_clients:1\r\n") })
	direct.want(one, "RPUSH", "q", "e")
	if got := c.read(); got != bulk("e") {
		t.Errorf("got %q", got)
	}
}
