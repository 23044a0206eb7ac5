package integration_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sessiongate/command"
)

// grammar is one argument of a command, as COMMAND DOCS describes it.
type grammar struct {
	name, kind, token              string
	optional, repeats, tokenToo    bool // tokenToo: the token is repeated with the argument
	alternatives, isKey, tokenOnly bool
	args                           []grammar
}

func readGrammar(docs value) []grammar {
	list, _ := docs.field("arguments")
	var gs []grammar
	for _, arg := range list.elems {
		text := func(name string) string { v, _ := arg.field(name); return v.text }
		flags, _ := arg.field("flags")
		names := flags.strings()
		_, hasToken := arg.field("token")
		g := grammar{
			name: text("name"), kind: text("type"), token: text("token"),
			optional: slices.Contains(names, "optional"), repeats: slices.Contains(names, "multiple"),
			tokenToo: slices.Contains(names, "multiple_token"),
			args:     readGrammar(arg),
		}
		g.isKey, g.alternatives, g.tokenOnly = g.kind == "key", g.kind == "oneof", g.kind == "pure-token" && hasToken
		gs = append(gs, g)
	}
	return gs
}

// sample is a command line made from a grammar.
type sample struct {
	args  []string
	from  []grammar // what each of args was made from; zero for the command's own words and for tokens
	keys  []string  // the keys among args, each with a name of its own
	count int       // index of the argument that counts keys, 0 if there is none
}

// asBytes is the line as the table's functions take it.
func (s sample) asBytes() [][]byte {
	list := make([][]byte, len(s.args))
	for i, a := range s.args {
		list[i] = []byte(a)
	}
	return list
}

func (s sample) String() string { return shorten(strings.Join(s.args, " ")) }

func (s sample) has(word string) bool { return slices.Contains(s.args[1:], word) }

// with returns the line with another argument in one place.
func (s sample) with(i int, arg string) sample {
	s.args = slices.Clone(s.args)
	s.args[i] = arg
	return s
}

// chooser makes the choices that a grammar leaves open: of(n) is one of 0 to n-1.
type chooser interface{ of(n int) int }

// choices are taken one after the other while a line is made: the first of each, unless picks says otherwise.
type choices struct{ picks, widths []int }

func (c *choices) of(n int) int {
	c.widths = append(c.widths, n)
	if i := len(c.widths) - 1; i < len(c.picks) {
		return c.picks[i]
	}
	return 0
}

// samples returns lines for a command that the server has documented: the shortest one, and every one that differs from
// it by up to two choices: an option given, another alternative taken, something said twice.
func (s *tableServer) samples(spec *command.Spec) []sample {
	gs := readGrammar(s.docs[spec.RedisName()])
	type start struct {
		picks []int
		left  int
	}
	var list []sample
	for queue := []start{{nil, 2}}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		c := choices{picks: at.picks}
		line := sample{args: strings.Split(spec.Name, " ")}
		line.from = make([]grammar, len(line.args))
		line.add(gs, &c, func(g grammar) string { return s.text(spec, g) })
		line.finish()
		// The later of two destinations counts: that is for the table's own tests.
		if !line.has("STORE") || !line.has("STOREDIST") {
			list = append(list, line)
		}
		if at.left == 0 {
			continue
		}
		for i := len(at.picks); i < len(c.widths); i++ {
			for pick := 1; pick < c.widths[i]; pick++ {
				picks := append(slices.Clone(at.picks), make([]int, i-len(at.picks)+1)...)
				picks[i] = pick
				queue = append(queue, start{picks, at.left - 1})
			}
		}
	}
	return list
}

func (s *sample) add(gs []grammar, c chooser, text func(grammar) string) {
	for _, g := range gs {
		if g.optional && c.of(2) == 0 {
			continue
		}
		times := 1
		if g.repeats {
			times += c.of(2)
		}
		for i := range times {
			if g.tokenOnly || g.token != "" && (i == 0 || g.tokenToo) {
				s.put(g.token, grammar{})
			}
			switch {
			case g.tokenOnly:
			case g.alternatives:
				s.add(g.args[c.of(len(g.args)):][:1], c, text)
			case len(g.args) > 0:
				s.add(g.args, c, text)
			case g.isKey:
				s.keys = append(s.keys, fmt.Sprintf("key:%d", len(s.keys)+1))
				s.put(s.keys[len(s.keys)-1], g)
			default:
				if g.name == "numkeys" {
					s.count = len(s.args)
				}
				s.put(text(g), g)
			}
		}
	}
}

func (s *sample) put(arg string, from grammar) {
	s.args, s.from = append(s.args, arg), append(s.from, from)
}

func (s *sample) finish() {
	if s.count == 0 {
		return
	}
	n := 0
	for _, g := range s.from[s.count:] {
		if g.isKey {
			n++
		}
	}
	s.args[s.count] = strconv.Itoa(n)
}

