package policy

import (
	"testing"
	"time"
)

func TestPolicy_Observed(t *testing.T) {
	hour := &ExpiryConfig{Max: Duration(time.Hour)}
	sess := func(mode string) RuleConfig {
		return RuleConfig{Name: "web", Keys: []string{"sess:*"}, Mode: mode, Expiry: hour}
	}
	all := func(mode string) RuleConfig {
		return RuleConfig{Name: "rest", Mode: mode, Expiry: hour, Commands: &AccessConfig{Deny: []string{"dbsize"}}}
	}
	for _, c := range []struct {
		name        string
		config      Config
		transparent bool
		changes     map[string]bool // by the command: whether the policy does anything about it
		shadow      map[string]bool // and its shadow; nil: it has none
	}{
		{"enforced", Config{Rules: []RuleConfig{sess(""), all("enforce")}}, false,
			map[string]bool{"SET sess:1 v": true, "SET a v": true, "DBSIZE": true, "GET a": false}, nil},
		{"a rule observed", Config{Rules: []RuleConfig{sess("observe"), all("")}}, false,
			map[string]bool{"SET sess:1 v": false, "SET a v": true, "DBSIZE": true, "MSET sess:1 v a v": true},
			map[string]bool{"SET sess:1 v": true, "SET a v": true, "DBSIZE": true}},
		{"the last one observed", Config{Rules: []RuleConfig{sess(""), all("observe")}}, false,
			map[string]bool{"SET sess:1 v": true, "SET a v": false, "DBSIZE": false}, map[string]bool{"SET a v": true, "DBSIZE": true}},
		{"a tenant observed", Config{Mode: "observe", Rules: []RuleConfig{sess(""), all("")}}, true,
			map[string]bool{"SET sess:1 v": false, "DBSIZE": false}, map[string]bool{"SET sess:1 v": true, "DBSIZE": true}},
		{"all but one", Config{Mode: "observe", Rules: []RuleConfig{sess("enforce"), all("")}}, false,
			map[string]bool{"SET sess:1 v": true, "SET a v": false}, map[string]bool{"SET a v": true}},
		{"in a namespace", Config{Namespace: "app:", Mode: "observe", Rules: []RuleConfig{all("")}}, false,
			map[string]bool{"SET a v": false, "DBSIZE": false}, map[string]bool{"SET a v": true}},
		{"read-only all the same", Config{ReadOnly: true, Mode: "observe", Rules: []RuleConfig{all("")}}, false,
			map[string]bool{"SET a v": true, "DBSIZE": false}, map[string]bool{"DBSIZE": true}},
		{"nothing to observe", Config{Mode: "observe"}, true, map[string]bool{"SET a v": false}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := mustNew(t, c.config)
			if p.Transparent() != c.transparent {
				t.Errorf("transparent: %v", p.Transparent())
			}
			if (p.Shadow() != nil) != (c.shadow != nil) {
				t.Fatalf("the shadow is %v", p.Shadow())
			}
			judge := func(who string, p *Policy, want map[string]bool) {
				for line, changes := range want {
					var plan Plan
					p.Decide(request(t, words(line)), &plan)
					if got := plan.Refusal != nil || plan.Args != nil || len(plan.Bounds) > 0; got != changes {
						t.Errorf("%s does something about %s: %v", who, line, got)
					}
				}
			}
			judge("the policy", p, c.changes)
			judge("the shadow", p.Shadow(), c.shadow)
		})
	}
}

func TestPolicy_ObservedName(t *testing.T) {
	p := mustNew(t, Config{Mode: "observe", Rules: []RuleConfig{
		{Name: "size", Keys: []string{"a:*"}, Size: &SizeConfig{Value: 5}},
		{Name: "expiry", Keys: []string{"b:*"}, Expiry: &ExpiryConfig{Max: Duration(time.Hour)}},
		{Name: "in force", Keys: []string{"c:*"}, Mode: "enforce", Size: &SizeConfig{Value: 5}},
		{Name: "rest", Commands: &AccessConfig{Deny: []string{"keys"}}},
	}})
	for _, c := range []struct{ line, kind, want string }{
		{"SET a:1 v", "expiry", "size"}, {"MSET a:1 v b:1 v", "expiry", "expiry"}, {"MSET a:1 v b:1 v", "", "size"}, {"MSET c:1 v b:1 v", "", "expiry"},
		{"SET x v", "", "rest"}, {"DBSIZE", "", "rest"}, {"SET c:1 v", "", "size"}, {"SORT c:1 BY b:*", "expiry", "expiry"},
	} {
		if got := p.Observed(request(t, words(c.line)), c.kind); got != c.want {
			t.Errorf("%s, %s: %q, want %q", c.line, c.kind, got, c.want)
		}
	}
}
