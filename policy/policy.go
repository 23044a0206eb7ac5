// Package policy turns one command into a Plan: refuse it, rewrite it, follow it with expiry commands.
//
// It is pure: no sockets, no clock, no goroutines. A Policy is immutable, one per tenant; a reload makes a new
// one. Each rule kind has a file of its own with its configuration, its check and its Apply.
package policy

import "sessiongate/command"

// Request is one command as rules see it, by the names the client uses. The session reuses it: keep nothing of it.
type Request struct {
	Spec  *command.Spec
	Args  [][]byte
	Names []command.Ref
	DB    int   // the database the session has selected
	Now   int64 // the upstream's clock, Unix milliseconds, as well as the proxy knows it
}

// Plan says what to do with a Request. The zero Plan sends the client's arguments as they are.
type Plan struct {
	Refusal  *Refusal      // answer this, send nothing
	Args     [][]byte      // send these instead of the Request's; nil: the Request's
	Names    []command.Ref // where the names stand in Args; set whenever Args is
	Prefix   []byte        // goes before every name
	Bounds   []Bound       // afterwards, in the same MULTI
	Guard    Guard         // a check that must hold, in the same step as the command
	Edit     command.Reply // how to edit the reply
	Limit    int64         // the longest bulk string in bytes that may be handed out; 0: any
	SizeRule string        // name of the rule that set Limit or Guard, for the refusal's text

	argbuf [][]byte // backs Args, so that planning doesn't allocate
	text   []byte   // backs the numbers in Args
}

// Bound follows a write with EXPIRE commands on one key that it wrote. Each is sent only when positive.
type Bound struct {
	Arg       int   // index of the key in the arguments sent (Plan.Args, or Request.Args)
	DB        int   // the database the key is in, when Elsewhere
	Elsewhere bool  // the key is in DB, not in the session's database
	Default   int64 // milliseconds: EXPIRE key Default NX
	Max       int64 // milliseconds: EXPIRE key Max LT
	Min       int64 // milliseconds: EXPIRE key Min GT
}

// Guard is a check on string lengths that must hold for the command to run. The proxy sends command and check as one
// script, so that a value can't grow between check and write. The zero Guard checks nothing.
type Guard struct {
	Kind  GuardKind
	Limit int64 // bytes
}

// GuardKind says what a Guard compares with its limit.
type GuardKind uint8

const (
	NoGuard     GuardKind = iota
	GuardAppend           // STRLEN of the first key, plus the length of the last argument
	GuardKeys             // STRLEN of every key named that is a string (BITOP sources; GETDEL's, GETSET's old value)
	GuardAfter            // STRLEN of the first key after the command; if above, the old value is put back
)