// What is stored in all these tests. A string is a number that INCR can count on; elements are numbers that SORT can sort,
// with too many digits to be stored as anything but text. Both begin alike, so that they can be looked for.
const (
	storedText  = "31415926"
	storedElem  = storedText + "535897932384626433832795028841971"
	storedElem2 = storedText + "27182818284590452353602874713526"
)

// sampleTexts are arguments that have to fit the command or what is stored, by command and name of the argument, or by
// its name, or by its type.
var sampleTexts = map[string]string{
	"integer": "1", "double": "1.5", "string": "text", "pattern": "w_*",
	"milliseconds": "500000", "seconds": "500", "timeout": "0.001",
	"radius": "1000", "width": "1000", "height": "1000",
	"member": storedElem, "member1": storedElem, "member2": storedElem2, "field": storedElem, "pivot": storedElem,
	"group": "g", "consumer": "c", "consumername": "c", "groupname": "g", "id": "1-1", "min-idle-time": "0", "threshold": "1",
	"index": "0", "start": "0", "stop": "-1", "cursor": "0", "db": "1", "destination-db": "1", "encoding": "u8",

	"BITOP operation":         "OR",
	"EVAL script":             "if KEYS[1] then redis.call('SET', KEYS[1], 'v') end return 1",
	"EVAL_RO script":          "return 1",
	"KEYS pattern":            "*",
	"LREM element":            storedElem,
	"MIGRATE destination-db":  "0",
	"MIGRATE host":            "127.0.0.1",
	"MIGRATE timeout":         "1000",
	"PFDEBUG subcommand":      "GETREG",
	"RESTORE frequency":       "1",
	"RESTORE ttl":             "500000",
	"RESTORE-ASKING ttl":      "500000",
	"SUBSTR end":              "-1",
	"GETRANGE end":            "-1",
	"XADD id":                 "9-9",
	"XAUTOCLAIM start":        "0-0",
	"XGROUP CREATE groupname": "g2",
	"XGROUP CREATE id":        "0",
	"XPENDING start":          "-",
	"XPENDING end":            "+",
	"XRANGE start":            "-",
	"XRANGE end":              "+",
	"XREAD id":                "0",
	"XREAD milliseconds":      "1",
	"XREADGROUP id":           ">",
	"XREADGROUP milliseconds": "1",
	"XREVRANGE start":         "-",
	"XREVRANGE end":           "+",
	"XSETID last-id":          "99-0",
	"XSETID entries_added":    "9",
	"ZLEXCOUNT min":           "-",
	"ZLEXCOUNT max":           "+",
	"ZRANGEBYLEX min":         "-",
	"ZRANGEBYLEX max":         "+",
	"ZRANGEBYSCORE min":       "-inf",
	"ZRANGEBYSCORE max":       "+inf",
	"ZRANGESTORE min":         "0",
	"ZRANGESTORE max":         "5",
	"ZREMRANGEBYLEX min":      "-",
	"ZREMRANGEBYLEX max":      "+",
	"ZREVRANGEBYLEX min":      "-",
	"ZREVRANGEBYLEX max":      "+",
	"ZREVRANGEBYSCORE min":    "-inf",
	"ZREVRANGEBYSCORE max":    "+inf",
	"unix-time-seconds":       strconv.FormatInt(time.Now().Unix()+500, 10),
	"unix-time-milliseconds":  strconv.FormatInt(time.Now().UnixMilli()+500_000, 10),
	"unix-time":               strconv.FormatInt(time.Now().Unix()+500, 10),
	"FCALL function":          "writing", "FCALL_RO function": "reading",
}

// sampleLibrary has the functions that samples of FCALL and FCALL_RO call.
const sampleLibrary = `#!lua name=lib
redis.register_function('writing', function(keys) if keys[1] then redis.call('SET', keys[1], 'v') end return 1 end)
redis.register_function{function_name='reading', callback=function() return 1 end, flags={'no-writes'}}`

// text returns a sample of an argument.
func (s *tableServer) text(spec *command.Spec, g grammar) string {
	for _, name := range []string{spec.Name + " " + g.name, g.name, g.kind} {
		if text, found := s.texts[name]; found {
			return text
		}
	}
	return "1"
}

// fixtures are the commands that make a key of the type that a group's commands work on.
var fixtures = map[string][]string{
	"string":      {"SET {} " + storedText},
	"list":        {"RPUSH {} " + storedElem + " " + storedElem2},
	"set":         {"SADD {} " + storedElem + " " + storedElem2},
	"sorted-set":  {"ZADD {} 1 " + storedElem + " 2 " + storedElem2},
	"hash":        {"HSET {} " + storedElem + " " + storedText},
	"hyperloglog": {"PFADD {} " + storedText},
	"geo":         {"GEOADD {} 1.5 1.5 " + storedElem + " 1.5 1.6 " + storedElem2},
	"stream": {
		"XADD {} 1-1 f " + storedElem, "XADD {} 2-1 f " + storedElem2, "XGROUP CREATE {} g 0",
		"XREADGROUP GROUP g c COUNT 1 STREAMS {} >",
	},
}

