package integration_test

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sessiongate/command"
)

// What TestTable_Modes needs to know of single rows: lines that COMMAND DOCS can't tell, what comes before and after a line,
// which rows the design refuses or makes true for the tenant, and which replies no two servers give alike.

// ownDatabase stands in a line for a database that each server has for itself on the one that keys migrate to.
const ownDatabase = "@db"

// modeTexts are sampleTexts of commands that TestTable_Modes alone runs.
var modeTexts = map[string]string{
	"ACL DRYRUN username":          "default",
	"ACL DRYRUN command":           "get",
	"ACL DRYRUN arg":               "key:1",
	"ACL GETUSER username":         "default",
	"ACL CAT categoryname":         "string",
	"ACL GENPASS bits":             "5",
	"CLIENT LIST client-id":        "999999",
	"CLIENT PAUSE timeout":         "1",
	"CLIENT UNBLOCK client-id":     "999999",
	"COMMAND DOCS command-name":    "get",
	"COMMAND INFO command-name":    "get",
	"COMMAND LIST category":        "hash",
	"COMMAND LIST pattern":         "*set*",
	"CONFIG GET parameter":         "timeout",
	"FUNCTION DELETE library-name": "lib",
	"FUNCTION LOAD function-code":  "#!lua name=more\nredis.register_function('more', function() return 1 end)",
	"HELLO protover":               "3",
	"INFO section":                 "keyspace",
	"MIGRATE destination-db":       ownDatabase,
	"SCRIPT EXISTS sha1":           "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", // of "return 1"
	"SCRIPT LOAD script":           "return 2",
	"SELECT index":                 "1",
	"SWAPDB index1":                "0",
	"SWAPDB index2":                "1",
	"WAIT timeout":                 "1",
}

// instead are the lines of rows whose own samples would be of no use: the server documents no arguments, they would end it
// or its clients, make it a replica of nobody, or name something that isn't there.
var instead = map[string]string{
	"CLIENT KILL": "CLIENT KILL 192.0.2.1:1; CLIENT KILL ID 999999; CLIENT KILL TYPE replica; CLIENT KILL USER nobody; " +
		"CLIENT KILL ADDR 192.0.2.1:1; CLIENT KILL LADDR 192.0.2.1:1 SKIPME no; CLIENT KILL ID 999999 TYPE pubsub; CLIENT KILL TYPE nonsense",
	"COMMAND GETKEYS":         "COMMAND GETKEYS MSET key:1 v key:2 v; COMMAND GETKEYS GET key:1; COMMAND GETKEYS PING x",
	"COMMAND GETKEYSANDFLAGS": "COMMAND GETKEYSANDFLAGS LMOVE key:1 key:2 LEFT LEFT; COMMAND GETKEYSANDFLAGS PING x",
	"CONFIG SET":              `CONFIG SET notify-keyspace-events ""`,
	"DEBUG":                   "DEBUG SET-ACTIVE-EXPIRE 1; DEBUG NOSUCH",
	"FUNCTION RESTORE":        "FUNCTION RESTORE text; FUNCTION RESTORE text FLUSH",
	"MODULE LOADEX":           "MODULE LOADEX nothing; MODULE LOADEX nothing ARGS x",
	"REPLICAOF":               "REPLICAOF NO ONE",
	"SCRIPT DEBUG":            "SCRIPT DEBUG NO; SCRIPT DEBUG NONSENSE",
	"SHUTDOWN":                "SHUTDOWN ABORT; SHUTDOWN NONSENSE",
	"SLAVEOF":                 "SLAVEOF NO ONE",
}

// session is what comes before a line on the same connection, and after it.
type session struct{ before, after string }

