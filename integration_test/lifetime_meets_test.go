package integration_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The rule of keepers, in milliseconds: as long as they are used, sessions live as long as that lets them.
const (
	keeperIdle, keeperLife = 3000, 6000
	keeperGrain            = keeperIdle / 20
	keeperStep             = keeperLife/(keeperGrain/4-2) + 1
)

// keepers are commands that write the session %k, or have it go through %x, and leave it in %k. Those of the first list travel in
// scripts of ours where sizes are limited, those of the second are scripts themselves, by each path that a write in them may take;
// of the third list's nobody declares the keys.
var (
	keepers = []string{
		"APPEND %k v", "INCRBYFLOAT %k 1", "HINCRBYFLOAT %k f 1", "BITFIELD %k INCRBY u32 0 1", "PFADD %k a", "SET %k v GET", "SETNX %k v;BITOP NOT %k %k",
		"SETNX %k v;RENAME %k %x;RENAME %x %k", "SETNX %k v;COPY %k %x REPLACE;RENAME %x %k", "SETNX %k v;RENAMENX %k %x;RENAMENX %x %k",
		"MULTI;APPEND %k v;EXEC", "MULTI;SETNX %k v;RENAME %k %x;COPY %x %k;EXEC", "MSET %k v %x v", "MSET %k v %k w",
	}
	keepingScripts = []string{
		"EVAL redis.call('SET',KEYS[1],'v') 1 %k", "EVAL redis.pcall('set',KEYS[1],'v')redis.call('PERSIST',KEYS[1]) 1 %k",
		"EVAL redis.call('HSET',KEYS[1],'f','v') 1 %k", "EVAL redis.call('SETEX',KEYS[1],9999,'v') 1 %k",
		"EVAL redis.call('SETNX',KEYS[1],'v')redis.call('GETEX',KEYS[1],'PERSIST')redis.call('EXPIRE',KEYS[1],999) 1 %k",
		"EVAL redis.call('APPEND',KEYS[1],'v') 1 %k", "EVAL redis.call('INCRBYFLOAT',KEYS[1],1) 1 %k", "EVAL redis.call('MSET',KEYS[1],'v',KEYS[1],'w') 1 %k", "EVAL redis.call('MSET',KEYS[1],'v') 1 %k",
		"EVAL redis.call('SETNX',KEYS[1],'v')redis.call('RENAME',KEYS[1],KEYS[2])redis.call('RENAME',KEYS[2],KEYS[1]) 2 %k %x",
		"EVAL redis.call('SETNX',KEYS[1],'v')redis.call('COPY',KEYS[1],KEYS[2],'REPLACE')redis.call('RENAME',KEYS[2],KEYS[1]) 2 %k %x",
		"EVAL redis.call('SADD',KEYS[1],'v')redis.call('SUNIONSTORE',KEYS[1],KEYS[1]) 1 %k", "EVAL redis.call('SETBIT',KEYS[1],1,1) 1 %k",
		"MULTI;EVAL redis.call('SET',KEYS[1],'v') 1 %k;EXEC",
	}
	undeclared = []string{
		"EVAL redis.call('SET','%k','v') 0", "EVAL redis.call('SET','%k','v','EX',999)redis.call('PERSIST','%k') 0", "EVAL redis.call('APPEND','%k','v') 0",
		"EVAL redis.call('SETNX','%k','v')redis.call('RENAME','%k','%x')redis.call('COPY','%x','%k') 0", "EVAL redis.call('MSET','%k','v') 0",
	}
)

// Whatever may refuse a write within Redis, and whichever way a script writes: a session that is used all the time lives as long as its
// lifetime, and no longer.
func TestLifetime_MeetsGuardsAndScripts(t *testing.T) {
	t.Parallel()
	for name, yaml := range map[string]string{"plain": "", "size": "\n    size: {value: 10000}", "namespace": "\n    size: {value: 10000}"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startRedis(t)
			lines, prefix := append(append([]string(nil), keepers...), keepingScripts...), ""
			head := r.upstream()
			if name == "namespace" {
				head, prefix = "upstream: {url: "+r.url()+", acl: manage}\n"+namespaceApp, "app:"
			} else {
				lines = append(lines, undeclared...)
			}
			g := startGate(t, head+fmt.Sprintf("rules:\n  - expiry: {idle: %dms, idle_refresh: 0, lifetime: %dms}%s\n", keeperIdle, keeperLife, yaml))
			keepAlive(t, dial(t, g.addr), dial(t, r.addr), prefix, lines)
		})
	}
}

