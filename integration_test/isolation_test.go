package integration_test

import (
	"strings"
	"testing"
)

// Whatever one client leaves half done, the others notice nothing, and nothing gets around its tenant's rules.
func TestIsolation(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	upstream := dial(t, r.addr)
	open := startGate(t, r.upstream())
	ruled := governedGate(t, r)
	upstream.do("SET", "foreign", "kept")

	attacker := dial(t, open.addr)
	attacker.send(encode("MULTI") + encode("SET", "a", "1") + encode("POST", "x") + encode("EXEC"))
	attacker.readAll()
	dial(t, open.addr).want(bulk("kept"), "GET", "foreign")

	c := dial(t, ruled.addr)
	c.wantLine(ok, "WATCH k")
	c.wantLine(ok, "FLUSHALL")
	c.wantLine(ok, "MULTI")
	dial(t, ruled.addr).wantLine(null, "GET k")
	for _, line := range []string{"FLUSHALL", "FLUSHDB", "DBSIZE", "RANDOMKEY", "CLIENT LIST", "CLIENT KILL TYPE normal"} {
		c := dial(t, ruled.addr)
		c.wantLine(ok, "MULTI")
		c.wantPrefix("-ERR '", line)
		c.wantPrefix("-EXECABORT", "EXEC")
		whole := dial(t, ruled.addr).pipeline("MULTI", line, "EXEC")
		if !strings.HasPrefix(whole[2], "-EXECABORT") {
			t.Errorf("MULTI, %s, EXEC at once = %q", line, whole)
		}
	}
	upstream.want(":1\r\n", "EXISTS", "foreign")
}

// Watched keys are watched until EXEC or UNWATCH, by nobody else, and across a write that an EXPIRE follows.
func TestIsolation_Watch(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	upstream := dial(t, r.addr)
	g := governedGate(t, r)
	a, b := dial(t, g.addr), dial(t, g.addr)
	a.wantLine(ok, "WATCH k")
	a.wantPrefix("-ERR EXEC without MULTI", "EXEC")
	upstream.do("SET", "app:k", "1")
	for _, line := range []string{"MULTI", "SET x 1"} {
		b.line(line)
	}
	b.wantLine("*1\r\n+OK\r\n", "EXEC")
	for _, line := range []string{"MULTI", "SET y 1"} {
		a.line(line)
	}
	a.wantLine("*-1\r\n", "EXEC")

	a.wantLine(ok, "WATCH k")
	upstream.do("SET", "app:k", "2")
	a.wantLine(":1\r\n", "HSET h f v")
	a.line("MULTI")
	a.line("SET k mine")
	a.wantLine("*-1\r\n", "EXEC")
	a.wantLine(bulk("2"), "GET k")
}

// A rule that denies the end of a transaction can't leave one open on a connection that others use, and one that denies its
// beginning doesn't let what follows out of the rules.
func TestIsolation_DeniedTransaction(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	dial(t, r.addr).do("SET", "app:big", strings.Repeat("x", 5000))
	for _, commands := range []string{"{deny: [exec, discard, unwatch]}", `{allow: ["@read", "@write", "@keyspace", "@connection"]}`} {
		g := startGate(t, r.upstream()+"namespace: \"app:\"\nrules: [{name: web, size: {value: 1KiB}, commands: "+commands+"}]\n")
		for _, end := range []string{"EXEC", "DISCARD"} {
			replies := dial(t, g.addr).pipeline("MULTI", "KEYS *", "GET big", end)
			dial(t, g.addr).wantLine(null, "GET none")
			for _, reply := range replies {
				if strings.Contains(reply, "app:") || strings.Contains(reply, "xxx") {
					t.Errorf("%s, %s: %s", commands, end, shorten(reply))
				}
			}
		}
	}
}

// What a client holds on a connection of its own neither loses it nor lends it when it selects another database.
func TestIsolation_Select(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	upstream := dial(t, r.addr)
	g := startGate(t, r.upstream())
	c := dial(t, g.addr)
	c.wantLine(ok, "WATCH k")
	c.wantLine(ok, "SELECT 1")
	upstream.do("SET", "k", "changed")
	c.line("MULTI")
	c.line("SET z 1")
	c.wantLine("*-1\r\n", "EXEC")

	c = dial(t, g.addr)
	for _, line := range []string{"MULTI", "SELECT 3", "SET in3 v", "EXEC"} {
		c.line(line)
	}
	c.wantLine(bulk("v"), "GET in3")
	for _, line := range []string{"MULTI", "SELECT 99", "EXEC"} { // refused only when it is carried out
		c.line(line)
	}
	c.wantLine(bulk("v"), "GET in3")
	c.wantPrefix("-ERR value is not an integer", "SELECT +0")

	s := dial3(t, g.addr)
	s.wantPrefix(">3", "SUBSCRIBE news")
	s.wantLine(ok, "SELECT 1")
	upstream.want(":1\r\n", "PUBLISH", "news", "hello")
	if got, want := s.read(), ">3\r\n"+bulk("message")+bulk("news")+bulk("hello"); got != want {
		t.Errorf("after SELECT a subscriber reads %q, want %q", got, want)
	}
}

// Limits and lists hold beside subscriptions, and a client that doesn't read them can be killed.
func TestIsolation_Subscribers(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	upstream := dial(t, r.addr)
	upstream.do("SET", "app:big", strings.Repeat("x", 5000))
	g := governedGate(t, r)
	c := dial3(t, g.addr)
	c.wantPrefix(">3", "SUBSCRIBE news")
	c.wantPrefix("-DENIED size: value of 5000 bytes", "GET big")
	c.send(encode("BLPOP", "none", "0"))
	eventually(t, "it waits", func() bool { return strings.Contains(upstream.line("INFO clients"), "blocked_clients:1\r\n") })
	upstream.do("PUBLISH", "app:news", "now")
	if got, want := c.read(), ">3\r\n"+bulk("message")+bulk("news")+bulk("now"); got != want {
		t.Errorf("while it waits a subscriber reads %q, want %q", got, want)
	}

	c = dial(t, g.addr)
	c.wantPrefix("*3", "SUBSCRIBE news")
	c.wantPrefix("-ERR Can't execute 'multi'", "MULTI")
	c.wantPrefix("*3", "UNSUBSCRIBE news")
	c.wantLine(ok, "WATCH k")
	c.wantPrefix("*3", "SUBSCRIBE news")
	c.wantPrefix("*3", "UNSUBSCRIBE news")
	c.wantLine(":3\r\n", "RPUSH l message news x")
	c.wantLine("*3\r\n"+bulk("message")+bulk("news")+bulk("x"), "LRANGE l 0 -1")

	c.wantPrefix("*-1", "BLPOP none 0.01")
	for range 20 { // whatever little time is left at the second try, it ends
		if got := dial(t, g.addr).line("BLMOVE none d LEFT LEFT 0.0004"); !strings.HasPrefix(got, "*-1") && got != null {
			t.Fatalf("BLMOVE with hardly any time = %q", got)
		}
	}

	deaf, killer := dial(t, g.addr), dial(t, g.addr)
	deaf.line("CLIENT SETNAME deaf")
	id := strings.Trim(deaf.line("CLIENT ID"), ":\r\n")
	deaf.wantPrefix("*3", "SUBSCRIBE flood")
	for range 40 {
		upstream.do("PUBLISH", "app:flood", strings.Repeat("x", 1<<20))
	}
	killer.want(":1\r\n", "CLIENT", "KILL", "ID", id)
	eventually(t, "the deaf one is gone", func() bool { return !strings.Contains(killer.line("CLIENT LIST"), "name=deaf") })
}
