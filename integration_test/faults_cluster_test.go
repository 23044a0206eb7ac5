package integration_test

import (
	"testing"
	"time"
)

// Cluster: CLUSTER FAILOVER and moves of slots lose nothing.
func TestFaults_Cluster(t *testing.T) {
	t.Parallel()
	eachSeed(t, func(t *testing.T, seed uint64) {
		up := startCluster(t, 3, 3, setup{relayed: true})
		g := startGate(t, "upstream: {url: \""+up.url()+"\""+patientGate)
		clusterScene(t, up, g.addr, seed).play()
	})
}

func clusterScene(t *testing.T, up *clusterSetup, addr string, seed uint64) *scene {
	s := newScene(t, addr, seed)
	s.settle = up.settle
	slot := func() int { return slotOf(s.w.list[s.chance.IntN(len(s.w.list))].tag) } // one with keys in it
	master := func() *clusterNode { return up.nodeOf(t, slot()) }
	s.faults = append(s.cuts(func() *relay { return master().relay }),
		mishap{name: "CLUSTER FAILOVER", may: waiting, run: func() (unknown time.Time) {
			up.failover(t, up.replicaOf(t, master()))
			return
		}},
		mishap{name: "slots move", may: waiting, run: func() (unknown time.Time) {
			for range 5 {
				moved := slot()
				from := up.nodeOf(t, moved)
				up.migrate(t, moved, from, up.another(t, from))
			}
			return
		}},
		mishap{name: "a slot moves slowly", may: waiting, run: func() (unknown time.Time) {
			moved := slot()
			from := up.nodeOf(t, moved)
			to := up.another(t, from)
			up.beginMigration(t, moved, from, to)
			for range 20 { // keys come and go meanwhile
				up.moveKeys(t, moved, from, to, 1)
				s.pass(10 * time.Millisecond)
			}
			for up.moveKeys(t, moved, from, to, 10) > 0 {
			}
			up.endMigration(t, moved, from, to)
			return
		}},
		mishap{name: "SIGKILL of a master", may: everybody, lossy: true, run: func() time.Time {
			moved := slot()
			old := up.nodeOf(t, moved)
			old.kill(t)
			up.nodeOf(t, moved)
			over := time.Now()
			old.start(t)
			return over
		}},
		mishap{name: "SIGSTOP of a master", may: everybody, lossy: true, run: func() time.Time {
			moved := slot()
			old := up.nodeOf(t, moved)
			old.stop(t)
			s.pass(freezeTime(t))
			up.newMaster(t, moved, old)
			old.cont(t)
			up.nodeOf(t, moved) // the old master has heard of the new one
			return time.Now()
		}},
		mishap{name: "SIGKILL of a replica", run: func() (unknown time.Time) {
			n := up.replicaOf(t, master())
			n.kill(t)
			n.start(t)
			return
		}})
	return s
}
