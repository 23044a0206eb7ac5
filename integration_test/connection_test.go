package integration_test

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// rawExchanges are sent to a plain server and to the gate, each on connections of its own; all that comes back until
// the connection closes must be the same.
var rawExchanges = []string{
	// QUIT ends it, and what follows isn't run.
	encode("SET", "q", "1") + encode("QUIT") + encode("SET", "q", "2"),
	"QUIT\r\n", "quit\n",
	// CLIENT REPLY takes replies away.
	encode("CLIENT", "REPLY", "OFF") + encode("SET", "a", "1") + encode("PING") + encode("CLIENT", "REPLY", "ON") + encode("PING"),
	encode("CLIENT", "REPLY", "SKIP") + encode("PING") + encode("ECHO", "seen"),
	encode("CLIENT", "REPLY", "SKIP") + encode("CLIENT", "REPLY", "SKIP") + encode("PING") + encode("ECHO", "seen"),
	encode("CLIENT", "REPLY", "OFF") + encode("CLIENT", "REPLY", "SKIP") + encode("PING") + encode("CLIENT", "REPLY", "ON"),
	encode("CLIENT", "REPLY", "SKIP") + encode("FOO") + encode("GET") + encode("PING"),
	encode("CLIENT", "REPLY", "OFF") + encode("QUIT"),
	// RESET forgets everything.
	encode("SELECT", "3") + encode("SET", "r", "v") + encode("RESET") + encode("GET", "r") + encode("SELECT", "3") + encode("GET", "r"),
	encode("MULTI") + encode("SET", "r", "v") + encode("RESET") + encode("EXEC"),
	encode("CLIENT", "SETNAME", "x") + encode("RESET") + encode("CLIENT", "GETNAME"),
	encode("SUBSCRIBE", "ch") + encode("RESET") + encode("GET", "r"),
	encode("CLIENT", "REPLY", "OFF") + encode("RESET") + encode("PING"),
	// Names.
	encode("CLIENT", "GETNAME") + encode("CLIENT", "SETNAME", "web") + encode("CLIENT", "GETNAME") + encode("CLIENT", "SETNAME", "") + encode("CLIENT", "GETNAME"),
	encode("CLIENT", "SETNAME", "a\nb") + encode("CLIENT", "SETNAME") + encode("CLIENT") + encode("CLIENT", "GETNAME", "x"),
	// Inline commands.
	"PING\r\n", "ping\n", "   PING   \r\n", "\r\n\r\nPING\r\n", "\n\nPING\n", "\r\n",
	"SET a \"hello world\"\r\nGET a\r\n", "SET a 'it''s'\r\n", "SET a 'x y'\r\nGET a\r\n", "SET a \"\\x41\\n\\\"\"\nGET a\n", "SET a 'it\\'s'\nGET a\n",
	"SET a \"\"\r\nGET a\r\n", "GET a b\r\n", "FOO bar\r\n", "\"GET\" a\r\n", "SET a \"unbalanced\r\nPING\r\n", "SET a \"x\"y\r\n", "SET a 'x'y\r\n",
	"PING\x00\r\n", "PING \x01\xff\r\n", "\tPING\t\r\n", "PING\r\nPING", "GET a\rPING\r\n",
	// Inline and RESP taking turns.
	"PING\r\n" + encode("PING") + "ECHO x\r\n" + encode("ECHO", "y"),
	// Empty commands.
	"*0\r\n" + encode("PING"), "*-1\r\n" + encode("PING"), "*-100\r\n" + encode("PING"), encode("") + encode("PING"), encode("", "a"),
	// Transactions.
	encode("MULTI") + encode("SET", "t", "1") + encode("INCR", "t") + encode("EXEC") + encode("GET", "t"),
	encode("MULTI") + encode("SET", "t", "1") + encode("FOO") + encode("EXEC") + encode("GET", "t"),
	encode("MULTI") + encode("MULTI") + encode("DISCARD") + encode("DISCARD") + encode("EXEC"),
	encode("MULTI") + encode("EXEC") + encode("WATCH", "t") + encode("MULTI") + encode("WATCH", "t") + encode("PING") + encode("EXEC"),
	encode("MULTI") + encode("GET", "t") + encode("QUIT"),
	encode("MULTI") + encode("SELECT", "2") + encode("SET", "t2", "v") + encode("EXEC") + encode("GET", "t2") + encode("SELECT", "0"),
	// Subscriptions that come together, of one channel and of several, with mistakes between them.
	encode("SUBSCRIBE", "a") + encode("SUBSCRIBE", "b") + encode("UNSUBSCRIBE", "a") + encode("PSUBSCRIBE", "p*") + encode("SUBSCRIBE") + encode("UNSUBSCRIBE", "none") +
		encode("SUBSCRIBE", "c", "d") + encode("UNSUBSCRIBE", "c") + encode("GET", "r") + encode("PUNSUBSCRIBE", "p*") + encode("UNSUBSCRIBE", "b") + encode("UNSUBSCRIBE") + encode("GET", "r"),
	encode("SUBSCRIBE", "a") + encode("SUBSCRIBE", "a") + encode("UNSUBSCRIBE", "a") + encode("UNSUBSCRIBE", "a") + encode("SET", "r", "v") + encode("SUBSCRIBE", "b") + encode("RESET") + encode("GET", "r"),
	encode("CLIENT", "REPLY", "OFF") + encode("SUBSCRIBE", "a") + encode("SUBSCRIBE", "b") + encode("PING") + encode("UNSUBSCRIBE", "a"),
	// HELLO in the middle: the same replies in another protocol.
	encode("GET", "none") + encode("HELLO", "5") + encode("GET", "none"),
}

