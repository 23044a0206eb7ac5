package policy

import "sessiongate/command"

// options is what a command says after its key and value in the words of SET or GETEX.
type options struct {
	any   bool // there are some
	doubt bool // there is a word or an order of words that some server may not refuse, and may take in a way of its own
	word  int  // index of EX, PX, EXAT, PXAT or PERSIST, the number follows it; 0: none
	unit  command.Unit

	keepTTL, persist bool
	nx               bool // does nothing if the key exists
	xx               bool // does nothing unless it does
	get              bool // hands out the old value
}

// expires reports whether the options say a time.
func (o *options) expires() bool { return o.word > 0 && !o.persist }

// parseOptions reads the options of a command that has any, by the grammar of Redis 7. Repetitions and contradictions, most
// of which Redis refuses, are doubts too.
func parseOptions(r *Request) (o options) {
	effect := r.Spec.Expiry.Effect
	if effect != command.SetOpts && effect != command.GetOpts {
		return o
	}
	set := effect == command.SetOpts
	args := r.Args
	for i := r.Spec.Expiry.Arg; i < len(args); i++ {
		o.any = true
		switch arg := args[i]; {
		case set && command.IsWord(arg, "NX") && !o.xx:
			o.nx = true
		case set && command.IsWord(arg, "XX") && !o.nx:
			o.xx = true
		case set && command.IsWord(arg, "GET"):
			o.get = true
		case set && command.IsWord(arg, "KEEPTTL") && o.word == 0:
			o.keepTTL = true
		case !set && command.IsWord(arg, "PERSIST") && o.word == 0:
			o.word, o.persist = i, true
		default:
			unit, ok := timeWord(arg)
			if !ok || o.word > 0 || o.keepTTL || i+1 == len(args) {
				o.doubt = true
				o.get = o.get || set && mentions(args[i:], "GET")
				return o
			}
			o.word, o.unit = i, unit
			i++
		}
	}
	return o
}

func mentions(args [][]byte, word string) bool {
	for _, arg := range args {
		if command.IsWord(arg, word) {
			return true
		}
	}
	return false
}

// timeWord returns the unit of the number that follows an option.
func timeWord(arg []byte) (command.Unit, bool) {
	switch {
	case command.IsWord(arg, "EX"):
		return command.Seconds, true
	case command.IsWord(arg, "PX"):
		return command.Millis, true
	case command.IsWord(arg, "EXAT"):
		return command.UnixSecs, true
	case command.IsWord(arg, "PXAT"):
		return command.UnixMilli, true
	}
	return 0, false
}
