package policy

import (
	"slices"
	"testing"
	"time"
)

// Each preset has the values of its standard, and a clause for each of them.
func TestPresets(t *testing.T) {
	want := map[string][]string{
		"owasp-high": {"5m", "8h", "64"}, "owasp-low": {"30m", "8h", "64"}, "asvs4-l2": {"30m", "12h", "64"}, "asvs4-l3": {"15m", "12h", "64"},
		"nist3-aal2": {"30m", "12h", "64"}, "nist4-aal2": {"1h", "1d", "64"}, "nist-aal3": {"15m", "12h", "64"}, "nist-aal1": {"30d", "64"}, "pci": {"15m"},
	}
	if len(presets) != len(want) {
		t.Errorf("there are %d presets", len(presets))
	}
	for _, p := range presets {
		rule := RuleConfig{Name: "web", Keys: []string{"sess:*"}, Preset: p.name}
		var got []string
		for _, v := range rule.PresetValues() {
			got = append(got, v.Value)
			if v.Clause == "" || v.Own != "" || v.Weaker {
				t.Errorf("%s: %+v", p.name, v)
			}
		}
		if !slices.Equal(got, want[p.name]) {
			t.Errorf("%s is %q, want %q", p.name, got, want[p.name])
		}
		c := Config{Rules: []RuleConfig{rule}}
		c.Check(func(p Problem) { t.Error(p) })
		c.Warn(func(p Problem) { t.Error(p) })
		l := mustNew(t, c).Limits([]byte("sess:x"))
		filled := c.WithPresets().Rules[0]
		if l.Max != filled.Expiry.longest().Milliseconds() || l.MinBits != float64(filled.KeyEntropy) || filled.Expiry.Idle != p.idle || filled.Expiry.Lifetime != p.lifetime {
			t.Errorf("%s makes the limits %+v", p.name, l)
		}
		if c.Rules[0].Expiry != nil {
			t.Errorf("%s has changed the configuration", p.name)
		}
	}
}

func TestPresets_Overridden(t *testing.T) {
	const m, h = Duration(time.Minute), Duration(time.Hour)
	rule := func(e ExpiryConfig, bits Bits) Config {
		return Config{Rules: []RuleConfig{{Keys: []string{"sess:*"}, Preset: "asvs4-l3", Expiry: &e, KeyEntropy: bits}}}
	}
	for _, c := range []struct {
		name           string
		config         Config
		errors, warned []string // how they begin
	}{
		{"as it is", rule(ExpiryConfig{}, 0), nil, nil},
		{"stricter", rule(ExpiryConfig{Idle: 5 * m, Lifetime: h}, 128), nil, nil},
		{"the same", rule(ExpiryConfig{Idle: 15 * m, Lifetime: 12 * h}, 64), nil, nil},
		{"weaker", rule(ExpiryConfig{Idle: h, Lifetime: 24 * h}, 32), nil, []string{
			"rules[0].expiry.idle: 1h is weaker than 15m, so that preset asvs4-l3 no longer holds (OWASP ASVS 4.0.3, 3.3.2, level 3); write 15m, or leave it out",
			"rules[0].expiry.lifetime: 1d is weaker than 12h, so that preset", "rules[0].key_entropy: 32 is weaker than 64"}},
		{"with limits besides", rule(ExpiryConfig{Max: 2 * h}, 0), nil, nil},
		{"at odds with it", rule(ExpiryConfig{Max: m}, 0), []string{"rules[0].expiry.idle: 15m is above max, 1m"}, nil},
		{"unknown", Config{Rules: []RuleConfig{{Preset: "asvs"}}}, []string{`rules[0].preset: "asvs" is not known; write one of owasp-high, owasp-low, asvs4-l2,`}, nil},
		{"no room for an id", Config{Rules: []RuleConfig{{Keys: []string{"s"}, Preset: "owasp-low"}}}, []string{`rules[0].key_entropy: the pattern "s" leaves no room`}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var errors, warned []string
			c.config.Check(func(p Problem) { errors = append(errors, p.Error()) })
			if len(errors) == 0 {
				c.config.Warn(func(p Problem) { warned = append(warned, p.Error()) })
			}
			begins := func(got, want string) bool { return len(got) >= len(want) && got[:len(want)] == want }
			if !slices.EqualFunc(errors, c.errors, begins) || !slices.EqualFunc(warned, c.warned, begins) {
				t.Errorf("errors %q, want %q; warnings %q, want %q", errors, c.errors, warned, c.warned)
			}
		})
	}
}
