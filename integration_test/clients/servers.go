package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	startTimeout = 20 * time.Second // until a server answers PING
	stopTimeout  = 10 * time.Second // until a server asked to end is killed
)

// server is a redis-server or a Sessiongate of one run. Its output goes to the file log.
type server struct {
	addr string
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// pair is what a program runs against: a Redis with nothing in it, and the Sessiongate in front of it.
type pair struct {
	redis, gate *server // gate is nil in mode direct
}

// startPair starts both anew for each run, so that no program finds what another one left, and what a log tells is
// one program's.
func startPair(ctx context.Context, o options, m mode, dir string) (pair, error) {
	redis, err := startServer(ctx, dir, "redis", func(port int) []string {
		return []string{"redis-server", "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--dir", dir}
	})
	if err != nil || !m.gate {
		return pair{redis: redis}, err
	}
	gate, err := startServer(ctx, dir, "sessiongate", func(port int) []string {
		file := filepath.Join(dir, "sessiongate.yaml")
		settings := fmt.Sprintf("listen: 127.0.0.1:%d\nupstream: redis://%s\nlog: {format: json}\ndrain: 5s\n%s", port, redis.addr, m.settings)
		if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
			return nil
		}
		return []string{o.sessiongate, "--config", file}
	})
	if err != nil {
		redis.stop()
		return pair{}, err
	}
	return pair{redis, gate}, nil
}

// addr is where the program connects.
func (p pair) addr() string {
	if p.gate != nil {
		return p.gate.addr
	}
	return p.redis.addr
}

// stop ends both and tells what the Sessiongate has to be blamed for.
func (p pair) stop() (faults []string) {
	if p.gate != nil {
		faults = p.gate.blame(p.gate.stop())
	}
	if p.redis != nil {
		_ = p.redis.stop() // nothing of it is kept
	}
	return faults
}

// blame reads the log of a Sessiongate that ended with err.
func (s *server) blame(err error) (faults []string) {
	if err != nil {
		faults = append(faults, fmt.Sprintf("Sessiongate did not end well: %v", err))
	}
	file, err := os.Open(s.log)
	if err != nil {
		return append(faults, err.Error())
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		for _, sign := range []string{`"level":"error"`, `"level":"fatal"`, "panic", "DATA RACE", "fatal error"} {
			if strings.Contains(lines.Text(), sign) {
				faults = append(faults, "Sessiongate's log: "+lines.Text())
				break
			}
		}
	}
	if err := lines.Err(); err != nil {
		faults = append(faults, fmt.Sprintf("Sessiongate's log can't be read: %v", err))
	}
	return faults
}

// startServer starts the command line that args makes for a free port, and waits until it answers.
func startServer(ctx context.Context, dir, name string, args func(port int) []string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	line := args(port)
	if line == nil {
		return nil, fmt.Errorf("%s can't be written to", dir)
	}
	s := &server{addr: fmt.Sprintf("127.0.0.1:%d", port), log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	out, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	s.cmd = exec.Command(line[0], line[1:]...)
	s.cmd.Env = without(os.Environ(), "SESSIONGATE_") // the file alone says how it runs
	s.cmd.Stdout, s.cmd.Stderr = out, out
	// A group of its own, so that Ctrl-C reaches only this program, which then stops the servers in order.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = s.cmd.Wait() // how it ended is in s.cmd.ProcessState
		close(s.done)
	}()
	if err := s.ready(ctx); err != nil {
		_ = s.stop() // err says more
		log, _ := os.ReadFile(s.log)
		return nil, fmt.Errorf("start %s: %w\n%s", name, err, log)
	}
	return s, nil
}

// ready waits until the server answers, whatever it says: a password is asked for by an error.
func (s *server) ready(ctx context.Context) error {
	deadline := time.After(startTimeout)
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	for {
		err := answers(s.addr)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.done:
			return errors.New("it ended at once")
		case <-deadline:
			return fmt.Errorf("no answer within %v: %w", startTimeout, err)
		case <-retry.C:
		}
	}
}

func answers(addr string) error {
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
	_, err = conn.Read(make([]byte, 1))
	return err
}

// stop asks the server to end, kills it if it won't, and says how it ended, when that wasn't with code 0.
func (s *server) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // fails only when it has ended already
	select {
	case <-s.done:
	case <-time.After(stopTimeout):
		_ = s.cmd.Process.Kill()
		<-s.done
		return fmt.Errorf("it was still there %v after SIGTERM", stopTimeout)
	}
	if !s.cmd.ProcessState.Success() {
		return errors.New(s.cmd.ProcessState.String())
	}
	return nil
}

// nextPort counts through ports below the range that the kernel gives to outgoing connections, so that no client
// takes the port of a server about to start.
var nextPort atomic.Int32

func freePort() (int, error) {
	for range 1000 {
		port := 31000 + (os.Getpid()*37+int(nextPort.Add(1)))%1700
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			l.Close()
			return port, nil
		}
	}
	return 0, errors.New("no free port")
}
