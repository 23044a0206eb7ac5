package integration_test

import (
	"fmt"
	"strings"
	"testing"
)

// clientID is the id that a server tells its client.
func (c *conn) clientID() string { return fmt.Sprint(c.int("CLIENT", "ID")) }

// In every mode a client that caches what it has read hears, by the name that it knows, of a foreign write and a foreign logout.
func TestTracking_Invalidations(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		r := startRedis(t)
		g := startGate(t, r.upstream()+m.yaml())
		direct, other := dial(t, r.addr), dial(t, g.addr)
		gone := func(keys ...string) string {
			text := fmt.Sprintf("*%d\r\n", len(keys))
			for _, key := range keys {
				text += bulk(key)
			}
			return ">2\r\n" + bulk("invalidate") + text
		}
		c := dial3(t, g.addr)
		next := func(what, want string) {
			t.Helper()
			if got := c.read(); got != want {
				t.Errorf("%s, %s: %q, want %q", m.name, what, got, want)
			}
		}
		other.want(ok, "MSET", "a", "1", "b", "1", "c", "1")
		c.want(ok, "CLIENT", "TRACKING", "ON")
		c.want(bulk("1"), "GET", "a")
		c.want("*2\r\n"+bulk("1")+bulk("1"), "MGET", "b", "c")
		other.want(ok, "SET", "a", "2")
		next("a write through the proxy", gone("a"))
		direct.want(one, "DEL", m.prefix+"b")
		next("a logout upstream", gone("b"))
		direct.want(one, "PEXPIRE", m.prefix+"c", "1")
		next("an expiry upstream", gone("c"))
		eventually(t, "it has expired", func() bool { return direct.do("EXISTS", m.prefix+"c") == zero })
		if m.prefix != "" {
			c.want("_\r\n", "GET", "x")
			direct.want(ok, "SET", "x", "foreign")
			direct.want(ok, "SET", "app:x", "mine")
			next("a key of that name", gone("x"))
		}
		c.want(bulk("2"), "GET", "a")
		c.send(encode("MULTI") + encode("GET", "a") + encode("EXEC"))
		for _, want := range []string{ok, "+QUEUED\r\n", "*1\r\n" + bulk("2")} {
			next("a transaction", want)
		}
		other.want(one, "DEL", "a")
		next("after a transaction", gone("a"))
		c.want(ok, "CLIENT", "TRACKING", "OFF")
		c.want(ok, "SET", "a", "3")
		c.want(bulk("3"), "GET", "a")
		other.want(ok, "SET", "a", "4")
		c.want(bulk("4"), "GET", "a") // and no push before it

		c.want(ok, "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "s:", "NOLOOP")
		c.want(one, "HSET", "s:own", "f", "v") // nor do our follow-ups tell
		direct.want(ok, "SET", "s:2", "foreign")
		other.want(one, "HSET", "s:1", "f", "v")
		if m.prefix == "" {
			next("BCAST", gone("s:2"))
		}
		next("BCAST", gone("s:1"))
		c.want(ok, "CLIENT", "TRACKING", "OFF")
		c.want(ok, "CLIENT", "TRACKING", "ON", "BCAST", "NOLOOP") // of the tenant's keys, not of the server's
		direct.want(ok, "SET", "any", "foreign")
		other.want(ok, "SET", "any2", "v")
		if m.prefix == "" {
			next("BCAST of all", gone("any"))
		}
		next("BCAST of all", gone("any2"))
		c.want(ok, "CLIENT", "TRACKING", "OFF")
	}
}

