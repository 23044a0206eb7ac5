package policy

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestConfig_Check(t *testing.T) {
	const m, h = Duration(time.Minute), Duration(time.Hour)
	expiry := func(e ExpiryConfig) Config { return Config{Rules: []RuleConfig{{Expiry: &e}}} }
	access := func(allow, deny []string) Config {
		return Config{Rules: []RuleConfig{{Commands: &AccessConfig{Allow: allow, Deny: deny}}}}
	}
	keys := func(lists ...[]string) (c Config) {
		for _, list := range lists {
			c.Rules = append(c.Rules, RuleConfig{Keys: list, Expiry: &ExpiryConfig{Max: h}})
		}
		return c
	}
	for _, c := range []struct {
		name   string
		config Config
		want   []string // "path: text; hint", or how it begins
	}{
		{"empty", Config{}, nil},
		{"all good", full(t), nil},
		{"equal limits", expiry(ExpiryConfig{Default: h, Min: h, Max: h, Over: "refuse"}), nil},
		{"min above max", expiry(ExpiryConfig{Min: 2 * h, Max: h}), []string{"rules[0].expiry.min: 2h is above max, 1h; lower min or raise max"}},
		{"default above max", expiry(ExpiryConfig{Default: 2 * h, Max: h}), []string{"rules[0].expiry.default: 2h is above max, 1h; lower default or raise max"}},
		{"default below min", expiry(ExpiryConfig{Default: m, Min: h}), []string{"rules[0].expiry.default: 1m is below min, 1h; raise default or lower min"}},
		{"everything at once", expiry(ExpiryConfig{Default: 3 * h, Min: 2 * h, Max: h, Over: "drop"}), []string{
			"rules[0].expiry.min: 2h is above max", "rules[0].expiry.default: 3h is above max", `rules[0].expiry.over: "drop" is not known; write cut or refuse`}},
		{"below zero", expiry(ExpiryConfig{Default: -m, Max: -h}), []string{
			"rules[0].expiry.default: -1m0s is below zero", "rules[0].expiry.max: -1h0m0s is below zero"}},
		{"too fine", expiry(ExpiryConfig{Max: 5}), []string{"rules[0].expiry.max: 5ns is finer than a millisecond"}},
		{"over alone", expiry(ExpiryConfig{Default: h, Over: "refuse"}), []string{"rules[0].expiry.over: is of no use without max"}},
		{"idle", expiry(ExpiryConfig{Default: h, Max: 2 * h, Idle: h, IdleRefresh: Share{0, true}, TouchOn: []string{"read", "write"}, Lifetime: 2 * h}), nil},
		{"idle above others", expiry(ExpiryConfig{Max: h, Idle: 3 * h, Lifetime: 2 * h}), []string{
			"rules[0].expiry.idle: 3h is above max, 1h; lower idle or raise max", "rules[0].expiry.idle: 3h is above lifetime, 2h; lower idle or raise lifetime"}},
		{"others above idle", expiry(ExpiryConfig{Default: 2 * h, Min: 2 * h, Idle: h}), []string{
			"rules[0].expiry.min: 2h is above idle, 1h", "rules[0].expiry.default: 2h is above idle, 1h"}},
		{"default without use", expiry(ExpiryConfig{Default: m, Idle: h}), []string{
			"rules[0].expiry.default: 1m is never used: each write puts the expiry to idle, 1h; remove default"}},
		{"default of writes that are none", expiry(ExpiryConfig{Default: m, Idle: h, TouchOn: []string{"read"}}), nil},
		{"without idle", expiry(ExpiryConfig{Max: h, IdleRefresh: Share{10, true}, TouchOn: []string{"reads"}}), []string{
			`rules[0].expiry.touch_on[0]: "reads" is not known; write read, write or both`,
			"rules[0].expiry.idle_refresh: is of no use without idle", "rules[0].expiry.touch_on: is of no use without idle"}},
		{"jitter", expiry(ExpiryConfig{Default: h, Min: h / 2, Jitter: Share{50, true}}), nil},
		{"jitter below min", expiry(ExpiryConfig{Default: h, Min: 55 * m, Jitter: Share{10, true}}), []string{
			"rules[0].expiry.jitter: 10% brings 1h down to 54m, below min, 55m; lower jitter or min"}},
		{"jitter of idle below min", expiry(ExpiryConfig{Max: 2 * h, Idle: h, Min: 55 * m, Jitter: Share{10, true}}), []string{
			"rules[0].expiry.jitter: 10% brings 1h down to 54m, below min, 55m; lower jitter or min"}},
		{"jitter of nothing", expiry(ExpiryConfig{Min: h, Jitter: Share{10, true}}), []string{
			"rules[0].expiry.jitter: is of no use without default, max, idle or lifetime; add default, or remove jitter"}},
		{"above lifetime", expiry(ExpiryConfig{Default: 3 * h, Min: 2 * h, Max: 4 * h, Lifetime: h}), []string{
			"rules[0].expiry.default: 3h is above lifetime, 1h", "rules[0].expiry.min: 2h is above lifetime, 1h", "rules[0].expiry.max: 4h is above lifetime, 1h"}},
		{"too short to live", expiry(ExpiryConfig{Idle: Duration(5e8), Lifetime: Duration(9e8)}), []string{
			"rules[0].expiry.idle: 500ms is too short for a rule with a lifetime; write 1s or more", "rules[0].expiry.lifetime: 900ms is too short"}},
		{"no section", Config{Rules: []RuleConfig{{Name: "x"}}}, []string{"rules[0]: sets nothing; add expiry, size, commands, key_entropy or reads"}},
		{"exempting", Config{Rules: []RuleConfig{{Keys: []string{"*_LOCK"}, Expiry: &ExpiryConfig{}}}}, nil},
		{"no size", Config{Rules: []RuleConfig{{Size: &SizeConfig{}}}}, []string{"rules[0].size: sets nothing"}},
		{"bad size", Config{Rules: []RuleConfig{{Size: &SizeConfig{Key: -1, Value: -5}}}}, []string{
			"rules[0].size.key: -1 is below zero", "rules[0].size.value: -5 is below zero"}},
		{"no commands", access(nil, nil), []string{"rules[0].commands: sets nothing"}},
		{"commands", access([]string{"get", "CONFIG GET", "config|set", "@READ", "@all", "client"}, []string{"set"}), nil},
		{"unknown commands", access([]string{"gett", "@reading", "config|gett", "", "quux"}, []string{"flushal"}), []string{
			`rules[0].commands.allow[0]: "gett" is no known command; did you mean "get"?`, `rules[0].commands.allow[1]: "@reading" is no known category`,
			`rules[0].commands.allow[2]: "config|gett" is no known command; did you mean "config|get"?`, `rules[0].commands.allow[3]: "" is no known command; write`,
			`rules[0].commands.allow[4]: "quux" is no known command; write`, `rules[0].commands.deny[0]: "flushal" is no known command; did you mean "flushall"?`}},
		{"allowed and denied", access([]string{"GET", "config|get"}, []string{"get", "Config Get", "@read"}), []string{
			`rules[0].commands.deny[0]: "get" is allowed too`, `rules[0].commands.deny[1]: "Config Get" is allowed too`}},
		{"bad pattern", keys([]string{"ok:*", "a[b", ""}), []string{
			`rules[0].keys[1]: "a[b" is no good pattern: the [ at character 2 has no ]`, `rules[0].keys[2]: "" is no good pattern`}},
		{"after a rule for all", keys([]string{"a*"}, nil, []string{"b*"}, nil), []string{
			`rules[2].keys: can never match: rules[1] ("default") comes first and takes these keys`, `rules[3]: can never match: rules[1]`}},
		{"after a star", keys([]string{"*"}, []string{"b"}), []string{`rules[1].keys: can never match: rules[0] ("*")`}},
		{"same pattern", keys([]string{"a[b]"}, []string{"a[b]"}), []string{"rules[1].keys: can never match: rules[0]"}},
		{"broader pattern", keys([]string{"sess:*"}, []string{"sess:a*", "sess:?"}), []string{"rules[1].keys: can never match: rules[0]"}},
		{"a name that matches", keys([]string{"a?c"}, []string{"abc"}), []string{"rules[1].keys: can never match: rules[0]"}},
		{"covered by two", keys([]string{"a*"}, []string{"b*"}, []string{"bb", "aa"}), []string{"rules[2].keys: can never match: rules[1]"}},
		{"covered in part", keys([]string{"a*"}, []string{"aa", "b"}), nil},
		{"narrower first", keys([]string{"sess:a*"}, []string{"sess:*"}, []string{"*"}), nil},
	} {
		var got []string
		c.config.Check(func(p Problem) { got = append(got, p.Error()) })
		if !slices.EqualFunc(got, c.want, strings.HasPrefix) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
		p, err := New(c.config)
		if (err != nil) != (len(c.want) > 0) || (p == nil) != (err != nil) {
			t.Errorf("%s: New gives %v, %v", c.name, p, err)
		}
		if err != nil && strings.Count(err.Error(), "\n") != len(c.want)-1 {
			t.Errorf("%s: New says %q, want a line for each of %q", c.name, err, c.want)
		}
	}
}

func TestConfig_CheckValue(t *testing.T) {
	c := Config{Rules: []RuleConfig{{Expiry: &ExpiryConfig{Min: Duration(time.Hour), Max: Duration(time.Minute)}}}}
	c.Check(func(p Problem) {
		if p.Path != "rules[0].expiry.min" || p.Value != "1h" || p.Text == "" || p.Hint == "" {
			t.Errorf("problem is %+v", p)
		}
	})
}
