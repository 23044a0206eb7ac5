package policy

import (
	"errors"
	"fmt"
	"hash/maphash"
	"strconv"
)

// Config is the rules of one tenant as they are written.
type Config struct {
	Namespace string       `yaml:"namespace"` // goes before every name upstream; empty: none
	Rules     []RuleConfig `yaml:"rules"`     // a key belongs to the first that matches it, and to no other
	Mode      string       `yaml:"mode"`      // of rules that have none: "enforce", the default, or "observe"
	ReadOnly  bool         `yaml:"read_only"` // whatever writes is refused
}

// RuleConfig is one rule: the keys it is for, and a section for each respect in which it rules them.
type RuleConfig struct {
	Name string   `yaml:"name"` // for errors, logs and metrics; the first of the keys, if left out
	Keys []string `yaml:"keys"` // patterns as KEYS takes them, over the names that clients use; none: every key
	// What a standard asks for, where the rule has no values of its own: "owasp-high", "owasp-low", "asvs4-l2", "asvs4-l3",
	// "nist3-aal2", "nist4-aal2", "nist-aal3", "nist-aal1" or "pci".
	Preset   string        `yaml:"preset"`
	Mode     string        `yaml:"mode"` // "enforce", or "observe": it changes nothing, and what it would change is counted and logged
	Expiry   *ExpiryConfig `yaml:"expiry"`
	Size     *SizeConfig   `yaml:"size"`
	Commands *AccessConfig `yaml:"commands"`

	KeyEntropy Bits `yaml:"key_entropy"` // bits that the id in a new key's name must hold at least, as estimated; 0: any
}

// kinds lists the kinds of rules in the order in which they are applied: who may, how big, under what name, how long. A kind is a section of
// a rule's configuration. Refusing kinds come first. The namespace, which is no section, comes after all of them.
var kinds = []struct {
	name string
	of   func(*RuleConfig) (s section, given bool)
}{
	{"commands", func(c *RuleConfig) (section, bool) { return c.Commands, c.Commands != nil }},
	{"size", func(c *RuleConfig) (section, bool) { return c.Size, c.Size != nil }},
	{"key_entropy", func(c *RuleConfig) (section, bool) {
		return entropyConfig{int(c.KeyEntropy), c.Keys}, c.KeyEntropy != 0
	}},
	{"expiry", func(c *RuleConfig) (section, bool) { return c.Expiry, c.Expiry != nil }},
}

// section is the configuration of one kind of rule.
type section interface {
	check(report func(Problem)) // every contradiction in it, with paths from the section on
	rule(name string) Rule      // what it asks for, in the name of the rule that it is a section of; nil if nothing
}

// Problem is one thing in a Config that can't be meant.
type Problem struct {
	Path  string // of the setting, as in "rules[0].expiry.max"
	Value string // the setting's text; empty where there is none
	Text  string // what is wrong, to follow the path
	Hint  string // what to do about it; may be empty
	// Unknown is the name of a command that the table doesn't have, where that is all that is wrong.
	Unknown string
}

func (p Problem) Error() string {
	if p.Hint == "" {
		return p.Path + ": " + p.Text
	}
	return p.Path + ": " + p.Text + "; " + p.Hint
}

// New returns the policy that c describes, or all that Check finds in it.
func New(c Config) (*Policy, error) {
	var problems []error
	c.Check(func(p Problem) { problems = append(problems, p) })
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	c = c.WithPresets()
	p := c.build()
	if c.watched() {
		p.shadow = c.enforced().build()
	}
	return p, nil
}

func (c Config) build() *Policy {
	p := &Policy{namespace: newNamespace(c.Namespace), salt: maphash.String(recentSeed, c.Namespace)}
	if c.ReadOnly {
		p.readOnly = &readOnly{namespaced: c.Namespace != ""}
	}
	for i := range c.Rules {
		set := c.Rules[i].set()
		if c.ReadOnly {
			set.leaveExpiries()
		}
		if c.observes(i) {
			set.observed, set.rules = true, nil
		} else {
			p.enforces = true
			p.confines = p.confines || c.Rules[i].writes()
			p.ages = p.ages || c.Rules[i].Expiry != nil && c.Rules[i].Expiry.Lifetime > 0
		}
		p.sets = append(p.sets, set)
		for _, g := range set.globs {
			p.index.add(g, i)
		}
		if len(set.globs) == 0 {
			p.index.add(compileGlob("*"), i)
			if p.keyless == nil {
				p.keyless, p.keylessAt = set, i
			}
		}
	}
	return p
}

