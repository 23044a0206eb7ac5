package proxy

import (
	"bytes"
	"context"
)

// blockFollowing runs the command here, and where its keys have gone to while it waited: to the node of a cluster that this one names, or to
// the new master. There it is sent again, with the time that is left, since it has not run.
func (s *Session) blockFollowing(ctx context.Context, own *own, c cmd) {
	until, mute, asking := deadline(c), s.mute, false
	for try := 0; ; try++ {
		s.mute = mute
		s.begin()
		if asking {
			s.batch.Req = appendCommand(s.batch.Req, askingWord)
			s.batch.Count++
		}
		if try == 0 {
			s.placeOne(c)
		} else {
			s.rule(c)
		}
		switch {
		case s.slots[0].text:
			s.edit()
			return
		case s.slots[0].wrapped > 0:
			if s.sharded {
				s.unit(s.slotOf(c))
			}
			s.blockingMove(ctx, own, c)
			return
		case !s.wait(ctx, own):
			return
		}
		went := false
		if try < moveTries {
			asking, went = s.goAfter(ctx, own, s.batch.Replies[s.slots[0].first].Raw)
		}
		if !went {
			if s.sharded {
				s.hideMoves()
			}
			s.edit()
			return
		}
		if own = s.own; own == nil {
			return
		}
		c = withTimeLeft(c, until)
	}
}

// goAfter reports whether the reply says that the command has not run here, since its keys are elsewhere now. Then the client's connection
// is to there, and asking whether it has to ask for them; if there is none, the client has been told.
func (s *Session) goAfter(ctx context.Context, own *own, raw []byte) (asking, went bool) {
	if !s.sharded {
		return false, s.followMaster(ctx, own, raw)
	}
	to, asking, moved := s.pool().Redirect(raw)
	if moved {
		s.followWait(ctx, to)
	}
	return asking, moved
}

// followMaster reports whether the wait was ended, with nothing taken, because the master has moved. Then the client's connection is to
// the new one; if there is none, the client has been told.
func (s *Session) followMaster(ctx context.Context, own *own, raw []byte) bool {
	why := own.conn.Left()
	if why == nil || !isNull(raw) && !bytes.HasPrefix(raw, []byte("-UNBLOCKED ")) {
		return false
	}
	if !own.idle() { // what it held there is lost with it
		s.quit = true
		s.disown(false)
		s.unavailable(why)
		return true
	}
	if _, err := s.moveOwn(ctx, own.node); err != nil {
		s.unavailable(err)
	}
	return true
}
