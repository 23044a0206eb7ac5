package policy

import (
	"slices"
	"testing"
	"time"
)

func TestConfig_Warn(t *testing.T) {
	const m = Duration(time.Minute)
	rule := func(min Duration, keys ...string) RuleConfig {
		return RuleConfig{Keys: keys, Expiry: &ExpiryConfig{Default: 30 * m, Min: min}}
	}
	exempt := func(keys ...string) RuleConfig { return RuleConfig{Keys: keys, Expiry: &ExpiryConfig{}} }
	const own = "; give locks a rule of their own without min"
	const before = `; if there are any, put a rule before this one: {keys: ["*_LOCK"], expiry: {}}`
	for _, c := range []struct {
		name  string
		rules []RuleConfig
		want  []string
	}{
		{"nothing", nil, nil},
		{"all good", full(t).Rules, nil},
		{"no min", []RuleConfig{rule(0, "*_LOCK"), rule(0)}, nil},
		{"one pattern of two", []RuleConfig{rule(0, "sess:*"), rule(0, "other:*", "sess:a*")}, []string{
			`rules[1].keys[1]: "sess:a*" never matches: rules[0] ("sess:*") comes first and takes these keys; remove the pattern, or put this rule before that one`}},
		{"overlap", []RuleConfig{rule(0, "sess:a*"), rule(0, "sess:*"), rule(0, "*:a")}, nil},
		{"locks in a rule with min", []RuleConfig{rule(m, "a:*", "*_LOCK")}, []string{`rules[0].expiry.min: prolongs the locks that "*_LOCK" matches to 1m, however soon they should fall` + own}},
		{"ASP.NET's", []RuleConfig{rule(m, "{app}_WriteLock")}, []string{`rules[0].expiry.min: prolongs the locks that "{app}_WriteLock" matches to 1m, however soon they should fall` + own}},
		{"mutexes", []RuleConfig{rule(m, "mutex:*")}, []string{`rules[0].expiry.min: prolongs the locks that "mutex:*" matches to 1m, however soon they should fall` + own}},
		{"semaphores", []RuleConfig{rule(m, "app:Semaphore:*")}, []string{`rules[0].expiry.min: prolongs the locks that "app:Semaphore:*" matches to 1m, however soon they should fall` + own}},
		{"words that only sound so", []RuleConfig{exempt("x_LOCK"), rule(m, "clock:*", "blocked:*", "locker:*", "Locksmith:*")}, nil},
		{"locks among others", []RuleConfig{rule(m, "sess:*")}, []string{`rules[0].expiry.min: prolongs locks such as "sess:1_LOCK" to 1m, however soon they should fall` + before}},
		{"every key", []RuleConfig{rule(m)}, []string{`rules[0].expiry.min: prolongs locks such as "sess:1_LOCK" to 1m, however soon they should fall` + before}},
		{"locks exempt", []RuleConfig{exempt("*_LOCK"), rule(m, "sess:*"), rule(m)}, nil},
		{"no room for a lock", []RuleConfig{rule(m, "sess:????????:data")}, nil},
		{"ends denied", []RuleConfig{{Commands: &AccessConfig{Deny: []string{"EXEC", "discard", "unwatch", "multi", "@transaction"}}}}, []string{
			`rules[0].commands.deny[0]: "EXEC" has no effect: what was begun can be ended; deny multi instead`,
			`rules[0].commands.deny[1]: "discard" has no effect: what was begun can be ended; deny multi instead`,
			`rules[0].commands.deny[2]: "unwatch" has no effect: what was begun can be ended; deny watch instead`}},
		{"entropy of whole names", []RuleConfig{{KeyEntropy: 64}}, []string{
			`rules[0].key_entropy: goes by whole names, so that what they all begin with counts as if it were drawn by lot; say where the id stands, as in keys: ["sess:*"]`}},
	} {
		var got []string
		Config{Rules: c.rules}.Check(func(p Problem) { t.Errorf("%s: an error: %v", c.name, p) })
		Config{Rules: c.rules}.Warn(func(p Problem) { got = append(got, p.Error()) })
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}
