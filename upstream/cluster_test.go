package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sessiongate/upstream"
)

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

// tx appends a transaction of commands on one key.
func tx(b *upstream.Batch, key string, commands ...[]byte) {
	b.Req = append(b.Req, cmd("MULTI")...)
	for _, c := range commands {
		b.Req = append(b.Req, c...)
	}
	b.Req = append(b.Req, cmd("EXEC")...)
	b.Count += len(commands) + 2
	b.Units = append(b.Units, upstream.Unit{Slot: upstream.Slot(nil, []byte(key)), End: len(b.Req), Count: len(commands) + 2})
}

// TestCluster goes through what befalls a cluster, one after the other.
func TestCluster(t *testing.T) {
	c := startCluster(t, 3, 1)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *redisCluster)
	}{
		{"routes", clusterRoutes}, {"limits", clusterLimits}, {"replicas", clusterReplicas}, {"migration", clusterMigration},
		{"failover", clusterFailover}, {"paused", clusterPaused}, {"killed", clusterKilled},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, c) })
	}
}

// pool is a Pool for the cluster that knows it.
func (c *redisCluster) pool(t testing.TB, cfg upstream.Config) *upstream.Pool {
	t.Helper()
	cfg.URL = c.url()
	p := open(t, cfg)
	until(t, "every slot is served", func() bool { up, _ := p.Health(); return up })
	return p
}

func clusterRoutes(t *testing.T, c *redisCluster) {
	for _, driver := range drivers {
		p := c.pool(t, upstream.Config{Driver: driver})
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
				tx(&b, key, cmd("APPEND", key, "x"), cmd("GET", key))
				want = append(want, "+OK\r\n", bulk(key), bulk(key), "+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n",
					fmt.Sprintf("*2\r\n:%d\r\n%s", len(key)+1, bulk(key+"x")))
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
		if s := p.Stats(); s.Connections < 3 && driver == upstream.DriverShared || s.InFlight != 0 {
			t.Errorf("stats: %+v", s)
		}
		if v := p.Version(); !strings.HasPrefix(v, "7.") {
			t.Errorf("version %q", v)
		}
		slots := 0
		for _, n := range p.Nodes() {
			for _, span := range n.Slots {
				slots += span[1] - span[0] + 1
			}
		}
		if got := len(p.Nodes()); got != 6 || slots != upstream.Slots {
			t.Errorf("%d nodes with %d slots", got, slots)
		}
	}
}

