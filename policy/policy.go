// Package policy turns one command into a Plan: refuse it, rewrite it, follow it with expiry commands.
//
// It is pure: no sockets, no clock, no goroutines. A Policy is immutable, one per tenant; a reload makes a new
// one. Each rule kind has a file of its own with its configuration, its check and its Apply; rules.go lists them.
//
//	p, err := policy.New(policy.Config{Namespace: "app:", Rules: rules})
//	var plan policy.Plan // reused from command to command
//	p.Decide(&policy.Request{Spec: spec, Args: args, Names: names}, &plan)
package policy

import (
	"bytes"

	"sessiongate/command"
)

// Request is one command as rules see it, by the names the client uses. The session reuses it: keep nothing of it.
type Request struct {
	Spec  *command.Spec
	Args  [][]byte
	Names []command.Ref
	DB    int   // the database the session has selected; below 0: only Redis knows
	Now   int64 // the upstream's clock, Unix milliseconds, as well as the proxy knows it

	Where    uint64   // tells upstreams apart, for Recent
	Recent   *Recent  // whose expiries were put back a moment ago; nil: nobody knows
	Tick     int64    // the proxy's own clock, in milliseconds, for Recent
	Written  *Written // when keys were written; nil: there are no replicas
	Watching bool     // the client watches keys: its reads must not change any
	Tracking bool     // the client hears of changes to what it reads: a read must stay one, and nothing of ours come after it
}

// Plan says what to do with a Request. The zero Plan sends the client's arguments as they are.
type Plan struct {
	Refusal  *Refusal      // answer this, send nothing
	Args     [][]byte      // send these instead of the Request's; nil: the Request's
	Names    []command.Ref // where the names stand in Args; set whenever Args is
	Prefix   []byte        // goes before every name
	Bounds   []Bound       // before and afterwards, in the same MULTI
	Loose    bool          // the Bounds need not be in one step with the command, and must not keep it from being carried out
	Within   bool          // the Bounds with a Life are met in one step with the command, which may lose what the expiry tells of it
	Marks    []Mark        // what Recent is to know, if the Request has one
	Guard    Guard         // a check that must hold, in the same step as the command
	Edit     command.Reply // how to edit the reply
	Limit    int64         // the longest bulk string in bytes that may be handed out; 0: any
	SizeRule string        // name of the rule that set Limit or Guard, for the refusal's text
	Each     bool          // values in the reply have limits of their own, which Policy.ValueLimit says; Limit is above all of them

	Replica bool // a replica may answer
	Nearest bool // it, or the master, whoever answers soonest

	near     hint     // where the last key's set was found; outlives the plan
	argbuf   [][]byte // backs Args, so that planning doesn't allocate
	text     []byte   // backs the numbers in Args
	opts     options  // of a command that takes SET's or GETEX's, parsed once for all rules
	spared   int      // keys so far for which a replica may answer
	ruled    int      // keys so far whose values have a limit of their own
	lifeRule string   // the rule that has set a Life
	Rule     int      // whose the first key is that has one, or a command without keys, counted from 1 in the policy's order; 0: none
	salt     uint64   // tells upstream and namespace apart in Recent
}

// reset makes the plan a zero one but for the buffers.
func (p *Plan) reset() {
	*p = Plan{Bounds: p.Bounds[:0], Marks: p.Marks[:0], near: p.near, argbuf: p.argbuf[:0], text: p.text[:0]}
}

// refuse drops everything else that was planned.
func (p *Plan) refuse(r *Refusal) {
	rule := p.Rule
	p.reset()
	p.Refusal, p.Rule = r, rule
}

// Bound follows a command with EXPIRE commands on one of its keys. Each is sent only when positive.
type Bound struct {
	Arg       int   // index of the key in the arguments sent (Plan.Args, or Request.Args)
	DB        int   // the database the key is in, when Elsewhere
	Elsewhere bool  // the key is in DB, not in the session's database
	Default   int64 // milliseconds: EXPIRE key Default NX
	Max       int64 // milliseconds: EXPIRE key Max LT
	Min       int64 // milliseconds: EXPIRE key Min GT
	Idle      int64 // milliseconds: EXPIRE key Idle, whatever it is; the three above are 0 then
	Before    bool  // it goes before the command
	Carried   bool  // the expiry may come from another key, and with it a birth
	Life      *Life // the key's absolute lifetime, which the expiry must not be beyond; nil: it has none
}

// mostArgs is how many arguments a command may have that runs within a script, for its Guard or its keys' births: the script holds
// them on Lua's stack, which has room for 8,000.
const mostArgs = 7500

// Guard is a check on string lengths that must hold for the command to run. The proxy sends command and check as one
// script, so that a value can't grow between check and write. The zero Guard checks nothing.
type Guard struct {
	Kind  GuardKind
	Limit int64 // bytes
}

// GuardKind says what a Guard compares with its limit.
type GuardKind uint8

const (
	NoGuard     GuardKind = iota
	GuardAppend           // STRLEN of the first key, plus the length of the last argument
	GuardKeys             // STRLEN of every key named that is a string (BITOP sources; GETDEL's, GETSET's old value)
	GuardAfter            // STRLEN of the first key after the command; if above, the old value is put back
	GuardSource           // STRLEN of the first key, which is another than the one that the rule is for
	GuardField            // HSTRLEN of the first key's field, the command's next argument, after the command; if above, it is put back
)

// Rule is what one rule set wants in one respect: who may, how big, how long, where.
type Rule interface {
	// Apply adds to p what the rule wants of the key r.Names[i], or of the whole command when i is noKey, or refuses.
	// No I/O, no allocation unless it refuses. Rules come in the order of their kinds; p holds what the earlier ones want.
	Apply(r *Request, i int, p *Plan)
}

