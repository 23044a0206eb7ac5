package integration_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The rule that these tests run under, in milliseconds. A birth is known to a step, an expiry is rounded down to a grain.
const (
	shortIdle, shortLife = 2000, 4000
	shortGrain           = shortIdle / 20
	shortStep            = shortLife/23 + 1
	shortRule            = "rules:\n  - expiry: {idle: 2s, idle_refresh: 0, lifetime: 4s}\n"
)

// aged is what a test knows of a key's birth: that it was between two moments, in Unix milliseconds.
type aged struct{ after, before int64 }

// earlier is the birth of a key that has taken another's place.
func (a aged) earlier(b aged) aged { return aged{min(a.after, b.after), min(a.before, b.before)} }

// Whatever is done to keys, in whatever order, none is there when its lifetime has passed since its first write, and those that
// are used live until then.
func TestLifetime_Property(t *testing.T) {
	t.Parallel()
	for _, seed := range randomSeeds(t) {
		for _, prefix := range []string{"", "app:"} {
			t.Run(fmt.Sprintf("%q/seed %d", prefix, seed), func(t *testing.T) {
				t.Parallel()
				outlive(t, prefix, seed)
			})
		}
	}
}

// A deed is one step of the property test on keys a and b. It may leave b with what a had.
type deed struct {
	lines   string // %a and %b are the keys
	carries bool   // b has taken a's place, if there was an a
	copies  bool   // a is still there
	touches bool   // a's expiry is put back
	rare    bool   // it may delete a key, which must not come to all before their time
}

var deeds = []deed{
	{lines: "SET %a v"}, {lines: "SET %a v EX 1"}, {lines: "SET %a v PX 99999999"}, {lines: "SET %a v NX"}, {lines: "SET %a v XX GET"}, {lines: "SETEX %a 999 v"},
	{lines: "SETNX %a v"}, {lines: "GETSET %a v"}, {lines: "MSET %a v %b v"}, {lines: "SET %a v KEEPTTL", touches: true}, {lines: "SET %a v EX 0"},
	{lines: "APPEND %a v", touches: true}, {lines: "GET %a", touches: true}, {lines: "STRLEN %a", touches: true}, {lines: "GETEX %a", touches: true},
	{lines: "GETEX %a PERSIST"}, {lines: "GETEX %a EX 999"}, {lines: "PERSIST %a"}, {lines: "EXPIRE %a 999"}, {lines: "EXPIRE %a 999 GT"}, {lines: "PEXPIRE %a 1500"},
	{lines: "EXPIREAT %a 4000000000"}, {lines: "HSET %a f v"}, {lines: "BITOP OR %a %b", rare: true}, {lines: "SUNIONSTORE %a %b", rare: true}, {lines: "SORT %b STORE %a", rare: true},
	{lines: "RENAME %a %b", carries: true, rare: true}, {lines: "COPY %a %b REPLACE", carries: true, copies: true}, {lines: "DEL %a", rare: true},
	{lines: "MULTI;SET %a v;EXPIRE %a 999;PERSIST %a;EXEC"}, {lines: "MULTI;APPEND %a v;EXEC", touches: true},
	{lines: "EVAL redis.call('SET',KEYS[1],'v') 1 %a"}, {lines: "EVAL redis.call('SET',KEYS[1],'v','EX',9)redis.call('PERSIST',KEYS[1]) 1 %a"},
	{lines: "EVAL return(redis.call('GET',KEYS[1])) 1 %a", touches: true}, {lines: "EVAL redis.call('EXPIRE',KEYS[1],999) 1 %a"},
}

