package integration_test

import (
	"fmt"
	"strings"
	"testing"
)

// wantTTL checks the expiry of a key in seconds, give or take the time a test takes.
func wantTTL(t testing.TB, behind *conn, key string, want int) {
	t.Helper()
	if got := behind.int("TTL", key); got > want+1 || got < want-5 {
		t.Errorf("%s expires in %d s, want %d", key, got, want)
	}
}

func TestRules_Min(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	c, behind := dial(t, startGate(t, r.upstream()+"rules:\n  - expiry: {default: 30m, min: 1m, max: 12h}\n").addr), dial(t, r.addr)
	for _, line := range []string{
		"SET a v EX 5", "SETEX b 5 v", "PSETEX c 5000 v", "SET d v PX 1", "SET n v NX EX 5",
	} {
		c.wantLine(ok, line)
	}
	c.wantLine(ok, "SET e v")
	c.wantLine(one, "EXPIRE e 5")
	c.wantLine(ok, "SET f v")
	c.wantLine(one, "PEXPIRE f 5000")
	c.wantLine(ok, "SET g v")
	c.wantLine(bulk("v"), "GETEX g EX 5")
	for _, key := range []string{"a", "b", "c", "d", "n", "e", "f", "g"} {
		wantTTL(t, behind, key, 60)
	}
	// A deletion stays one, and an error stays one.
	c.wantLine(one, "EXPIRE a 0")
	c.wantLine(one, "EXPIRE b -1")
	c.wantLine(one, "EXPIREAT c 1")
	c.wantLine(one, "PEXPIREAT d 1")
	c.wantLine(":0\r\n", "EXISTS a b c d")
	c.wantPrefix("-ERR invalid expire time", "SETEX e 0 v")
	c.wantPrefix("-ERR invalid expire time", "SET e v EX -1")
}

func TestRules_OverRefuse(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	c, behind := dial(t, startGate(t, r.upstream()+"rules:\n  - name: web\n    expiry: {default: 30m, max: 12h, over: refuse}\n").addr), dial(t, r.addr)
	c.wantLine(ok, "SET a v EX 100")
	for _, line := range []string{
		"SET a w EX 99999", "SETEX a 99999 w", "PSETEX a 99999000 w", "SET new w PX 99999000", "SET a w EXAT 4000000000", "SET a w PXAT 4000000000000",
		"EXPIRE a 99999", "PEXPIRE a 99999000", "EXPIREAT a 4000000000", "PEXPIREAT a 4000000000000", "GETEX a EX 99999", "GETEX a EXAT 4000000000",
	} {
		got := c.line(line)
		if !strings.HasPrefix(got, "-DENIED expiry: ") || !strings.Contains(got, "43200") || !strings.Contains(got, `(rule "web")`) {
			t.Errorf("%s = %s, want a refusal that names rule and limit", line, shorten(got))
		}
	}
	c.wantLine(bulk("v"), "GET a")
	wantTTL(t, behind, "a", 100)
	behind.want(":1\r\n", "DBSIZE")
	c.wantLine(ok, "SET b v EX 43200")
	wantTTL(t, behind, "b", 43200)
	c.wantLine(ok, "SET c v")
	wantTTL(t, behind, "c", 1800)
}

// A key belongs to the first rule that matches the name which the client uses.
func TestRules_FirstMatch(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	c, behind := dial(t, startGate(t, r.upstream()+namespaceApp+`rules:
  - keys: ["*_LOCK"]
    expiry: {max: 1m}
  - name: sessions
    keys: ["sess:*", "s[0-9]"]
    expiry: {default: 30m, max: 12h}
    size: {value: 10}
`).addr), dial(t, r.addr)
	c.wantLine(ok, "MSET sess:1 v s1 v sess:1_LOCK v other v app:sess:2 v")
	wantTTL(t, behind, "app:sess:1", 1800)
	wantTTL(t, behind, "app:s1", 1800)
	wantTTL(t, behind, "app:sess:1_LOCK", 60)
	behind.want(":-1\r\n", "TTL", "app:other")
	behind.want(":-1\r\n", "TTL", "app:app:sess:2")
	c.wantLine(ok, "SET other 01234567890123456789")
	c.want("-DENIED size: value of 20 bytes is above the limit of 10 (rule \"sessions\")\r\n", "SET", "sess:1", "01234567890123456789")
	c.wantLine(ok, "SET other v EX 999999")
	wantTTL(t, behind, "app:other", 999999)

	// Moving from one rule's names to another's puts the key under the other's rule.
	c.wantLine(ok, "RENAME other sess:3")
	wantTTL(t, behind, "app:sess:3", 43200)
	c.wantLine(one, "COPY sess:3 x_LOCK")
	wantTTL(t, behind, "app:x_LOCK", 60)
}

