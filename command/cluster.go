package command

import "strings"

// This file holds what matters of a command where keys live on several nodes, by hash slot.

// Split says whether a command may be carried out in parts, each with those keys that share a slot, and how the parts' replies become
// one. The arguments of such a command are its keys, each with as many others behind it.
type Split uint8

const (
	Together Split = iota // it is one step, or what it does takes all keys at once
	Sum                   // a number, which counts keys (DEL)
	EachKey               // an array of one element for each key, in their order (MGET)
	AllOK                 // +OK (MSET)
)

// Slotted reports whether the command's channels have hash slots, as keys do.
func (s *Spec) Slotted() bool { return s.slotted }

// IsOf reports whether the row is that of a subcommand of the container.
func (s *Spec) IsOf(container string) bool { return strings.HasPrefix(s.Name, container+" ") }

// Words is how many of the arguments are the command's name.
func (s *Spec) Words() int { return 1 + strings.Count(s.Name, " ") }

// Grouped reports whether the arguments are keys with others behind each: what Names refuses is then a wrong number of them.
func (s *Spec) Grouped() bool { return s.grouped }

// Timeout returns which of a blocking command's arguments says how long it waits, and the unit of that; 0: none does.
func (s *Spec) Timeout(args [][]byte) (at int, unit Unit) {
	switch {
	case s.wait == nil:
		return len(args) - 1, Seconds
	case s.blocks != nil:
		return s.wait(args), Millis
	}
	return s.wait(args), Seconds
}

// split: the command may be carried out in parts.
func (n names) split(how Split) names {
	n.parts = how
	return n
}

// slotted: the channels have hash slots.
func (n names) slotted() names {
	n.slot = true
	return n
}

// waitsFor: argument arg says for how long.
func (n names) waitsFor(arg int) names {
	n.wait = func([][]byte) int { return arg }
	return n
}

// blockAt returns the index of the argument after BLOCK, the last one if there are several; 0 if there is none.
func blockAt(args [][]byte) (at int) {
	end, _ := streamsAt(args)
	for i := 1; i < end-1; i++ {
		switch arg := args[i]; {
		case IsWord(arg, "BLOCK"):
			i++
			at = i
		case IsWord(arg, "COUNT"), IsWord(arg, "CLAIM"):
			i++
		case IsWord(arg, "GROUP"):
			i += 2
		}
	}
	return at
}
