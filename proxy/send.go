package proxy

import (
	"slices"
	"strconv"

	"github.com/tidwall/redcon"

	"sessiongate/command"
	"sessiongate/policy"
)

// slot is the place of one command's reply in a batch.
type slot struct {
	spec    *command.Spec
	edit    command.Reply
	first   int    // index of the command's first reply in the batch
	wrapped int    // replies that belong to it when it travels in a MULTI of ours; 0: it doesn't
	before  int    // replies to commands of ours that come before it
	behind  int    // replies to those that come behind it, when there is no MULTI
	rule    string // the size rule that set a limit for the reply
	limit   int64
	keys    [][]byte // of a command whose values have limits of their own
	checked bool     // a check of ours within Redis may refuse it
	mute    bool     // CLIENT REPLY: the client doesn't want it
	many    int      // replies that all go to the client: the confirmations of SUBSCRIBE
	exec    bool     // EXEC's: its array holds the replies of queue[start:end]
	text    bool     // answered here, by local[start:end]
	start   int
	end     int
	would   *pending // what observed rules wait to see in the reply; nil: nothing
	split   *split   // it is carried out in parts; nil: it is not

	traced  *traced         // nil: it isn't
	refusal *policy.Refusal // of it or of its reply, by a rule; nil: there is none

	marks, lastMark int // what Recent is to know of it: flight.marks[marks:lastMark]
}

// pass forwards the command as it is.
func (s *Session) pass(c cmd) {
	sl := slot{spec: c.spec, first: s.batch.Count, mute: s.mute.next()}
	if c.spec != nil && c.spec.Reply == command.ServerInfo && !s.tx.open { // there the reply is that it is queued
		sl.edit = command.ServerInfo
	}
	s.slots = append(s.slots, sl)
	s.appendRaw(c)
}

// appendRaw adds the client's own bytes to the batch; one reply will come.
func (s *Session) appendRaw(c cmd) {
	if c.raw != nil {
		s.batch.Req = append(s.batch.Req, c.raw...)
	} else {
		s.batch.Req = redcon.AppendArray(s.batch.Req, len(c.args))
		for _, arg := range c.args {
			s.batch.Req = redcon.AppendBulk(s.batch.Req, arg)
		}
	}
	s.batch.Count++
}

// send adds the command to the batch as its plan wants it, and its slot. Commands that follow it travel in a MULTI of
// ours, or, within the client's own, are queued behind it.
func (s *Session) send(c cmd) {
	s.change(c)
	p := &s.plan
	wrap := hasCompany(p) && !s.tx.open && !p.Loose
	if wrap {
		s.batch.Req = append(s.batch.Req, "*1\r\n$5\r\nMULTI\r\n"...)
		s.batch.Count++
	}
	before := 0
	s.batch.Req, before = appendBounds(s.batch.Req, &s.req, p, true)
	s.batch.Count += before
	taken := 0
	if s.switches(c) {
		s.batch.Req = s.tenant.Wall.AppendTake(s.batch.Req)
		s.batch.Count++
		before, taken = before+1, 1
		if s.own != nil { // else it is only to be seen whether it may be queued
			s.own.stained = true
		}
	}
	sl := slot{spec: c.spec, edit: p.Edit, first: s.batch.Count, rule: p.SizeRule, limit: p.Limit, mute: s.mute.next()}
	if p.Each {
		sl.keys = copyNames(&s.req)
	}
	sl.checked = p.Guard.Kind != policy.NoGuard || c.spec.Flags&command.Script != 0 && s.policy.ConfinesScripts()
	if p.Args == nil && len(p.Prefix) == 0 && p.Guard.Kind == policy.NoGuard && !p.Within {
		s.appendRaw(c)
	} else {
		s.batch.Req = appendPlanned(s.batch.Req, &s.req, p)
		s.batch.Count++
	}
	if p.Loose && !s.tx.open && sl.limit > 0 {
		s.limitLast(sl.limit)
	}
	n := taken
	if taken > 0 {
		s.batch.Req = s.pool().AppendLeave(s.batch.Req)
	}
	if len(p.Bounds) > 0 {
		var more int
		s.batch.Req, more = appendBounds(s.batch.Req, &s.req, p, false)
		n += more
	}
	s.batch.Count += n
	// MULTI and WATCH are answered at once.
	queues := s.tx.open && c.spec.State != command.Begin && c.spec.State != command.Watch && c.spec.State != command.End
	switch {
	case wrap:
		s.batch.Req = append(s.batch.Req, "*1\r\n$4\r\nEXEC\r\n"...)
		s.batch.Count++
		sl.first, sl.wrapped, sl.before = sl.first-1-before, before+n+3, before
	case s.tx.open && c.spec.State == command.End:
		sl.exec, sl.start, sl.end = true, s.tx.start, len(s.inTx)
		sl.marks, sl.lastMark = s.tx.marks, len(s.marks)
	case queues:
		s.inTx = append(s.inTx, queued{slot: sl, before: before, extra: n})
		sl.edit, sl.limit = command.Opaque, 0
	}
	if p.Loose && !s.tx.open {
		sl.before, sl.behind = before, n
	} else if sl.limit > 0 {
		s.limitLast(sl.limit)
	}
	if len(p.Marks) > 0 {
		s.mark(&sl, before)
	}
	if queues {
		sl.marks, sl.lastMark = 0, 0 // EXEC has them
		s.tx.elems += before + 1 + n
	}
	s.slots = append(s.slots, sl)
}