// What a client asks of its tracking, and what it does wrong, is answered as by a plain server.
func TestTracking_AsRedis(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		r, plain := startRedis(t), startRedis(t)
		g := startGate(t, r.upstream()+m.yaml())
		for _, dialer := range []func(testing.TB, string) *conn{dial, dial3} {
			c, reference := dialer(t, g.addr), dialer(t, plain.addr)
			for _, line := range []string{
				"CLIENT GETREDIR", "CLIENT TRACKINGINFO", "CLIENT CACHING YES", "CLIENT TRACKING", "CLIENT TRACKING MAYBE",
				"CLIENT TRACKING ON OPTIN OPTOUT", "CLIENT TRACKING ON PREFIX a", "CLIENT TRACKING ON REDIRECT 99999", "CLIENT TRACKING ON REDIRECT x",
				"CLIENT TRACKING ON BCAST OPTIN", "CLIENT TRACKING ON NOSUCH", "CLIENT TRACKING ON BCAST PREFIX ab PREFIX abc",
				"CLIENT TRACKING ON BCAST PREFIX a PREFIX b", "CLIENT TRACKINGINFO", "CLIENT GETREDIR", "CLIENT TRACKING ON BCAST PREFIX abc",
				"CLIENT TRACKING ON", "CLIENT TRACKING OFF", "CLIENT TRACKINGINFO", "CLIENT TRACKING ON BCAST", "CLIENT TRACKINGINFO", "CLIENT TRACKING OFF",
				"CLIENT TRACKING ON OPTIN NOLOOP", "CLIENT TRACKINGINFO", "CLIENT CACHING NO", "CLIENT CACHING YES", "CLIENT TRACKINGINFO", "GET a",
				"CLIENT TRACKING ON OPTOUT", "CLIENT TRACKING OFF", "CLIENT TRACKING ON OPTOUT", "CLIENT CACHING YES", "CLIENT CACHING NO",
				"CLIENT CACHING MAYBE", "CLIENT TRACKING OFF", "CLIENT CACHING NO", "CLIENT GETREDIR",
				"CLIENT UNBLOCK x", "CLIENT UNBLOCK 99999", "CLIENT UNBLOCK 99999 ERROR", "CLIENT UNBLOCK 99999 MAYBE", "CLIENT UNBLOCK 99999 ERROR x", "CLIENT UNBLOCK -1", "CLIENT UNBLOCK",
			} {
				if want, got := reference.line(line), c.line(line); got != want {
					t.Errorf("%s: %s = %q, want %q", m.name, line, got, want)
				}
			}
		}
	}
}

// With OPTIN only what follows CACHING is tracked, be it a transaction or a command that the proxy follows up.
func TestTracking_OptIn(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		r := startRedis(t)
		g := startGate(t, r.upstream()+m.yaml())
		c, other := dial3(t, g.addr), dial(t, g.addr)
		other.want(ok, "MSET", "a", "1", "b", "1", "c", "1", "d", "1")
		c.want(ok, "CLIENT", "TRACKING", "ON", "OPTIN")
		c.want(bulk("1"), "GET", "a")
		c.want(ok, "CLIENT", "CACHING", "YES")
		c.want(bulk("1"), "GET", "b")
		c.want(bulk("1"), "GET", "c")
		c.want(ok, "CLIENT", "CACHING", "YES")
		c.send(encode("MULTI") + encode("GET", "d") + encode("EXEC"))
		for _, want := range []string{ok, "+QUEUED\r\n", "*1\r\n" + bulk("1")} {
			if got := c.read(); got != want {
				t.Errorf("%s: %q, want %q", m.name, got, want)
			}
		}
		for _, key := range []string{"a", "b", "c", "d"} {
			other.want(ok, "SET", key, "2")
		}
		for _, key := range []string{"b", "d"} {
			if want, got := ">2\r\n"+bulk("invalidate")+"*1\r\n"+bulk(key), c.read(); got != want {
				t.Errorf("%s: %q, want %q", m.name, got, want)
			}
		}
		c.want("+PONG\r\n", "PING")
	}
}

