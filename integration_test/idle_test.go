package integration_test

import (
	"net"
	"syscall"
	"testing"
)

// raiseFileLimit lets this process, and those it starts, have as many open files as the system allows it.
func raiseFileLimit(t testing.TB) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return int(limit.Cur)
}

// An idle client costs at most 24 KiB: 10,000 of them are connected, have said something once, and wait.
func TestIdle_Memory(t *testing.T) {
	clients := min(10_000, raiseFileLimit(t)-1000) // as many as this machine lets one process have
	r := startRedis(t)
	g := startPlainGate(t, r.upstream()+"limits: {clients: 20000}\n"+namespaceApp+expiryRule)
	warm := dial(t, g.addr)
	warm.want(ok, "SET", "a", "v")
	before := rss(t, g.pid())

	conns := make([]net.Conn, 0, clients)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	reply := make([]byte, 64)
	for i := range clients {
		c, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		conns = append(conns, c)
		if _, err := c.Write([]byte("*2\r\n$3\r\nGET\r\n$1\r\na\r\n")); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(reply); err != nil || string(reply[:n]) != "$1\r\nv\r\n" {
			t.Fatalf("client %d: got %q, %v", i, reply[:n], err)
		}
	}
	after := rss(t, g.pid())
	each := (after - before) / clients
	t.Logf("%d idle clients: %d bytes each (%d MiB in all)", clients, each, after>>20)
	if each > 24<<10 {
		t.Errorf("an idle client costs %d bytes, want at most %d", each, 24<<10)
	}
	warm.want(bulk("v"), "GET", "a")
}
