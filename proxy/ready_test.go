package proxy

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/zap"

	"sessiongate/policy"
	"sessiongate/upstream"
)

func mustTenant(t *testing.T, c policy.Config) *Tenant {
	t.Helper()
	rules, err := policy.New(c)
	if err != nil {
		t.Fatal(err)
	}
	tenant, err := NewTenant(TenantConfig{Name: "shop", Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	return tenant
}

func rules(e policy.ExpiryConfig) policy.Config {
	return policy.Config{Rules: []policy.RuleConfig{{Name: "web", Expiry: &e}}}
}

const minute = policy.Duration(time.Minute)

func TestTooOld(t *testing.T) {
	for _, c := range []struct {
		version string
		rules   policy.Config
		want    string
	}{
		{"6.2.6", rules(policy.ExpiryConfig{Max: minute}), `the upstream has version 6.2.6, and rule "web" needs EXPIRE with NX, LT and GT, which version 7.0 brought`},
		{"6.2.6", rules(policy.ExpiryConfig{Idle: minute}), `the upstream has version 6.2.6, and rule "web" needs EXPIRE with NX, LT and GT, which version 7.0 brought`},
		{"5.0.7", policy.Config{Rules: []policy.RuleConfig{{Name: "web", Size: &policy.SizeConfig{Value: 100}}}}, ""},
		{"5.0.7", policy.Config{Namespace: "a:"}, ""},
		{"7.0.15", rules(policy.ExpiryConfig{Max: minute}), ""},
		{"8.10.0", rules(policy.ExpiryConfig{Max: minute}), ""},
		{"", rules(policy.ExpiryConfig{Max: minute}), ""},
		{"unstable", rules(policy.ExpiryConfig{Max: minute}), ""},
	} {
		if got := tooOld(c.version, mustTenant(t, c.rules).demands); got != c.want {
			t.Errorf("%s: got %q, want %q", c.version, got, c.want)
		}
	}
}

// What is only observed asks nothing of the upstream.
func TestDemands_observed(t *testing.T) {
	c := rules(policy.ExpiryConfig{Max: minute})
	c.Mode = "observe"
	if got := mustTenant(t, c).demands; len(got) > 0 {
		t.Errorf("got %v, want none", got)
	}
}

func TestGrantOf(t *testing.T) {
	got := grantOf([]string{"EXPIRE a 1 LT", "EXPIRE a 1", "CLIENT SETNAME x", "INFO", "ACL SETUSER x"})
	if want := "+expire +client|setname +info +acl|setuser"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestServer_Ready(t *testing.T) {
	redis := miniredis.RunT(t)
	pool, err := upstream.Open(upstream.Config{URL: "redis://" + redis.Addr(), HealthInterval: 5 * time.Millisecond, Hold: time.Millisecond}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	s := New(Defaults(), pool, []*Tenant{mustTenant(t, rules(policy.ExpiryConfig{Max: minute}))}, zap.NewNop())
	if err := s.Ready(); err == nil {
		t.Error("ready before anything is known")
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.examine(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	wait := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !ok(); {
			if time.Now().After(deadline) {
				t.Fatalf("still waiting: %s; %v", what, s.Ready())
			}
			time.Sleep(time.Millisecond) // between two looks
		}
	}
	wait("it is ready", func() bool { return s.Ready() == nil })
	redis.Close()
	wait("it is not", func() bool { err := s.Ready(); return err != nil && strings.Contains(err.Error(), pool.Addr()) })
	if err := redis.Restart(); err != nil {
		t.Fatal(err)
	}
	wait("it is ready again", func() bool { return s.Ready() == nil })
}
