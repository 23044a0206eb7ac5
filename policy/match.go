package policy

// Match is how a name finds its rule.
type Match struct {
	Rule    int // index in Config.Rules; -1: no rule takes the name
	Pattern int // index in the rule's Keys of the first that matches; -1: the rule has none and takes every name
}

// Match tells which rule a key of that name belongs to.
func (p *Policy) Match(name []byte) Match {
	at := p.index.find(name, nil)
	if at == noSet {
		return Match{-1, -1}
	}
	for i := range p.sets[at].globs {
		if p.sets[at].globs[i].match(name) {
			return Match{at, i}
		}
	}
	return Match{at, -1}
}

// MatchKeyless tells which rule a command belongs to that names no key: the first without keys.
func (p *Policy) MatchKeyless() Match {
	for i, set := range p.sets {
		if set == p.keyless {
			return Match{i, -1}
		}
	}
	return Match{-1, -1}
}

// RuleNames are the display names of the rules, in their order.
func (p *Policy) RuleNames() []string {
	names := make([]string, len(p.sets))
	for i, set := range p.sets {
		names[i] = set.name
	}
	return names
}