// An error of Redis's about a write stays one that a script can catch.
func TestLifetime_ScriptsCatchErrors(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	c := dial(t, startGate(t, "upstream: {url: "+r.url()+", acl: manage}\n"+namespaceApp+"rules:\n  - expiry: {idle: 30m, lifetime: 12h}\n").addr)
	for _, call := range []string{"'SET','foreign','v'", "'MSET','foreign','v'", "'RENAME','app:missing','app:x'", "'SET','app:k'", "'HSET','app:k','f'"} {
		c.want(bulk("caught"), "EVAL", "return redis.pcall("+call+").err and 'caught'", "0")
	}
}

// keepAlive says the lines over and over, each of a session of its own, and looks when those end.
func keepAlive(t *testing.T, c, behind *conn, prefix string, lines []string) {
	births, ends, last := make([]aged, len(lines)), make([]int64, len(lines)), make([]int64, len(lines))
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deaths := make([]int, len(lines))
	for end := time.Now().Add((keeperLife + keeperIdle) * time.Millisecond); time.Now().Before(end); <-tick.C {
		for i, line := range lines {
			key := "k" + strconv.Itoa(i)
			from := time.Now().UnixMilli()
			for _, part := range strings.Split(strings.NewReplacer("%k", key, "%x", "x"+strconv.Itoa(i)).Replace(line), ";") {
				if got := c.line(part); got[0] == '-' && got != "-ERR no such key\r\n" { // it may end meanwhile
					t.Fatalf("%s: %s", part, got)
				}
			}
			now := time.Now().UnixMilli()
			e := int64(behind.int("PEXPIRETIME", prefix+key))
			birth := births[i]
			known := birth != (aged{})
			oldest := birth.after + keeperLife - keeperStep - 2*keeperGrain
			if known && (e == -2 || ends[i] <= now+1) {
				deaths[i]++
				births[i] = aged{}
			}
			switch {
			case e == -1 || e == -2 && now < oldest:
				t.Fatalf("after %s the session ends at %d", line, e)
			case ends[i] < from-1: // the one before has ended, if there was one
				if early := oldest - ends[i]; known && early > 0 && from-last[i] < keeperIdle/2 && strings.Contains(line, " %k") {
					t.Errorf("%s: the session ended %d ms too early", line, early) // keys that nobody declares are not accessed
				}
				if e > 0 {
					births[i] = aged{from, now}
				}
			case births[i] == (aged{}): // it may be either
			case e > birth.before+keeperLife+1:
				t.Fatalf("after %s the session ends %d ms after its lifetime", line, e-birth.before-keeperLife)
			case e > now+keeperIdle+1:
				t.Fatalf("after %s the session ends in %d ms", line, e-now)
			}
			ends[i], last[i] = e, now
		}
	}
	for i, n := range deaths {
		if n == 0 {
			t.Errorf("%s: no session has come to its end", lines[i])
		}
	}
}

// A write that is refused within Redis, or fails, changes no expiry; one that is carried out puts it back.
func TestIdle_MeetsGuards(t *testing.T) {
	t.Parallel()
	for name, life := range map[string]string{"idle": "", "lifetime": ", lifetime: 12h"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startRedis(t)
			g := startGate(t, r.upstream()+"rules:\n  - expiry: {idle: 30m, idle_refresh: 0"+life+"}\n    size: {value: 8}\n")
			c, behind := dial(t, g.addr), dial(t, r.addr)
			for _, write := range []struct {
				line, want string
				ttl        int // of k, 50 before
			}{
				{"APPEND k 123456789", "-DENIED size", 50}, {"APPEND k 1234", "-DENIED size", 50}, {"APPEND k 1", ":6", 1800}, {"APPEND h 1", "-WRONGTYPE", 50},
				{"INCRBYFLOAT k x", "-ERR", 50}, {"INCRBYFLOAT n 0.0000001", "-DENIED size", 50}, {"INCRBYFLOAT n 1", "$1", 1800},
				{"HINCRBYFLOAT h f 0.0000001", "-DENIED size", 50}, {"HINCRBYFLOAT h f 1", "$1", 1800},
				{"RENAME big k", "-DENIED size", 50}, {"COPY big k REPLACE", "-DENIED size", 50}, {"RENAME missing k", "-ERR", 50}, {"RENAMENX big k", "-DENIED size", 50},
				{"SET big v GET", "-DENIED size", 50}, {"GETSET big v", "-DENIED size", 50}, {"BITOP OR k k big", "-DENIED size", 50},
				{"MULTI;APPEND k 1234;EXEC", "*1\r\n-DENIED size", 50}, {"MULTI;RENAME big k;EXEC", "*1\r\n-DENIED size", 50}, {"MULTI;APPEND k 1;EXEC", "*1\r\n:6", 1800},
			} {
				behind.want(ok, "FLUSHALL")
				behind.want(ok, "MSET", "k", "12345", "n", "1", "big", "123456789")
				behind.want(one, "HSET", "h", "f", "1")
				keys := []string{"k", "n", "h"}
				for _, key := range keys {
					behind.want(one, "EXPIRE", key, "50")
				}
				got := ""
				for _, part := range strings.Split(write.line, ";") {
					got = c.line(part)
				}
				if !strings.HasPrefix(got, write.want) {
					t.Errorf("%s: %s, want %s", write.line, got, write.want)
				}
				for _, key := range keys {
					want := 50
					if strings.Contains(write.line, " "+key+" ") {
						want = write.ttl
					}
					if ttl := behind.int("TTL", key); ttl > want || ttl < want-want/20-6 {
						t.Errorf("after %s key %s expires in %d s, want %d", write.line, key, ttl, want)
					}
				}
			}
		})
	}
}