// Two connections in RESP2: one reads, the other one hears, whichever of both comes first.
func TestTracking_Redirect(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		r := startRedis(t)
		g := startGate(t, r.upstream()+m.yaml())
		other := dial(t, g.addr)
		for _, late := range []bool{false, true} {
			c, ear := dial(t, g.addr), dial(t, g.addr)
			id := ear.clientID()
			listen := func() {
				ear.want("*3\r\n"+bulk("subscribe")+bulk("__redis__:invalidate")+one, "SUBSCRIBE", "__redis__:invalidate")
			}
			if !late {
				listen()
			}
			c.want(ok, "CLIENT", "TRACKING", "ON", "REDIRECT", id)
			if late {
				listen()
			}
			c.want(":"+id+"\r\n", "CLIENT", "GETREDIR")
			if got := c.do("CLIENT", "TRACKINGINFO"); !strings.Contains(got, ":"+id+"\r\n") {
				t.Errorf("%s: TRACKINGINFO = %q, want the id %s", m.name, got, id)
			}
			other.want(ok, "SET", "k", "v")
			c.want(bulk("v"), "GET", "k")
			other.want(one, "DEL", "k")
			want := "*3\r\n" + bulk("message") + bulk("__redis__:invalidate") + "*1\r\n" + bulk("k")
			if got := ear.read(); got != want {
				t.Errorf("%s: %q, want %q", m.name, got, want)
			}
			c.want("$-1\r\n", "GET", "k")
			ear.Close()
			eventually(t, "the redirection is broken", func() bool {
				c.do("GET", "k")
				other.want(ok, "SET", "k", "v")
				return strings.Contains(c.do("CLIENT", "TRACKINGINFO"), "broken_redirect")
			})
			other.want(one, "DEL", "k")
		}
		ear := dial3(t, g.addr)
		c := dial3(t, g.addr)
		id := ear.clientID()
		c.want(ok, "CLIENT", "TRACKING", "ON", "REDIRECT", id)
		c.want("_\r\n", "GET", "k")
		other.want(ok, "SET", "k", "v")
		if want, got := ">2\r\n"+bulk("invalidate")+"*1\r\n"+bulk("k"), ear.read(); got != want {
			t.Errorf("%s: %q, want %q", m.name, got, want)
		}
		c.want(bulk("v"), "GET", "k")
		ear.Close()
		eventually(t, "the listener is gone", func() bool { return !strings.Contains(other.do("CLIENT", "LIST"), "id="+id+" ") })
		other.want(ok, "SET", "k", "w")
		if want, got := ">2\r\n$21\r\ntracking-redir-broken\r\n:"+id+"\r\n", c.read(); got != want {
			t.Errorf("%s: %q, want %q", m.name, got, want)
		}
	}
}

// A tenant redirects to none but its own clients, and wakes none but these.
func TestTracking_TenantsApart(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"tenants:\n  - {name: a, password: a, namespace: 'a:'}\n  - {name: b, password: b, namespace: 'b:'}\n")
	a, b := dial(t, g.addr), dial(t, g.addr)
	a.want(ok, "AUTH", "a")
	b.want(ok, "AUTH", "b")
	id := b.clientID()
	a.want("-ERR The client ID you want redirect to does not exist\r\n", "CLIENT", "TRACKING", "ON", "REDIRECT", id)
	b.send(encode("BLPOP", "q", "0"))
	eventually(t, "b blocks", func() bool { return strings.Contains(dial(t, r.addr).do("INFO", "clients"), "blocked_clients:1") })
	a.want(zero, "CLIENT", "UNBLOCK", id)
	b2 := dial(t, g.addr)
	b2.want(ok, "AUTH", "b")
	b2.want(one, "CLIENT", "UNBLOCK", id, "ERROR")
	if got := b.read(); got != "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n" {
		t.Errorf("UNBLOCK ERROR: %q", got)
	}
	b2.want(zero, "CLIENT", "UNBLOCK", id)
}

// A client that waits for an element to move, which under an expiry rule takes several steps, is woken like any other.
func TestUnblock(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		r := startRedis(t)
		g := startGate(t, r.upstream()+m.yaml())
		c, other, direct := dial(t, g.addr), dial(t, g.addr), dial(t, r.addr)
		id := c.clientID()
		for _, line := range []string{"BLPOP q 0", "BLMOVE q d LEFT RIGHT 0", "BRPOPLPUSH q d 0", "XREAD BLOCK 0 STREAMS s $", "BZPOPMIN z 0"} {
			for how, want := range map[string]string{"TIMEOUT": "*-1\r\n", "ERROR": "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"} {
				c.send(encode(strings.Fields(line)...))
				eventually(t, "it blocks", func() bool { return strings.Contains(direct.do("INFO", "clients"), "blocked_clients:1") })
				other.want(one, "CLIENT", "UNBLOCK", id, how)
				if got := c.read(); got != want {
					t.Errorf("%s: %s, %s: %q, want %q", m.name, line, how, got, want)
				}
			}
		}
	}
}

