package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"sessiongate/admin"
	"sessiongate/command"
	"sessiongate/config"
	"sessiongate/proxy"
	"sessiongate/upstream"
)

func (p *program) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Accept clients and forward their commands under the rules (the default)",
		Long: "Accept clients and forward their commands to the upstream under the rules.\n\n" +
			"Without a configuration and an upstream, sessions are kept in memory, for trying things out.\n" +
			"A configuration file that has changed is put into force, and so it is at SIGHUP.\n" +
			"SIGTERM or SIGINT lets clients finish what is under way, a second one ends at once.\n" +
			"At SIGUSR2 the program is started anew on the same listening sockets; once that process serves,\n" +
			"this one lets its clients finish.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.serve(cmd.Context()) },
	}
}

// serve runs the proxy until ctx ends and the last client is done.
func (p *program) serve(ctx context.Context) error {
	files := newFiles(nil)
	cfg, err := config.Load(p.flags, p.environ, files.read)
	if err != nil {
		return err
	}
	log, level := newLogger(cfg.Log, p.stderr)
	defer func() { _ = log.Sync() }() // a terminal can't be synced, and says so
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGUSR2)
	defer signal.Stop(again)
	command.Extend(cfg.Commands.Extras())
	runtime.GOMAXPROCS(threads(cfg))
	trail, err := admin.OpenTrail(cfg.Log, log)
	if err != nil {
		return err
	}
	defer trail.Close()
	ctx, drain := context.WithCancel(ctx)
	defer drain()
	r := &reloader{p: p, log: log, started: cfg, files: files, certs: &certificates{}, asked: make(chan asking), trail: trail}
	r.now.Store(&cfg)
	conf, err := r.certs.load(cfg, files)
	if err != nil {
		return err
	}
	r.certs.use(conf)
	sockets, err := inherit(p.environ, os.Getpid())
	if err != nil {
		return err
	}
	listeners, err := sockets.listeners(ctx, cfg, r.certs)
	if err != nil {
		return err
	}
	if r.stage, err = openStage(cfg, log); err != nil {
		sockets.closeAll()
		return err
	}
	defer func() { r.stage.closeAllBut(&stage{}) }()
	pool := r.stage.pools[cfg.Upstream].Pool
	p.banner(log, cfg, listeners, pool.Addr())
	to := limits(cfg)
	if trail != nil {
		to.Audit = trail.Event
	}
	r.server = proxy.New(to, pool, r.stage.tenants, log)
	closeAdmin, err := openAdmin(ctx, cfg, r, sockets, level, drain)
	if err != nil {
		sockets.closeAll()
		return err
	}
	defer closeAdmin()
	next := p.succession(cfg, log, sockets, listeners)
	if err := next.ready(ctx, r.stage); err != nil {
		return err
	}
	r.supervisor = next.supervisor
	ctx, end := next.begin(ctx, again, r.server.Alive)
	defer end()
	if cfg.Commands.Learn {
		go proxy.Learn(ctx, pool, log)
	}
	if walls := r.stage.toVerify(cfg); len(walls) > 0 {
		go proxy.VerifyWalls(ctx, walls, log)
	}
	said := make(chan struct{})
	unsaid := context.AfterFunc(ctx, func() {
		defer close(said)
		log.Info("stopping: clients finish what is under way", zap.Duration("drain", time.Duration(cfg.Drain)))
	})
	defer r.start(ctx, hangup)()
	err = r.server.Serve(ctx, listeners)
	if !unsaid() { // in a goroutine of its own, which may come after the last client has gone
		<-said
	}
	log.Info("stopped")
	return err
}

// threads is how many threads run Go code at once. Waking another thread costs more than most commands do: measured on
// 2 cores, one thread spends a quarter less CPU per command than two and serves more of them, as Redis and the clients
// want a core too. The default leaves half of the cores to those, and takes no more than one Redis can keep busy.
func threads(cfg config.Config) int {
	if cfg.Threads > 0 {
		return cfg.Threads
	}
	return min(max(runtime.NumCPU()/2, 1), 4)
}

// limits is the part of the configuration that the client side goes by.
func limits(cfg config.Config) proxy.Config {
	l := cfg.Limits
	return proxy.Config{
		Clients:    l.Clients,
		AcceptRate: l.AcceptRate,
		Limits:     proxy.Limits{Args: l.Args, Bulk: int64(l.Bulk), Request: int64(l.Request)},
		Output:     int64(l.Output),
		Idle:       time.Duration(l.Idle),
		Login:      time.Duration(l.Login),
		Write:      time.Duration(l.Write),
		KeepAlive:  time.Duration(l.KeepAlive),
		Drain:      time.Duration(cfg.Drain),
		Version:    version(),
		Metrics:    cfg.Metrics,
		Slow:       time.Duration(cfg.SlowLog.Threshold),
		SlowLength: cfg.SlowLog.Length,
		Keys:       keyForm(cfg.Log),
	}
}

