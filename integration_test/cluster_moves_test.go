package integration_test

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// Keys whose slots move while clients hold something on a connection of their own.
func TestClusterProxy_moves(t *testing.T) {
	t.Parallel()
	up := startCluster(t, 3, 0, setup{})
	for _, under := range []struct{ name, yaml, prefix string }{
		{"transparent", "", ""},
		{"rules", "namespace: \"app:\"\nrules: [{expiry: {default: 30m, max: 12h}}]\n", "app:"},
	} {
		g := startGate(t, up.upstream()+under.yaml)
		for _, play := range []struct {
			name string
			f    func(*testing.T, *gate, *clusterSetup, func(key string))
		}{{"transaction", playMovedTx}, {"watch", playMovedWatch}, {"blocked", playMovedBlock}, {"shard", playMovedShard}} {
			t.Run(under.name+"/"+play.name, func(t *testing.T) {
				play.f(t, g, up, func(key string) {
					slot := slotOf(under.prefix + key)
					from := up.nodeOf(t, slot)
					up.migrate(t, slot, from, up.another(t, from))
				})
			})
		}
	}
}

func playMovedTx(t *testing.T, g *gate, _ *clusterSetup, move func(string)) {
	c := dial(t, g.addr)
	c.want(ok, "SET", "{tx}", "1")
	c.want(ok, "MULTI")
	c.want("+QUEUED\r\n", "INCR", "{tx}")
	move("{tx}")
	if got := c.do("EXEC"); !strings.HasPrefix(got, "-TRYAGAIN ") {
		t.Errorf("EXEC when the slot has moved = %q", got)
	}
	c.want("$1\r\n1\r\n", "GET", "{tx}")
	c.want(ok, "MULTI")
	c.want("+QUEUED\r\n", "INCR", "{tx}")
	c.want("*1\r\n:2\r\n", "EXEC")
}

func playMovedWatch(t *testing.T, g *gate, _ *clusterSetup, move func(string)) {
	c := dial(t, g.addr)
	c.want(ok, "SET", "{w}", "1")
	c.want(ok, "WATCH", "{w}")
	move("{w}")
	c.want(ok, "MULTI")
	if got := c.do("INCR", "{w}"); !strings.HasPrefix(got, "-TRYAGAIN ") {
		t.Errorf("INCR when the slot has moved = %q", got)
	}
	if got := c.do("EXEC"); !strings.HasPrefix(got, "-EXECABORT") {
		t.Errorf("EXEC = %q", got)
	}
	c.want(ok, "WATCH", "{w}")
	c.want(ok, "MULTI")
	c.want("+QUEUED\r\n", "INCR", "{w}")
	c.want("*1\r\n:2\r\n", "EXEC")
}

func playMovedBlock(t *testing.T, g *gate, up *clusterSetup, move func(string)) {
	a, b, m := dial(t, g.addr), dial(t, g.addr), dial(t, g.addr)
	a.send(encode("BLPOP", "{b}l", "60"))
	m.send(encode("BLMOVE", "{b}from", "{b}to", "LEFT", "LEFT", "60"))
	x := dial(t, g.addr)
	x.send(encode("XREAD", "BLOCK", "60000", "STREAMS", "{b}s", "$"))
	eventually(t, "three clients wait", func() bool { return up.blocked(t) == 3 })
	move("{b}")
	b.want(one, "RPUSH", "{b}l", "x")
	a.wantNext("*2\r\n$4\r\n{b}l\r\n$1\r\nx\r\n")
	b.want(one, "RPUSH", "{b}from", "y")
	m.wantNext("$1\r\ny\r\n")
	eventually(t, "the stream's reader waits again", func() bool { return up.blocked(t) == 1 })
	b.do("XADD", "{b}s", "1-1", "f", "v")
	x.wantNext("*1\r\n*2\r\n$4\r\n{b}s\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n")
	b.want(":1\r\n", "EXISTS", "{b}to")
}

func playMovedShard(t *testing.T, g *gate, _ *clusterSetup, move func(string)) {
	a, b := dial(t, g.addr), dial(t, g.addr)
	a.want("*3\r\n$10\r\nssubscribe\r\n$3\r\n{s}\r\n:1\r\n", "SSUBSCRIBE", "{s}")
	a.want("*3\r\n$10\r\nssubscribe\r\n$5\r\nother\r\n:2\r\n", "SSUBSCRIBE", "other")
	move("{s}")
	eventually(t, "the channel is heard on the other node", func() bool { return b.do("SPUBLISH", "{s}", "1") == one })
	a.wantNext("*3\r\n$8\r\nsmessage\r\n$3\r\n{s}\r\n$1\r\n1\r\n")
	b.want(one, "SPUBLISH", "other", "2")
	a.wantNext("*3\r\n$8\r\nsmessage\r\n$5\r\nother\r\n$1\r\n2\r\n")
	a.want("*3\r\n$12\r\nsunsubscribe\r\n$3\r\n{s}\r\n:1\r\n", "SUNSUBSCRIBE", "{s}")
}

