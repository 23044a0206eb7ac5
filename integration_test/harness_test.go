// Package integration_test drives the built program as its users do: configuration files and flags on one side,
// real redis-server and redis-cli and raw sockets on the other. It knows nothing of the program's packages.
//
//	r := startRedis(t)
//	g := startGate(t, r.upstream()+`namespace: "app:"`)
//	c := dial(t, g.addr)
//	c.want("+OK\r\n", "SET", "a", "v")
package integration_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for something that ought to happen at once. It only bounds failures.
const patience = 20 * time.Second

// program is the binary under test, built like the tests themselves: with the race detector or without.
var program = sync.OnceValues(func() (string, error) {
	if raceEnabled {
		return build("sessiongate-race", "-race")
	}
	return plainProgram()
})

// plainProgram is built without the race detector, whose memory is several times the program's own: for tests that
// measure.
var plainProgram = sync.OnceValues(func() (string, error) { return build("sessiongate") })

// buildDir holds the binaries; it is removed after the run.
var buildDir string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	for _, tool := range []string{"redis-server", "redis-cli"} {
		if _, err := exec.LookPath(tool); err != nil {
			fmt.Fprintf(os.Stderr, "%v: these tests need it; `make test` installs it\n", err)
			return 1
		}
	}
	var err error
	if buildDir, err = os.MkdirTemp("", "sessiongate-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(buildDir)
	return m.Run()
}

func build(name string, flags ...string) (string, error) {
	path := filepath.Join(buildDir, name)
	args := append(append([]string{"build"}, flags...), "-o", path, "sessiongate")
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return path, nil
}

// eventually waits until cond holds, and fails the test if that takes too long.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("still waiting after %v: %s", patience, what)
		}
	}
}

// nextPort counts through ports below the range that the kernel gives to outgoing connections, so that no client
// of a test running at the same time takes the port of a server about to start.
var nextPort atomic.Int32

func freePort(t testing.TB) int {
	t.Helper()
	for range 2000 {
		port := 12000 + (os.Getpid()%500*37+int(nextPort.Add(1)))%18000
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// process is a server that a test started. It ends with the test.
type process struct {
	cmd  *exec.Cmd
	out  logBuffer
	done chan struct{} // closed when it has ended
}

func startProcess(t testing.TB, path string, env []string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.Env = append(append(os.Environ(), "GORACE=atexit_sleep_ms=0"), env...) // or each would take a second to end
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // if the tests are killed, so is it
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.wait()
	return p
}

func (p *process) wait() {
	p.cmd.Wait() // its error is in p.cmd.ProcessState
	close(p.done)
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// signal sends sig; a process that has ended already is none of its business.
func (p *process) signal(t testing.TB, sig os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

func (p *process) kill(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	<-p.done
}

// gate is a running sessiongate.
type gate struct {
	*process
	addr string // where it listens; empty if the test's configuration says so itself
}

// startGate runs the program with a configuration file, on a free port unless the file says where to listen, and
// waits until it accepts.
func startGate(t testing.TB, yaml string) *gate {
	t.Helper()
	return startGateOf(t, program, yaml)
}

// startPlainGate is startGate without the race detector.
func startPlainGate(t testing.TB, yaml string) *gate {
	t.Helper()
	return startGateOf(t, plainProgram, yaml)
}

func startGateOf(t testing.TB, binary func() (string, error), yaml string) *gate {
	t.Helper()
	addr := ""
	if !strings.HasPrefix(yaml, "listen:") && !strings.Contains(yaml, "\nlisten:") {
		addr = loopback(freePort(t))
		yaml = "listen: " + addr + "\ndrain: 2s\n" + yaml
	}
	g := runGate(t, binary, nil, "serve", "--config", writeFile(t, "sessiongate.yaml", yaml))
	g.addr = addr
	if addr != "" {
		g.waitFor(t, "tcp", addr)
	}
	return g
}

// runGate runs the program with these arguments and checks, when the test is over, that it leaves when asked to and
// has neither panicked nor raced.
func runGate(t testing.TB, binary func() (string, error), env []string, args ...string) *gate {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{process: startProcess(t, path, env, args...)}
	t.Cleanup(func() {
		g.signal(t, syscall.SIGTERM)
		select {
		case <-g.done:
		case <-time.After(patience):
			t.Errorf("sessiongate still runs %v after SIGTERM", patience)
			g.signal(t, syscall.SIGQUIT) // leaves a dump of its goroutines in the log
			<-g.done
		}
		log := g.out.String()
		for _, bad := range append(secrets, "DATA RACE", "panic:", "fatal error:", "goroutine ") {
			if strings.Contains(log, bad) {
				t.Errorf("sessiongate's log has %q", bad)
			}
		}
		if t.Failed() {
			t.Logf("log of sessiongate:\n%s", tail(log, 200000))
		}
	})
	return g
}

// waitFor waits until the gate accepts connections at addr.
func (g *gate) waitFor(t testing.TB, network, addr string) {
	t.Helper()
	eventually(t, "sessiongate listens on "+addr, func() bool {
		if g.ended() {
			t.Fatalf("sessiongate ended: %v\n%s", g.cmd.ProcessState, g.out.String())
		}
		c, err := net.Dial(network, addr)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}

func writeFile(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// logBuffer collects what a process prints.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func tail(s string, n int) string {
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}