// fixtureOf returns how to make keys for a command of that group.
func fixtureOf(spec *command.Spec, group string) []string {
	switch f, found := fixtures[group]; {
	case found:
		return f
	case group == "bitmap" || spec.Flags&command.Script != 0:
		return fixtures["string"]
	}
	return fixtures["list"] // any type will do, but for SORT
}

// tableServer is a server with what the samples refer to, and one that keys can migrate to.
type tableServer struct {
	*conn
	other *conn             // another database
	peer  *conn             // another server
	docs  map[string]value  // what COMMAND DOCS says, by name
	texts map[string]string // sampleTexts, and those that only the running servers can tell
}

// tableArgs are the settings of a server for samples: DEBUG works, DUMP shows values as they are, and nothing is ever slow.
var tableArgs = []string{"--enable-debug-command", "local", "--rdbcompression", "no", "--slowlog-log-slower-than", "-1"}

// startTableServer starts the servers and makes the scripts, functions and payloads that samples need.
func startTableServer(t *testing.T) *tableServer {
	t.Helper()
	r, peer := startRedis(t, tableArgs...), startRedis(t)
	s := &tableServer{conn: dial(t, r.addr), other: dial(t, r.addr), peer: dial(t, peer.addr), texts: maps.Clone(sampleTexts)}
	s.other.want(ok, "SELECT", "1")

	sha := func(script string) string { v, _ := parse(s.do("SCRIPT", "LOAD", sampleTexts[script])); return v.text }
	s.texts["EVALSHA sha1"], s.texts["EVALSHA_RO sha1"] = sha("EVAL script"), sha("EVAL_RO script")
	s.want(bulk("lib"), "FUNCTION", "LOAD", sampleLibrary)
	s.want(ok, "SET", "dumped", storedText)
	dump, _ := parse(s.do("DUMP", "dumped"))
	s.texts["RESTORE serialized-value"], s.texts["RESTORE-ASKING serialized-value"] = dump.text, dump.text
	s.texts["MIGRATE port"] = strconv.Itoa(peer.port)

	s.docs = readDocs(s.conn)
	return s
}

// readDocs returns what COMMAND DOCS says, by name of the command, or of the subcommand.
func readDocs(c *conn) map[string]value {
	all, err := parse(c.do("COMMAND", "DOCS"))
	if err != nil {
		c.t.Fatal(err)
	}
	docs := map[string]value{}
	for i := 0; i+1 < len(all.elems); i += 2 {
		docs[all.elems[i].text] = all.elems[i+1]
		subs, _ := all.elems[i+1].field("subcommands")
		for j := 0; j+1 < len(subs.elems); j += 2 {
			docs[subs.elems[j].text] = subs.elems[j+1]
		}
	}
	return docs
}

// group returns the redis.io group of a command.
func (s *tableServer) group(spec *command.Spec) string {
	g, _ := s.docs[spec.RedisName()].field("group")
	return g.text
}

// state is how a key is before a command.
type state int

const (
	missing state = iota
	volatile
	persistent
)

// states are the situations that a line with keys is tried in: by key, the last one for all that follow.
var states = [][]state{
	{volatile}, {missing}, {persistent},
	{volatile, missing}, {missing, volatile}, {persistent, volatile}, {volatile, persistent},
}

// ttlOf is the expiry of the i-th key in milliseconds, unlike every other's.
func ttlOf(i int) int { return 1_000_000 * (i + 1) }

// prepare empties all databases and makes the line's keys.
func (s *tableServer) prepare(line sample, fixture []string, by []state) {
	s.t.Helper()
	cmds := []string{"FLUSHALL"}
	for i, key := range line.keys {
		how := by[min(i, len(by)-1)]
		if how == missing {
			continue
		}
		for _, f := range fixture {
			cmds = append(cmds, strings.ReplaceAll(f, "{}", key))
		}
		if how == volatile {
			cmds = append(cmds, fmt.Sprintf("PEXPIRE %s %d", key, ttlOf(i)))
		}
	}
	for i, reply := range s.pipeline(cmds...) {
		if reply[0] == '-' {
			s.t.Fatalf("%s: %s", cmds[i], reply)
		}
	}
}

// run sends the line; a command that waits is sent where it can't.
func (s *tableServer) run(spec *command.Spec, line sample) (reply string) {
	if spec.State != command.Blocks {
		return s.do(line.args...)
	}
	s.send(encode("MULTI") + encode(line.args...) + encode("EXEC"))
	s.read()
	if queued := s.read(); queued[0] == '-' {
		s.read()
		return queued
	}
	_, elem, _ := strings.Cut(s.read(), "\r\n")
	return elem
}

// ttls returns what PTTL says of the line's keys in one of the connections' databases.
func ttls(c *conn, line sample) []int {
	list := make([]int, len(line.keys))
	for i, key := range line.keys {
		list[i] = c.int("PTTL", key)
	}
	return list
}
