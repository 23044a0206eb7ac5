package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"sessiongate/config"
)

// startLimit is how long a new process may take until it serves.
const startLimit = time.Minute

// succession is the process among those before and after it, and under its supervisor. At SIGUSR2 it starts the program anew, the
// file that stands there now, with its listening sockets. Once that one serves, this one lets its clients go.
type succession struct {
	p          *program
	log        *zap.Logger
	sockets    *sockets
	supervisor supervisor
	only       string // why there can be no other process; "": there can

	over context.CancelFunc // begins the end of this process
}

// succession is that of a process that listens there.
func (p *program) succession(cfg config.Config, log *zap.Logger, sockets *sockets, listeners []net.Listener) *succession {
	s := &succession{p: p, log: log, sockets: sockets, supervisor: supervised(p.environ, os.Getpid())}
	var at []string
	for _, l := range listeners {
		at = append(at, l.Addr().String())
	}
	s.supervisor.doing = "Serving clients on " + strings.Join(at, ", ")
	switch {
	case cfg.Upstream.URL == config.Memory:
		s.only = "the sessions are in the memory of this process"
	case os.Getpid() == 1:
		s.only = "this is the first process of its container, which ends with it: start another container"
	}
	return s
}

// ready reports why this process can't take over from the one before, if there is one: that goes on then. The first one waits for no
// upstream.
func (s *succession) ready(ctx context.Context, on *stage) error {
	if unused := s.sockets.rest(); len(unused) > 0 {
		s.log.Warn("the configuration does not listen on these sockets, which were handed over", zap.Strings("addresses", unused))
	}
	if s.sockets.ready == nil {
		return nil
	}
	for _, pool := range on.pools {
		if err := ping(ctx, pool); err != nil {
			return fmt.Errorf("upstream %s: %w", pool.Addr(), err)
		}
	}
	return nil
}

// begin tells that this process serves, and returns a context that ends when it is to serve no longer. What it returns besides is to be called
// at the end.
func (s *succession) begin(ctx context.Context, again <-chan os.Signal, alive func() bool) (serving context.Context, end func()) {
	serving, s.over = context.WithCancel(ctx)
	if s.sockets.ready != nil {
		_, _ = s.sockets.ready.WriteString("ready")
		_ = s.sockets.ready.Close()
	}
	s.supervisor.serving()
	var running sync.WaitGroup
	running.Go(func() { s.run(serving, again) })
	gone := make(chan struct{})
	running.Go(func() { s.supervisor.watchdog(gone, alive) })
	stopping := context.AfterFunc(serving, func() {
		if !s.sockets.handOff.Load() {
			s.supervisor.stopping()
		}
	})
	return serving, func() {
		stopping()
		s.over()
		close(gone)
		running.Wait()
	}
}

// run hands over at each signal, until that has worked.
func (s *succession) run(ctx context.Context, again <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-again:
		}
		started, err := s.handOver(ctx)
		if err != nil {
			s.log.Error("hand-over failed, this process goes on", zap.Error(err))
			continue
		}
		s.sockets.handedOver()
		s.supervisor.replaced(started)
		s.log.Info("handed over", zap.Int("pid", started.Pid))
		_ = started.Release()
		s.over()
		return
	}
}

// handOver starts the next process, and returns it once it serves. After an error there is none.
func (s *succession) handOver(ctx context.Context) (*os.Process, error) {
	if s.only != "" {
		return nil, errors.New(s.only)
	}
	files, names, err := s.sockets.files()
	if err != nil {
		return nil, err
	}
	defer closeFiles(files)
	ready, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = ready.Close() }()
	text, err := json.Marshal(names)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(s.p.path, s.p.args...)
	cmd.Env = append(withoutHandOver(s.p.environ), envNames+"="+string(text))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.p.stdin, s.p.stdout, s.p.stderr
	cmd.ExtraFiles = append(files, theirs)
	err = cmd.Start()
	_ = theirs.Close()
	s.sockets.keepNonblocking()
	if err != nil {
		return nil, err
	}
	s.log.Info("handing over", zap.Int("pid", cmd.Process.Pid), zap.String("program", s.p.path))
	if err := serves(ctx, ready); err != nil {
		_ = cmd.Process.Kill()
		return nil, errors.Join(err, cmd.Wait())
	}
	return cmd.Process, nil
}

// serves waits until the new process says that it serves, or ends.
func serves(ctx context.Context, ready *os.File) error {
	_ = ready.SetReadDeadline(time.Now().Add(startLimit))
	defer context.AfterFunc(ctx, func() { _ = ready.SetReadDeadline(time.Unix(1, 0)) })()
	var word [16]byte
	if n, err := ready.Read(word[:]); n == 0 {
		switch {
		case ctx.Err() != nil:
			return errors.New("this process is to end")
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("the new process does not serve after %v", startLimit)
		}
		return errors.New("the new process has ended, see above")
	}
	return nil
}

// withoutHandOver drops what was said to this process alone.
func withoutHandOver(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return name == envNames || strings.HasPrefix(name, "LISTEN_") || name == "WATCHDOG_PID"
	})
}
