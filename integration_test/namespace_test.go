package integration_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// What a namespace and a maximum are for: bare names in front, prefixed ones behind, and nothing of anybody else's.
func TestNamespace(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+namespaceApp+`rules:
  - name: web
    expiry: {max: 12h}
    size: {value: 64KiB}
`)
	c, behind := dial(t, g.addr), dial(t, r.addr)
	behind.wantLine(ok, "MSET other:1 theirs a theirs appx theirs")

	c.wantLine(ok, "SET a v EX 999999")
	if got := behind.int("TTL", "app:a"); got < 43195 || got > 43200 {
		t.Errorf("TTL of app:a is %d upstream, want 43200", got)
	}
	c.wantLine(bulk("v"), "GET a")
	c.wantLine("*1\r\n"+bulk("a"), "KEYS *")
	c.wantLine("*2\r\n"+bulk("0")+"*1\r\n"+bulk("a"), "SCAN 0 COUNT 1000")
	c.wantLine(bulk("a"), "RANDOMKEY")
	c.wantLine(one, "DBSIZE")
	c.wantLine(zero, "EXISTS other:1 app:a")
	c.wantLine(null, "GET other:1")
	c.wantLine("*0\r\n", "KEYS other*")

	large := strings.Repeat("x", 70<<10)
	denied := fmt.Sprintf("-DENIED size: value of %d bytes is above the limit of 65536 (rule \"web\")\r\n", len(large))
	c.want(denied, "SET", "b", large)
	c.wantLine(null, "GET b")
	behind.want(ok, "SET", "app:c", large)
	c.want(denied, "GET", "c")

	c.wantLine(ok, "FLUSHALL")
	c.wantLine(zero, "DBSIZE")
	if got, want := behind.list("KEYS", "*"), []string{"a", "appx", "other:1"}; !slices.Equal(got, want) {
		t.Errorf("after FLUSHALL there are %q upstream, want %q", got, want)
	}
	c.wantLine(ok, "SET a v")
	c.wantLine(ok, "FLUSHDB")
	behind.want(":3\r\n", "DBSIZE")
	c.wantLine(null, "RANDOMKEY")
}

// Characters that mean something in a pattern are just characters in a namespace.
func TestNamespace_GlobCharacters(t *testing.T) {
	t.Parallel()
	for _, ns := range []string{"a*:", "a?[bc]\\:", "[a-z]", "\\", "*", "ünï:", "a^b]"} {
		t.Run(ns, func(t *testing.T) {
			t.Parallel()
			r := startRedis(t)
			c := dial(t, startGate(t, fmt.Sprintf("%snamespace: '%s'\n", r.upstream(), ns)).addr)
			behind := dial(t, r.addr)
			behind.want(ok, "MSET", "ab:1", "theirs", "aXb\\:1", "theirs", "b", "theirs", "a*", "theirs", "abc:2", "theirs", "zz", "theirs")
			c.wantLine(ok, "MSET one 1 two 2")
			behind.want(bulk("1"), "GET", ns+"one")
			if got, want := c.list("KEYS", "*"), []string{"one", "two"}; !slices.Equal(got, want) {
				t.Errorf("KEYS * = %q, want %q", got, want)
			}
			c.wantLine("*1\r\n"+bulk("one"), "KEYS o*")
			c.wantLine("*2\r\n"+bulk("0")+"*1\r\n"+bulk("two"), "SCAN 0 MATCH t* COUNT 1000")
			c.wantLine(":2\r\n", "DBSIZE")
			c.wantLine(ok, "FLUSHALL")
			behind.want(":6\r\n", "DBSIZE")
		})
	}
}

// Own keys are found among many more foreign ones, by cursors that any client understands.
func TestNamespace_AmongMany(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	c, behind := dial(t, startGate(t, r.upstream()+namespaceApp).addr), dial(t, r.addr)
	plant := func(prefix string, n int) {
		args := []string{"MSET"}
		for i := range n {
			args = append(args, fmt.Sprintf("%s%d", prefix, i), "v")
		}
		behind.want(ok, args...)
	}
	plant("foreign:", 20000)
	c.wantLine(null, "RANDOMKEY")
	c.wantLine(zero, "DBSIZE")
	plant("app:", 1)
	c.wantLine(bulk("0"), "RANDOMKEY")
	plant("app:", 500)
	c.wantLine(":500\r\n", "DBSIZE")

	for _, line := range []string{"SCAN %s", "SCAN %s MATCH *", "SCAN %s COUNT 1000", "SCAN %s TYPE string COUNT 77"} {
		seen := map[string]bool{}
		cursor := "0"
		for pages := 0; ; pages++ {
			reply, err := parse(c.line(fmt.Sprintf(line, cursor)))
			if err != nil || len(reply.elems) != 2 {
				t.Fatalf("%s: not a page: %v", line, err)
			}
			for _, name := range reply.elems[1].strings() {
				seen[name] = true
			}
			if cursor = reply.elems[0].text; cursor == "0" {
				break
			}
			if pages > 50000 {
				t.Fatalf("%s: no end after %d pages", line, pages)
			}
		}
		if len(seen) != 500 || !seen["0"] || !seen["499"] {
			t.Errorf("%s finds %d keys, want 500", line, len(seen))
		}
	}
	if got := len(c.list("KEYS", "*")); got != 500 {
		t.Errorf("KEYS * finds %d keys, want 500", got)
	}
	c.wantLine(ok, "FLUSHDB")
	c.wantLine(zero, "DBSIZE")
	behind.want(":20000\r\n", "DBSIZE")
}

