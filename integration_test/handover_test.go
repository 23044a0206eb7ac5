package integration_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// logLine is one line of the log.
type logLine struct {
	Time    time.Time `json:"time"`
	Message string    `json:"msg"`
	PID     int       `json:"pid"`
	Error   string    `json:"error"`
}

// said returns the lines of the log with a message.
func (g *gate) said(message string) (lines []logLine) {
	for text := range strings.Lines(g.out.String()) {
		var l logLine
		if json.Unmarshal([]byte(text), &l) == nil && l.Message == message {
			lines = append(lines, l)
		}
	}
	return lines
}

// succeeds has the gate hand over to a new process, and that end with the test.
func (g *gate) succeeds(t *testing.T) {
	t.Helper()
	before := g.said("handed over")
	pid := g.pid()
	if n := len(before); n > 0 {
		pid = before[n-1].PID
	} else {
		t.Cleanup(func() {
			g.signal(t, syscall.SIGTERM)
			for _, l := range g.said("handing over") {
				syscall.Kill(l.PID, syscall.SIGTERM)
			}
			<-g.done // is closed when the last of them has ended, as they share what they write to
		})
	}
	if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it hands over", func() bool { return len(g.said("handed over")) > len(before) })
}

// caller asks and waits, and connects anew when the connection has ended, as drivers do: it looks before it sends.
type caller struct {
	addr    string
	conn    net.Conn
	r       *bufio.Reader
	connect int
}

func (c *caller) do(args ...string) (string, error) {
	if c.conn != nil && over(c.conn) {
		c.conn.Close()
		c.conn = nil
	}
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.addr)
		if err != nil {
			return "", err
		}
		c.conn, c.r = conn, bufio.NewReader(conn)
		c.connect++
	}
	c.conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c.conn, encode(args...)); err != nil {
		return "", err
	}
	return readReply(c.r)
}

// over reports whether the other side has said that it is done.
func over(c net.Conn) (ended bool) {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return true
	}
	raw.Read(func(fd uintptr) bool {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		ended = n == 0 && err == nil
		return true
	})
	return ended
}

// Twenty restarts under load: no client is refused, no command fails, none is lost and none is run twice.
func TestHandOver_Rolling(t *testing.T) {
	t.Parallel()
	const restarts, callers, drain = 20, 100, 2 * time.Second
	r := startRedis(t)
	addr := loopback(freePort(t))
	g := startGate(t, fmt.Sprintf("listen: %s\ndrain: %v\nlog: {format: json}\n%s%s", addr, drain, r.upstream(), rulesYAML))
	g.waitFor(t, "tcp", addr)

	var stop atomic.Bool
	defer stop.Store(true)
	var running sync.WaitGroup
	var done, connects atomic.Int64
	for i := range callers / 2 {
		running.Go(func() {
			c := caller{addr: addr}
			key, n := fmt.Sprint("count:", i), 0
			for !stop.Load() {
				n++
				if got, err := c.do("INCR", key); err != nil || got != fmt.Sprintf(":%d\r\n", n) {
					t.Errorf("INCR %d of %s: %q, %v", n, key, got, err)
					return
				}
				if got, err := c.do("TTL", key); err != nil || got == ":-1\r\n" {
					t.Errorf("TTL: %q, %v", got, err)
					return
				}
				done.Add(2)
			}
			connects.Add(int64(c.connect))
			c.conn.Close()
		})
	}
	driver := redis.NewClient(&redis.Options{Addr: addr, PoolSize: callers / 2})
	defer driver.Close()
	for i := range callers / 2 {
		running.Go(func() { done.Add(drive(t, driver, i, &stop)) })
	}
	for range restarts {
		at := done.Load()
		g.succeeds(t)
		eventually(t, "the new process is at work", func() bool { return done.Load() > at+1000 })
	}
	stop.Store(true)
	running.Wait()
	t.Logf("%d commands, %d connections of %d callers", done.Load(), connects.Load(), callers/2)
	if n := connects.Load(); n < restarts*callers/2 {
		t.Errorf("%d connections: the callers have not moved each time", n)
	}
	eventually(t, "the old processes have ended", func() bool { return len(g.said("stopped")) == restarts })
	checkDrains(t, g, drain)
}

