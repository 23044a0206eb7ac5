package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"time"

	"go.uber.org/zap"

	"sessiongate/admin"
	"sessiongate/config"
	"sessiongate/proxy"
	"sessiongate/tracing"
)

// openAdmin opens the address for operators, if there is to be one, and returns it, nil if not, and what closes it.
func openAdmin(ctx context.Context, cfg config.Config, r *reloader, spans *tracing.Exporter, sockets *sockets, level zap.AtomicLevel, drain func()) (a *admin.Admin, closeAll func(), err error) {
	at := cfg.Admin.Listen
	if !cfg.Admin.On() {
		return nil, func() {}, nil
	}
	var conf *tls.Config
	if t := cfg.Admin.TLS; t.Cert != "" {
		conf, err = serverTLS(config.TLS{Cert: t.Cert, Key: t.Key, ClientCA: t.ClientCA})
		if err != nil {
			return nil, nil, fmt.Errorf("admin on %s: %w", at, err)
		}
	}
	ln, err := sockets.listenAt(ctx, at, time.Duration(cfg.Limits.KeepAlive))
	if err != nil {
		return nil, nil, fmt.Errorf("admin on %s: %w", at, err)
	}
	ln.operators = true
	var traced func() (sent, lost int64)
	if spans != nil {
		traced = spans.Counts
	}
	a = admin.New(admin.Config{
		Proxy: r.server, Version: version(), Token: cfg.Admin.Token.Reveal(), TLS: conf, MTLS: cfg.Admin.TLS.ClientCA != "",
		Local: at.Local(), Unix: at.Network == "unix", Pprof: cfg.Admin.Pprof, ShowValues: cfg.Admin.ShowValues,
		Log: r.log, Level: level, Trail: r.trail, Traced: traced,
		InForce: func() config.Config { return *r.now.Load() }, Reload: r.ask, Drain: drain,
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := a.Serve(ln); err != nil {
			r.log.Error("admin address lost", zap.Error(err))
		}
	}()
	r.log.Info("admin", zap.Stringer("addr", at.At(ln.Addr())), zap.Bool("credential", cfg.Admin.Token != "" || cfg.Admin.TLS.ClientCA != ""))
	if !at.Local() && conf == nil {
		r.log.Warn("the admin token travels in clear: admin.tls.cert is not set", zap.Stringer("addr", at))
	}
	return a, func() { a.Close(); <-done }, nil
}

// keyForm is how keys are shown in logs.
func keyForm(c config.Log) proxy.KeyForm {
	f := proxy.KeyForm{Hashed: c.Keys == "hashed", Secret: []byte(c.KeySecret.Reveal())}
	if len(f.Secret) == 0 {
		f.Secret = make([]byte, 32)
		_, _ = rand.Read(f.Secret) // it never fails
	}
	return f
}