// clusterLimits has replies that are too long, alone and together.
func clusterLimits(t *testing.T, c *redisCluster) {
	l := c.pool(t, upstream.Config{}).Link(2, 0)
	var b upstream.Batch
	long := strings.Repeat("l", 1000)
	for i := range 10 {
		unit(&b, fmt.Sprint("long", i), "SET", fmt.Sprint("long", i), long)
	}
	if err := l.Do(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	reset(&b)
	for i := range 10 {
		unit(&b, fmt.Sprint("long", i), "GET", fmt.Sprint("long", i))
	}
	b.Limits, b.Max = []int64{0, 999, 1000}, 9000
	if err := l.Do(t.Context(), &b); !errors.Is(err, upstream.ErrFlood) || b.Replies != nil {
		t.Errorf("got %v and %d replies, want %v", err, len(b.Replies), upstream.ErrFlood)
	}
	b.Max = 20000
	if err := l.Do(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	for i, r := range b.Replies {
		if want := bulk(long); (i == 1) != (r.Over == 1000) || i != 1 && string(r.Raw) != want {
			t.Errorf("reply %d: over %d, %d bytes", i, r.Over, len(r.Raw))
		}
	}
}

// clusterReplicas reads from replicas, and from masters where those have none that can be used.
func clusterReplicas(t *testing.T, c *redisCluster) {
	p := c.pool(t, upstream.Config{HealthInterval: 20 * time.Millisecond})
	until(t, "replicas are up", func() bool {
		up := 0
		for _, n := range p.Nodes() {
			if n.Role == "replica" && n.Up {
				up++
			}
		}
		return up == 3
	})
	l := p.Link(2, 0)
	var b upstream.Batch
	role := func(key string, nearest bool) string {
		reset(&b)
		unit(&b, key, "ROLE")
		b.Units[0].Replica, b.Units[0].Nearest = true, nearest
		if err := l.Do(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(texts(&b)[0], "slave") {
			return "replica"
		}
		return "master"
	}
	for i := range 10 {
		key := fmt.Sprint("r", i)
		do(t, l, cmd("PING"))
		if got := role(key, false); got != "replica" {
			t.Errorf("%s is read from a %s", key, got)
		}
		role(key, true)
		reset(&b)
		unit(&b, key, "SET", key, key)
		if err := l.Do(t.Context(), &b); err != nil || texts(&b)[0] != "+OK\r\n" {
			t.Fatal(err, texts(&b))
		}
		until(t, "a replica has the value", func() bool {
			reset(&b)
			unit(&b, key, "GET", key)
			b.Units[0].Replica = true
			return l.Do(t.Context(), &b) == nil && texts(&b)[0] == bulk(key)
		})
	}
}

// clusterMigration counts while a slot goes to and fro between two masters, with the keys in it.
func clusterMigration(t *testing.T, c *redisCluster) {
	p := c.pool(t, upstream.Config{})
	slot := upstream.Slot(nil, []byte("m"))
	from := slot * 3 / upstream.Slots
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for i := range 6 {
		wg.Go(func() {
			if err := count(ctx, p.Link(2, 0), func(n int) string { return fmt.Sprintf("{m}%d:%d", i, n) }); err != nil {
				t.Error(err)
			}
		})
	}
	moves := 0
	for start := time.Now(); moves%3 > 0 || time.Since(start) < 3*time.Second; moves++ {
		to := (from + 1 + moves/3%2) % 3 // around, and around the other way
		c.migrate(t, slot, from, to)
		from = to
	}
	cancel()
	wg.Wait()
	t.Logf("%d moves", moves)
}

// migrate moves a slot with its keys.
func (c *redisCluster) migrate(t *testing.T, slot, from, to int) {
	t.Helper()
	c.run(t, to, "CLUSTER", "SETSLOT", slot, "IMPORTING", c.id(t, from))
	c.run(t, from, "CLUSTER", "SETSLOT", slot, "MIGRATING", c.id(t, to))
	for {
		keys := c.run(t, from, "CLUSTER", "GETKEYSINSLOT", slot, 3).([]any)
		if len(keys) == 0 {
			break
		}
		c.run(t, from, append([]any{"MIGRATE", "127.0.0.1", c.nodes[to].port, "", 0, 5000, "KEYS"}, keys...)...)
	}
	for _, i := range []int{to, from, 3 - to - from} {
		c.run(t, i, "CLUSTER", "SETSLOT", slot, "NODE", c.id(t, to))
	}
	epoch := func(i int) string {
		info := c.run(t, i, "CLUSTER", "INFO").(string)
		_, rest, _ := strings.Cut(info, "cluster_current_epoch:")
		return rest[:strings.IndexByte(rest, '\r')]
	}
	until(t, "the nodes agree, as otherwise Redis itself may lose the keys of a slot that moves on", func() bool {
		for i := range c.nodes {
			if epoch(i) != epoch(to) || c.owner(t, i, slot) != c.nodes[to].addr() {
				return false
			}
		}
		return true
	})
}

// owner is who has the slot in the eyes of node i.
func (c *redisCluster) owner(t *testing.T, i, slot int) string {
	shards, err := c.clients[i].ClusterShards(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range shards {
		if !slices.ContainsFunc(s.Slots, func(r redis.SlotRange) bool { return int(r.Start) <= slot && slot <= int(r.End) }) {
			continue
		}
		for _, n := range s.Nodes {
			if n.Role == "master" && n.Health == "online" {
				return net.JoinHostPort(n.Endpoint, strconv.FormatInt(n.Port, 10))
			}
		}
	}
	return ""
}

// clusterFailover counts while replicas take over as planned.
func clusterFailover(t *testing.T, c *redisCluster) {
	p := c.pool(t, upstream.Config{})
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for i := range 8 {
		wg.Go(func() {
			if err := count(ctx, p.Link(2, 0), func(n int) string { return fmt.Sprintf("f%d:%d", i, n) }); err != nil {
				t.Error(err)
			}
		})
	}
	for _, pair := range [][2]int{{0, 3}, {1, 4}, {2, 5}} {
		c.run(t, pair[1], "CLUSTER", "FAILOVER")
		until(t, "the replica has taken over", func() bool {
			return p.NodeOf(c.first(pair[0])).Addr() == c.nodes[pair[1]].addr()
		})
		until(t, "the master is its replica", func() bool {
			role := c.run(t, pair[0], "ROLE").([]any)
			return role[0] == "slave" && role[3] == "connected"
		})
	}
	cancel()
	wg.Wait()
}

// count increments twelve counters, which begin at nothing, several times in each batch, until ctx ends: each reply has to be one more than the last.
func count(ctx context.Context, l upstream.Link, name func(int) string) error {
	var b upstream.Batch
	last := map[string]int{}
	for ctx.Err() == nil {
		reset(&b)
		var keys []string
		for i := range 12 {
			key := name(i)
			unit(&b, key, "INCR", key)
			unit(&b, key, "INCR", key)
			tx(&b, key, cmd("INCR", key))
			keys = append(keys, key, key, "", "", key)
		}
		if err := l.Do(context.Background(), &b); err != nil {
			return err
		}
		for i, key := range keys {
			if key == "" {
				continue
			}
			last[key]++
			want := fmt.Sprintf(":%d\r\n", last[key])
			if i%5 == 4 {
				want = "*1\r\n" + want
			}
			if got := string(b.Replies[i].Raw); got != want {
				return fmt.Errorf("%s, reply %d: got %q (%v), want %q", key, i, got, b.Replies[i].Err, want)
			}
		}
	}
	return nil
}

// masterOf is the number of the node that has the slot.
func (c *redisCluster) masterOf(t *testing.T, slot int) int {
	addr := c.owner(t, 1, slot)
	return slices.IndexFunc(c.nodes, func(s *redisServer) bool { return s.addr() == addr })
}

// keys are n for each master's slots.
func (c *redisCluster) keys(n int) (keys [][]string) {
	keys = make([][]string, c.masters)
	for i, missing := 0, c.masters*n; missing > 0; i++ {
		key := fmt.Sprint("key", i)
		m := slices.IndexFunc(keys, func(k []string) bool { return len(k) < n })
		if slot := upstream.Slot(nil, []byte(key)); slot >= c.first(m) && slot < c.first(m+1) {
			keys[m] = append(keys[m], key)
			missing--
		}
	}
	return keys
}

// clusterPaused stops a master for longer than a reply may take: what it was sent fails, and nothing else does.
func clusterPaused(t *testing.T, c *redisCluster) {
	p := c.pool(t, upstream.Config{ReadTimeout: 500 * time.Millisecond, Hold: 10 * time.Second})
	l := p.Link(2, 0)
	var b upstream.Batch
	for _, keys := range c.keys(2) {
		for _, key := range keys {
			unit(&b, key, "SET", key, "v")
		}
	}
	if err := l.Do(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	stopped := c.masterOf(t, c.first(2))
	_ = c.nodes[stopped].cmd.Process.Signal(syscall.SIGSTOP)
	defer func() { _ = c.nodes[stopped].cmd.Process.Signal(syscall.SIGCONT) }()
	if err := l.Do(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	for i, r := range b.Replies {
		switch slot := b.Units[i].Slot; {
		case slot >= c.first(2) && (r.Err == nil || upstream.SafeToRetry(r.Err)):
			t.Errorf("unit %d was sent to a stopped node: got %q, %v", i, r.Raw, r.Err)
		case slot < c.first(2) && string(r.Raw) != "+OK\r\n":
			t.Errorf("unit %d: got %q, %v", i, r.Raw, r.Err)
		}
	}
	until(t, "the pool says which slots are not served", func() bool {
		up, why := p.Health()
		return !up && strings.Contains(why.Error(), fmt.Sprintf("%d-%d", c.first(2), upstream.Slots-1))
	})
	if err := l.Do(t.Context(), &b); err != nil { // the replica takes over meanwhile
		t.Fatal(err)
	}
	for i, r := range b.Replies {
		if r.Err != nil {
			t.Errorf("unit %d: %v", i, r.Err)
		}
	}
	_ = c.nodes[stopped].cmd.Process.Signal(syscall.SIGCONT)
	until(t, "the master that was stopped is a replica", func() bool {
		role := c.run(t, stopped, "ROLE").([]any)
		return role[0] == "slave" && role[3] == "connected"
	})
}

// clusterKilled kills a master: what was not sent reaches the replica that takes over.
func clusterKilled(t *testing.T, c *redisCluster) {
	p := c.pool(t, upstream.Config{Hold: 15 * time.Second})
	l := p.Link(2, 0)
	do(t, l, cmd("PING"))
	slot := c.first(0)
	before := p.NodeOf(slot)
	ctx, cancel := context.WithCancel(t.Context())
	others := slices.Concat(c.keys(12)[1:]...)
	var wg sync.WaitGroup
	for i := range 2 { // whose commands go to the others, but wait while these say that the cluster is down
		wg.Go(func() {
			if err := count(ctx, p.Link(2, 0), func(n int) string { return others[12*i+n] }); err != nil {
				t.Error(err)
			}
		})
	}
	c.nodes[c.masterOf(t, slot)].kill()
	until(t, "the loss is noticed", func() bool { up, _ := before.Health(); return !up })
	start := time.Now()
	var b upstream.Batch
	for _, keys := range c.keys(1) {
		unit(&b, keys[0], "SET", keys[0], "v")
	}
	if err := l.Do(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	for i, got := range texts(&b) {
		if got != "+OK\r\n" {
			t.Errorf("reply %d: got %q, %v", i, got, b.Replies[i].Err)
		}
	}
	t.Logf("back after %v", time.Since(start))
	until(t, "every slot is served", func() bool { up, _ := p.Health(); return up })
	cancel()
	wg.Wait()
}
