// Package command holds THE TABLE: what Sessiongate knows of every Redis command, one row each.
//
// It knows arity, flags, where names of keys, patterns and channels stand in the arguments, what a command
// does to the expiry of the keys it writes, where values stand, and what of a reply holds names. It does not
// know rules or sockets. Everything else in the program switches on these facts, never on a command's name.
//
//	spec := command.Lookup(args)            // nil: no such command
//	refs, ok := spec.Names(args, refs[:0])  // !ok: Redis would answer a syntax error
//
// The rows are in table.go, the words they are written with in words.go, those for names in find.go.
package command

// Spec is one row of the table. It never changes.
type Spec struct {
	Name   string // upper case; a subcommand has its own row: "XGROUP CREATE"
	Arity  int    // as COMMAND INFO gives it, the container's word included: negative means at least
	Flags  Flags
	Cats   Cats   // ACL categories, as COMMAND INFO of the oldest supported server that has the command
	Names  Finder // nil: the command names no key, pattern or channel
	Expiry Expiry
	Values Values
	Reply  Reply
	State  State  // what the command does to the connection
	Split  Split  // whether it may be carried out in parts, each with some of its keys
	ID     uint16 // its row, set at start; index for handlers and metrics

	redisName string                   // "client|setname"
	subs      map[string]*Spec         // a Container's, by their own word
	narrow    *Narrow                  // how to tell it a pattern; nil: it takes none, or always has one
	blocks    func(args [][]byte) bool // whether it waits with these arguments; nil: State says it all
	wait      func(args [][]byte) int  // where its timeout stands; nil: it is the last argument
	grouped   bool                     // its arguments are keys with others behind each
	slotted   bool                     // its channels have hash slots, as keys do
	told      bool                     // somebody has vouched for the row: see Extra
}

// Certain reports whether the row can be ruled by: it is one of Redis's own commands, or somebody has vouched for it.
func (s *Spec) Certain() bool { return s.Cats&Uncertain == 0 || s.told }

// Told reports whether the row is an Extra's. What its Names can't read must not be sent: nobody knows whether Redis would refuse it.
func (s *Spec) Told() bool { return s.told }

// Flags are the facts about a command that are yes or no.
type Flags uint16

const (
	Read      Flags = 1 << iota // COMMAND says readonly
	Write                       // COMMAND says write
	Admin                       // COMMAND says admin: server administration
	Script                      // runs code that the proxy can't see into
	Whole                       // looks at, counts or changes the whole keyspace: not just the keys it names
	Server                      // concerns the whole server or other clients, no keys: INFO, CONFIG, SHUTDOWN, ACL, SLOWLOG
	Container                   // has subcommands, each with a row of its own
	PreAuth                     // allowed before AUTH (COMMAND says no_auth)
	Volatile                    // unconditionally nondeterministic reply (RANDOMKEY, TIME): for comparing tests
	NoTouch                     // no access of the keys it names as In: Redis leaves their idle time alone, or they are gone afterwards
)

// State says what a command does to the connection it runs on. Commands with a State other than Plain end
// a batch: the session leaves the straight line for them.
type State uint8

const (
	Plain     State = iota // any connection will do
	Local                  // concerns the client's own connection; answered by the proxy: HELLO, AUTH, CLIENT SETNAME
	Begin                  // MULTI
	End                    // EXEC, DISCARD
	Watch                  // WATCH
	Unwatch                // UNWATCH
	Subscribe              // SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE and their opposites
	Blocks                 // waits for other clients: BLPOP, XREAD with BLOCK, WAIT
	Pinned                 // leaves other state on the connection: MONITOR, CLIENT TRACKING, SCRIPT DEBUG, READONLY
	Hijack                 // turns the connection into another protocol: SYNC, PSYNC
)

// Kind is what a name stands for.
type Kind uint8

const (
	In          Kind = iota // a key that is read, or only lost from; or the beginning of such names
	Out                     // a key that is written: Expiry is about it
	Glob                    // a pattern over keys, as KEYS takes it
	Sub                     // a pattern with one * to be replaced by an element, as SORT BY and GET take it ("#" excepted)
	Channel                 // a Pub/Sub channel
	ChannelGlob             // a pattern over channels, as PSUBSCRIBE takes it
)

// Ref is one name among the arguments: args[Arg] is a name of this Kind.
type Ref struct {
	Arg  int
	Kind Kind
}

// Finder appends to dst where the names stand in args (args[0] is the command). It returns false when the
// arguments are such that Redis answers an error without touching any key. It never allocates if dst has room.
type Finder func(args [][]byte, dst []Ref) (refs []Ref, ok bool)

