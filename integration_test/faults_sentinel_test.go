package integration_test

import (
	"testing"
	"time"
)

// Sentinel: planned failovers cost no errors; unplanned ones lose what had not reached the replica.
func TestFaults_Sentinel(t *testing.T) {
	t.Parallel()
	eachSeed(t, func(t *testing.T, seed uint64) {
		up := startSentinel(t, setup{relayed: true})
		g := startGate(t, "upstream: {url: \""+up.url()+"\""+patientGate)
		sentinelScene(t, up, g.addr, seed).play()
	})
}

func sentinelScene(t *testing.T, up *sentinelSetup, addr string, seed uint64) *scene {
	s := newScene(t, addr, seed)
	s.settle = up.settle
	replica := func() *node {
		master := up.master(t)
		for {
			if n := up.nodes[s.chance.IntN(len(up.nodes))]; n != master {
				return n
			}
		}
	}
	s.faults = append(s.cuts(func() *relay { return up.master(t).relay }),
		// Sentinel has the old master go on until the new one is known, so Redis 7.0 loses writes here too.
		mishap{name: "SENTINEL FAILOVER", may: waiting, lossy: true, run: func() time.Time {
			up.failover(t)
			return time.Now()
		}},
		mishap{name: "SIGKILL of the master", may: everybody, lossy: true, run: func() time.Time {
			old := up.master(t)
			old.kill(t)
			up.newMaster(t, old)
			over := time.Now()
			old.start(t)
			return over
		}},
		mishap{name: "SIGSTOP of the master", may: everybody, lossy: true, run: func() time.Time {
			old := up.master(t)
			old.stop(t)
			s.pass(freezeTime(t))
			up.newMaster(t, old)
			over := time.Now()
			old.cont(t)
			return over
		}},
		mishap{name: "SIGKILL of a replica", run: func() (unknown time.Time) {
			n := replica()
			n.kill(t)
			n.start(t)
			return
		}},
		mishap{name: "SIGKILL of a sentinel", run: func() (unknown time.Time) {
			n := up.sentinels[s.chance.IntN(len(up.sentinels))]
			n.kill(t)
			n.start(t)
			hasten(t, n)
			return
		}},
		mishap{name: "SIGSTOP of a sentinel", run: func() (unknown time.Time) {
			s.frozen(&node{redisServer: up.sentinels[s.chance.IntN(len(up.sentinels))]})
			return
		}})
	return s
}