func outlive(t *testing.T, prefix string, seed uint64) {
	r := startRedis(t)
	g := startGate(t, r.upstream()+"namespace: '"+prefix+"'\n"+shortRule)
	c, behind := dial(t, g.addr), dial(t, r.addr)
	chance := rand.New(rand.NewPCG(seed, 1))
	births := map[string]aged{}
	expiry := func(key string) int64 { return int64(behind.int("PEXPIRETIME", prefix+key)) }
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deaths := 0
	for end := time.Now().Add(2 * shortLife * time.Millisecond); time.Now().Before(end); <-tick.C {
		a, b := strconv.Itoa(chance.IntN(4)), strconv.Itoa(chance.IntN(4))
		if a == b {
			continue
		}
		d := deeds[chance.IntN(len(deeds))]
		if d.rare && chance.IntN(20) > 0 {
			continue
		}
		was := map[string]int64{a: expiry(a), b: expiry(b)}
		from := time.Now().UnixMilli()
		for _, line := range strings.Split(strings.NewReplacer("%a", a, "%b", b).Replace(d.lines), ";") {
			c.line(line)
		}
		now := time.Now().UnixMilli()
		is := map[string]int64{a: expiry(a), b: expiry(b)}
		for _, key := range []string{a, b} {
			if _, known := births[key]; known && was[key] <= now+1 { // it has ended before, or may have meanwhile
				delete(births, key)
				deaths++
			}
		}
		born := births[a]
		if d.carries && was[a] > now+1 && is[b] >= 0 {
			if there, ok := births[b]; ok {
				born = born.earlier(there)
			}
			if births[b] = born; !d.copies {
				delete(births, a)
			}
		}
		for _, key := range []string{a, b} {
			switch birth, known := births[key]; {
			case is[key] == -2:
				delete(births, key)
			case is[key] == -1:
				t.Fatalf("seed %d: after %s (%s, %s) key %s never ends", seed, d.lines, a, b, key)
			case !known:
				births[key] = aged{from, now}
			case is[key] > birth.before+shortLife+1:
				t.Fatalf("seed %d: after %s (%s, %s) key %s ends at %d, was to end at %d, and its lifetime %d", seed, d.lines, a, b, key, is[key], was[key], birth.before+shortLife)
			case is[key] > now+shortIdle+1:
				t.Fatalf("seed %d: after %s (%s, %s) key %s ends in %d ms", seed, d.lines, a, b, key, is[key]-now)
			}
		}
		least := min(from+shortIdle, births[a].after+shortLife-shortStep) - shortGrain
		if d.touches && is[a] >= 0 && was[a] > now+1 && is[a] < least && least > now {
			t.Fatalf("seed %d: after %s (%s, %s) key %s ends %d ms too early, at %d", seed, d.lines, a, b, a, least-is[a], is[a])
		}
	}
	if deaths < 4 {
		t.Errorf("seed %d: %d keys came to their end, want more", seed, deaths)
	}
}

// With redis-cli: a session that is old enough for its next expiry to be its last is brought no further by whatever one may say.
func TestLifetime_Commands(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "app:"} {
		t.Run(prefix, func(t *testing.T) {
			t.Parallel()
			prolong(t, prefix)
		})
	}
}

// prolongings are commands on the key k of a type, which leave its session in k, or in k2.
var prolongings = []struct{ kind, line string }{
	{"SET k v", "SET k v"}, {"SET k v", "SET k v EX 99999"}, {"SET k v", "SET k v PXAT 4000000000000"}, {"SET k v", "GETSET k v"}, {"SET k v", "MSET k v"},
	{"SET k v", "PSETEX k 99999 v"}, {"SET k v", "EXPIRE k 99999"}, {"SET k v", "EXPIREAT k 4000000000"}, {"SET k v", "PERSIST k"}, {"SET k v", "GETEX k PERSIST"},
	{"SET k v", "APPEND k v"}, {"SET k v", "GET k"}, {"SET k v", "RENAME k k2"}, {"SET k v", "COPY k k2"}, {"SET k2 v", "RENAME other k2"}, {"SET k2 v", "COPY other k2 REPLACE"},
	{"HSET k f v", "HSET k f w"}, {"HSET k f v", "HGETALL k"}, {"SADD k v", "SUNIONSTORE k k"}, {"RPUSH k v", "SORT k ALPHA STORE k"}, {"ZADD k 1 v", "ZUNIONSTORE k 1 k"},
	{"RPUSH k v", "LMOVE k k LEFT RIGHT"}, {"XADD k * f v", "XADD k * f v"}, {"PFADD k v", "PFMERGE k k"}, {"SET k v", "BITOP NOT k k"}, {"SETBIT k 1 1", "BITFIELD k SET u8 0 1"},
	{"SET k v", "EVAL redis.call('SET',KEYS[1],'v')return(redis.call('PERSIST',KEYS[1])) 1 k"}, {"SET k v", "EVAL redis.call('SET','k','v','EX',99) 0"},
	{"SET k v", "EVAL redis.call('RENAME','k','k2') 0"}, {"SET k v", "EVAL redis.call('HSET','k2','f','v')redis.call('RENAME','k2','k') 0"},
}

