package proxy

import (
	"github.com/tidwall/redcon"

	"sessiongate/command"
	"sessiongate/policy"
)

// decide gives the command a slot: to be forwarded, or refused. It returns false, and does nothing, for a command that leaves the line.
func (s *Session) decide(c cmd) bool {
	switch {
	case c.spec == nil && isCrossProtocol(c.args):
		return false
	case s.tenant == nil && (c.spec == nil || c.spec.Flags&command.PreAuth == 0):
		s.refuse(appendLockedOut(s.local, c))
		s.slots[len(s.slots)-1].traced = s.count(c.spec, Refused, 0, 0)
		return true
	case s.tenant == nil:
		return false
	case s.unmet != "" && (c.spec == nil || c.spec.State != command.Local):
		s.refuse(redcon.AppendError(s.local, unavailable+s.unmet+notRun))
		s.slots[len(s.slots)-1].traced = s.count(c.spec, Refused, 0, 0)
		return true
	case s.tenant.Rate.Commands > 0 && s.overRate(c):
		return true
	case s.leaves(c):
		return false
	}
	s.place(c)
	return true
}

// place puts the command into the batch as the tenant's policy wants it, or a refusal into its slot.
func (s *Session) place(c cmd) {
	if s.sharded {
		s.placeUnit(c)
		return
	}
	s.placeOne(c)
}

// placeOne is place for a command that goes to one node.
func (s *Session) placeOne(c cmd) {
	s.rule(c)
	s.countPlaced(c)
	refused := s.slots[len(s.slots)-1].text
	if !refused && s.policy.Shadow() != nil {
		s.observe(c)
	}
	if c.spec != nil && !refused {
		s.follow(c)
	}
	if s.cached(c) && refused {
		s.batch.Req = appendCommand(s.batch.Req, next)
		s.batch.Count++
	}
}

// rule puts the command into the batch by the rules, or a refusal into its slot.
func (s *Session) rule(c cmd) {
	if s.policy.Transparent() {
		s.pass(c)
	} else if s.known(c) {
		s.govern(c)
	} else {
		s.plan.Rule = 0 // the plan is another command's
	}
}

// placeAgain puts a command into the batch that was in one before.
func (s *Session) placeAgain(c cmd) {
	s.again = true
	s.place(c)
	s.again = false
}

// govern decides a command by the rules.
func (s *Session) govern(c cmd) {
	names, ok := s.req.Names[:0], true
	if c.spec.Names != nil {
		names, ok = c.spec.Names(c.args, names)
	}
	if !ok && c.spec.Told() { // who knows whether Redis refuses it, and with whose keys
		s.refuse(appendArity(s.local, c.spec.RedisName()))
		return
	}
	s.req = policy.Request{Spec: c.spec, Args: c.args, Names: names, DB: s.currentDB(), Now: s.now(),
		Where: s.pool().Serial(), Recent: &s.srv.recent, Tick: s.tick}
	if s.sharded {
		s.req.Written = &s.srv.written
	}
	if s.own != nil {
		s.req.Watching, s.req.Tracking = s.own.watching && !s.tx.open, s.own.tracks
	}
	if !ok { // an error whatever the keys: Redis says which
		s.req.Names = s.req.Names[:0]
	}
	s.policy.Decide(&s.req, &s.plan)
	if s.plan.Refusal != nil {
		s.denied(s.plan.Refusal, c.spec)
		return
	}
	if !ok { // but not of somebody else's keys
		s.plan = policy.Plan{Prefix: s.policy.Prefix()}
		s.req.Names = names
	}
	s.send(c)
}

// currentDB is the database that the command at hand will run in. Behind a queued SELECT that isn't known until EXEC: Redis may
// refuse it.
func (s *Session) currentDB() int {
	if s.tx.open && s.tx.moves {
		return -1
	}
	return s.db
}

// now is the upstream's clock, asked once per batch.
func (s *Session) now() int64 {
	if s.at == 0 {
		s.at = s.pool().Now()
	}
	return s.at
}

// known reports whether a governed tenant may use the command at all; if not, it has been answered in Redis's words.
func (s *Session) known(c cmd) bool {
	withText, wrong := appendMistake(s.local, c)
	switch {
	case wrong:
		s.refuse(withText)
	case c.spec.Flags&command.Script != 0:
		errText := s.walled(c)
		if errText == "" {
			return true
		}
		s.refuse(redcon.AppendError(s.local, errText))
	case !s.tx.open && s.composes(c.spec) != nil && s.srv != nil: // as it stands it would be about every tenant's keys; nothing leads here
		s.refuse(redcon.AppendError(s.local, "NOPERM the '"+c.spec.RedisName()+"' command can't be forwarded as it is"))
	case s.policy.Governs(c.spec):
		return true
	case c.spec.Certain(): // it is known, and must not be used
		s.refuse(redcon.AppendError(s.local, "NOPERM the '"+c.spec.RedisName()+"' command concerns the whole server and is not allowed here"))
	default:
		s.refuse(appendUnknown(s.local, c.args))
	}
	return false
}

// appendMistake answers, as Redis does before anything else, a command that there isn't, or with arguments missing.
func appendMistake(dst []byte, c cmd) (withText []byte, wrong bool) {
	switch spec := c.spec; {
	case spec == nil:
		return appendUnknown(dst, c.args), true
	case spec.Flags&command.Container != 0 && len(c.args) > 1:
		return appendUnknownSub(dst, c.args), true
	case !spec.ArityOK(len(c.args)):
		return appendArity(dst, spec.RedisName()), true
	}
	return dst, false
}

// appendLockedOut answers a client that has to authenticate first.
func appendLockedOut(dst []byte, c cmd) []byte {
	withText, wrong := appendMistake(dst, c)
	switch {
	case wrong:
		return withText
	case execs[c.spec.ID]:
		return redcon.AppendError(dst, errExecNoAuth)
	}
	return redcon.AppendError(dst, errNoAuth)
}

// refuse gives the command at hand a slot that is answered here: withText is s.local with the answer appended.
func (s *Session) refuse(withText []byte) { s.refuseAs(withText, s.mute.next()) }

func (s *Session) refuseAs(withText []byte, mute bool) {
	s.slots = append(s.slots, slot{text: true, start: len(s.local), end: len(withText), mute: mute})
	s.local = withText
	if s.tx.open {
		s.spoil()
	}
}

// denied answers a command that a rule refuses, counts and logs it.
func (s *Session) denied(r *policy.Refusal, spec *command.Spec) {
	s.refuse(r.AppendRESP(s.local))
	s.slots[len(s.slots)-1].refusal = r
	s.noteRefusal(spec.Name, r)
}
