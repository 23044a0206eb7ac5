package proxy

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"sessiongate/command"
	"sessiongate/policy"
	"sessiongate/resp"
)

// Rules that are only observed do nothing here. Each command is decided a second time, by the policy's shadow, in which they are
// enforced, and where that comes to something else it is counted (observed.go). What that depends on the reply for waits for it.

// What enforcing would do.
const (
	wouldRefuse  = "refuse"
	wouldRewrite = "rewrite"
	wouldCheck   = "check" // run it within a check of lengths, whose outcome the reply doesn't tell
)

// observer is what a session needs to decide a command once more.
type observer struct {
	req       policy.Request
	plan, now policy.Plan // by the shadow, and by the policy in force
}

// pending is what enforcing might do with a command whose reply has not come.
type pending struct {
	command string
	shadow  *policy.Policy
	unknown *policy.Refusal // unless the upstream refuses it too
	guard   policy.Guard
	rule    string // of guard
	reads   bool   // limit, each and edit say what may be handed out
	limit   int64  // bytes
	lenRule string // of limit
	each    bool
	edit    command.Reply
	keys    [][]byte
	queue   []*pending // of EXEC: one for each command that it runs, nil where nothing waits
}

// observe notes what the observed rules would do with the command at hand, which has been placed and was not refused.
func (s *Session) observe(c cmd) {
	if s.observer == nil {
		s.observer = &observer{}
	}
	if !s.again {
		s.would = s.foresee(c, s.policy.Shadow())
	}
	p, sl := s.would, &s.slots[len(s.slots)-1]
	unknown := p != nil && p.unknown != nil // the upstream says so at once, even in a transaction
	if !s.tx.open || unknown {
		sl.would = p
	}
	switch {
	case !s.tx.open:
	case unknown:
		s.tx.would = append(s.tx.would, nil)
	case c.spec.State == command.Begin || c.spec.State == command.Watch: // answered at once
	case c.spec.State == command.End:
		if s.policy.Transparent() && len(c.args) == 1 {
			sl.would = &pending{queue: s.tx.would}
		}
	case s.policy.Transparent():
		s.tx.would = append(s.tx.would, p)
	default:
		s.inTx[len(s.inTx)-1].slot.would = p
	}
}

// foresee decides a command as if all rules were enforced. It notes what is certain, and returns what its reply will tell.
func (s *Session) foresee(c cmd, shadow *policy.Policy) *pending {
	spec, o, name := c.spec, s.observer, commandName(c)
	maybe := func(text string) *pending { // the upstream may refuse it too, or has refused it
		return &pending{command: name, unknown: &policy.Refusal{Kind: "commands", Text: text}}
	}
	switch {
	case isForeign(c):
		return maybe("under rules a command that Sessiongate doesn't know is refused; see commands.custom")
	case !spec.ArityOK(len(c.args)), spec.Flags&command.PreAuth != 0:
		return nil
	case spec.Flags&command.Script != 0, shadow.Governs(spec):
	case spec.Certain():
		s.note(name, &policy.Refusal{Kind: "commands", Text: "NOPERM the '" + spec.RedisName() + "' command is not allowed under rules"}, wouldRefuse)
		return nil
	default:
		return maybe("under rules a command is refused of which Sessiongate can't tell the keys; see commands.custom")
	}
	names, ok := o.req.Names[:0], true
	if spec.Names != nil {
		names, ok = spec.Names(c.args, names)
	}
	if !ok && spec.Told() {
		return maybe("under rules a command is refused whose keys don't stand where commands.custom, or the upstream, says")
	}
	// Without Recent each access counts as one after which the expiry is put back.
	o.req = policy.Request{Spec: spec, Args: c.args, Names: names, DB: s.currentDB(), Now: s.now()}
	if s.own != nil {
		o.req.Watching, o.req.Tracking = s.own.watching && !s.tx.open, s.own.tracks
	}
	if !ok {
		o.req.Names = names[:0]
	}
	if shadow.Decide(&o.req, &o.plan); o.plan.Refusal != nil {
		s.note(name, o.plan.Refusal, wouldRefuse)
		return nil
	}
	if !ok { // an error, as Redis will say
		return nil
	}
	return s.compare(name, shadow)
}

