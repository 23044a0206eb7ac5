package integration_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// A speaker makes random commands, the same for the same seed: valid ones by the grammar that a server gives in COMMAND
// DOCS, with any options, on a few keys so that commands meet; and invalid ones. random_words_test.go has the arguments,
// random_scripts_test.go the scripts.
type speaker struct {
	*corpus
	dialect
	grammars []*documented // each as often as its weight
	payloads []string      // what DUMP gave
	scripts  []string      // texts that SCRIPT LOAD has been sent
	base     time.Time     // absolute times are relative to it
}

// dialect says what a speaker may say.
type dialect struct {
	alike   bool            // only what two servers answer alike
	avoid   map[string]bool // commands, as Redis writes them, or groups as "@server"
	secret  bool            // the namespace is not to be said, so that it can be looked for in replies
	limit   int             // bytes of a value; lengths about it are tried
	cluster bool            // only what a cluster takes too
}

// documented is a command as the server describes it.
type documented struct {
	name, group string
	args        []grammar
}

// holdsOrHarms are commands that end, stop or change the server for good, or answer with no reply or many. A tenant with a
// namespace is to be refused them.
var holdsOrHarms = named(`shutdown debug monitor sync psync replconf replicaof slaveof failover migrate save bgsave bgrewriteaof
	module|load module|loadex module|unload config|set config|rewrite config|resetstat acl|setuser acl|deluser acl|load acl|save
	acl|log client|pause client|unpause swapdb cluster|reset cluster|flushslots cluster|meet cluster|addslots cluster|forget latency|reset
	slowlog|get slowlog|reset script|debug function|restore restore-asking pfdebug pfselftest memory|purge memory|malloc-stats`)

// ownUnits change what comes after them: they have units of their own, or tests of their own.
var ownUnits = named(`multi exec discard watch subscribe psubscribe ssubscribe unsubscribe punsubscribe sunsubscribe
	eval evalsha eval_ro evalsha_ro fcall fcall_ro quit reset client|reply client|kill`)

func named(words string) map[string]bool {
	set := map[string]bool{}
	for _, word := range strings.Fields(words) {
		set[word] = true
	}
	return set
}

// weights are for commands that are to come more often than others: those that write an expiry or carry one along.
var weights = map[string]int{
	"set": 40, "getex": 24, "setex": 12, "psetex": 12, "expire": 24, "pexpire": 24, "expireat": 24, "pexpireat": 24, "persist": 24,
	"rename": 12, "renamenx": 8, "copy": 16, "move": 8, "restore": 16, "sort": 16, "append": 12, "setrange": 12, "setbit": 12,
	"bitfield": 16, "bitop": 12, "xadd": 20, "xgroup|create": 16, "hset": 16, "sadd": 12, "zadd": 16, "rpush": 12, "lmove": 8,
	"lcs": 1, "flushall": 1, "flushdb": 1, "wait": 1, "object|help": 1, "xgroup|help": 1, "xinfo|help": 1,
}

func newSpeaker(seed uint64, stream uint64, resp int, d dialect, docs map[string]value, payloads []string, base time.Time) *speaker {
	s := &speaker{
		corpus: &corpus{Rand: rand.New(rand.NewPCG(seed, stream)), resp: resp}, dialect: d, payloads: payloads, base: base,
	}
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		group, _ := docs[name].field("group")
		if subs, found := docs[name].field("subcommands"); found && len(subs.elems) > 0 {
			continue
		}
		c := &documented{name, group.text, readGrammar(docs[name])}
		if ownUnits[name] || d.avoid[name] || d.avoid["@"+c.group] {
			continue
		}
		weight := 4
		if w, found := weights[name]; found {
			weight = w
		} else if c.group == "server" || c.group == "cluster" || c.group == "connection" || c.group == "scripting" {
			weight = 1
		}
		s.grammars = append(s.grammars, slices.Repeat([]*documented{c}, weight)...)
	}
	return s
}

// of makes the choices that a grammar leaves.
func (s *speaker) of(n int) int { return s.IntN(n) }

// unit makes commands that belong together. After them the connection is in no transaction and has no subscriptions.
func (s *speaker) unit() unit {
	switch p := s.IntN(100); {
	case p < 8:
		return s.transaction()
	case p < 10:
		return s.subscription()
	case p < 20 && s.avoid["eval"]:
	case p < 18:
		return unit{s.script()}
	case p < 20:
		return unit{s.loaded()}
	case p < 23:
		return unit{s.elsewhere()}
	case p < 25:
		return unit{s.nothing()}
	}
	return unit{s.command()}
}

