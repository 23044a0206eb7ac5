package integration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The first word of a script can't go on where what stands before it ends: a script that a plain server takes is taken, one that it
// doesn't compile is not, and neither gets at what the rules hide.
func TestScript_FirstWord(t *testing.T) {
	t.Parallel()
	for _, expiry := range escapeExpiries {
		t.Run(expiry, func(t *testing.T) {
			t.Parallel()
			firstWords(t, expiry)
		})
	}
}

// escapeExpiries are expiry rules with which what stands before a script differs.
var escapeExpiries = []string{"default: 30m, max: 12h", "default: 30m, max: 12h, lifetime: 24h"}

func firstWords(t *testing.T, expiry string) {
	reference := startRedis(t)
	r := startRedis(t)
	g := startGate(t, r.upstream()+"rules:\n  - {expiry: {"+expiry+"}, size: {value: 1KiB}}\n")
	plain, c, direct := dial(t, reference.addr), dial(t, g.addr), dial(t, r.addr)
	for _, first := range []string{"", ",", "(function() end)()", ".x", "[1]", ":x()", "{}", "'x'", "and nil", "or nil", "..''", "==1", "+1", ";", ", nil",
		"= 1", "end", ")", "--[[", "#!lua flags=no-writes\n,", "--", "do end"} {
		body := first + " return server == nil and redis.call('SET', 'leak', string.rep('x', 100)) or server.call('SET', 'leak', string.rep('x', 5000))"
		want, got := plain.do("EVAL", body, "0"), c.do("EVAL", body, "0")
		if compiles := !strings.Contains(want, "Error compiling"); compiles == strings.Contains(got, "Error compiling") {
			t.Errorf("%q: got %q, a plain server says %q", first, got, want)
		}
		if direct.int("EXISTS", "leak") == 1 && (direct.int("TTL", "leak") < 0 || direct.int("STRLEN", "leak") > 1024) {
			t.Errorf("%q: the key has TTL %d and %d bytes", first, direct.int("TTL", "leak"), direct.int("STRLEN", "leak"))
		}
		plain.do("DEL", "leak")
		direct.do("DEL", "leak")
	}
}

// What a script is refused has changed nothing.
func TestScript_RefusedChangesNothing(t *testing.T) {
	t.Parallel()
	for _, expiry := range escapeExpiries {
		t.Run(expiry, func(t *testing.T) {
			t.Parallel()
			refusedScripts(t, expiry)
		})
	}
}

func refusedScripts(t *testing.T, expiry string) {
	r := startRedis(t)
	g := startGate(t, r.upstream()+"rules:\n  - {expiry: {"+expiry+"}, size: {value: 1KiB}}\n")
	c, direct := dial(t, g.addr), dial(t, r.addr)
	direct.want(ok, "SET", "big", strings.Repeat("x", 5000), "EX", "5000")
	dump, _ := parse(direct.do("DUMP", "big"))
	for _, call := range []string{
		"'RENAME', 'big', 'str'", "'RENAME', 'big', 'list'", "'COPY', 'big', 'list', 'REPLACE'", "'COPY', 'big', 'str', 'REPLACE'", "'COPY', 'big', 'new'",
		"'RESTORE', 'str', 50, ARGV[1], 'REPLACE'", "'RESTORE', 'new', 50, ARGV[1]", "'APPEND', 'str', ARGV[2]", "'append', 'new', ARGV[2]",
		"'SETRANGE', 'str', 2000, 'x'", "'SETRANGE', 'new', 2000, 'x'", "'SETBIT', 'str', 20000, 1", "'BITOP', 'OR', 'str', 'big'", "'BITOP', 'NOT', 'list', 'big'",
		"'BITFIELD', 'str', 'SET', 'u8', '#3000', 1", "'SET', 'str', ARGV[2]", "'LSET', 'list', 0, ARGV[2]", "'LPUSHX', 'list', ARGV[2]", "'LINSERT', 'list', 'AFTER', 'e', ARGV[2]",
		"'GETSET', 'str', ARGV[2]", "'MSET', 'new', 'v', 'str', ARGV[2]",
		"'COPY', 'str', 'new', 'DB', 5", "'COPY', 'str', 'new', 'db\\0', 5", "'MOVE', 'str', 5", "'move', 'str', 5",
	} {
		direct.pipeline("DEL str list new", "SET str old EX 1000", "RPUSH list e f", "EXPIRE list 2000")
		before := fmt.Sprint(direct.pipeline("GET str", "LRANGE list 0 -1", "EXISTS new", "STRLEN big"))
		got := c.do("EVAL", "return redis.call("+call+")", "0", dump.text, strings.Repeat("y", 2000))
		if !strings.HasPrefix(got, "-DENIED ") {
			t.Errorf("%s = %q", call, got)
		}
		after := fmt.Sprint(direct.pipeline("GET str", "LRANGE list 0 -1", "EXISTS new", "STRLEN big"))
		if before != after {
			t.Errorf("%s: there was %q, there is %q", call, before, after)
		}
		for key, want := range map[string]int{"str": 1000, "list": 2000, "big": 5000} {
			if ttl := direct.int("TTL", key); ttl < want-60 || ttl > want {
				t.Errorf("%s: TTL of %s is %d, was %d", call, key, ttl, want)
			}
		}
	}
	direct.want(ok, "SELECT", "5")
	direct.want(zero, "DBSIZE")
}

