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

// Every row of the table that the server has does what it does on a plain server: as it is without rules, on the tenant's
// own keys under a namespace, with expiries between the limits under an expiry rule, and under both. Or it is refused,
// where mode.refuses says so. Every sample of the row is run, on keys in every state.
func TestTable_Modes(t *testing.T) { everyRow(t, modes) }

// The same where accesses put expiries back, and where births are kept.
func TestTable_AccessModes(t *testing.T) { everyRow(t, accessModes) }

func everyRow(t *testing.T, modes []mode) {
	t.Parallel()
	for resp := 2; resp <= 3; resp++ {
		t.Run(fmt.Sprintf("RESP%d", resp), func(t *testing.T) {
			t.Parallel()
			b := startModes(t, resp, modes)
			for _, spec := range command.All() {
				if _, known := b.docs[spec.RedisName()]; known {
					t.Run(spec.RedisName(), func(t *testing.T) { b.row(t, spec) })
				}
			}
			t.Run("list of commands", b.listsWhatItAllows)
			t.Logf("%d lines", b.lines)
		})
	}
}

// contestant is a server that lines are run on: a plain one, or a gate in one mode with a server behind it.
type contestant struct {
	mode
	number   int    // its database on the server that keys migrate to
	addr     string // where clients connect
	client   *conn
	behind   *conn // straight to the server
	listener *conn // a client that has subscribed to what samples publish
	stranger *conn // a subscriber outside of the namespace, nil without one
}

// modesBench has all contestants: the plain server first, then a gate for each mode. They run each line at the same time.
type modesBench struct {
	*tableServer
	resp  int
	all   []*contestant
	lines int
}

func startModes(t *testing.T, resp int, modes []mode) *modesBench {
	t.Helper()
	b := &modesBench{tableServer: startTableServer(t), resp: resp}
	maps.Copy(b.texts, modeTexts)
	b.all = []*contestant{{mode: mode{name: "plain"}, addr: b.conn.RemoteAddr().String(), behind: b.conn}}
	for i, m := range modes {
		r := startRedis(t, tableArgs...)
		b.all = append(b.all, &contestant{mode: m, number: i + 1, addr: startGate(t, r.upstream()+m.yaml()).addr, behind: dial(t, r.addr)})
	}
	for _, c := range b.all {
		c.listener = dialRESP(t, c.addr, resp)
		listen(c.listener, "SUBSCRIBE "+published, "SSUBSCRIBE "+published, "PSUBSCRIBE nothing*")
		if c.prefix != "" {
			c.stranger = dialRESP(t, c.behind.RemoteAddr().String(), resp)
			listen(c.stranger, "SUBSCRIBE "+published, "SUBSCRIBE other:"+published, "SSUBSCRIBE "+published)
		}
	}
	return b
}

func listen(c *conn, lines ...string) {
	c.t.Helper()
	for i, reply := range c.pipeline(lines...) {
		if reply[0] == '-' {
			c.t.Fatalf("%s: %s", lines[i], reply)
		}
	}
}

// published is the channel of the samples.
var published = sampleTexts["string"]

// theEnd is a word by which the last reply to some lines is known.
const theEnd = "the:end"

// untilTheEnd has the server say theEnd and returns everything it said before. A server that hangs up said it all.
func (c *conn) untilTheEnd() (replies []string) {
	c.t.Helper()
	for {
		reply := c.read()
		if strings.Contains(reply, theEnd) {
			return replies
		}
		replies = append(replies, reply)
	}
}

// row runs all lines of a row.
func (b *modesBench) row(t *testing.T, spec *command.Spec) {
	for _, c := range b.all {
		c.behind.t, c.listener.t = t, t
		if c.stranger != nil {
			c.stranger.t = t
		}
		c.client = nil
	}
	b.peer.t = t
	r := &rowTest{modesBench: b, t: t, spec: spec, told: map[string]int{}}
	lines := b.linesOf(spec)
	if len(lines) == 0 {
		t.Errorf("%s: no sample", spec.Name)
	}
	for _, line := range lines {
		for _, by := range statesFor(spec, line) {
			b.lines++
			r.compare(line, by)
		}
	}
	if why := onlyErrors(spec); !r.succeeded && why == "" {
		t.Errorf("%s: no sample succeeds on a plain server", spec.Name)
	} else if r.succeeded && why != "" {
		t.Errorf("%s: a sample succeeds, although %s", spec.Name, why)
	}
}