// A key that is copied to another database is checked, and bounded there, in the step in which it is carried.
func TestLifetime_CopyToAnotherDatabase(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"rules:\n  - expiry: {max: 30m, lifetime: 12h}\n    size: {value: 8}\n")
	c, behind := dial(t, g.addr), dial(t, r.addr)
	behind.want(ok, "MSET", "k", "v", "big", "123456789")
	c.want(one, "COPY", "k", "k", "DB", "3")
	c.wantPrefix("-DENIED size", "COPY big big DB 3")
	c.wantPrefix("-DENIED size", "COPY big k DB 3 REPLACE")
	c.want(bulk("v"), "GET", "k")
	c.want(zero, "EXISTS", "new")
	behind.want(ok, "SELECT", "3")
	behind.want(one, "DBSIZE")
	if ttl := behind.int("TTL", "k"); ttl < 1600 || ttl > 1800 {
		t.Errorf("the copy expires in %d s", ttl)
	}
}

// Which expiries were put back of late is known of one upstream, not of another in which keys have the same names; nor of another
// tenant's keys.
func TestTenants_Idle(t *testing.T) {
	t.Parallel()
	one, two := startRedis(t), startRedis(t)
	addrs := []string{loopback(freePort(t)), loopback(freePort(t)), loopback(freePort(t))}
	rules := "rules: [{expiry: {idle: 30m, idle_refresh: 50%}}]}\n"
	g := startGate(t, one.upstream()+fmt.Sprintf("tenants:\n- {name: a, listen: '%s', namespace: 'a:', %s- {name: b, listen: '%s', namespace: 'a:', upstream: '%s', %s- {name: c, listen: '%s', namespace: 'c:', %s",
		addrs[0], rules, addrs[1], two.url(), rules, addrs[2], rules))
	for i, key := range []struct {
		r    *redisServer
		name string
	}{{one, "a:s"}, {two, "a:s"}, {one, "c:s"}} {
		g.waitFor(t, "tcp", addrs[i])
		c, behind := dial(t, addrs[i]), dial(t, key.r.addr)
		behind.want(ok, "SET", key.name, "v", "EX", "50")
		c.want(bulk("v"), "GET", "s")
		wantTTL(t, behind, key.name, 1800)
		behind.want(":1\r\n", "EXPIRE", key.name, "50")
		c.want(bulk("v"), "GET", "s") // just now it was put back
		wantTTL(t, behind, key.name, 50)
	}
}

// What a transaction does in a database that it selects is known of that database, though nobody knows beforehand whether it gets there.
func TestIdle_SelectInTransaction(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"rules:\n  - expiry: {idle: 30m, idle_refresh: 50%}\n")
	c, there, behind := dial(t, g.addr), dial(t, g.addr), dial(t, r.addr)
	for _, each := range []*conn{there, behind} {
		each.want(ok, "SELECT", "1")
	}
	there.want(ok, "SET", "s", "v")
	there.want(bulk("v"), "GET", "s")
	for _, line := range []string{"MULTI", "SELECT 1", "EXPIRE s 50", "EXEC"} {
		c.line(line)
	}
	wantTTL(t, behind, "s", 50)
	there.want(bulk("v"), "GET", "s")
	wantTTL(t, behind, "s", 1800)
}

