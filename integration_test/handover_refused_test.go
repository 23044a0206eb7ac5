package integration_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const notHandedOver = "hand-over failed, this process goes on"

// fails has the gate try to hand over, and fail because of that.
func (g *gate) fails(t *testing.T, why string) {
	t.Helper()
	n := len(g.said(notHandedOver))
	g.signal(t, syscall.SIGUSR2)
	eventually(t, "it says that hand-over failed", func() bool { return len(g.said(notHandedOver)) > n })
	if got := g.said(notHandedOver)[n].Error; !strings.Contains(got, why) {
		t.Errorf("hand-over failed because %q, want %q", got, why)
	}
}

// A hand-over that fails leaves the files of UNIX sockets where they are, however far the new process has come.
func TestHandOver_FailsOnUNIX(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	dir := t.TempDir()
	clients, operators, added := filepath.Join(dir, "c.sock"), filepath.Join(dir, "a.sock"), filepath.Join(dir, "new.sock")
	conf := func(listen, upstream string) string {
		return fmt.Sprintf("listen: [%s]\nlog: {format: json}\nadmin: {listen: 'unix://%s'}\n%s", listen, operators, upstream)
	}
	file := writeFile(t, "sessiongate.yaml", conf("unix://"+clients, r.upstream()))
	g := runGate(t, program, nil, "--config", file)
	g.waitFor(t, "unix", operators)
	nowhere := "upstream: redis://" + loopback(freePort(t)) + "\n"
	for _, broken := range []string{
		conf("unix://"+clients+", "+r.addr, r.upstream()), // taken
		conf("unix://"+clients+", unix://"+added, nowhere),
		conf("unix://"+added, nowhere), // and no longer on the first
	} {
		if err := os.WriteFile(file, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		g.fails(t, "the new process has ended")
		dialNetwork(t, "unix", clients).want(pong, "PING")
		dialNetwork(t, "unix", operators).want(pong, "PING")
		if _, err := os.Stat(added); !os.IsNotExist(err) {
			t.Errorf("the new process leaves the file of its own socket: %v", err)
		}
	}
	if err := os.WriteFile(file, []byte(conf("unix://"+added, r.upstream())), 0o600); err != nil {
		t.Fatal(err)
	}
	g.succeeds(t)
	dialNetwork(t, "unix", added).want(pong, "PING")
	eventually(t, "the socket that is no longer configured is gone", func() bool { _, err := os.Stat(clients); return os.IsNotExist(err) })
}

// Nothing is handed over in the middle of what would end with the process.
func TestHandOver_Refused(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g, admin := startGateWithAdmin(t, "log: {format: json}\n"+r.upstream(), "")
	operator, c := dialAdmin(t, admin), dial(t, g.addr)
	for i := range 2000 {
		c.send(encode("SET", fmt.Sprint("s:", i), "v"))
	}
	for range 2000 {
		c.wantNext(ok)
	}
	if reply := operator.do("SESSIONGATE", "PAUSE", "60"); !strings.Contains(reply, "paused=true") {
		t.Fatalf("PAUSE = %q", reply)
	}
	c.send(encode("GET", "s:1"))
	eventually(t, "the client is held", func() bool { return strings.Contains(operator.do("SESSIONGATE", "STATUS"), "pause.held=1") })
	g.fails(t, "paused")
	if reply := operator.do("SESSIONGATE", "STATUS"); !strings.Contains(reply, "pause.held=1") {
		t.Errorf("the refused hand-over has let the client go: %q", reply)
	}
	operator.do("SESSIONGATE", "RESUME")
	c.wantNext(bulk("v"))
	if reply := operator.do("SESSIONGATE", "REVOKE", "ALL"); !strings.Contains(reply, "running") { // at 1000 a second
		t.Fatalf("REVOKE = %q", reply)
	}
	g.fails(t, "1 revocations are under way")
	eventually(t, "all is revoked", func() bool { return dial(t, r.addr).do("DBSIZE") == ":0\r\n" })
	eventually(t, "the end of the revocation is logged", func() bool { return len(g.said("revoked")) == 1 })
	g.succeeds(t)
}
