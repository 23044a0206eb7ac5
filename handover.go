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

const (
	// startLimit is how long a new process may take until it serves.
	startLimit = time.Minute
	// proof is how long it has to stay up then, before this one lets its clients go: one that can't bear what is sent to it ends soon.
	proof = 500 * time.Millisecond
)

// succession is the process among those before and after it, and under its supervisor. At SIGUSR2 it starts the program anew, the
// file that stands there now, with its listening sockets. Once that one serves, this one lets its clients go.
type succession struct {
	p          *program
	log        *zap.Logger
	sockets    *sockets
	supervisor supervisor
	only       string // why there can be no other process; "": there can

	// leave has operators begin nothing more here that would not outlive a hand-over, until stay is called. It reports what is under way of that.
	leave func() (stay func(), err error)

	over context.CancelFunc // begins the end of this process
}

// heir is a new process.
type heir struct {
	*os.Process
	ended chan struct{} // closed when it has
	err   error         // how it has ended
}

// start starts a process. It is waited for, so that it never is a zombie, as long as this process is there.
func start(cmd *exec.Cmd) (*heir, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	h := &heir{Process: cmd.Process, ended: make(chan struct{})}
	go func() {
		defer close(h.ended)
		h.err = cmd.Wait()
	}()
	return h, nil
}

// kill ends it, and returns why together with how that went.
func (h *heir) kill(why error) error {
	_ = h.Process.Kill()
	<-h.ended
	return errors.Join(why, h.err)
}

// succession is that of a process that listens there.
func (p *program) succession(cfg config.Config, log *zap.Logger, sockets *sockets, listeners []net.Listener, leave func() (func(), error)) *succession {
	s := &succession{p: p, log: log, sockets: sockets, supervisor: supervised(p.environ, os.Getpid()), leave: leave}
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
	s.sockets.own()
	if s.sockets.ready != nil {
		_, _ = s.sockets.ready.WriteString("ready")
		_ = s.sockets.ready.Close()
	}
	s.supervisor.serving()
	var running sync.WaitGroup
	gone := make(chan struct{})
	running.Go(func() { s.run(serving, again, gone) })
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

// run hands over at each signal, until that has worked. Then it keeps an eye on the new process until this one is gone.
func (s *succession) run(ctx context.Context, again <-chan os.Signal, gone <-chan struct{}) {
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
		s.supervisor.replaced(started.Process)
		s.log.Info("handed over", zap.Int("pid", started.Pid))
		s.over()
		select {
		case <-started.ended:
			s.log.Error("the new process has ended, and this one is about to: nobody accepts clients", zap.Int("pid", started.Pid), zap.Error(started.err))
		case <-gone:
		}
		return
	}
}

// handOver starts the next process, and returns it once it serves. After an error there is none.
func (s *succession) handOver(ctx context.Context) (_ *heir, err error) {
	if s.only != "" {
		return nil, errors.New(s.only)
	}
	stay, err := s.leave()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			stay()
		}
	}()
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
	next, err := start(cmd)
	_ = theirs.Close()
	s.sockets.keepNonblocking()
	if err != nil {
		return nil, err
	}
	s.log.Info("handing over", zap.Int("pid", next.Pid), zap.String("program", s.p.path))
	if err := serves(ctx, ready); err != nil {
		return nil, next.kill(err)
	}
	timer := time.NewTimer(proof)
	defer timer.Stop()
	select {
	case <-timer.C:
		return next, nil
	case <-next.ended:
		return nil, next.kill(errors.New("the new process has ended as soon as it served"))
	case <-ctx.Done():
		return nil, next.kill(errEnding)
	}
}

var errEnding = errors.New("this process is to end")

// serves waits until the new process says that it serves, or ends.
func serves(ctx context.Context, ready *os.File) error {
	_ = ready.SetReadDeadline(time.Now().Add(startLimit))
	defer context.AfterFunc(ctx, func() { _ = ready.SetReadDeadline(time.Unix(1, 0)) })()
	var word [16]byte
	if n, err := ready.Read(word[:]); n == 0 {
		switch {
		case ctx.Err() != nil:
			return errEnding
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
