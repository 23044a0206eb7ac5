package integration_test

import (
	"crypto/sha1"
	"fmt"
	"strings"
	"testing"
)

// What a script may not do to other keys is denied by Redis itself, wherever the script runs and however it tries.
func TestScript_NamespaceWall(t *testing.T) {
	t.Parallel()
	for _, rules := range []string{"", expiryRule} {
		r := startRedis(t)
		g := startGate(t, r.upstream()+namespaceApp+rules)
		direct := dial(t, r.addr)
		direct.want(ok, "MSET", "foreign", "secret", "other:k", "secret", "app:own", "mine")
		for _, dialer := range []func(testing.TB, string) *conn{dial, dial3} {
			c := dialer(t, g.addr)
			c.want(bulk("mine"), "EVAL", "return redis.call('GET', KEYS[1])", "1", "own")
			for _, body := range []string{
				"redis.call('GET', 'foreign')", "redis.call('SET', 'foreign', 'x')", "redis.call('DEL', 'other:k')",
				"redis.call('KEYS', '*')", "redis.call('SCAN', '0')", "redis.call('RANDOMKEY')", "redis.call('DBSIZE')",
				"redis.call('FLUSHDB')", "redis.call('FLUSHALL')", "redis.call('SWAPDB', '0', '1')", "redis.call('INFO')",
				"redis.call('CONFIG', 'GET', '*')", "redis.call('PUBLISH', 'foreign', 'x')", "redis.call('ACL', 'LIST')",
				"redis.call('RENAME', KEYS[1], 'foreign')", "redis.call('COPY', 'foreign', KEYS[1])",
				"redis.call('SORT', KEYS[1], 'BY', 'nosort', 'GET', 'foreign')", "redis.call('OBJECT', 'ENCODING', 'foreign')",
				"redis.call('SUNIONSTORE', KEYS[1], 'foreign')", "redis.call('DUMP', 'foreign')", "redis.call('MEMORY', 'USAGE', 'foreign')",
				"_G.redis.call('GET', 'foreign')", "loadstring('return redis.call(\"GET\", \"foreign\")', 'chunk')()",
				"getfenv().redis.call('GET', 'foreign')", "redis.call('AUTH', 'default', '')", "redis.call('SELECT', '0') and redis.call('GET', 'foreign')",
			} {
				call := encode("EVAL", "return "+body, "1", "own")
				load := dialer(t, g.addr)
				sha := load.do("SCRIPT", "LOAD", "return "+body)
				if !strings.HasPrefix(sha, "$40\r\n") {
					t.Fatalf("SCRIPT LOAD = %q", sha)
				}
				bySha := encode("EVALSHA", sha[5:45], "1", "own")
				for name, try := range map[string]string{
					"alone":            call,
					"by SHA1":          bySha,
					"whole MULTI":      encode("MULTI") + call + encode("EXEC"),
					"MULTI by SHA1":    encode("MULTI") + bySha + encode("EXEC"),
					"after a watch":    encode("WATCH", "own") + encode("MULTI") + call + encode("EXEC"),
					"among others":     encode("SET", "a", "1") + call + encode("GET", "a"),
					"MULTI with KEYS":  encode("MULTI") + encode("KEYS", "*") + call + encode("KEYS", "*") + encode("EXEC"),
					"read-only script": encode("EVAL_RO", "return "+body, "1", "own"),
				} {
					c.send(try)
					c.send(encode("ECHO", "done"))
					var got strings.Builder
					for reply := ""; reply != bulk("done"); got.WriteString(reply) {
						reply = c.read()
					}
					if text := got.String(); strings.Contains(text, "secret") || strings.Contains(text, "foreign") || strings.Contains(text, "app:") ||
						!strings.Contains(text, "-") {
						t.Errorf("%s, %s: %q", name, body, text)
					}
				}
			}
			c.want("*1\r\n"+bulk("a"), "KEYS", "a") // what was around the scripts has happened
		}
		direct.want("*3\r\n"+bulk("secret")+bulk("secret")+bulk("mine"), "MGET", "foreign", "other:k", "app:own")
	}
}

