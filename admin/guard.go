package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// access is what is asked for.
type access uint8

const (
	figures access = iota // numbers and the configuration in force: readable on loopback where no credential is configured
	secrets               // names of sessions, and whatever changes something
)

// admits reports why a request over HTTP is not let in, nil if it is.
func (a *Admin) admits(r *http.Request, to access) *apiError {
	if state := stateOf(r); a.cfg.MTLS && state != nil && len(state.VerifiedChains) > 0 {
		proven(r)
		return nil
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	given := strings.EqualFold(scheme, "Bearer") && token != ""
	if !given {
		token = ""
	}
	err := a.admit(remoteHost(r.RemoteAddr), given, token, to)
	switch {
	case err != nil && given:
		_ = sleep(r.Context(), wrongTokenDelay)
	case err == nil && a.admit("", given, token, secrets) == nil:
		proven(r)
	}
	return err
}

// admit reports why somebody is not let in who shows this token, or none.
func (a *Admin) admit(from string, given bool, token string, to access) *apiError {
	switch {
	case a.cfg.Token != "":
		if given && a.isToken(token) {
			return nil
		}
		if given {
			a.failed(from)
		}
		return fail(http.StatusUnauthorized, "unauthorized", "a token is needed: Authorization: Bearer <admin.token>, or AUTH <admin.token> in RESP")
	case a.cfg.MTLS:
		return fail(http.StatusUnauthorized, "unauthorized", "a client certificate is needed")
	case a.cfg.Unix, to == figures:
		return nil
	}
	return fail(http.StatusForbidden, "no_token_configured", "this takes a credential, and none is configured: set admin.token")
}

// isToken compares in constant time, whatever the length.
func (a *Admin) isToken(text string) bool {
	sum := sha256.Sum256([]byte(text))
	return subtle.ConstantTimeCompare(sum[:], a.token[:]) == 1
}

// failures keeps wrong tokens from filling the logs.
type failures struct {
	mu     sync.Mutex
	logged time.Time
	held   int
}

// failuresEvery is the distance of two lines.
const failuresEvery = time.Minute

// failed counts and logs a wrong token, never the token itself.
func (a *Admin) failed(from string) {
	a.cfg.Proxy.Counts.FailedLogins.Add(1)
	f, now := &a.failures, time.Now()
	f.mu.Lock()
	due, held := now.Sub(f.logged) >= failuresEvery, f.held
	if due {
		f.logged, f.held = now, 0
	} else {
		f.held++
	}
	f.mu.Unlock()
	if due {
		a.cfg.Trail.add("admin_login_failed", zap.String("addr", from), zap.Int("not_logged_before", held))
		a.cfg.Log.Warn("admin: wrong token", zap.String("addr", from), zap.Int("not_logged_before", held))
	}
}

// guarded lets in to h only who may.
func (a *Admin) guarded(to access, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := a.admits(r, to); err != nil {
			err.write(w)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// hardened refuses what a browser was tricked into sending: for another name that resolves to loopback, or from another site. It
// forbids everything that the page itself doesn't need.
func (a *Admin) hardened(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if a.cfg.Proxy.Draining() {
			h.Set("Connection", "close") // the next request is for whoever comes after
		}
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		if a.cfg.Local && !a.cfg.Unix && !isLoopback(r.Host) {
			fail(http.StatusForbidden, "forbidden", "this address is on loopback, and has no other name").write(w)
			return
		}
		if err := a.foreign.Check(r); err != nil {
			fail(http.StatusForbidden, "forbidden", "this was sent by the page of another site").write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isLoopback reports whether a Host header names loopback.
func isLoopback(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}

// remoteHost is the address without its port.
func remoteHost(addr string) string {
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return "unix"
}

// connKey is where a request's context has its connection: net/http looks for what TLS has verified in those of crypto/tls alone.
type connKey struct{}

func withConn(ctx context.Context, conn net.Conn) context.Context {
	if p, ok := conn.(*peeked); ok {
		return context.WithValue(ctx, connKey{}, p.limited)
	}
	return ctx
}

func stateOf(r *http.Request) *tls.ConnectionState {
	if conn, ok := r.Context().Value(connKey{}).(*limited); ok {
		return conn.state()
	}
	return nil
}

// proven keeps the request's connection from being closed for the sake of others.
func proven(r *http.Request) {
	if conn, ok := r.Context().Value(connKey{}).(*limited); ok {
		conn.proven.Store(true)
	}
}

// who names the operator for logs: by certificate or address.
func who(r *http.Request) string {
	if state := stateOf(r); state != nil && len(state.VerifiedChains) > 0 {
		return state.VerifiedChains[0][0].Subject.String() + " at " + remoteHost(r.RemoteAddr)
	}
	return remoteHost(r.RemoteAddr)
}