func TestConnection_Raw(t *testing.T) {
	t.Parallel()
	direct, behind := startRedis(t), startRedis(t)
	g := startGate(t, behind.upstream())
	for _, raw := range rawExchanges {
		compareRaw(t, direct.addr, g.addr, raw)
	}
	// The same, arriving byte by byte.
	for _, raw := range rawExchanges {
		want, got := slowly(t, direct.addr, raw), slowly(t, g.addr, raw)
		if got != want {
			t.Errorf("byte by byte: %s\n got %s\nwant %s", shorten(raw), shorten(got), shorten(want))
		}
	}
	dial(t, behind.addr).wantLine(bulk("1"), "GET q")
}

func slowly(t *testing.T, addr, raw string) string {
	t.Helper()
	c := dial(t, addr)
	defer c.Close()
	for i := range len(raw) {
		if _, err := c.Write([]byte{raw[i]}); err != nil {
			break // closed by QUIT or an error
		}
	}
	c.Conn.(interface{ CloseWrite() error }).CloseWrite() // an error here is that same closing
	return c.readAll()
}

// Clients are told apart: ids, names, and who may be seen and killed.
func TestConnection_Clients(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+namespaceApp)
	a, b := dial(t, g.addr), dial3(t, g.addr)
	ida, idb := a.int("CLIENT", "ID"), b.int("CLIENT", "ID")
	if idb <= ida || a.int("CLIENT", "ID") != ida {
		t.Errorf("ids are %d and %d, want growing ones that stay", ida, idb)
	}
	a.wantLine(ok, "CLIENT SETNAME alice")
	a.wantLine(ok, "CLIENT SETINFO LIB-NAME lib")
	a.wantLine(ok, "CLIENT SETINFO LIB-VER 1.2")
	a.wantLine(ok, "SELECT 2")
	info := a.line("CLIENT INFO")
	for _, want := range []string{fmt.Sprintf("id=%d ", ida), "addr=" + a.LocalAddr().String(), " name=alice ", " db=2 ", "lib-name=lib", "lib-ver=1.2", "resp=2"} {
		if !strings.Contains(info, want) {
			t.Errorf("CLIENT INFO lacks %q: %s", want, info)
		}
	}
	list := b.line("CLIENT LIST")
	if !strings.Contains(list, fmt.Sprintf("id=%d ", ida)) || !strings.Contains(list, fmt.Sprintf("id=%d ", idb)) || strings.Count(list, "id=") < 2 {
		t.Errorf("CLIENT LIST = %s, want both clients", list)
	}
	if strings.Contains(list, r.addr) {
		t.Errorf("CLIENT LIST shows the upstream: %s", list)
	}
	b.want(one, "CLIENT", "KILL", "ID", fmt.Sprint(ida))
	a.closed()
	b.want(zero, "CLIENT", "KILL", "ID", fmt.Sprint(ida))
	b.wantPrefix("-ERR No such client", "CLIENT KILL 1.2.3.4:5")
	b.wantLine(ok, "CLIENT NO-EVICT ON")
	b.wantLine(ok, "CLIENT NO-TOUCH ON")
}

// Once CLIENT KILL has been answered, the killed client's connection has ended and nobody sees it any more. Drivers look for the end of their
// connection before they send a command: phpredis connects anew then, and reports an error if the end comes only after that.
func TestConnection_KilledAtOnce(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	for name, addr := range map[string]string{"redis": r.addr, "gate": startGate(t, r.upstream()).addr} {
		killer := dial(t, addr)
		for range 200 {
			killed := dial(t, addr)
			id := fmt.Sprint(killed.int("CLIENT", "ID"))
			killer.want(one, "CLIENT", "KILL", "ID", id)
			if !killed.hasEnded() {
				t.Fatalf("%s: the connection is still open after CLIENT KILL was answered", name)
			}
			if list := killer.line("CLIENT LIST"); strings.Contains(list, "id="+id+" ") {
				t.Fatalf("%s: CLIENT LIST still has the killed client: %s", name, list)
			}
			_ = killed.Close()
		}
	}
}

