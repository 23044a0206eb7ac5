package upstream_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"sessiongate/upstream"
)

// redisCluster is real redis-servers that make up a cluster. The first masters nodes share all slots evenly.
type redisCluster struct {
	nodes   []*redisServer
	clients []*redis.Client
	bus     []string // ports of the cluster bus
	masters int
}

// startCluster starts a cluster of masters, each with some replicas: node i is a replica of node i modulo masters.
func startCluster(t testing.TB, masters, replicas int) *redisCluster {
	t.Helper()
	c := &redisCluster{masters: masters}
	for range masters * (1 + replicas) {
		c.add(t)
	}
	for i := range masters {
		c.run(t, i, "CLUSTER", "ADDSLOTSRANGE", c.first(i), c.first(i+1)-1)
		c.run(t, i, "CLUSTER", "SET-CONFIG-EPOCH", i+1)
	}
	for i := range c.nodes[1:] {
		c.run(t, i+1, "CLUSTER", "MEET", "127.0.0.1", c.nodes[0].port, c.bus[0])
	}
	for i := masters; i < len(c.nodes); i++ {
		id := c.id(t, i%masters)
		until(t, "a replica has found its master", func() bool {
			return c.clients[i].Do(t.Context(), "CLUSTER", "REPLICATE", id).Err() == nil
		})
	}
	c.settle(t)
	return c
}

// add starts a node that knows no other.
func (c *redisCluster) add(t testing.TB) {
	bus := freePort(t)
	s := startRedis(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "1500", "--cluster-port", bus,
		"--repl-diskless-sync-delay", "0", "--cluster-replica-validity-factor", "0")
	client := redis.NewClient(&redis.Options{Addr: s.addr(), MaxRetries: -1, Protocol: 2})
	t.Cleanup(func() { client.Close() })
	c.nodes, c.clients, c.bus = append(c.nodes, s), append(c.clients, client), append(c.bus, bus)
}

func freePort(t testing.TB) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// first is the first slot of master i.
func (c *redisCluster) first(i int) int { return i * upstream.Slots / c.masters }

// run runs a command on node i that has to work.
func (c *redisCluster) run(t testing.TB, i int, args ...any) any {
	t.Helper()
	got, err := c.clients[i].Do(context.Background(), args...).Result()
	if err != nil {
		t.Fatalf("node %d: %v: %v", i, args, err)
	}
	return got
}

func (c *redisCluster) id(t testing.TB, i int) string { return c.run(t, i, "CLUSTER", "MYID").(string) }

// settle waits until all nodes see the whole cluster, and replicas have their data.
func (c *redisCluster) settle(t testing.TB) {
	t.Helper()
	want := fmt.Sprintf("cluster_known_nodes:%d\r\n", len(c.nodes))
	for i, client := range c.clients {
		until(t, fmt.Sprintf("node %d knows all others", i), func() bool {
			info, err := client.ClusterInfo(t.Context()).Result()
			return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, want)
		})
	}
	for i, client := range c.clients[c.masters:] {
		until(t, fmt.Sprintf("replica %d is in sync", i), func() bool {
			info, err := client.Info(t.Context(), "replication").Result()
			return err == nil && strings.Contains(info, "master_link_status:up")
		})
	}
	for i, client := range c.clients {
		until(t, fmt.Sprintf("node %d knows all replicas", i), func() bool {
			slots, err := client.ClusterSlots(t.Context()).Result()
			n := 0
			for _, s := range slots {
				n += len(s.Nodes)
			}
			return err == nil && n >= len(c.nodes)
		})
	}
}

func (c *redisCluster) url() string {
	addrs := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		addrs[i] = n.addr()
	}
	return "redis-cluster://" + strings.Join(addrs, ",")
}

// unit appends a command on a key to the batch.
func unit(b *upstream.Batch, key string, args ...string) {
	b.Req = append(b.Req, cmd(args...)...)
	b.Count++
	slot := upstream.NoSlot
	if key != "" {
		slot = upstream.Slot(nil, []byte(key))
	}
	b.Units = append(b.Units, upstream.Unit{Slot: slot, End: len(b.Req), Count: 1})
}

func reset(b *upstream.Batch) {
	b.Req, b.Units, b.Count, b.Limits = b.Req[:0], b.Units[:0], 0, b.Limits[:0]
}

func TestCluster_routes(t *testing.T) {
	c := startCluster(t, 3, 1)
	for _, driver := range drivers {
		p := open(t, upstream.Config{URL: c.url(), Driver: driver})
		until(t, "every slot is served", func() bool { up, _ := p.Health(); return up })
		if got := len(p.Masters()); !p.Sharded() || got != 3 {
			t.Fatalf("sharded %v, %d masters", p.Sharded(), got)
		}
		l := p.Link(2, 0)
		var b upstream.Batch
		for round := range 20 {
			reset(&b)
			var want []string
			for i := range 30 {
				key := fmt.Sprintf("%s:k%d:%d", driver, round, i)
				unit(&b, key, "SET", key, key)
				unit(&b, "", "ECHO", key)
				unit(&b, key, "GET", key)
				want = append(want, "+OK\r\n", bulk(key), bulk(key))
			}
			if err := l.Do(t.Context(), &b); err != nil {
				t.Fatal(err)
			}
			for i, got := range texts(&b) {
				if got != want[i] || b.Replies[i].Err != nil {
					t.Fatalf("reply %d: got %q (%v), want %q", i, got, b.Replies[i].Err, want[i])
				}
			}
		}
	}
}

func TestCluster_failover(t *testing.T) {
	c := startCluster(t, 3, 1)
	p := open(t, upstream.Config{URL: c.url()})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	errs := make(chan error, 8)
	for i := range 8 {
		go func() { errs <- count(ctx, p.Link(2, 0), fmt.Sprintf("c%d", i)) }()
	}
	for round := range 4 {
		i := round % 3
		to := i + 3
		if round >= 3 {
			to = i
		}
		c.run(t, to, "CLUSTER", "FAILOVER")
		until(t, "the replica has taken over", func() bool { return p.NodeOf(c.first(i)).Addr() == c.nodes[to].addr() })
	}
	cancel()
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// count increments counters on many slots, several times in each batch, until ctx ends: each reply has to be one more than the last.
func count(ctx context.Context, l upstream.Link, name string) error {
	var b upstream.Batch
	last := map[string]int{}
	for ctx.Err() == nil {
		reset(&b)
		var keys []string
		for i := range 20 {
			key := fmt.Sprintf("%s:%d", name, i)
			for range 3 {
				unit(&b, key, "INCR", key)
				keys = append(keys, key)
			}
		}
		if err := l.Do(context.Background(), &b); err != nil {
			return err
		}
		for i, key := range keys {
			last[key]++
			if got, want := string(b.Replies[i].Raw), fmt.Sprintf(":%d\r\n", last[key]); got != want {
				return fmt.Errorf("%s: got %q (%v), want %q", key, got, b.Replies[i].Err, want)
			}
		}
	}
	return nil
}