// around shows what a line about the connection does to it.
var around = map[string]session{
	"CLIENT CACHING":      {"CLIENT TRACKING ON OPTIN", "GET key:1; CLIENT TRACKINGINFO"},
	"CLIENT GETNAME":      {"CLIENT SETNAME somebody", ""},
	"CLIENT GETREDIR":     {"CLIENT TRACKING ON", ""},
	"CLIENT PAUSE":        {"", "CLIENT UNPAUSE"},
	"CLIENT REPLY":        {"", "ECHO first; ECHO second; CLIENT REPLY ON"},
	"CLIENT SETNAME":      {"", "CLIENT GETNAME"},
	"CLIENT TRACKING":     {"", "CLIENT TRACKINGINFO; CLIENT GETREDIR; GET key:1"},
	"CLIENT TRACKINGINFO": {"CLIENT TRACKING ON BCAST PREFIX key: PREFIX w_", ""},
	"DISCARD":             {"MULTI; SET key:1 v", "SET key:2 v"},
	"EVALSHA":             {"SCRIPT LOAD \"" + sampleTexts["EVAL script"] + "\"", ""},
	"EVALSHA_RO":          {"SCRIPT LOAD \"" + sampleTexts["EVAL_RO script"] + "\"", ""},
	"EXEC":                {"MULTI; SET key:1 v; RPUSH key:3 v; LRANGE key:3 0 -1", "SET key:2 v"},
	"MULTI":               {"", "SET key:1 v; RPUSH key:3 v; KEYS key:3; EXEC"},
	"PSUBSCRIBE":          {"", "PSUBSCRIBE w_x; PUNSUBSCRIBE w_x; PUNSUBSCRIBE w_*; SET key:3 v"},
	"PUNSUBSCRIBE":        {"PSUBSCRIBE w_*", "PUNSUBSCRIBE; SET key:3 v"},
	"RESET":               {"SELECT 1; CLIENT SETNAME somebody; MULTI", "CLIENT GETNAME; SET key:3 v"},
	"SCRIPT EXISTS":       {"SCRIPT LOAD \"return 1\"", ""},
	"SCRIPT FLUSH":        {"SCRIPT LOAD \"return 1\"", "SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db"},
	"SCRIPT LOAD":         {"", "SCRIPT EXISTS 7f923f79fe76194c868d7e1d0820de36700eb649"},
	"SELECT":              {"", "SET key:1 v; SET key:3 v"},
	"SSUBSCRIBE":          {"", "SSUBSCRIBE more; SUNSUBSCRIBE more; SUNSUBSCRIBE text; SET key:3 v"},
	"SUBSCRIBE":           {"", "SUBSCRIBE more; UNSUBSCRIBE more; UNSUBSCRIBE text; SET key:3 v"},
	"SUNSUBSCRIBE":        {"SSUBSCRIBE text", "SUNSUBSCRIBE; SET key:3 v"},
	"UNSUBSCRIBE":         {"SUBSCRIBE text", "UNSUBSCRIBE; SET key:3 v"},
	"UNWATCH":             {"WATCH key:1; SET key:1 v", "MULTI; SET key:1 w; EXEC"},
	"WATCH":               {"", "SET key:1 v; MULTI; SET key:1 w; EXEC"},
}

// forks says of rows whose reply depends on whether the server has a child process under way, or waits to start one.
func forks(spec *command.Spec) bool {
	return slices.Contains([]string{"BGREWRITEAOF", "BGSAVE", "SAVE"}, spec.Name)
}

// unanswered says of rows after which the server doesn't answer one command after the other any more.
func unanswered(spec *command.Spec) bool { return spec.Name == "MONITOR" || spec.Name == "QUIT" }

// trueForTenant are rows about the whole server that a namespace doesn't close: they are about the tenant's part there.
var trueForTenant = map[string]string{
	"CLIENT KILL":             "the tenant's clients",
	"CLIENT LIST":             "the tenant's clients",
	"CLIENT NO-EVICT":         "the client itself",
	"CLIENT UNBLOCK":          "the tenant's clients",
	"CLUSTER COUNTKEYSINSLOT": "to a tenant, there is no cluster",
	"CLUSTER GETKEYSINSLOT":   "to a tenant, there is no cluster",
	"CLUSTER INFO":            "to a tenant, there is no cluster",
	"CLUSTER KEYSLOT":         "to a tenant, there is no cluster",
	"CLUSTER LINKS":           "to a tenant, there is no cluster",
	"CLUSTER MYID":            "to a tenant, there is no cluster",
	"CLUSTER NODES":           "to a tenant, there is no cluster",
	"CLUSTER REPLICAS":        "to a tenant, there is no cluster",
	"CLUSTER SHARDS":          "to a tenant, there is no cluster",
	"CLUSTER SLAVES":          "to a tenant, there is no cluster",
	"CLUSTER SLOTS":           "to a tenant, there is no cluster",
	"CONFIG GET":              "settings that drivers look at",
	"CONFIG SET":              "keyspace notifications, for Spring Session",
	"INFO":                    "the tenant's keyspace",
	"PUBSUB NUMPAT":           "the tenant's patterns",
	"SLOWLOG GET":             "the tenant's commands",
	"SLOWLOG LEN":             "the tenant's commands",
}

