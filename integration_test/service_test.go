package integration_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// systemd is what a service is started with: a socket for its notifications.
type systemd struct {
	name  string
	heard chan string // read at once, as systemd does: who tells waits when ten are unread
}

func newSystemd(t *testing.T) systemd {
	t.Helper()
	name := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	s := systemd{name, make(chan string, 10000)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			s.heard <- string(buf[:n])
		}
	}()
	t.Cleanup(func() { conn.Close(); <-read })
	return s
}

// hears waits for a notification that begins like this, and returns it.
func (s systemd) hears(t *testing.T, prefix string) string {
	t.Helper()
	limit := time.After(patience)
	for {
		select {
		case text := <-s.heard:
			if strings.HasPrefix(text, prefix) {
				return text
			}
		case <-limit:
			t.Fatalf("still waiting for %s after %v", prefix, patience)
		}
	}
}

// A service tells systemd when it serves, reloads, lives, hands over and stops.
func TestService_Notifies(t *testing.T) {
	t.Parallel()
	r, s := startRedis(t), newSystemd(t)
	addr := loopback(freePort(t))
	file := writeFile(t, "sessiongate.yaml", "listen: "+addr+"\nlog: {format: json}\n"+r.upstream())
	g := runGate(t, program, []string{"NOTIFY_SOCKET=" + s.name, "WATCHDOG_USEC=300000"}, "--config", file)
	if got := s.hears(t, "READY=1"); !strings.Contains(got, "STATUS=Serving clients on "+addr) {
		t.Errorf("got %q", got)
	}
	dial(t, addr).want(pong, "PING")
	s.hears(t, "WATCHDOG=1")
	s.hears(t, "WATCHDOG=1")
	g.signal(t, syscall.SIGHUP)
	if got := s.hears(t, "RELOADING=1"); !strings.Contains(got, "\nMONOTONIC_USEC=") {
		t.Errorf("got %q", got)
	}
	s.hears(t, "READY=1")
	g.succeeds(t)
	pid := g.said("handed over")[0].PID
	if got, want := s.hears(t, "MAINPID="), fmt.Sprint("MAINPID=", pid); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s.hears(t, "WATCHDOG=1") // of the new process
	eventually(t, "the first one has ended", func() bool { return len(g.said("stopped")) == 1 })
	syscall.Kill(pid, syscall.SIGTERM)
	s.hears(t, "STOPPING=1")
}

// It serves on sockets that systemd has opened, hands them on, and leaves a socket file to systemd.
func TestService_Sockets(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	path := filepath.Join(t.TempDir(), "gate.sock")
	ports := []string{loopback(freePort(t)), loopback(freePort(t))}
	var files []*os.File
	for _, at := range [][2]string{{"tcp", ports[0]}, {"unix", path}, {"tcp", ports[1]}} {
		l, err := net.Listen(at[0], at[1])
		if err != nil {
			t.Fatal(err)
		}
		if file, ok := l.(*net.UnixListener); ok {
			file.SetUnlinkOnClose(false)
		}
		file, err := l.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		files = append(files, file)
	}
	file := writeFile(t, "sessiongate.yaml", "listen: ["+ports[0]+", unix://"+path+"]\ndrain: 2s\nlog: {format: json}\n"+r.upstream())
	binary, err := program()
	if err != nil {
		t.Fatal(err)
	}
	early := make(chan string, 1)
	go func() { // a client that comes before the service is there waits for it
		c, err := net.Dial("tcp", ports[0])
		if err != nil {
			early <- err.Error()
			return
		}
		defer c.Close()
		fmt.Fprint(c, "PING\r\n")
		buf := make([]byte, 64)
		n, _ := c.Read(buf)
		early <- string(buf[:n])
	}()
	g := &gate{process: &process{done: make(chan struct{})}}
	g.cmd = exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=3 LISTEN_FDNAMES=a:b:c exec "$0" --config "$1"`, binary, file)
	g.cmd.ExtraFiles, g.cmd.Stdout, g.cmd.Stderr = files, &g.out, &g.out
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, each := range files {
		each.Close()
	}
	go g.wait()
	t.Cleanup(func() { g.signal(t, syscall.SIGTERM); <-g.done })
	if got := <-early; got != pong {
		t.Errorf("the client that was first got %q", got)
	}
	if c, err := net.Dial("tcp", ports[1]); err == nil {
		c.Close()
		t.Error("a socket that is not in the configuration is kept")
	}
	for range 2 {
		dial(t, ports[0]).want(pong, "PING")
		dialNetwork(t, "unix", path).want(pong, "PING")
		g.succeeds(t)
	}
	for _, l := range g.said("handing over") {
		syscall.Kill(l.PID, syscall.SIGTERM)
	}
	<-g.done
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the socket file that is systemd's: %v", err)
	}
}

// With reuse_port two processes listen on one address, and one may go.
func TestService_ReusePort(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	addr := loopback(freePort(t))
	conf := "listen: " + addr + "\nreuse_port: true\ndrain: 5s\n" + r.upstream()
	first := startGate(t, conf)
	first.waitFor(t, "tcp", addr)
	clients := make([]*conn, 20)
	for i := range clients {
		clients[i] = dial(t, addr)
	}
	second := startGate(t, conf)
	eventually(t, "the second listens too", func() bool { return strings.Contains(second.out.String(), `"listening"`) })
	first.signal(t, syscall.SIGTERM)
	for _, c := range clients {
		c.send(encode("PING"))
	}
	for _, c := range clients {
		c.only(t, pong)
	}
	eventually(t, "the first has ended", first.ended)
	for range clients {
		dial(t, addr).want(pong, "PING")
	}
}
