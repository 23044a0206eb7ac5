package proxy

import (
	"net"
	"testing"
	"time"

	"sessiongate/command"
	"sessiongate/policy"
)

// counting is a session that has nothing but what counting needs.
func counting(t testing.TB, metrics bool) (*Session, *Tenant) {
	t.Helper()
	p, err := policy.New(policy.Config{Rules: []policy.RuleConfig{{Name: "web", Keys: []string{"sess:*"}, Expiry: &policy.ExpiryConfig{}}, {Name: "rest", Expiry: &policy.ExpiryConfig{}}}})
	if err != nil {
		t.Fatal(err)
	}
	tenant, err := NewTenant(TenantConfig{Name: "shop", Rules: p})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Defaults()
	cfg.Metrics = metrics
	srv := &Server{cfg: cfg, started: time.Now(), nobody: newTally(), measures: metrics}
	client, _ := net.Pipe()
	t.Cleanup(func() { client.Close() })
	return &Session{srv: srv, conn: client, in: newReader(client, cfg.Limits), tenant: tenant, flight: &flight{}}, tenant
}

// batchOf goes through what is done for n commands that travel together.
func (s *Session) batchOf(spec *command.Spec, n int) {
	if s.srv.measures {
		s.flight.began = s.srv.elapsed() // begin reads the clock anyhow
	}
	s.slots = s.slots[:0]
	for range n {
		s.slots = append(s.slots, slot{spec: spec})
		s.count(spec, Rewritten, namespaced|restated, 1)
	}
	s.batch.Count = n
	s.departs()
	s.landed()
	s.settleAccount()
}

func TestTally(t *testing.T) {
	s, tenant := counting(t, true)
	get, set := command.ByName("GET"), command.ByName("SET")
	s.count(get, Passed, 0, 2)
	s.count(nil, Unknown, 0, 0)
	s.batchOf(set, 3)
	s.in.total = 70
	s.acct.bytesOut.Add(50)
	s.settleAccount()

	server := &Server{nobody: newTally()}
	server.tenants.Store(newTenants([]*Tenant{tenant}, nil))
	f := server.Figures()[0]
	if f.Verdicts != [Verdicts]int64{Passed: 1, Rewritten: 3, Unknown: 1} || f.Rewrites != [rewriteKinds]int64{3, 3} || f.BytesIn != 70 || f.BytesOut != 50 {
		t.Errorf("got %+v", f)
	}
	if len(f.Hits) != 2 || f.Hits[0] != 3 || f.Hits[1] != 1 {
		t.Errorf("hits by rule are %v, want 3 and 1", f.Hits)
	}
	if n := f.Total.Counts[0] + f.Total.Counts[1]; n != 3 || f.Total.Sum <= 0 {
		t.Errorf("latencies are %+v, want 3 commands in the first buckets", f.Total)
	}
	if got := s.acct.commands.Load(); got != 5 {
		t.Errorf("the client has %d commands, want 5", got)
	}
}

