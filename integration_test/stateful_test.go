package integration_test

import (
	"strings"
	"testing"
)

// governedGate is a gate with a namespace and an expiry rule in front of r.
func governedGate(t *testing.T, r *redisServer) *gate {
	t.Helper()
	return startGate(t, r.upstream()+"namespace: \"app:\"\nrules:\n  - name: web\n    expiry: {default: 30m, max: 12h}\n    size: {value: 1KiB}\n")
}

// Transactions have the rules inside, whether they arrive whole or in pieces, and their replies are Redis's.
func TestStateful_Transactions(t *testing.T) {
	t.Parallel()
	r, plain := startRedis(t), startRedis(t)
	g := governedGate(t, r)
	upstream := dial(t, r.addr)
	lines := []string{
		"MULTI", "SET s v EX 999999", "HSET h f v g w", "SADD set a b", "SETNX n 1", "SETNX n 2", "GET s", "HGETALL h", "LPOP none",
		"INCR s", "RENAME h h2", "APPEND a xyz", "GETSET s w", "EXEC",
		"MULTI", "SET k v", "DISCARD", "EXISTS k", "EXEC", "DISCARD",
		"MULTI", "SET k", "SET k v", "EXEC", "EXISTS k",
		"MULTI", "MULTI", "WATCH k", "KEYS *2", "EXEC",
		"WATCH w", "SET w 1", "MULTI", "SET w 2", "EXEC", "GET w",
		"WATCH w", "UNWATCH", "SET w 1", "MULTI", "SET w 2", "EXEC", "GET w", "MULTI", "EXEC",
	}
	for name, run := range map[string]func(*conn) []string{
		"in pieces": func(c *conn) (replies []string) {
			for _, line := range lines {
				replies = append(replies, c.line(line))
			}
			return replies
		},
		"at once": func(c *conn) []string { return c.pipeline(lines...) },
	} {
		for _, dialed := range []func(testing.TB, string) *conn{dial, dial3} {
			direct, proxied := dialed(t, plain.addr), dialed(t, g.addr)
			direct.do("FLUSHALL")
			proxied.do("FLUSHALL")
			want, got := run(direct), run(proxied)
			for i := range lines {
				if got[i] != want[i] {
					t.Errorf("%s: %s = %q, want %q", name, lines[i], got[i], want[i])
				}
			}
			for _, key := range upstream.list("KEYS", "*") {
				if ttl := upstream.int("TTL", key); !strings.HasPrefix(key, "app:") || ttl <= 0 || ttl > 43200 {
					t.Errorf("%s: upstream has %s with a TTL of %d", name, key, ttl)
				}
			}
		}
	}
}

// A command that a rule refuses spoils its transaction, as one that Redis can't queue does.
func TestStateful_RefusedInTransaction(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := governedGate(t, r)
	large := strings.Repeat("x", 2000)
	for _, whole := range []bool{true, false} {
		c := dial(t, g.addr)
		cmds := []string{encode("MULTI"), encode("SET", "a", "1"), encode("SET", "b", large), encode("EXEC"), encode("EXISTS", "a", "b")}
		var got []string
		if whole {
			c.send(strings.Join(cmds, ""))
		}
		for _, cmd := range cmds {
			if !whole {
				c.send(cmd)
			}
			got = append(got, c.read())
		}
		if !strings.HasPrefix(got[2], "-DENIED size: value of 2000 bytes is above the limit of 1024") {
			t.Errorf("SET of a large value = %q", got[2])
		}
		if !strings.HasPrefix(got[3], "-EXECABORT ") || got[4] != ":0\r\n" {
			t.Errorf("EXEC = %q, EXISTS = %q", got[3], got[4])
		}
		dial(t, r.addr).do("SET", "app:big", large)
		c.wantLine(ok, "MULTI")
		c.wantLine("+QUEUED\r\n", "GET big")
		c.wantLine("+QUEUED\r\n", "STRLEN big")
		if got := c.line("EXEC"); !strings.HasPrefix(got, "*2\r\n-DENIED size: value of 2000 bytes") || !strings.HasSuffix(got, ":2000\r\n") {
			t.Errorf("EXEC with a value above the limit = %q", got)
		}
	}
}

