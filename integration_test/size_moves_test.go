package integration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const smallRule = `rules:
  - name: web
    keys: ["sess:*"]
    size: {value: 100}
`

// What is too long for a rule's keys does not get there by a detour.
func TestSize_Detours(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	for _, ns := range []string{"", "app:"} {
		behind := dial(t, r.addr)
		behind.want(ok, "FLUSHALL")
		c := dial(t, startGate(t, r.upstream()+fmt.Sprintf("namespace: %q\n", ns)+smallRule).addr)
		long := strings.Repeat("x", 5000)
		tooLong := denied("value", 5000, 100)
		c.want(ok, "SET", "free:x", long)
		c.want(ok, "SET", "sess:old", "v")
		for _, line := range []string{"RENAME free:x sess:new", "RENAME free:x sess:old", "RENAMENX free:x sess:new", "COPY free:x sess:new",
			"COPY free:x sess:old REPLACE", "COPY free:x sess:new DB 1"} {
			c.wantLine(tooLong, line)
		}
		c.want(one, "SADD", "free:set", long)
		c.want(tooLong, "SMOVE", "free:set", "sess:set", long)
		c.want(":5000\r\n", "STRLEN", "free:x")
		c.want(bulk("v"), "GET", "sess:old")
		c.want(zero, "EXISTS", "sess:new", "sess:set")
		c.want(zero, "MOVE", "sess:new", "1")

		// What is not too long does, and what is there already is of no account.
		behind.want(ok, "SET", ns+"sess:large", long)
		c.want(ok, "SET", "free:y", long[:100])
		c.want(ok, "RENAME", "free:y", "sess:large")
		c.want(one, "COPY", "sess:large", "sess:copy", "DB", "1")
		c.want(ok, "RENAME", "free:x", "free:z")
		c.want("-ERR no such key\r\n", "RENAME", "free:none", "sess:new")
		c.want(one, "RPUSH", "free:list", "a")
		c.want(ok, "RENAME", "free:list", "sess:list")

		c.wantPrefix("-DENIED size: value of ", "HINCRBYFLOAT sess:h f 1e4000")
		c.want(zero, "EXISTS", "sess:h")
		c.want(bulk("1.5"), "HINCRBYFLOAT", "sess:h", "f", "1.5")
		c.wantPrefix("-DENIED size: value of ", "HINCRBYFLOAT sess:h f 1e4000")
		c.want(bulk("1.5"), "HGET", "sess:h", "f")
		c.want(denied("value", 5000, 100), "HINCRBYFLOAT", "sess:h", long, "1.5")
	}
}

// What has happened is told, whatever it holds: elements that were moved or claimed.
func TestSize_Done(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	behind := dial(t, r.addr)
	c := dial(t, startGate(t, r.upstream()+smallRule).addr)
	long := strings.Repeat("x", 5000)
	behind.want(one, "RPUSH", "sess:a", long)
	c.want(bulk(long), "LMOVE", "sess:a", "sess:b", "LEFT", "LEFT")
	c.want(bulk(long), "RPOPLPUSH", "sess:b", "sess:a")
	c.want(bulk(long), "BLMOVE", "sess:a", "sess:b", "LEFT", "LEFT", "1")
	behind.want(bulk("1-1"), "XADD", "sess:s", "1-1", "f", long)
	c.want(ok, "XGROUP", "CREATE", "sess:s", "g", "0")
	for _, line := range []string{"XREADGROUP GROUP g c STREAMS sess:s >", "XCLAIM sess:s g d 0 1-1", "XAUTOCLAIM sess:s g e 0 0"} {
		if got := c.do(strings.Fields(line)...); !strings.Contains(got, long) {
			t.Errorf("%s: %s", line, shorten(got))
		}
	}
	c.want(denied("value", 5000, 100), "XREAD", "STREAMS", "sess:s", "0")
}

