package command

import "bytes"

// This file holds the table's words for where names stand. Each reads arguments exactly as Redis does: the same
// options in the same order, with the same number of arguments. What it can't read, Redis refuses.

// nothing: the command names nothing.
var nothing = names{}

// in: argument arg is a key that is read or lost from.
func in(arg int) names { return one(arg, In) }

// out: argument arg is a key that is written.
func out(arg int) names { return one(arg, Out) }

// glob: argument arg is a pattern over keys.
func glob(arg int) names { return one(arg, Glob) }

// channel: argument arg is a channel.
func channel(arg int) names { return one(arg, Channel) }

func one(arg int, k Kind) names {
	return names{find: func(args [][]byte, dst []Ref) ([]Ref, bool) {
		if arg >= len(args) {
			return dst, false
		}
		return append(dst, Ref{arg, k}), true
	}}
}

// ins: the arguments from first to last are keys that are read or lost from; last counts from the end, -1 is the last one.
func ins(first, last int) names { return run(first, last, 1, In) }

// outs: every step-th argument from first on is a key that is written.
func outs(first, step int) names {
	n := run(first, -1, step, Out)
	n.group = step > 1
	return n
}

// channels: every argument from first on is a channel.
func channels(first int) names { return run(first, -1, 1, Channel) }

// channelGlobs: every argument from first on is a pattern over channels.
func channelGlobs(first int) names { return run(first, -1, 1, ChannelGlob) }

func run(first, last, step int, k Kind) names {
	return names{find: func(args [][]byte, dst []Ref) ([]Ref, bool) {
		end := len(args) + last + 1
		if end > first && (end-first)%step != 0 {
			return dst, false // a key without its value
		}
		for i := first; i < end; i += step {
			dst = append(dst, Ref{i, k})
		}
		return dst, true
	}}
}

// both: first these, then those.
func both(these, those names) names {
	return names{find: func(args [][]byte, dst []Ref) ([]Ref, bool) {
		dst, ok := these.find(args, dst)
		if !ok {
			return dst, false
		}
		return those.find(args, dst)
	}}
}

// fromTo: argument 1 is a key that is read or lost from, argument 2 one that is written.
var fromTo = both(in(1), out(2))

// insCounted: argument arg says how many keys follow, at least one; they are read or lost from.
func insCounted(arg int) names { return counted(arg, 1, 1, In) }

// outsCounted: argument arg says how many keys follow, each step arguments after the other; they are written.
func outsCounted(arg, step int) names { return counted(arg, 1, step, Out) }

// declared: argument arg says how many keys follow, perhaps none; a script may do with them as k says.
func declared(arg int, k Kind) names { return counted(arg, 0, 1, k) }

func counted(arg, least, step int, k Kind) names {
	return names{find: func(args [][]byte, dst []Ref) ([]Ref, bool) {
		if arg >= len(args) {
			return dst, false
		}
		n, ok := number(args[arg], (len(args)-arg-1)/step)
		if !ok || n < least {
			return dst, false
		}
		for i := range n {
			dst = append(dst, Ref{arg + 1 + i*step, k})
		}
		return dst, true
	}}
}

// number reads a decimal number from 0 to most as Redis does: no sign, no leading zero, nothing else around it.
func number(b []byte, most int) (int, bool) {
	if len(b) == 0 || b[0] == '0' && len(b) > 1 {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n = n*10 + int(c-'0'); n > most {
			return 0, false
		}
	}
	return n, true
}