// Where the upstream says nothing about keys, a script writes only by commands whose keys are known without.
func TestScript_WithoutCommand(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	direct := dial(t, r.addr)
	direct.want(ok, "ACL", "SETUSER", "default", "on", "nopass", "~*", "&*", "+@all", "-command")
	g := startGate(t, r.upstream()+expiryRule)
	c := dial(t, g.addr)
	c.want(ok, "EVAL", "return redis.call('SET', 'known', 'v')", "0")
	c.want(":1800\r\n", "TTL", "known")
	if got := c.do("EVAL", "return redis.call('SUNIONSTORE', 'unknown', 'a')", "0"); got[0] != '-' {
		t.Errorf("SUNIONSTORE = %q", got)
	}
	if got := c.do("EVAL", "return redis.call('XADD', 'unknown', '*', 'f', 'v')", "0"); got[0] != '-' {
		t.Errorf("XADD = %q", got)
	}
	c.want(zero, "EXISTS", "unknown")
}

// Making sure of the wall touches nobody's data, whatever is wrong with it.
func TestScript_WallCheckTouchesNothing(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	direct, listener := dial(t, r.addr), dial(t, r.addr)
	listener.do("PSUBSCRIBE", "*")
	direct.want(ok, "ACL", "SETUSER", "default", "on", "nopass", "~*", "&*", "+@all", "-acl")
	direct.want(ok, "MSET", ".", "precious", "\x01", "precious")
	for _, yaml := range []string{"upstream: {url: " + r.url() + ", acl: manage}\n", "upstream: {url: " + r.url() + ", acl: verify}\n"} {
		c := dial(t, startGate(t, yaml+namespaceApp).addr)
		c.wantPrefix("-NOPERM scripts are not possible", `EVAL "return 1" 0`)
	}
	direct.want("*2\r\n"+bulk("precious")+bulk("precious"), "MGET", ".", "\x01")
	listener.want("*2\r\n"+bulk("pong")+bulk(""), "PING") // and nothing before that
}

// A script in a transaction asks Redis itself as whom it runs, whatever was so before.
func TestScript_WallGoneBeforeExec(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	direct := dial(t, r.addr)
	direct.want(ok, "SET", "other:secret", "top")
	direct.want(ok, "ACL", "SETUSER", "proxy", "on", ">p", "~*", "&*", "+@all", "-keys")
	g := startGate(t, "upstream: {url: 'redis://proxy:p@"+r.addr+"', acl: manage}\n"+namespaceApp)
	c := dial(t, g.addr)
	c.want(one, "EVAL", "return 1", "0")
	c.want(ok, "MULTI")
	c.want("+QUEUED\r\n", "EVAL", "return redis.call('GET', 'other:secret')", "0")
	direct.want(ok, "ACL", "SETUSER", "sessiongate:app:", "resetpass", ">other")
	if got := c.do("EXEC"); strings.Contains(got, "top") || !strings.Contains(got, "-NOPERM") {
		t.Errorf("EXEC = %q", got)
	}
}