// command makes a single one, sometimes damaged, now and then inline.
func (s *speaker) command() step {
	line := s.sample()
	st := step{args: line.args, replies: 1}
	if s.IntN(20) == 0 && !line.waits() {
		st.args = s.damage(st.args)
		if s.alike && s.byChance(st.args) {
			st.args = line.args
		}
	}
	st.alike = alikeRandom(st.args)
	st.inline = s.IntN(30) == 0 && plainWords(st.args)
	return st
}

// byChance reports whether two servers may be changed differently by a command.
func (s *speaker) byChance(args []string) bool {
	switch strings.ToLower(args[0]) {
	case "spop", "scan", "hscan", "sscan", "zscan", "xadd", "sort", "sort_ro", "xclaim", "xautoclaim":
		return true
	}
	return false
}

// sample makes a line by the grammar of one of the commands.
func (s *speaker) sample() sample {
	d := pick(s.corpus, s.grammars)
	line := sample{args: strings.Split(d.name, "|")}
	if s.IntN(2) == 0 {
		line.args = strings.Split(strings.ToUpper(d.name), "|")
	}
	line.from = make([]grammar, len(line.args))
	line.add(d.args, s, func(g grammar) string { return s.word(d, g) })
	if d.name == "command|getkeys" || d.name == "command|getkeysandflags" { // the grammar doesn't say whose
		for _, arg := range s.sample().args {
			line.put(arg, grammar{})
		}
	}
	line.keys = line.keys[:0]
	for i, g := range line.from {
		if g.isKey {
			line.args[i] = s.keyFor(d)
			line.keys = append(line.keys, line.args[i])
		}
	}
	line.finish()
	if s.alike || s.IntN(20) > 0 {
		line.balance()
	}
	if s.alike {
		s.settle(d, &line)
	}
	return line
}

// balance makes lists that belong together equally long: the IDs of XREAD to its keys, the WEIGHTS to the keys counted.
func (s *sample) balance() {
	for _, pair := range [][2]string{{"STREAMS", "id"}, {"WEIGHTS", "weight"}} {
		at := slices.Index(s.args, pair[0])
		if at < 0 {
			continue
		}
		keys, first, n := 0, 0, 0
		for i, g := range s.from {
			switch {
			case g.name == pair[1] && i > at:
				n++
				first = max(first, i-n+1)
			case g.isKey && (i > at || s.count > 0 && i > s.count):
				keys++
			}
		}
		for ; n > keys; n-- {
			s.args, s.from = slices.Delete(s.args, first, first+1), slices.Delete(s.from, first, first+1)
		}
		for ; n < keys; n++ {
			s.args, s.from = slices.Insert(s.args, first, s.args[first]), slices.Insert(s.from, first, s.from[first])
		}
	}
}

// waits reports whether the command may wait, so that a word too many might make it wait for ever.
func (s sample) waits() bool {
	for _, g := range s.from {
		if g.name == "timeout" || g.name == "milliseconds" && g.token == "BLOCK" {
			return true
		}
	}
	return false
}

// settle takes out of a line what would go differently in two servers: by chance, by their clocks, or by the order in
// which their hash tables happen to be.
func (s *speaker) settle(d *documented, line *sample) {
	drop := func(token string, n int) {
		if at := slices.Index(line.args, token); at > 0 {
			line.args = slices.Delete(line.args, at, min(at+n, len(line.args)))
		}
	}
	switch d.name {
	case "spop":
		line.args = append(line.args[:2], "1000")
	case "xadd":
		for i := range line.args { // the key may be called so too
			if line.args[i] == "*" {
				line.args[i] = s.token("id")
			}
		}
	case "xautoclaim", "xclaim":
		if len(line.args) > 4 && line.args[4] != "0" {
			line.args[4] = pick(s.corpus, []string{"0", "3600000000", "x"})
		}
	case "xpending":
		drop("IDLE", 2)
	case "scan":
		line.args[1] = pick(s.corpus, []string{"0", "0", "0", "x"})
		line.args = append(line.args, "COUNT", "100000")
	case "hscan", "sscan", "zscan":
		line.args[2] = pick(s.corpus, []string{"0", "0", "0", "x"})
		line.args = append(line.args, "COUNT", "100000")
	case "sort", "sort_ro":
		if !strings.HasPrefix(line.args[1], "l:") { // sets and sorted sets come as their hash tables are
			line.args[1] = "l:1"
		}
		by := slices.Index(line.args, "BY")
		if by > 0 {
			drop("ALPHA", 1) // elements without a weight are in no order then
		}
		if by > 0 && by+1 < len(line.args) && !strings.Contains(line.args[by+1], "*") { // nor are these, of a set
			drop("LIMIT", 3)
		}
	}
	if s.cluster {
		s.settleCluster(d, drop)
	}
}