// drive uses a driver as an application does, with values and a transaction and a wait.
func drive(t *testing.T, c *redis.Client, i int, stop *atomic.Bool) (done int64) {
	ctx, key := context.Background(), fmt.Sprint("driven:", i)
	for n := 0; !stop.Load(); n++ {
		value := fmt.Sprint(n)
		err := c.Set(ctx, key, value, 0).Err()
		if err == nil {
			var got *redis.StringCmd
			_, err = c.TxPipelined(ctx, func(tx redis.Pipeliner) error {
				tx.HSet(ctx, key+":h", "n", n)
				got = tx.Get(ctx, key)
				return nil
			})
			if err == nil && got.Val() != value {
				err = fmt.Errorf("got %q, want %q", got.Val(), value)
			}
		}
		if i == 0 && err == nil {
			if err = c.BLPop(ctx, time.Second, "nothing").Err(); err == redis.Nil {
				err = nil
			}
		}
		if err != nil {
			t.Errorf("%s, round %d: %v", key, n, err)
			return done
		}
		done += 3
	}
	return done
}

// checkDrains compares how long the processes took to end with what they may.
func checkDrains(t *testing.T, g *gate, drain time.Duration) {
	t.Helper()
	began, ended := g.said("stopping: clients finish what is under way"), g.said("stopped")
	if len(began) != len(ended) {
		t.Fatalf("%d ends have begun, %d are over", len(began), len(ended))
	}
	for i := range began { // two may overlap, but then the next one has ended later still
		if took := ended[i].Time.Sub(began[i].Time); took > drain {
			t.Errorf("end %d took %v, want %v at most", i, took, drain)
		}
	}
}

// What keeps the new process from serving keeps the old one.
func TestHandOver_Fails(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	addr := loopback(freePort(t))
	file := writeFile(t, "sessiongate.yaml", "listen: "+addr+"\nlog: {format: json}\n"+r.upstream())
	g := runGate(t, program, nil, "--config", file)
	g.waitFor(t, "tcp", addr)
	c := dial(t, addr)
	for i, broken := range []string{"listen: nowhere\n", "listen: " + addr + "\nupstream: redis://" + loopback(freePort(t)) + "\n"} {
		if err := os.WriteFile(file, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		g.signal(t, syscall.SIGUSR2)
		eventually(t, "it says that hand-over failed", func() bool { return len(g.said("hand-over failed, this process goes on")) == i+1 })
		c.want(pong, "PING")
		dial(t, addr).want(pong, "PING")
	}
	memory := runGate(t, program, []string{"SESSIONGATE_LOG_FORMAT=json"}, "--listen", loopback(freePort(t)))
	eventually(t, "it listens", func() bool { return len(memory.said("listening")) == 1 })
	memory.signal(t, syscall.SIGUSR2)
	eventually(t, "it refuses", func() bool {
		lines := memory.said("hand-over failed, this process goes on")
		return len(lines) == 1 && strings.Contains(lines[0].Error, "memory")
	})
}

// The new process has a configuration of its own: what both listen on is handed over, a socket file stays where it is.
func TestHandOver_Listeners(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	socket := filepath.Join(t.TempDir(), "gate.sock")
	kept, left, added, admin := loopback(freePort(t)), loopback(freePort(t)), loopback(freePort(t)), loopback(freePort(t))
	conf := func(other string) string {
		return fmt.Sprintf("listen: [%s, %s, unix://%s]\ndrain: 2s\nlog: {format: json}\nadmin: {listen: %s}\n%s", kept, other, socket, admin, r.upstream())
	}
	file := writeFile(t, "sessiongate.yaml", conf(left))
	g := runGate(t, program, nil, "--config", file)
	g.waitFor(t, "unix", socket)
	if err := os.WriteFile(file, []byte(conf(added)), 0o600); err != nil {
		t.Fatal(err)
	}
	waiting := dial(t, kept) // keeps the first process until the end of drain
	waiting.send(encode("BLPOP", "q", "0"))
	for i := range 2 {
		g.succeeds(t)
		want := fmt.Sprintf(`"pid":%d,`, g.said("handed over")[i].PID)
		for range 5 { // who asks how it goes gets to the process that serves
			res, err := http.Get("http://" + admin + "/api/v1/status")
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(res.Body)
			res.Body.Close()
			http.DefaultClient.CloseIdleConnections()
			if !strings.Contains(strings.ReplaceAll(string(text), " ", ""), want) {
				t.Errorf("the admin address says %s, want %s", text, want)
			}
		}
		for _, at := range []string{kept, added} {
			dial(t, at).want(pong, "PING")
		}
		dialNetwork(t, "unix", socket).want(pong, "PING")
	}
	eventually(t, "the old ones have ended", func() bool { return len(g.said("stopped")) == 2 })
	dialNetwork(t, "unix", socket).want(pong, "PING")
	if c, err := net.Dial("tcp", left); err == nil {
		c.Close()
		t.Error("the address that is not in the new configuration is still served")
	}
	last := g.said("handed over")[1].PID
	syscall.Kill(last, syscall.SIGTERM)
	<-g.done
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the last process leaves its socket file: %v", err)
	}
}
