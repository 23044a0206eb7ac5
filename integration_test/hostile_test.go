package integration_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// hostile is input that nobody means well with. Each is sent to a plain server and to the gate, with and without a
// password, and gets the same answer from both.
var hostile = []string{
	// What ends a redcon server. The one that claims 400 million arguments is more than the gate takes, see below.
	"*1\r\n$9223372036854775807\r\nx",
	"*1\r\n$9223372036854775807\r\n",
	"*9000000000000000000\r\n",
	"*99999999999999\r\n",
	"*1\r\n$-2\r\nx\r\n",
	"$9223372036854775807\r\n",
	"$-2\r\n",
	// Headers that aren't.
	"*\r\n", "*x\r\n", "*1x\r\n", "* 1\r\n", "*+1\r\n", "*-2147483649\r\n", "*2147483648\r\n", "*01\r\n$4\r\nPING\r\n", "*1\n$4\nPING\n",
	"*1\r\n$\r\n", "*1\r\n$x\r\n", "*1\r\n$4x\r\nPING\r\n", "*1\r\n$ 4\r\nPING\r\n", "*1\r\n$+4\r\nPING\r\n", "*1\r\n$04\r\nPING\r\n", "*1\r\n$-1\r\n",
	"*1\r\nPING\r\n", "*1\r\n:4\r\nPING\r\n", "*1\r\n*1\r\n$4\r\nPING\r\n", "*1\r\n\r\n", "*2\r\n$4\r\nECHO\r\n+hi\r\n",
	"*1\r\n$4\r\nPI\r\n\r\n*1\r\n$4\r\nPING\r\n", "*1\r\n$536870913\r\n", "*1\r\n$0\r\n\r\n",
	"*" + strings.Repeat("1", 70000), "*1\r\n$" + strings.Repeat("1", 70000), strings.Repeat("x", 70000),
	// Good commands before a bad one keep their replies.
	encode("SET", "h", "v") + encode("GET", "h") + "*1\r\n$x\r\n" + encode("DEL", "h"),
	encode("PING") + "*1\r\n$9223372036854775807\r\n" + encode("PING"),
	encode("MULTI") + encode("SET", "h", "w") + "*x\r\n" + encode("EXEC"),
	encode("SUBSCRIBE", "ch") + "*x\r\n",
	// Cut off in the middle.
	"*", "*1", "*1\r", "*1\r\n", "*2\r\n$3\r\nGET\r\n", "*2\r\n$3\r\nGET\r\n$5\r\nab", "*1\r\n$4\r\nPING", "*1\r\n$4\r\nPING\r", "PIN", "\x00", "\xff\xfe\xfd",
	// Other protocols.
	"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\nSET injected 1\r\n",
	"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "\x00\x00\x00\x08\x04\xd2\x16\x2f",
	// RESP3 types as commands.
	"%1\r\n$4\r\nPING\r\n$1\r\na\r\n", "~1\r\n$4\r\nPING\r\n", ">1\r\n$4\r\nPING\r\n", "_\r\n", "#t\r\n", ",1.5\r\n", "(123\r\n", "=7\r\ntxt:abc\r\n", "|1\r\n",
}