// refusedInNamespace are rows that a namespace closes although the table doesn't say that they concern the server.
var refusedInNamespace = map[string]string{
	"MIGRATE":      "sends keys to another server",
	"SCRIPT DEBUG": "holds the server",
}

// onlyErrors says why no sample of a row can succeed on a plain server, if it can't.
func onlyErrors(spec *command.Spec) string {
	family, _, _ := strings.Cut(spec.Name, " ")
	switch {
	case spec.State == command.Hijack:
		return "it is not sent"
	case spec.Flags&command.Container != 0 && spec.Name != "COMMAND":
		return "it takes a subcommand"
	case family == "CLUSTER", slices.Contains([]string{"ASKING", "READONLY", "READWRITE"}, spec.Name):
		return "the server is not in a cluster"
	}
	return map[string]string{
		"ACL LOAD":         "there is no file of users",
		"ACL SAVE":         "there is no file of users",
		"AUTH":             "there is no password",
		"CONFIG REWRITE":   "there is no configuration file",
		"FAILOVER":         "there are no replicas",
		"FUNCTION KILL":    "no function is running",
		"FUNCTION RESTORE": "the payload is none",
		"LATENCY GRAPH":    "nothing was slow",
		"MODULE LOAD":      "modules are not allowed",
		"MODULE LOADEX":    "modules are not allowed",
		"MODULE UNLOAD":    "there is no module",
		"SCRIPT KILL":      "no script is running",
		"SHUTDOWN":         "there is none to abort",
	}[spec.Name]
}

// lasting is a key with an expiry above the rule's maximum.
const lasting = persistent + 1

// lastingTTL is such an expiry in milliseconds.
const lastingTTL = 200 * 24 * 60 * 60 * 1000

func (s state) String() string { return [...]string{"missing", "volatile", "persistent", "lasting"}[s] }

// statesFor returns the situations that a line is tried in.
func statesFor(spec *command.Spec, line sample) [][]state {
	if len(line.keys) == 0 && spec.Flags&command.Whole == 0 && around[spec.Name] == (session{}) {
		return [][]state{{volatile}}
	}
	list := [][]state{{volatile}, {missing}, {persistent}, {lasting}}
	if len(line.keys) != 1 {
		list = append(list, []state{volatile, missing}, []state{missing, volatile}, []state{lasting, missing},
			[]state{persistent, volatile}, []state{volatile, persistent}, []state{missing, lasting})
	}
	return list
}

// linesOf returns the lines of a row: its samples, or those written down instead; and each that says an expiry once more
// with a far one.
func (b *modesBench) linesOf(spec *command.Spec) (list []sample) {
	if lines, found := instead[spec.Name]; found {
		for _, args := range splitLines(lines) {
			list = append(list, sample{args: args, from: make([]grammar, len(args))})
		}
		return list
	}
	for _, line := range b.samples(spec) {
		list = append(list, line)
		if spec.Expiry.Effect == command.Keeps {
			continue
		}
		for i, g := range line.from {
			if unit := expiries[g.name]; unit > 0 {
				n, _ := strconv.Atoi(line.args[i])
				list = append(list, line.with(i, strconv.Itoa(n+lastingTTL/2/unit)))
			}
		}
	}
	return list
}

// expiries are the names of arguments that say an expiry, and how many milliseconds they count in.
var expiries = map[string]int{
	"seconds": 1000, "unix-time-seconds": 1000, "milliseconds": 1, "unix-time-milliseconds": 1, "ttl": 1,
}