// IsWord reports whether Redis takes arg for the option word, which is upper case: in any case of letters, and only as
// far as a zero byte, where its own comparison ends.
func IsWord(arg []byte, word string) bool {
	if len(arg) < len(word) || len(arg) > len(word) && arg[len(word)] != 0 {
		return false
	}
	for i := range len(word) {
		c := arg[i]
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// streams: the first half of the arguments after STREAMS are keys. Waits only when told to BLOCK.
func streams() names {
	return names{
		find: func(args [][]byte, dst []Ref) ([]Ref, bool) {
			at, _ := streamsAt(args)
			if at == 0 || (len(args)-at)%2 != 0 {
				return dst, false
			}
			for i := at; i < at+(len(args)-at)/2; i++ {
				dst = append(dst, Ref{i, In})
			}
			return dst, true
		},
		blocks: func(args [][]byte) bool {
			_, block := streamsAt(args)
			return block
		},
		wait: blockAt,
	}
}

// streamsAt returns the index of the first argument after STREAMS, 0 if there is none, and whether BLOCK came before.
func streamsAt(args [][]byte) (at int, block bool) {
	for i := 1; i < len(args); i++ {
		switch arg := args[i]; {
		case IsWord(arg, "STREAMS") && i+1 < len(args):
			return i + 1, block
		case IsWord(arg, "BLOCK"):
			block = true
			i++
		case IsWord(arg, "COUNT"), IsWord(arg, "CLAIM"):
			i++
		case IsWord(arg, "GROUP"):
			i += 2
		case IsWord(arg, "NOACK"):
		default:
			return 0, block
		}
	}
	return 0, block
}

// sorted: argument 1 is read, BY and GET take patterns, STORE, unless it is forbidden, a key that is written.
func sorted(store bool) names {
	return names{find: func(args [][]byte, dst []Ref) ([]Ref, bool) {
		if len(args) < 2 {
			return dst, false
		}
		dst = append(dst, Ref{1, In})
		last := -1 // the STORE that counts
		for i := 2; i < len(args); i++ {
			left := len(args) - i - 1
			switch arg := args[i]; {
			case IsWord(arg, "ASC"), IsWord(arg, "DESC"), IsWord(arg, "ALPHA"):
			case IsWord(arg, "LIMIT") && left >= 2:
				i += 2
			case IsWord(arg, "STORE") && left >= 1 && store:
				dst, last = supersede(dst, last, i+1)
				i++
			case (IsWord(arg, "BY") || IsWord(arg, "GET")) && left >= 1:
				// Without a * it names no key: "#", "nosort".
				if i++; bytes.IndexByte(args[i], '*') >= 0 {
					dst = append(dst, Ref{i, Sub})
				}
			default:
				return dst, false
			}
		}
		return dst, true
	}}
}

// supersede adds a destination that counts instead of the one before it, dst[last].
func supersede(dst []Ref, last, arg int) ([]Ref, int) {
	if last >= 0 {
		dst[last].Kind = In
	}
	return append(dst, Ref{arg, Out}), len(dst)
}

// nearby: argument 1 is read; among the options from argument opts on, STORE and STOREDIST take a key that is written.
func nearby(opts int) names {
	return names{find: func(args [][]byte, dst []Ref) ([]Ref, bool) {
		if len(args) < opts {
			return dst, false
		}
		dst = append(dst, Ref{1, In})
		last := -1
		for i := opts; i < len(args); i++ {
			left := len(args) - i - 1
			switch arg := args[i]; {
			case IsWord(arg, "WITHCOORD"), IsWord(arg, "WITHDIST"), IsWord(arg, "WITHHASH"),
				IsWord(arg, "ASC"), IsWord(arg, "DESC"), IsWord(arg, "ANY"):
			case IsWord(arg, "COUNT") && left >= 1:
				i++
			case (IsWord(arg, "STORE") || IsWord(arg, "STOREDIST")) && left >= 1:
				dst, last = supersede(dst, last, i+1)
				i++
			default:
				return dst, false
			}
		}
		return dst, true
	}}
}

// migrated: argument 3 is the key or, when that is empty, all arguments after KEYS are.
func migrated() names {
	return names{find: func(args [][]byte, dst []Ref) ([]Ref, bool) {
		if len(args) < 6 {
			return dst, false
		}
		for i := 6; i < len(args); i++ {
			left := len(args) - i - 1
			switch arg := args[i]; {
			case IsWord(arg, "COPY"), IsWord(arg, "REPLACE"):
			case IsWord(arg, "AUTH") && left >= 1:
				i++
			case IsWord(arg, "AUTH2") && left >= 2:
				i += 2
			case IsWord(arg, "KEYS") && len(args[3]) == 0:
				for i++; i < len(args); i++ {
					dst = append(dst, Ref{i, In})
				}
				return dst, true
			default:
				return dst, false
			}
		}
		return append(dst, Ref{3, In}), true
	}}
}

// matching: among the options from argument 2 on, MATCH takes a pattern over keys. The last one counts.
func matching() names {
	return names{
		find: func(args [][]byte, dst []Ref) ([]Ref, bool) {
			for i := 2; i < len(args); i += 2 {
				switch arg := args[i]; {
				case i+1 == len(args):
					return dst, false
				case IsWord(arg, "MATCH"):
					dst = append(dst, Ref{i + 1, Glob})
				case IsWord(arg, "COUNT"), IsWord(arg, "TYPE"), IsWord(arg, "SLOT"):
				default:
					return dst, false
				}
			}
			return dst, true
		},
		narrow: &Narrow{At: 2, Kind: Glob, Word: "MATCH"},
	}
}

// tracked: among the options from argument 3 on, each PREFIX takes the beginning of key names.
func tracked() names {
	return names{
		find: func(args [][]byte, dst []Ref) ([]Ref, bool) {
			for i := 3; i < len(args); i++ {
				left := len(args) - i - 1
				switch arg := args[i]; {
				case IsWord(arg, "BCAST"), IsWord(arg, "OPTIN"), IsWord(arg, "OPTOUT"), IsWord(arg, "NOLOOP"):
				case IsWord(arg, "REDIRECT") && left >= 1:
					i++
				case IsWord(arg, "PREFIX") && left >= 1:
					i++
					dst = append(dst, Ref{i, In})
				default:
					return dst, false
				}
			}
			return dst, true
		},
		narrow: &Narrow{At: 3, Kind: In, Word: "PREFIX", when: "BCAST"},
	}
}

// listed: argument 2, when there is one, is a pattern over channels.
func listed() names {
	return names{
		find: func(args [][]byte, dst []Ref) ([]Ref, bool) {
			switch len(args) {
			case 2:
				return dst, true
			case 3:
				return append(dst, Ref{2, ChannelGlob}), true
			}
			return dst, false
		},
		narrow: &Narrow{At: 2, Kind: ChannelGlob},
	}
}
