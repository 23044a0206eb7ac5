package policy

import (
	"fmt"
	"strconv"

	"sessiongate/command"
)

// This file has the absolute part of an expiry rule: lifetime. A key is gone when that has passed since its first write, whatever
// was done to it. When it was born is kept in the key's own expiry, in the digits below Grain: RENAME and COPY carry it, and
// it takes no memory. Script and odds are explained in proxy/lifetime.go.

// Life says how the lifetime of a rule's keys is kept. It never changes.
type Life struct {
	Span  int64 // milliseconds from birth
	Grain int64 // milliseconds to which an expiry is rounded down, at most: its remainder tells the birth
	Codes int64 // how many births can be told apart; the one beyond the last is left free
	Step  int64 // milliseconds between two births that can be told apart
}

const (
	finestOf     = 20     // of an expiry, at most one part of so many is lost by rounding
	coarsest     = 60_000 // milliseconds lost at most
	mostCodes    = 128
	leastChecks  = 4 // values of the remainder for each birth, of which one is right
	shortestLife = Duration(1e9)
)

// life is the rule in figures; nil: there is no lifetime.
func (c *ExpiryConfig) life() *Life {
	if c.Lifetime == 0 {
		return nil
	}
	l := &Life{Span: c.Lifetime.Milliseconds(), Grain: min(c.longest().Milliseconds()/finestOf, coarsest)}
	l.Codes = min(mostCodes, l.Grain/leastChecks)
	if l.Codes > 2 {
		l.Step = (l.Span + l.Codes - 3) / (l.Codes - 2)
	}
	return l
}

// Born tells when a key was born that expires then, both in Unix milliseconds, and the grain that tells it. Grain 0: its expiry
// tells no birth. It does what born does in proxy/lifetime.go, for those who have only read the expiry.
func (l *Life) Born(expiry, now int64) (birth, grain int64) {
	if expiry < 0 {
		return 0, 0
	}
	for g := l.Grain; g > 0 && g >= leastChecks*l.Codes; g /= 4 {
		if g < l.Grain && expiry-now > 100*g {
			continue
		}
		checks, rest := g/l.Codes, expiry%g
		if code := rest / checks; code < l.Codes && rest%checks == (7*code+l.Step)%checks {
			steps := now / l.Step
			age := ((steps-code)%l.Codes + l.Codes) % l.Codes
			if age == l.Codes-1 { // the birth is a moment later than now
				age = 0
			}
			return (steps - age) * l.Step, g
		}
	}
	return 0, 0
}

func (c *ExpiryConfig) checkLifetime(report func(Problem), more func(path string, a Duration, than string, b Duration, hint string)) {
	for _, name := range []struct {
		path string
		d    Duration
	}{{"default", c.Default}, {"min", c.Min}, {"max", c.Max}, {"idle", c.Idle}} {
		more(name.path, name.d, "above lifetime, "+c.Lifetime.String(), c.Lifetime, "lower "+name.path+" or raise lifetime")
	}
	if c.Lifetime <= 0 {
		return
	}
	for _, name := range []struct {
		path string
		d    Duration
	}{{"max", c.Max}, {"idle", c.Idle}, {"lifetime", c.Lifetime}} {
		if name.d > 0 && name.d < shortestLife {
			report(Problem{Path: name.path, Value: name.d.String(), Text: fmt.Sprintf("%s is too short for a rule with a lifetime", name.d), Hint: "write 1s or more"})
		}
	}
}

// keepLife has the key r.Names[i] keep its birth, and no expiry beyond its lifetime. first is the index of the first Bound that
// this rule has asked for.
func (e *expiry) keepLife(r *Request, i int, p *Plan, first int) {
	if p.Refusal != nil {
		return
	}
	arg := r.Names[i].Arg
	if r.Names[i].Kind == command.Out && e.ages(r, p) && len(p.Bounds) == first {
		p.Bounds = append(p.Bounds, Bound{Arg: arg})
	}
	for k := first; k < len(p.Bounds); k++ {
		b := &p.Bounds[k]
		p.lifeRule = e.name
		b.Life, b.Carried = e.life, !b.Before && bringsBirth(r)
		if b.Max == 0 && b.Idle == 0 { // a command that does nothing may leave what nobody has bounded
			b.Max = e.max
		}
		p.Within = p.Within || !b.Elsewhere && r.Names[i].Kind == command.Out && e.loses(r, p)
	}
}

