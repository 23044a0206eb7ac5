package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"sessiongate/admin"
	"sessiongate/command"
	"sessiongate/config"
	"sessiongate/proxy"
)

// watchEvery is how often files are looked at. A file that has changed is read when it is the same at two looks, so that it is
// not read while it is being written.
const watchEvery = 500 * time.Millisecond

// reloader puts a changed configuration into force while clients are served.
type reloader struct {
	p       *program
	log     *zap.Logger
	started config.Config // what can't change is as it says
	server  *proxy.Server
	certs   *certificates
	stage   *stage
	files   *files
	now     atomic.Pointer[config.Config] // in force
	asked   chan asking                   // by operators
	trail   *admin.Trail

	upstream   config.Upstream // the one of all, as it is now
	supervisor supervisor      // is told of reloads

	life    context.Context // ends when the last client is gone
	retired sync.WaitGroup  // of upstreams that wait for their last client
}

// start has it reload until ctx ends. What it returns ends it altogether, when no client is left.
func (r *reloader) start(ctx context.Context, hangup <-chan os.Signal) (stop func()) {
	life, end := context.WithCancel(context.Background())
	r.life = life
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	running.Go(func() { r.run(ctx, hangup) })
	return func() {
		cancel()
		running.Wait()
		end()
		r.retired.Wait()
	}
}

// run reloads at each SIGHUP and when a file changes, until ctx ends.
func (r *reloader) run(ctx context.Context, hangup <-chan os.Signal) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			_ = r.reload(ctx, "SIGHUP")
		case a := <-r.asked:
			a.done <- r.reload(ctx, a.why)
		case <-tick.C:
			if r.files.changed() {
				_ = r.reload(ctx, "a file has changed")
			}
		}
	}
}

// reload reads the configuration and puts it into force, all of it or nothing.
func (r *reloader) reload(ctx context.Context, why string) (err error) {
	r.trail.Reopen()
	defer func() { r.trail.Reloaded(why, err) }()
	files := newFiles(r.files)
	defer func() { r.files = files }()
	r.supervisor.reloading()
	defer r.supervisor.serving()
	cfg, err := config.Load(r.p.flags, r.p.environ, files.read)
	if err == nil {
		err = r.apply(ctx, cfg, files)
	}
	if err != nil {
		r.server.Counts.FailedReloads.Add(1)
		r.log.Error("reload failed, nothing has changed", zap.String("why", why), zap.Strings("errors", strings.Split(err.Error(), "\n")))
		return err
	}
	r.server.Counts.Reloads.Add(1)
	r.now.Store(&cfg)
	var names []string
	for _, t := range cfg.Everyone() {
		names = append(names, t.Name)
	}
	r.log.Info("reloaded", zap.String("why", why), zap.Strings("tenants", names))
	if fixed := cfg.Fixed(r.started); len(fixed) > 0 {
		r.log.Warn("these settings have changed and take a restart", zap.Strings("settings", fixed))
	}
	return nil
}

// asking is a reload that an operator waits for.
type asking struct {
	why  string
	done chan error // capacity 1
}

// ask has the configuration put into force anew, and returns what became of that.
func (r *reloader) ask(ctx context.Context, why string) error {
	a := asking{why, make(chan error, 1)}
	select {
	case r.asked <- a:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-a.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// apply prepares everything that can fail, and then swaps.
func (r *reloader) apply(ctx context.Context, cfg config.Config, files *files) error {
	cert, err := r.certs.load(cfg, files)
	if err != nil {
		return err
	}
	if names := command.Extend(cfg.Commands.Extras()); len(names) > 0 { // before the rules, which may name them
		r.log.Info("commands added", zap.Strings("names", names))
	}
	if cfg.Upstream.SamePlace(r.started.Upstream) { // else it takes a restart
		r.upstream = r.upstream.As(cfg.Upstream)
	}
	cfg.Upstream = r.upstream
	files.noteUpstreams(cfg)
	next, err := r.stage.next(cfg, r.log, func(pool opened) error { return ping(ctx, pool) })
	if err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, time.Duration(cfg.Upstream.ConnectTimeout))
	proxy.VerifyWalls(limit, next.newWalls, r.log) // says what is wrong; scripts are refused until it is right
	cancel()
	r.certs.use(cert)
	r.server.SetTenants(next.tenants)
	before := r.stage
	r.stage = next
	limit, cancel = context.WithTimeout(ctx, time.Duration(cfg.Upstream.ConnectTimeout))
	next.become(limit, r.log)
	cancel()
	r.retired.Go(func() {
		limit, cancel := context.WithTimeout(r.life, time.Duration(r.started.Drain))
		defer cancel()
		before.retire(limit, next, r.server)
	})
	return nil
}

// ping asks an upstream whether it is there.
func ping(ctx context.Context, pool opened) error {
	limit, cancel := context.WithTimeout(ctx, pool.ReadTimeout())
	defer cancel()
	return pool.Admin().Ping(limit).Err()
}

// certificates are what the tls:// listeners show, and whom they trust. Each handshake takes those of the moment.
type certificates struct{ now atomic.Pointer[tls.Config] }

// load reads the certificates that the configuration names; nil if no listener needs any.
func (c *certificates) load(cfg config.Config, files *files) (*tls.Config, error) {
	all := places(cfg)
	i := slices.IndexFunc(all, func(p place) bool { return p.at.TLS })
	if i < 0 {
		return nil, nil
	}
	for _, name := range []string{cfg.TLS.Cert, cfg.TLS.Key, cfg.TLS.ClientCA} {
		if name != "" {
			files.note(name)
		}
	}
	conf, err := serverTLS(cfg.TLS)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", all[i].at, err)
	}
	return conf, nil
}

func (c *certificates) use(conf *tls.Config) {
	if conf != nil {
		c.now.Store(conf)
	}
}

// config is for a listener.
func (c *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.now.Load(), nil },
	}
}

// files are those that the configuration came from, as they were before they were read.
type files struct {
	was  map[string]os.FileInfo // nil: it wasn't there
	seen map[string]os.FileInfo // at the last look, if that was different
}

// newFiles begins anew: what was looked at before is looked at still, so that a file comes back in sight after an error.
func newFiles(before *files) *files {
	f := &files{was: map[string]os.FileInfo{}}
	if before != nil {
		for name := range before.was {
			f.note(name)
		}
	}
	return f
}

// read is os.ReadFile for a file to keep an eye on.
func (f *files) read(name string) ([]byte, error) {
	f.note(name)
	return os.ReadFile(name)
}

func (f *files) note(name string) { f.was[name] = look(name) }

// noteUpstreams notes the files that connections to upstreams need. A password's has been noted when it was read.
func (f *files) noteUpstreams(cfg config.Config) {
	all := cfg.Upstream.Files()
	for _, t := range cfg.Tenants {
		if t.Upstream != nil {
			all = append(all, t.Upstream.Files()...)
		}
	}
	for _, name := range all {
		f.note(name)
	}
}

// changed reports whether a file is another than was read, and seems to be complete.
func (f *files) changed() bool {
	now := map[string]os.FileInfo{}
	for name := range f.was {
		now[name] = look(name)
	}
	if maps.EqualFunc(now, f.was, same) {
		f.seen = nil
		return false
	}
	settled := f.seen != nil && maps.EqualFunc(now, f.seen, same)
	f.seen = now
	return settled
}

func look(name string) os.FileInfo {
	info, err := os.Stat(name)
	if err != nil {
		return nil
	}
	return info
}

func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
