package integration_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// clusterSetup is a Redis Cluster of real nodes on loopback.
//
//	c := startCluster(t, 3, 3, setup{})
//	g := startGate(t, c.upstream())
//	from := c.nodeOf(t, slotOf("a"))
//	c.migrate(t, slotOf("a"), from, c.another(t, from))
type clusterSetup struct {
	setup
	nodes        []*clusterNode
	firstMasters int // so many of the nodes are masters at first
}

type clusterNode struct {
	*node
	bus int    // port of the cluster bus
	id  string // as CLUSTER MYID gives it
}

const clusterSlots = 16384

// startCluster returns as soon as every node says that all slots are served and every replica is in step. The slots are
// spread evenly; replicas go to the masters in turn.
func startCluster(t testing.TB, masters, replicas int, with setup) *clusterSetup {
	t.Helper()
	c := newClusterSetup(t, masters, replicas, with)
	c.start(t)
	return c
}

// newClusterSetup chooses ports and writes configurations; nothing runs yet.
func newClusterSetup(t testing.TB, masters, replicas int, with setup) *clusterSetup {
	t.Helper()
	c := &clusterSetup{setup: with, firstMasters: masters}
	for range masters + replicas {
		n := &clusterNode{bus: freePort(t)}
		n.node = newNode(t, with, "cluster-enabled yes", "cluster-node-timeout 1500", "cluster-port "+strconv.Itoa(n.bus),
			"cluster-migration-barrier 100")
		n.announce(t, "cluster-announce-ip 127.0.0.1", "cluster-announce-port "+n.shownPort(), "cluster-announce-bus-port "+strconv.Itoa(n.bus))
		c.nodes = append(c.nodes, n)
	}
	return c
}

func (c *clusterSetup) start(t testing.TB) {
	t.Helper()
	var all []*redisServer
	for _, n := range c.nodes {
		all = append(all, n.redisServer)
	}
	startAll(t, all)
	masters := c.firstMasters
	for i, n := range c.nodes {
		n.id = n.must(t, "CLUSTER", "MYID").text
		n.must(t, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		if i > 0 {
			c.nodes[0].must(t, "CLUSTER", "MEET", "127.0.0.1", n.shownPort(), strconv.Itoa(n.bus))
		}
		if i < masters {
			first, after := i*clusterSlots/masters, (i+1)*clusterSlots/masters
			n.must(t, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(after-1))
		}
	}
	for i, replica := range c.nodes[masters:] {
		eventually(t, "CLUSTER REPLICATE is taken", func() bool { // as soon as it has heard of its master
			_, err := replica.ask("CLUSTER", "REPLICATE", c.nodes[i%masters].id)
			return err == nil
		})
	}
	c.settle(t)
}

// url names the first three nodes, as a user would.
func (c *clusterSetup) url() string {
	var addrs []string
	for _, n := range c.nodes[:min(3, len(c.nodes))] {
		addrs = append(addrs, n.shown())
	}
	return "redis-cluster://" + c.auth() + strings.Join(addrs, ",")
}

func (c *clusterSetup) upstream() string { return "upstream: " + c.url() + "\n" }

// must is ask for what ought to work.
func (n *clusterNode) must(t testing.TB, args ...string) value {
	t.Helper()
	v, err := n.ask(args...)
	if err != nil {
		t.Fatalf("%s to %s: %v", cli(args), n.addr, err)
	}
	return v
}

// settle waits until all nodes are there, agree on who serves which slot, and every replica is in step with its master.
func (c *clusterSetup) settle(t testing.TB) {
	t.Helper()
	eventually(t, "the cluster is of one mind", func() bool {
		views := map[string]bool{}
		for _, n := range c.nodes {
			if !n.says("CLUSTER INFO", "cluster_state:ok", "cluster_slots_ok:16384", "cluster_known_nodes:"+strconv.Itoa(len(c.nodes))) {
				return false
			}
			v, err := n.ask("CLUSTER", "NODES")
			if err != nil || strings.Contains(v.text, "fail") || strings.Contains(v.text, "handshake") || strings.Contains(v.text, "->-") || strings.Contains(v.text, "-<-") {
				return false
			}
			views[owners(v.text)] = true
			if n.says("INFO replication", "role:slave") && !n.says("INFO replication", "master_link_status:up") {
				return false
			}
		}
		return len(views) == 1
	})
}

// owners is what CLUSTER NODES says of who has which slots and who replicates whom, in the order of IDs.
func owners(nodes string) string {
	lines := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(nodes), "\n") {
		f := strings.Fields(line)
		lines[f[0]] = strings.ReplaceAll(f[2], "myself,", "") + " " + f[3] + " " + strings.Join(f[8:], " ")
	}
	return fmt.Sprint(lines) // maps are printed in the order of their keys
}

// myself is what a node says of itself in CLUSTER NODES: its flags and its ranges of slots.
func (n *clusterNode) myself() (flags string, slots []string) {
	v, err := n.ask("CLUSTER", "NODES")
	if err != nil {
		return "", nil
	}
	for _, line := range strings.Split(v.text, "\n") {
		if f := strings.Fields(line); len(f) > 7 && strings.Contains(f[2], "myself") {
			return f[2], f[8:]
		}
	}
	return "", nil
}

func (n *clusterNode) isMaster() bool {
	flags, _ := n.myself()
	return strings.Contains(flags, "master")
}