func TestHostile_SameWords(t *testing.T) {
	t.Parallel()
	open, locked, behind := startRedis(t), startRedis(t, "--requirepass", "sesame"), startRedis(t)
	gates := []struct{ direct, gate string }{
		{open.addr, startGate(t, behind.upstream()).addr},
		{open.addr, startGate(t, behind.upstream()+namespaceApp+expiryRule).addr},
		{locked.addr, startGate(t, behind.upstream()+"password: sesame\n").addr},
	}
	for i, g := range gates {
		for _, raw := range hostile {
			if i == 1 && strings.Contains(raw, "SUBSCRIBE") || i == 1 && strings.Contains(raw, "MULTI") {
				continue // may not be allowed under rules
			}
			compareRaw(t, g.direct, g.gate, raw)
		}
		many := "-ERR Protocol error: invalid multibulk length\r\n"
		if g.direct == locked.addr {
			many = "-ERR Protocol error: unauthenticated multibulk length\r\n"
		}
		if got := answer(t, g.gate, "*400000000\r\n"); got != many {
			t.Errorf("*400000000\n got %q\nwant %q", got, many)
		}
		// Without the sender's end of the connection closing, an offender is still thrown out.
		for _, raw := range []string{"*1\r\n$9223372036854775807\r\n", "*x\r\n", strings.Repeat("x", 70000)} {
			want, got := dial(t, g.direct), dial(t, g.gate)
			want.send(raw)
			got.send(raw)
			if w, g := want.readAll(), got.readAll(); g != w || !strings.HasPrefix(g, "-ERR Protocol error: ") {
				t.Errorf("%s\n got %s\nwant %s", shorten(raw), shorten(g), shorten(w))
			}
		}
	}
	dial(t, open.addr).want(dial(t, gates[0].gate).do("GET", "h"), "GET", "h")
}

// Random bytes, and real commands with random damage, get the answers that Redis gives.
func TestHostile_Garbage(t *testing.T) {
	t.Parallel()
	direct, behind := startRedis(t), startRedis(t)
	g := startGate(t, behind.upstream())
	rnd := rand.New(rand.NewPCG(7, 7))
	for range 400 {
		dial(t, direct.addr).want(ok, "FLUSHALL")
		dial(t, behind.addr).want(ok, "FLUSHALL")
		valid := encode("SET", "garbage", "value") + encode("GET", "garbage") + "PING\r\n" + encode("ECHO", "\x00\r\n$5\r\n")
		raw := []byte(valid)
		for range 1 + rnd.IntN(4) {
			switch at := rnd.IntN(len(raw)); rnd.IntN(3) {
			case 0:
				raw[at] = byte(rnd.IntN(256))
			case 1:
				raw[at] = "*$\r\n0123456789-+"[rnd.IntN(16)]
			default:
				raw = append(raw[:at:at], raw[min(at+1+rnd.IntN(5), len(raw)):]...)
				raw = append(raw, '\r', '\n')
			}
		}
		// The gate is stricter about one thing: Redis looks neither at the LF of a header nor at the CRLF after a payload.
		want, got := answer(t, direct.addr, string(raw)), answer(t, g.addr, string(raw))
		before, _, strict := strings.Cut(got, "-ERR Protocol error: invalid ")
		if got != want && !(strict && strings.HasPrefix(want, before)) {
			t.Errorf("%s\n got %s\nwant %s", shorten(string(raw)), shorten(got), shorten(want))
		}
	}

	// 1 MiB of garbage: what comes first decides, and the gate lives.
	for seed := range uint64(8) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		garbage := make([]byte, 1<<20)
		for i := range garbage {
			garbage[i] = byte(rnd.IntN(256))
		}
		c := dial(t, g.addr)
		c.SetDeadline(time.Now().Add(patience))
		go c.Write(garbage) // fails when the gate has had enough
		io.Copy(io.Discard, io.LimitReader(c.r, 64<<10))
		c.Close()
	}
	dial(t, g.addr).want(pong, "PING")
}

// Claims are not paid for: memory goes to bytes that have arrived.
func TestHostile_Claims(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startPlainGate(t, r.upstream())
	dial(t, g.addr).want(pong, "PING")
	before := rss(t, g.pid())
	for range 100 {
		for _, raw := range []string{
			"*1\r\n$536870912\r\n", "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nsome", "*1048576\r\n", "*1048576\r\n$1\r\nx\r\n", "*2\r\n$1000000000\r\n",
		} {
			dial(t, g.addr).send(raw)
		}
	}
	c := dial(t, g.addr)
	c.want(pong, "PING")
	if grown := rss(t, g.pid()) - before; grown > 40<<20 {
		t.Errorf("500 clients that claim gigabytes cost %d MiB", grown>>20)
	}
}

