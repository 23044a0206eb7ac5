package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	runTimeout = 2 * time.Minute // of one program; they should end within one
	maxOutput  = 256 << 10       // bytes kept of a program's output
)

// result is what one program did in one mode.
type result struct {
	program *program
	mode    mode
	report  report
	faults  []string // what went wrong beside the checks
	output  string
	took    time.Duration
}

func (r result) failed() bool {
	if len(r.faults) > 0 || len(r.report.faults) > 0 {
		return true
	}
	for _, c := range r.report.checks {
		if c.outcome == failed {
			return true
		}
	}
	return false
}

// runAll runs every program in every mode, o.parallel at a time, and prints a line for each as it ends. The results come
// in the order of the lists.
func runAll(ctx context.Context, o options, directories []*directory, out io.Writer) []result {
	var results []result
	for _, d := range directories {
		for _, p := range d.Programs {
			for _, m := range o.modes {
				results = append(results, result{program: p, mode: m})
			}
		}
	}
	next := make(chan *result)
	var printing sync.Mutex
	var workers sync.WaitGroup
	for range o.parallel {
		workers.Go(func() {
			for r := range next {
				if r.program.missing == "" && r.program.broken == "" && ctx.Err() == nil {
					runOne(ctx, o, r)
				}
				if ctx.Err() == nil {
					printing.Lock()
					printResult(out, *r, o.verbose)
					printing.Unlock()
				}
			}
		})
	}
	for i := range results {
		next <- &results[i]
	}
	close(next)
	workers.Wait()
	return results
}

// runOne runs a program against servers of its own and looks at what is left.
func runOne(ctx context.Context, o options, r *result) {
	began := time.Now()
	defer func() { r.took = time.Since(began) }()
	fault := func(err error) { r.faults = append(r.faults, err.Error()) }
	dir, err := os.MkdirTemp(o.scratch, "run-")
	if err != nil {
		fault(err)
		return
	}
	defer os.RemoveAll(dir)
	servers, err := startPair(ctx, o, r.mode, dir)
	if err != nil {
		fault(err)
		return
	}
	scratch := filepath.Join(dir, "scratch")
	if err := os.Mkdir(scratch, 0o755); err != nil {
		fault(err)
	}
	r.output, err = execute(ctx, r.program, environment(r.program, r.mode, servers.addr(), scratch))
	if err != nil {
		fault(err)
	}
	r.report = parseTAP(r.output)
	if r.mode.rules {
		r.report.checks = append(r.report.checks, checkUpstream(ctx, servers.redis.addr, r.program.Kind))
	}
	r.faults = append(r.faults, servers.stop()...)
}

// execute runs the program with env and returns what it printed. Whatever it started is gone afterwards.
func execute(ctx context.Context, p *program, env []string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, runTimeout, fmt.Errorf("it was killed after %v", runTimeout))
	defer cancel()
	out := &bounded{}
	cmd := exec.CommandContext(ctx, "bash", "-c", p.Run)
	cmd.Dir, cmd.Env = p.dir.Path, env
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	killAll := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel = killAll
	cmd.WaitDelay = time.Second // for the output of what it left behind
	if err := cmd.Start(); err != nil {
		return "", err
	}
	err := cmd.Wait()
	_ = killAll() // an error says that nobody is left
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		err = errors.New("it left a process behind that still has its output open")
	}
	return out.String(), err
}

// environment is what README.md promises to programs.
func environment(p *program, m mode, addr, scratch string) []string {
	host, port, _ := strings.Cut(addr, ":")
	auth := ""
	if m.password != "" {
		auth = ":" + m.password + "@"
	}
	env := without(os.Environ(), "REDIS_", "SESSIONGATE_", "PATH=")
	path := os.Getenv("PATH") + ":/usr/local/sbin:/usr/sbin"
	if len(p.NPM) == 0 {
		// Debian's packages are for Debian's interpreters, whichever others come first for the user.
		path = "/usr/bin:/bin:" + path
	}
	return append(env, "PATH="+path, "REDIS_HOST="+host, "REDIS_PORT="+port, "REDIS_PASSWORD="+m.password,
		"REDIS_URL=redis://"+auth+addr+"/0", "MODE="+m.told(), "SCRATCH="+scratch,
		"NODE_PATH="+filepath.Join(p.modules, "node_modules"))
}

// without leaves out variables whose names begin with one of the prefixes.
func without(env []string, prefixes ...string) []string {
	var kept []string
next:
	for _, variable := range env {
		for _, prefix := range prefixes {
			if strings.HasPrefix(variable, prefix) {
				continue next
			}
		}
		kept = append(kept, variable)
	}
	return kept
}

// bounded keeps the first maxOutput bytes written to it. A command's two outputs may write to it at once only when
// they are the same writer, as here.
type bounded struct {
	kept    bytes.Buffer
	dropped int
}

func (b *bounded) Write(p []byte) (int, error) {
	keep := min(len(p), maxOutput-b.kept.Len())
	b.kept.Write(p[:keep])
	b.dropped += len(p) - keep
	return len(p), nil
}

func (b *bounded) String() string {
	if b.dropped == 0 {
		return b.kept.String()
	}
	return fmt.Sprintf("%s\n(%d bytes more)\n", b.kept.String(), b.dropped)
}