// openUpstream opens the pool of connections, and before it the store in memory if that is the upstream.
func openUpstream(u config.Upstream, log *zap.Logger) (pool *upstream.Pool, closeAll func(), err error) {
	to := upstream.Config{
		URL:            withCredentials(u),
		Driver:         u.Driver,
		Links:          u.Links,
		Hold:           time.Duration(u.Hold),
		ConnectTimeout: time.Duration(u.ConnectTimeout),
		ReadTimeout:    time.Duration(u.ReadTimeout),
		TLS: upstream.TLS{
			CAFile: u.TLS.CA, CertFile: u.TLS.Cert, KeyFile: u.TLS.Key,
			ServerName: u.TLS.ServerName, Insecure: u.TLS.Insecure,
		},
	}
	if to.Hold == 0 {
		to.Hold = -1 // there, zero means the default
	}
	closeMemory := func() {}
	if u.URL == config.Memory {
		memory, err := startMemory()
		if err != nil {
			return nil, nil, err
		}
		to.URL, closeMemory = "redis://"+memory.Addr(), memory.Close
	}
	pool, err = upstream.Open(to, log)
	if err != nil {
		closeMemory()
		return nil, nil, err
	}
	return pool, func() { _ = pool.Close(); closeMemory() }, nil
}

// secret is the password with which the proxy logs in to the upstream.
func secret(u config.Upstream) string {
	if full, err := url.Parse(withCredentials(u)); err == nil && full.User != nil {
		password, _ := full.User.Password()
		return password
	}
	return ""
}

// withCredentials returns the upstream's URL with the user and password that are configured beside it.
func withCredentials(u config.Upstream) string {
	if u.Password == "" {
		return u.URL.Reveal()
	}
	full, err := url.Parse(u.URL.Reveal())
	if err != nil { // the configuration was checked
		return u.URL.Reveal()
	}
	full.User = url.UserPassword(u.User, u.Password.Reveal())
	return full.String()
}

// banner says what is in force.
func (p *program) banner(log *zap.Logger, cfg config.Config, listeners []net.Listener, upstream string) {
	log.Info("starting", zap.String("version", version()), zap.String("go", runtime.Version()), zap.Int("threads", runtime.GOMAXPROCS(0)))
	if cfg.Upstream.URL == config.Memory {
		log.Warn("sessions are kept in memory and lost at the end: this is for trying things out; name a Redis with --upstream redis://host:port")
	} else {
		log.Info("upstream", zap.String("addr", upstream), zap.String("driver", cfg.Upstream.Driver))
	}
	open := map[string]bool{} // by the tenant whose listener it is
	for _, t := range cfg.Everyone() {
		rules := make([]string, len(t.Rules))
		for i, rule := range t.Rules {
			rules[i] = config.Summary(rule)
		}
		needsNothing := len(t.All())+len(t.Cert) == 0
		open[t.Name] = needsNothing
		open[""] = open[""] || needsNothing && len(t.Listen) == 0
		log.Info("tenant", zap.String("name", t.Name), zap.String("namespace", t.Namespace),
			zap.Bool("password", len(t.All()) > 0), zap.Strings("rules", rules))
	}
	for i, p := range places(cfg) {
		log.Info("listening", zap.Stringer("addr", p.at.At(listeners[i].Addr())), ofTenant(p.tenant))
		if open[p.tenant] && !p.at.Local() && cfg.TLS.ClientCA == "" {
			log.Warn("anyone who can reach this address is let in: no password is set", zap.Stringer("addr", p.at))
		}
	}
	if cfg.Upstream.URL == config.Memory && terminal(p.stdout) {
		fmt.Fprintf(p.stdout, "\ntry: redis-cli%s set sess:1 v\n\n", cliOptions(listeners[0].Addr()))
	}
}

// ofTenant names a tenant in the log, if there is one.
func ofTenant(name string) zap.Field {
	if name == "" {
		return zap.Skip()
	}
	return zap.String("tenant", name)
}

// cliOptions is what redis-cli needs to reach addr.
func cliOptions(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	switch {
	case !ok:
		return " -s " + addr.String()
	case tcp.IP.IsLoopback() || tcp.IP.IsUnspecified():
		return fmt.Sprintf(" -p %d", tcp.Port)
	}
	return fmt.Sprintf(" -h %s -p %d", tcp.IP, tcp.Port)
}