// has reports whether the node serves the slot by its own word.
func (n *clusterNode) has(slot int) bool {
	if n.ended() {
		return false
	}
	flags, slots := n.myself()
	for _, r := range slots {
		first, last, found := strings.Cut(r, "-")
		from, err := strconv.Atoi(first)
		to, errTo := strconv.Atoi(last)
		if !found {
			to, errTo = from, nil
		}
		if err == nil && errTo == nil && from <= slot && slot <= to {
			return strings.Contains(flags, "master")
		}
	}
	return false
}

// nodeOf returns the node that serves a slot.
func (c *clusterSetup) nodeOf(t testing.TB, slot int) (owner *clusterNode) {
	t.Helper()
	eventually(t, "one node has slot "+strconv.Itoa(slot), func() bool {
		owner = nil
		for _, n := range c.nodes {
			if n.has(slot) {
				if owner != nil {
					return false
				}
				owner = n
			}
		}
		return owner != nil
	})
	return owner
}

// newMaster waits until another node than old, which is not asked, serves a slot.
func (c *clusterSetup) newMaster(t testing.TB, slot int, old *clusterNode) {
	t.Helper()
	eventually(t, "another node has slot "+strconv.Itoa(slot), func() bool {
		for _, n := range c.nodes {
			if n != old && n.has(slot) {
				return true
			}
		}
		return false
	})
}

// masters returns the nodes that are masters by their own word.
func (c *clusterSetup) masters() (list []*clusterNode) {
	for _, n := range c.nodes {
		if !n.ended() && n.isMaster() {
			list = append(list, n)
		}
	}
	return list
}

// another returns a master that isn't this one.
func (c *clusterSetup) another(t testing.TB, not *clusterNode) *clusterNode {
	t.Helper()
	for _, n := range c.masters() {
		if n != not {
			return n
		}
	}
	t.Fatal("the cluster has no other master")
	return nil
}

// replicaOf returns a replica of a master.
func (c *clusterSetup) replicaOf(t testing.TB, master *clusterNode) (replica *clusterNode) {
	t.Helper()
	eventually(t, "a replica of "+master.addr+" is in step", func() bool {
		for _, n := range c.nodes {
			if n != master && !n.ended() && n.says("INFO replication", "role:slave", "master_port:"+master.shownPort()+"\r", "master_link_status:up") {
				replica = n
				return true
			}
		}
		return false
	})
	return replica
}

// migrate moves a slot under way of service, in the steps that redis-cli --cluster reshard takes.
func (c *clusterSetup) migrate(t testing.TB, slot int, from, to *clusterNode) {
	t.Helper()
	c.beginMigration(t, slot, from, to)
	for c.moveKeys(t, slot, from, to, 10) > 0 {
	}
	c.endMigration(t, slot, from, to)
}

// beginMigration opens the slot: from now on there are ASK redirections.
func (c *clusterSetup) beginMigration(t testing.TB, slot int, from, to *clusterNode) {
	t.Helper()
	to.must(t, "CLUSTER", "SETSLOT", strconv.Itoa(slot), "IMPORTING", from.id)
	from.must(t, "CLUSTER", "SETSLOT", strconv.Itoa(slot), "MIGRATING", to.id)
}

// moveKeys moves at most n keys of an open slot and returns how many it has moved.
func (c *clusterSetup) moveKeys(t testing.TB, slot int, from, to *clusterNode, n int) int {
	t.Helper()
	keys := from.must(t, "CLUSTER", "GETKEYSINSLOT", strconv.Itoa(slot), strconv.Itoa(n)).strings()
	if len(keys) == 0 {
		return 0
	}
	args := []string{"MIGRATE", "127.0.0.1", strconv.Itoa(to.port), "", "0", "5000"}
	if c.password != "" {
		args = append(args, "AUTH", c.password)
	}
	from.must(t, append(append(args, "KEYS"), keys...)...)
	return len(keys)
}

// endMigration closes the slot: from now on there are MOVED redirections. The new owner is told first, as Redis's
// documentation wants it, so that the slot is never nobody's.
func (c *clusterSetup) endMigration(t testing.TB, slot int, from, to *clusterNode) {
	t.Helper()
	for _, n := range append([]*clusterNode{to, from}, c.masters()...) {
		n.must(t, "CLUSTER", "SETSLOT", strconv.Itoa(slot), "NODE", to.id)
	}
}

// failover makes a replica the master in its master's place, without a loss, and waits until it is.
func (c *clusterSetup) failover(t testing.TB, replica *clusterNode) {
	t.Helper()
	var asked time.Time
	eventually(t, "the replica takes over", func() bool {
		if time.Since(asked) > 6*time.Second { // Redis gives up after five
			if _, err := replica.ask("CLUSTER", "FAILOVER"); err == nil {
				asked = time.Now()
			}
		}
		return replica.isMaster()
	})
}

// slotOf is the slot of a key: CRC16 of what stands in its first braces, if anything does, or else of all of it.
func slotOf(key string) int {
	if _, after, found := strings.Cut(key, "{"); found {
		if tag, _, closed := strings.Cut(after, "}"); closed && tag != "" {
			key = tag
		}
	}
	var crc uint16 // CCITT, as in XMODEM
	for _, b := range []byte(key) {
		crc ^= uint16(b) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc) % clusterSlots
}