// within has the births of a guarded command's keys kept in its guard's script, so that what is refused there changes no expiry, and
// refuses a command that is too long for a script.
func (p *Plan) within(r *Request) {
	for i := range p.Bounds {
		p.Within = p.Within || p.Guard.Kind != NoGuard && p.Bounds[i].Life != nil && !p.Bounds[i].Before
	}
	if n := int64(len(r.Args)); n > mostArgs && p.Within {
		p.refuse(&Refusal{Rule: p.lifeRule, Kind: "expiry", Limit: mostArgs, Got: n,
			Text: fmt.Sprintf("DENIED expiry: a command of %d arguments is above the %d with which births can be kept (rule %s)",
				n, mostArgs, strconv.Quote(p.lifeRule))})
	}
}

// bringsBirth reports whether the expiry of the key that is written comes from elsewhere, and with it a birth. RESTORE brings one only
// with ABSTTL: what it counts from now on tells none.
func bringsBirth(r *Request) bool {
	return r.Spec.Expiry.Effect == command.Carries && (r.Spec.Values.Grow != command.Dump || len(r.Args) > 4 && mentions(r.Args[4:], "ABSTTL"))
}

// stayIn refuses a command that takes a key from a rule with a lifetime to where another rule holds, or none, and from there it could
// come back: what its expiry tells of its birth can't be read there.
func (p *Policy) stayIn(r *Request, plan *Plan) {
	if r.Spec.Expiry.Effect != command.Carries || plan.Refusal != nil {
		return
	}
	var from *expiry
	for _, name := range r.Names {
		e := p.expiryOf(r.Args[name.Arg])
		switch {
		case name.Kind == command.In:
			from = e
		case from != nil && from.life != nil && (e == nil || e.life == nil || *e.life != *from.life):
			plan.refuse(&Refusal{Rule: from.name, Kind: "expiry", Limit: from.life.Span, Text: fmt.Sprintf(
				"DENIED expiry: '%s' would take the key out of its lifetime of %s (rule %s)",
				r.Spec.RedisName(), Duration(from.life.Span*1e6), strconv.Quote(from.name))})
			return
		}
	}
}

// expiryOf is the expiry rule of a key, by the client's name for it; nil if it has none.
func (p *Policy) expiryOf(key []byte) *expiry {
	if at := p.index.find(key, nil); at != noSet {
		for _, rule := range p.sets[at].rules {
			if e, ok := rule.(*expiry); ok {
				return e
			}
		}
	}
	return nil
}

// ages reports whether the command may make a key that it writes, or change its expiry.
func (e *expiry) ages(r *Request, p *Plan) bool {
	switch r.Spec.Expiry.Effect {
	case command.Keeps:
		return false
	case command.GetOpts:
		return p.opts.any
	}
	return true
}

// loses reports whether the command may change the expiry of a key that it writes, and with it what that tells of the birth.
// Of a script the proxy can't tell: scripts are watched from within.
func (e *expiry) loses(r *Request, p *Plan) bool {
	switch x := &r.Spec.Expiry; x.Effect {
	case command.Creates:
		return x.Becomes != nil
	case command.Anything:
		return false
	}
	return e.ages(r, p)
}

// KeepsLifetimes reports whether there is a rule with a lifetime.
func (p *Policy) KeepsLifetimes() bool { return p.ages }

// AppendLives appends, behind what AppendConfinement has, what a script must know to keep births as it runs: eight figures of a
// Bound with its Life, for keys that the script does not declare (or none, where they have none), and for each of bounds that
// has a Life the number of its key among those declared, which begin at argument first, with eight more.
func (p *Policy) AppendLives(dst []byte, bounds []Bound, first int) []byte {
	dst = append(dst, '|', ' ')
	if only := p.only(); only != nil {
		for _, rule := range only.rules {
			if e, ok := rule.(*expiry); ok && e.life != nil {
				b := e.anyKey()
				b.Life = e.life
				dst = b.appendFigures(dst)
			}
		}
	}
	for i := range bounds {
		if b := &bounds[i]; b.Life != nil && !b.Before {
			dst = append(dst, '|')
			dst = strconv.AppendInt(dst, int64(b.Arg-first+1), 10)
			dst = b.appendFigures(append(dst, ' '))
		}
	}
	return dst
}

// Figures are what a script must know of a Bound that has a Life, in milliseconds but for the third.
func (b *Bound) Figures() [8]int64 {
	return [...]int64{b.Life.Span, b.Life.Grain, b.Life.Codes, b.Life.Step, b.Default, b.Max, b.Min, b.Idle}
}

func (b *Bound) appendFigures(dst []byte) []byte {
	for _, n := range b.Figures() {
		dst = append(strconv.AppendInt(dst, n, 10), ' ')
	}
	return dst
}
