package integration_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// masterName is what the sentinels call the master.
const masterName = "mymaster"

// sentinelSetup is a master, two replicas and the three sentinels that watch them, all real and on loopback.
//
//	s := startSentinel(t, setup{})
//	g := startGate(t, s.upstream())
//	s.failover(t) // planned
//	s.master(t).kill(t) // and unplanned
type sentinelSetup struct {
	setup
	nodes     []*node // nodes[0] is the master at first
	sentinels []*redisServer
}

// startSentinel returns as soon as everyone knows everyone.
func startSentinel(t testing.TB, with setup) *sentinelSetup {
	t.Helper()
	s := newSentinelSetup(t, with)
	s.start(t)
	return s
}

// newSentinelSetup chooses ports and writes configurations; nothing runs yet.
func newSentinelSetup(t testing.TB, with setup) *sentinelSetup {
	t.Helper()
	s := &sentinelSetup{setup: with}
	for i := range 3 {
		var lines []string
		if i > 0 {
			lines = append(lines, "replicaof 127.0.0.1 "+s.nodes[0].shownPort())
		}
		n := newNode(t, with, lines...)
		n.announce(t, "replica-announce-ip 127.0.0.1", "replica-announce-port "+n.shownPort())
		s.nodes = append(s.nodes, n)
	}
	for range 3 {
		s.sentinels = append(s.sentinels, newSentinel(t, s.nodes[0], with))
	}
	return s
}

// servers are the nodes.
func (s *sentinelSetup) servers() (list []*redisServer) {
	for _, n := range s.nodes {
		list = append(list, n.redisServer)
	}
	return list
}

func (s *sentinelSetup) start(t testing.TB) {
	t.Helper()
	startAll(t, append(s.servers(), s.sentinels...))
	for _, sentinel := range s.sentinels {
		hasten(t, sentinel)
	}
	s.settle(t)
}

func newSentinel(t testing.TB, master *node, with setup) *redisServer {
	t.Helper()
	s := &redisServer{port: freePort(t)}
	s.addr = loopback(s.port)
	lines := []string{
		"port " + strconv.Itoa(s.port), "bind 127.0.0.1", "protected-mode no", "bind-source-addr " + peerAddress, "dir " + t.TempDir(),
		"sentinel announce-ip 127.0.0.1", "sentinel announce-port " + strconv.Itoa(s.port),
		"sentinel monitor " + masterName + " 127.0.0.1 " + master.shownPort() + " 2",
		"sentinel down-after-milliseconds " + masterName + " 1000",
		"sentinel failover-timeout " + masterName + " 4000",
		"sentinel parallel-syncs " + masterName + " 2",
	}
	if with.password != "" {
		lines = append(lines, "sentinel auth-pass "+masterName+" "+strconv.Quote(with.password))
	}
	s.args = []string{writeFile(t, "sentinel.conf", strings.Join(lines, "\n")+"\n"), "--sentinel"}
	t.Cleanup(func() {
		if s.process != nil {
			s.kill(t)
		}
	})
	return s
}

// hasten has a sentinel look more often than every second or ten, and not take a busy machine for a clock that jumped.
func hasten(t testing.TB, sentinel *redisServer) {
	t.Helper()
	if _, err := askServer(sentinel.addr, "", "SENTINEL", "DEBUG", "INFO-PERIOD", "500", "PUBLISH-PERIOD", "300", "PING-PERIOD", "200",
		"TILT-TRIGGER", "30000"); err != nil {
		t.Fatal(err)
	}
}

// url is what the configuration takes.
func (s *sentinelSetup) url() string {
	addrs := make([]string, len(s.sentinels))
	for i, sentinel := range s.sentinels {
		addrs[i] = sentinel.addr
	}
	return "redis-sentinel://" + s.auth() + strings.Join(addrs, ",") + "/0?master=" + masterName
}

func (s *sentinelSetup) upstream() string { return "upstream: " + s.url() + "\n" }

