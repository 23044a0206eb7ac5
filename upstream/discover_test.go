package upstream_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sessiongate/upstream"
)

// TestDiscover_cutOff has a master that failed, as the others say, but that we still reach tell of the cluster as it was.
func TestDiscover_cutOff(t *testing.T) {
	for _, test := range []struct {
		name, state string
		epoch       int64
	}{{"it knows of no newer epoch", "ok", 6}, {"it sees the cluster down", "fail", 7}} {
		t.Run(test.name, func(t *testing.T) {
			f := newFakeCluster(t, 3, func(_ int, c *fakeConn, _ [][]byte) {
				c.out = append(c.out, "-CLUSTERDOWN The cluster is down\r\n"...) // has the nodes asked again and again
			})
			f.epoch.Store(7)
			f.show(f.nodes[0], f.nodes[1])
			old := *f.told.Load()
			f.fail(f.nodes[2], f.nodes[0], f.nodes[1])
			var asked atomic.Int64
			n := f.nodes[1]
			n.mu.Lock()
			n.greet = func(c *fakeConn, args [][]byte) string {
				switch {
				case !strings.EqualFold(string(args[0]), "cluster"):
					return manners(c, args)
				case strings.EqualFold(string(args[1]), "shards"):
					asked.Add(1)
					return old
				}
				return bulk(fmt.Sprintf("cluster_state:%s\r\ncluster_current_epoch:%d\r\n", test.state, test.epoch))
			}
			n.mu.Unlock()
			p := open(t, upstream.Config{URL: f.url(), Hold: time.Minute})
			until(t, "the nodes are known", func() bool { return len(p.Nodes()) == 3 })
			if got := p.NodeOf(upstream.Slots - 1).Addr(); got != f.nodes[2].addr() {
				t.Fatalf("the slot is at %s", got)
			}
			done := make(chan struct{})
			defer func() { p.Close(); <-done }()
			go func() {
				defer close(done)
				var b upstream.Batch
				slot(&b, 0, "X")
				_ = p.Link(2, 0).Do(t.Context(), &b)
			}()
			until(t, "it has been asked a few times", func() bool {
				if got := p.NodeOf(upstream.Slots - 1).Addr(); got != f.nodes[2].addr() {
					t.Fatalf("the slot went back to %s", got)
				}
				return asked.Load() > 3
			})
		})
	}
}

// TestDiscover_down has all nodes see the cluster down: what they say is better than nothing.
func TestDiscover_down(t *testing.T) {
	f := newFakeCluster(t, 2, func(_ int, c *fakeConn, _ [][]byte) { c.out = append(c.out, "+OK\r\n"...) })
	fail := "fail"
	f.state.Store(&fail)
	p := open(t, upstream.Config{URL: f.url()})
	until(t, "the nodes are known", func() bool { return len(p.Nodes()) == 2 })
	first := p.NodeOf(0)
	f.show(f.nodes[1], f.nodes[0])
	var b upstream.Batch
	slot(&b, 0, "X")
	f.nodes[0].cut() // has the nodes asked again
	until(t, "slots have moved", func() bool { f.nodes[0].cut(); _ = p.Link(2, 0).Do(t.Context(), &b); return p.NodeOf(0) != first })
}
