package proxy

import (
	"bytes"
	"context"
	"slices"

	"github.com/tidwall/redcon"
	"go.uber.org/zap"

	"sessiongate/command"
)

// leaves reports whether the command has to leave the straight line: it is answered here, it changes what the rest of the
// batch stands on, or it needs a connection of its own. What is governed and not allowed stays, to be refused in its place.
func (s *Session) leaves(c cmd) bool {
	spec := c.spec
	switch {
	case s.special && s.leavesCluster(c):
		return true
	case spec == nil || spec.Flags&command.Container != 0 && len(c.args) > 1:
		return s.policy.Transparent() && !s.tx.open // nobody knows what it does to a connection
	case s.composes(spec) != nil, s.asksKeyspace(c):
		return true
	case !s.policy.Transparent() && !s.policy.Governs(spec):
		return false
	}
	switch spec.State {
	case command.Plain:
		return spec.Flags&command.Script != 0 && !s.tx.open || s.disturbs(c)
	case command.End:
		return s.tx.open && s.tx.moves
	case command.Unwatch:
		return !s.tx.open && s.own != nil && s.own.watching
	case command.Begin:
		return !s.tx.open && (s.own != nil || !s.whole())
	case command.Watch:
		return !s.tx.open
	case command.Blocks:
		return !s.tx.open && spec.MayBlock(c.args)
	}
	return true
}

// composes returns the handler of a command that is several commands upstream for this tenant, nil for any other.
func (s *Session) composes(spec *command.Spec) handler {
	if s.tx.open && wholeInTx[spec.ID] {
		return nil
	}
	if len(s.policy.Prefix()) > 0 || spec.Reply == command.CommandTable && !s.policy.Transparent() {
		return composed[spec.ID]
	}
	return nil
}

// aside runs the command that left the line, if there is one. It reports whether there may be more to decide.
func (s *Session) aside(ctx context.Context, c cmd) bool {
	defer s.settle()
	defer s.steppedAside(c, s.srv.elapsed(), s.acct.counted)
	s.acct.waited, s.acct.aside, s.acct.failure = 0, len(c.args) > 0, ""
	switch {
	case len(c.args) == 0:
		return c.more
	case s.tx.afloat() && (c.spec == nil || !anytime[c.spec.ID]):
		s.drift(ctx, c)
	case c.spec == nil && isCrossProtocol(c.args):
		s.srv.log.Warn("possible attack: a client speaks HTTP, closed", zap.Int64("client", s.id), zap.String("addr", s.peer()))
		s.out, s.quit = s.out[:0], true
	case c.spec == nil || c.spec.Flags&command.Container != 0 && len(c.args) > 1:
		s.foreign(ctx, c)
	case s.tenant == nil && c.spec.Flags&command.PreAuth == 0:
		s.say(errNoAuth)
	case s.tx.open && c.spec.State == command.End:
		s.endElsewhere(ctx, c)
	case s.tx.open && !anytime[c.spec.ID]:
		s.queue(ctx, c)
	case !c.spec.ArityOK(len(c.args)):
		s.reply(appendArity(nil, c.spec.RedisName()))
	case s.proto == 2 && s.subscribed() && c.spec.State != command.Subscribe && !anytime[c.spec.ID] && !whileSubscribed[c.spec.ID]:
		s.say("ERR Can't execute '" + c.spec.RedisName() + "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context")
	case c.spec.Flags&command.Script != 0:
		s.script(ctx, c)
	case s.disturbs(c):
		s.apart(ctx, c)
	case s.tenant != nil && !s.permitted(c):
	default:
		s.handle(ctx, c)
	}
	if s.cached(c) {
		_, _ = s.askOn(ctx, next) // if that fails, so does the next command
	}
	return !s.quit
}