// A slow script in a transaction keeps nobody else waiting, and takes as long as it takes.
func TestScript_SlowInTransaction(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--lua-time-limit", "100")
	g := startGate(t, "upstream: {url: "+r.url()+", read_timeout: 500ms}\n"+expiryRule)
	slow, c, direct := dial(t, g.addr), dial(t, g.addr), dial(t, r.addr)
	c.want(pong, "PING")
	slow.send(encode("MULTI") + encode("EVAL", "while true do end", "0") + encode("SET", "after", "1") + encode("EXEC"))
	eventually(t, "the server is busy", func() bool { return strings.HasPrefix(direct.do("GET", "k"), "-BUSY") })
	for start := time.Now(); time.Since(start) < 1500*time.Millisecond; { // three times the read timeout
		c.wantPrefix("-BUSY", "GET k")
	}
	direct.want(ok, "SCRIPT", "KILL")
	for _, want := range []string{ok, "+QUEUED\r\n", "+QUEUED\r\n"} {
		if got := slow.read(); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	if got := slow.read(); !strings.HasPrefix(got, "*2\r\n-ERR ") || !strings.HasSuffix(got, ok) {
		t.Errorf("EXEC = %q", got)
	}
	c.want("$-1\r\n", "GET", "k")
}

// The store in memory knows enough for scripts to be checked.
func TestScript_EmbeddedStore(t *testing.T) {
	t.Parallel()
	g := startGate(t, "upstream: memory://\n"+expiryRule)
	c := dial(t, g.addr)
	c.want(ok, "EVAL", "return redis.call('SET', KEYS[1], 'v')", "1", "k")
	c.want(":1800\r\n", "TTL", "k")
	c.want(bulk("v"), "EVAL", "return redis.call('GET', KEYS[1])", "1", "k")
	c.want(one, "SADD", "set", "m")
	c.want(one, "EVAL", "return redis.call('SUNIONSTORE', KEYS[1] .. ':union', KEYS[1])", "1", "set")
	c.want(":1800\r\n", "TTL", "set:union")
}

// A script that Redis has seen is run once for each EVAL, also when Redis has forgotten it meanwhile.
func TestScript_Forgotten(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		r := startRedis(t)
		g := startGate(t, r.upstream()+m.yaml())
		direct := dial(t, r.addr)
		for i, dialer := range []func(testing.TB, string) *conn{dial, dial3} {
			c := dialer(t, g.addr)
			for n := range 6 {
				if n%2 == 1 {
					direct.want(ok, "SCRIPT", "FLUSH")
				}
				c.want(fmt.Sprintf(":%d\r\n", 8*i+n+1), "EVAL", "return redis.call('INCR', KEYS[1])", "1", "n")
			}
			c.want(ok, "MULTI")
			direct.want(ok, "SCRIPT", "FLUSH")
			c.want("+QUEUED\r\n", "EVAL", "return redis.call('INCR', KEYS[1])", "1", "n")
			c.want(fmt.Sprintf("*1\r\n:%d\r\n", 8*i+7), "EXEC")
			c.want("-NOSCRIPT No matching script. Please use EVAL.\r\n", "EVALSHA", sha1Of("return 'unseen'"), "0")
			c.send(encode("CLIENT", "REPLY", "SKIP") + encode("EVAL", "return redis.call('INCR', KEYS[1])", "1", "n"))
			c.want(bulk(fmt.Sprint(8*i+8)), "GET", "n")
		}
	}
}