// listsWhatItAllows compares what COMMAND LIST has with what mode.refuses says.
func (b *modesBench) listsWhatItAllows(t *testing.T) {
	for _, c := range b.all[1:] {
		listed := dialRESP(t, c.addr, b.resp).list("COMMAND", "LIST")
		for _, spec := range command.All() {
			if _, known := b.docs[spec.RedisName()]; !known || spec.Flags&command.Container != 0 {
				continue
			}
			got, want := slices.Contains(listed, spec.RedisName()), c.transparent() || !c.refuses(spec)
			if got != want {
				t.Errorf("%s, %s, RESP%d: in COMMAND LIST: %v, want %v", spec.Name, c.name, b.resp, got, want)
			}
		}
	}
}

// transparent reports whether there are neither rules nor a namespace.
func (m mode) transparent() bool { return m.prefix == "" && !m.ruled && !m.access }

// refuses is the law of which rows answer NOPERM in a mode, by what the table says of them.
func (m mode) refuses(spec *command.Spec) bool {
	const server = command.Admin | command.Server
	switch {
	case spec.State == command.Hijack: // replication
		return true
	case spec.Flags&command.Write != 0 && spec.Cats&command.Scripting != 0: // functions, which no rule sees into, are the operator's
		return !m.transparent()
	case m.prefix == "":
		return false
	case spec.Flags&server != 0: // another tenant's too
		_, composed := trueForTenant[spec.Name]
		return !composed
	}
	_, reason := refusedInNamespace[spec.Name]
	return reason
}

// rowTest is the test of one row.
type rowTest struct {
	*modesBench
	t         *testing.T
	spec      *command.Spec
	succeeded bool           // a line did, on the plain server
	told      map[string]int // failures so far, by mode
}

// attempt is one line, with what comes before and after it, on keys in some states.
type attempt struct {
	line          sample
	by            []state
	lines         [][]string // the line, and those before and after it
	stateful      bool       // it may change what the connection is in
	written       map[string]bool
	persists      bool // it asks for an expiry to be removed
	before, after keyspace
	replies       []string
}

// compare runs a line everywhere and holds what comes of it against the plain server.
func (r *rowTest) compare(line sample, by []state) {
	r.t.Helper()
	around := around[r.spec.Name]
	a := attempt{line: line, by: by, lines: append(append(splitLines(around.before), line.args), splitLines(around.after)...)}
	a.stateful = len(a.lines) > 1 || r.spec.State != command.Plain && r.spec.State != command.Blocks
	a.written, a.persists = written(a.lines)

	results := make([]attempt, len(r.all))
	for i, before := range r.plant(line, by) {
		results[i] = a
		results[i].before = before
	}
	r.exchange(results)
	for i, after := range r.keyspaces() {
		results[i].after = after
	}
	plain := &results[0]
	own := plain.replies // the line's own reply, if anything ran
	if n := len(splitLines(around.before)); n < len(own) {
		own = own[n:]
	}
	r.succeeded = r.succeeded || r.spec.State != command.Hijack && (len(own) == 0 || own[0] == "" || own[0][0] != '-')
	for i, c := range r.all[1:] {
		c.judge(r, plain, &results[i+1])
	}
	if r.spec.Cats&command.PubSub != 0 {
		r.hear(line)
	}
}

// fail reports a failure, but not every one of a row that is wrong altogether.
func (r *rowTest) fail(c *contestant, a *attempt, what, got, want string) {
	r.t.Helper()
	const most = 3
	if r.told[c.name]++; r.told[c.name] <= most {
		r.t.Errorf("%s: %s (keys %v), %s, RESP%d: %s\n got %s\nwant %s", r.spec.Name, a.line, a.by, c.name, r.resp, what, got, want)
	}
}

// exchange runs the lines on all contestants at once.
func (r *rowTest) exchange(results []attempt) {
	r.t.Helper()
	for i, c := range r.all {
		a := &results[i]
		if c.client == nil || a.stateful {
			if c.client != nil {
				c.client.Close()
			}
			c.client = dialRESP(r.t, c.addr, r.resp)
		}
		lines := a.lines
		switch {
		case r.spec.State == command.Hijack && i == 0:
			continue // a plain server would begin to replicate
		case c.refuses(r.spec):
			lines = [][]string{a.line.args}
		}
		var raw strings.Builder
		for _, args := range lines {
			raw.WriteString(encode(c.forIt(args)...))
		}
		if a.stateful && !unanswered(r.spec) {
			raw.WriteString(encode("PING", theEnd))
		}
		c.client.send(raw.String())
	}
	for i, c := range r.all {
		switch a := &results[i]; {
		case r.spec.State == command.Hijack && i == 0:
		case a.stateful && !unanswered(r.spec):
			a.replies = c.client.untilTheEnd()
		default:
			a.replies = []string{c.client.read()}
		}
	}
}