// In pieces, with the connection's own commands around it, a transaction may hold scripts and what scripts may not do.
func TestScript_Transactions(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--requirepass", "top")
	g := startGate(t, "upstream: redis://:top@"+r.addr+"\n"+namespaceApp+expiryRule)
	c := dial(t, g.addr)
	for _, watch := range []bool{false, true} {
		if watch {
			c.want(ok, "WATCH", "w")
		}
		c.want(ok, "MULTI")
		for range 2 {
			c.want("+QUEUED\r\n", "KEYS", "*")
			c.want("+QUEUED\r\n", "EVAL", "return redis.call('SET', KEYS[1], ARGV[1])", "1", "s", "v")
			c.want("+QUEUED\r\n", "EVAL", "return redis.call('KEYS', '*')", "0")
			c.want("+QUEUED\r\n", "TTL", "s")
		}
		got := c.do("EXEC")
		if !strings.HasPrefix(got, "*8\r\n*") || strings.Count(got, ok) != 2 || strings.Count(got, ":1800\r\n") != 2 || strings.Count(got, "-ERR The user") != 2 {
			t.Errorf("EXEC = %q", got)
		}
		c.want("*1\r\n"+bulk("s"), "KEYS", "*")
	}
	c.want(ok, "MULTI")
	c.want("+QUEUED\r\n", "EVAL", "return 1", "0")
	c.want(ok, "DISCARD")
	c.want("*1\r\n"+bulk("s"), "KEYS", "*")
	c.want("*3\r\n"+bulk("s")+"+s:1\r\n-ERR s\r\n", "EVAL", "return {KEYS[1], {ok = KEYS[1] .. ':1'}, {err = 'ERR ' .. KEYS[1]}}", "1", "s")
}

// Every key that a script writes gets its expiry, and no string above the limit.
func TestScript_Rules(t *testing.T) {
	t.Parallel()
	for _, space := range []string{"", namespaceApp} {
		r := startRedis(t)
		g := startGate(t, r.upstream()+space+"rules:\n  - {name: web, expiry: {default: 30m, max: 12h}, size: {value: 1KiB}}\n")
		prefix := ""
		if space != "" {
			prefix = "app:"
		}
		direct := dial(t, r.addr)
		for _, dialer := range []func(testing.TB, string) *conn{dial, dial3} {
			c := dialer(t, g.addr)
			c.want(ok, "FLUSHALL")
			c.want(ok, "EVAL", "return redis.call('SET', KEYS[1], 'v')", "1", "declared")
			c.want(one, "EVAL", "return redis.call('HSET', KEYS[1] .. ':computed', 'f', 'v')", "1", "declared")
			c.want(one, "EVAL", "redis.call('SET', KEYS[1], 'v', 'EX', 999999) return redis.call('PERSIST', KEYS[1])", "1", "far")
			c.want(one, "EVAL", "redis.call('SET', KEYS[1] .. 'x', 'v', 'EX', 999999) return redis.call('PERSIST', KEYS[1] .. 'x')", "1", "far")
			for key, ttl := range map[string]int{"declared": 1800, "declared:computed": 1800, "far": 1800, "farx": 1800} {
				if got := direct.int("TTL", prefix+key); got < ttl-5 || got > ttl {
					t.Errorf("%s: TTL is %d, want %d", key, got, ttl)
				}
			}
			over := "DENIED size: value of 2000 bytes is above the limit of 1024 (script)"
			for _, body := range []string{
				"redis.call('SET', KEYS[1], string.rep('x', 2000))", "redis.call('HSET', KEYS[1] .. 'h', 'f', string.rep('x', 2000))",
				"redis.call('MSET', KEYS[1], 'v', KEYS[2], string.rep('x', 2000))",
			} {
				if got := c.do("EVAL", "return "+body, "2", "big", "big2"); !strings.HasPrefix(got, "-"+over) {
					t.Errorf("%s = %q", body, got)
				}
			}
			c.want(zero, "EXISTS", "big", "big2", "bigh")
			c.want(":1000\r\n", "EVAL", "return redis.call('APPEND', KEYS[1], string.rep('x', 1000))", "1", "grown")
			for _, body := range []string{
				"redis.call('APPEND', KEYS[1], string.rep('x', 1000))", "redis.call('SETRANGE', KEYS[1], 1999, 'x')",
				"redis.call('SETBIT', KEYS[1], 15999, '1')",
			} {
				if got := c.do("EVAL", "return "+body, "1", "grown"); !strings.HasPrefix(got, "-"+over) {
					t.Errorf("%s = %q", body, got)
				}
				c.want(":1000\r\n", "STRLEN", "grown")
			}
			for _, body := range []string{"redis.call('SELECT', '1')", "redis.call('MOVE', KEYS[1], '1')", "redis.call('SWAPDB', '0', '1')",
				"redis.call('copy', KEYS[1], KEYS[1], 'db', '1')"} {
				c.wantPrefix("-DENIED script: ", `EVAL "return `+strings.ReplaceAll(body, `"`, `\"`)+`" 1 declared`)
			}
			c.wantPrefix("-DENIED size: value of 5000 bytes", `EVAL "return {ok=string.rep('x', 5000)}" 1 declared`)
		}
	}
}

