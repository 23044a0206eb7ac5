package integration_test

import (
	"fmt"
	"strings"
	"testing"
)

// What a client had asked for that was killed, or went away, while it was held is not run when the pause is over.
func TestPause_Gone(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g, admin := startGateWithAdmin(t, r.upstream(), "")
	operator := dialAdmin(t, admin)
	killed, gone, stays := dial(t, g.addr), dial(t, g.addr), dial(t, g.addr)
	id := fmt.Sprint(killed.int("CLIENT", "ID"))
	if reply := operator.do("SESSIONGATE", "PAUSE", "60"); !strings.Contains(reply, "paused=true") {
		t.Fatalf("PAUSE = %q", reply)
	}
	held := func(n int) {
		t.Helper()
		eventually(t, "clients are held", func() bool {
			return strings.Contains(operator.do("SESSIONGATE", "STATUS"), fmt.Sprint("pause.held=", n))
		})
	}
	for name, c := range map[string]*conn{"killed": killed, "gone": gone, "stays": stays} {
		c.send(encode("INCR", name) + encode("INCR", name))
	}
	held(3)
	if reply := operator.do("SESSIONGATE", "KILL", id); !strings.Contains(reply, "killed=1") {
		t.Errorf("KILL = %q", reply)
	}
	killed.closed()
	held(2)
	gone.Close()
	operator.want("*1\r\n$12\r\npaused=false\r\n", "SESSIONGATE", "RESUME")
	stays.wantNext(one)
	stays.wantNext(":2\r\n")
	eventually(t, "the others have left", func() bool { return strings.Contains(operator.do("SESSIONGATE", "STATUS"), "clients=1\r\n") })
	dial(t, r.addr).want("*3\r\n$-1\r\n$-1\r\n"+bulk("2"), "MGET", "killed", "gone", "stays")
}

// Of two pauses at once one is refused, without waiting for the other.
func TestPause_Twice(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g, admin := startGateWithAdmin(t, r.upstream(), "")
	operator, other, c := dialAdmin(t, admin), dialAdmin(t, admin), dial(t, g.addr)
	c.want(ok, "WATCH", "a")
	operator.send(encode("SESSIONGATE", "PAUSE", "60"))
	eventually(t, "it begins", func() bool { return strings.Contains(other.do("SESSIONGATE", "STATUS"), "paused=true") })
	other.want("-ERR the proxy: it is paused already\r\n", "SESSIONGATE", "PAUSE", "1")
	if reply := operator.read(); !strings.HasPrefix(reply, "-ERR 1 clients are in the middle") { // after 5 s, not 60
		t.Errorf("PAUSE = %q", reply)
	}
}
