package policy

import "testing"

func TestPolicy_Limits(t *testing.T) {
	p := mustNew(t, Config{Rules: []RuleConfig{
		{Keys: []string{"*_LOCK"}, Expiry: &ExpiryConfig{}},
		{Keys: []string{"x*", "sess:*"}, Expiry: &ExpiryConfig{Default: duration(t, "30m"), Max: duration(t, "12h")}, Size: &SizeConfig{Key: 512, Value: 1024}, KeyEntropy: 30},
		{Keys: []string{"l*"}, Expiry: &ExpiryConfig{Max: duration(t, "1h"), Lifetime: duration(t, "12h")}},
		{Keys: []string{"m*"}, Expiry: &ExpiryConfig{Max: duration(t, "1h")}},
	}})
	for name, want := range map[string]Limits{
		"sess:aaaa_LOCK": {Match: Match{0, 0}},
		"sess:7x":        {Match: Match{1, 1}, Initial: 1800_000, Max: 43200_000, Key: 512, Value: 1024, MinBits: 30, Bits: 4, Literal: 5},
		"l1":             {Match: Match{2, 0}, Initial: 3600_000, Max: 3600_000, Life: Life{43200_000, 60_000, 128, 342_858}, Literal: 1},
		"m1":             {Match: Match{3, 0}, Initial: 3600_000, Max: 3600_000, Literal: 1},
		"other":          {Match: Match{-1, -1}},
	} {
		if got := p.Limits([]byte(name)); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}
