package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"sessiongate/admin"
	"sessiongate/command"
	"sessiongate/config"
	"sessiongate/proxy"
	"sessiongate/tracing"
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
	r.upstream = cfg.Upstream
	files.noteUpstreams(cfg)
	defer func() { r.stage.closeAllBut(&stage{}) }()
	pool := r.stage.main.Pool
	p.banner(log, cfg, listeners, pool.Addr())
	to := limits(cfg)
	if trail != nil {
		to.Audit = trail.Event
	}
	spans, err := tracing.Open(cfg.Tracing, version(), log)
	if err != nil {
		sockets.closeAll()
		return err
	}
	var end time.Time // by which all has to be over; unknown: at once
	defer func() { spans.Close(min(time.Until(end), mostForSpans)) }()
	if spans != nil {
		to.Trace, to.TraceRatio = spans.Trace, cfg.Tracing.SampleRatio
	}
	r.server = proxy.New(to, pool, r.stage.tenants, log)
	operators, closeAdmin, err := openAdmin(ctx, cfg, r, spans, sockets, level, drain)
	if err != nil {
		sockets.closeAll()
		return err
	}
	defer closeAdmin()
	next := p.succession(cfg, log, sockets, listeners, operators.Leave)
	if err := next.ready(ctx, r.stage); err != nil {
		sockets.closeAll()
		return err
	}
	r.supervisor = next.supervisor
	ctx, stop := next.begin(ctx, again, r.server.Alive)
	defer stop()
	if cfg.Commands.Learn {
		go proxy.Learn(ctx, pool, log)
	}
	if walls := r.stage.toVerify(cfg); len(walls) > 0 {
		go proxy.VerifyWalls(ctx, walls, log)
	}
	said := make(chan struct{})
	unsaid := context.AfterFunc(ctx, func() {
		defer close(said)
		end = time.Now().Add(time.Duration(cfg.Drain))
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

// mostForSpans is how long the end may wait for the collector of spans, within drain.
const mostForSpans = 5 * time.Second

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
		Facade:     cfg.ClusterFacade,
		Announce:   cfg.ClusterAnnounce,
		Metrics:    cfg.Metrics,
		Slow:       time.Duration(cfg.SlowLog.Threshold),
		SlowLength: cfg.SlowLog.Length,
		SlowRate:   cfg.SlowLog.Rate,
		Keys:       keyForm(cfg.Log),
	}
}

// openUpstream opens the pool of connections, and before it the store in memory if that is the upstream.
func openUpstream(u config.Upstream, log *zap.Logger) (pool *upstream.Pool, closeAll func(), err error) {
	to := upstreamConfig(u)
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

// upstreamConfig is the configuration as the pool of connections wants it.
func upstreamConfig(u config.Upstream) upstream.Config {
	to := upstream.Config{
		URL:            u.URL.Reveal(),
		User:           u.User,
		Password:       u.Password.Reveal(),
		Sentinel:       upstream.Sentinel{User: u.Sentinel.User, Password: u.Sentinel.Password.Reveal(), Plain: !u.Sentinel.TLS},
		Driver:         u.Driver,
		Links:          u.Links,
		Hold:           time.Duration(u.Hold),
		ConnectTimeout: time.Duration(u.ConnectTimeout),
		ReadTimeout:    time.Duration(u.ReadTimeout),
		HealthInterval: time.Duration(u.HealthInterval),
		IdleTimeout:    time.Duration(u.IdleTimeout),
		MaxInFlight:    int64(u.MaxInFlight),
		MaxCommands:    u.MaxCommands,
		MaxDedicated:   u.MaxDedicated,
		MaxIdle:        u.MaxIdle,
		MaxConnects:    u.MaxConnects,
		Breaker:        u.Breaker,
		TLS: upstream.TLS{
			CAFile: u.TLS.CA, CertFile: u.TLS.Cert, KeyFile: u.TLS.Key,
			ServerName: u.TLS.ServerName, Insecure: u.TLS.Insecure,
		},
	}
	if u.TLS.MinVersion == "1.3" {
		to.TLS.MinVersion = tls.VersionTLS13
	}
	for _, n := range []*int{&to.MaxIdle, &to.Breaker} { // there, zero means the default
		if *n == 0 {
			*n = -1
		}
	}
	if to.Hold == 0 {
		to.Hold = -1
	}
	return to
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
	if !slices.ContainsFunc(cfg.Everyone(), func(t config.Tenant) bool { return len(t.Rules) > 0 || t.Namespace != "" }) {
		log.Warn("there are no rules: everything passes as it is, and sessions live as long as applications say; rules are written in a file, see --config")
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