func TestRules_Commands(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	noperm := func(c *conn, line, name string) {
		t.Helper()
		got := c.line(line)
		if !strings.HasPrefix(got, "-NOPERM ") || !strings.Contains(strings.ToLower(got), "'"+name+"'") {
			t.Errorf("%s = %s, want NOPERM that names %s", line, shorten(got), name)
		}
	}
	t.Run("deny", func(t *testing.T) {
		c := dial(t, startGate(t, r.upstream()+"rules:\n  - commands: {deny: [FLUSHALL, keys, \"@dangerous\"]}\n").addr)
		noperm(c, "FLUSHALL", "flushall")
		noperm(c, "KEYS *", "keys")
		noperm(c, "flushdb", "flushdb")
		c.wantLine(ok, "SET a v")
		c.wantLine(bulk("v"), "GET a")
		c.wantLine(pong, "PING")
	})
	t.Run("allow", func(t *testing.T) {
		c := dial(t, startGate(t, r.upstream()+"rules:\n  - commands: {allow: [GET, SET, DEL, EXPIRE]}\n").addr)
		c.wantLine(ok, "SET a v")
		c.wantLine(bulk("v"), "GET a")
		c.wantLine(one, "EXPIRE a 100")
		noperm(c, "APPEND a v", "append")
		noperm(c, "MGET a", "mget")
		c.wantLine(one, "DEL a")
		c.wantLine(pong, "PING") // a connection's own commands always work
		c.wantPrefix("+OK", "CLIENT SETNAME x")
	})
	t.Run("pipelined", func(t *testing.T) {
		c := dial(t, startGate(t, r.upstream()+"rules:\n  - commands: {deny: [APPEND]}\n").addr)
		got := c.pipeline("SET a v", "APPEND a w", "GET a", "APPEND a w", "PING")
		if got[0] != ok || !strings.HasPrefix(got[1], "-NOPERM") || got[2] != bulk("v") || !strings.HasPrefix(got[3], "-NOPERM") || got[4] != pong {
			t.Errorf("got %q", got)
		}
	})
}

// The traps of session clients that write in two steps: SET clears what an earlier EXPIRE gave.
func TestRules_TwoSteps(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	c, behind := dial(t, startGate(t, r.upstream()+expiryRule).addr), dial(t, r.addr)
	// Odoo: SET, then EXPIRE, the number of which tells users from visitors.
	c.wantLine(ok, "SET session:1 v")
	wantTTL(t, behind, "session:1", 1800)
	c.wantLine(one, "EXPIRE session:1 10800")
	wantTTL(t, behind, "session:1", 10800)
	c.wantLine(one, "EXPIRE session:1 604800")
	wantTTL(t, behind, "session:1", 43200)
	c.wantLine(ok, "SET session:1 v")
	wantTTL(t, behind, "session:1", 1800)
	// Django: PERSIST for a session without end.
	c.wantLine(one, "PERSIST session:1")
	wantTTL(t, behind, "session:1", 43200)
	// phpredis: a lock without an expiry.
	c.wantLine(ok, "SET session:1_LOCK secret NX")
	wantTTL(t, behind, "session:1_LOCK", 1800)
	// EXPIRE before the write, then the write.
	c.wantLine(zero, "EXPIRE late 100")
	c.wantLine(one, "APPEND late v")
	wantTTL(t, behind, "late", 1800)
	// connect-redis: a cookie that is already over.
	c.wantLine(one, "EXPIRE session:1 -10")
	c.wantLine(zero, "EXISTS session:1")
}

