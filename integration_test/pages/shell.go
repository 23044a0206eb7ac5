package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// shell is one bash that runs a page's commands one after the other. It and all that it starts, but for what is in the
// background, are one process group.
type shell struct {
	ctx     context.Context // when it is done, so is the command that runs
	cmd     *exec.Cmd
	in      *os.File
	results chan string // a line for each command: its exit code, or a process id
	tmp     string      // where commands and their output are kept
	count   int
	jobs    []*job
}

// job is what runs in the background until the page's end, or until another one wants its port. It is a process group of
// its own.
type job struct {
	pid   int
	ports []string
	log   string
}

var errInterrupted = errors.New("interrupted")

func newShell(ctx context.Context, dir, tmp string, env []string) (*shell, error) {
	in, stdin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	results, fd3, err := os.Pipe()
	if err != nil {
		stdin.Close()
		return nil, err
	}
	defer fd3.Close()
	s := &shell{ctx: ctx, cmd: exec.Command("bash", "--norc", "--noprofile"), in: stdin, results: make(chan string), tmp: tmp}
	s.cmd.Dir, s.cmd.Env, s.cmd.Stdin, s.cmd.ExtraFiles = dir, env, in, []*os.File{fd3}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		stdin.Close()
		results.Close()
		return nil, err
	}
	go func() {
		defer close(s.results)
		defer results.Close()
		for lines := bufio.NewScanner(results); lines.Scan(); {
			s.results <- lines.Text()
		}
	}()
	return s, nil
}

// source writes the command to a file that bash is to read, and says what to type for that and where its output goes.
func (s *shell) source(text string) (typed, log string, err error) {
	s.count++
	script := filepath.Join(s.tmp, strconv.Itoa(s.count)+".sh")
	log = strings.TrimSuffix(script, ".sh") + ".out"
	return fmt.Sprintf(". %s </dev/null >%s 2>&1 3>&-", script, log), log, os.WriteFile(script, []byte(text+"\n"), 0o600)
}

// run runs a command to its end, and returns all that it printed and its exit code.
func (s *shell) run(text string, timeout time.Duration) (output string, code int, err error) {
	typed, log, err := s.source(text)
	if err != nil {
		return "", 0, err
	}
	code, err = s.ask(typed+"; echo $? >&3", timeout)
	data, readErr := os.ReadFile(log)
	if err == nil {
		err = readErr
	}
	return string(data), code, err
}

// ask types a line, and returns the number that it writes to descriptor 3.
func (s *shell) ask(line string, timeout time.Duration) (int, error) {
	if _, err := s.in.WriteString(line + "\n"); err != nil {
		return 0, err
	}
	select {
	case result, ok := <-s.results:
		if !ok {
			return 0, fmt.Errorf("it ended the shell")
		}
		return strconv.Atoi(result)
	case <-s.ctx.Done():
		return 0, errInterrupted
	case <-time.After(timeout):
		return 0, fmt.Errorf("it was not done after %v", timeout)
	}
}

// background starts a command, and returns once its ports accept connections.
func (s *shell) background(text string, ports []string, timeout time.Duration) (output string, err error) {
	for _, port := range ports {
		if err := s.release(port); err != nil {
			return "", err
		}
	}
	typed, log, err := s.source(text)
	if err != nil {
		return "", err
	}
	pid, err := s.ask("set -m; "+typed+" & echo $! >&3; set +m", 10*time.Second)
	if err != nil {
		return "", err
	}
	j := &job{pid, ports, log}
	s.jobs = append(s.jobs, j)
	refused := func(port string) bool { return !accepts(port) }
	for until := time.Now().Add(timeout); slices.ContainsFunc(ports, refused); time.Sleep(20 * time.Millisecond) {
		if s.ctx.Err() != nil {
			err = errInterrupted
		} else if !j.alive() {
			err = fmt.Errorf("it ended before it accepted connections on %s", strings.Join(ports, ", "))
		} else if time.Now().After(until) {
			err = fmt.Errorf("it accepted no connections on %s within %v", strings.Join(ports, ", "), timeout)
		} else {
			continue
		}
		data, _ := os.ReadFile(log)
		return string(data), err
	}
	return "", nil
}

// release ends what a page runs on a port, as somebody does who starts something else there.
func (s *shell) release(port string) error {
	for i, j := range s.jobs {
		if slices.Contains(j.ports, port) {
			s.jobs = append(s.jobs[:i:i], s.jobs[i+1:]...)
			return j.end()
		}
	}
	return nil
}

func (j *job) alive() bool { return syscall.Kill(-j.pid, 0) == nil }

// end has the job end by SIGTERM; if it doesn't, that is an error, and it is killed.
func (j *job) end() error {
	_ = syscall.Kill(-j.pid, syscall.SIGTERM)
	for until := time.Now().Add(40 * time.Second); j.alive(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			_ = syscall.Kill(-j.pid, syscall.SIGKILL)
			return fmt.Errorf("what ran on port %s did not end after SIGTERM", j.ports[0])
		}
	}
	return nil
}

// close ends the background, the last first, and then the shell with whatever it left running.
func (s *shell) close() error {
	var first error
	for len(s.jobs) > 0 {
		last := s.jobs[len(s.jobs)-1]
		s.jobs = s.jobs[:len(s.jobs)-1]
		if err := last.end(); err != nil && first == nil {
			first = err
		}
	}
	s.in.Close()
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	_ = s.cmd.Wait()
	for range s.results { // until all that had descriptor 3 is gone
	}
	return first
}
