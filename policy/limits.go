package policy

// Limits are what the rule of a key asks of the key itself, for those who look at keys that are there rather than at commands.
// Where a rule sets no limit it is zero.
type Limits struct {
	Match
	Initial int64   // milliseconds: the expiry of a key that has none
	Max     int64   // milliseconds: the longest expiry
	Life    Life    // how the key's birth is kept; the zero Life: it is not
	Key     int64   // bytes: the longest name
	Value   int64   // bytes: the longest value
	MinBits float64 // that the id in the name must hold
	Bits    float64 // that it does hold, as estimated; only where there is a minimum
	Literal int     // bytes of the name that the pattern gives, at its beginning
}

// Limits returns what is asked of the key of that name, as the client calls it.
func (p *Policy) Limits(name []byte) Limits {
	l := Limits{Match: p.Match(name)}
	if l.Rule < 0 {
		return l
	}
	set := p.sets[l.Rule]
	if l.Pattern >= 0 {
		l.Literal = len(set.globs[l.Pattern].literal)
	}
	for _, rule := range set.rules {
		switch rule := rule.(type) {
		case *size:
			l.Key, l.Value = rule.key, rule.value
		case *entropy:
			l.MinBits, l.Bits = rule.min, IDBits(rule.id(name))
		case *expiry:
			l.Initial, l.Max = rule.first(name), rule.max
			if rule.life != nil {
				l.Life = *rule.life
			}
		}
	}
	return l
}