// forIt puts into arguments what differs from contestant to contestant.
func (c *contestant) forIt(args []string) []string {
	if i := slices.Index(args, ownDatabase); i >= 0 {
		args = slices.Clone(args)
		args[i] = strconv.Itoa(c.number)
	}
	return args
}

// judge compares a gate's replies and keys with the plain server's.
func (c *contestant) judge(r *rowTest, plain, got *attempt) {
	r.t.Helper()
	if c.prefix != "" {
		c.private(r, got)
	}
	mistake := len(plain.replies) > 0 && isMistake(plain.replies[0])
	if refused := len(got.replies) == 1 && strings.HasPrefix(got.replies[0], "-NOPERM "); c.refuses(r.spec) && (!mistake || refused) {
		name := "'" + r.spec.RedisName() + "'"
		if len(got.replies) != 1 || !strings.HasPrefix(got.replies[0], "-NOPERM ") || !strings.Contains(got.replies[0], name) {
			r.fail(c, got, "reply", shortenAll(got.replies), "-NOPERM ... "+name)
		}
		c.unchanged(r, plain, got)
		return
	}
	if len(got.replies) != len(plain.replies) {
		r.fail(c, got, "replies", shortenAll(got.replies), shortenAll(plain.replies))
	} else {
		for i := range got.replies {
			if !c.alike(r.spec, got.replies[i], plain.replies[i]) {
				r.fail(c, got, "reply", shorten(got.replies[i]), shorten(plain.replies[i]))
			}
		}
	}
	c.sameKeys(r, plain, got)
}

// isMistake reports whether the server didn't take the line for a command at all, which any mode answers in its words.
func isMistake(reply string) bool {
	return strings.HasPrefix(reply, "-ERR wrong number of arguments") || strings.HasPrefix(reply, "-ERR unknown ")
}

// private checks that nothing of the namespace or of what is outside shows in the replies, and that what is outside is as
// it was.
func (c *contestant) private(r *rowTest, got *attempt) {
	r.t.Helper()
	for _, reply := range got.replies {
		for _, secret := range []string{c.prefix, "other:", "stranger", secretText} {
			if strings.Contains(reply, secret) {
				r.fail(c, got, "reply shows "+secret, shorten(reply), "nothing from outside of the namespace")
			}
		}
	}
	was, is := got.before.outside(c.prefix), got.after.outside(c.prefix)
	for at, want := range was {
		if e := is[at]; !e.like(want) || !near(e.ttl, want.ttl) {
			r.fail(c, got, "foreign key "+at, e.String(), want.String())
		}
	}
	for at, e := range is {
		if _, was := was[at]; !was {
			r.fail(c, got, "key outside of the namespace "+at, e.String(), "none")
		}
	}
}

// unchanged checks that a refused line has done nothing.
func (c *contestant) unchanged(r *rowTest, plain, got *attempt) {
	r.t.Helper()
	want, own := plain.before, got.after.inside(c.prefix)
	for at := range allKeys(want, own) {
		if e := own[at]; !e.like(want[at]) || !near(e.ttl, want[at].ttl) {
			r.fail(c, got, "refused, but key "+at, e.String(), want[at].String())
		}
	}
}

// sameKeys compares the tenant's keys with the plain server's after a line.
func (c *contestant) sameKeys(r *rowTest, plain, got *attempt) {
	r.t.Helper()
	chance := r.spec.Flags&command.Volatile != 0 // which elements are left may differ
	own := got.after.inside(c.prefix)
	for at := range allKeys(plain.after, own) {
		e, want := own[at], plain.after[at]
		if chance {
			e.text, want.text = "", ""
		}
		if !e.like(want) {
			r.fail(c, got, "key "+at, e.String(), want.String())
			continue
		}
		if c.access {
			was, is := got.before.inside(c.prefix)[at], own[at]
			same := near(is.ttl, was.ttl) && (is.like(was) || !plain.written[at])
			if !same && r.spec.Flags&command.Whole == 0 && (is.ttl <= 0 || is.ttl > ruleIdle) && is.kind != "" {
				r.fail(c, got, "PTTL of "+at, strconv.Itoa(is.ttl), "idle at most, or what it was")
			}
			continue
		}
		ttls := []int{want.ttl}
		if c.ruled {
			ttls = plain.ruledTTLs(at)
		}
		if !slices.ContainsFunc(ttls, func(ttl int) bool { return near(e.ttl, ttl) }) {
			r.fail(c, got, "PTTL of "+at, strconv.Itoa(e.ttl), fmt.Sprint(ttls))
		}
	}
}

