package proxy

import (
	"bytes"
	"context"

	"github.com/tidwall/redcon"

	"sessiongate/command"
	"sessiongate/upstream"
)

// A transaction that doesn't arrive whole needs a connection to the node that has its keys. Which one that is nobody knows at MULTI: so
// that is answered here, and so are the commands that follow it until one has a key, or needs more than to be queued, or there are too many. Then all
// of them are sent, in order, to the node of the key.

// afloat reports whether the transaction at hand has no node yet.
func (t *transaction) afloat() bool { return len(t.kept) > 0 }

// setAfloat begins a transaction without a node.
func (s *Session) setAfloat(c cmd) {
	s.enterTx()
	s.tx.kept = append(s.tx.kept, kept(c))
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
	slot := s.slotOf(c)
	if slot == upstream.NoSlot && c.spec != nil {
		switch {
		case c.spec.State == command.Begin:
			s.say(errNested)
			return
		case s.canWait(c) && s.tx.size < maxBatch:
			s.keep(c)
			return
		case s.composes(c.spec) != nil, s.spreads(c) != nil:
			s.keepFailure()
			s.say(cantQueue(c.spec))
			return
		}
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

// canWait reports whether all that the command needs now is to be queued.
func (s *Session) canWait(c cmd) bool {
	plain := c.spec.State == command.Plain || c.spec.State == command.Unwatch || queueable[c.spec.ID] && !selects[c.spec.ID]
	return plain && c.spec.Flags&(command.Script|command.Container) == 0 &&
		s.composes(c.spec) == nil && s.spreads(c) == nil
}

// keep has a command wait for a node, unless it is refused: then the transaction will fail.
func (s *Session) keep(c cmd) {
	if text, wrong := appendMistake(nil, c); wrong {
		s.keepFailure()
		s.reply(text)
		return
	}
	s.begin()
	s.again = true // it is placed once more, for good
	s.rule(c)
	s.again = false
	s.inTx, s.marks = s.inTx[:s.tx.start], s.marks[:s.tx.marks]
	sl := s.slots[0]
	if !sl.text {
		s.tx.kept = append(s.tx.kept, kept(c))
		s.tx.size += len(s.batch.Req)
		if !sl.mute {
			s.out = redcon.AppendString(s.out, "QUEUED")
		}
		return
	}
	s.keepFailure()
	if !sl.mute {
		s.out = append(s.out, s.local[sl.start:sl.end]...)
	}
}

// keepFailure has the transaction fail, as Redis does when it can't queue a command.
func (s *Session) keepFailure() {
	s.tx.kept = append(s.tx.kept, cmd{})
	s.tx.size += len(failing)
}

// dock sends what was kept to the node that has the slot. It reports whether the transaction is open there.
func (s *Session) dock(ctx context.Context, slot int) bool {
	waiting, mute := s.tx.kept, s.mute
	s.tx = transaction{}
	if _, err := s.ownedAt(ctx, slot); err != nil {
		s.unavailable(err)
		s.quit = true // what follows must not run outside of the transaction that there isn't
		return false
	}
	s.mute, s.onOwn = muting{}, true
	s.begin()
	for _, c := range waiting {
		if c.args == nil {
			s.spoil()
		} else {
			s.place(c)
		}
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