// A client that caches gets the same replies and pushes in the same order as from a plain server, whatever it does in between.
// In a case, a line that begins with @ is another client's; after it the caching client asks for something, which brings what it
// has been told until then.
func TestTracking_Differential(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"what comes after CACHING NO": "CLIENT TRACKING ON OPTOUT, CLIENT CACHING NO, PING, GET a, @SET a 1, CLIENT CACHING NO, SET a, GET a, @SET a 2, " +
			"CLIENT CACHING NO, GETX a, GET a, @SET a 3, CLIENT CACHING NO, CLIENT ID, CLIENT TRACKINGINFO, GET a, @SET a 4, CLIENT CACHING NO, SELECT 0, GET a, @DEL a, " +
			"CLIENT CACHING NO, ECHO x, GET a, @SET a 5, CLIENT CACHING NO, CLIENT CACHING NO, GET a, @SET a 6, CLIENT CACHING NO, CLIENT NOSUCH, GET a, @SET a 7",
		"what comes after CACHING YES": "CLIENT TRACKING ON OPTIN, CLIENT CACHING YES, PING, GET a, @SET a 1, CLIENT CACHING YES, GET a, @SET a 2, CLIENT CACHING YES, CLIENT GETREDIR, GET a, " +
			"@SET a 3, GET a, @SET a 4, CLIENT CACHING YES, DBSIZE, GET a, @SET a 5, CLIENT CACHING YES, MGET a b, @MSET a 6 b 6",
		"transactions": "CLIENT TRACKING ON OPTIN, CLIENT CACHING YES, MULTI, GET a, PING, MGET b c, SET d 1, EXEC, GET e, @MSET a 1 b 1 c 1 e 1, " +
			"MULTI, GET a, CLIENT CACHING YES, GET b, EXEC, GET c, @MSET a 2 b 2 c 2, MULTI, CLIENT CACHING MAYBE, GET b, EXEC, CLIENT CACHING YES, MULTI, DISCARD, GET a, @SET a 3, " +
			"CLIENT CACHING YES, MULTI, GET, GET a, EXEC, GET a, @SET a 4",
		"tracking begins in a transaction": "MULTI, CLIENT TRACKING ON, GET a, EXEC, GET b, @SET a 1, @SET b 1, MULTI, CLIENT TRACKING OFF, EXEC, GET a, @SET a 2, CLIENT TRACKINGINFO, " +
			"MULTI, CLIENT TRACKING ON NOSUCH, EXEC, GET a, @SET a 3",
		"its own writes": "CLIENT TRACKING ON NOLOOP, GET a, SET a 1, HSET h f v, HGETALL h, HSET h f w, @HSET h f x, GET a, @SET a 2, SETNX n 1, GET n, APPEND n x, EXPIRE n 10, @DEL n, " +
			"SADD s a, SMEMBERS s, SADD s b, SORT s ALPHA STORE l, LRANGE l 0 -1, LPUSH l x, @DEL l s",
		"all kinds of reads": "CLIENT TRACKING ON, @RPUSH l a b, @HSET h f v, @ZADD z 1 m, @XADD x 1-1 f v, LRANGE l 0 -1, HGETALL h, ZRANGE z 0 -1, XREAD STREAMS x 0, SORT_RO l ALPHA, EXISTS a b, TTL c, " +
			"TYPE d, STRLEN e, BITCOUNT f, OBJECT ENCODING l, @DEL l, @DEL h, @DEL z, @DEL x, @SET a 1, @SET b 1, @SET c 1, @SET d 1, @SET e 1, @SET f 1",
		"several databases": "CLIENT TRACKING ON, GET a, SELECT 1, GET b, @SET a 1, @SET b 1, SELECT 0, MULTI, SELECT 2, GET c, EXEC, GET d, @SET c 1, @SET d 1",
		"broadcast": "CLIENT TRACKING ON BCAST PREFIX s: PREFIX t:, @SET s:1 v, @SET u:1 v, @SET t:1 v, CLIENT TRACKING ON BCAST PREFIX u:, @SET u:1 w, CLIENT TRACKING ON BCAST PREFIX u:1, " +
			"CLIENT TRACKINGINFO, CLIENT TRACKING OFF, @SET u:1 x, CLIENT TRACKING ON BCAST, CLIENT TRACKING ON BCAST, CLIENT TRACKINGINFO, @SET any v, @DEL any, " +
			"CLIENT TRACKING ON BCAST PREFIX a, CLIENT TRACKING ON BCAST OPTIN, CLIENT TRACKINGINFO, CLIENT TRACKING OFF, " +
			"CLIENT TRACKING ON BCAST PREFIX any, CLIENT TRACKING ON BCAST, @SET more v",
		"it changes its version": "CLIENT TRACKING ON, GET a, HELLO 2 NOSUCH, GET b, @SET a 1, CLIENT TRACKINGINFO, GET c, @SET c 1",
		"scripts": "CLIENT TRACKING ON, EVAL return#redis.call('GET',KEYS[1]) 1 a, @SET a 1, EVAL_RO return#redis.call('GET',KEYS[1]) 1 a, EVAL return#1 0, @SET a 2, CLIENT TRACKING OFF, " +
			"CLIENT TRACKING ON OPTIN, EVAL return#redis.call('GET',KEYS[1]) 1 a, @SET a 3, CLIENT CACHING YES, EVAL return#redis.call('GET',KEYS[1]) 1 a, GET b, @SET a 4, @SET b 4, " +
			"EVAL return#nosuch( 0, EVAL return#1 2 a, CLIENT TRACKING OFF, CLIENT TRACKING ON NOLOOP, GET a, EVAL return#redis.call('SET',KEYS[1],'x') 1 a, @SET a 5",
	}
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			r, plain := startRedis(t), startRedis(t)
			g := startGate(t, r.upstream()+m.yaml())
			for name, steps := range cases {
				want, got := listening(t, plain.addr, steps), listening(t, g.addr, steps)
				for i := range want {
					if i < len(got) && got[i] != want[i] {
						t.Errorf("%s: %s", name, differ(got[i], want[i]))
					}
				}
			}
		})
	}
}

