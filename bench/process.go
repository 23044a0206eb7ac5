package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 10 * time.Second // until a server answers PING
	stopTimeout  = 5 * time.Second  // until a server asked to end is killed
)

// process is a server that this program started. Its output goes to the file log.
type process struct {
	name string
	addr string // host:port it listens on
	tls  string // the same with TLS; empty: there is none
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// start runs a server that will listen on addr and waits until it answers PING. Its output goes to dir/name.log.
func start(ctx context.Context, dir, name, addr, binary string, args ...string) (*process, error) {
	p := &process{name: name, addr: addr, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()

	p.cmd = exec.Command(binary, args...)
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = out, out
	// A group of its own, so that Ctrl-C reaches only this program, which then stops the servers in order.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := onServers(p.cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go p.wait()

	if err := p.ready(ctx); err != nil {
		p.stop()
		return nil, fmt.Errorf("start %s: %w; log %s%s", name, err, p.log, p.logTail())
	}
	return p, nil
}

func (p *process) wait() {
	_ = p.cmd.Wait() // how it ended is in its log
	close(p.done)
}

// ready waits until the server answers PING.
func (p *process) ready(ctx context.Context) error {
	deadline := time.After(startTimeout)
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		err := ping(p.addr)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.done:
			return errors.New("it ended at once")
		case <-deadline:
			return fmt.Errorf("no answer to PING within %v: %w", startTimeout, err)
		case <-retry.C:
		}
	}
}

func ping(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("*1\r\n$4\r\nPING\r\n")); err != nil {
		return err
	}
	var buf [64]byte
	n, err := conn.Read(buf[:])
	if err != nil {
		return err
	}
	if got := string(buf[:n]); got != "+PONG\r\n" && !strings.HasPrefix(got, "-NOAUTH") {
		return fmt.Errorf("answered %q", got)
	}
	return nil
}

// stop asks the server to end, kills it if it won't, and returns when it is gone.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails only when it has ended already
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// logTail is the end of the log, on lines of its own, for an error message.
func (p *process) logTail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return ""
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	lines = lines[max(0, len(lines)-10):]
	return "\n    " + string(bytes.Join(lines, []byte("\n    ")))
}

// freePort finds a loopback port that nobody listens on.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}