// Rows whose replies depend on the clock.
var (
	remaining = []string{"EXPIRETIME", "PEXPIRETIME", "PTTL", "TTL"}
	idleTimes = []string{"OBJECT IDLETIME", "XINFO CONSUMERS", "XINFO STREAM", "XPENDING"}
)

// Rows whose replies have no order, or one that depends on the server's hash function.
var unordered = []string{"ACL CAT", "ACL LIST", "CONFIG GET", "FUNCTION LIST"}

// Rows whose replies tell of what the server has been through, or of a cursor that depends on its hash function.
var historical = []string{"FUNCTION STATS", "LATENCY HISTOGRAM", "HSCAN", "SCAN", "SSCAN", "ZSCAN"}

// alike compares a reply with the plain server's to the same line.
func (m mode) alike(spec *command.Spec, got, want string) bool {
	ruled := !m.transparent()
	switch {
	case got == want:
		return true
	case got == "" || want == "" || got[0] == '-' || want[0] == '-': // an error is an error, byte for byte
		return false
	case spec.Reply == command.CommandTable && ruled: // what the mode refuses is left out
		return isPart(got, want)
	case slices.Contains(historical, spec.Name) && sortReply(got) != sortReply(want):
		return got[0] == want[0]
	case spec.Flags&command.Volatile != 0:
		return shape(got) == shape(want)
	case spec.Name == "MEMORY USAGE" && m.prefix != "": // names are longer
		return got[0] == want[0]
	case slices.Contains(remaining, spec.Name):
		return within(60_000)(got, want)
	case slices.Contains(idleTimes, spec.Name):
		return withoutIdle(got) == withoutIdle(want)
	case spec.Cats&command.Set != 0, spec.Flags&command.Whole != 0, spec.Reply == command.CommandTable,
		slices.Contains(unordered, spec.Name):
		return sortReply(got) == sortReply(want)
	}
	return withoutClock(got) == withoutClock(want)
}

// shape is what a reply by chance has in common with another: its type, its length if it is an aggregate.
func shape(reply string) string {
	v, err := parse(reply)
	switch {
	case err != nil:
		return "broken"
	case v.null:
		return "null"
	case v.elems != nil:
		return string(v.kind) + strconv.Itoa(len(v.elems))
	}
	return string(v.kind)
}

// isPart reports whether every element of a reply is one of another's, or null where there is one; or, of numbers, whether
// it is not above the other.
func isPart(got, want string) bool {
	g, gotErr := parse(got)
	w, wantErr := parse(want)
	if gotErr != nil || wantErr != nil || g.kind != w.kind {
		return false
	}
	if g.kind == ':' {
		n, _ := strconv.Atoi(g.text)
		most, _ := strconv.Atoi(w.text)
		return n > 0 && n <= most
	}
	all := map[string]bool{}
	for _, e := range w.elems {
		all[e.sorted()] = true
	}
	for _, e := range g.elems {
		if !e.null && !all[e.sorted()] {
			return false
		}
	}
	return len(g.elems) > 0 || len(w.elems) == 0
}

// clockID is a stream entry's ID by the clock, in a reply with its length before it or in JSON.
var clockID = regexp.MustCompile(`(\$1[56]\r\n)?\b1[0-9]{12}-[0-9]+\b`)

func withoutClock(text string) string { return clockID.ReplaceAllString(text, "now") }

// withoutIdle blanks how long ago something was, and when: what follows the words for it, and the times of pending entries.
func withoutIdle(reply string) string {
	v, err := parse(reply)
	if err != nil {
		return reply
	}
	v.blankIdle()
	if v.elems == nil {
		return string(v.kind)
	}
	return withoutClock(v.sorted())
}

func (v value) blankIdle() {
	for i := range v.elems {
		e := &v.elems[i]
		n, err := strconv.Atoi(e.text)
		isTime := e.kind == ':' && err == nil && n > 1e12
		said := i > 0 && slices.Contains([]string{"idle", "inactive", "seen-time", "active-time"}, v.elems[i-1].text)
		pending := i == 2 && len(v.elems) == 4 && e.kind == ':' && v.elems[0].kind == '$' && v.elems[1].kind == '$'
		if isTime || said || pending {
			e.text = "now"
		}
		e.blankIdle()
	}
}
