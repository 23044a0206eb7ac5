package upstream

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestRedirection(t *testing.T) {
	for _, c := range []struct {
		reply string
		kind  int
		slot  int
		addr  string
	}{
		{"-MOVED 3999 127.0.0.1:6381\r\n", kindMoved, 3999, "127.0.0.1:6381"},
		{"-ASK 3999 ::1:6381\r\n", kindAsk, 3999, "::1:6381"},
		{"-MOVED 0 :6381\r\n", kindMoved, 0, ":6381"},
		{"-TRYAGAIN Multiple keys request during rehashing of slot\r\n", kindWait, 0, ""},
		{"-CLUSTERDOWN The cluster is down\r\n", kindWait, 0, ""},
		{"-CLUSTERDOWN The cluster is down and only accepts read commands\r\n", kindWait, 0, ""},
		{"-CLUSTERDOWN Hash slot not served\r\n", kindWait, 0, ""},
		{"-TRYAGAIN come back later\r\n", 0, 0, ""},
		{"-CLUSTERDOWN says my script\r\n", 0, 0, ""},
		{"-MOVED 16384 h:1\r\n", 0, 0, ""},
		{"-MOVED 1 h:1 script: 0123, on @user_script:1.\r\n", 0, 0, ""},
		{"-MOVED\r\n", 0, 0, ""},
		{"-ERR MOVED 1 h:1\r\n", 0, 0, ""},
		{"$5\r\nMOVED\r\n", 0, 0, ""},
		{"", 0, 0, ""},
	} {
		r, ok := redirection([]byte(c.reply))
		if ok != (c.kind != 0) || ok && (r.kind != c.kind || r.slot != c.slot || string(r.addr) != c.addr) {
			t.Errorf("%q: got %+v, %v", c.reply, r, ok)
		}
	}
}

// TestRefused has units of which all, a part or nothing is known not to have run.
func TestRefused(t *testing.T) {
	const moved, ask = "-MOVED 1 h:1", "-ASK 1 h:1"
	for _, c := range []struct {
		replies string // separated by |
		from    int
		to      int // 0: nothing is to be sent again
	}{
		{"+OK", 0, 0},
		{moved, 0, 1},
		{moved + "|" + moved, 0, 2},
		{":1|" + ask, 1, 2},
		{ask + "|" + ask + "|:1", 0, 2},
		{"+OK|+QUEUED|*1", 0, 0},
		{"+OK|+QUEUED|" + moved, 0, 3},
		{"+OK|" + ask + "|+QUEUED|-EXECABORT x", 0, 4},
		{"+OK|-ERR x|-EXECABORT x", 0, 0},
		{"+OK|-TRYAGAIN Multiple keys request during rehashing of slot|-EXECABORT x", 0, 3},
	} {
		var replies []Reply
		for raw := range strings.SplitSeq(c.replies, "|") {
			replies = append(replies, Reply{Raw: []byte(raw + "\r\n")})
		}
		if _, from, to, ok := refused(replies); ok != (c.to > 0) || from != c.from && ok || to != c.to {
			t.Errorf("%s: got %d to %d, %v", c.replies, from, to, ok)
		}
	}
}

func TestErrand_narrow(t *testing.T) {
	req := []byte("*1\r\n$1\r\nA\r\n*2\r\n$1\r\nB\r\n$2\r\nbb\r\n*1\r\n$1\r\nC\r\n*1\r\n$1\r\nD\r\n")
	e := errand{from: 11, to: len(req), first: 5, count: 3}
	e.narrow(req, 1, 2)
	if got := string(req[e.from:e.to]); got != "*1\r\n$1\r\nC\r\n" || e.first != 6 || e.count != 1 {
		t.Errorf("got %q, reply %d, %d of them", got, e.first, e.count)
	}
}

func TestAnnounced(t *testing.T) {
	for _, c := range []struct{ endpoint, port, asked, want string }{
		{"10.0.0.1", "7000", "h:6379", "10.0.0.1:7000"}, {"", "7000", "h:6379", "h:7000"}, {"?", "7000", "[::1]:6379", "[::1]:7000"}, {"::1", "7000", "h:1", "[::1]:7000"},
	} {
		if got := announced(c.endpoint, c.port, c.asked); got != c.want {
			t.Errorf("%q %s, asked at %s: got %s, want %s", c.endpoint, c.port, c.asked, got, c.want)
		}
	}
	if h, p, err := splitAddr("::1:7000"); h != "::1" || p != "7000" || err != nil {
		t.Errorf("got %q %q %v", h, p, err)
	}
}

func TestTarget_cluster(t *testing.T) {
	to, err := Config{URL: "rediss-cluster://u:p%40@h1:7000,[::1]:7001,h3/0?read_timeout=3s"}.target()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(to.nodes, " "); got != "h1:7000 [::1]:7001 h3:6379" || to.opt.Password != "p@" || to.opt.ReadTimeout != 3*time.Second || to.opt.TLSConfig == nil {
		t.Errorf("got %s, options %+v", got, to.opt)
	}
	if _, err := (Config{URL: "redis-cluster://h1,h2/1"}).target(); !errors.Is(err, errDatabase) {
		t.Errorf("a database: %v", err)
	}
}

// TestTopology has slots move from one node to another.
func TestTopology(t *testing.T) {
	node := func(addr string) *Pool { return &Pool{opt: &redis.Options{Addr: addr}} }
	v := view{
		{slots: [][2]int{{100, 199}}, master: "b", replicas: []string{"b2"}}, {master: "c"}, {slots: [][2]int{{0, 99}, {200, Slots - 1}}, master: "a"},
	}
	one := v.topology(node)
	names := ""
	for _, m := range one.masters {
		names += m.opt.Addr
	}
	if names != "abc" {
		t.Errorf("masters in the order %s", names)
	}
	two := one.with(150, one.nodes["c"]).with(151, one.nodes["b2"])
	if got := two.masterOf(150).opt.Addr + two.masterOf(151).opt.Addr + two.masterOf(152).opt.Addr + one.masterOf(150).opt.Addr; got != "cb2bb" {
		t.Errorf("slots are at %s", got)
	}
	if lost := one.lost(two); len(lost) != 1 || !lost[one.nodes["b"]] {
		t.Errorf("%v have lost slots", lost)
	}
	if one.equal(two) || !one.equal(one.with(150, one.nodes["b"])) {
		t.Error("topologies are equal, or not")
	}
	if got := two.gaps(func(p *Pool) bool { return p.opt.Addr != "b" }); len(got) != 2 || got[0] != [2]int{100, 149} || got[1] != [2]int{152, 199} {
		t.Errorf("gaps: %v", got)
	}
}
