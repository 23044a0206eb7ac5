package policy

import "testing"

// A rule that is only observed, in front of the others, changes nothing of what a script's writes have to keep to.
func TestConfinement_ObservedRules(t *testing.T) {
	hour := Duration(3600e9)
	rest := RuleConfig{Expiry: &ExpiryConfig{Max: hour, Idle: hour / 2, Lifetime: hour}, Size: &SizeConfig{Value: 100}}
	observed := RuleConfig{Name: "web", Mode: "observe", Keys: []string{"s:*"}, Size: &SizeConfig{Value: 10}}
	texts := map[string]string{}
	for name, rules := range map[string][]RuleConfig{"without": {rest}, "with": {observed, rest}} {
		p, err := New(Config{Rules: rules})
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(p.AppendLives(p.AppendConfinement(nil, 0), nil, 3))
	}
	if texts["with"] != texts["without"] {
		t.Errorf("with the observed rule %q, without it %q", texts["with"], texts["without"])
	}
}