// compare notes in what the shadow's plan for the observer's request differs from the one in force.
func (s *Session) compare(name string, shadow *policy.Policy) *pending {
	o := s.observer
	if o.now = (policy.Plan{}); !s.policy.Transparent() {
		s.policy.Decide(&o.req, &o.now)
	}
	if text := o.resent(); text != "" {
		s.note(name, &policy.Refusal{Rule: s.policy.Observed(&o.req, "expiry"), Kind: "expiry", Text: text}, wouldRewrite)
	}
	if s.confinesMore(o.req.Spec, shadow) {
		s.note(name, &policy.Refusal{Rule: s.policy.Observed(&o.req, ""), Kind: "script", Text: "what it writes would be checked as it runs"}, wouldRewrite)
	}
	p := &pending{command: name, shadow: shadow, edit: o.plan.Edit}
	if o.plan.Guard != o.now.Guard {
		p.guard, p.rule = o.plan.Guard, o.plan.SizeRule
	}
	if p.reads = o.plan.Each || o.plan.Limit != o.now.Limit; p.reads {
		p.limit, p.lenRule, p.each = o.plan.Limit, o.plan.SizeRule, o.plan.Each
	}
	if p.guard.Kind == policy.NoGuard && !p.reads {
		return nil
	}
	if p.each {
		p.keys = copyNames(&o.req)
	}
	return p
}

// sent are the arguments that a plan has sent.
func sent(r *policy.Request, p *policy.Plan) [][]byte {
	if p.Args != nil {
		return p.Args
	}
	return r.Args
}

// resent says in what the shadow's plan would be sent differently, but for checks; empty if it would not. Of the client's words it
// says none.
func (o *observer) resent() string {
	now, then := sent(&o.req, &o.now), sent(&o.req, &o.plan)
	var all []string
	if !slices.EqualFunc(now, then, bytes.Equal) {
		var words []string
		for i, arg := range then {
			if same := func(theirs []byte) bool { return bytes.Equal(theirs, arg) }; i == 0 || !slices.ContainsFunc(o.req.Args, same) {
				words = append(words, string(arg))
			}
		}
		all = append(all, "it would be sent as "+strings.ToUpper(words[0])+" ... "+strings.Join(words[1:], " "))
	}
	if !slices.EqualFunc(o.now.Bounds, o.plan.Bounds, sameBound) {
		all = append(all, "it would be sent with "+boundsText(o.plan.Bounds))
	}
	return strings.TrimSuffix(strings.Join(all, "; "), " ... ")
}

// sameBound compares what two policies ask for, each of which has its own Life.
func sameBound(a, b policy.Bound) bool {
	if a.Life != nil && b.Life != nil && *a.Life == *b.Life {
		a.Life = b.Life
	}
	return a == b
}

// boundsText says what goes before or behind a command to bound expiries, once for all keys.
func boundsText(bounds []policy.Bound) string {
	var words []string
	add := func(word string) {
		if !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	for i := range bounds {
		b := &bounds[i]
		for _, step := range expiresOf(b) {
			switch {
			case step.ms <= 0:
			case step.ms%1000 == 0:
				add(strings.TrimSpace(fmt.Sprintf("EXPIRE %d %s", step.ms/1000, step.flag)))
			default:
				add(strings.TrimSpace(fmt.Sprintf("PEXPIRE %d %s", step.ms, step.flag)))
			}
		}
		if b.Life != nil {
			add(fmt.Sprintf("a lifetime of %d s", b.Life.Span/1000))
		}
	}
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, ", ")
}

// confinesMore reports whether a script would be changed so that its writes are checked, or checked otherwise than they are.
func (s *Session) confinesMore(spec *command.Spec, shadow *policy.Policy) bool {
	if forms[spec.ID] == noScript || !shadow.ConfinesScripts() {
		return false
	}
	o := s.observer
	return !s.policy.ConfinesScripts() || shadow.KeepsLifetimes() != s.policy.KeepsLifetimes() ||
		!bytes.Equal(shadow.AppendLives(nil, o.plan.Bounds, firstDeclared), s.policy.AppendLives(nil, o.now.Bounds, firstDeclared)) ||
		!bytes.Equal(shadow.AppendConfinement(nil, o.plan.Limit), s.policy.AppendConfinement(nil, o.now.Limit))
}