// After a reload a rule goes on counting if there is one of its name.
func TestTally_Reload(t *testing.T) {
	s, before := counting(t, true)
	s.count(command.ByName("GET"), Passed, 0, 2)
	s.settleCounts()
	rules, err := policy.New(policy.Config{Rules: []policy.RuleConfig{{Name: "other", Keys: []string{"x"}, Expiry: &policy.ExpiryConfig{}}, {Name: "rest", Expiry: &policy.ExpiryConfig{}}}})
	if err != nil {
		t.Fatal(err)
	}
	after, err := NewTenant(TenantConfig{Name: "shop", Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	newTenants([]*Tenant{after}, nil).inherit(newTenants([]*Tenant{before}, nil))
	if a, b := after.hits[0].Load(), after.hits[1].Load(); a != 0 || b != 1 {
		t.Errorf("hits are %d and %d, want 0 and 1", a, b)
	}
}

func TestTally_Off(t *testing.T) {
	s, tenant := counting(t, false)
	s.batchOf(command.ByName("GET"), 3)
	if n := tenant.live.tally.commands[command.ByName("GET").ID][Rewritten].Load(); n != 0 {
		t.Errorf("%d commands were counted", n)
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	for _, d := range []time.Duration{0, 100 * time.Microsecond, 101 * time.Microsecond, 10 * time.Second, time.Hour} {
		h.observe(d, 2)
	}
	got := h.read()
	if got.Counts[0] != 4 || got.Counts[1] != 2 || got.Counts[len(Bounds)-1] != 2 || got.Counts[len(Bounds)] != 2 {
		t.Errorf("counts are %v", got.Counts)
	}
}

func TestCounting_allocates_nothing(t *testing.T) {
	s, _ := counting(t, true)
	get := command.ByName("GET")
	s.batchOf(get, 16)
	if n := testing.AllocsPerRun(100, func() { s.batchOf(get, 16) }); n != 0 {
		t.Errorf("%v allocations for a batch", n)
	}
}

func TestSlowLog(t *testing.T) {
	s, _ := counting(t, true)
	s.about.Store(&about{name: "web-1"})
	l := &s.srv.slow
	*l = slowLog{threshold: 10 * time.Millisecond, ring: make([]SlowEntry, 0, 3)}
	c := cmd{spec: command.ByName("GET"), args: [][]byte{[]byte("GET"), []byte("sess:secret-of-somebody")}}
	for i := range 5 {
		l.add(s, &timing{began: time.Duration(i) * time.Second, first: c, read: uint(i % 2), n: i, upstream: time.Second}, 2*time.Second)
	}
	got := l.latest(2)
	if len(got) != 2 || got[0].ID != 5 || got[1].ID != 4 || got[0].Commands != 4 || got[0].Client.Name != "web-1" {
		t.Fatalf("got %+v", got)
	}
	if got[0].Key[:6] != "sess:#" || got[1].Key != "" || got[1].Command != "GET" {
		t.Errorf("keys are %q and %q, want a short one, and none for arguments that are gone", got[0].Key, got[1].Key)
	}
	if n := l.clear(); n != 3 || len(l.latest(9)) != 0 {
		t.Errorf("cleared %d", n)
	}
	if !l.is(10*time.Millisecond) || l.is(9*time.Millisecond) {
		t.Error("the threshold is not 10 ms")
	}
}

func TestKeyForm(t *testing.T) {
	short, hashed := KeyForm{Secret: []byte("a")}, KeyForm{Secret: []byte("a"), Hashed: true}
	for _, key := range []string{"sess:0123456789abcdef", "0123456789abcdef", "0123456789abcdefgh:data", "a\x00b:c", "\xff:x", ":x", ""} {
		s, h := short.Form([]byte(key)), hashed.Form([]byte(key))
		if len(h) != 13 || h[0] != '#' || len(s) < 13 || s[len(s)-13:] != h || len(s) > 13+shownPrefix {
			t.Errorf("%q is shown as %q and %q", key, s, h)
		}
	}
	if got := short.Form([]byte("sess:1")); got[:6] != "sess:#" {
		t.Errorf("got %q", got)
	}
	if short.Form(nil) != "" || short.Form([]byte("x")) == (KeyForm{Secret: []byte("b")}).Form([]byte("x")) {
		t.Error("no key has a form, or two secrets give one")
	}
}

func BenchmarkCounting(b *testing.B) {
	for _, each := range []struct {
		name    string
		n       int
		metrics bool
	}{{"1 command, on", 1, true}, {"1 command, off", 1, false}, {"16 commands, on", 16, true}, {"16 commands, off", 16, false}} {
		b.Run(each.name, func(b *testing.B) {
			s, _ := counting(b, each.metrics)
			get := command.ByName("GET")
			for b.Loop() {
				s.batchOf(get, each.n)
			}
		})
	}
}
