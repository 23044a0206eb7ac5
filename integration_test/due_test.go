package integration_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// Who is to leave gets the reply that is due first: the command has run.

// paused is the upstream for tests in which Redis answers nothing for a while, which takes long on a busy machine.
func paused(r *redisServer) string {
	return "upstream: {url: redis://" + r.addr + ", read_timeout: 1m}\n"
}

// isHeld reports whether Redis holds that command of somebody's back.
func isHeld(direct *conn, command string) bool {
	for line := range strings.Lines(direct.do("CLIENT", "LIST")) {
		if strings.Contains(line, " flags=b ") && strings.Contains(line, " cmd="+command+" ") {
			return true
		}
	}
	return false
}

// A client that waits for a reply isn't idle, and neither is one that has just got it, or is held by a pause.
func TestDue_Idle(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g, admin := startGateWithAdmin(t, paused(r)+"limits: {idle: 1s}\n", "")
	direct, c := dial(t, r.addr), dial(t, g.addr)
	c.want(pong, "PING")
	direct.want(ok, "CLIENT", "PAUSE", "4500", "WRITE")
	c.want(ok, "SET", "k", "v")
	c.want(bulk("v"), "GET", "k")
	held := dial(t, g.addr)
	held.want(pong, "PING")
	operator := dialAdmin(t, admin)
	if reply := operator.do("SESSIONGATE", "PAUSE", "5"); !strings.Contains(reply, "paused=true") {
		t.Fatalf("PAUSE = %q", reply)
	}
	held.want(bulk("v"), "GET", "k")
	held.closed() // and idle again
}

// A client whose tenant is gone gets the reply to what it had sent before.
func TestDue_TenantGone(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	other := "- {name: other, user: other, password: o, namespace: 'o:'}\n"
	g := startChanging(t, paused(r), "tenants:\n- {name: a, passwords: [p], namespace: 'a:'}\n"+other)
	c, silent := dial(t, g.addr), dial(t, g.addr)
	c.want(ok, "AUTH", "p")
	silent.want(ok, "AUTH", "p")
	direct := dial(t, r.addr)
	direct.want(ok, "CLIENT", "PAUSE", "60000", "WRITE")
	c.send(encode("SET", "k", "v"))
	eventually(t, "the write is under way", func() bool { return isHeld(direct, "set") })
	g.reload("tenants:\n- {name: b, passwords: [p], namespace: 'b:'}\n" + other)
	silent.closed()
	direct.want(ok, "CLIENT", "UNPAUSE")
	c.wantNext(ok)
	c.closed()
	direct.want(bulk("v"), "GET", "a:k")
}

// So does one that has sent a long pipeline, of which some is under way: as many replies as commands have run.
func TestDue_Pipeline(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	other := "- {name: other, user: other, password: o, namespace: 'o:'}\n"
	g := startChanging(t, paused(r), "tenants:\n- {name: a, passwords: [p], namespace: 'a:'}\n"+other)
	c, silent, direct := dial(t, g.addr), dial(t, g.addr), dial(t, r.addr)
	c.want(ok, "AUTH", "p")
	silent.want(ok, "AUTH", "p")
	direct.want(ok, "CLIENT", "PAUSE", "60000", "WRITE")
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(c, strings.Repeat(encode("INCR", "n"), 150_000))
		sent <- err
	}()
	eventually(t, "writes are under way", func() bool { return isHeld(direct, "incr") })
	g.reload("tenants:\n- {name: b, passwords: [p], namespace: 'b:'}\n" + other)
	silent.closed()
	direct.want(ok, "CLIENT", "UNPAUSE")
	replies, _ := io.ReadAll(c) // it ends, or is reset as there is more to read
	<-sent
	got := strings.Count(string(replies), "\r\n")
	if want := direct.do("GET", "a:n"); bulk(fmt.Sprint(got)) != want || got == 0 || got == 150_000 {
		t.Errorf("%d replies of 150000, and the commands that ran made it %q", got, want)
	}
}
