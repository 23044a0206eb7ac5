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
			shards, err := client.ClusterShards(t.Context()).Result()
			n := 0
			for _, s := range shards {
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
