package proxy

import (
	"bytes"
	"context"
	"strconv"

	"sessiongate/command"
	"sessiongate/resp"
	"sessiongate/upstream"
)

// transaction is what the session knows between MULTI and EXEC. The commands are decided and sent like any others; what is
// different is that their replies come in EXEC's array, together with those of the EXPIRE commands that follow them.
type transaction struct {
	open  bool
	moves bool  // a SELECT is queued
	start int   // where it begins in the flight's inTx
	marks int   // where it begins in the flight's marks
	elems int   // elements that EXEC's array will have
	slot  int   // of its keys so far, in front of a cluster; upstream.NoSlot: it has had none
	size  int   // about what those that are kept take, in bytes
	kept  []cmd // in front of a cluster: those that wait for a node, its MULTI first

	failed bool // one was refused while it had no node: EXEC will fail
	adrift bool // it went to some node before it had a key

	would []*pending // what observed rules wait to see of each command, where all passes unchanged
}

// queued is what one command brings in EXEC's array: its own reply, and others of commands of ours around it.
type queued struct {
	slot   slot
	before int // replies of commands that come before it
	extra  int
}

// failing is a command that Redis can't queue, which marks a transaction as failed: AUTH with too few arguments.
const failing = "*1\r\n$4\r\nAUTH\r\n"

// enterTx notes that the commands to come are queued.
func (s *Session) enterTx() {
	s.tx = transaction{open: true, start: len(s.inTx), marks: len(s.marks), slot: upstream.NoSlot}
}

// spoil has the open transaction fail at EXEC, as Redis does when it can't queue a command: one was refused here.
func (s *Session) spoil() {
	s.batch.Req = append(s.batch.Req, failing...)
	s.batch.Count++
}

// multi opens a transaction that has not arrived whole: it gets a connection of its own until it ends. (One that has
// arrived whole stays on the line and rides the shared link, since a batch is contiguous on the wire.)
func (s *Session) multi(ctx context.Context, c cmd) {
	if s.sharded && s.own == nil {
		s.setAfloat(c)
		return
	}
	if _, err := s.owned(ctx); err != nil {
		s.unavailable(err)
		s.quit = true // what follows must not run outside of the transaction that there isn't
		return
	}
	s.enterTx()
	s.tx.slot = s.own.slot
	s.alone(ctx, c)
}

// endElsewhere ends a transaction in which the client selects another database: if it is carried out, so has the client.
func (s *Session) endElsewhere(ctx context.Context, c cmd) {
	s.alone(ctx, c)
	if s.own == nil || s.tx.open {
		return
	}
	raws, err := s.askOn(ctx, whereItIs)
	if err != nil || s.own == nil {
		s.quit = true // there is no telling where it is now
		return
	}
	if s.own.stained = true; s.own.idle() {
		s.disown(false)
	}
	text, _ := resp.Bulk(raws[0])
	for field := range bytes.FieldsSeq(text) {
		if value, ok := bytes.CutPrefix(field, []byte("db=")); ok {
			s.db, _ = strconv.Atoi(string(value))
		}
	}
	s.describe()
}

// unwatch forgets the watched keys.
func (s *Session) unwatch(ctx context.Context, c cmd) {
	s.onOwn = true
	s.alone(ctx, c)
	if s.own != nil {
		s.own.watching = false
	}
}

// watch has the client's keys watched on a connection of its own, as WATCH belongs to a connection.
func (s *Session) watch(ctx context.Context, c cmd) {
	slot := upstream.NoSlot
	if s.sharded {
		if slot = s.slotOf(c); slot == severalSlots || s.own != nil && s.own.slot != slot {
			s.say(errCrossSlot)
			return
		}
	}
	own, err := s.ownedAt(ctx, slot)
	if err != nil {
		s.unavailable(err)
		s.quit = true // what follows must not run as if the keys were watched
		return
	}
	before := own.watching
	own.watching = true
	s.onOwn = true
	s.alone(ctx, c)
	if s.own == own && s.slots[0].text { // refused here
		own.watching = before
	}
}

