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

// An expiry tells a birth, and few do that were not meant to. That it is what the scripts say is tested where they are.
func TestLife_Born(t *testing.T) {
	l := Life{43200_000, 60_000, 128, 342_858}
	now := int64(1_800_000_000_000)
	steps := now / l.Step
	for age := range l.Codes - 1 {
		code := (steps - age) % l.Codes
		expiry := now + 1800_000
		expiry += code*468 + (7*code+l.Step)%468 - expiry%l.Grain
		if birth, grain := l.Born(expiry, now); birth != (steps-age)*l.Step || grain != l.Grain {
			t.Errorf("born %d steps ago: %d by %d, want %d", age, birth, grain, (steps-age)*l.Step)
		}
	}
	if _, grain := l.Born(-1, now); grain != 0 {
		t.Error("a key without expiry has a birth")
	}
	births := 0
	for ms := range l.Grain {
		if _, grain := l.Born(now+1800_000+ms, now); grain > 0 {
			births++
		}
	}
	if int64(births) != l.Codes {
		t.Errorf("%d of %d expiries tell a birth, want %d", births, l.Grain, l.Codes)
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
