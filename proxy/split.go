package proxy

import (
	"slices"

	"github.com/tidwall/redcon"

	"sessiongate/command"
	"sessiongate/resp"
)

// A command whose keys have several hash slots is carried out in parts, where its row says that this is possible: one for each slot,
// since Redis refuses keys of two even where one node has both. The parts are not one step. Rules see the whole command first, so
// that of one that is refused nothing is sent.

// split is a command in parts.
type split struct {
	parts []slot // of their replies
	of    []int  // which part has the key, by the keys' order
}

// bookmark is a state of the batch to which it can be put back.
type bookmark struct {
	req, count, limits, slots, local, marks int
}

func (s *Session) bookmark() bookmark {
	return bookmark{len(s.batch.Req), s.batch.Count, len(s.batch.Limits), len(s.slots), len(s.local), len(s.marks)}
}

// rewind takes out of the batch what was put there since.
func (s *Session) rewind(to bookmark) {
	s.batch.Req, s.batch.Count, s.batch.Limits = s.batch.Req[:to.req], to.count, s.batch.Limits[:to.limits]
	s.slots, s.local, s.marks = s.slots[:to.slots], s.local[:to.local], s.marks[:to.marks]
}

// placeSplit puts a command into the batch in parts.
func (s *Session) placeSplit(c cmd) {
	start := s.bookmark()
	s.placeOne(c)
	whole := s.slots[len(s.slots)-1]
	if whole.text {
		return
	}
	s.rewind(start)
	mute, units := s.mute, len(s.batch.Units)
	s.mute = muting{}
	parts, of := s.partsOf(c)
	whole.split = &split{of: of}
	for _, part := range parts {
		s.rule(part.cmd)
		last := len(s.slots) - 1
		if sl := s.slots[last]; sl.text { // of fewer keys rules have never more to say; if they do, it holds for all
			text := slices.Clone(s.local[sl.start:sl.end])
			s.rewind(start)
			s.batch.Units, s.united = s.batch.Units[:units], start.count
			s.mute = mute
			s.refuseAs(append(s.local, text...), whole.mute)
			return
		}
		s.unit(part.slot)
		s.byReplica()
		whole.split.parts = append(whole.split.parts, s.slots[last])
		s.slots = s.slots[:last]
		if c.spec.Flags&command.Write != 0 {
			s.wrote = part.slot
		}
	}
	s.mute = mute
	whole.marks, whole.lastMark = 0, 0
	s.slots = append(s.slots, whole)
}

// part is a command with those of its keys that share a slot.
type part struct {
	cmd
	slot int
}

// partsOf takes a command apart. of says which part has the key, by the keys' order.
func (s *Session) partsOf(c cmd) (parts []part, of []int) {
	names, _ := c.spec.Names(c.args, nil)
	step := (len(c.args) - 1) / len(names)
	bySlot := map[int]int{}
	of = make([]int, len(names))
	for i, name := range names {
		slot := s.slotOfName(c, name)
		at, known := bySlot[slot]
		if !known {
			at = len(parts)
			bySlot[slot] = at
			parts = append(parts, part{cmd{spec: c.spec, args: [][]byte{c.args[0]}}, slot})
		}
		parts[at].args = append(parts[at].args, c.args[name.Arg:name.Arg+step]...)
		of[i] = at
	}
	return parts, of
}

// joined appends the reply to a command that was carried out in parts. An error of one of them is the reply.
func (s *Session) joined(dst []byte, sl *slot) []byte {
	replies := make([][]byte, len(sl.split.parts))
	for i := range sl.split.parts {
		p := &sl.split.parts[i]
		replies[i] = s.replyOf(nil, p)
	}
	start := len(dst)
	if i := slices.IndexFunc(replies, isError); i >= 0 {
		dst = append(dst, failedPart(replies, i)...)
	} else {
		dst = join(dst, sl, replies)
	}
	if sl.would != nil {
		s.told(sl.would, dst[start:])
	}
	if sl.mute {
		return dst[:start]
	}
	return dst
}

// join makes one reply of those to the parts, none of which is an error.
func join(dst []byte, sl *slot, replies [][]byte) []byte {
	switch sl.spec.Split {
	case command.Sum:
		total := int64(0)
		for _, reply := range replies {
			n, _ := resp.Int(reply)
			total += n
		}
		return redcon.AppendInt(dst, total)
	case command.EachKey:
		start, cursors := len(dst), make([]resp.Cursor, len(replies))
		for i, reply := range replies {
			cursors[i], _ = resp.Elements(reply)
		}
		dst = resp.AppendArrayHeader(dst, len(sl.split.of))
		for _, at := range sl.split.of {
			elem, ok := cursors[at].Next()
			if !ok {
				return redcon.AppendError(dst[:start], "ERR reply withheld: "+errShape.Error())
			}
			dst = append(dst, elem...)
		}
		return dst
	}
	return append(dst, replies[0]...)
}

// rememberParts tells Recent what the replies to the parts say.
func (s *Session) rememberParts(sl *slot) {
	for i := range sl.split.parts {
		if p := &sl.split.parts[i]; p.marks < p.lastMark {
			p.text = sl.text
			s.remember(p)
		}
	}
}

// replyOf appends what the client sees of the reply in a slot, without ever writing to it.
func (s *Session) replyOf(dst []byte, sl *slot) []byte {
	if sl.text {
		return append(dst, s.local[sl.start:sl.end]...)
	}
	if err := s.batch.Replies[sl.first].Err; err != nil {
		return appendUnavailable(dst, err)
	}
	raw, over := s.pick(sl)
	if over = max(over, overError(raw, sl)); over > 0 {
		return s.oversize(dst, sl, over)
	}
	return s.show(dst, raw, sl)
}
