package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"sessiongate/proxy"
)

// What operators can have the program do.

const (
	pauseDefault = 30 * time.Second
	pauseMost    = 10 * time.Minute
	// resumeWait is how long the upstreams may take to be back.
	resumeWait = 5 * time.Second
)

func (a *Admin) postReload(r *http.Request) (any, error) { return a.reload(r.Context(), who(r)) }

func (a *Admin) reload(ctx context.Context, by string) (any, error) {
	if a.cfg.Proxy.Draining() {
		return nil, errDraining
	}
	err := a.cfg.Reload(ctx, "asked for by "+by)
	a.acted(by, "reload", zap.Bool("ok", err == nil))
	if err != nil {
		e := fail(http.StatusUnprocessableEntity, "bad_configuration", "reload failed, nothing has changed")
		e.Details = strings.Split(err.Error(), "\n")
		return nil, e
	}
	return object{"reloaded": true}, nil
}

func (a *Admin) postDrain(r *http.Request) (any, error) { return a.drain(who(r)) }

func (a *Admin) drain(by string) (any, error) {
	a.acted(by, "drain")
	a.cfg.Drain()
	return accepted{object{"draining": true}}, nil
}

func (a *Admin) postPause(r *http.Request) (any, error) {
	in := struct {
		Limit int64 `json:"limit_ms"`
	}{pauseDefault.Milliseconds()}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	if in.Limit < 1 || in.Limit > pauseMost.Milliseconds() {
		return nil, badRequest("limit_ms: %d is not from 1 to %d", in.Limit, pauseMost.Milliseconds())
	}
	return a.pause(r.Context(), time.Duration(in.Limit)*time.Millisecond, who(r))
}

func (a *Admin) pause(ctx context.Context, limit time.Duration, by string) (any, error) {
	end, err := a.begin(aPause)
	if err != nil {
		return nil, err
	}
	defer end() // from here on the proxy knows
	until, err := a.cfg.Proxy.Pause(ctx, limit)
	if err != nil {
		return nil, conflict(err)
	}
	a.acted(by, "pause", zap.Duration("limit", limit))
	return object{"paused": true, "until": stamp(until)}, nil
}

func (a *Admin) postResume(r *http.Request) (any, error) {
	var in struct {
		Force bool `json:"force"`
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	return a.resume(r.Context(), in.Force, who(r))
}

func (a *Admin) resume(ctx context.Context, force bool, by string) (any, error) {
	limit, cancel := context.WithTimeout(ctx, resumeWait)
	defer cancel()
	if err := a.cfg.Proxy.Resume(limit, force); err != nil {
		return nil, conflict(err)
	}
	a.acted(by, "resume", zap.Bool("force", force))
	return object{"paused": false}, nil
}

func conflict(err error) *apiError {
	if errors.Is(err, proxy.ErrDraining) {
		return errDraining
	}
	text := err.Error()
	if errors.Is(err, proxy.ErrPaused) || errors.Is(err, proxy.ErrNotPaused) {
		text = "the proxy: " + text
	}
	return fail(http.StatusConflict, "conflict", "%s", text)
}

func (a *Admin) putLogLevel(r *http.Request) (any, error) {
	var in struct {
		Level string `json:"level"`
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	return a.setLevel(in.Level, who(r))
}

func (a *Admin) setLevel(text, by string) (any, error) {
	level, err := zapcore.ParseLevel(text)
	if err != nil || level > zapcore.ErrorLevel || text == "" {
		return nil, badRequest("level: %q is not debug, info, warn or error", text)
	}
	a.acted(by, "loglevel", zap.String("level", level.String()))
	a.cfg.Level.SetLevel(level)
	return object{"level": level.String()}, nil
}

func (a *Admin) postExplain(r *http.Request) (any, error) {
	var in struct {
		Tenant  string   `json:"tenant"`
		Command []string `json:"command"`
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	return a.explain(in.Tenant, in.Command)
}

// explanation is what becomes of a command, and whose it was.
type explanation struct {
	Tenant string `json:"tenant"`
	proxy.Explanation
}

func (a *Admin) explain(tenant string, words []string) (any, error) {
	if len(words) == 0 || words[0] == "" {
		return nil, badRequest("command: is empty; write a list of words")
	}
	t, err := a.tenant(tenant)
	if err != nil {
		return nil, err
	}
	args := make([][]byte, len(words))
	for i, word := range words {
		args[i] = []byte(word)
	}
	return explanation{t.Name, proxy.Explain(t.Policy(), args, t.Pool.Now())}, nil
}

// tenant finds the one of that name; empty: the only one there is.
func (a *Admin) tenant(name string) (*proxy.Tenant, error) {
	all := a.cfg.Proxy.Tenants()
	var names []string
	for _, t := range all {
		if t.Name == name || name == "" && len(all) == 1 {
			return t, nil
		}
		names = append(names, t.Name)
	}
	if name == "" {
		return nil, badRequest("tenant: is missing; there are: %s", strings.Join(names, ", "))
	}
	return nil, fail(http.StatusNotFound, "no_such_tenant", "there is no tenant %q; there are: %s", name, strings.Join(names, ", "))
}
