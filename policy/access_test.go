package policy

import (
	"testing"

	"sessiongate/command"
)

// Rules hold for commands that come into the table after them, by name and by category.
func TestAccess_Later(t *testing.T) {
	list := map[string][2][]string{ // allow, deny
		"by name":            {nil, {"later.set", "later.get"}},
		"by category":        {nil, {"@write", "@read"}},
		"by the old row":     {nil, {"cf.add", "@cuckoo"}},
		"not allowed":        {{"get"}, nil},
		"allowed":            {{"@write", "@read"}, nil},
		"allowed by name":    {{"later.set", "later.get", "cf.add"}, nil},
		"denied nonetheless": {{"@all"}, {"@write", "@read"}},
	}
	policies := map[string]*Policy{}
	for name, access := range list {
		p, err := New(Config{Rules: []RuleConfig{{Commands: &AccessConfig{Allow: access[0], Deny: access[1]}}}})
		if err != nil {
			t.Fatal(err)
		}
		policies[name] = p
	}
	key := command.KeyRange{First: 1, Last: 1, Step: 1}
	command.Extend([]command.Extra{
		{Name: "later.set", Keys: key, Writes: true, Learned: true}, {Name: "later.get", Keys: key, Learned: true},
		{Name: "cf.add", Keys: key, Writes: true, Learned: true},
	})
	denied := map[string]map[string]bool{
		"later.set k v": {"by name": true, "by category": true, "not allowed": true, "denied nonetheless": true},
		"later.get k":   {"by name": true, "by category": true, "not allowed": true, "denied nonetheless": true},
		"cf.add k v":    {"by category": true, "by the old row": true, "not allowed": true, "denied nonetheless": true},
	}
	for line, want := range denied {
		for name, p := range policies {
			r := request(t, words(line))
			var plan Plan
			p.Decide(r, &plan)
			if got := plan.Refusal != nil; got != want[name] || p.Denies(r.Spec) != want[name] {
				t.Errorf("%s: %s denied %v, want %v", name, line, got, want[name])
			}
		}
	}
}
