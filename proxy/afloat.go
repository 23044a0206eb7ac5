package proxy

import (
	"bytes"
	"context"

	"github.com/tidwall/redcon"

	"sessiongate/command"
	"sessiongate/upstream"
)

// A transaction that doesn't arrive whole needs a connection to the node that has its keys. Which one that is nobody knows at MULTI: so
// that is answered here, and so are the commands that follow it until one has a key, or there are too many. Then all of them are sent, in
// order, to the node of the key.

const (
	// keptCost is about what a command that is kept takes beside its request, in bytes.
	keptCost = 128
	// errLateKey answers a key in a transaction that had to be sent to some node before: there may be others of its slot only there.
	errLateKey = "ERR the first key of a transaction comes too late: those before it take more than 128 KiB, and have gone to some node"

	errWatchInside = "ERR WATCH inside MULTI is not allowed" // Redis's, which does not fail the transaction
	errExecArity   = "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command"
)

// afloat reports whether the transaction at hand has no node yet.
func (t *transaction) afloat() bool { return len(t.kept) > 0 }

// setAfloat begins a transaction without a node.
func (s *Session) setAfloat(c cmd) {
	s.enterTx()
	s.tx.kept = append(s.tx.kept, kept(c))
	s.count(c.spec, Passed, 0, 0)
	s.ok()
}

// kept is a copy of a command, since its bytes are the reader's.
func kept(c cmd) cmd {
	args := make([][]byte, len(c.args))
	for i, arg := range c.args {
		args[i] = bytes.Clone(arg)
	}
	return cmd{spec: c.spec, args: args}
}

// drift runs a command of a transaction that has no node yet.
func (s *Session) drift(ctx context.Context, c cmd) {
	slot, known := s.slotOf(c), !isForeign(c) && c.spec.ArityOK(len(c.args))
	ends := known && c.spec.State == command.End
	switch {
	case !known && c.spec != nil && execs[c.spec.ID]:
		s.tx = transaction{}
		s.say(errExecArity)
		return
	case !known: // keep refuses it, or the upstream will
	case c.spec.State == command.Begin:
		s.say(errNested)
		return
	case c.spec.State == command.Watch:
		s.say(errWatchInside)
		return
	case s.unqueueable(c):
		s.sink()
		s.say(cantQueue(c.spec))
		return
	case slot == severalSlots:
		s.sink()
		s.say(errCrossSlot)
		return
	}
	if slot == upstream.NoSlot && !ends && s.tx.size < maxBatch {
		s.keep(c)
		return
	}
	if !s.dock(ctx, slot) {
		return
	}
	if s.leaves(c) {
		s.aside(ctx, c)
		return
	}
	s.alone(ctx, c)
}

// unqueueable reports whether a command would be refused in a transaction whatever the rules say.
func (s *Session) unqueueable(c cmd) bool {
	switch spec := c.spec; {
	case queueable[spec.ID]:
		return false
	case s.composes(spec) != nil, s.spreads(c) != nil:
		return true
	case !s.policy.Transparent() && !s.policy.Governs(spec): // rules have their own words for it
		return false
	default:
		return spec.State != command.Plain && spec.State != command.Unwatch && spec.State != command.Blocks && spec.State != command.End
	}
}

// keep has a command wait for a node, unless it is refused: then the transaction will fail. What nobody here knows the upstream may.
func (s *Session) keep(c cmd) {
	passes := isForeign(c) && s.policy.Transparent() && (c.spec == nil || !ours[c.spec.ID])
	if text, wrong := appendMistake(nil, c); wrong && !passes {
		s.sink()
		s.reply(text)
		return
	}
	s.begin()
	s.rule(c)
	s.countPlaced(c)
	s.inTx, s.marks = s.inTx[:s.tx.start], s.marks[:s.tx.marks]
	sl := s.slots[0]
	if sl.text {
		s.sink()
		if !sl.mute {
			s.out = append(s.out, s.local[sl.start:sl.end]...)
		}
		return
	}
	if !s.tx.failed {
		s.tx.kept = append(s.tx.kept, kept(c))
		s.tx.size += len(s.batch.Req) + keptCost
	}
	if !sl.mute {
		s.out = redcon.AppendString(s.out, "QUEUED")
	}
}

// sink has the transaction fail, as Redis does when it can't queue a command. It will run nothing, so nothing of it is kept but MULTI.
func (s *Session) sink() {
	clear(s.tx.kept[1:])
	s.tx.kept, s.tx.size, s.tx.failed = s.tx.kept[:1], 0, true
}

// dock sends what was kept to the node that has the slot. It reports whether the transaction is open there.
func (s *Session) dock(ctx context.Context, slot int) bool {
	waiting, failed, mute := s.tx.kept, s.tx.failed, s.mute
	s.tx = transaction{}
	if _, err := s.ownedAt(ctx, slot); err != nil {
		s.unavailable(err)
		s.quit = true // what follows must not run outside of the transaction that there isn't
		return false
	}
	s.mute, s.onOwn = muting{}, true
	s.begin()
	s.placeKept(waiting)
	if s.tx.adrift = slot == upstream.NoSlot; failed {
		s.spoil()
	}
	err := s.exchange(ctx)
	s.mute = mute
	if err == nil && isError(s.batch.Replies[0].Raw) {
		s.quit = true
		s.reply(s.batch.Replies[0].Raw)
		return false
	}
	if err != nil {
		s.quit = true
		s.unavailable(err)
	}
	return err == nil
}

// placeKept places commands that were counted when they were kept.
func (s *Session) placeKept(waiting []cmd) {
	s.docking = true
	for _, c := range waiting {
		s.place(c)
		if c.spec != nil && c.spec.State == command.Local { // as in queue
			s.own.stained = true
			s.tx.moves = s.tx.moves || selects[c.spec.ID]
		}
	}
	s.docking = false
}
