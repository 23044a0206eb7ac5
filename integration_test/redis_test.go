package integration_test

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// redisServer is a real redis-server of one test's own: in memory, on loopback, in a directory that goes with the test.
type redisServer struct {
	*process
	port int
	addr string
	args []string
}

func startRedis(t testing.TB, args ...string) *redisServer {
	t.Helper()
	r := &redisServer{port: freePort(t)}
	r.addr = loopback(r.port)
	r.args = append([]string{
		"--port", strconv.Itoa(r.port), "--bind", "127.0.0.1", "--dir", t.TempDir(),
		"--save", "", "--appendonly", "no", "--daemonize", "no",
	}, args...)
	r.start(t)
	t.Cleanup(func() { r.kill(t) })
	return r
}

// start runs the server, again after a kill, and waits until it answers.
func (r *redisServer) start(t testing.TB) {
	t.Helper()
	r.process = startProcess(t, "redis-server", nil, r.args...)
	r.waitFor(t)
}

// waitFor waits until the server answers.
func (r *redisServer) waitFor(t testing.TB) {
	t.Helper()
	eventually(t, "redis-server answers on "+r.addr, func() bool {
		if r.ended() {
			t.Fatalf("redis-server ended: %v\n%s", r.cmd.ProcessState, r.out.String())
		}
		return answers(r.addr)
	})
}

// answers reports whether a server at addr answers a PING: with a PONG or with a wish for a password.
func answers(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	buf := make([]byte, 64)
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	n, _ := c.Read(buf)
	got := string(buf[:n])
	return strings.HasPrefix(got, "+PONG") || strings.HasPrefix(got, "-NOAUTH")
}

// url is the server's address in the form that the configuration takes.
func (r *redisServer) url() string { return "redis://" + r.addr }

// upstream is the configuration line that names this server.
func (r *redisServer) upstream() string { return "upstream: " + r.url() + "\n" }