// Narrow says how a command that looks at every name is told to look at some: put Word, unless it is empty, and a name of this
// Kind before the argument At. That is before all options, so that an option without its value stays one.
type Narrow struct {
	At   int
	Kind Kind   // Glob, ChannelGlob, or In for the beginning of keys
	Word string // "MATCH"
	when string // only if this option is given; empty: always
}

// Effect is what a command does to the expiry of the keys it writes (Kind Out).
type Effect uint8

const (
	Keeps    Effect = iota // changes no expiry and creates no key; the zero Effect
	Creates                // may create a key without expiry; an existing expiry stays
	Clears                 // leaves the key without expiry
	Carries                // the key takes another key's expiry, or an argument the proxy doesn't follow: RENAME, COPY, RESTORE, MSETEX
	SetOpts                // options from argument Arg on say: SET. No option means Clears
	GetOpts                // options from argument Arg on say: GETEX. No option means Keeps
	Sets                   // argument Arg is the expiry; zero or below is an error: SETEX
	Moves                  // argument Arg is the expiry; a past one deletes; flags NX XX GT LT may follow: EXPIRE
	Removes                // PERSIST
	Anything               // a script: every key it names may be left in any state
)

// Unit says how an expiry argument counts.
type Unit uint8

const (
	Seconds   Unit = iota // from now
	Millis                // from now
	UnixSecs              // since 1970, by the server's clock
	UnixMilli             // since 1970, by the server's clock
)

// Expiry is an Effect and where its argument stands.
type Expiry struct {
	Effect Effect
	Arg    int
	Unit   Unit
	// Becomes is the shape that can carry an expiry: SETNX k v has "SET k v NX". Nil: the command carries it itself or can't.
	Becomes *Shape
	// DB says where the arguments may name another database for the written key (MOVE, COPY ... DB n).
	DB DBArg
}

// DBArg finds the database a command writes to when that is not the connection's own.
type DBArg uint8

const (
	SameDB   DBArg = iota
	DBAtTwo        // MOVE key db
	DBOption       // COPY source destination [DB n]
)

// Shape rewrites a command into another one: Word, then args[1:], then Tail, then the expiry as EX or PX.
type Shape struct {
	Word  string // "SET"
	Tail  string // "NX", "GET" or ""
	Reply Reply  // how to turn the reply back
}

// Values says which arguments are values that a size limit looks at, and how a value may grow. Of a collection, every
// argument after the key counts as a value, so that no element above the limit gets in.
type Values struct {
	Grow  Grow
	First int // index of the first value
	Step  int // distance of values; 0: only First
}

// Grow is how the resulting string's length follows from the arguments.
type Grow uint8

const (
	NoValue     Grow = iota
	Stored           // each value is stored as it is
	Append           // the value is appended to what is there (APPEND)
	AtOffset         // the value is written at the offset in args[2] (SETRANGE)
	AtBit            // one bit at the offset in args[2] (SETBIT)
	Bitfield         // SET and INCRBY at bit offsets (BITFIELD)
	Longest          // the result is as long as the longest source (BITOP)
	Number           // the result's length can't be told before: a number's text (INCRBYFLOAT), a sketch (PFADD)
	Dump             // a DUMP payload (RESTORE), which tells the lengths of what is in it
	Source           // the string is that of the first key (RENAME, COPY)
	FieldNumber      // as Number, but in the field args[2] of a hash (HINCRBYFLOAT)
)

// Reply says which names a reply holds, or how it has to be turned back.
type Reply uint8

const (
	Opaque       Reply = iota // no names: passes as bytes
	Value                     // a string value, whole or in part: the size limit applies when handed out (GET, GETSET, MGET, LRANGE ...)
	KeyArray                  // an array of keys (KEYS) or channels (PUBSUB CHANNELS)
	OneKey                    // one key (RANDOMKEY)
	CursorKeys                // [cursor, [keys]] (SCAN)
	FirstIsKey                // [key, ...] (BLPOP, LMPOP); null passes
	Streams                   // [[key, entries]...], in RESP3 a map (XREAD)
	NameCounts                // [name, number, name, number ...] (PUBSUB NUMSUB)
	OKIsOne                   // +OK becomes :1, null becomes :0 (SETNX sent as SET NX)
	CommandTable              // about commands: narrowed to what the tenant may call (COMMAND, COMMAND DOCS ...)
	ServerInfo                // INFO
	ScriptNames               // whatever a script makes of the names that it is given (EVAL under a namespace; its row says Value)
	ScriptSum                 // the SHA1 of a script, which the proxy may have changed (SCRIPT LOAD)
	PerKey                    // an array of one Value for each key that is named (MGET)
	Payload                   // a DUMP payload: what is in it counts, not its own length (DUMP)
)

// HoldsValues reports whether a reply of this kind may hold string values or elements, which a size limit looks at.
func (r Reply) HoldsValues() bool {
	return r == Value || r == FirstIsKey || r == Streams || r == PerKey || r == Payload
}
