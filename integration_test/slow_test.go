package integration_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// A subscriber that takes its messages too slowly is closed, not left behind a part of one.
func TestSlow_Subscriber(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"limits: {write: 1s}\n")
	c, w := dial(t, g.addr), dial(t, g.addr)
	c.line("SUBSCRIBE ch")
	message := strings.Repeat("x", 100_000)
	for range 200 {
		w.do("PUBLISH", "ch", message)
	}
	eventually(t, "it is gone", func() bool { return w.do("PUBLISH", "ch", "later") == zero })
	c.readAll() // ends
	if log := g.out.String(); !strings.Contains(log, "client closed: it does not take what it is sent") {
		t.Errorf("the log doesn't say why")
	}
	w.want(pong, "PING")
}

// A client that never reads its replies stalls only itself.
func TestSlow_NeverReads(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startPlainGate(t, r.upstream())
	c := dial(t, g.addr)
	c.want(ok, "SET", "large", strings.Repeat("x", 1<<20))
	c.want(ok, "SET", "small", "v")
	before := rss(t, g.pid())

	const deaf = 10
	for range deaf {
		d := dial(t, g.addr)
		go d.Write([]byte(strings.Repeat(encode("GET", "large"), 500))) // ends when the test closes the connection
	}
	// Another one is served all the while, thousands of times.
	for i := range 5000 {
		if got := c.do("GET", "small"); got != bulk("v") {
			t.Fatalf("GET number %d = %s", i, shorten(got))
		}
	}
	// 5 GB of replies are asked for; what is held is bounded.
	if grown := rss(t, g.pid()) - before; grown > 400<<20 {
		t.Errorf("%d clients that don't read cost %d MiB", deaf, grown>>20)
	}
	c.want(bulk(strings.Repeat("x", 1<<20)), "GET", "large")
}

// The write deadline ends a client that takes nothing at all.
func TestSlow_WriteDeadline(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"limits: {write: 200ms}\n")
	c := dial(t, g.addr)
	c.want(ok, "SET", "large", strings.Repeat("x", 1<<20))
	files := openFiles(t, g.pid())
	for range 5 {
		d := dial(t, g.addr)
		go d.Write([]byte(strings.Repeat(encode("GET", "large"), 200)))
	}
	eventually(t, "all five are connected", func() bool { return openFiles(t, g.pid()) >= files+5 })
	eventually(t, "those who take nothing are gone", func() bool { return openFiles(t, g.pid()) <= files })
	c.want(pong, "PING")
}

// A client that sends a long pipeline and reads only afterwards gets every reply, in order.
func TestSlow_DeepPipeline(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+namespaceApp+expiryRule)
	c := dial(t, g.addr)
	const n = 20_000
	var raw, want strings.Builder
	for i := range n {
		v := strings.Repeat("v", i%50)
		raw.WriteString(encode("SET", "k", v) + encode("GET", "k"))
		want.WriteString(ok + bulk(v))
	}
	go c.Write([]byte(raw.String()))
	var got strings.Builder
	for range 2 * n {
		got.WriteString(c.read())
	}
	if got.String() != want.String() {
		t.Error("replies differ")
	}
}

// When all is slow, the slow log takes down what fits, and counts the others.
func TestSlow_LogRate(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	admin := loopback(freePort(t))
	g := startGate(t, r.upstream()+"admin: {listen: "+admin+"}\nslow_log: {threshold: 1ms, rate: 1}\n")
	c := dial(t, g.addr)
	const n = 30
	for range n {
		c.want(one, "EVAL", "local function us() local t = redis.call('TIME') return t[1] * 1000000 + t[2] end "+
			"local from = us() while us() < from + 2000 do end return 1", "0")
	}
	var log struct {
		LeftOut int `json:"left_out"`
		Entries []struct{ Command string }
	}
	eventually(t, "all slow ones are taken down or counted", func() bool {
		_, text := ask(t, http.DefaultClient, "GET", "http://"+admin+"/api/v1/slowlog", "", "")
		if err := json.Unmarshal([]byte(text), &log); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		return len(log.Entries)+log.LeftOut >= n
	})
	if log.LeftOut == 0 || log.Entries[0].Command != "EVAL" {
		t.Errorf("got %+v", log)
	}
}