// A command that comes one byte at a time costs what its bytes cost, and ends as any other.
func TestHostile_ByteByByte(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startPlainGate(t, r.upstream())
	value := strings.Repeat("v", 200_000)
	c := dial(t, g.addr)
	raw := encode("SET", "slow", value)
	for i := range len(raw) {
		c.send(raw[i : i+1])
	}
	if got := c.read(); got != ok {
		t.Errorf("SET = %s", shorten(got))
	}
	c.want(bulk(value), "GET", "slow")

	// Many at once who never finish don't keep others from being served.
	var half []*conn
	for range 500 {
		d := dial(t, g.addr)
		d.send("*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$5\r\nva")
		half = append(half, d)
	}
	c.want(bulk(value), "GET", "slow")
	for _, d := range half {
		d.send("lue\r\n")
	}
	for _, d := range half {
		if got := d.read(); got != ok {
			t.Fatalf("SET = %s", shorten(got))
		}
	}
}

// Commands of 100,000 arguments are commands.
func TestHostile_ManyArguments(t *testing.T) {
	t.Parallel()
	direct, behind := startRedis(t), startRedis(t)
	const n = 100_000
	mset, mget, del, ping := []string{"MSET"}, []string{"MGET"}, []string{"DEL"}, []string{"PING"}
	for i := range n {
		name := fmt.Sprintf("k%d", i)
		if i%2 == 0 {
			mset = append(mset, name, "v")
		}
		mget, del, ping = append(mget, name), append(del, name), append(ping, name)
	}
	for _, yaml := range []string{"", namespaceApp, namespaceApp + expiryRule} {
		g := startGate(t, behind.upstream()+yaml)
		d, c := dial(t, direct.addr), dial(t, g.addr)
		for _, args := range [][]string{mset, mget, del, ping, append([]string{"NOSUCH"}, del...)} {
			same(t, d, c, args...)
		}
		same(t, d, c, "DBSIZE")
	}
	// One more than the limit allows is an error, before it is read.
	g := startGate(t, behind.upstream()+"limits: {args: 1000, bulk: 1MiB, request: 2MiB}\n")
	c := dial(t, g.addr)
	c.want(pong, "PING")
	for _, raw := range []string{"*1001\r\n", "*2\r\n$3\r\nGET\r\n$1048577\r\n"} {
		c := dial(t, g.addr)
		c.send(raw)
		if got := c.readAll(); !strings.HasPrefix(got, "-ERR Protocol error: invalid") {
			t.Errorf("%s beyond the limits = %s", shorten(raw), shorten(got))
		}
	}
	c = dial(t, g.addr)
	part := strings.Repeat("x", 1<<20)
	go c.Write([]byte(encode("MSET", "a", part, "b", part, "c", part)))
	if got := c.readAll(); !strings.HasPrefix(got, "-ERR Protocol error: ") {
		t.Errorf("a request beyond the limit = %s", shorten(got))
	}
}

// 5,000 clients come and go, in every impolite way, and leave nothing behind.
func TestHostile_ConnectsAndDrops(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startPlainGate(t, r.upstream())
	dial(t, g.addr).want(pong, "PING")
	files, before := openFiles(t, g.pid()), rss(t, g.pid())
	var droppers sync.WaitGroup
	for worker := range 10 {
		droppers.Go(func() {
			for i := range 500 {
				c, err := net.Dial("tcp", g.addr)
				if err != nil {
					t.Error(err)
					return
				}
				switch (worker + i) % 5 {
				case 0: // nothing said
				case 1:
					io.WriteString(c, "*2\r\n$3\r\nGE")
				case 2:
					io.WriteString(c, strings.Repeat(encode("GET", "a"), 50))
				case 3:
					io.WriteString(c, encode("BLPOP", "none", "0"))
				case 4:
					io.WriteString(c, encode("MULTI")+encode("SET", fmt.Sprintf("dropped:%d:%d", worker, i), "v"))
				}
				if i%2 == 0 {
					c.(*net.TCPConn).SetLinger(0) // a reset instead of a farewell
				}
				c.Close()
			}
		})
	}
	droppers.Wait()
	c := dial(t, g.addr)
	c.want(pong, "PING")
	eventually(t, "the connections of those who left are closed", func() bool { return openFiles(t, g.pid()) < files+30 })
	if got := c.list("KEYS", "dropped:*"); len(got) > 0 {
		t.Errorf("%d transactions without an EXEC were carried out: %q...", len(got), got[0])
	}
	if grown := rss(t, g.pid()) - before; grown > 128<<20 {
		t.Errorf("5,000 clients that came and went left %d MiB", grown>>20)
	}
}