func differ(got, want string) string { return fmt.Sprintf("\n got %q\nwant %q", got, want) }

// listening carries out the steps at a server that is emptied first, and returns for each what the caching client was sent, in
// which # stands for a space.
func listening(t *testing.T, addr, steps string) (sent []string) {
	t.Helper()
	c, other := dial3(t, addr), dial(t, addr)
	other.want(ok, "FLUSHALL")
	for i, step := range strings.Split(steps, ", ") {
		line, others := strings.CutPrefix(step, "@")
		if others {
			other.line(line)
			line = "EXISTS none"
		}
		args := split(line)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "#", " ")
		}
		c.send(encode(args...))
		text := fmt.Sprintf("%d %s: ", i, step)
		for {
			reply := c.read()
			if line != "CLIENT ID" {
				text += reply
			}
			if reply[0] != '>' {
				break
			}
		}
		sent = append(sent, text)
	}
	return sent
}

// Whatever the client is doing to whom invalidations are redirected, it goes on doing, and hears of them as long as it is there.
func TestTracking_RedirectTargets(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		r := startRedis(t)
		g := startGate(t, r.upstream()+m.yaml())
		other, direct := dial(t, g.addr), dial(t, r.addr)
		blocked := func(n string) {
			t.Helper()
			eventually(t, n+" clients wait", func() bool { return strings.Contains(direct.do("INFO", "clients"), "blocked_clients:"+n+"\r\n") })
		}
		for name, target := range map[string]struct{ before, after func(ear *conn) }{
			"it waits": {
				func(ear *conn) { ear.send(encode("BLPOP", "q", "0")); blocked("1") },
				func(ear *conn) {
					other.do("RPUSH", "q", "v")
					if want, got := "*2\r\n"+bulk("q")+bulk("v"), ear.read(); got != want {
						t.Errorf("BLPOP = %q, want %q", got, want)
					}
				},
			},
			"it is in a transaction": {
				func(ear *conn) { ear.want(ok, "MULTI"); ear.want("+QUEUED\r\n", "SET", "t", "v") },
				func(ear *conn) { ear.want("*1\r\n"+ok, "EXEC") },
			},
			"it watches": {
				func(ear *conn) { ear.want(ok, "WATCH", "w") },
				func(ear *conn) {
					other.do("SET", "w", "v")
					ear.want(ok, "MULTI")
					ear.do("GET", "w")
					if got := ear.do("EXEC"); got != "*-1\r\n" && got != "_\r\n" {
						t.Errorf("EXEC after a change = %q", got)
					}
				},
			},
			"it does nothing": {func(*conn) {}, func(*conn) {}},
		} {
			for _, dialer := range []func(testing.TB, string) *conn{dial, dial3} {
				ear, c := dialer(t, g.addr), dial(t, g.addr)
				id := ear.clientID()
				target.before(ear)
				c.want(ok, "CLIENT", "TRACKING", "ON", "REDIRECT", id)
				target.after(ear)
				if ear.do("PING") != pong {
					t.Errorf("%s, %s: PING", m.name, name)
				}
				ear.do("HELLO", "3")
				c.do("GET", "k")
				other.do("SET", "k", name)
				if want, got := ">2\r\n"+bulk("invalidate")+"*1\r\n"+bulk("k"), ear.read(); got != want {
					t.Errorf("%s, %s: %q, want %q", m.name, name, got, want)
				}
				if list := other.do("CLIENT", "LIST"); !strings.Contains(list, "flags=t ") || !strings.Contains(list, "redir="+id+" ") {
					t.Errorf("%s: CLIENT LIST = %q", m.name, list)
				}
				other.want(one, "CLIENT", "KILL", "ID", id)
				ear.closed()
				eventually(t, "it is gone", func() bool { return !strings.Contains(other.do("CLIENT", "LIST"), "id="+id+" ") })
				c.want("-ERR The client ID you want redirect to does not exist\r\n", "CLIENT", "TRACKING", "ON", "REDIRECT", id)
				c.want(":"+id+"\r\n", "CLIENT", "GETREDIR")
				c.do("GET", "k")
				other.do("SET", "k", "v")
				if got := c.do("CLIENT", "TRACKINGINFO"); !strings.Contains(got, "broken_redirect") || !strings.Contains(got, ":"+id+"\r\n") {
					t.Errorf("%s: TRACKINGINFO = %q", m.name, got)
				}
				c.Close()
				eventually(t, "its reader is gone", func() bool { return !strings.Contains(other.do("CLIENT", "LIST"), "redir="+id+" ") })
			}
		}
	}
}