// Before all of Redis is governed: what isn't is refused as if it didn't exist, or governed; never passed on as it is.
func TestRules_NothingUngoverned(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	c, behind := dial(t, startGate(t, r.upstream()+namespaceApp+expiryRule).addr), dial(t, r.addr)
	for _, line := range []string{
		"FOO bar", "HSET h f v", "RPUSH l v", "SADD s m", "ZADD z 1 m", "XADD x * f v", "PFADD p v", "GEOADD g 1 1 m",
		"HINCRBY h n 1", "EVAL \"return redis.call('SET',KEYS[1],'v')\" 1 k", "XGROUP CREATE x g $ MKSTREAM", "SUNIONSTORE d s s2",
		"DEBUG SET-ACTIVE-EXPIRE 0", "SWAPDB 0 1", "MIGRATE 127.0.0.1 1 k 0 10", "CONFIG SET maxmemory 1", "REPLICAOF 127.0.0.1 1",
	} {
		got := c.line(line)
		for _, key := range behind.list("KEYS", "*") {
			if !strings.HasPrefix(key, "app:") {
				t.Errorf("%s leaves %s upstream, outside the namespace", line, key)
			}
			if ttl := behind.int("TTL", key); ttl < 1 || ttl > 43200 {
				t.Errorf("%s leaves %s upstream with an expiry of %d", line, key, ttl)
			}
		}
		if strings.HasPrefix(got, "-") && !strings.Contains(strings.ToUpper(got), split(line)[0]) {
			t.Errorf("%s = %s, want an error that names the command", line, shorten(got))
		}
	}
	c.want("-ERR unknown command 'FOO', with args beginning with: 'bar' \r\n", "FOO", "bar")
	behind.wantPrefix("*2\r\n$9\r\nmaxmemory\r\n$1\r\n0", "CONFIG GET maxmemory")
}

// A command on keys goes by the rules of its keys, even where it needs a connection of its own, and by the rule for commands without
// keys only if it has none.
func TestRules_CommandsOfKeys(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	const denyRest = "rules:\n  - {name: web, keys: ['sess:*'], commands: {allow: ['@all']}}\n  - {name: rest, commands: {deny: [blpop, blmove, watch, xread, subscribe]}}\n"
	const denyWeb = "rules:\n  - {name: web, keys: ['sess:*'], commands: {deny: [blpop, blmove, watch, xread, subscribe]}}\n  - {name: rest, commands: {allow: ['@all']}}\n"
	for _, rules := range []string{denyRest, denyWeb} {
		for _, space := range []string{"", namespaceApp} {
			c := dial(t, startGate(t, r.upstream()+space+rules).addr)
			allowed, denied, rule := "sess:", "", "rest"
			if rules == denyWeb {
				allowed, denied, rule = "", "sess:", "web"
			}
			for _, line := range []string{"BLPOP $q 0.01", "BLMOVE $q $p LEFT LEFT 0.01", "XREAD BLOCK 1 STREAMS $x 0", "XREAD STREAMS $x 0", "WATCH $w"} {
				name := strings.ToLower(split(line)[0])
				wanted := fmt.Sprintf("-NOPERM this rule does not allow the '%s' command (rule \"%s\")\r\n", name, rule)
				if got := c.line(strings.ReplaceAll(line, "$", allowed)); strings.HasPrefix(got, "-") {
					t.Errorf("%s of %q: %s", line, allowed, shorten(got))
				}
				c.wantLine(wanted, strings.ReplaceAll(line, "$", denied))
				if name == "watch" {
					c.wantLine(ok, "UNWATCH")
					continue
				}
				mixed := strings.Replace(strings.Replace(line, "$", allowed, 1), "$", denied, 1)
				if strings.Count(line, "$") > 1 {
					c.wantLine(wanted, mixed)
				}
				c.wantLine(ok, "MULTI")
				c.wantLine("+QUEUED\r\n", strings.ReplaceAll(line, "$", allowed))
				c.wantPrefix("*1\r\n", "EXEC")
				c.wantLine(ok, "MULTI")
				c.wantLine(wanted, strings.ReplaceAll(line, "$", denied))
				c.wantPrefix("-EXECABORT", "EXEC")
			}
			if rules == denyRest { // a channel is no key
				c.wantPrefix("-NOPERM", "SUBSCRIBE sess:q")
				c.wantPrefix("-NOPERM", "SUBSCRIBE q")
			} else {
				c.wantPrefix("*3\r\n$9\r\nsubscribe", "SUBSCRIBE sess:q")
			}
		}
	}
}