// Where several keys answer at once, each value keeps to the limit of its own key.
func TestSize_EachItsOwn(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	behind := dial(t, r.addr)
	for _, ns := range []string{"", "app:"} {
		for resp := 2; resp <= 3; resp++ {
			behind.want(ok, "FLUSHALL")
			c := dialRESP(t, startGate(t, r.upstream()+fmt.Sprintf("namespace: %q\n", ns)+smallRule+
				"  - name: tmp\n    keys: [\"tmp:*\"]\n    size: {value: 1000}\n").addr, resp)
			value := strings.Repeat("x", 5000)
			behind.want(ok, "MSET", ns+"tmp:500", value[:500], ns+"sess:ok", "v", ns+"sess:500", value[:500], ns+"tmp:5000", value, ns+"free", value)
			null := "$-1\r\n"
			if resp == 3 {
				null = "_\r\n"
			}
			for _, tt := range []struct{ want, line string }{
				{"*3\r\n" + bulk(value[:500]) + bulk("v") + null, "MGET tmp:500 sess:ok tmp:none"},
				{"*2\r\n" + bulk("v") + bulk(value), "MGET sess:ok free"},
				{"*1\r\n" + bulk(value), "MGET free"},
				{denied("value", 500, 100), "MGET sess:500"},
				{denied("value", 500, 100), "MGET tmp:500 sess:500"},
				{denied("value", 500, 100), "MGET free sess:500"},
				{strings.Replace(denied("value", 5000, 1000), "web", "tmp", 1), "MGET sess:ok tmp:5000"},
			} {
				c.wantLine(tt.want, tt.line)
				c.want(ok, "MULTI")
				c.wantLine("+QUEUED\r\n", tt.line)
				c.want("*1\r\n"+tt.want, "EXEC")
			}
			behind.want(bulk("1-1"), "XADD", ns+"sess:s", "1-1", "f", "v")
			behind.want(bulk("1-1"), "XADD", ns+"tmp:s", "1-1", "f", value[:500])
			if got := c.do("XREAD", "STREAMS", "sess:s", "tmp:s", "0", "0"); !strings.Contains(got, value[:500]) || strings.Contains(got, "app:") {
				t.Errorf("XREAD: %s", shorten(got))
			}
			behind.want(bulk("1-2"), "XADD", ns+"sess:s", "1-2", "f", value[:101])
			c.want(denied("value", 101, 100), "XREAD", "STREAMS", "sess:s", "tmp:s", "0", "0")
			c.want(denied("value", 101, 100), "XREAD", "STREAMS", "tmp:s", "sess:s", "free:s", "0", "0", "0")
		}
	}
}

// What is in a payload counts, not how it is packed.
func TestSize_Payloads(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	behind := dial(t, r.addr)
	c := dial(t, startGate(t, r.upstream()+smallRule).addr)
	for name, payload := range samplePayloads(t, behind, 100) {
		c.want(ok, "RESTORE", "sess:"+name, "0", payload, "REPLACE")
		if got := c.do("DUMP", "sess:"+name); !strings.HasPrefix(got, "$") {
			t.Errorf("DUMP of %s: %s", name, shorten(got))
		}
	}
	for name, payload := range samplePayloads(t, behind, 101) {
		if name == "numbers" {
			continue
		}
		c.want(denied("value", 101, 100), "RESTORE", "sess:"+name, "0", payload, "REPLACE")
		behind.want(ok, "RESTORE", "sess:"+name, "0", payload, "REPLACE")
		c.want(denied("value", 101, 100), "DUMP", "sess:"+name)
	}
	behind.want(one, "RPUSH", "million", strings.Repeat("x", 1_000_000))
	payload, err := parse(behind.do("DUMP", "million"))
	if err != nil || len(payload.text) > 20_000 {
		t.Fatalf("a payload of %d bytes, %v", len(payload.text), err)
	}
	c.want(denied("value", 1_000_000, 100), "RESTORE", "sess:million", "0", payload.text)
	c.want(zero, "EXISTS", "sess:million")
}

// samplePayloads makes one value of each kind and encoding, with one element of n bytes among many small ones, and dumps it.
func samplePayloads(t *testing.T, c *conn, n int) map[string]string {
	t.Helper()
	c.want(ok, "FLUSHALL")
	random := strings.Repeat("0123456789qwertyuiopasdfghjklzxcvbnm", 5)[:n]
	many := func(args ...string) []string {
		for i := range 600 {
			args = append(args, fmt.Sprintf("small%d", i), fmt.Sprint(i*70000-9))
		}
		return args
	}
	c.do("SET", "string", random)
	c.do(append([]string{"RPUSH", "list", random}, many()...)...)
	c.do(append([]string{"SADD", "set", random}, many()...)...)
	c.do(append([]string{"HSET", "hash", "f", random}, many()...)...)
	c.do("SADD", "numbers", "1", "2", "-9223372036854775808")
	for i := range 300 {
		c.do("ZADD", "zset", fmt.Sprint(i)+".5", fmt.Sprintf("small%d", i))
		c.do("XADD", "stream", fmt.Sprintf("%d-1", i+1), fmt.Sprintf("f%d", i), "v", "same", fmt.Sprint(i*i*i))
	}
	c.do("ZADD", "zset", "1", random)
	c.do("XADD", "stream", "*", random, "v")
	c.do("XGROUP", "CREATE", "stream", "g", "0")
	c.do("XREADGROUP", "GROUP", "g", "consumer", "COUNT", "50", "STREAMS", "stream", ">")
	c.do("CONFIG", "SET", "hash-max-listpack-value", "1000", "zset-max-listpack-value", "1000", "hash-max-listpack-entries", "2000", "zset-max-listpack-entries", "2000")
	c.do(append([]string{"HSET", "packedhash", "f", random}, many()...)...)
	c.do("ZADD", "packedzset", "7.25", random)
	for i := range 300 {
		c.do("ZADD", "packedzset", fmt.Sprint(i), fmt.Sprintf("small%d", i))
	}
	c.do("CONFIG", "SET", "hash-max-listpack-value", "64", "zset-max-listpack-value", "64", "hash-max-listpack-entries", "128", "zset-max-listpack-entries", "128")
	list := map[string]string{}
	for _, name := range []string{"string", "list", "set", "hash", "numbers", "zset", "stream", "packedhash", "packedzset"} {
		payload, err := parse(c.do("DUMP", name))
		if err != nil || len(payload.text) < 20 {
			t.Fatalf("DUMP %s: %q, %v", name, payload.text, err)
		}
		list[name] = payload.text
	}
	return list
}