// Whatever command a client tries on foreign names, with whatever arguments: it gets nothing of them and does nothing
// to them.
func TestNamespace_NoWayOut(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--slowlog-log-slower-than", "-1")
	g := startGate(t, r.upstream()+namespaceApp+expiryRule)
	behind := dial(t, r.addr)
	setup := []string{
		"SET f:string s3cret", "RPUSH f:list s3cret s3cret", "SADD f:set s3cret", "ZADD f:zset 1 s3cret",
		"HSET f:hash s3cret s3cret", "XADD f:stream 1-1 s3cret s3cret", "SET f:number 41",
		"SET app:own mine", "RPUSH app:own:list mine",
	}
	for _, line := range setup {
		behind.line(line)
	}
	names := behind.list("KEYS", "f:*")
	state := func() string {
		var b strings.Builder
		for _, name := range names {
			b.WriteString(behind.do("DUMP", name) + behind.do("PTTL", name))
		}
		return b.String()
	}
	want := state()

	tried := 0
	for _, command := range behind.list("COMMAND", "LIST") {
		name := strings.Split(command, "|")
		switch name[0] {
		case "subscribe", "psubscribe", "ssubscribe", "monitor", "quit", "sync", "psync":
			continue // answered by a stream, or not at all: tests of their own
		}
		c := dial(t, g.addr)
		blocks := strings.Contains(behind.do("COMMAND", "INFO", command), "+blocking\r\n")
		for _, pattern := range arguments {
			for _, foreign := range names {
				args := slices.Clone(name)
				for _, word := range strings.Fields(pattern) {
					args = append(args, strings.ReplaceAll(word, "K", foreign))
				}
				if last := len(args) - 1; blocks && strings.Trim(args[last], "-0123456789") == "" {
					args[last] = "0.01" // where a number may be the time to wait
				}
				tried++
				reply := c.do(args...)
				if strings.Contains(reply, "s3cret") || strings.Contains(reply, "app:") {
					t.Errorf("%q shows %s", args, shorten(reply))
				}
				if name[0] == "client" || name[0] == "reset" { // may have changed how replies come
					c.Close()
					c = dial(t, g.addr)
				}
			}
		}
		if got := state(); got != want {
			t.Fatalf("after %v the foreign keys are no longer what they were", command)
		}
		for _, stray := range behind.list("KEYS", "*") {
			if !strings.HasPrefix(stray, "app:") && !slices.Contains(names, stray) {
				t.Fatalf("after %v there is a key %q outside the namespace", command, stray)
			}
		}
		c.Close()
	}
	if tried < 5000 {
		t.Errorf("only %d commands tried", tried)
	}
}

// arguments are tried after every command; K is a foreign name.
var arguments = []string{
	"", "K", "K K", "K own", "own K", "K 1", "K 0 -1", "K 1 1", "1 K", "2 K K", "own 1 K", "own 2 K K", "K 1 K",
	"AND own K", "own K REPLACE", "own BY K GET K", "K GET # STORE own", "own:list BY nosort GET K", "K BY nosort STORE own2",
	"0 MATCH K COUNT 1000", "0 MATCH f:* COUNT 1000", "f:*", "*", "ENCODING K", "USAGE K", "STREAMS K 0", "COUNT 1 STREAMS K 0",
	"return(redis.call('GET',KEYS[1])) 1 K", "GET K", "K LEFT RIGHT", "K own LEFT RIGHT", "own K LEFT RIGHT", "K K 0.01",
	"0.01 1 K LEFT", "1 K LEFT", "1 K MIN", "K + -", "K - +", "K v EX 100", "K 0 v", "K 100 v",
}

// An error names keys as the client does, whatever the namespace looks like, and is an error still. What Redis says in its own words
// stays.
func TestNamespace_Errors(t *testing.T) {
	t.Parallel()
	for _, ns := range []string{"app:", "app", "-", "-ERR", "key", "E", "No", "s", "*", "ünï"} {
		t.Run(ns, func(t *testing.T) {
			t.Parallel()
			r, plain := startRedis(t), startRedis(t)
			g := startGate(t, fmt.Sprintf("%snamespace: '%s'\n", r.upstream(), ns)+"commands: {custom: [{name: NOSUCH, keys: 1}]}\n")
			for _, dialer := range []func(testing.TB, string) *conn{dial, dial3} {
				c, reference := dialer(t, g.addr), dialer(t, plain.addr)
				for _, line := range []string{
					"SET str v", "XADD x 1-1 f v", "XREADGROUP GROUP g c STREAMS x >", "XREADGROUP GROUP g c STREAMS nokey >", "XGROUP DELCONSUMER x g c",
					"XGROUP CREATE nokey g 0", "XINFO CONSUMERS x g", "XINFO STREAM nokey", "XINFO GROUPS nokey", "XCLAIM x g c 0 1-1", "XPENDING x g",
					"XAUTOCLAIM x g c 0 0", "LPUSH str a", "INCR str", "GET", "NOSUCH k", "NOSUCH k 1 2", "OBJECT ENCODING nokey", "SET str v EX x",
					"XSETID nokey 1-1", "LSET nokey 0 v", "RENAME nokey other", "EVAL \"return {err = 'MINE ' .. KEYS[1] .. ' gone'}\" 1 k",
					"EVAL \"return {{err = KEYS[1]}, KEYS[1]}\" 1 k", "EVAL \"return redis.call('XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', KEYS[1], '>')\" 1 x",
				} {
					if strings.Contains(line, "redis.call") && len(ns) < 4 { // may be a part of Redis's own words
						continue
					}
					same(t, reference, c, split(line)...)
				}
			}
		})
	}
}
