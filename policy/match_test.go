package policy

import "testing"

func TestPolicy_Match(t *testing.T) {
	rule := func(keys ...string) RuleConfig { return RuleConfig{Keys: keys, Expiry: &ExpiryConfig{}} }
	p := mustNew(t, Config{Rules: []RuleConfig{rule("*_LOCK"), rule("s:*", "t?", "t*"), rule()}})
	for name, want := range map[string]Match{"a_LOCK": {0, 0}, "s:1_LOCK": {0, 0}, "s:1": {1, 0}, "t1": {1, 1}, "t12": {1, 2}, "x": {2, -1}, "": {2, -1}} {
		if got := p.Match([]byte(name)); got != want {
			t.Errorf("%q finds %+v, want %+v", name, got, want)
		}
	}
	if got := p.MatchKeyless(); got != (Match{2, -1}) {
		t.Errorf("without keys: %+v", got)
	}
	p = mustNew(t, Config{Rules: []RuleConfig{rule("a")}})
	if got, keyless := p.Match([]byte("b")), p.MatchKeyless(); got != (Match{-1, -1}) || keyless != (Match{-1, -1}) {
		t.Errorf("no rule takes it, but %+v and %+v", got, keyless)
	}
}