// The limits of expiryRule, in milliseconds.
const (
	ruleDefault = 30 * 60 * 1000
	ruleIdle    = ruleDefault
	ruleMax     = 12 * 60 * 60 * 1000
)

// ruledTTLs says what PTTL may be under the expiry rule, by what has come of the key without: what is within the limits
// stays, and what the line has written is brought there. A line that could have written, but has left the key as it was,
// may do so too.
func (a *attempt) ruledTTLs(at string) []int {
	want, limit := a.after[at].ttl, ruleMax
	if want == none && !a.persists {
		limit = ruleDefault
	}
	was, existed := a.before[at]
	switch changed := !existed || !near(was.ttl, want) || !was.like(a.after[at]); {
	case want > 0 && want <= ruleMax, !a.written[at]:
		return []int{want}
	case changed:
		return []int{limit}
	}
	return []int{want, limit}
}

// hear compares what subscribers have heard.
func (r *rowTest) hear(line sample) {
	r.t.Helper()
	var want []string
	for i, c := range r.all {
		c.listener.send(encode("PING", theEnd))
		heard := c.listener.untilTheEnd()
		if i == 0 {
			want = heard
		}
		a := &attempt{line: line}
		if !slices.Equal(heard, want) {
			r.fail(c, a, "a subscriber hears", shortenAll(heard), shortenAll(want))
		}
		if c.stranger == nil {
			continue
		}
		c.stranger.send(encode("PING", theEnd))
		if heard := c.stranger.untilTheEnd(); len(heard) > 0 {
			r.fail(c, a, "a subscriber outside of the namespace hears", shortenAll(heard), "nothing")
		}
	}
}

func shortenAll(replies []string) string {
	list := make([]string, len(replies))
	for i, reply := range replies {
		list[i] = shorten(reply)
	}
	return strings.Join(list, " ")
}

// written finds the keys that lines leave in a state of their making, as "database/key", by the table; and whether they ask
// for an expiry to be removed.
func written(lines [][]string) (at map[string]bool, persists bool) {
	at = map[string]bool{}
	for _, args := range lines {
		list := make([][]byte, len(args))
		for i, arg := range args {
			list[i] = []byte(arg)
		}
		spec := command.Lookup(list)
		if spec == nil || spec.Names == nil || spec.Expiry.Effect == command.Keeps {
			continue
		}
		persists = persists || spec.Expiry.Effect == command.Removes || slices.Contains(args, "PERSIST")
		refs, _ := spec.Names(list, nil)
		dbs := []string{"0", "1"}
		if e := spec.Expiry.DB; e == command.DBAtTwo || e == command.DBOption && slices.Contains(args, "DB") {
			dbs = []string{sampleTexts["db"]} // they are the same in all samples
		}
		for _, ref := range refs {
			if ref.Kind == command.Out {
				for _, db := range dbs {
					at[db+"/"+args[ref.Arg]] = true
				}
			}
		}
	}
	return at, persists
}

// keyspace is what two databases hold, by "database/key".
type keyspace map[string]entry

// entry is a key's expiry and contents. The zero entry is no key.
type entry struct {
	ttl        int
	kind, text string
	size       int
}

func (e entry) String() string {
	if e.kind == "" {
		return "no key"
	}
	return fmt.Sprintf("%s of %d, PTTL %d: %s", e.kind, e.size, e.ttl, shorten(e.text))
}

// like compares contents.
func (e entry) like(other entry) bool {
	return e.kind == other.kind && e.size == other.size && withoutClock(e.text) == withoutClock(other.text)
}

