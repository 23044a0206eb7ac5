package integration_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// The corpus is a few thousand command lines over all data types, the same for the same seed. Two servers given the
// corpus must answer it with the same bytes. So it leaves out what no two servers answer alike:
//
//   - by chance: RANDOMKEY, SRANDMEMBER and SPOP of a part, HRANDFIELD and ZRANDMEMBER, ACL GENPASS, LOLWUT, PFDEBUG
//   - by clock: TIME, LASTSAVE, OBJECT IDLETIME, XADD with *, XPENDING with a range, XINFO CONSUMERS and STREAM FULL,
//     LATENCY, SLOWLOG GET, keys that expire while the test runs
//   - by address, process or connection: INFO, CLIENT ID, INFO and LIST, HELLO, CONFIG GET of ports and directories,
//     MEMORY STATS, MEMORY USAGE of what was allocated with room to spare, DEBUG, MODULE, ROLE's and REPLICAOF's effects
//   - CLIENT SETINFO, NO-TOUCH and MAINT_NOTIFICATIONS: newer than the server, answered for it by Sessiongate
//   - what ends or holds the server: SHUTDOWN, CLIENT PAUSE, DEBUG SLEEP, BGSAVE, SYNC; QUIT, RESET and MONITOR have
//     tests of their own
//
// Replies whose order depends on the seed of a server's hash function (SMEMBERS, KEYS, COMMAND LIST, ...) are sorted
// before they are compared, and the remaining time of an expiry may differ by the time the test takes.

// step is one command and how many replies it brings.
type step struct {
	args    []string
	replies int
	alike   func(got, want string) bool // compares what two servers need not answer with the same bytes; nil: they must
	inline  bool                        // sent as an inline command
}

func (s step) encode() string {
	if s.inline {
		return strings.Join(s.args, " ") + "\r\n"
	}
	return encode(s.args...)
}

// unit is a run of steps that belong together: MULTI to EXEC, SUBSCRIBE to UNSUBSCRIBE. Most have one.
type unit []step

// corpus makes the units. resp is the protocol that they will be sent in.
type corpus struct {
	*rand.Rand
	resp  int
	entry int // counts stream entries, whose IDs must grow
}

// newCorpus returns at least n command lines.
func newCorpus(seed uint64, n, resp int) []unit {
	c := &corpus{Rand: rand.New(rand.NewPCG(seed, 1)), resp: resp}
	var units []unit
	for lines := 0; lines < n; {
		u := c.unit()
		units = append(units, u)
		lines += len(u)
	}
	return units
}

// unit makes the next one: usually a single command, sometimes damaged, now and then a transaction or a subscription.
func (c *corpus) unit() unit {
	switch p := c.IntN(100); {
	case p < 6:
		return c.transaction()
	case p < 8:
		return c.subscription()
	case p < 10:
		return c.blocking()
	case p < 11:
		return c.otherDB()
	default:
		return unit{c.command()}
	}
}

func (c *corpus) command() step {
	line := pick(c, commandLines)
	s := step{args: c.fill(line), replies: 1}
	if alikeFor(s.args) == nil && c.IntN(20) == 0 {
		s.args = c.damage(s.args)
	}
	s.alike = alikeFor(s.args)
	s.inline = c.IntN(30) == 0 && plainWords(s.args)
	return s
}

// damage makes the arguments wrong: one too many, one too few, one of nonsense, a name that no command has.
func (c *corpus) damage(args []string) []string {
	args = slices.Clone(args)
	switch at := 1 + c.IntN(len(args)); c.IntN(6) {
	case 0:
		return append(args, pick(c, words))
	case 1:
		return args[:max(1, len(args)-1)]
	case 2:
		args[min(at, len(args)-1)] = pick(c, nonsense)
		if c.IntN(2) == 0 || len(args) == 1 {
			return args
		}
		return slices.Delete(args, 1, 2)
	case 3:
		args[0] = pick(c, []string{"NOSUCH", "get1", "FOO BAR", "", "\x00\xff", strings.Repeat("x", 300), "C\r\nLIENT"})
		return args
	case 4:
		args[0] = strings.ToLower(args[0])
		return append(args, strings.Repeat("y", 200), "z")
	default:
		return slices.Insert(args, min(at, len(args)), pick(c, words))
	}
}

