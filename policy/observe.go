package policy

import (
	"fmt"
	"slices"

	"sessiongate/command"
)

// An observed rule keeps its place in the list: its keys belong to it, and later rules don't get them. But it does nothing. Beside
// a policy with such rules stands its shadow, which is what it would be if all of them were enforced; who carries out the policy
// can ask the shadow what that would change.

// The modes of a rule, and of a tenant for the rules that have none.
const (
	enforce = "enforce"
	observe = "observe"
)

func checkMode(mode string, report func(Problem)) {
	if mode != "" && mode != enforce && mode != observe {
		report(Problem{Path: "mode", Value: mode, Text: fmt.Sprintf("%q is not known", mode), Hint: "write enforce or observe"})
	}
}

// observes reports whether the i-th rule is only observed.
func (c *Config) observes(i int) bool {
	mode := c.Rules[i].Mode
	if mode == "" {
		mode = c.Mode
	}
	return mode == observe
}

// watched reports whether any rule is only observed.
func (c *Config) watched() bool {
	for i := range c.Rules {
		if c.observes(i) {
			return true
		}
	}
	return false
}

// enforced is the configuration with every rule in force. Its rules are a copy.
func (c Config) enforced() Config {
	rules := make([]RuleConfig, len(c.Rules))
	for i, rule := range c.Rules {
		rule.Mode = enforce
		rules[i] = rule
	}
	c.Rules = rules
	return c
}

// Shadow is what the policy would be if its observed rules were enforced; nil if it has none.
func (p *Policy) Shadow() *Policy { return p.shadow }

// Observed names the observed rule that a request is about: of those whose keys it names, the first with a section of that kind
// ("expiry", "size", ...), or else the first; if it names no such keys, the one for commands without keys, or the first there is.
func (p *Policy) Observed(r *Request, kind string) string {
	var about []*ruleSet
	for i, name := range r.Names {
		switch name.Kind {
		case command.In, command.Out:
			if at := p.index.find(r.Args[name.Arg], nil); at != noSet {
				about = append(about, p.sets[at])
			}
		case command.Sub:
			about = append(about, p.lookedUp(r, i)...)
		}
	}
	if len(about) == 0 && p.keyless != nil {
		about = append(about, p.keyless)
	}
	for _, sets := range [...][]*ruleSet{about, p.sets} {
		for _, of := range []string{kind, ""} {
			for _, set := range sets {
				if set.observed && (of == "" || slices.Contains(set.kinds, of)) {
					return set.name
				}
			}
		}
	}
	return ""
}

// lookedUp are the sets of whatever keys the pattern r.Names[i] may look up.
func (p *Policy) lookedUp(r *Request, i int) (sets []*ruleSet) {
	for _, set := range p.sets {
		if set.mayHold(literal(r.Args[r.Names[i].Arg])) {
			sets = append(sets, set)
		}
	}
	return sets
}