// hasEnded looks whether the end of the connection has arrived, without waiting.
func (c *conn) hasEnded() (ended bool) {
	c.t.Helper()
	raw, err := c.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		c.t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		ended = n == 0 && err == nil || errors.Is(err, syscall.ECONNRESET)
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return ended
}

// Who waits for others can be told by the list: some drivers' users do.
func TestConnection_ClientListTellsCommands(t *testing.T) {
	t.Parallel()
	g := startGate(t, startRedis(t).upstream()+namespaceApp)
	a, b := dial(t, g.addr), dial(t, g.addr)
	a.wantLine(ok, "CLIENT SETNAME waiter")
	a.wantLine(zero, "LLEN queue")
	listed := func(flags, last string) func() bool {
		return func() bool {
			for line := range strings.Lines(b.line("CLIENT LIST")) {
				if strings.Contains(line, " name=waiter ") {
					return strings.Contains(line, " flags="+flags+" ") && strings.Contains(line, " cmd="+last+" ")
				}
			}
			return false
		}
	}
	eventually(t, "its last command is listed", listed("N", "llen"))
	a.send(encode("BLPOP", "queue", "60"))
	eventually(t, "it is listed as blocked", listed("b", "blpop"))
	b.wantLine(one, "RPUSH queue job")
	if got, want := a.read(), "*2\r\n$5\r\nqueue\r\n$3\r\njob\r\n"; got != want {
		t.Errorf("BLPOP answered %q, want %q", got, want)
	}
	eventually(t, "it isn't blocked any more", listed("N", "blpop"))
	a.wantLine(ok, "CLIENT SETNAME waiter")
	eventually(t, "subcommands are listed too", listed("N", "client|setname"))
}

// COMMAND and INFO tell what is behind, narrowed to what the client may do.
func TestConnection_CommandAndInfo(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	open, strict := startGate(t, r.upstream()), startGate(t, r.upstream()+namespaceApp+"rules:\n  - commands: {deny: [APPEND]}\n")
	c, s := dial(t, open.addr), dial(t, strict.addr)

	names := s.list("COMMAND", "LIST")
	if got := s.int("COMMAND", "COUNT"); got > len(names) || got < 50 {
		t.Errorf("COMMAND COUNT = %d, COMMAND LIST has %d", got, len(names))
	}
	for _, name := range []string{"get", "set", "expire", "scan", "ping", "hello", "client", "command"} {
		if !slices.Contains(names, name) {
			t.Errorf("COMMAND LIST lacks %s", name)
		}
	}
	for _, name := range []string{"append", "debug", "shutdown", "replicaof"} {
		if slices.Contains(names, name) {
			t.Errorf("COMMAND LIST has %s, which is refused", name)
		}
	}
	if got := s.line("COMMAND INFO append"); got != "*1\r\n*-1\r\n" {
		t.Errorf("COMMAND INFO of a refused command = %s, want null", shorten(got))
	}
	if got := s.line("COMMAND DOCS append get"); strings.Contains(got, "append\r\n") || !strings.Contains(got, "get\r\n") {
		t.Errorf("COMMAND DOCS append get = %s", shorten(got))
	}
	s.wantLine("*2\r\n"+bulk("a")+bulk("b"), "COMMAND GETKEYS MSET a 1 b 2")

	for _, client := range []*conn{c, s} {
		info := client.line("INFO")
		for _, want := range []string{"redis_version:7.", "role:master\r\n", "loading:0\r\n", "# Server\r\n", "# Sessiongate\r\n"} {
			if !strings.Contains(info, want) {
				t.Errorf("INFO lacks %q", want)
			}
		}
		if strings.Contains(info, "master_link_status") {
			t.Error("INFO has a master_link_status")
		}
		if got := client.line("INFO replication"); !strings.Contains(got, "role:master") || strings.Contains(got, "# Server") {
			t.Errorf("INFO replication = %s", shorten(got))
		}
	}
	// The keyspace of a namespace is its own.
	dial(t, r.addr).wantLine(ok, "MSET foreign:1 v foreign:2 v app:mine v")
	if got := s.line("INFO keyspace"); strings.Contains(got, "keys=3") {
		t.Errorf("INFO keyspace counts foreign keys: %s", shorten(got))
	}
}
