package integration_test

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// load is a number of clients that write and read values which name their keys, and count with INCR, until stopped.
type load struct {
	wg       sync.WaitGroup
	stop     atomic.Bool
	done     atomic.Int64 // commands answered without an error
	failed   atomic.Int64 // commands answered with the gate's error
	counted  atomic.Int64 // INCRs answered with a number
	unknown  atomic.Int64 // INCRs answered with an error
	slowest  atomic.Int64 // longest wait for a reply, in nanoseconds
	dropped  atomic.Int64 // connections lost
	problems sync.Map     // what must never happen
}

func (l *load) problem(format string, args ...any) {
	l.problems.Store(fmt.Sprintf(format, args...), true)
}

func startLoad(t testing.TB, addr string, clients int) *load {
	t.Helper()
	l := &load{}
	for i := range clients {
		l.wg.Go(func() { l.client(addr, i) })
	}
	return l
}

// finish stops the load and reports what must never happen.
func (l *load) finish(t testing.TB) {
	t.Helper()
	l.stop.Store(true)
	l.wg.Wait()
	l.problems.Range(func(p, _ any) bool {
		t.Error(p)
		return true
	})
}

func (l *load) client(addr string, id int) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		l.problem("the gate doesn't accept: %v", err)
		return
	}
	defer c.Close()
	r := newConnReader(c)
	for round := 0; !l.stop.Load(); round++ {
		key := fmt.Sprintf("key:%d:%d", id, round%50)
		value := fmt.Sprintf("%s=%d", key, round)
		c.SetDeadline(time.Now().Add(2 * patience))
		start := time.Now()
		if _, err := c.Write([]byte(encode("SET", key, value) + encode("INCR", "counter") + encode("GET", key))); err != nil {
			l.dropped.Add(1)
			return
		}
		for _, command := range []string{"SET", "INCR", "GET"} {
			reply, err := readReply(r)
			if err != nil {
				l.problem("%s lost its connection to the gate: %v", command, err)
				return
			}
			l.judge(command, key, reply)
		}
		if took := time.Since(start).Nanoseconds(); took > l.slowest.Load() {
			l.slowest.Store(took)
		}
	}
}

// judge checks that a reply is one that this command can have had.
func (l *load) judge(command, key, reply string) {
	switch {
	case strings.HasPrefix(reply, "-ERR upstream "):
		l.failed.Add(1)
		if command == "INCR" {
			l.unknown.Add(1)
		}
		return
	case command == "SET" && reply == ok:
	case command == "INCR" && reply[0] == ':':
		l.counted.Add(1)
	case command == "GET" && (reply == null || strings.Contains(reply, "\r\n"+key+"=")):
	default:
		l.problem("%s %s = %s", command, key, shorten(reply))
		return
	}
	l.done.Add(1)
}

// The upstream is killed under load, more than once: clients get clear errors in time, nobody gets another's reply,
// nothing runs twice, and service comes back by itself.
func TestFailure_KillUpstream(t *testing.T) {
	t.Parallel()
	for _, driver := range []string{"shared", "go-redis"} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			// With a log of all writes the counter outlives the server.
			r := startRedis(t, "--appendonly", "yes", "--appendfsync", "no")
			g := startGate(t, "upstream: {url: "+r.url()+", driver: "+driver+", hold: 200ms, connect_timeout: 1s, read_timeout: 2s}\n")
			l := startLoad(t, g.addr, 20)
			for range 3 {
				at := l.done.Load()
				eventually(t, "commands are answered", func() bool { return l.done.Load() > at+2000 })
				failed := l.failed.Load()
				r.kill(t)
				eventually(t, "clients get errors", func() bool { return l.failed.Load() > failed+20 })
				r.start(t)
			}
			at := l.done.Load()
			eventually(t, "service comes back", func() bool { return l.done.Load() > at+2000 })
			l.finish(t)

			counter, _ := strconv.ParseInt(strings.Trim(strings.SplitN(dial(t, r.addr).do("GET", "counter"), "\r\n", 3)[1], "\r\n"), 10, 64)
			if counted, unknown := l.counted.Load(), l.unknown.Load(); counter < counted || counter > counted+unknown {
				t.Errorf("the counter is %d; %d INCRs were acknowledged and %d more may have run", counter, counted, unknown)
			}
			if slowest := time.Duration(l.slowest.Load()); slowest > 8*time.Second {
				t.Errorf("a client waited %v for its replies", slowest)
			}
			t.Logf("%d answered, %d errors, %d INCRs unknown, slowest %v", l.done.Load(), l.failed.Load(), l.unknown.Load(), time.Duration(l.slowest.Load()))
		})
	}
}