// handle runs a command that may be run, by what it does to the connection.
func (s *Session) handle(ctx context.Context, c cmd) {
	switch c.spec.State {
	case command.Local:
		local[c.spec.ID](s, ctx, c)
	case command.Plain:
		if h := s.spreads(c); s.special && h != nil {
			h(s, ctx, c)
		} else if s.flush() != nil || s.gone(ctx) { // the replies owed must not wait for many steps, nor are those taken for nobody
			s.quit = true
		} else if s.asksKeyspace(c) {
			s.infoKeyspace(ctx, c)
		} else {
			s.composes(c.spec)(s, ctx, c)
		}
	case command.Begin:
		s.multi(ctx, c)
	case command.Watch:
		s.watch(ctx, c)
	case command.Unwatch:
		s.unwatch(ctx, c)
	case command.Blocks:
		s.block(ctx, c)
	case command.Subscribe:
		s.subscribe(ctx, c)
	case command.Pinned:
		s.pin(ctx, c)
	default:
		s.say("NOPERM replication does not pass a proxy: '" + c.spec.RedisName() + "'")
	}
}

// foreign passes on a command that the table doesn't have, on a connection of the client's own: it may block, subscribe or
// change that connection in ways that nobody here knows. An upstream that doesn't know it either has changed nothing.
func (s *Session) foreign(ctx context.Context, c cmd) {
	if c.spec != nil && ours[c.spec.ID] {
		s.reply(appendUnknownSub(nil, c.args))
		return
	}
	if s.sharded && !s.tx.open {
		s.foreignOnNode(ctx, c)
		return
	}
	own, err := s.owned(ctx)
	if err != nil {
		s.unavailable(err)
		return
	}
	s.onOwn = true
	s.alone(ctx, c)
	if s.own == own && (len(s.batch.Replies) == 0 || !bytes.HasPrefix(s.batch.Replies[0].Raw, []byte("-ERR unknown "))) {
		own.pinned, own.stained = !s.sharded, true
	}
}

// isCrossProtocol reports whether args are the beginning of a line of HTTP.
func isCrossProtocol(args [][]byte) bool {
	return slices.ContainsFunc(crossProtocol[:], func(word string) bool { return command.IsWord(args[0], word) })
}

// permitted asks the command rules about a command that is not forwarded as it is; what serves to log in is always allowed.
// A command on keys goes by the rules of those, like any that stays on the line.
func (s *Session) permitted(c cmd) bool {
	ok := s.allowed(c)
	if ok && s.policy.Shadow() != nil && c.spec.Flags&command.PreAuth == 0 && (c.spec.State == command.Local || s.composes(c.spec) != nil || s.asksKeyspace(c)) {
		s.observeLocal(c) // any other is placed yet
	}
	return ok
}

func (s *Session) allowed(c cmd) bool {
	if s.policy.Transparent() || c.spec.Flags&command.PreAuth != 0 {
		return true
	}
	names := s.req.Names[:0]
	if c.spec.Names != nil && (c.spec.State == command.Blocks || c.spec.State == command.Watch) {
		if found, ok := c.spec.Names(c.args, names); ok {
			names = found
		}
	}
	s.req.Spec, s.req.Args, s.req.Names, s.req.DB, s.req.Now = c.spec, c.args, names, s.currentDB(), s.now()
	s.policy.Decide(&s.req, &s.plan)
	if s.plan.Refusal == nil {
		return true
	}
	s.noteRefusal(c.spec.Name, s.plan.Refusal)
	if t := s.count(c.spec, Refused, 0, uint16(s.plan.Rule)); t != nil {
		t.reply(s.plan.Refusal.AppendRESP(nil), &slot{refusal: s.plan.Refusal})
	}
	s.reply(s.plan.Refusal.AppendRESP(nil))
	return false
}

// queue has a command queued that concerns the connection, inside MULTI. What would change how replies come back can't be
// queued through a proxy: it is refused, and the transaction with it, as Redis does with a command it can't queue.
func (s *Session) queue(ctx context.Context, c cmd) {
	s.own.stained = true
	if tracking[c.spec.ID] {
		s.track(ctx, c)
		return
	}
	if queueable[c.spec.ID] {
		s.tx.moves = s.tx.moves || selects[c.spec.ID]
		s.alone(ctx, c)
		return
	}
	s.begin()
	s.refuse(redcon.AppendError(s.local, cantQueue(c.spec)))
	s.forward(ctx)
	s.edit()
}

func cantQueue(spec *command.Spec) string {
	return "ERR '" + spec.RedisName() + "' can't be queued in a transaction"
}

// subscribed reports whether the client has subscriptions.
func (s *Session) subscribed() bool {
	return s.own != nil && !s.own.topics.none() || s.ears != nil && !s.ears.topics.none()
}
