package proxy

import (
	"bytes"
	"context"
)

// blockAtMaster runs the command here, and where the master has moved to while it waited: with the time that is left, since it has not run.
func (s *Session) blockAtMaster(ctx context.Context, own *own, c cmd) {
	until, mute := deadline(c), s.mute
	for try := 0; ; try++ {
		s.mute = mute
		s.begin()
		if try == 0 {
			s.place(c)
		} else {
			s.rule(c)
		}
		switch {
		case s.slots[0].text:
			s.edit()
			return
		case s.slots[0].wrapped > 0:
			s.blockingMove(ctx, own, c)
			return
		case !s.wait(ctx, own):
			return
		}
		if try == moveTries || !s.followMaster(ctx, own, s.batch.Replies[s.slots[0].first].Raw) {
			s.edit()
			return
		}
		if own = s.own; own == nil {
			return
		}
		c = withTimeLeft(c, until)
	}
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
