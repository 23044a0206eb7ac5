package integration_test

import (
	"strings"
	"testing"
	"time"
)

// failoverClients are as many as talk during the failovers that are timed.
const failoverClients = 50

// defaultHold is upstream.hold when nobody sets it.
const defaultHold = 5 * time.Second

// A planned Sentinel failover costs fifty clients some time, less than upstream.hold, and not one error.
func TestFailover_Planned(t *testing.T) {
	t.Parallel()
	up := startSentinel(t, setup{})
	w := startWitnesses(t, startGate(t, up.upstream()).addr, failoverClients, 1)
	for range 2 { // there, and away from there again
		underLoad(t, w, 2000)
		w.slowest.Store(0)
		w.allow(waiting)
		up.failover(t)
		w.recovered(t, time.Now())
		w.allow(nobody)
		up.settle(t)
		underLoad(t, w, 2000)
		slowest := time.Duration(w.slowest.Load())
		t.Logf("planned failover: longest stall %v, %d acknowledged writes lost, %s", slowest, len(w.losses()), w.seen())
		if slowest > defaultHold {
			t.Errorf("a client was held for %v, upstream.hold is %v", slowest, defaultHold)
		}
	}
	w.finish(t)
}

// Another master after the death of the old one: errors come between the two only.
func TestFailover_Unplanned(t *testing.T) {
	t.Parallel()
	up := startSentinel(t, setup{})
	w := startWitnesses(t, startGate(t, up.upstream()).addr, failoverClients, 1)
	underLoad(t, w, 2000)
	w.slowest.Store(0)
	old := up.master(t)
	w.allow(everybody)
	begin := time.Now()
	old.kill(t)
	up.newMaster(t, old)
	known := time.Now()
	back := w.recovered(t, known) // whoever has asked before may have been told an error still
	w.allow(nobody)
	underLoad(t, w, 2000)
	t.Logf("unplanned failover: %v until the new master was known, all served %v after, longest stall %v, %d acknowledged writes lost, %s",
		known.Sub(begin), back.Sub(known), time.Duration(w.slowest.Load()), len(w.losses()), w.seen())
	old.start(t)
	up.settle(t)
	underLoad(t, w, 2000)
	w.finish(t)
}

// A cluster's replica takes over when asked to: nothing is lost.
func TestFailover_Cluster(t *testing.T) {
	t.Parallel()
	up := startCluster(t, 3, 3, setup{})
	w := startWitnesses(t, startGate(t, up.upstream()).addr, failoverClients, 1)
	underLoad(t, w, 2000)
	for _, master := range up.masters() {
		w.slowest.Store(0)
		w.allow(waiting)
		up.failover(t, up.replicaOf(t, master))
		w.recovered(t, time.Now())
		w.allow(nobody)
		underLoad(t, w, 2000)
		slowest := time.Duration(w.slowest.Load())
		t.Logf("planned failover of one of three masters: longest stall %v, %s", slowest, w.seen())
		if slowest > defaultHold {
			t.Errorf("a client was held for %v, upstream.hold is %v", slowest, defaultHold)
		}
	}
	up.settle(t)
	w.finish(t)
	if lost := w.losses(); len(lost) > 0 {
		t.Errorf("%d acknowledged writes are missing", len(lost))
	}
}

// underLoad waits for so many more replies.
func underLoad(t testing.TB, w *witnesses, n int64) {
	t.Helper()
	done := w.done.Load()
	eventually(t, "there is load", func() bool { return w.done.Load() > done+n || w.troubled() })
}

// The gate starts before its upstream, says what is missing, and works once it is there.
func TestStart_Sentinel(t *testing.T) {
	t.Parallel()
	up := newSentinelSetup(t, setup{})
	c := startsWithout(t, up.upstream())
	up.start(t)
	eventually(t, "the upstream is used", func() bool { return c.do("SET", "a", "v") == ok })
	c.want(bulk("v"), "GET", "a")
}

// Sentinels alone are no upstream yet: the master they name is not there.
func TestStart_SentinelsFirst(t *testing.T) {
	t.Parallel()
	up := newSentinelSetup(t, setup{})
	startAll(t, up.sentinels)
	c := startsWithout(t, up.upstream())
	startAll(t, up.servers())
	eventually(t, "the upstream is used", func() bool { return c.do("SET", "a", "v") == ok })
	c.want(bulk("v"), "GET", "a")
}

func TestStart_Cluster(t *testing.T) {
	t.Parallel()
	up := newClusterSetup(t, 3, 0, setup{})
	c := startsWithout(t, up.upstream())
	up.start(t)
	for _, key := range []string{"a", "b", "c", "d"} { // on more than one node
		eventually(t, "the upstream is used", func() bool { return c.do("SET", key, "v") == ok })
		c.want(bulk("v"), "GET", key)
	}
}

// startsWithout starts a gate whose upstream isn't there and returns a client that has been told so.
func startsWithout(t *testing.T, upstream string) *conn {
	t.Helper()
	url := strings.TrimSpace(strings.TrimPrefix(upstream, "upstream:"))
	g := startGate(t, "upstream: {url: \""+url+"\", hold: 100ms, connect_timeout: 1s}\n")
	c := dial(t, g.addr)
	for _, line := range []string{"GET a", "SET a v", "MGET {t}a {t}b", "DBSIZE"} {
		c.wantPrefix("-ERR upstream unavailable: ", line)
	}
	c.wantPrefix("+PONG", "PING") // the client's own connection is fine
	return c
}
