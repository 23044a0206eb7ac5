package integration_test

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// A client that only speaks to clusters works over a single Redis.
func TestFacade_goRedis(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"cluster_facade: true\nnamespace: \"app:\"\nrules: [{expiry: {default: 30m}}]\n")
	useClusterClient(t, g.addr)
	if n := dial(t, r.addr).do("EXISTS", "app:{a}1"); n != one {
		t.Errorf("the key is not in the namespace: %q", n)
	}
}

// So it does over a real cluster, whose nodes it doesn't see.
func TestFacade_cluster(t *testing.T) {
	t.Parallel()
	up := startCluster(t, 3, 0, setup{})
	g := startGate(t, up.upstream()+"cluster_facade: true\nnamespace: \"app:\"\nrules: [{expiry: {default: 30m}}]\n")
	useClusterClient(t, g.addr)
	c := dial(t, g.addr)
	if got := c.do("CLUSTER", "NODES"); strings.Count(got, "master") != 1 {
		t.Errorf("CLUSTER NODES = %q", got)
	}
	if got := c.do("INFO", "cluster"); !strings.Contains(got, "cluster_enabled:1\r\n") {
		t.Errorf("INFO cluster = %q", got)
	}
}

// useClusterClient has go-redis's client for clusters do what such clients do.
func useClusterClient(t *testing.T, addr string) {
	t.Helper()
	ctx := context.Background()
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{addr}})
	defer c.Close()
	for i := range 50 {
		if err := c.Set(ctx, fmt.Sprint("k", i), i, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := c.MGet(ctx, "k1", "k2", "k3").Result(); err != nil || fmt.Sprint(got) != "[1 2 3]" {
		t.Errorf("MGET = %v, %v", got, err)
	}
	pipe := c.Pipeline()
	for i := range 50 {
		pipe.Get(ctx, fmt.Sprint("k", i))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		t.Errorf("pipeline: %v", err)
	}
	err := c.Watch(ctx, func(tx *redis.Tx) error {
		_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error { p.Set(ctx, "{a}1", 1, 0); p.Incr(ctx, "{a}2"); return nil })
		return err
	}, "{a}1")
	if err != nil {
		t.Errorf("transaction: %v", err)
	}
	sub := c.SSubscribe(ctx, "shard")
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.SPublish(ctx, "shard", "hello").Err(); err != nil {
		t.Error(err)
	}
	if m, err := sub.ReceiveMessage(ctx); err != nil || m.Payload != "hello" {
		t.Errorf("message %v, %v", m, err)
	}
	n := 0
	err = c.ForEachMaster(ctx, func(ctx context.Context, m *redis.Client) error {
		for it := m.Scan(ctx, 0, "*", 10).Iterator(); it.Next(ctx); {
			n++
		}
		return nil
	})
	if err != nil || n != 52 {
		t.Errorf("SCAN shows %d keys, %v", n, err)
	}
}

// redis-cli follows the facade, and every answer is that of a cluster of one node.
func TestFacade_answers(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"cluster_facade: true\n")
	host, port, _ := net.SplitHostPort(g.addr)
	out, err := exec.Command("redis-cli", "-c", "-h", host, "-p", port, "set", "a", "1").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "OK" {
		t.Errorf("redis-cli -c: %q, %v", out, err)
	}
	c := dial(t, g.addr)
	id := c.do("CLUSTER", "MYID")
	if len(id) != len("$40\r\n")+40+2 {
		t.Fatalf("CLUSTER MYID = %q", id)
	}
	c.want("*1\r\n*3\r\n:0\r\n:16383\r\n*4\r\n$"+fmt.Sprint(len(host))+"\r\n"+host+"\r\n:"+port+"\r\n"+id+"*0\r\n", "CLUSTER", "SLOTS")
	c.want(":15495\r\n", "CLUSTER", "KEYSLOT", "a")
	c.want(one, "CLUSTER", "COUNTKEYSINSLOT", "15495")
	c.want("*1\r\n$1\r\na\r\n", "CLUSTER", "GETKEYSINSLOT", "15495", "10")
	c.want(empty, "CLUSTER", "GETKEYSINSLOT", "1", "10")
	c.want("-ERR Invalid or out of range slot\r\n", "CLUSTER", "COUNTKEYSINSLOT", "16384")
	c.want(empty, "CLUSTER", "LINKS")
	for _, word := range []string{"READONLY", "READWRITE", "ASKING"} {
		c.want(ok, word)
	}
	for _, line := range []string{"CLUSTER INFO", "CLUSTER NODES", "CLUSTER SHARDS"} {
		if got := c.line(line); !strings.Contains(got, "cluster_state:ok") && !strings.Contains(got, id[5:45]) {
			t.Errorf("%s = %q", line, got)
		}
	}
	if got := c.do("INFO", "cluster"); !strings.Contains(got, "cluster_enabled:1\r\n") {
		t.Errorf("INFO cluster = %q", got)
	}
	c3 := dial3(t, g.addr)
	if got := c3.do("CLUSTER", "SHARDS"); !strings.HasPrefix(got, "*1\r\n%2\r\n") {
		t.Errorf("CLUSTER SHARDS in RESP3 = %q", got)
	}
}

// Another address is announced when one is configured; without the facade there is no cluster.
func TestFacade_announce(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"cluster_facade: true\ncluster_announce: gate.example:7000\n")
	if got := dial(t, g.addr).do("CLUSTER", "SLOTS"); !strings.Contains(got, "gate.example\r\n:7000\r\n") {
		t.Errorf("CLUSTER SLOTS = %q", got)
	}
	plain := startGate(t, r.upstream())
	dial(t, plain.addr).want("-ERR This instance has cluster support disabled\r\n", "CLUSTER", "SLOTS")
}
