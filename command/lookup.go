package command

import (
	"slices"
	"strings"
)

// row is a Spec as the table writes it, under its name.
type row struct {
	arity  int
	flags  Flags
	cats   Cats
	names  names
	expiry Expiry
	values Values
	reply  Reply
	state  State
}

// names is a column of the table: where names stand, and what else follows from that grammar.
type names struct {
	find   Finder
	narrow *Narrow
	blocks func(args [][]byte) bool
	wait   func(args [][]byte) int
	parts  Split
	slot   bool
	group  bool
}

// longestName bounds the buffer that Lookup upper-cases a word into.
const longestName = 32

// specs holds every row, sorted by name: a row's ID is its index. commands finds those that are not subcommands.
var specs, commands = build(table)

// build turns rows into Specs. It panics at a row that Lookup could never find.
func build(table map[string]row) ([]*Spec, map[string]*Spec) {
	all := make([]*Spec, 0, len(table))
	for name, r := range table {
		all = append(all, &Spec{
			Name: name, Arity: r.arity, Flags: r.flags, Cats: r.cats.implied(r.flags),
			Names: r.names.find, Expiry: r.expiry, Values: r.values, Reply: r.reply, State: r.state,
			redisName: strings.ReplaceAll(strings.ToLower(name), " ", "|"),
			narrow:    r.names.narrow,
			blocks:    r.names.blocks,
			wait:      r.names.wait,
			grouped:   r.names.group,
			slotted:   r.names.slot,
			Split:     r.names.parts,
		})
	}
	slices.SortFunc(all, func(a, b *Spec) int { return strings.Compare(a.Name, b.Name) })

	top := make(map[string]*Spec, len(all))
	for i, s := range all { // a container sorts before its subcommands
		s.ID = uint16(i)
		word, sub, isSub := strings.Cut(s.Name, " ")
		if len(word) > longestName || len(sub) > longestName || s.Name != strings.ToUpper(s.Name) {
			panic("command: no way to look up " + s.Name)
		}
		switch parent := top[word]; {
		case !isSub:
			top[word] = s
		case parent == nil || parent.Flags&Container == 0:
			panic("command: no container for " + s.Name)
		default:
			if parent.subs == nil {
				parent.subs = make(map[string]*Spec)
			}
			parent.subs[sub] = s
		}
	}
	return all, top
}

// Lookup returns the row of the command in args, in whatever case, or nil if there is none. A container's subcommand
// has its own row; alone or with an unknown subcommand it is the container's. It does not allocate.
func Lookup(args [][]byte) *Spec {
	if len(args) == 0 {
		return nil
	}
	var buf [longestName]byte
	s := rows.Load().top[string(upper(&buf, args[0]))]
	if s == nil || s.subs == nil || len(args) == 1 {
		return s
	}
	if sub := s.subs[string(upper(&buf, args[1]))]; sub != nil {
		return sub
	}
	return s
}

// upper copies word into buf in upper case. A word too long to be one of ours comes back empty.
func upper(buf *[longestName]byte, word []byte) []byte {
	if len(word) > len(buf) {
		return nil
	}
	for i, c := range word {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		buf[i] = c
	}
	return buf[:len(word)]
}

// ByName returns the row of that name, written as in the table or as in COMMAND LIST ("CLIENT SETNAME",
// "client|setname"), or nil.
func ByName(name string) *Spec {
	word, sub, isSub := strings.Cut(strings.ToUpper(strings.Replace(name, "|", " ", 1)), " ")
	s := rows.Load().top[word]
	if s == nil || !isSub {
		return s
	}
	return s.subs[sub]
}

// ArityOK reports whether a command of n arguments, its own words included, passes Redis's check of their number.
func (s *Spec) ArityOK(n int) bool {
	if s.Arity < 0 {
		return n >= -s.Arity
	}
	return n == s.Arity
}

// RedisName returns the name as Redis's error texts have it: "setex", "client|setname".
func (s *Spec) RedisName() string { return s.redisName }

// MayBlock reports whether the command may wait for other clients when it is given these arguments.
func (s *Spec) MayBlock(args [][]byte) bool {
	return s.State == Blocks && (s.blocks == nil || s.blocks(args))
}

// Narrow returns how to confine the command, given these arguments and the names found in them, when it looks at every
// name there is and could be told to look at some. Nil: it needs no such thing, or can't be told.
func (s *Spec) Narrow(args [][]byte, refs []Ref) *Narrow {
	n := s.narrow
	if n == nil || slices.ContainsFunc(refs, func(r Ref) bool { return r.Kind == n.Kind }) {
		return nil
	}
	if n.when != "" && !slices.ContainsFunc(args, func(arg []byte) bool { return IsWord(arg, n.when) }) {
		return nil
	}
	return n
}
