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
