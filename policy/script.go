package policy

import "strconv"

// ConfinesScripts reports whether there are rules on expiry or size, which scripts must not get around.
func (p *Policy) ConfinesScripts() bool { return p.confines }

// AppendConfinement appends what a script's writes have to keep to, as three numbers in decimal with a space between: the longest
// string in bytes, 0 for any; and, for keys that the script does not declare, the Default and the Max of a Bound. Default is -1
// where such keys must not be written, because their rules depend on their names. Where there is jitter two more numbers follow, its
// percents and how many bytes of a name are the namespace's. limit is the least of the declared keys'.
func (p *Policy) AppendConfinement(dst []byte, limit int64) []byte {
	b, sizes, spread := Bound{Default: -1}, int64(0), jitter(0)
	if only := p.only(); only != nil {
		b.Default = 0
		byName := false
		for _, rule := range only.rules {
			switch rule := rule.(type) {
			case *expiry:
				b, spread = rule.anyKey(), rule.jitter
			case *size:
				sizes = rule.value
			case *entropy:
				byName = true
			}
		}
		if byName {
			b = Bound{Default: -1}
		}
	}
	if limit == 0 {
		limit = sizes
	}
	dst = strconv.AppendInt(dst, limit, 10)
	dst = strconv.AppendInt(append(dst, ' '), b.Default, 10)
	dst = strconv.AppendInt(append(dst, ' '), b.Max, 10)
	if spread > 0 {
		dst = strconv.AppendInt(append(dst, ' '), int64(spread), 10)
		dst = strconv.AppendInt(append(dst, ' '), int64(len(p.namespace.prefix)), 10)
	}
	return dst
}

// only is the rule set that every key has whose rules are in force, whatever its name; nil if names tell.
func (p *Policy) only() *ruleSet {
	var only *ruleSet
	for _, set := range p.sets {
		switch {
		case set.observed:
		case only != nil || len(set.globs) > 0:
			return nil
		default:
			only = set
		}
	}
	return only
}