// whole looks ahead: whether the rest of the transaction has arrived, in commands that any connection can queue.
func (s *Session) whole() bool {
	complete := false
	s.in.peek(func(args [][]byte) bool {
		spec := command.Lookup(args)
		switch {
		case spec == nil || s.composes(spec) != nil && (s.sharded || !wholeInTx[spec.ID]) || s.special && s.spreads(cmd{spec: spec, args: args}) != nil:
			return false
		case spec.Flags&command.Script != 0: // may take its time, and another role for a while
			return false
		case spec.State == command.End:
			complete = len(args) == 1
			return false
		}
		return spec.State == command.Plain || spec.State == command.Blocks
	})
	return complete
}

// disturbs reports whether the command might travel in a MULTI of ours on the connection on which the client's keys are watched.
// Its EXEC would be the end of the watch, and fail if a key has changed.
func (s *Session) disturbs(c cmd) bool {
	return s.own != nil && s.own.watching && !s.tx.open && (s.own.pump != nil || s.own.pinned) &&
		c.spec.State == command.Plain && c.spec.Flags&command.Write != 0 && !s.policy.Transparent() && s.composes(c.spec) == nil
}

// apart runs a command that disturbs on a shared link. To Redis it is another client's, which to a watch is the same.
func (s *Session) apart(ctx context.Context, c cmd) {
	s.fixed = s.pool().Link(s.proto, s.db)
	s.alone(ctx, c)
	s.fixed = nil
}

// alone sends one command in a batch of its own and appends its reply.
func (s *Session) alone(ctx context.Context, c cmd) {
	s.begin()
	s.place(c)
	s.forward(ctx)
	s.edit()
}

// follow keeps track of the state that a command on the line leaves behind.
func (s *Session) follow(c cmd) {
	if s.tx.open && c.spec.Flags&command.Script != 0 && s.own != nil {
		s.own.patient = s.own.node.Alive
	}
	switch c.spec.State {
	case command.Begin:
		if !s.tx.open && len(c.args) == 1 {
			s.enterTx()
		}
	case command.End:
		if len(c.args) == 1 && s.tx.open {
			s.tx.open = false
			if s.own != nil {
				s.own.watching = false
			}
		}
	}
}

// editExec appends EXEC's array with each element edited as its command's reply, without those of the commands that
// were put in between.
func (s *Session) editExec(dst, raw []byte, sl *slot) ([]byte, error) {
	queue := s.inTx[sl.start:sl.end]
	if _, ok := header(raw); !ok { // null: a watched key has changed; or DISCARD's OK
		for i := range queue {
			if p := queue[i].slot.would; p != nil {
				s.told(p, nil)
			}
		}
		return append(dst, raw...), nil
	}
	dst = append(dst, resp.Array)
	dst = strconv.AppendInt(dst, int64(len(queue)), 10)
	dst = append(dst, "\r\n"...)
	skip, next := 0, 0
	if len(queue) > 0 {
		skip = queue[0].before
	}
	for elem := range elems(raw) {
		if skip > 0 {
			skip--
			continue
		}
		if next == len(queue) {
			return dst, errShape
		}
		q := &queue[next]
		next++
		if skip = q.extra; next < len(queue) {
			skip += queue[next].before
		}
		if q.slot.would != nil {
			s.told(q.slot.would, elem)
		}
		longest := longestString(elem)
		if over := overError(elem, &q.slot); over > 0 {
			dst = s.oversize(dst, &q.slot, over)
		} else if q.slot.limit > 0 && longest > q.slot.limit {
			dst = s.oversize(dst, &q.slot, longest)
		} else {
			dst = s.show(dst, elem, &q.slot)
		}
	}
	if next != len(queue) || skip != 0 {
		return dst, errShape
	}
	return dst, nil
}

// longestString is the length of the longest bulk string in a value.
func longestString(raw []byte) int64 {
	var scan resp.Scanner
	_, _, _ = scan.Scan(raw)
	return scan.Longest
}

// unavailable answers a command that could not be sent.
func (s *Session) unavailable(err error) {
	s.reply(appendUnavailable(nil, err))
}

// reply answers the command at hand, which has left the line, unless the client has muted it.
func (s *Session) reply(text []byte) {
	if s.acct.aside && s.srv.cfg.Trace != nil && isError(text) {
		s.acct.failure = errorCode(text)
	}
	if !s.mute.next() {
		s.out = append(s.out, text...)
	}
}
