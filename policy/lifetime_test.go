package policy

import (
	"strings"
	"testing"
)

// A grain is a twentieth of an expiry at most, has room for each birth with some checks, and births go around in no less than a
// lifetime.
func TestLifetime_Figures(t *testing.T) {
	for _, c := range []struct {
		config ExpiryConfig
		want   Life
	}{
		{ExpiryConfig{Idle: duration(t, "30m"), Lifetime: duration(t, "12h")}, Life{43200_000, 60_000, 128, 342_858}},
		{ExpiryConfig{Idle: duration(t, "60s"), Lifetime: duration(t, "12h")}, Life{43200_000, 3000, 128, 342_858}},
		{ExpiryConfig{Idle: duration(t, "5s"), Lifetime: duration(t, "10s")}, Life{10_000, 250, 62, 167}},
		{ExpiryConfig{Lifetime: duration(t, "1s")}, Life{1000, 50, 12, 100}},
		{ExpiryConfig{Max: duration(t, "10m"), Lifetime: duration(t, "365d")}, Life{31536000_000, 30_000, 128, 250_285_715}},
	} {
		l := c.config.life()
		if *l != c.want {
			t.Errorf("%+v: %+v, want %+v", c.config, *l, c.want)
		}
		if (l.Codes-2)*l.Step < l.Span || l.Grain/l.Codes < leastChecks {
			t.Errorf("%+v: births can't be told apart by %+v", c.config, *l)
		}
	}
}

// What can't run within a script is refused, and what need not can be as long as it likes.
func TestLifetime_Long(t *testing.T) {
	p := mustNew(t, Config{Rules: []RuleConfig{{Name: "web", Expiry: &ExpiryConfig{Lifetime: duration(t, "12h")}}}})
	var plan Plan
	if p.Decide(request(t, words("MSET"+strings.Repeat(" k v", 3749))), &plan); plan.Refusal != nil || !plan.Within {
		t.Errorf("an MSET of 3,749 keys: %+v", plan.Refusal)
	}
	p.Decide(request(t, words("MSET"+strings.Repeat(" k v", 3750))), &plan)
	want := `DENIED expiry: a command of 7501 arguments is above the 7500 with which births can be kept (rule "web")`
	if plan.Refusal == nil || plan.Refusal.Text != want {
		t.Errorf("an MSET of 3,750 keys: %v, want %s", plan.Refusal, want)
	}
	if p.Decide(request(t, words("SADD k"+strings.Repeat(" v", 9000))), &plan); plan.Refusal != nil {
		t.Errorf("an SADD of 9,000 members: %v", plan.Refusal)
	}
}