// inside returns the keys under a prefix, without it.
func (k keyspace) inside(prefix string) keyspace {
	if prefix == "" {
		return k
	}
	own := keyspace{}
	for at, e := range k {
		db, name, _ := strings.Cut(at, "/")
		if bare, found := strings.CutPrefix(name, prefix); found {
			own[db+"/"+bare] = e
		}
	}
	return own
}

// outside returns the keys that are not under a prefix.
func (k keyspace) outside(prefix string) keyspace {
	rest := maps.Clone(k)
	maps.DeleteFunc(rest, func(at string, _ entry) bool {
		_, name, _ := strings.Cut(at, "/")
		return strings.HasPrefix(name, prefix)
	})
	return rest
}

func allKeys(a, b keyspace) map[string]bool {
	all := map[string]bool{}
	for at := range a {
		all[at] = true
	}
	for at := range b {
		all[at] = true
	}
	return all
}

// showAll is a script that shows what two databases hold: of each key its name, expiry, type, size and contents, the latter
// in an order that doesn't depend on the server's hash function, and without how long ago something was.
const showAll = `
local function sorted(list) table.sort(list) return list end
local function stream(key)
  local groups = {}
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    local name, consumers = group[2], {}
    for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', key, name)) do
      table.insert(consumers, {consumer[2], consumer[4]})
    end
    local pending = redis.call('XPENDING', key, name)
    table.insert(groups, {name, group[8], pending[1], pending[2], pending[3], consumers})
  end
  return {redis.call('XRANGE', key, '-', '+'), redis.call('XINFO', 'STREAM', key)[8], groups}
end
local read = {
  string = function(key) return redis.call('GET', key) end,
  list = function(key) return redis.call('LRANGE', key, 0, -1) end,
  set = function(key) return sorted(redis.call('SMEMBERS', key)) end,
  zset = function(key) return redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') end,
  stream = stream,
  hash = function(key)
    local pairs, list = {}, redis.call('HGETALL', key)
    for i = 1, #list, 2 do table.insert(pairs, cjson.encode({list[i], list[i + 1]})) end
    return sorted(pairs)
  end,
}
local shown = {}
for db = 0, 1 do
  redis.call('SELECT', db)
  for _, key in ipairs(redis.call('KEYS', '*')) do
    local kind = redis.call('TYPE', key).ok
    local contents = read[kind](key)
    table.insert(shown, {tostring(db), key, redis.call('PTTL', key), kind, #contents, cjson.encode(contents)})
  end
end
return shown`

// keyspaces shows what all servers hold.
func (r *rowTest) keyspaces() []keyspace {
	r.t.Helper()
	for _, c := range r.all {
		c.behind.send(encode("EVAL", showAll, "0"))
	}
	list := make([]keyspace, len(r.all))
	for i, c := range r.all {
		list[i] = readKeyspace(c.behind)
	}
	return list
}

func readKeyspace(c *conn) keyspace {
	c.t.Helper()
	reply := c.read()
	shown, err := parse(reply)
	if err != nil || shown.elems == nil {
		c.t.Fatalf("showing what the server holds: %s %v", shorten(reply), err)
	}
	k := keyspace{}
	for _, e := range shown.elems {
		ttl, _ := strconv.Atoi(e.elems[2].text)
		size, _ := strconv.Atoi(e.elems[4].text)
		k[e.elems[0].text+"/"+e.elems[1].text] = entry{ttl: ttl, kind: e.elems[3].text, size: size, text: e.elems[5].text}
	}
	return k
}

// secretText is in all values of foreign keys where others have storedText.
const secretText = "16180339"

// foreignTTL is the expiry of foreign keys in milliseconds, unlike all others and above the rule's maximum.
const foreignTTL = 7_777_777_000