// A blocking move under an expiry rule follows ASK to where the slot is going, and waits there.
func TestClusterProxy_blockedWhileMoving(t *testing.T) {
	t.Parallel()
	up := startCluster(t, 2, 0, setup{})
	g := startGate(t, up.upstream()+"rules: [{expiry: {default: 30m, max: 12h}}]\n")
	slot := slotOf("{q}src")
	from := up.nodeOf(t, slot)
	to := up.another(t, from)
	up.beginMigration(t, slot, from, to)
	a, b := dial(t, g.addr), dial(t, g.addr)
	a.send(encode("BLMOVE", "{q}src", "{q}src", "LEFT", "RIGHT", "0"))
	eventually(t, "the client waits on the node that takes the slot", func() bool { return up.blocked(t) == 1 && from.calls(t, "blmove") > 0 })
	if n := from.calls(t, "blmove") + to.calls(t, "blmove"); n > 50 {
		t.Errorf("%d commands before it waits", n)
	}
	b.want(one, "RPUSH", "{q}src", "x")
	a.wantNext("$1\r\nx\r\n")
	up.migrate(t, slot, from, to)
	b.want("*1\r\n$1\r\nx\r\n", "LRANGE", "{q}src", "0", "-1")
}

// calls counts how often a node was asked to run a command, whether it did or not.
func (n *clusterNode) calls(t *testing.T, name string) (calls int) {
	t.Helper()
	_, line, _ := strings.Cut(n.must(t, "INFO", "commandstats").text, "cmdstat_"+name+":")
	line, _, _ = strings.Cut(line, "\r\n")
	for field := range strings.SplitSeq(line, ",") {
		if name, text, _ := strings.Cut(field, "="); name == "calls" || name == "rejected_calls" {
			count, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			calls += count
		}
	}
	return calls
}

// A node that is down costs the keys that it has, and no others.
func TestClusterProxy_nodeDown(t *testing.T) {
	t.Parallel()
	up := startCluster(t, 3, 0, setup{lines: []string{"cluster-require-full-coverage no"}})
	g := startGate(t, "upstream: {url: '"+up.url()+"', hold: 100ms}\n")
	c := dial(t, g.addr)
	c.want(ok, "MSET", "a", "1", "b", "2", "c", "3")
	up.nodeOf(t, slotOf("b")).kill(t)
	eventually(t, "the loss shows", func() bool { return strings.HasPrefix(c.do("GET", "b"), "-") })
	replies := c.pipeline("GET a", "GET b", "GET c", "MGET a c", "MGET a b", "SET a 5")
	for i, want := range []string{"$1\r\n1\r\n", "-", "$1\r\n3\r\n", "*2\r\n$1\r\n1\r\n$1\r\n3\r\n", "-", ok} {
		if !strings.HasPrefix(replies[i], want) {
			t.Errorf("reply %d = %q, want %q", i, replies[i], want)
		}
	}
	for _, i := range []int{1, 4} {
		if !strings.HasPrefix(replies[i], "-ERR upstream unavailable: ") && !strings.HasPrefix(replies[i], "-CLUSTERDOWN ") {
			t.Errorf("reply %d = %q", i, replies[i])
		}
	}
	const inPart, notRun = "; the command may have run in part\r\n", "; the command has not run\r\n"
	for _, each := range []struct {
		line, ending string
		parts        int // 0: all nodes
	}{{"MSET a 2 b 2 c 2", inPart, 3}, {"DEL b {b}1", notRun, 1}, {"DEL a b c", inPart, 3}, {"TOUCH b f", notRun, 2}, {"FLUSHALL", inPart, 0}} {
		if got := c.line(each.line); !strings.HasSuffix(got, each.ending) && !strings.HasPrefix(got, "-CLUSTERDOWN ") {
			t.Errorf("%s = %q, want %q at its end", each.line, got, each.ending)
		}
	}
	script := c.do("SCRIPT", "LOAD", "return 7")
	if !strings.HasSuffix(script, inPart) {
		t.Errorf("SCRIPT LOAD = %q", script)
	}
}

// blocked counts the clients that wait, on all nodes.
func (c *clusterSetup) blocked(t *testing.T) (n int) {
	t.Helper()
	for _, node := range c.nodes {
		_, rest, _ := strings.Cut(node.must(t, "INFO", "clients").text, "blocked_clients:")
		line, _, _ := strings.Cut(rest, "\r\n")
		waiting, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		n += waiting
	}
	return n
}

// TestClusterProxy_failedMaster has clients want a connection of their own to a master that has just failed: they get one to its successor.
func TestClusterProxy_failedMaster(t *testing.T) {
	t.Parallel()
	up := startCluster(t, 3, 3, setup{})
	g := startGate(t, "upstream: {url: \""+up.url()+"\", hold: 1m}\n")
	a, b, c := dial(t, g.addr), dial(t, g.addr), dial(t, g.addr)
	a.want(ok, "SET", "{f}", "1")
	old := up.nodeOf(t, slotOf("f"))
	old.kill(t)
	start := time.Now()
	b.send(encode("BLPOP", "{f}l", "60"))
	c.send(encode("SSUBSCRIBE", "{f}"))
	a.want(ok, "WATCH", "{f}")
	a.want(ok, "MULTI")
	a.want("+QUEUED\r\n", "RPUSH", "{f}l", "x")
	if got := a.do("EXEC"); got != "*1\r\n:1\r\n" {
		t.Errorf("EXEC = %q", got)
	}
	b.wantNext("*2\r\n$4\r\n{f}l\r\n$1\r\nx\r\n")
	c.wantNext("*3\r\n$10\r\nssubscribe\r\n$3\r\n{f}\r\n:1\r\n")
	t.Logf("back after %v", time.Since(start))
}
