package integration_test

import "testing"

// Whatever else a client has on its connection when it watches a key, writes of its own that rules follow leave the watch alone, and
// are carried out whatever becomes of the watch.
func TestWatch_BesidesOtherState(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]struct {
		resp   int
		before string // the watch
		after  string // the watch, and before the foreign write
	}{
		"nothing":       {2, "", ""},
		"tracking":      {3, "CLIENT TRACKING ON", ""},
		"subscription":  {3, "SUBSCRIBE x", ""},
		"BLPOP":         {2, "", "BLPOP queue 0.01"},
		"BLMOVE":        {2, "", "BLMOVE queue other LEFT RIGHT 0.01"},
		"BRPOPLPUSH":    {2, "", "BRPOPLPUSH full other 1"},
		"tracking late": {3, "", "CLIENT TRACKING ON NOLOOP"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, m := range modes {
				if !m.ruled {
					continue
				}
				r := startRedis(t)
				direct := dial(t, r.addr)
				direct.do("RPUSH", m.prefix+"full", "a", "b")
				c := dialRESP(t, startGate(t, r.upstream()+m.yaml()).addr, state.resp)
				for _, changed := range []bool{false, true} {
					direct.do("DEL", m.prefix+"k", m.prefix+"hash", m.prefix+"n")
					for _, line := range []string{state.before, "WATCH k", state.after} {
						if line != "" {
							c.wantAny(line)
						}
					}
					if changed {
						direct.want(ok, "SET", m.prefix+"k", "theirs")
					}
					c.wantReply(one, "HSET hash f v")
					c.wantReply(one, "INCR n")
					c.wantReply(ok, "MULTI")
					c.wantReply("+QUEUED\r\n", "SET k mine")
					exec, want := "*1\r\n"+ok, bulk("mine")
					if changed {
						exec, want = map[int]string{2: "*-1\r\n", 3: "_\r\n"}[state.resp], bulk("theirs")
					}
					c.wantReply(exec, "EXEC")
					direct.want(want, "GET", m.prefix+"k")
					direct.want(bulk("v"), "HGET", m.prefix+"hash", "f")
					direct.want(bulk("1"), "GET", m.prefix+"n")
					if ttl := direct.int("TTL", m.prefix+"hash"); ttl < 1 {
						t.Errorf("%s: the hash has TTL %d", m.name, ttl)
					}
				}
			}
		})
	}
}

// Under rules a client that tracks can't run a script between WATCH and MULTI: it is told so, and the watch holds.
func TestWatch_TrackedScript(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	direct := dial(t, r.addr)
	c := dial3(t, startGate(t, r.upstream()+expiryRule).addr)
	c.want(ok, "CLIENT", "TRACKING", "ON")
	c.want(ok, "WATCH", "k")
	c.wantPrefix("-ERR under rules a client that tracks keys can't run scripts between WATCH and MULTI", `EVAL "return 1" 0`)
	direct.want(ok, "SET", "k", "theirs")
	c.wantReply(ok, "MULTI")
	c.wantReply("+QUEUED\r\n", "SET k mine")
	c.wantReply("_\r\n", "EXEC")
}

// wantReply is wantLine for a client that hears things unasked.
func (c *conn) wantReply(want, line string) {
	c.t.Helper()
	c.send(encode(split(line)...))
	if got, err := c.reply(func(string) {}); got != want || err != nil {
		c.t.Errorf("%s\n got %q %v\nwant %q", line, got, err, want)
	}
}

// wantAny sends a line and takes any reply but an error.
func (c *conn) wantAny(line string) {
	c.t.Helper()
	c.send(encode(split(line)...))
	if got, err := c.reply(func(string) {}); err != nil || got[0] == '-' {
		c.t.Errorf("%s\n got %q %v", line, got, err)
	}
}

// A queued SELECT that Redis refuses, or that only looks like a number, misleads nobody about the database that follows.
func TestTransaction_SelectThatFails(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	direct := dial(t, r.addr)
	c := dial(t, startGate(t, r.upstream()+"rules:\n  - {keys: ['long:*'], expiry: {max: 30d}}\n  - {expiry: {default: 10m, max: 1h}}\n").addr)
	c.want(ok, "SET", "long:a", "v", "EX", "2000000")
	for _, db := range []string{"01", "+1", "99", "x", "1"} {
		for _, line := range []string{"COPY long:a sess:b DB 1", "MOVE long:a 1"} {
			c.want(ok, "MULTI")
			c.want("+QUEUED\r\n", "SELECT", db)
			c.wantPrefix("-DENIED expiry: ", line)
			c.wantPrefix("-EXECABORT", "EXEC")
		}
		c.want(ok, "MULTI")
		c.want("+QUEUED\r\n", "SELECT", db)
		c.want("+QUEUED\r\n", "SET", "after", db)
		c.do("EXEC")
		c.want(bulk(db), "GET", "after")
		c.want(ok, "SELECT", "0")
	}
	direct.want(bulk("x"), "GET", "after")
	direct.want(ok, "SELECT", "1")
	direct.want(bulk("1"), "GET", "after")
	direct.want(":1\r\n", "DBSIZE")
}

// What is composed for a tenant stays so while it watches keys, whatever else it has on its connection.
func TestWatch_FlushAll(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"", "BLPOP nolist 0.01", "BLMOVE nolist x LEFT LEFT 0.01"} {
		for _, line := range []string{"FLUSHALL", "FLUSHDB", "FLUSHALL ASYNC"} {
			for _, rules := range []string{"", expiryRule} {
				r := startRedis(t)
				direct := dial(t, r.addr)
				direct.want(ok, "SET", "theirs", "v")
				c := dial(t, startGate(t, r.upstream()+namespaceApp+rules).addr)
				c.want(ok, "SET", "own", "v")
				c.want(ok, "WATCH", "w")
				if state != "" {
					c.wantAny(state)
				}
				c.wantLine(ok, line)
				direct.want("*1\r\n"+bulk("theirs"), "KEYS", "*")
			}
		}
	}
}

// A read-only upstream says so, also to a script or a write that something follows.
func TestReadOnlyUpstream(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	direct := dial(t, r.addr)
	c := dial(t, startGate(t, r.upstream()+expiryRule).addr)
	c.want(ok, "SET", "k", "v")
	direct.want(ok, "REPLICAOF", "127.0.0.1", "1")
	for _, line := range []string{"HSET h f v", "SET k v", `EVAL "return redis.call('SET', KEYS[1], 1)" 1 x`} {
		c.wantPrefix("-READONLY ", line)
	}
}

// What may only read leaves a watch alone under an idle timeout too, whatever Redis takes it for.
func TestWatch_IdleReads(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	c := dial(t, startGate(t, r.upstream()+"rules:\n  - {expiry: {idle: 1h, idle_refresh: 0}}\n").addr)
	c.want(ok, "SET", "k", "v")
	c.want(one, "RPUSH", "list", "1")
	c.want(one, "HSET", "hash", "f", "v")
	for _, read := range []string{"GET k", "BITFIELD k GET u8 0", "GETEX k", "SORT list", `EVAL "return redis.call('GET', KEYS[1])" 1 k`, "HSETNX hash f w",
		"HDEL hash none", "RENAMENX k list", "STRLEN k"} {
		c.want(ok, "WATCH", "k", "list", "hash")
		c.wantAny(read)
		c.want(ok, "MULTI")
		c.want("+QUEUED\r\n", "PING")
		c.send(encode("EXEC"))
		if got := c.read(); got != "*1\r\n+PONG\r\n" {
			t.Errorf("%s between WATCH and MULTI: EXEC = %q", read, got)
		}
	}
}