// One read may be of keys under several rules, whose expiries are put back by a script and by commands.
func TestIdle_RulesBesideEachOther(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"rules:\n  - {keys: [\"life*\"], expiry: {idle: 30m, lifetime: 12h}}\n  - {keys: [\"idle*\"], expiry: {idle: 30m}}\n")
	c, behind := dial(t, g.addr), dial(t, r.addr)
	for i, line := range []string{"MGET life1 life2 idle1 idle2", "MGET idle1 life1 idle2 life2", "MGET idle1 life1 missing", "BITCOUNT life1", "SUNION idle1 life1"} {
		number := strings.NewReplacer("1", strconv.Itoa(10+i), "2", strconv.Itoa(20+i)) // keys that nobody has heard of
		line = number.Replace(line)
		behind.want(ok, split(number.Replace("MSET life1 v life2 v idle1 v idle2 v"))...)
		for range 2 {
			if got := c.line(line); strings.HasPrefix(got, "-ERR") {
				t.Errorf("%s: %s", line, got)
			}
		}
		for _, key := range split(line)[1:] {
			if ttl := behind.int("TTL", key); key != "missing" && (ttl < 1700 || ttl > 1800) {
				t.Errorf("after %s %s expires in %d s", line, key, ttl)
			}
		}
		c.want("+PONG\r\n", "PING")
	}
}

// Reads and writes of one that tracks leave its watch alone.
func TestWatch_MeetsIdle(t *testing.T) {
	t.Parallel()
	for name, rules := range map[string]string{
		"idle": "{idle: 30m, idle_refresh: 0}", "lifetime": "{idle: 30m, idle_refresh: 0, lifetime: 12h}",
	} {
		for _, tracking := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, tracking %v", name, tracking), func(t *testing.T) {
				t.Parallel()
				r := startRedis(t)
				g := startGate(t, r.upstream()+"rules:\n  - expiry: "+rules+"\n    size: {value: 100}\n")
				c, behind := dial3(t, g.addr), dial(t, r.addr)
				for _, changed := range []bool{false, true} {
					behind.want(ok, "MSET", "k", "v", "other", "v", "third", "v")
					if tracking {
						c.wantAny("CLIENT TRACKING ON")
					}
					c.wantReply(ok, "WATCH k")
					c.wantReply(bulk("v"), "GET k")
					c.wantReply(one, "STRLEN other")
					c.wantReply(bulk("v"), "GETEX other")
					c.wantReply(":2\r\n", "APPEND other w")
					c.wantReply(ok, "RENAME third fourth")
					c.wantReply(ok, "SET third v")
					if changed {
						behind.want(ok, "SET", "k", "theirs")
					}
					c.wantReply(ok, "MULTI")
					c.wantReply("+QUEUED\r\n", "GET k")
					c.wantReply("+QUEUED\r\n", "APPEND k w")
					want := "*2\r\n" + bulk("v") + ":2\r\n"
					if changed {
						want = "_\r\n"
					}
					c.wantReply(want, "EXEC")
				}
			})
		}
	}
}

// The longest commands that travel in scripts fit into them.
func TestLifetime_LongCommands(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"rules:\n  - {expiry: {idle: 30m, lifetime: 12h}, size: {value: 1KiB}}\n")
	c, behind := dial(t, g.addr), dial(t, r.addr)
	mset, bitop := []string{"MSET"}, []string{"BITOP", "OR", "d"}
	for i := range 3749 {
		mset = append(mset, "k"+strconv.Itoa(i), "v")
		bitop = append(bitop, "k"+strconv.Itoa(i), "k"+strconv.Itoa(i))
	}
	bitop = bitop[:7500]
	c.want(ok, mset...)
	c.want(one, bitop...)
	for _, key := range []string{"k0", "k3748", "d"} {
		if ttl := behind.int("TTL", key); ttl < 1700 || ttl > 1800 {
			t.Errorf("%s expires in %d s", key, ttl)
		}
	}
	c.wantPrefix("-DENIED ", "BITOP OR "+strings.Join(append(bitop[2:], "x"), " "))
}

// What audit cuts tells of its birth what it told before.
func TestAudit_Lifetime(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	c := dial(t, r.addr)
	g := startGate(t, r.upstream()+"rules:\n  - expiry: {max: 2h, lifetime: 12h}\n")
	c2 := dial(t, g.addr)
	c2.want(ok, "SET", "s", "v")
	c.want(ok, "SET", "never", "v")
	was := c.int("PEXPIRETIME", "s")
	file := writeFile(t, "sessiongate.yaml", r.upstream()+"rules:\n  - expiry: {max: 1h, lifetime: 12h}\n")
	if a := audit(t, file, 1, "--fix"); a.Findings != 3 || a.Rules[0].Found["no_birth"] != 1 || a.Fixed != 2 {
		t.Errorf("audit says %+v", a)
	}
	if cut := was - c.int("PEXPIRETIME", "s"); cut < 3_500_000 || cut > 3_700_000 || cut%60_000 != 0 {
		t.Errorf("an expiry was cut by %d ms, want an hour in whole minutes", cut)
	}
	wantTTL(t, c, "never", 3600)
}