// An upstream that stops answering is given up after read_timeout, and replies that come late reach nobody.
func TestFailure_FrozenUpstream(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, "upstream: {url: "+r.url()+", hold: 200ms, connect_timeout: 500ms, read_timeout: 500ms}\n")
	l := startLoad(t, g.addr, 10)
	for range 2 {
		at := l.done.Load()
		eventually(t, "commands are answered", func() bool { return l.done.Load() > at+500 })
		failed := l.failed.Load()
		r.signal(t, syscall.SIGSTOP)
		eventually(t, "clients get errors", func() bool { return l.failed.Load() > failed+30 })
		r.signal(t, syscall.SIGCONT)
	}
	at := l.done.Load()
	eventually(t, "service comes back", func() bool { return l.done.Load() > at+500 })
	l.finish(t)
	counter := dial(t, r.addr).int("INCR", "counter") - 1
	if counted, unknown := int(l.counted.Load()), int(l.unknown.Load()); counter < counted || counter > counted+unknown {
		t.Errorf("the counter is %d; %d INCRs were acknowledged and %d more may have run", counter, counted, unknown)
	}
}

// The gate starts without its upstream, says what is wrong, and works as soon as there is one.
func TestFailure_NoUpstreamYet(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	r.kill(t)
	g := startGate(t, "upstream: {url: "+r.url()+", hold: 100ms, connect_timeout: 1s}\n")
	c := dial(t, g.addr)
	c.wantPrefix("-ERR upstream unavailable: ", "GET a")
	c.wantPrefix("-ERR upstream unavailable: ", "SET a v")
	c.wantPrefix("+PONG", "PING") // the client's own connection is fine
	r.start(t)
	eventually(t, "the upstream is used", func() bool { return c.do("SET", "a", "v") == ok })
	c.want(bulk("v"), "GET", "a")
}

// A restart shorter than hold costs time, not errors, to those who had nothing in flight.
func TestFailure_Hold(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, "upstream: {url: "+r.url()+", hold: 15s}\n")
	c := dial(t, g.addr)
	c.want(ok, "SET", "a", "v")
	r.kill(t)
	c.send(encode("SET", "b", "v") + encode("GET", "b"))
	r.start(t)
	first, second := c.read(), c.read()
	// The first batch may have met the dying connection: an error then says so, and nothing is sent twice.
	if first == ok && second != bulk("v") || first != ok && !strings.HasPrefix(first, "-ERR upstream ") {
		t.Errorf("SET = %q, GET = %q", first, second)
	}
	c.want(ok, "SET", "c", "v")
}

// Clients that wait, or are in a transaction or subscribed, hear of the upstream's end too.
func TestFailure_Stateful(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, "upstream: {url: "+r.url()+", hold: 100ms, connect_timeout: 1s}\n")
	blocked, watching, subscribed := dial(t, g.addr), dial(t, g.addr), dial(t, g.addr)
	blocked.send(encode("BLPOP", "none", "0"))
	eventually(t, "a client waits", func() bool { return strings.Contains(dial(t, r.addr).line("INFO clients"), "blocked_clients:1\r\n") })
	watching.want(ok, "WATCH", "k")
	watching.want(ok, "MULTI")
	watching.want("+QUEUED\r\n", "SET", "k", "v")
	subscribed.wantPrefix("*3", "SUBSCRIBE ch")
	r.kill(t)
	if got := blocked.read(); !strings.HasPrefix(got, "-ERR upstream ") && !strings.HasPrefix(got, "-UNBLOCKED") {
		t.Errorf("BLPOP = %q, want an error", got)
	}
	if got := watching.do("EXEC"); !strings.HasPrefix(got, "-") {
		t.Errorf("EXEC of a lost transaction = %q, want an error", got)
	}
	subscribed.readAll() // a subscriber can't be answered; its connection ends, so that it subscribes again
	r.start(t)
	eventually(t, "service comes back", func() bool { return blocked.do("SET", "a", "v") == ok })
	eventually(t, "the other connection works too", func() bool { return watching.do("GET", "k") == null })
}