func (c *RuleConfig) set() *ruleSet {
	set := &ruleSet{name: c.DisplayName(), globs: c.globs()}
	for _, kind := range kinds {
		if s, given := kind.of(c); given {
			if rule := s.rule(set.name); rule != nil {
				set.rules, set.kinds = append(set.rules, rule), append(set.kinds, kind.name)
			}
		}
	}
	return set
}

// leaveExpiries has no access put an expiry back, which would be a write.
func (s *ruleSet) leaveExpiries() {
	for _, rule := range s.rules {
		if e, ok := rule.(*expiry); ok {
			e.idle = idle{}
		}
	}
}

// writes reports whether the rule is about what is written.
func (c *RuleConfig) writes() bool {
	return c.Size != nil || c.KeyEntropy != 0 || c.Expiry != nil && !c.Expiry.empty()
}

func (c *RuleConfig) globs() []glob {
	globs := make([]glob, len(c.Keys))
	for i, pattern := range c.Keys {
		globs[i] = compileGlob(pattern)
	}
	return globs
}

// DisplayName is what errors call the rule.
func (c *RuleConfig) DisplayName() string {
	switch {
	case c.Name != "":
		return c.Name
	case len(c.Keys) > 0:
		return c.Keys[0]
	}
	return "default"
}

// Check reports everything that can't be meant. It changes nothing.
func (c Config) Check(report func(Problem)) {
	checkMode(c.Mode, report)
	c = c.WithPresets()
	for i := range c.Rules {
		rule := &c.Rules[i]
		in := func(p Problem) {
			p.Path = fmt.Sprintf("rules[%d]", i) + dotted(p.Path)
			report(p)
		}
		rule.check(in)
		if j := shadow(c.Rules[:i], rule); j >= 0 {
			path := ""
			if len(rule.Keys) > 0 {
				path = "keys"
			}
			in(Problem{Path: path, Text: fmt.Sprintf("can never match: rules[%d] (%s) comes first and takes these keys",
				j, strconv.Quote(c.Rules[j].DisplayName())), Hint: "put this rule before that one, or remove it"})
		}
	}
}

func dotted(path string) string {
	if path == "" || path[0] == '[' {
		return path
	}
	return "." + path
}

func (c *RuleConfig) check(report func(Problem)) {
	checkMode(c.Mode, report)
	c.checkPreset(report)
	for i, pattern := range c.Keys {
		if err := checkGlob(pattern); err != nil {
			report(Problem{Path: fmt.Sprintf("keys[%d]", i), Value: pattern, Text: fmt.Sprintf("%q is no good pattern: %v", pattern, err),
				Hint: `write a name, with * for any characters, ? for one, [a-z] for one of these, and \ before any of them that means itself`})
		}
	}
	sections := 0
	for _, kind := range kinds {
		if s, given := kind.of(c); given {
			sections++
			s.check(func(p Problem) {
				p.Path = kind.name + dotted(p.Path)
				report(p)
			})
		}
	}
	if sections == 0 && c.Preset == "" {
		report(Problem{Text: "sets nothing",
			Hint: "add expiry, size, commands or key_entropy; to exempt keys from later rules, write expiry: {}"})
	}
}

// shadow returns the index of an earlier rule that leaves nothing for rule, where that is plain to see, or else -1. Where
// it takes several rules together, it is the last of them.
func shadow(earlier []RuleConfig, rule *RuleConfig) int {
	mine := rule.globs()
	if len(mine) == 0 {
		mine = []glob{compileGlob("*")}
	}
	last := -1
	for i := range mine {
		j := coveredBy(earlier, &mine[i])
		if j < 0 {
			return -1
		}
		last = max(last, j)
	}
	return last
}

func coveredBy(earlier []RuleConfig, g *glob) int {
	for j := range earlier {
		theirs := earlier[j].globs()
		if len(theirs) == 0 {
			return j
		}
		for k := range theirs {
			if theirs[k].covers(g) {
				return j
			}
		}
	}
	return -1
}