// Channels are the tenant's own; others neither hear nor see them.
func TestStateful_PubSub(t *testing.T) {
	t.Parallel()
	r, plain := startRedis(t), startRedis(t)
	g := governedGate(t, r)
	outside := dial(t, r.addr)
	for _, dialed := range []func(testing.TB, string) *conn{dial, dial3} {
		direct, proxied := dialed(t, plain.addr), dialed(t, g.addr)
		for _, line := range []string{"SUBSCRIBE a b a", "PSUBSCRIBE n*", "SSUBSCRIBE s", "UNSUBSCRIBE b", "PING"} {
			direct.send(line + "\r\n")
			proxied.send(line + "\r\n")
			for range max(1, len(strings.Fields(line))-1) {
				if want, got := direct.read(), proxied.read(); got != want {
					t.Errorf("%s = %q, want %q", line, got, want)
				}
			}
		}
		publisher, control := dial(t, g.addr), dial(t, plain.addr)
		for _, line := range []string{"PUBLISH a one", "PUBLISH news two", "SPUBLISH s three", "PUBLISH nobody 4", "PUBSUB CHANNELS", "PUBSUB CHANNELS a*",
			"PUBSUB NUMSUB a b", "PUBSUB NUMPAT", "PUBSUB SHARDCHANNELS", "PUBSUB SHARDNUMSUB s"} {
			same(t, control, publisher, split(line)...)
		}
		outside.do("PUBLISH", "a", "foreign")
		outside.do("PUBLISH", "news", "foreign")
		publisher.do("PUBLISH", "a", "last")
		control.do("PUBLISH", "a", "last")
		for range 5 { // a, news, s, nobody by the pattern n*, a
			if want, got := direct.read(), proxied.read(); got != want {
				t.Errorf("message = %q, want %q", got, want)
			}
		}
		for _, line := range []string{"UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "UNSUBSCRIBE", "PING", "SET k v", "GET k"} {
			direct.send(line + "\r\n")
			proxied.send(line + "\r\n")
			if want, got := direct.read(), proxied.read(); got != want {
				t.Errorf("%s = %q, want %q", line, got, want)
			}
		}
	}
}

// Keyspace notifications tell a tenant of its own keys, by the names it uses.
func TestStateful_KeyspaceNotifications(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	outside := dial(t, r.addr)
	outside.do("CONFIG", "SET", "notify-keyspace-events", "KEA")
	g := governedGate(t, r)
	c, w := dial3(t, g.addr), dial(t, g.addr)
	c.wantPrefix(">3\r\n$9\r\nsubscribe\r\n$18\r\n__keyevent@0__:del\r\n", "SUBSCRIBE __keyevent@0__:del")
	c.wantPrefix(">3\r\n$10\r\npsubscribe\r\n$21\r\n__keyspace@0__:sess:*\r\n", "PSUBSCRIBE __keyspace@0__:sess:*")
	outside.do("SET", "foreign", "v")
	outside.do("DEL", "foreign")
	outside.do("SET", "sess:foreign", "v")
	w.do("SET", "sess:1", "v")
	w.do("DEL", "sess:1")
	channel := "$21\r\n__keyspace@0__:sess:1\r\n"
	for _, want := range []string{
		">4\r\n$8\r\npmessage\r\n$21\r\n__keyspace@0__:sess:*\r\n" + channel + bulk("set"),
		">4\r\n$8\r\npmessage\r\n$21\r\n__keyspace@0__:sess:*\r\n" + channel + bulk("expire"),
		">4\r\n$8\r\npmessage\r\n$21\r\n__keyspace@0__:sess:*\r\n" + channel + bulk("del"),
		">3\r\n$7\r\nmessage\r\n$18\r\n__keyevent@0__:del\r\n" + bulk("sess:1"),
	} {
		if got := c.read(); got != want {
			t.Errorf("notification = %q, want %q", got, want)
		}
	}
}

// Blocking commands wait for the tenant's keys, and what they create has an expiry.
func TestStateful_Blocking(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := governedGate(t, r)
	upstream, w := dial(t, r.addr), dial(t, g.addr)
	blocked := func(n string) {
		eventually(t, n+" clients wait", func() bool { return strings.Contains(upstream.line("INFO clients"), "blocked_clients:"+n+"\r\n") })
	}
	for _, dialed := range []func(testing.TB, string) *conn{dial, dial3} {
		c := dialed(t, g.addr)
		c.send(encode("BLPOP", "none", "q", "0"))
		blocked("1")
		upstream.do("RPUSH", "q", "foreign")
		w.do("RPUSH", "q", "mine")
		if got, want := c.read(), "*2\r\n"+bulk("q")+bulk("mine"); got != want {
			t.Errorf("BLPOP = %q, want %q", got, want)
		}
		c.send(encode("BLMOVE", "q", "d", "LEFT", "RIGHT", "0"))
		blocked("1")
		w.do("RPUSH", "q", "one")
		if got := c.read(); got != bulk("one") {
			t.Errorf("BLMOVE = %q", got)
		}
		if ttl := upstream.int("TTL", "app:d"); ttl <= 0 || ttl > 43200 {
			t.Errorf("BLMOVE's destination has a TTL of %d", ttl)
		}
		w.do("RPUSH", "q", "two")
		c.want(bulk("two"), "BRPOPLPUSH", "q", "d", "1")
		c.do("DEL", "d")
	}
	gone := dial(t, g.addr)
	gone.send(encode("BLPOP", "q", "0"))
	blocked("1")
	gone.Close()
	blocked("0")
	w.do("RPUSH", "q", "kept")
	w.want(":1\r\n", "LLEN", "q")
}