// In this rule, in milliseconds, a session is that old long before it ends.
const (
	prolongIdle, prolongLife = 10_000, 12_000
	prolongRule              = "rules:\n  - expiry: {idle: 10s, lifetime: 12s}\n"
)

func prolong(t *testing.T, prefix string) {
	r := startRedis(t)
	g := startGate(t, r.upstream()+"namespace: '"+prefix+"'\n"+prolongRule)
	c, behind := dial(t, g.addr), dial(t, r.addr)
	const databases = 16 // each line has one to itself
	for first := 0; first < len(prolongings); first += databases {
		batch := prolongings[first:min(first+databases, len(prolongings))]
		behind.want(ok, "FLUSHALL")
		for db, p := range batch {
			c.want(ok, "SELECT", strconv.Itoa(db))
			c.line(p.kind)
		}
		born := time.Now()
		eventually(t, "sessions are old enough", func() bool { return time.Since(born) > (prolongLife-prolongIdle+500)*time.Millisecond })
		for db, p := range batch {
			if prefix != "" && strings.HasSuffix(p.line, " 0") {
				continue // undeclared keys are out of its reach
			}
			c.want(ok, "SELECT", strconv.Itoa(db))
			c.line("SET other v")
			got := say(t, g.addr, append([]string{"-n", strconv.Itoa(db)}, split(p.line)...)...)
			if strings.HasPrefix(got, "ERR") || strings.HasPrefix(got, "WRONG") || strings.HasPrefix(got, "DENIED") {
				t.Errorf("%s: %s", p.line, got)
			}
			behind.want(ok, "SELECT", strconv.Itoa(db))
			for _, key := range []string{"k", "k2"} {
				if e := int64(behind.int("PEXPIRETIME", prefix+key)); e == -1 || e > born.UnixMilli()+prolongLife+1 {
					t.Errorf("%s, then %s: %s ends %d ms after its lifetime", p.kind, p.line, key, e-born.UnixMilli()-prolongLife)
				}
			}
		}
	}
}

// The slow log shows commands that run within scripts of the gate's, and nothing of the namespace.
func TestLifetime_SlowLog(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--slowlog-log-slower-than", "0")
	c := dial(t, startGate(t, r.upstream()+namespaceApp+"rules:\n  - {expiry: {idle: 30m, lifetime: 12h}, size: {value: 64KiB}}\n").addr)
	for _, line := range []string{"SET a v", "APPEND a v", "GETSET a v", "RENAME a b", "GET b"} {
		c.line(line)
	}
	log := c.do("SLOWLOG", "GET", "-1")
	if !strings.Contains(log, "$6\r\nGETSET\r\n") && !strings.Contains(log, "$6\r\nRENAME\r\n") || strings.Contains(log, "app:") {
		t.Errorf("SLOWLOG GET = %q, want the commands without app:", log)
	}
}

// A birth takes no memory: it is in the expiry that the session has anyway.
func TestLifetime_Memory(t *testing.T) {
	t.Parallel()
	const sessions, most = 100_000, 16 // bytes per session
	used := func(rule string) int {
		r := startRedis(t)
		g := startPlainGate(t, r.upstream()+rule)
		c, behind := dial(t, g.addr), dial(t, r.addr)
		before := memory(behind)
		for first := 0; first < sessions; first += 1000 {
			var lines strings.Builder
			for i := first; i < first+1000; i++ {
				lines.WriteString(encode("SET", fmt.Sprintf("sess:%06d", i), strings.Repeat("v", 200)))
			}
			c.send(lines.String())
			for range 1000 {
				if got := c.read(); got != ok {
					t.Fatalf("SET = %s", got)
				}
			}
		}
		behind.want(fmt.Sprintf(":%d\r\n", sessions), "DBSIZE")
		return (memory(behind) - before) / sessions
	}
	without, with := used(expiryRule), used("rules:\n  - expiry: {idle: 30m, lifetime: 12h}\n")
	t.Logf("%d bytes per session, with a lifetime %d", without, with)
	if with-without > most {
		t.Errorf("a session takes %d bytes with a lifetime and %d without, want %d more at most", with, without, most)
	}
}

// memory is what the server uses for its data, in bytes.
func memory(c *conn) int {
	for _, line := range strings.Split(c.do("INFO", "memory"), "\r\n") {
		if n, found := strings.CutPrefix(line, "used_memory:"); found {
			bytes, _ := strconv.Atoi(n)
			return bytes
		}
	}
	c.t.Fatal("INFO memory has no used_memory")
	return 0
}