// plant empties all servers, makes the line's keys and, where there is a namespace, foreign ones of the same names and of
// another tenant's, and returns what the servers hold then.
func (r *rowTest) plant(line sample, by []state) []keyspace {
	r.t.Helper()
	keys := line.keys
	if len(keys) == 0 {
		keys = []string{"key:1", "key:2"}
	}
	if forks(r.spec) {
		r.rest()
	}
	fixture := fixtureOf(r.spec, r.group(r.spec))
	replies := make([]int, len(r.all))
	for i, c := range r.all {
		cmds := append([]string{"SELECT 0", "FLUSHALL"}, c.fixtures(keys, fixture, by, line)...)
		var raw strings.Builder
		for _, cmd := range cmds {
			raw.WriteString(encode(split(cmd)...))
		}
		extra := 0
		if r.spec.Cats&command.Scripting != 0 {
			raw.WriteString(encode("FUNCTION", "LOAD", "REPLACE", sampleLibrary))
			raw.WriteString(encode("SCRIPT", "LOAD", sampleTexts["EVAL script"]))
			raw.WriteString(encode("SCRIPT", "LOAD", sampleTexts["EVAL_RO script"]))
			extra = 3
		}
		raw.WriteString(encode("EVAL", showAll, "0"))
		c.behind.send(raw.String())
		replies[i] = len(cmds) + extra
	}
	if slices.Contains(line.args, ownDatabase) {
		r.peer.want(ok, "FLUSHALL")
	}
	list := make([]keyspace, len(r.all))
	for i, c := range r.all {
		for range replies[i] {
			if reply := c.behind.read(); reply[0] == '-' {
				r.t.Fatalf("%s: preparing %s: %s", r.spec.Name, line, reply)
			}
		}
		list[i] = readKeyspace(c.behind)
	}
	return list
}

// rest waits until no server has a child process, or one to start.
func (r *rowTest) rest() {
	r.t.Helper()
	for i, c := range r.all {
		eventually(r.t, fmt.Sprintf("server %d saves nothing in the background", i), func() bool {
			info := c.behind.do("INFO", "persistence")
			return !slices.ContainsFunc([]string{"rdb_bgsave_in_progress", "aof_rewrite_in_progress", "aof_rewrite_scheduled"},
				func(field string) bool { return !strings.Contains(info, field+":0\r\n") })
		})
	}
}

// fixtures are the commands that make the keys of a line.
func (c *contestant) fixtures(keys, fixture []string, by []state, line sample) (cmds []string) {
	for i, key := range keys {
		how := by[min(i, len(by)-1)]
		if how == missing {
			continue
		}
		for _, f := range fixture {
			cmds = append(cmds, strings.ReplaceAll(f, "{}", c.prefix+key))
		}
		switch how {
		case volatile:
			cmds = append(cmds, fmt.Sprintf("PEXPIREAT %s %d", c.prefix+key, birthless(ttlOf(i))))
		case lasting:
			cmds = append(cmds, fmt.Sprintf("PEXPIREAT %s %d", c.prefix+key, birthless(lastingTTL)))
		}
	}
	sorts := slices.Contains(line.args, sampleTexts["pattern"])
	if sorts {
		cmds = append(cmds, lookedUp(c.prefix, "2", "1")...)
	}
	if c.prefix == "" {
		return cmds
	}
	for _, db := range []string{"1", "0"} {
		cmds = append(cmds, "SELECT "+db)
		for _, key := range append(slices.Clone(keys), "other:"+keys[0], "stranger") {
			for _, f := range fixture {
				f = strings.ReplaceAll(f, storedText, secretText)
				cmds = append(cmds, strings.ReplaceAll(f, "{}", key))
			}
			cmds = append(cmds, fmt.Sprintf("PEXPIRE %s %d", key, foreignTTL))
		}
	}
	if sorts {
		cmds = append(cmds, lookedUp("", "1", "2")...)
	}
	return cmds
}

// birthless is an expiry in Unix milliseconds, ttl milliseconds away or some less, that tells no birth under the lifetime of
// accessModes (12 hours in 128 codes, with an idle timeout of 30 minutes): one in 468 looks like one, and a key whose life is over is
// gone.
func birthless(ttl int) int64 {
	const codes, step = 128, 342_858
	tells := func(at, grain int64) bool {
		checks, rest := grain/codes, at%grain
		return rest%checks == (7*(rest/checks)+step)%checks
	}
	at := time.Now().UnixMilli() + int64(ttl)
	for tells(at, 60_000) || tells(at, 15_000) { // finer grains count only for what ends sooner than any sample
		at--
	}
	return at
}

// lookedUp makes the keys that SORT looks up by the samples' pattern.
func lookedUp(prefix, first, second string) []string {
	name := func(elem string) string { return prefix + strings.ReplaceAll(sampleTexts["pattern"], "*", elem) }
	return []string{"SET " + name(storedElem) + " " + first, "SET " + name(storedElem2) + " " + second}
}

// splitLines splits lines that are separated by semicolons.
func splitLines(lines string) (list [][]string) {
	for _, line := range strings.Split(lines, ";") {
		if args := split(line); len(args) > 0 {
			list = append(list, args)
		}
	}
	return list
}
