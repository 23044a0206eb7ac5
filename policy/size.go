package policy

import (
	"fmt"
	"math"
	"strconv"

	"sessiongate/command"
)

// SizeConfig limits lengths. A key is measured as the client names it. A value is a string, or an element, field, member or
// other argument of a collection; it is measured when written and when read.
type SizeConfig struct {
	Key   Size `yaml:"key"`   // the longest name of a key; left out: any
	Value Size `yaml:"value"` // the longest value; left out: any
}

func (c *SizeConfig) check(report func(Problem)) {
	if c.Key == 0 && c.Value == 0 {
		report(Problem{Text: "sets nothing", Hint: "add key or value"})
	}
	for _, s := range []struct {
		name string
		size Size
	}{{"key", c.Key}, {"value", c.Value}} {
		if s.size < 0 {
			report(Problem{Path: s.name, Value: s.size.String(), Text: s.size.String() + " is below zero", Hint: "write a size above zero, as 64KiB"})
		}
	}
}

// size refuses what is longer than its limits.
type size struct {
	name       string
	key, value int64 // bytes; 0: any
}

var _ Rule = (*size)(nil)

func (c *SizeConfig) rule(name string) Rule {
	return &size{name, int64(c.Key), int64(c.Value)}
}

// longestNumber is above what any command of Grow Number can leave: the text of a long double takes some 5,000 bytes at
// most, a HyperLogLog 12,304.
const longestNumber = 16 << 10

// Apply measures what can be measured now. What depends on the value that Redis has is left to a Guard, what is read to
// a Limit. Numbers that Redis itself refuses are left to Redis.
func (s *size) Apply(r *Request, i int, p *Plan) {
	if i == noKey {
		return
	}
	name := r.Names[i]
	if n := int64(len(r.Args[name.Arg])); s.key > 0 && n > s.key && name.Kind != command.Sub {
		p.refuse(tooLong("key", s.name, s.key, n))
		return
	}
	if s.value == 0 {
		return
	}
	if name.Kind != command.Sub {
		if s.write(r, i, p); p.Refusal != nil {
			return
		}
	}
	s.read(r, p)
}

// write measures what the command is about to store under the key r.Names[i].
func (s *size) write(r *Request, i int, p *Plan) {
	v := r.Spec.Values
	if v.Grow == command.NoValue || v.First >= len(r.Args) {
		return
	}
	if v.Grow == command.Stored {
		s.stored(r, i, p)
		return
	}
	if r.Names[i].Kind != command.Out {
		return // a source of what is written elsewhere
	}
	value := int64(len(r.Args[v.First]))
	switch v.Grow {
	case command.Append:
		if value > 0 && s.allows(value, p) {
			s.guard(GuardAppend, p)
		}
	case command.AtOffset:
		if offset, ok := parseInt(r.Args[2]); ok && offset >= 0 && value > 0 {
			s.allows(add(offset, value), p)
		}
	case command.AtBit:
		if offset, ok := parseInt(r.Args[2]); ok && offset >= 0 {
			s.allows(offset/8+1, p)
		}
	case command.Bitfield:
		if n, sure := bitfieldLen(r.Args[v.First:]); s.allows(n, p) && !sure {
			s.guard(GuardAfter, p)
		}
	case command.Longest:
		s.guard(GuardKeys, p)
	case command.Number:
		if s.value < longestNumber {
			s.guard(GuardAfter, p)
		}
	case command.FieldNumber:
		if s.allows(value, p) && s.value < longestNumber {
			s.guard(GuardField, p)
		}
	case command.Source:
		s.guard(GuardSource, p)
	case command.Dump:
		s.allows(DumpLen(r.Args[v.First], s.value), p)
	}
}

// stored measures the values that stand between the key r.Names[i] and the next one.
func (s *size) stored(r *Request, i int, p *Plan) {
	from, to := 0, len(r.Args)
	if i > 0 {
		from = r.Names[i].Arg
	}
	if i+1 < len(r.Names) {
		to = r.Names[i+1].Arg
	}
	v := r.Spec.Values
	at := v.First
	if from >= at && v.Step > 0 {
		at += ((from-at)/v.Step + 1) * v.Step // the first one behind from
	}
	for ; from < at && at < to; at += v.Step {
		if at != r.Names[i].Arg && !s.allows(int64(len(r.Args[at])), p) || v.Step == 0 {
			return
		}
	}
}

// read limits what the command hands out. Where a string is lost as it is handed out, the limit must hold before.
func (s *size) read(r *Request, p *Plan) {
	reply := r.Spec.Reply
	if !reply.HoldsValues() || r.Spec.Expiry.Effect == command.SetOpts && !p.opts.get || mustTell(r) {
		return
	}
	switch {
	case r.Spec.Cats&command.String != 0 && r.Spec.Flags&command.Write != 0 && r.Spec.Expiry.Effect != command.GetOpts:
		s.guard(GuardKeys, p) // GETEX changes nothing but the expiry: a check before would cost as much again
	case reply == command.Payload:
		p.Each = true
	case reply == command.PerKey || reply == command.Streams:
		p.Each = p.Each || p.ruled > 0 && s.value != p.Limit
		if p.ruled++; s.value > p.Limit {
			p.Limit, p.SizeRule = s.value, s.name
		}
	case p.Limit == 0 || s.value < p.Limit:
		p.Limit, p.SizeRule = s.value, s.name
	}
}

// mustTell reports whether the reply is handed out at any length: the command has taken elements away, moved them, or given them
// to a consumer, and refusing it afterwards would lose them.
func mustTell(r *Request) bool {
	if r.Spec.Flags&command.Write == 0 || r.Spec.Cats&command.String != 0 {
		return false
	}
	switch r.Spec.Expiry.Effect {
	case command.Clears:
		return false // SORT: it hands out elements when it writes nothing
	case command.Keeps:
		return r.Names[0].Kind != command.Out || r.Spec.Cats&command.Stream != 0 // HGETEX: changes expiries of fields, at most
	}
	return true
}

// allows refuses a value of n bytes if that is too many.
func (s *size) allows(n int64, p *Plan) bool {
	if n > s.value {
		p.refuse(Oversize(s.name, s.value, n))
		return false
	}
	return true
}

func tooMany(rule string, got int64) *Refusal {
	return &Refusal{Rule: rule, Kind: "size", Limit: mostArgs, Got: got, Text: fmt.Sprintf(
		"DENIED size: %d arguments are above the limit of %d of a command whose value is measured as it grows (rule %s)", got, mostArgs, strconv.Quote(rule))}
}

// guard asks for a check that only Redis can make.
func (s *size) guard(kind GuardKind, p *Plan) {
	if p.Guard.Kind == NoGuard || s.value < p.Guard.Limit {
		p.Guard, p.SizeRule = Guard{kind, s.value}, s.name
	}
}

// add is a sum that stops at the largest integer.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
