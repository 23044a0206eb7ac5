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
