package integration_test

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startGateWithAdmin runs the program with an admin address, which it returns.
func startGateWithAdmin(t testing.TB, yaml, more string) (g *gate, admin string) {
	t.Helper()
	admin = loopback(freePort(t))
	g = startGate(t, yaml+"admin: {listen: "+admin+", token: "+adminToken+more+"}\n")
	g.waitFor(t, "tcp", admin)
	return g, admin
}

const adminToken = "operators-token-1"

// dialAdmin connects to the admin address as redis-cli does.
func dialAdmin(t testing.TB, addr string) *conn {
	t.Helper()
	c := dial(t, addr)
	c.want(ok, "AUTH", adminToken)
	return c
}

// A planned restart of redis-server under load: nobody gets an error, nothing is lost and nothing runs twice.
func TestPause_Restart(t *testing.T) {
	t.Parallel()
	for _, driver := range []string{"shared", "go-redis"} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			r := startRedis(t)
			g, admin := startGateWithAdmin(t, "upstream: {url: "+r.url()+", driver: "+driver+", hold: 0}\n", "")
			operator := dialAdmin(t, admin)
			l := startLoad(t, g.addr, 50)
			blocked := dial(t, g.addr)
			blocked.send(encode("BLPOP", "nothing", "0"))
			for range 2 {
				at := l.done.Load()
				eventually(t, "commands are answered", func() bool { return l.done.Load() > at+2000 })
				if reply := operator.do("SESSIONGATE", "PAUSE", "60"); !strings.Contains(reply, "paused=true") {
					t.Fatalf("PAUSE = %q", reply)
				}
				was := l.done.Load()
				eventually(t, "clients are held", func() bool { return strings.Contains(operator.do("SESSIONGATE", "STATUS"), "pause.held=50") })
				if now := l.done.Load(); now != was && now > was+200 { // replies that were read by clients only now
					t.Errorf("%d commands were answered while paused", now-was)
				}
				dial(t, r.addr).send(encode("SHUTDOWN", "SAVE"))
				<-r.done
				if reply := operator.do("SESSIONGATE", "RESUME"); !strings.HasPrefix(reply, "-ERR upstream ") || !strings.Contains(reply, "still paused") {
					t.Errorf("RESUME without an upstream = %q", reply)
				}
				r.start(t)
				if reply := operator.do("SESSIONGATE", "RESUME"); !strings.Contains(reply, "paused=false") {
					t.Fatalf("RESUME = %q", reply)
				}
			}
			at := l.done.Load()
			eventually(t, "service goes on", func() bool { return l.done.Load() > at+2000 })
			l.finish(t)
			if failed, dropped := l.failed.Load(), l.dropped.Load(); failed+dropped > 0 {
				t.Errorf("%d commands were answered with an error, %d connections were lost; want none", failed, dropped)
			}
			if reply := blocked.read(); reply != "*-1\r\n" {
				t.Errorf("a blocked client got %q, want that its time is over", reply)
			}
			blocked.want("+PONG\r\n", "PING")
			counter := dial(t, r.addr).do("GET", "counter")
			if want := bulk(strconv.FormatInt(l.counted.Load(), 10)); counter != want {
				t.Errorf("the counter is %q, want %q", counter, want)
			}
			t.Logf("%d commands answered, slowest %v", l.done.Load(), time.Duration(l.slowest.Load()))
		})
	}
}

// Who is in the middle of a transaction is let through before PAUSE answers; PAUSE gives up when that takes longer than its limit.
func TestPause_Transaction(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g, admin := startGateWithAdmin(t, r.upstream(), "")
	operator, c := dialAdmin(t, admin), dial(t, g.addr)
	c.want(ok, "MULTI")
	c.want("+QUEUED\r\n", "SET", "a", "1")
	if reply := operator.do("SESSIONGATE", "PAUSE", "1"); !strings.HasPrefix(reply, "-ERR 1 clients are in the middle") {
		t.Fatalf("PAUSE = %q", reply)
	}
	operator.send(encode("SESSIONGATE", "PAUSE", "60"))
	other := dialAdmin(t, admin)
	eventually(t, "it is paused", func() bool { return strings.Contains(other.do("SESSIONGATE", "STATUS"), "paused=true") })
	c.want("*1\r\n+OK\r\n", "EXEC")
	if reply := operator.read(); !strings.Contains(reply, "paused=true") {
		t.Fatalf("PAUSE = %q", reply)
	}
	c.send(encode("GET", "a"))
	eventually(t, "the client is held", func() bool { return strings.Contains(other.do("SESSIONGATE", "STATUS"), "pause.held=1") })
	other.want("*1\r\n$12\r\npaused=false\r\n", "SESSIONGATE", "RESUME")
	if got := c.read(); got != bulk("1") {
		t.Errorf("GET after RESUME = %q", got)
	}
	other.want("-ERR the proxy: it is not paused\r\n", "SESSIONGATE", "RESUME")
}

// A pause ends by itself at its limit, and when the program ends.
func TestPause_Ends(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g, admin := startGateWithAdmin(t, r.upstream(), "")
	operator, c := dialAdmin(t, admin), dial(t, g.addr)
	c.want(ok, "SET", "a", "1")
	for _, each := range []struct {
		limit string
		end   func()
	}{
		{"1", func() {}},
		{"60", func() { g.signal(t, syscall.SIGTERM) }},
	} {
		if reply := operator.do("SESSIONGATE", "PAUSE", each.limit); !strings.Contains(reply, "paused=true") {
			t.Fatalf("PAUSE = %q", reply)
		}
		c.send(encode("GET", "a"))
		eventually(t, "the client is held", func() bool { return strings.Contains(operator.do("SESSIONGATE", "STATUS"), "pause.held=1") })
		each.end()
		if got := c.read(); got != bulk("1") {
			t.Errorf("GET = %q", got)
		}
	}
}