// More clients than allowed are told so; when one leaves there is room again.
func TestHostile_TooManyClients(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"limits: {clients: 10}\n")
	var in []*conn
	eventually(t, "the harness's own connection is gone", func() bool {
		for len(in) < 10 {
			c := dial(t, g.addr)
			c.send(encode("PING"))
			if c.read() != pong {
				return false
			}
			in = append(in, c)
		}
		return true
	})
	extra := dial(t, g.addr)
	if got, want := extra.readAll(), "-ERR max number of clients reached\r\n"; got != want {
		t.Errorf("one client too many is told %q, want %q", got, want)
	}
	in[0].Close()
	eventually(t, "there is room again", func() bool {
		c := dial(t, g.addr)
		c.send(encode("PING"))
		return c.read() == pong
	})
}

// An idle client is shown out, one that does something isn't.
func TestHostile_Idle(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"limits: {idle: 300ms}\n")
	idle, half := dial(t, g.addr), dial(t, g.addr)
	idle.want(pong, "PING")
	half.send("*2\r\n$3\r\nGET\r\n")
	idle.closed()
	half.closed()
	subscriber := dial(t, g.addr)
	subscriber.wantPrefix("*3", "SUBSCRIBE ch")
	idle = dial(t, g.addr)
	idle.want(pong, "PING")
	idle.closed()
	if got := dial(t, g.addr).do("PUBLISH", "ch", "hello"); got != one { // subscribers wait for others; that isn't idleness
		t.Errorf("PUBLISH = %q, the subscriber was shown out", got)
	}
}

// A browser, or a page that makes one talk to the gate, is cut off as Redis does it, and other clients don't notice.
func TestHostile_OtherProtocols(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	for _, yaml := range []string{"", namespaceApp + expiryRule} {
		g := startGate(t, r.upstream()+yaml)
		c := dial(t, g.addr)
		c.want(ok, "SET", "a", "v")
		for range 20 {
			for _, raw := range []string{
				"POST / HTTP/1.1\r\nHost: x\r\n\r\nSET a injected\r\n", "Host: x\r\nSET a injected\r\n", encode("host:") + encode("SET", "a", "injected"), encode("PoSt", "/") + encode("SET", "a", "injected"),
			} {
				bad := dial(t, g.addr)
				bad.send(raw)
				bad.closed()
				c.want(bulk("v"), "GET", "a")
			}
		}
		c.send(encode("BLPOP", "none", "0.05"))
		c.read()
		if log := g.out.String(); strings.Contains(log, "connection lost") {
			t.Error("the link to the upstream was lost")
		}
	}
}

// A flood of new clients waits its turn; none is turned away, and those who are in aren't held up.
func TestHostile_AcceptRate(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"limits: {accept_rate: 50}\n")
	in := dial(t, g.addr)
	in.want(pong, "PING")
	start := time.Now()
	flood := make([]*conn, 150)
	for i := range flood {
		flood[i] = dial(t, g.addr)
		flood[i].send(encode("PING"))
	}
	in.want(pong, "PING")
	for i, c := range flood {
		if got := c.read(); got != pong {
			t.Fatalf("client %d of the flood gets %q", i, got)
		}
	}
	// At 50 a second, and at most 50 at once to begin with, 150 take two seconds less what had been saved up.
	if took := time.Since(start); took < time.Second {
		t.Errorf("150 clients were let in within %v", took)
	}
}