// Where rules differ from key to key, a script writes only what it declares.
func TestScript_Undeclared(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"rules:\n  - {keys: ['s:*'], expiry: {max: 1h}}\n  - {keys: ['keep:*'], expiry: {}}\n  - {expiry: {max: 2h}}\n")
	c := dial(t, g.addr)
	c.wantPrefix(`-DENIED script: it writes "x", which is not among its KEYS`, `EVAL "return redis.call('SET', 'x', 1)" 1 s:1`)
	c.want(zero, "EXISTS", "x")
	c.want(ok, "EVAL", "return redis.call('SET', KEYS[1], redis.call('GET', 'x') or 'none')", "1", "s:1")
	c.want(":3600\r\n", "TTL", "s:1")
	c.want(ok, "EVAL", "return redis.call('SET', KEYS[1], 1)", "1", "keep:1")
	c.want(":-1\r\n", "TTL", "keep:1")
	c.want(one, "EVAL", "return redis.call('DEL', 'keep:1')", "0")
}

// The script cache is what clients expect: they never see that a script was changed.
func TestScript_Cache(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		r := startRedis(t)
		g := startGate(t, r.upstream()+m.yaml())
		reference := startRedis(t)
		for i, dialer := range []func(testing.TB, string) *conn{dial, dial3} {
			c, plain := dialer(t, g.addr), dialer(t, reference.addr)
			body := fmt.Sprintf("return redis.call('INCR', KEYS[1]) + %d", i)
			lines := [][]string{
				{"EVALSHA", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "0"}, {"SCRIPT", "LOAD", body}, {"SCRIPT", "LOAD", "bad script"},
				{"SCRIPT", "EXISTS", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", sha1Of(body), strings.ToUpper(sha1Of(body))},
				{"EVALSHA", sha1Of(body), "1", "n"}, {"EVALSHA", strings.ToUpper(sha1Of(body)), "1", "n"}, {"EVAL", body, "1", "n"},
				{"EVAL", "return {#KEYS, #ARGV, ARGV[1], ARGV[2]}", "1", "k", "a", "b"}, {"EVAL", "return #ARGV", "0"},
				{"EVAL_RO", "return redis.call('GET', KEYS[1])", "1", "n"}, {"EVALSHA_RO", sha1Of("return redis.call('GET', KEYS[1])"), "1", "n"},
				{"EVAL_RO", body, "1", "n"}, {"EVAL", "#!lua flags=no-writes\nreturn redis.call('GET', KEYS[1])", "1", "n"},
				{"EVAL", "#!lua flags=no-writes\nreturn redis.call('INCR', KEYS[1])", "1", "n"}, {"EVAL", "#!lua", "0"}, {"EVAL", "#!nosuch\nreturn 1", "0"},
				{"EVAL", "return redis.call('INCR', KEYS[1])", "1", "n", "x"}, {"EVAL", "return redis.error_reply('MY word')", "0"},
				{"EVAL", "return redis.status_reply('fine')", "0"}, {"EVAL", "return redis.call('NOSUCH')", "0"},
				{"EVAL", "return redis.pcall('LPUSH', KEYS[1], 'x')", "1", "n"}, {"EVAL", "return redis.call('LPUSH', KEYS[1], 'x')", "1", "n"},
				{"EVAL", "local ok, e = pcall(redis.call, 'LPUSH', KEYS[1], 'x') return {ok and 1 or 0, e.err}", "1", "n"},
				{"EVAL", "error('mine')", "0"}, {"EVAL", "error({err='MY table'})", "0"}, {"EVAL", "return nosuch", "0"}, {"EVAL", "return redis.call()", "0"},
				{"EVAL", "return redis.sha1hex('')", "0"}, {"EVAL", "redis.setresp(3) return redis.call('HGETALL', KEYS[1])", "1", "h"},
				{"EVAL", "return 1", "2", "a"}, {"EVAL", "return 1", "-1"}, {"EVAL", "return 1", "x"}, {"EVAL", "return 1"},
				{"SCRIPT", "NOSUCH"}, {"SCRIPT", "LOAD"}, {"FCALL", "nosuch", "0"}, {"FCALL_RO", "nosuch", "1", "k"},
			}
			for _, line := range lines {
				if want, got := plain.do(line...), c.do(line...); got != want {
					t.Errorf("%s: %q = %q, want %q", m.name, line, got, want)
				}
			}
			var all strings.Builder // pipelined, mixed with what isn't a script
			for n, line := range lines {
				all.WriteString(encode(line...))
				all.WriteString(encode("SET", "n", fmt.Sprint(n)))
			}
			plain.send(all.String())
			c.send(all.String())
			for n := range 2 * len(lines) {
				if want, got := plain.read(), c.read(); got != want {
					t.Errorf("%s, pipelined: %q = %q, want %q", m.name, lines[n/2], got, want)
				}
			}
		}
	}
}