// A command that a guard refuses, or that fails inside of it, changes no expiry either.
func TestSize_RefusedKeepsExpiry(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	behind := dial(t, r.addr)
	for _, ns := range []string{"", "app:"} {
		behind.want(ok, "FLUSHALL")
		c := dial(t, startGate(t, r.upstream()+fmt.Sprintf("namespace: %q\n", ns)+
			"rules:\n  - {name: web, size: {value: 100}, expiry: {default: 10m, min: 1m, max: 12h}}\n").addr)
		value := strings.Repeat("x", 100)
		behind.want(ok, "SET", ns+"full", value)
		behind.want(ok, "SET", ns+"short", value+"x", "EX", "10")
		behind.want(one, "RPUSH", ns+"list", "a")
		soon := fmt.Sprint(time.Now().Unix() + 5)
		for _, line := range []string{"APPEND full x", "APPEND list x", "INCRBYFLOAT full 1", "SET short v GET EXAT " + soon, "SET list v GET EXAT " + soon,
			"GETSET list v", "RENAME short full", "COPY short full REPLACE", "BITOP OR full short short"} {
			if got := c.do(strings.Fields(line)...); !strings.HasPrefix(got, "-") {
				t.Errorf("%s: %s", line, shorten(got))
			}
			behind.want(":-1\r\n", "TTL", ns+"full")
			behind.want(":-1\r\n", "TTL", ns+"list")
			if ttl := behind.int("TTL", ns+"short"); ttl > 10 {
				t.Errorf("after %s the expiry of short is %d", line, ttl)
			}
		}
		// Where it succeeds the key has its expiry, here and in another database.
		c.want(":1\r\n", "APPEND", "new", "x")
		c.want(one, "COPY", "new", "copied", "DB", "1")
		behind.want(ok, "SET", ns+"old", "v")
		c.want(ok, "RENAME", "old", "renamed")
		c.want(one, "COPY", "renamed", "copied")
		c.want(bulk("1.5"), "INCRBYFLOAT", "number", "1.5")
		c.want(bulk("1.5"), "HINCRBYFLOAT", "hash", "f", "1.5")
		c.want(ok, "MULTI")
		c.want("+QUEUED\r\n", "APPEND", "queued", "x")
		c.want("+QUEUED\r\n", "GET", "queued")
		c.want("*2\r\n:1\r\n"+bulk("x"), "EXEC")
		for _, key := range []string{"new", "renamed", "copied", "number", "hash", "queued"} {
			if ttl := behind.int("TTL", ns+key); ttl < 590 || ttl > 600 {
				t.Errorf("the expiry of %s is %d", key, ttl)
			}
		}
		behind.want(ok, "SELECT", "1")
		if ttl := behind.int("TTL", ns+"copied"); ttl < 590 || ttl > 600 {
			t.Errorf("the expiry in the other database is %d", ttl)
		}
		behind.want(ok, "SELECT", "0")
		c.want(bulk("x"), "GET", "new")
	}
}

// A command whose value is measured as it grows has room for so many arguments, and beyond that it is told so.
func TestSize_ManyArguments(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	c := dial(t, startGate(t, r.upstream()+"rules:\n  - {name: web, expiry: {default: 30m}, size: {value: 1KiB}}\n").addr)
	many := func(n int, words ...string) []string {
		for len(words) < n {
			words = append(words, fmt.Sprintf("e%d", len(words)))
		}
		return words
	}
	c.want(zero, many(7500, "BITOP", "OR", "to")...)
	refused := "-DENIED size: 7501 arguments are above the limit of 7500 of a command whose value is measured as it grows (rule \"web\")\r\n"
	c.want(refused, many(7501, "BITOP", "OR", "to")...)
	c.want(refused, many(7501, "PFADD", "sketch")...)
	c.want(zero, "EXISTS", "sketch", "to")
	c.want(":9000\r\n", many(9002, "SADD", "set")...)
}
