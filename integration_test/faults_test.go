package integration_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Two variables of the environment make the tests of faults longer: SESSIONGATE_TEST_ROUNDS (crash_test.go) is how many
// random faults there are for each kind of upstream, SESSIONGATE_TEST_FREEZE how long a server is stopped or cut off.
var freezeSetting = take("SESSIONGATE_TEST_FREEZE")

// faultRounds is how many faults there are: SESSIONGATE_TEST_ROUNDS, or one of each kind.
func faultRounds(t testing.TB, kinds int) int {
	t.Helper()
	if roundsSetting == "" {
		return kinds
	}
	n, err := strconv.Atoi(roundsSetting)
	if err != nil || n < 1 {
		t.Fatalf("SESSIONGATE_TEST_ROUNDS: %q is not a number of rounds", roundsSetting)
	}
	return n
}

// freezeTime is longer than the gate waits for a reply and than sentinels and nodes wait for each other.
func freezeTime(t testing.TB) time.Duration {
	t.Helper()
	if freezeSetting == "" {
		return 2500 * time.Millisecond
	}
	d, err := time.ParseDuration(freezeSetting)
	if err != nil {
		t.Fatalf("SESSIONGATE_TEST_FREEZE: %v", err)
	}
	return d
}

// patientGate is the configuration of the gate in these tests, but for the upstream's URL.
const patientGate = ", hold: 2s, connect_timeout: 500ms, read_timeout: 1s}\n"

// unreplicated is how long before a fault a write may have been acknowledged that has not reached a replica.
const unreplicated = time.Second

// scene is a kind of upstream under load, with what may happen to it.
type scene struct {
	t      *testing.T
	w      *witnesses
	chance *rand.Rand
	faults []mishap
	settle func(testing.TB)
	spans  []span // in which Redis may have lost what it acknowledged
}

// mishap is a fault from its beginning to its end.
type mishap struct {
	name  string
	lossy bool                    // Redis itself may lose writes: replication is asynchronous
	may   allowance               // which errors are in order
	run   func() (over time.Time) // over is when the right server was known to everyone who asks; zero for now
}

type span struct{ from, to time.Time }

// play has one fault after the other, each of them once or as many as are asked for.
func (s *scene) play() {
	n := faultRounds(s.t, len(s.faults))
	order := s.chance.Perm(len(s.faults))
	for i := range n {
		f := s.faults[order[i%len(order)]]
		if i >= len(order) {
			f = s.faults[s.chance.IntN(len(s.faults))]
		}
		s.round(f)
		if s.w.troubled() {
			break // what comes next would only hide it
		}
	}
	s.w.finish(s.t)
	s.judgeLosses("in the end", s.w.losses())
	s.t.Logf("%d replies, %d errors, %d garbled, %d connections lost, slowest %v",
		s.w.done.Load(), s.w.failed.Load(), s.w.garbled.Load(), s.w.reconnects.Load(), time.Duration(s.w.slowest.Load()))
}

func (s *scene) round(f mishap) {
	s.w.slowest.Store(0)
	done := s.w.done.Load()
	eventually(s.t, "there is load", func() bool { return s.w.done.Load() > done+200 || s.w.troubled() })
	s.w.allow(f.may)
	begin := time.Now()
	over := f.run()
	healed := time.Now()
	if over.IsZero() {
		over = healed
	}
	back := s.w.recovered(s.t, healed)
	s.w.allow(nobody)
	if f.lossy {
		s.spans = append(s.spans, span{begin.Add(-unreplicated), over.Add(500 * time.Millisecond)})
	}
	s.settle(s.t)
	s.w.settled.Add(1)
	done = s.w.done.Load()
	eventually(s.t, "there is load", func() bool { return s.w.done.Load() > done+200 || s.w.troubled() })
	lost := s.w.losses()
	s.judgeLosses(f.name, lost)
	s.t.Logf("%-40s %6d ms, all served %4d ms after, slowest %5d ms, %d acknowledged writes lost, %s", f.name,
		over.Sub(begin).Milliseconds(), max(0, back.Sub(over)).Milliseconds(), s.w.slowest.Load()/1e6, len(lost), s.w.seen())
}