// settle waits until all sentinels agree that one node is the master and that all the others replicate it.
func (s *sentinelSetup) settle(t testing.TB) {
	t.Helper()
	why := ""
	defer func() {
		if t.Failed() && why != "" {
			t.Log(why)
		}
	}()
	eventually(t, "the sentinels and nodes agree", func() bool {
		why = s.unsettled()
		return why == ""
	})
}

// unsettled says what is not as it is to be, nothing if all is well.
func (s *sentinelSetup) unsettled() string {
	master := s.agreed()
	if master == nil || !master.says("INFO replication", "role:master", "connected_slaves:"+strconv.Itoa(len(s.nodes)-1)) {
		return "no master with all replicas"
	}
	for _, n := range s.nodes {
		if n != master && !n.says("INFO replication", "role:slave", "master_port:"+master.shownPort()+"\r", "master_link_status:up") {
			return n.addr + " is no replica in step"
		}
	}
	for _, sentinel := range s.sentinels {
		v, err := askServer(sentinel.addr, "", "SENTINEL", "MASTER", masterName)
		if err != nil || field(v, "flags") != "master" || field(v, "num-slaves") != "2" || field(v, "num-other-sentinels") != "2" {
			return fmt.Sprintf("the sentinel %s: %v, flags %s, %s replicas, %s other sentinels", sentinel.addr, err, field(v, "flags"),
				field(v, "num-slaves"), field(v, "num-other-sentinels"))
		}
		if v, err = askServer(sentinel.addr, "", "SENTINEL", "REPLICAS", masterName); err != nil {
			return err.Error()
		}
		for _, replica := range v.elems {
			if field(replica, "flags") != "slave" || field(replica, "master-link-status") != "ok" {
				return fmt.Sprintf("the sentinel %s: replica %s has flags %s, link %s", sentinel.addr, field(replica, "name"), field(replica, "flags"),
					field(replica, "master-link-status"))
			}
		}
	}
	return ""
}

func field(v value, name string) string {
	f, _ := v.field(name)
	return f.text
}

// agreed returns the node that all running sentinels name as master; nil if they differ.
func (s *sentinelSetup) agreed() *node {
	port := ""
	for _, sentinel := range s.sentinels {
		if sentinel.ended() {
			continue
		}
		v, err := askServer(sentinel.addr, "", "SENTINEL", "GET-MASTER-ADDR-BY-NAME", masterName)
		if err != nil || len(v.elems) != 2 || port != "" && v.elems[1].text != port {
			return nil
		}
		port = v.elems[1].text
	}
	for _, n := range s.nodes {
		if n.shownPort() == port {
			return n
		}
	}
	return nil
}

// master returns the node that is the master by all sentinels.
func (s *sentinelSetup) master(t testing.TB) (master *node) {
	t.Helper()
	eventually(t, "the sentinels agree on a master", func() bool {
		master = s.agreed()
		return master != nil
	})
	return master
}

// failover has the sentinels make another node the master, as an operator does before maintenance, and waits until all of
// them name it. It returns the new master.
func (s *sentinelSetup) failover(t testing.TB) *node {
	t.Helper()
	old := s.master(t)
	eventually(t, "a sentinel takes SENTINEL FAILOVER", func() bool { // none does while the one before goes on
		_, err := askServer(s.sentinels[0].addr, "", "SENTINEL", "FAILOVER", masterName)
		return err == nil
	})
	return s.newMaster(t, old)
}

// newMaster waits until all sentinels that run have switched to another master than old, and it is one. While a failover goes
// on they name the new one already, but tell those who listen only when it is done.
func (s *sentinelSetup) newMaster(t testing.TB, old *node) (master *node) {
	t.Helper()
	eventually(t, "the sentinels have switched to another master", func() bool {
		master = s.agreed()
		if master == nil || master == old || !master.says("INFO replication", "role:master") {
			return false
		}
		for _, sentinel := range s.sentinels {
			if sentinel.ended() {
				continue
			}
			v, err := askServer(sentinel.addr, "", "SENTINEL", "MASTER", masterName)
			if err != nil || field(v, "port") != master.shownPort() || strings.Contains(field(v, "flags"), "failover") {
				return false
			}
		}
		return true
	})
	return master
}
