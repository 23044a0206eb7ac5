package integration_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ending is a gate with a given time to drain, and the server behind.
func ending(t *testing.T, drain string) (r *redisServer, g *gate) {
	t.Helper()
	r = startRedis(t)
	addr := loopback(freePort(t))
	g = startGate(t, "listen: "+addr+"\ndrain: "+drain+"\n"+r.upstream()+rulesYAML)
	g.addr = addr
	g.waitFor(t, "tcp", addr)
	return r, g
}

// end sends SIGTERM and waits until the gate refuses new clients, as its end has begun then.
func (g *gate) end(t *testing.T) (began time.Time) {
	t.Helper()
	began = time.Now()
	g.signal(t, syscall.SIGTERM)
	eventually(t, "nobody is let in any more", func() bool {
		c, err := net.Dial("tcp", g.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	return began
}

// endedWithin waits for the end, which has to be there in time.
func (g *gate) endedWithin(t *testing.T, began time.Time, limit time.Duration) {
	t.Helper()
	eventually(t, "it ends", g.ended)
	if took := time.Since(began); took > limit {
		t.Errorf("the end took %v, want %v at most", took, limit)
	}
	if code := g.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("it ends with %d", code)
	}
}

// A client that asks and waits is answered, and sees the end with the answer: what it asks next is for another connection.
func TestDrain_BehindAReply(t *testing.T) {
	t.Parallel()
	_, g := ending(t, "1m")
	clients := make([]*conn, 20)
	for i := range clients {
		clients[i] = dial(t, g.addr)
		clients[i].want(pong, "PING")
	}
	began := g.end(t)
	for _, c := range clients {
		c.want(pong, "PING")
		c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := c.r.ReadByte(); err != io.EOF {
			t.Errorf("with the reply there is %v, want the end", err)
		}
		c.Close()
	}
	g.endedWithin(t, began, 5*time.Second)
}

// A client that says nothing is closed; so is one that sends ahead, once all that it has sent is answered.
func TestDrain_Silent(t *testing.T) {
	t.Parallel()
	_, g := ending(t, "1m")
	silent, subscribed, ahead := dial(t, g.addr), dial(t, g.addr), dial(t, g.addr)
	silent.want(pong, "PING")
	subscribed.line("SUBSCRIBE ch")
	began := g.end(t)
	ahead.send(strings.Repeat(encode("PING"), 1000))
	if got := ahead.readAll(); got != strings.Repeat(pong, 1000) {
		t.Errorf("got %d bytes of replies, want those of 1000 commands", len(got))
	}
	silent.closed()
	subscribed.closed()
	g.endedWithin(t, began, 5*time.Second)
}

// A command of which a part has arrived is waited for, and a transaction is ended by its client.
func TestDrain_Begun(t *testing.T) {
	t.Parallel()
	r, g := ending(t, "1m")
	half, tx, watching := dial(t, g.addr), dial(t, g.addr), dial(t, g.addr)
	whole := encode("SET", "half", "v")
	half.send(whole[:10])
	tx.line("MULTI")
	tx.line("SET tx v")
	watching.line("WATCH w")
	began := g.end(t)
	for time.Since(began) < 1500*time.Millisecond { // longer than those wait who have begun nothing
		watching.want("$-1\r\n", "GET", "w")
	}
	half.send(whole[10:])
	half.only(t, ok)
	tx.line("SET tx2 v")
	tx.want("*2\r\n"+ok+ok, "EXEC")
	tx.closed()
	watching.line("MULTI")
	watching.line("SET w v")
	watching.want("*1\r\n"+ok, "EXEC")
	watching.closed()
	g.endedWithin(t, began, 10*time.Second)
	dial(t, r.addr).want(":4\r\n", "EXISTS", "half", "tx", "tx2", "w")
}

// only reads one reply and then the end.
func (c *conn) only(t *testing.T, want string) {
	t.Helper()
	if got := c.readAll(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// At the last call, before drain is over, whoever still waits or has begun something is closed: nothing is lost and nothing is run.
func TestDrain_LastCall(t *testing.T) {
	t.Parallel()
	r, g := ending(t, "3s")
	direct := dial(t, r.addr)
	lines := []string{"BLPOP q 0", "BLMOVE q r LEFT LEFT 0", "XREAD BLOCK 0 STREAMS x $", "WAIT 3 0", "BLPOP served 0"}
	var waiting []*conn
	for _, line := range lines {
		c := dial3(t, g.addr)
		c.send(encode(split(line)...) + encode("BLPOP", "q", "0") + encode("SET", line, "v"))
		waiting = append(waiting, c)
	}
	tx, half := dial(t, g.addr), dial(t, g.addr)
	tx.line("MULTI")
	tx.line("SET tx v")
	half.send(encode("SET", "half", "v")[:10])
	eventually(t, "all wait", func() bool { return strings.Contains(direct.line("INFO clients"), "blocked_clients:5\r\n") })
	began := g.end(t)
	direct.want(one, "RPUSH", "served", "e")
	for i, c := range waiting {
		want := ""
		if lines[i] == "BLPOP served 0" {
			want = "*2\r\n" + bulk("served") + bulk("e")
		}
		if got := c.readAll(); got != want {
			t.Errorf("%s: got %q, want %q", lines[i], got, want)
		}
	}
	tx.closed()
	half.closed()
	g.endedWithin(t, began, 3*time.Second+100*time.Millisecond) // the rest is for the end of the process
	direct.want(one, "RPUSH", "q", "e")
	direct.want(one, "LLEN", "q")
	direct.want(zero, "EXISTS", "tx", "half", "served", "r", lines[0], lines[4])
}

// What an upstream does not answer is given up when drain is over, and a second signal ends it at once.
func TestDrain_Stuck(t *testing.T) {
	t.Parallel()
	for _, sig := range []os.Signal{nil, syscall.SIGTERM, syscall.SIGINT} {
		r, g := ending(t, "1s")
		c := dial(t, g.addr)
		c.want(pong, "PING")
		r.signal(t, syscall.SIGSTOP)
		c.send(encode("GET", "a"))
		began := g.end(t)
		if sig == nil {
			c.closed()
			g.endedWithin(t, began, 1100*time.Millisecond)
		} else {
			g.signal(t, sig)
			eventually(t, "it ends", g.ended)
			if took := time.Since(began); took > 900*time.Millisecond {
				t.Errorf("after a second %v it takes %v", sig, took)
			}
		}
		r.signal(t, syscall.SIGCONT)
	}
}

// Over TLS and on a UNIX socket too, replies come whole and the end behind them.
func TestDrain_OtherListeners(t *testing.T) {
	t.Parallel()
	r, ca := startRedis(t), newAuthority(t)
	cert, key := ca.issue("127.0.0.1")
	secure, socket := loopback(freePort(t)), filepath.Join(t.TempDir(), "gate.sock")
	g := startGate(t, fmt.Sprintf("listen: [tls://%s, unix://%s]\ndrain: 1m\ntls: {cert: %s, key: %s}\n%s", secure, socket, cert, key, r.upstream()))
	g.addr = secure
	g.waitFor(t, "unix", socket)
	long := strings.Repeat("x", 1<<20)
	clients := []*conn{dialTLS(t, secure, &tls.Config{RootCAs: ca.pool}), dialNetwork(t, "unix", socket)}
	silent := dialTLS(t, secure, &tls.Config{RootCAs: ca.pool})
	for _, c := range clients {
		c.want(ok, "SET", "long", long)
	}
	silent.want(pong, "PING")
	began := g.end(t)
	for _, c := range clients {
		c.send(encode("GET", "long") + encode("PING"))
		c.only(t, bulk(long)+pong)
	}
	silent.closed()
	g.endedWithin(t, began, 5*time.Second)
}