// settleCluster takes out options that a cluster refuses: to look up other keys by a pattern, and other databases.
func (s *speaker) settleCluster(d *documented, drop func(token string, n int)) {
	switch d.name {
	case "sort", "sort_ro":
		for range 5 {
			drop("BY", 2)
			drop("GET", 2)
		}
		drop("STORE", 2) // a script would not name that key
	case "georadius", "georadiusbymember":
		drop("STORE", 2)
		drop("STOREDIST", 2)
	case "copy":
		drop("DB", 2)
	}
}

// transaction is MULTI with commands, whole or not, after WATCH or not, ended in each way there is.
func (s *speaker) transaction() unit {
	var u unit
	add := func(args ...string) { u = append(u, step{args: args, replies: 1}) }
	if s.IntN(3) == 0 {
		watched := s.key("s")
		add("WATCH", watched, s.key("h"))
		for range s.IntN(3) {
			u = append(u, s.inTransaction())
		}
		if s.IntN(6) == 0 {
			add("UNWATCH")
		}
	}
	add("MULTI")
	for range s.IntN(7) {
		switch s.IntN(30) {
		case 0:
			add("MULTI")
		case 1:
			add("WATCH", s.key("s"))
		case 2:
			add(s.damage([]string{"SET", s.key("s"), s.val()})...)
		case 3, 4, 5:
			if !s.avoid["eval"] {
				u = append(u, s.script())
			}
		default:
			u = append(u, s.inTransaction())
		}
	}
	if s.IntN(5) == 0 {
		add("DISCARD")
	} else {
		add("EXEC")
	}
	if s.IntN(8) == 0 {
		add(pick(s.corpus, []string{"EXEC", "DISCARD", "UNWATCH"}))
	}
	return u
}

// inTransaction makes a command that can be queued through a proxy.
func (s *speaker) inTransaction() step {
	for {
		st := s.command()
		switch strings.ToLower(st.args[0]) {
		case "client", "hello", "auth", "readonly", "readwrite", "asking":
			continue
		case "dbsize", "flushall", "flushdb", "randomkey", "command", "pubsub", "swapdb":
			if s.alike {
				continue
			}
		}
		return st
	}
}

// subscription goes into subscribed mode and out again.
func (s *speaker) subscription() unit {
	kind := pick(s.corpus, []string{"", "P", "S"})
	names := []string{s.topic(), "ch:one", "ch:two"}[s.IntN(2):]
	u := unit{{args: append([]string{kind + "SUBSCRIBE"}, names...), replies: len(names)}}
	for range s.IntN(3) {
		if s.resp == 2 {
			u = append(u, step{args: []string{pick(s.corpus, []string{"PING", "GET", "SET", "NOSUCH", "HSET"}), s.key("s")}, replies: 1})
		} else if st := s.inTransaction(); !strings.EqualFold(st.args[0], "PUBLISH") && !strings.EqualFold(st.args[0], "SPUBLISH") {
			u = append(u, st)
		}
	}
	for _, name := range names {
		u = append(u, step{args: []string{kind + "UNSUBSCRIBE", name}, replies: 1})
	}
	return u
}

// elsewhere selects a database.
func (s *speaker) elsewhere() step {
	return step{args: []string{"SELECT", pick(s.corpus, []string{"0", "0", "1", "0", "16", "-1", "x", ""})}, replies: 1}
}

// nothing is a command that there isn't, or that is out of place.
func (s *speaker) nothing() step {
	return step{replies: 1, args: pick(s.corpus, [][]string{
		{"EXEC"}, {"DISCARD"}, {"UNWATCH"}, {"NOSUCH", s.key("s")}, {"XGROUP", "NOSUCH", s.key("x"), "g"}, {"OBJECT"}, {"get"},
		{"SET", s.key("s")}, {"XGROUP"}, {"EVAL"}, {"", "x"}, {"\x00"}, {"HSET", s.key("h"), "f"}, {"MSET", s.key("s"), "1", s.key("s")},
	})}
}