// Two clients may each redirect to the other, at once, and a client to itself.
func TestTracking_RedirectToEachOther(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+namespaceApp)
	a, b, other := dial3(t, g.addr), dial3(t, g.addr), dial(t, g.addr)
	first, second := a.clientID(), b.clientID()
	a.send(encode("CLIENT", "TRACKING", "ON", "REDIRECT", second))
	b.send(encode("CLIENT", "TRACKING", "ON", "REDIRECT", first))
	for _, c := range []*conn{a, b} {
		if got := c.read(); got != ok {
			t.Errorf("REDIRECT = %q", got)
		}
	}
	a.want("_\r\n", "GET", "a")
	b.want("_\r\n", "GET", "b")
	other.want(ok, "MSET", "a", "1", "b", "1")
	for key, c := range map[string]*conn{"b": a, "a": b} {
		if want, got := ">2\r\n"+bulk("invalidate")+"*1\r\n"+bulk(key), c.read(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	a.want(ok, "CLIENT", "TRACKING", "ON", "REDIRECT", first)
	a.want(bulk("1"), "GET", "a")
	other.want(ok, "SET", "a", "2")
	if want, got := ">2\r\n"+bulk("invalidate")+"*1\r\n"+bulk("a"), a.read(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Asking about tracking takes no connection upstream, and who has switched it off gives his back.
func TestTracking_GivesBack(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		r := startRedis(t)
		g := startGate(t, r.upstream()+m.yaml())
		c, direct := dial(t, g.addr), dial(t, r.addr)
		c.want(null, "GET", "k")
		clients := func() int { return len(strings.Split(direct.do("CLIENT", "LIST"), "\n")) }
		before := clients()
		for _, line := range []string{"CLIENT GETREDIR", "CLIENT TRACKINGINFO", "CLIENT CACHING YES", "CLIENT TRACKING OFF", "CLIENT TRACKING MAYBE"} {
			c.line(line)
		}
		if now := clients(); now != before {
			t.Errorf("%s: %d lines of clients, before it asked %d", m.name, now, before)
		}
		c.want(ok, "CLIENT", "TRACKING", "ON")
		if now := clients(); now != before+1 {
			t.Errorf("%s: %d lines of clients while one tracks, want %d", m.name, now, before+1)
		}
		c.want(ok, "CLIENT", "TRACKING", "OFF")
		eventually(t, "its connection is gone", func() bool { return clients() == before })
		c.want(null, "GET", "k")
		subscriber := dial3(t, g.addr)
		subscriber.wantPrefix(">3", "SUBSCRIBE news")
		subscriber.want(ok, "CLIENT", "TRACKING", "ON")
		subscriber.want(ok, "CLIENT", "TRACKING", "OFF")
		dial(t, g.addr).want(one, "PUBLISH", "news", "v")
		if got := subscriber.read(); !strings.HasPrefix(got, ">3") {
			t.Errorf("%s: a subscriber that tracked gets %q", m.name, got)
		}
	}
}

// A client in RESP3 that has subscriptions empties every database, not only the one that its connection is in.
func TestTracking_FlushAll(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+namespaceApp)
	c, other, direct := dial3(t, g.addr), dial(t, g.addr), dial(t, r.addr)
	other.want(ok, "SET", "a", "v")
	other.want(ok, "SELECT", "3")
	other.want(ok, "SET", "b", "v")
	direct.want(ok, "SET", "theirs", "v")
	c.wantPrefix(">3", "SUBSCRIBE news")
	c.want(ok, "CLIENT", "TRACKING", "ON")
	c.want(bulk("v"), "GET", "a")
	c.want(ok, "SELECT", "3")
	c.want(ok, "FLUSHALL")
	if want, got := ">2\r\n"+bulk("invalidate")+"*1\r\n"+bulk("a"), c.read(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	c.want(zero, "DBSIZE")
	other.want(zero, "EXISTS", "b")
	c.want(ok, "SELECT", "0")
	c.want(zero, "DBSIZE")
	direct.want(one, "EXISTS", "theirs")
}

// Under an idle timeout, what reads and can't make a key leaves a tracked key tracked, also where Redis takes it for a write.
func TestTracking_IdleReads(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"rules:\n  - {expiry: {idle: 1h, idle_refresh: 0}}\n")
	other := dial(t, g.addr)
	c := dial3(t, g.addr)
	c.want(ok, "CLIENT", "TRACKING", "ON", "NOLOOP")
	for read, key := range map[string]string{"GET k": "k", "GETEX k": "k", "SORT list": "list", "LPOP list 0": "list"} {
		other.want(ok, "SET", "k", "v")
		other.do("RPUSH", "list", "1")
		fetch := map[string]string{"k": "GET k", "list": "LRANGE list 0 -1"}[key]
		c.wantAny(fetch)
		c.wantAny(read)
		other.want(one, "DEL", key)
		if got, want := c.read(), ">2\r\n"+bulk("invalidate")+"*1\r\n"+bulk(key); got != want {
			t.Errorf("%s: the client hears %q, want %q", read, got, want)
		}
	}
}
