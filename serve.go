package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"sessiongate/command"
	"sessiongate/config"
	"sessiongate/policy"
	"sessiongate/proxy"
	"sessiongate/upstream"
)

func (p *program) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Accept clients and forward their commands under the rules (the default)",
		Long: "Accept clients and forward their commands to the upstream under the rules.\n\n" +
			"Without a configuration and an upstream, sessions are kept in memory, for trying things out.\n" +
			"SIGTERM or SIGINT lets clients finish what is under way, a second one ends at once.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.serve(cmd.Context()) },
	}
}

// serve runs the proxy until ctx ends and the last client is done.
func (p *program) serve(ctx context.Context) error {
	cfg, err := config.Load(p.flags, p.environ, os.ReadFile)
	if err != nil {
		return err
	}
	log := newLogger(cfg.Log, p.stderr)
	defer func() { _ = log.Sync() }() // a terminal can't be synced, and says so
	command.Extend(cfg.Commands.Extras())
	tenants, err := tenants(cfg)
	if err != nil {
		return err
	}
	runtime.GOMAXPROCS(threads(cfg))
	listeners, err := listen(ctx, cfg)
	if err != nil {
		return err
	}
	pool, closePool, err := openUpstream(cfg.Upstream, log)
	if err != nil {
		closeAll(listeners)
		return err
	}
	defer closePool()
	p.banner(log, cfg, listeners, pool.Addr())
	if cfg.Commands.Learn {
		go proxy.Learn(ctx, pool, log)
	}
	if cfg.Upstream.ACL == "verify" {
		go proxy.VerifyWalls(ctx, pool, tenants, log)
	}
	context.AfterFunc(ctx, func() {
		log.Info("stopping: clients finish what is under way", zap.Duration("drain", time.Duration(cfg.Drain)))
	})
	err = proxy.New(limits(cfg), pool, tenants, log).Serve(ctx, listeners)
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

// tenants makes each tenant of the configuration one that the proxy can serve.
func tenants(cfg config.Config) ([]*proxy.Tenant, error) {
	var all []*proxy.Tenant
	for _, t := range cfg.Everyone() {
		rules, err := policy.New(t.Config)
		if err != nil {
			return nil, fmt.Errorf("tenant %s: %w", t.Name, err)
		}
		tenant := proxy.NewTenant(t.Name, t.User, t.Password.Reveal(), rules)
		if t.Namespace != "" && cfg.Upstream.ACL != "off" {
			tenant.SetWall(proxy.NewWall(t.Namespace, secret(cfg.Upstream), cfg.Upstream.ACL == "manage"))
		}
		all = append(all, tenant)
	}
	return all, nil
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
	open := false
	for _, t := range cfg.Everyone() {
		rules := make([]string, len(t.Rules))
		for i, rule := range t.Rules {
			rules[i] = config.Summary(rule)
		}
		open = open || t.Password == ""
		log.Info("tenant", zap.String("name", t.Name), zap.String("namespace", t.Namespace),
			zap.Bool("password", t.Password != ""), zap.Strings("rules", rules))
	}
	for i, l := range listeners {
		log.Info("listening", zap.Stringer("addr", cfg.Listen[i].At(l.Addr())))
		if open && !cfg.Listen[i].Local() && cfg.TLS.ClientCA == "" {
			log.Warn("anyone who can reach this address is let in: no password is set", zap.Stringer("addr", cfg.Listen[i]))
		}
	}
	if cfg.Upstream.URL == config.Memory && terminal(p.stdout) {
		fmt.Fprintf(p.stdout, "\ntry: redis-cli%s set sess:1 v\n\n", cliOptions(listeners[0].Addr()))
	}
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
