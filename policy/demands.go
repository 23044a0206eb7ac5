package policy

// Demand is something that rules do upstream by themselves, which takes a server and a user that can.
type Demand uint8

const (
	Bounding   Demand = iota // EXPIRE with a condition behind a write
	Sliding                  // GETEX, and EXPIRE behind an access
	Ageing                   // births are kept, by a script
	Checking                 // a script looks at sizes or names
	Separating               // a namespace's views of the whole keyspace
)

// Demands lists what the policy does by itself, each with the name of the first rule that asks for it.
func (p *Policy) Demands() map[Demand]string {
	all := map[Demand]string{}
	ask := func(d Demand, rule string, asked bool) {
		if _, have := all[d]; asked && !have {
			all[d] = rule
		}
	}
	for _, set := range p.sets {
		for _, rule := range set.rules {
			e, isExpiry := rule.(*expiry)
			if isExpiry {
				ask(Bounding, set.name, e.initial > 0 || e.min > 0 || e.max > 0)
				ask(Sliding, set.name, e.idle.ms > 0)
				ask(Ageing, set.name, e.life != nil)
			}
			_, isAccess := rule.(*access)
			ask(Checking, set.name, !isExpiry && !isAccess)
		}
	}
	ask(Separating, "", len(p.namespace.prefix) > 0)
	return all
}