// transaction is MULTI with a few commands, ended in each way there is.
func (c *corpus) transaction() unit {
	var u unit
	add := func(line string) { u = append(u, step{args: c.fill(line), replies: 1}) }
	watched := c.key("s")
	if c.IntN(3) == 0 {
		add("WATCH " + watched)
		if c.IntN(2) == 0 {
			add("SET " + watched + " $v") // and EXEC answers null
		}
		if c.IntN(6) == 0 {
			add("UNWATCH")
		}
	}
	add("MULTI")
	for range c.IntN(6) {
		line := pick(c, commandLines)
		args := c.fill(line)
		if alikeFor(args) != nil || notInTransactions[strings.ToUpper(args[0])] {
			continue
		}
		if c.IntN(12) == 0 {
			args = c.damage(args) // may be refused when queued: EXEC answers EXECABORT
		}
		u = append(u, step{args: args, replies: 1})
	}
	switch c.IntN(12) {
	case 0:
		add("MULTI") // nested: an error
	case 1:
		add("WATCH " + watched) // not allowed inside
	case 2:
		add("BLPOP l:none 0") // doesn't block inside
	}
	if c.IntN(6) == 0 {
		add("DISCARD")
	} else {
		add("EXEC")
	}
	if c.IntN(8) == 0 {
		add(pick(c, []string{"EXEC", "DISCARD"})) // without MULTI: an error
	}
	return u
}

// notInTransactions change the connection in ways that a transaction of the corpus should not.
var notInTransactions = map[string]bool{"SELECT": true, "SWAPDB": true, "CLIENT": true, "MULTI": true, "EXEC": true, "DISCARD": true, "WATCH": true}

// subscription goes into subscribed mode and out again.
func (c *corpus) subscription() unit {
	kind := pick(c, []string{"", "P", "S"})
	if c.IntN(5) == 0 { // nothing to leave: one reply all the same
		return unit{{args: []string{kind + "UNSUBSCRIBE"}, replies: 1}}
	}
	u := unit{{args: []string{kind + "SUBSCRIBE", "ch:1", "ch:2"}, replies: 2}}
	if c.IntN(2) == 0 {
		u = append(u, step{args: []string{"PING", pick(c, words)}, replies: 1})
	}
	if c.IntN(3) == 0 {
		u = append(u, step{args: []string{kind + "SUBSCRIBE", "ch:2"}, replies: 1})
	}
	if c.resp == 2 {
		u = append(u, step{args: c.fill("GET $s"), replies: 1}) // not allowed while subscribed
	} else {
		u = append(u, step{args: c.fill("SET $s $v"), replies: 1}) // allowed in RESP3
	}
	return append(u, step{args: []string{kind + "UNSUBSCRIBE", "ch:1", "ch:3"}, replies: 2},
		step{args: []string{kind + "UNSUBSCRIBE", "ch:2"}, replies: 1})
}

// blocking runs a command that may block, with its element there or with a short wait for nothing.
func (c *corpus) blocking() unit {
	u := unit{}
	if c.IntN(4) > 0 {
		u = append(u, step{args: []string{"RPUSH", "l:wait", "a", "b"}, replies: 1},
			step{args: []string{"ZADD", "z:wait", "1", "a", "2", "b"}, replies: 1})
	}
	u = append(u, step{args: split(pick(c, []string{
		"BLPOP l:none l:wait 0.01", "BRPOP l:wait 0.01", "BLMOVE l:wait l:1 LEFT RIGHT 0.01", "BRPOPLPUSH l:wait l:2 0.01",
		"BLMPOP 0.01 2 l:none l:wait LEFT COUNT 2", "BZPOPMIN z:wait 0.01", "BZPOPMAX z:none z:wait 0.01", "BZMPOP 0.01 1 z:wait MAX",
		"BLPOP s:1 0.01", "BLPOP l:wait -1", "BLPOP l:wait x", "XREAD BLOCK 10 STREAMS x:none $", "WAIT 0 10", "WAIT 1 10",
	})), replies: 1})
	return append(u, step{args: []string{"DEL", "l:wait", "z:wait"}, replies: 1})
}