// told notes what a reply tells. raw is empty if there is none.
func (s *Session) told(p *pending, raw []byte) {
	switch {
	case p.queue != nil:
		s.toldAll(p.queue, raw)
		return
	case p.unknown != nil:
		if len(raw) > 0 && !bytes.HasPrefix(raw, []byte("-ERR unknown ")) && !bytes.HasPrefix(raw, []byte("-ERR wrong number ")) {
			s.note(p.command, p.unknown, wouldRefuse)
		}
		return
	}
	if p.guard.Kind != policy.NoGuard {
		switch n, known := p.length(raw); {
		case known && n > p.guard.Limit:
			s.note(p.command, policy.Oversize(p.rule, p.guard.Limit, n), wouldRefuse)
			return
		case known:
			s.note(p.command, &policy.Refusal{Rule: p.rule, Kind: "size", Text: "its value would be measured in the same step"}, wouldRewrite)
		default:
			s.note(p.command, &policy.Refusal{Rule: p.rule, Kind: "size", Text: "its value would be measured in the same step, and refused if it is above the limit"}, wouldCheck)
		}
	}
	if p.reads && len(raw) > 0 && !isError(raw) {
		if r := p.above(raw, s.policy.Prefix()); r != nil {
			s.note(p.command, r, wouldRefuse)
		}
	}
}

// toldAll notes what EXEC's array tells of the commands in it, where nothing of ours is among them.
func (s *Session) toldAll(queue []*pending, raw []byte) {
	var replies [][]byte
	for elem := range elems(raw) {
		if len(elem) > 0 && elem[0] != resp.Push {
			replies = append(replies, elem)
		}
	}
	for i, p := range queue {
		switch {
		case p == nil:
		case len(replies) == len(queue):
			s.told(p, replies[i])
		default: // it was not carried out
			s.told(p, nil)
		}
	}
}

// length is how long the value is that a guard would have measured, where the reply says so: as a number of bytes, or by the value.
func (p *pending) length(raw []byte) (n int64, known bool) {
	kind, _, body, ok := resp.Split(raw)
	switch {
	case !ok:
		return 0, false
	case kind == resp.Integer && (p.guard.Kind == policy.GuardAppend || p.guard.Kind == policy.GuardKeys):
		return resp.ParseInt(bytes.TrimSuffix(raw[1:], []byte("\r\n")))
	case kind == resp.String && !isNull(raw):
		return int64(len(body)), true
	}
	return 0, false
}

// above refuses a reply that hands out more than the rules would let it; nil: they would.
func (p *pending) above(raw, prefix []byte) *policy.Refusal {
	if !p.each {
		if n := longestString(raw); p.limit > 0 && n > p.limit {
			return policy.Oversize(p.lenRule, p.limit, n)
		}
		return nil
	}
	var r *policy.Refusal
	try := func(key []byte, length func(limit int64) int64) {
		if limit, rule := p.shadow.ValueLimit(key); r == nil && limit > 0 {
			if n := length(limit); n > limit {
				r = policy.Oversize(rule, limit, n)
			}
		}
	}
	longest := func(elem []byte) func(int64) int64 { return func(int64) int64 { return longestString(elem) } }
	switch p.edit {
	case command.Payload:
		if payload, ok := resp.Bulk(raw); ok && len(p.keys) > 0 {
			try(p.keys[0], func(limit int64) int64 { return policy.DumpLen(payload, limit) })
		}
	case command.PerKey:
		i := 0
		for elem := range elems(raw) {
			if i < len(p.keys) {
				try(p.keys[i], longest(elem))
			}
			i++
		}
	case command.Streams:
		eachStream(raw, func(key, entries []byte) { try(bytes.TrimPrefix(key, prefix), longest(entries)) })
	}
	return r
}

// eachStream calls f for each of [[key, entries] ...], or in RESP3 of a map of key to entries.
func eachStream(raw []byte, f func(key, entries []byte)) {
	var parts [][]byte
	for elem := range elems(raw) {
		if raw[0] != resp.Array {
			parts = append(parts, elem)
			continue
		}
		for part := range elems(elem) {
			parts = append(parts, part)
		}
	}
	for ; len(parts) > 1; parts = parts[2:] {
		key, _ := resp.Bulk(parts[0])
		f(key, parts[1])
	}
}

// observeLocal notes what rules would do with a command that is answered here, or made up of several upstream.
func (s *Session) observeLocal(c cmd) {
	if s.observer == nil {
		s.observer = &observer{}
	}
	o := s.observer
	o.req = policy.Request{Spec: c.spec, Args: c.args, Names: o.req.Names[:0], DB: s.currentDB(), Now: s.now()}
	if s.policy.Shadow().Decide(&o.req, &o.plan); o.plan.Refusal != nil {
		s.note(commandName(c), o.plan.Refusal, wouldRefuse)
	}
}
