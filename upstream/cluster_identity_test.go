package upstream_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sessiongate/upstream"
)

// TestSetIdentity_cluster has a password that nobody takes yet: nodes that have had no link before, and nodes that have only just
// come, are still reached with the one from before. Once the new one is taken, the old one is of no use any more.
func TestSetIdentity_cluster(t *testing.T) {
	var taken atomic.Pointer[string]
	takes := func(password string) { taken.Store(&password) }
	takes("old")
	f := newFakeCluster(t, 3, func(_ int, c *fakeConn, args [][]byte) { c.out = append(c.out, "+OK\r\n"...) })
	for _, n := range f.nodes {
		n.mu.Lock()
		n.greet = func(c *fakeConn, args [][]byte) string {
			switch name := strings.ToLower(string(args[0])); {
			case name == "cluster":
				return f.tell(args, *f.told.Load(), 0)
			case name == "hello" && len(args) > 4 && string(args[4]) != *taken.Load(), name == "auth" && string(args[len(args)-1]) != *taken.Load():
				return "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
			}
			return manners(c, args)
		}
		n.mu.Unlock()
	}
	f.show(f.nodes[0], f.nodes[1])
	cfg := upstream.Config{URL: f.url(), User: "u", Password: "old", Hold: 500 * time.Millisecond, HealthInterval: 20 * time.Millisecond}
	p := open(t, cfg)
	until(t, "up", func() bool { up, _ := p.Health(); return up })
	l := p.Link(2, 0)
	run := func(what string) {
		t.Helper()
		var b upstream.Batch
		for _, s := range []int{0, upstream.Slots - 1} {
			slot(&b, s, "SET a b")
		}
		if err := l.Do(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		for i, r := range b.Replies {
			if r.Err != nil {
				t.Errorf("%s, node %d: %v", what, i, r.Err)
			}
		}
	}
	var b upstream.Batch
	slot(&b, 0, "SET a b") // the other node gets no link
	if err := l.Do(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	cfg.Password = "new"
	id, err := upstream.NewIdentity(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.SetIdentity(id)
	p.TryIdentity(t.Context())
	run("refused")
	f.show(f.nodes[0], f.nodes[2])
	node := p.NodeOf(upstream.Slots - 1)
	f.nodes[1].stop()
	until(t, "a new node", func() bool { return p.NodeOf(upstream.Slots-1) != node })
	run("refused, by a new node")

	takes("new")
	if leave := string(p.AppendLeave(nil)); !strings.Contains(leave, "old") {
		t.Errorf("before the new one is taken: %q", leave)
	}
	until(t, "it is taken", func() bool { return strings.Contains(string(p.AppendLeave(nil)), "new") })
	was := p.Stats().Reconnects
	f.nodes[0].cut()
	until(t, "the link is back", func() bool { return p.Stats().Reconnects > was })
	run("taken")
}
