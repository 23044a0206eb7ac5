package proxy

import (
	"context"
	"strconv"
	"time"

	"sessiongate/command"
	"sessiongate/upstream"
)

// blockOnNode is block in front of a cluster: on a connection to the node of the command's keys, whatever other the client has. A node
// that hasn't got them, or has them no longer while the command waits, names the one that has.
func (s *Session) blockOnNode(ctx context.Context, c cmd) {
	slot := s.slotOf(c)
	if slot == severalSlots {
		s.say(errCrossSlot)
		return
	}
	if c.spec.Names == nil { // WAIT is about writes: the last one's node
		slot = s.wrote
	}
	defer s.elsewhere()()
	own, err := s.onOwner(ctx, slot, s.pumpedOn)
	if err != nil {
		s.unavailable(err)
		return
	}
	if c.spec.Names == nil {
		if _, err := s.askOn(ctx, next); err != nil {
			s.unavailable(err)
			return
		}
	}
	s.blockFollowing(ctx, own, c)
}

// foreignOnNode is foreign in front of a cluster: on a connection that is closed behind the command, whatever it leaves there.
func (s *Session) foreignOnNode(ctx context.Context, c cmd) {
	defer s.elsewhere()()
	node, asking, mute := s.pool(), false, s.mute
	for try := 0; ; try++ {
		own, err := s.ownedOn(ctx, node)
		if err != nil {
			s.unavailable(err)
			return
		}
		own.stained = true
		s.mute = mute
		s.begin()
		if asking {
			s.batch.Req = appendCommand(s.batch.Req, askingWord)
			s.batch.Count++
		}
		s.rule(c)
		if s.slots[0].text {
			s.edit()
			return
		}
		s.batch.Max = s.srv.cfg.Output
		if err := own.Do(ctx, &s.batch); err != nil {
			s.disown(false)
			s.failed(err)
			s.edit()
			return
		}
		to, ask, moved := s.pool().Redirect(s.batch.Replies[s.slots[0].first].Raw)
		if !moved || try == moveTries {
			s.hideMoves()
			s.edit()
			s.disown(false)
			return
		}
		s.disown(false)
		node, asking = to, ask
	}
}

// moveOwn gives up the connection for blocking and takes another, to that node.
func (s *Session) moveOwn(ctx context.Context, to *upstream.Pool) (*own, error) {
	s.disown(true)
	return s.pumpedOn(ctx, to)
}

// followWait is moveOwn for a wait of ours. If it returns nil, the client has been told.
func (s *Session) followWait(ctx context.Context, to *upstream.Pool) *own {
	own, err := s.moveOwn(ctx, to)
	if err != nil {
		s.unavailable(err)
		return nil
	}
	return own
}

// deadline is until when the command waits; zero: for ever, or it doesn't say so in a number.
func deadline(c cmd) time.Time {
	at, unit := c.spec.Timeout(c.args)
	if at <= 0 || at >= len(c.args) {
		return time.Time{}
	}
	n, err := parseTimeout(string(c.args[at]))
	if err != nil || n <= 0 {
		return time.Time{}
	}
	each := time.Second
	if unit == command.Millis {
		each = time.Millisecond
	}
	return time.Now().Add(time.Duration(min(n, 1e9) * float64(each)))
}

// withTimeLeft is the command with what is left of its time: a millisecond at least, since 0 is for ever.
func withTimeLeft(c cmd, until time.Time) cmd {
	if until.IsZero() {
		return c
	}
	at, unit := c.spec.Timeout(c.args)
	left := max(time.Until(until), time.Millisecond)
	c.args, c.raw = append([][]byte(nil), c.args...), nil
	if unit == command.Millis {
		c.args[at] = strconv.AppendInt(nil, left.Milliseconds(), 10)
	} else {
		c.args[at] = strconv.AppendFloat(nil, left.Seconds(), 'f', 3, 64)
	}
	return c
}