// The upstream's user is made by the proxy, or looked for, or not used at all.
func TestScript_ACLModes(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	direct := dial(t, r.addr)
	base := r.upstream() + namespaceApp
	acl := func(mode string) string {
		return "upstream: {url: " + r.url() + ", acl: " + mode + "}\n" + namespaceApp
	}
	off := dial(t, startGate(t, acl("off")).addr)
	off.want("-NOPERM scripts are not allowed in a namespace without upstream.acl: manage or verify, which keeps them in it\r\n", "EVAL", "return 1", "0")
	off.want(ok, "SET", "k", "v")

	gone := "-NOPERM scripts are not possible: the upstream does not grant the ACL user that keeps them in their namespace\r\n"
	verify := startGate(t, acl("verify"))
	eventually(t, "verify says that the user is missing", func() bool { return strings.Contains(verify.out.String(), "scripts are refused") })
	v := dial(t, verify.addr)
	v.want(gone, "EVAL", "return 1", "0")

	out, code := gatectl(t, "acl", "--config", writeFile(t, "c.yaml", base))
	if code != 0 || !strings.HasPrefix(out, "ACL SETUSER sessiongate:app: reset on #") {
		t.Fatalf("acl: exit code %d\n%s", code, out)
	}
	direct.wantLine(ok, strings.TrimSpace(out))
	eventually(t, "the user is there", func() bool { return v.do("EVAL", "return 1", "0") == one })

	direct.want(ok, "ACL", "SETUSER", "sessiongate:app:", "+keys") // lax: no connection may be had with it any more
	lax := dial(t, startGate(t, acl("verify")).addr)
	lax.want(gone, "EVAL", "return 1", "0")

	managed := dial(t, startGate(t, base).addr)
	managed.want(one, "EVAL", "return 1", "0") // makes it what it ought to be
	if user := direct.do("ACL", "GETUSER", "sessiongate:app:"); strings.Contains(user, "+keys ") {
		t.Errorf("the user is as lax as before: %q", user)
	}
	direct.want(one, "ACL", "DELUSER", "sessiongate:app:") // takes its connections with it
	eventually(t, "the user is made anew", func() bool { return managed.do("EVAL", "return 1", "0") == one })
}

// A script that takes longer than the read timeout ends as on a plain server, and keeps nobody else's link from working.
func TestScript_Slow(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--lua-time-limit", "100")
	g := startGate(t, "upstream: {url: "+r.url()+", read_timeout: 500ms}\n")
	slow, c := dial(t, g.addr), dial(t, g.addr)
	c.want(pong, "PING")
	slow.send(encode("EVAL", "while true do end", "0"))
	eventually(t, "the server is busy", func() bool { return strings.HasPrefix(c.do("GET", "k"), "-BUSY") })
	for range 20 {
		c.wantPrefix("-BUSY", "GET k")
	}
	c.want(ok, "SCRIPT", "KILL")
	if got := slow.read(); !strings.HasPrefix(got, "-ERR Error running script") && !strings.HasPrefix(got, "-ERR user_script") && !strings.Contains(got, "killed") {
		t.Errorf("the slow script = %q", got)
	}
	c.want("$-1\r\n", "GET", "k")
}

func sha1Of(text string) string { return fmt.Sprintf("%x", sha1.Sum([]byte(text))) }
