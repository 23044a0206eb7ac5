package upstream_test

import (
	"bytes"
	"net"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"sessiongate/upstream"
)

// redisServer is a real redis-server of the test's own, with nothing on disk.
type redisServer struct {
	port int
	dir  string
	args []string
	cmd  *exec.Cmd
}

func startRedis(t testing.TB, args ...string) *redisServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &redisServer{port: ln.Addr().(*net.TCPAddr).Port, dir: t.TempDir(), args: args}
	ln.Close()
	s.start(t)
	t.Cleanup(s.kill)
	return s
}

// start starts the server, again after kill, and waits until it answers.
func (s *redisServer) start(t testing.TB) {
	t.Helper()
	args := []string{"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", s.dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no"}
	s.cmd = exec.Command("redis-server", append(args, s.args...)...)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		conn, err := net.Dial("tcp", s.addr())
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("redis-server doesn't answer: %v", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *redisServer) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func (s *redisServer) addr() string { return "127.0.0.1:" + strconv.Itoa(s.port) }
func (s *redisServer) url() string  { return "redis://" + s.addr() }

// until waits for ok, which is about to become true.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not so after 10s: %s", what)
		}
	}
}

// do runs commands through l and returns their replies.
func do(t testing.TB, l upstream.Link, commands ...[]byte) []string {
	t.Helper()
	b := upstream.Batch{Req: bytes.Join(commands, nil), Count: len(commands)}
	if err := l.Do(t.Context(), &b); err != nil {
		t.Fatalf("Do: %v", err)
	}
	return texts(&b)
}

// texts is a copy of the replies of b.
func texts(b *upstream.Batch) []string {
	all := make([]string, len(b.Replies))
	for i, r := range b.Replies {
		all[i] = string(r.Raw)
	}
	return all
}

// open opens a Pool that the test closes.
func open(t testing.TB, cfg upstream.Config) *upstream.Pool {
	t.Helper()
	p, err := upstream.Open(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}