// judgeLosses holds the missing writes against the times at which Redis may have lost some.
func (s *scene) judgeLosses(when string, lost []time.Time) {
	for _, at := range lost {
		if !slices.ContainsFunc(s.spans, func(p span) bool { return at.After(p.from) && at.Before(p.to) }) {
			s.t.Errorf("%s: a write acknowledged at %s is missing, which Redis doesn't lose (windows %s)", when, at.Format("15:04:05.000"), s.windows())
			return
		}
	}
}

func (s *scene) windows() string {
	var parts []string
	for _, p := range s.spans {
		parts = append(parts, p.from.Format("15:04:05.000")+" to "+p.to.Format("15:04:05.000"))
	}
	return strings.Join(parts, ", ")
}

func (w *witnesses) troubled() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.problems) > 0
}

// cuts are the faults of a network, at the relay that hit returns.
func (s *scene) cuts(hit func() *relay) []mishap {
	lasting := func(f fault) func() time.Time {
		return func() (unknown time.Time) {
			r := hit()
			r.set(f)
			if f.kind == mute {
				r.reset()
			}
			s.pass(freezeTime(s.t))
			r.set(fault{})
			return
		}
	}
	once := func(kind faultKind) func() time.Time {
		return func() (unknown time.Time) {
			r := hit()
			r.set(fault{kind: kind, at: s.chance.IntN(20_000)})
			eventually(s.t, "the relay strikes", r.struck)
			r.set(fault{})
			return
		}
	}
	return []mishap{
		{name: "network stalls", may: everybody, run: lasting(fault{kind: stall})},
		{name: "network drops", may: everybody, run: lasting(fault{kind: drop})},
		{name: "network is half-open", may: everybody, run: lasting(fault{kind: mute})},
		{name: "network refuses", may: everybody, run: lasting(fault{kind: refuse})},
		{name: "network is slow", run: lasting(fault{kind: lag, delay: 30 * time.Millisecond})},
		{name: "network resets in a reply", may: everybody, run: once(resetAt)},
		{name: "network corrupts a reply", may: everybody, run: once(corruptAt)},
	}
}

// pass lets a fault last.
func (s *scene) pass(d time.Duration) { <-time.After(d) }

// frozen stops a node for a while.
func (s *scene) frozen(n *node) {
	n.stop(s.t)
	s.pass(freezeTime(s.t))
	n.cont(s.t)
}

func eachSeed(t *testing.T, run func(t *testing.T, seed uint64)) {
	for _, seed := range randomSeeds(t) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			run(t, seed)
		})
	}
}

// A single server that writes to its disk before it answers loses nothing, and the gate neither.
func TestFaults_Standalone(t *testing.T) {
	t.Parallel()
	eachSeed(t, func(t *testing.T, seed uint64) {
		n := newNode(t, setup{relayed: true, lines: []string{"appendfsync always"}})
		n.start(t)
		g := startGate(t, "upstream: {url: redis://"+n.shown()+patientGate)
		s := newScene(t, g.addr, seed)
		s.faults = append(s.cuts(func() *relay { return n.relay }),
			mishap{name: "SIGKILL and restart", may: everybody, run: func() (unknown time.Time) {
				n.kill(t)
				n.start(t)
				return
			}},
			mishap{name: "SIGSTOP", may: everybody, run: func() (unknown time.Time) {
				s.frozen(n)
				return
			}})
		s.play()
	})
}

func newScene(t *testing.T, addr string, seed uint64) *scene {
	t.Helper()
	return &scene{t: t, w: startWitnesses(t, addr, 12, seed), chance: rand.New(rand.NewPCG(seed, 99)), settle: func(testing.TB) {}}
}

// One corrupt byte after the other, wherever it strikes, costs errors at the most: no reply of one client reaches another.
func TestFaults_ManyBytes(t *testing.T) {
	t.Parallel()
	eachSeed(t, func(t *testing.T, seed uint64) {
		r := startRedis(t)
		relay := startRelay(t, r.addr)
		s := newScene(t, startGate(t, "upstream: {url: redis://"+relay.addr+patientGate).addr, seed)
		s.w.allow(everybody)
		for range 30 {
			relay.set(fault{kind: corruptAt, at: s.chance.IntN(1000)})
			eventually(t, "the relay strikes", relay.struck)
			relay.set(fault{})
			s.w.recovered(t, time.Now())
			if s.w.troubled() {
				break
			}
		}
		s.w.finish(t)
		s.judgeLosses("in the end", s.w.losses())
		t.Logf("%d replies, %d garbled, %s", s.w.done.Load(), s.w.garbled.Load(), s.w.seen())
	})
}