// otherDB works in another database for a while.
func (c *corpus) otherDB() unit {
	u := unit{{args: []string{"SELECT", strconv.Itoa(1 + c.IntN(15))}, replies: 1}}
	for range c.IntN(5) {
		u = append(u, c.command())
	}
	return append(u, step{args: []string{"SELECT", "0"}, replies: 1})
}

// fill replaces the $ words of a line by values: see token.
func (c *corpus) fill(line string) []string {
	words := split(line)
	for i, w := range words {
		if len(w) > 1 && w[0] == '$' {
			words[i] = c.token(w[1:])
		}
	}
	return words
}

// key names one of a few keys of a type: s string, b bitmap, h hash, l list, t set, z sorted set, x stream, p
// HyperLogLog, g geo. One in fifteen is of another type, or missing.
func (c *corpus) key(kind string) string {
	if c.IntN(15) == 0 {
		kind = pick(c, []string{"s", "b", "h", "l", "t", "z", "x", "p", "g", "none", "\x00bin\r\n"})
	}
	return kind + ":" + strconv.Itoa(1+c.IntN(4))
}

func (c *corpus) token(name string) string {
	switch name {
	case "v":
		return c.value()
	case "n":
		return strconv.Itoa(c.IntN(26) - 5)
	case "u":
		return strconv.Itoa(1 + c.IntN(12))
	case "f":
		return "f" + strconv.Itoa(1+c.IntN(6))
	case "m":
		return "m" + strconv.Itoa(1+c.IntN(9))
	case "w":
		return pick(c, []string{"1", "-2.5", "3e2", "0.1", "inf", "-inf", "17", "42", "1e300"})
	case "bit":
		return strconv.Itoa(c.IntN(2))
	case "ex":
		return strconv.Itoa(5000 + c.IntN(90000))
	case "px":
		return strconv.Itoa(5_000_000 + c.IntN(90_000_000))
	case "at":
		return strconv.Itoa(4_000_000_000 + c.IntN(1_000_000))
	case "patt":
		return strconv.Itoa(4_000_000_000_000 + c.IntN(1_000_000))
	case "id":
		c.entry++
		return fmt.Sprintf("%d-%d", c.entry, c.IntN(3))
	case "oldid":
		return fmt.Sprintf("%d-0", 1+c.IntN(c.entry+2))
	case "any":
		return c.key(pick(c, []string{"s", "b", "h", "l", "t", "z", "x", "p", "g"}))
	case "s", "b", "h", "l", "t", "z", "x", "p", "g":
		return c.key(name)
	default:
		return "$" + name
	}
}

// value makes a string: words, numbers, bytes, nothing, and now and then a long one.
func (c *corpus) value() string {
	switch p := c.IntN(100); {
	case p < 30:
		return pick(c, words)
	case p < 55:
		return strconv.Itoa(c.IntN(2000) - 300)
	case p < 65:
		return pick(c, nonsense)
	case p < 95:
		b := make([]byte, c.IntN(200))
		for i := range b {
			b[i] = byte(c.IntN(256))
		}
		return string(b)
	case p < 99:
		return strings.Repeat("long value ", 100+c.IntN(1000))
	default:
		return strings.Repeat("0123456789abcdef", 10000)
	}
}

var words = []string{"a", "hello", "world", "user:42", "3.5", "0", "ünïcødé", "with space", "x'y\"z", "?", "$5"}

var nonsense = []string{"", "-", "nan", "1e400", "9223372036854775807", "-9223372036854775809", "0x10", " 1", "1 ", "\r\n", "\x00", "GT", "(1", "[a"}

func pick[T any](c *corpus, from []T) T { return from[c.IntN(len(from))] }

// plainWords reports whether the arguments can be sent as an inline command.
func plainWords(args []string) bool {
	for _, a := range args {
		if a == "" || len(a) > 1000 || strings.ContainsFunc(a, func(r rune) bool {
			return r <= ' ' || r > '~' || r == '"' || r == '\'' || r == '\\'
		}) {
			return false
		}
	}
	return args[0][0] != '*'
}