// limitLast limits the bulk strings of the last reply of the batch so far.
func (s *Session) limitLast(limit int64) {
	for len(s.batch.Limits) < s.batch.Count-1 {
		s.batch.Limits = append(s.batch.Limits, 0)
	}
	s.batch.Limits = append(s.batch.Limits, limit)
}

// appendPlanned writes the command that a plan makes of a request.
func appendPlanned(dst []byte, r *policy.Request, p *policy.Plan) []byte {
	args, names := r.Args, r.Names
	if p.Args != nil {
		args, names = p.Args, p.Names
	}
	if !slices.IsSortedFunc(names, byArg) {
		slices.SortFunc(names, byArg)
	}
	switch {
	case p.Guard.Kind != policy.NoGuard, p.Within:
		return appendScripted(dst, args, names, p)
	case r.Spec.State == command.Subscribe:
		return appendSubscription(dst, args, names, p.Prefix)
	}
	var narrow *command.Narrow // looking at every name there is means the tenant's
	if len(p.Prefix) > 0 {
		narrow = r.Spec.Narrow(args, names)
	}
	dst = redcon.AppendArray(dst, len(args)+extraArgs(narrow))
	if narrow == nil {
		return appendArgs(dst, args, 0, names, p.Prefix)
	}
	dst = appendArgs(dst, args[:narrow.At], 0, names, p.Prefix)
	if narrow.Word != "" {
		dst = redcon.AppendBulkString(dst, narrow.Word)
	}
	all := []byte(nil)
	if narrow.Kind == command.Glob || narrow.Kind == command.ChannelGlob {
		all = []byte("*")
	}
	dst = appendName(dst, p.Prefix, all, narrow.Kind)
	return appendArgs(dst, args, narrow.At, names, p.Prefix)
}

// extraArgs is how many arguments it takes to narrow a command.
func extraArgs(n *command.Narrow) int {
	switch {
	case n == nil:
		return 0
	case n.Word == "":
		return 1
	}
	return 2
}

func byArg(a, b command.Ref) int { return a.Arg - b.Arg }

// appendArgs writes the arguments from the given one on, putting the prefix before each of the names, which are in the order of
// arguments.
func appendArgs(dst []byte, args [][]byte, from int, names []command.Ref, prefix []byte) []byte {
	for len(names) > 0 && names[0].Arg < from {
		names = names[1:]
	}
	for i := from; i < len(args); i++ {
		arg := args[i]
		if len(names) > 0 && names[0].Arg == i {
			dst = appendName(dst, prefix, arg, names[0].Kind)
			for len(names) > 0 && names[0].Arg == i {
				names = names[1:]
			}
			continue
		}
		dst = redcon.AppendBulk(dst, arg)
	}
	return dst
}

// appendName writes one name under the prefix; before a pattern the prefix stands escaped, so that it is taken literally.
func appendName(dst, prefix, name []byte, kind command.Kind) []byte {
	length := len(prefix) + len(name)
	escape := kind == command.Glob || kind == command.ChannelGlob
	if escape {
		for _, c := range prefix {
			if isGlob(c) {
				length++
			}
		}
	}
	dst = append(dst, '$')
	dst = strconv.AppendInt(dst, int64(length), 10)
	dst = append(dst, "\r\n"...)
	if escape {
		dst = appendEscaped(dst, prefix)
	} else {
		dst = append(dst, prefix...)
	}
	dst = append(dst, name...)
	return append(dst, "\r\n"...)
}

func appendEscaped(dst, prefix []byte) []byte {
	for _, c := range prefix {
		if isGlob(c) {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return dst
}

func isGlob(c byte) bool {
	return c == '*' || c == '?' || c == '[' || c == ']' || c == '\\' || c == '^'
}

// appendWait writes a command that waits until the list args[1] has an element and changes nothing. args is BLMOVE source
// destination wherefrom whereto timeout, or BRPOPLPUSH source destination timeout.
func appendWait(dst, prefix []byte, args [][]byte, seconds float64) []byte {
	end := []byte("RIGHT")
	if len(args) > 4 {
		end = args[3]
	}
	dst = append(dst, "*6\r\n$6\r\nBLMOVE\r\n"...)
	dst = appendName(dst, prefix, args[1], command.In)
	dst = appendName(dst, prefix, args[1], command.In)
	dst = redcon.AppendBulk(dst, end)
	dst = redcon.AppendBulk(dst, end)
	return redcon.AppendBulkString(dst, strconv.FormatFloat(seconds, 'f', 3, 64))
}

// appendBulkInt writes n as a bulk string. redcon's function of that name makes a string first.
func appendBulkInt(dst []byte, n int64) []byte {
	var digits [20]byte
	return redcon.AppendBulk(dst, strconv.AppendInt(digits[:0], n, 10))
}
