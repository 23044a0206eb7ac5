package proxy

import (
	"math"
	"strings"
	"testing"

	"sessiongate/policy"
	"sessiongate/upstream"
)

// onLine returns a session under the rules that reads n times the command, again and again.
func onLine(t testing.TB, c policy.Config, n int, args ...string) *Session {
	t.Helper()
	p, err := policy.New(c)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := upstream.Open(upstream.Config{URL: "redis://127.0.0.1:1/0"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	data := []byte(strings.Repeat(wire(args...), n))
	s := editing(t, "", 2)
	s.srv.main, s.tenant, s.window = pool, plainTenant(p, pool), maxWindow
	s.link = pool.Link(2, 0)
	s.in = newReader(&loopConn{data: data, piece: len(data)}, Defaults().Limits)
	s.in.authed(true)
	return s
}

// decideBatch is the line from bytes of the client to bytes for Redis.
func (s *Session) decideBatch(t testing.TB) {
	if err := s.in.fill(); err != nil {
		t.Fatal(err)
	}
	s.begin()
	s.decideAll()
	s.asked = 0
}

var lineRules = policy.Config{Namespace: "app:", Rules: []policy.RuleConfig{{
	Name:   "web",
	Expiry: &policy.ExpiryConfig{Default: policy.Duration(30 * 60e9), Max: policy.Duration(12 * 3600e9)},
	Size:   &policy.SizeConfig{Key: 512, Value: 64 << 10},
}}}

var lineCommands = map[string][]string{
	"GET":    {"GET", "sess:1234567890"},
	"SET":    {"SET", "sess:1234567890", strings.Repeat("v", 200)},
	"SET_EX": {"SET", "sess:1234567890", strings.Repeat("v", 200), "EX", "99999"},
	"HSET":   {"HSET", "sess:1234567890", "field", strings.Repeat("v", 200)},
	"MGET":   {"MGET", "sess:1", "sess:2", "sess:3", "sess:4"},
}

// leastAllocs is what a batch allocates: the least of several tries, since what others allocate meanwhile is counted too.
func leastAllocs(t *testing.T, s *Session) float64 {
	least := math.Inf(1)
	for try := 0; try < 5 && least > 0; try++ {
		least = min(least, testing.AllocsPerRun(200, func() { s.decideBatch(t) }))
	}
	return least
}

// Parsing, deciding and encoding allocate nothing.
func TestLine_Allocates(t *testing.T) {
	for name, args := range lineCommands {
		s := onLine(t, lineRules, 16, args...)
		least := leastAllocs(t, s)
		if least != 0 {
			t.Errorf("16 times %s: %v allocations", name, least)
		}
	}
	for _, rules := range []policy.Config{idleRules, lifetimeRules} {
		for name, args := range lineCommands {
			s := onLine(t, rules, 16, args...)
			if n := leastAllocs(t, s); n != 0 {
				t.Errorf("16 times %s under %+v: %v allocations", name, *rules.Rules[0].Expiry, n)
			}
		}
	}
}

var (
	idleRules     = accessRules(policy.ExpiryConfig{Idle: policy.Duration(30 * 60e9)})
	lifetimeRules = accessRules(policy.ExpiryConfig{Idle: policy.Duration(30 * 60e9), Lifetime: policy.Duration(12 * 3600e9)})
)

func accessRules(e policy.ExpiryConfig) policy.Config {
	return policy.Config{Namespace: "app:", Rules: []policy.RuleConfig{{Expiry: &e}}}
}

// BenchmarkLine measures parse, decide and encode, per command, in batches of 16.
func BenchmarkLine(b *testing.B) {
	for _, rules := range []struct {
		name string
		policy.Config
	}{{"transparent", policy.Config{}}, {"rules", lineRules}, {"idle", idleRules}, {"lifetime", lifetimeRules}} {
		for name, args := range lineCommands {
			b.Run(rules.name+"/"+name, func(b *testing.B) {
				s := onLine(b, rules.Config, 16, args...)
				b.ReportAllocs()
				for i := 0; i < b.N; i += 16 {
					s.decideBatch(b)
				}
			})
		}
	}
}