// noKey stands for the index of a key in a command that names none.
const noKey = -1

// Policy is the rules of one tenant. It never changes; all of its methods may be called at once.
type Policy struct {
	namespace *namespace
	sets      []*ruleSet
	index     index     // finds a key's set
	keyless   *ruleSet  // for commands that name no key; may be nil
	keylessAt int       // its place in sets
	confines  bool      // there are rules on what is written
	ages      bool      // there are rules with a lifetime
	salt      uint64    // of the namespace
	readOnly  *readOnly // nil: the tenant may write
	enforces  bool      // there are rules that are not only observed
	shadow    *Policy   // in which all rules are enforced; nil: they all are in this one
}

// ruleSet is one entry of the configuration's list of rules.
type ruleSet struct {
	name  string // for display
	globs []glob // none: every key
	rules []Rule // in the order of their kinds; of an observed one, none

	observed bool
	kinds    []string // of its sections
}

// Prefix is what goes before every name; it must not be changed.
func (p *Policy) Prefix() []byte { return p.namespace.prefix }

// Transparent reports whether there are neither rules to enforce nor a namespace, and writes are allowed: everything passes unchanged.
func (p *Policy) Transparent() bool {
	return !p.enforces && len(p.namespace.prefix) == 0 && p.readOnly == nil
}

// Decide makes plan what is to be done with the request. It doesn't allocate unless it refuses or the plan's buffers have
// yet to grow. The plan borrows from the request and is valid as long as the request's arguments are.
func (p *Policy) Decide(r *Request, plan *Plan) {
	plan.reset()
	if p.Transparent() {
		return
	}
	plan.Edit = r.Spec.Reply
	if p.readOnly != nil {
		if p.readOnly.Apply(r, noKey, plan); plan.Refusal != nil {
			return
		}
	}
	if p.enforces {
		p.applySets(r, plan)
	}
	if n := int64(len(r.Args)); plan.Guard.Kind != NoGuard && n > mostArgs {
		plan.refuse(tooMany(plan.SizeRule, n))
	}
	if p.ages {
		p.stayIn(r, plan)
		plan.within(r)
	}
	if plan.Refusal == nil {
		p.namespace.Apply(r, noKey, plan)
	}
	if plan.spared > 0 {
		plan.spare(r)
	}
	if !plan.Each && (plan.Edit == command.PerKey || plan.Edit == command.Payload) {
		plan.Edit = command.Value // one limit says it all
	}
}

// applySets has each key judged by its own rule set, a command without keys by the first set that has none either.
func (p *Policy) applySets(r *Request, plan *Plan) {
	plan.opts, plan.salt = parseOptions(r), p.salt+r.Where*mixer
	keys := 0
	for i, name := range r.Names {
		switch name.Kind {
		case command.In, command.Out:
			keys++
			at := p.index.find(r.Args[name.Arg], &plan.near)
			if at == noSet {
				continue
			}
			if plan.Rule == 0 {
				plan.Rule = at + 1
			}
			if !p.sets[at].apply(r, i, plan) {
				return
			}
		case command.Sub:
			if !p.applyLookup(r, i, plan) {
				return
			}
		}
	}
	if keys == 0 && p.keyless != nil {
		plan.Rule = p.keylessAt + 1
		p.keyless.apply(r, noKey, plan)
	}
	if plan.ruled > 0 && plan.ruled < keys { // the others' values may have any length
		plan.Each, plan.Limit = true, 0
	}
}

// ValueLimit is the longest value in bytes that may be handed out of a key, by the client's name for it, and the rule that says
// so. 0: any.
func (p *Policy) ValueLimit(key []byte) (limit int64, rule string) {
	if at := p.index.find(key, nil); at != noSet {
		for _, each := range p.sets[at].rules {
			if s, ok := each.(*size); ok {
				return s.value, s.name
			}
		}
	}
	return 0, ""
}

// apply reports whether the command is still allowed.
func (s *ruleSet) apply(r *Request, i int, plan *Plan) bool {
	for _, rule := range s.rules {
		if rule.Apply(r, i, plan); plan.Refusal != nil {
			return false
		}
	}
	return true
}

// applyLookup applies the rules of whatever keys the pattern r.Names[i] may look up: which, only Redis will know.
func (p *Policy) applyLookup(r *Request, i int, plan *Plan) bool {
	begins := literal(r.Args[r.Names[i].Arg])
	for _, set := range p.sets {
		if set.mayHold(begins) && !set.apply(r, i, plan) {
			return false
		}
	}
	return true
}

// literal is what all names that a pattern looks up begin with.
func literal(pattern []byte) []byte {
	begins, _, _ := bytes.Cut(pattern, []byte("*"))
	return begins
}

// mayHold reports whether a name that begins with literal can be in the set.
func (s *ruleSet) mayHold(literal []byte) bool {
	for i := range s.globs {
		if n := min(len(literal), len(s.globs[i].literal)); string(literal[:n]) == s.globs[i].literal[:n] {
			return true
		}
	}
	return len(s.globs) == 0
}

// RuleName is the display name of the rule that the request's first key belongs to, empty if there is none.
func (p *Policy) RuleName(r *Request) string {
	for _, name := range r.Names {
		if name.Kind == command.In || name.Kind == command.Out {
			if at := p.index.find(r.Args[name.Arg], nil); at != noSet {
				return p.sets[at].name
			}
			return ""
		}
	}
	if p.keyless != nil {
		return p.keyless.name
	}
	return ""
}
