// Package admin is what operators see of the program, and what they can have it do: metrics, health, a JSON API, a dashboard,
// and the same in RESP. docs/admin-api.md is its contract.
//
// It looks at the proxy from outside: nothing in it is on the way of a command, and nothing imports it but main. It knows neither
// sockets of clients nor how a rule works.
//
//	a, err := admin.New(admin.Config{...})
//	go a.Serve(listener)
//	defer a.Close()
package admin

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"sessiongate/config"
	"sessiongate/proxy"
)

// Config is what the admin address shows and asks for.
type Config struct {
	Proxy   *proxy.Server
	Version string
	Token   string      // what to show; empty: none is asked for
	TLS     *tls.Config // nil: none is spoken
	MTLS    bool        // client certificates that TLS has verified are a credential
	Local   bool        // only this machine can reach the address
	Unix    bool        // it is a unix socket, whose permissions say who may connect

	Pprof, ShowValues bool

	Log   *zap.Logger
	Level zap.AtomicLevel
	Trail *Trail

	Traced func() (sent, lost int64) // commands of which a collector was told, and was not; nil: none are traced

	InForce func() config.Config                              // the configuration of the moment
	Reload  func(ctx context.Context, why string) (err error) // puts it into force anew; the error joins what is wrong
	Drain   func()                                            // ends the program as SIGTERM does
}

// Admin is an admin address.
type Admin struct {
	cfg         Config
	token       [sha256.Size]byte
	http        *http.Server
	metrics     http.Handler
	foreign     *http.CrossOriginProtection
	failures    failures
	revocations revocations
	audits      audits
	begun       begun

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // of everything that goes on beside requests
}

// The limits of a request, and of how long parts of it may take. An answer may take its time to be found: counting sessions does.
const (
	headerTimeout = 5 * time.Second
	bodyTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second // to take an answer; pprof adds what its profile takes
	idleTimeout   = time.Minute
	maxHeader     = 16 << 10 // bytes
	maxBody       = 64 << 10 // bytes
	maxConns      = 256      // connections at once
)

// New returns an Admin, which serves nothing until Serve.
func New(cfg Config) *Admin {
	a := &Admin{cfg: cfg, token: sha256.Sum256([]byte(cfg.Token)), foreign: http.NewCrossOriginProtection()}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	registry := a.registry()
	a.metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	a.http = &http.Server{
		Handler: a.handler(), ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog:    zap.NewStdLog(cfg.Log.WithOptions(zap.IncreaseLevel(zap.ErrorLevel))), // what scanners send is no news
		BaseContext: func(net.Listener) context.Context { return a.ctx },
		ConnContext: withConn,
	}
	return a
}

// Serve answers on the listener, which it owns from now on, until Close.
func (a *Admin) Serve(ln net.Listener) error {
	if a.cfg.TLS != nil {
		ln = tls.NewListener(ln, a.cfg.TLS)
	}
	s := a.split(ln)
	defer s.Close()
	if err := a.http.Serve(s); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// closing is how long requests under way may take at the end.
const closing = time.Second

// Close ends everything. What waits for an upstream that doesn't answer is left to the closing of that one's connections.
func (a *Admin) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	a.cancel()
	if a.http.Shutdown(ctx) != nil {
		_ = a.http.Close()
	}
	gone := make(chan struct{})
	go func() { a.wg.Wait(); close(gone) }()
	select {
	case <-gone:
	case <-ctx.Done():
	}
}

// handler is everything that is spoken in HTTP.
func (a *Admin) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", a.notFound)
	a.dashboard(mux)
	mux.HandleFunc("/healthz", a.health)
	mux.HandleFunc("/readyz", a.ready)
	mux.Handle("/metrics", a.guarded(figures, a.metrics))
	if a.cfg.Pprof {
		for path, h := range map[string]http.HandlerFunc{"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace} {
			mux.Handle("/debug/pprof/"+path, a.guarded(secrets, h))
		}
	}
	for path, methods := range a.routes() {
		mux.Handle("/api/v1/"+path, a.dispatch(methods))
	}
	return a.hardened(mux)
}

func (a *Admin) health(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") }

// ready says whether new clients should come here, and to who may know, why not.
func (a *Admin) ready(w http.ResponseWriter, r *http.Request) {
	why := a.unready()
	switch {
	case why == nil:
		plain(w, http.StatusOK, "ready\n")
	case a.admits(r, figures) == nil:
		plain(w, http.StatusServiceUnavailable, "not ready: "+why.Error()+"\n")
	default:
		plain(w, http.StatusServiceUnavailable, "not ready\n")
	}
}

// unready says why new clients should not come here, nil if they may. While it is paused they may: they are kept waiting.
func (a *Admin) unready() error {
	p := a.cfg.Proxy
	if p.Draining() {
		return errors.New("draining")
	}
	if _, paused := p.Paused(); paused {
		return nil
	}
	return p.Ready()
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}
