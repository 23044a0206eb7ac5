package integration_test

import (
	"testing"
	"time"
)

// The harness does what its names say: a planned failover, an unplanned one and a return.
func TestHarness_Sentinel(t *testing.T) {
	t.Parallel()
	s := startSentinel(t, setup{password: "open: se/same", relayed: true})
	old := s.master(t)
	if s.failover(t) == old {
		t.Error("the master is the old one")
	}
	s.settle(t)
	old = s.master(t)
	begin := time.Now()
	old.kill(t)
	s.newMaster(t, old)
	t.Logf("%v from the master's death to a new one", time.Since(begin))
	old.start(t)
	s.settle(t)
}

// A slot moves with its key, a replica takes over, a master dies and comes back.
func TestHarness_Cluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, 3, setup{password: "open: se/same", relayed: true})
	slot := slotOf("{a}b")
	from := c.nodeOf(t, slot)
	from.must(t, "SET", "{a}b", "v")
	to := c.another(t, from)
	c.migrate(t, slot, from, to)
	if got := to.must(t, "GET", "{a}b").text; got != "v" {
		t.Errorf("GET = %q", got)
	}
	c.settle(t)
	c.failover(t, c.replicaOf(t, to))
	c.settle(t)
	old := c.nodeOf(t, slot)
	begin := time.Now()
	old.kill(t)
	c.nodeOf(t, slot)
	t.Logf("%v from a master's death to a new one", time.Since(begin))
	old.start(t)
	c.settle(t)
}

// The relay fails those who come as clients, and no peers.
func TestHarness_Relay(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	relay := startRelay(t, r.addr)
	direct := dial(t, r.addr)
	c := dial(t, relay.addr)
	c.want(ok, "SET", "a", "v")

	relay.set(fault{kind: stall})
	c.send(encode("SET", "a", "w"))
	direct.want(bulk("v"), "GET", "a")
	relay.set(fault{})
	if got := c.read(); got != ok {
		t.Errorf("after a stall: %q", got)
	}

	relay.set(fault{kind: corruptAt, at: 4})
	c.want("$1\r\n\xf7\r\n", "GET", "a")
	c.want(bulk("w"), "GET", "a")

	relay.set(fault{kind: double})
	c.want(bulk("w"), "GET", "a")
	if got := c.read(); got != bulk("w") {
		t.Errorf("the second time: %q", got)
	}

	relay.set(fault{kind: resetAt, at: 3})
	c.send(encode("GET", "a"))
	if buf := make([]byte, 10); true {
		n, _ := c.r.Read(buf)
		if _, err := c.r.Read(buf[n:]); n > 3 || err == nil {
			t.Errorf("%d bytes, then %v", n, err)
		}
	}

	relay.set(fault{kind: mute})
	silent := dial(t, relay.addr)
	silent.send("PING\r\n")
	relay.set(fault{kind: refuse})
	if _, err := silent.r.ReadByte(); err == nil {
		t.Error("a connection that was muted has spoken")
	}
	relay.set(fault{kind: drop})
	c = dial(t, relay.addr)
	c.send(encode("SET", "a", "x"))
	eventually(t, "it is lost", func() bool { return relay.dropped.Load() > 0 })
	relay.set(fault{kind: lag, delay: time.Millisecond})
	if _, err := c.r.ReadByte(); err == nil {
		t.Error("what was dropped has been answered")
	}
	dial(t, relay.addr).want(pong, "PING")
}
