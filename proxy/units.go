package proxy

import (
	"bytes"

	"github.com/tidwall/redcon"

	"sessiongate/command"
	"sessiongate/upstream"
)

// In front of a cluster each command on the line is a unit, with the hash slot of its keys: together with the commands of ours around
// it, it goes to the one node that has them. A transaction that has arrived whole is a unit too.

// severalSlots is the slot of a command whose keys don't share one.
const severalSlots = -2

// slotOf is the hash slot of what the command names: upstream.NoSlot if it names nothing that has one.
func (s *Session) slotOf(c cmd) int {
	slot, _ := s.findSlot(c)
	return slot
}

// findSlot is slotOf; ok is false when the arguments are such that Redis answers an error without touching any key. Of what has too few
// or too many it says so before it looks at slots.
func (s *Session) findSlot(c cmd) (slot int, ok bool) {
	if c.spec == nil || c.spec.Names == nil || !c.spec.ArityOK(len(c.args)) {
		return upstream.NoSlot, true
	}
	s.unitNames, ok = c.spec.Names(c.args, s.unitNames[:0])
	slot = upstream.NoSlot
	for _, name := range s.unitNames {
		at := s.slotOfName(c, name)
		if at >= 0 && slot >= 0 && at != slot {
			return severalSlots, ok
		}
		slot = max(slot, at)
	}
	if first := c.spec.Words(); !ok && slot == upstream.NoSlot && first < len(c.args) {
		slot = upstream.Slot(nil, c.args[first]) // it goes as it is, and Redis may find keys where we don't: mostly this one
	}
	return slot, ok
}

// slotOfName is the hash slot of one name among the command's arguments.
func (s *Session) slotOfName(c cmd, name command.Ref) int {
	switch {
	case name.Kind <= command.Out:
		return upstream.Slot(s.policy.Prefix(), c.args[name.Arg])
	case name.Kind == command.Channel && c.spec.Slotted():
		return upstream.Slot(s.policy.Prefix(), c.args[name.Arg])
	case name.Kind == command.Glob:
		return s.slotOfGlob(c.args[name.Arg])
	}
	return upstream.NoSlot
}

// slotOfGlob is the hash slot of all that a pattern over keys matches, if its literal beginning has a whole tag.
func (s *Session) slotOfGlob(pattern []byte) int {
	prefix, literal := s.policy.Prefix(), pattern
	if end := bytes.IndexFunc(pattern, func(c rune) bool { return c < 128 && isGlob(byte(c)) }); end >= 0 {
		literal = pattern[:end]
	}
	name := append(bytes.Clone(prefix), literal...)
	if open := bytes.IndexByte(name, '{'); open < 0 || bytes.IndexByte(name[open:], '}') < 2 {
		return upstream.NoSlot
	}
	return upstream.Slot(nil, name)
}

// placeUnit is place in front of a cluster.
func (s *Session) placeUnit(c cmd) {
	slot, ok := s.findSlot(c)
	inTx := s.tx.open
	switch {
	case !ok && c.spec.Grouped() && c.spec.ArityOK(len(c.args)): // Redis would ask for the keys' node first
		s.refuse(appendArity(s.local, c.spec.RedisName()))
		s.countPlaced(c)
		return
	case slot == severalSlots && c.spec.Split != command.Together && !inTx:
		s.placeSplit(c)
		return
	case slot == severalSlots, inTx && slot >= 0 && s.tx.slot >= 0 && slot != s.tx.slot:
		s.refuse(redcon.AppendError(s.local, errCrossSlot))
		s.countPlaced(c)
		return
	case inTx && slot >= 0 && s.tx.adrift:
		s.refuse(redcon.AppendError(s.local, errLateKey))
		s.countPlaced(c)
		return
	}
	s.placeOne(c)
	if s.tx.open {
		s.tx.slot = max(s.tx.slot, slot)
		return
	}
	if inTx { // that was its end
		slot, s.sealed = s.tx.slot, s.own != nil
	}
	if slot >= 0 && c.spec.Flags&command.Write != 0 {
		s.wrote = slot
	}
	s.unit(slot)
	if n := len(s.batch.Units); n > 0 && c.spec != nil && c.spec.Flags&command.Script != 0 {
		s.batch.Units[n-1].Script = true
	}
	s.byReplica()
}

// byReplica lets a replica answer the last unit, which is one command, if the rules do.
func (s *Session) byReplica() {
	if n := len(s.batch.Units); n > 0 && !s.policy.Transparent() && s.plan.Replica && !s.slots[len(s.slots)-1].text {
		s.batch.Units[n-1].Replica, s.batch.Units[n-1].Nearest = true, s.plan.Nearest
	}
}

// unit makes one unit of what has been put into the batch since the last one.
func (s *Session) unit(slot int) {
	if n := s.batch.Count - s.united; n > 0 {
		s.batch.Units = append(s.batch.Units, upstream.Unit{Slot: slot, End: len(s.batch.Req), Count: n})
		s.united = s.batch.Count
	}
}
