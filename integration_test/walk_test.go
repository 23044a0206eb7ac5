package integration_test

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// populated is a server with many foreign keys, so that a walk through them takes a while.
func populated(t *testing.T, n int) *redisServer {
	t.Helper()
	r := startRedis(t, "--enable-debug-command", "yes")
	dial(t, r.addr).want(ok, "DEBUG", "POPULATE", strconv.Itoa(n), "foreign", "1")
	return r
}

// scans is how many SCANs the server has run.
func scans(t *testing.T, direct *conn) int {
	t.Helper()
	found := regexp.MustCompile(`cmdstat_scan:calls=(\d+)`).FindStringSubmatch(direct.do("INFO", "commandstats"))
	if found == nil {
		return 0
	}
	n, _ := strconv.Atoi(found[1])
	return n
}

// What walks the keyspace ends with the client that asked for it, however much of it a pipeline holds, and each reply is written as
// soon as it is there.
func TestWalk_ClientLeaves(t *testing.T) {
	t.Parallel()
	const keys, walks = 300000, 300
	r := populated(t, keys)
	g := startGate(t, r.upstream()+namespaceApp)
	direct, watcher := dial(t, r.addr), dial(t, g.addr)
	direct.want(ok, "SET", "app:one", "v")
	for name, leave := range map[string]func(t *testing.T, c *conn){
		"closes after a reply": func(t *testing.T, c *conn) {
			if got := c.read(); got != one && got != "*1\r\n"+bulk("one") && !strings.Contains(got, "db0:keys=1,") {
				t.Errorf("the first reply is %q", got)
			}
			c.Close()
		},
		"closes at once": func(_ *testing.T, c *conn) { c.Close() },
		"is killed": func(t *testing.T, c *conn) {
			c.read()
			watcher.want(one, "CLIENT", "KILL", "ADDR", c.LocalAddr().String())
		},
	} {
		for _, line := range []string{"DBSIZE", "KEYS o*", "INFO keyspace", "CLIENT REPLY OFF|DBSIZE"} {
			muted := strings.Contains(line, "|")
			if muted && name != "closes at once" {
				continue
			}
			t.Run(name+", "+line, func(t *testing.T) {
				before := scans(t, direct)
				c := dial(t, g.addr)
				if first, rest, found := strings.Cut(line, "|"); found {
					c.send(encode(split(first)...))
					line = rest
				}
				c.send(strings.Repeat(encode(split(line)...), walks))
				leave(t, c)
				eventually(t, "the session ends", func() bool {
					return strings.Contains(watcher.do("INFO", "sessiongate"), "sessiongate_connected_clients:1\r\n")
				})
				if got := scans(t, direct) - before; got > walks*keys/1000/4 {
					t.Errorf("%d SCANs for a client that had left", got)
				}
			})
		}
	}
}

// A client that closes only its own side, as nc does, still gets its answers.
func TestWalk_HalfClosed(t *testing.T) {
	t.Parallel()
	r := populated(t, 3000)
	c := dial(t, startGate(t, r.upstream()+namespaceApp).addr)
	c.want(ok, "SET", "k", "v")
	c.send(encode("DBSIZE") + encode("KEYS", "*") + encode("DBSIZE"))
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, want := c.readAll(), one+"*1\r\n"+bulk("k")+one; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What a client sends while its walk is under way is kept and answered, in order.
func TestWalk_SentMeanwhile(t *testing.T) {
	t.Parallel()
	r := populated(t, 50000)
	c := dial(t, startGate(t, r.upstream()+namespaceApp).addr)
	c.want(ok, "SET", "k", "v")
	long := strings.Repeat("x", 3<<20)
	go func() {
		c.Conn.Write([]byte(encode("DBSIZE") + encode("ECHO", long) + encode("DBSIZE") + encode("GET", "k")))
	}()
	for i, want := range []string{one, bulk(long), one, bulk("v")} {
		if got := c.read(); got != want {
			t.Errorf("reply %d is %s, want %s", i, shorten(got), shorten(want))
		}
	}
}

// KEYS in a namespace is a walk in steps, which keeps nobody waiting; in a transaction it is one KEYS.
func TestWalk_Keys(t *testing.T) {
	t.Parallel()
	for _, rules := range []string{"", expiryRule} {
		r := populated(t, 30000)
		g := startGate(t, r.upstream()+namespaceApp+rules)
		direct := dial(t, r.addr)
		for _, dialer := range []func(testing.TB, string) *conn{dial, dial3} {
			c := dialer(t, g.addr)
			c.want(empty, "KEYS", "*")
			var want []string
			for i := range 300 {
				want = append(want, fmt.Sprint("k", i))
				c.want(ok, "SET", want[i], "v")
			}
			slices.Sort(want)
			before := scans(t, direct)
			if got := c.list("KEYS", "*"); !slices.Equal(got, want) {
				t.Errorf("KEYS * lists %d keys, want %d", len(got), len(want))
			}
			if scans(t, direct) == before {
				t.Error("KEYS was no walk")
			}
			if calls := direct.do("INFO", "commandstats"); strings.Contains(calls, "cmdstat_keys:") {
				t.Error("there was a KEYS upstream")
			}
			c.want("*1\r\n"+bulk("k7"), "KEYS", "?7")
			c.want(empty, "KEYS", "foreign*")
			c.want("-ERR wrong number of arguments for 'keys' command\r\n", "KEYS")
			c.want("-ERR wrong number of arguments for 'keys' command\r\n", "KEYS", "a", "b")
			if got := c.pipeline("SET x v", "KEYS x", "DEL x", "KEYS x", "PING"); strings.Join(got, "") != ok+"*1\r\n"+bulk("x")+one+empty+pong {
				t.Errorf("a pipeline is answered with %q", got)
			}
			before = scans(t, direct)
			if got := c.pipeline("MULTI", "KEYS k7", "EXEC"); strings.Join(got, "") != ok+"+QUEUED\r\n*1\r\n*1\r\n"+bulk("k7") {
				t.Errorf("a transaction is answered with %q", got)
			}
			c.want(ok, "MULTI")
			c.want("+QUEUED\r\n", "KEYS", "k7")
			c.want("*1\r\n*1\r\n"+bulk("k7"), "EXEC")
			if scans(t, direct) != before {
				t.Error("KEYS in a transaction was a walk")
			}
			c.want(ok, "FLUSHALL")
			direct.want(ok, "CONFIG", "RESETSTAT")
		}
	}
	denied := dial(t, startGate(t, startRedis(t).upstream()+namespaceApp+"rules:\n  - commands: {deny: [keys]}\n").addr)
	denied.want("-NOPERM this rule does not allow the 'keys' command (rule \"default\")\r\n", "KEYS", "*")
}
