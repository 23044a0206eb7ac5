package admin

import (
	"context"
	"errors"
	"math/bits"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"sessiongate/proxy"
)

// revocations are those under way and the last that are done.
type revocations struct {
	mu   sync.Mutex // a leaf
	last int64
	list []*revocation // the latest last
}

// revocation removes sessions of one tenant.
type revocation struct {
	ID      int64   `json:"id"`
	Tenant  string  `json:"tenant"`
	Match   string  `json:"match"`
	State   string  `json:"state"`
	Started stamp   `json:"started"`
	Ended   stamp   `json:"ended"`
	Revoked int64   `json:"revoked"`
	Done    float64 `json:"done"`
	Error   string  `json:"error"`

	cancel context.CancelFunc
}

const (
	stateRunning   = "running"
	stateDone      = "done"
	stateCancelled = "cancelled"
	stateFailed    = "failed"

	keptRevocations   = 100
	revocationRate    = 1000 // keys a second
	revocationMost    = 1000000
	revocationsAtOnce = 4
)

// revokeRequest is the body of POST /revocations.
type revokeRequest struct {
	Tenant    string `json:"tenant"`
	Key       string `json:"key"`
	KeyBase64 string `json:"key_base64"`
	Match     string `json:"match"`
	All       bool   `json:"all"`
	Rate      *int   `json:"rate"`
}

func (a *Admin) postRevocation(r *http.Request) (any, error) {
	var in revokeRequest
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	return a.revoke(r.Context(), in, who(r))
}

func (a *Admin) revoke(ctx context.Context, in revokeRequest, by string) (any, error) {
	one := in.Key != "" || in.KeyBase64 != ""
	given := 0
	for _, yes := range []bool{one, in.Match != "", in.All} {
		if yes {
			given++
		}
	}
	if given != 1 {
		return nil, badRequest("write one of key (or key_base64), match and all")
	}
	rate := revocationRate
	if in.Rate != nil {
		rate = *in.Rate
	}
	if rate < 0 || rate > revocationMost {
		return nil, badRequest("rate: %d is not from 0 to %d", rate, revocationMost)
	}
	t, err := a.tenant(in.Tenant)
	if err != nil {
		return nil, err
	}
	if one {
		return a.revokeOne(ctx, t, in, by)
	}
	match := in.Match
	if in.All {
		match = "*"
	}
	end, err := a.begin(aRevocation)
	if err != nil {
		return nil, err
	}
	r, err := a.revocations.begin(t.Name, match)
	if err != nil {
		end()
		return nil, err
	}
	a.acted(by, "revoke", zap.String("tenant", t.Name), zap.String("match", a.shown(match)), zap.Int("rate", rate), zap.Int64("revocation", r.ID))
	run, cancel := context.WithCancel(a.ctx)
	a.revocations.change(func() { r.cancel = cancel })
	a.wg.Go(func() {
		defer end()
		defer cancel()
		a.walk(run, r, t, rate)
	})
	return accepted{a.revocations.show(r)}, nil
}

// shown is a pattern for logs. It may be a session's whole name, or nearly.
func (a *Admin) shown(match string) string {
	_, rest, found := strings.Cut(match, ":")
	if !found {
		rest = match
	}
	if strings.Trim(rest, "*") == "" && len(match) <= longestShown {
		return match
	}
	return a.cfg.Proxy.Keys().Form([]byte(match))
}

// longestShown is how long a pattern is at most, in bytes, that is logged as it is.
const longestShown = 24

func (a *Admin) revokeOne(ctx context.Context, t *proxy.Tenant, in revokeRequest, by string) (any, error) {
	key, err := decodeKey(in.Key, in.KeyBase64)
	if err != nil {
		return nil, err
	}
	s := openStore(t)
	defer s.close()
	r, err := a.revocations.begin(t.Name, "")
	if err != nil {
		return nil, err
	}
	removed, err := s.unlink(ctx, s.nodeOf(key), string(key))
	a.revocations.end(r, removed, err)
	a.acted(by, "revoke", zap.String("tenant", t.Name), zap.String("key", a.cfg.Proxy.Keys().Form(key)), zap.Int64("revoked", removed))
	if err != nil {
		return nil, upstreamError(err)
	}
	return a.revocations.show(r), nil
}

// walk removes what matches, a page at a time, at the rate given in keys a second.
func (a *Admin) walk(ctx context.Context, r *revocation, t *proxy.Tenant, rate int) {
	s := openOwnStore(ctx, t)
	defer s.close()
	step := int64(1000)
	if rate > 0 {
		step = int64(min(max(rate/5, 10), 1000))
	}
	removed := int64(0)
	var err error
	for node := 0; node < len(s.nodes) && err == nil; node++ {
		for cursor := uint64(0); err == nil; {
			var keys []string
			keys, cursor, err = s.scan(ctx, node, cursor, r.Match, step)
			if err == nil && len(keys) > 0 {
				var n int64
				n, err = s.unlink(ctx, node, keys...)
				removed += n
			}
			a.revocations.change(func() {
				r.Revoked = removed
				r.Done = (float64(node) + float64(bits.Reverse64(cursor))/(1<<64)) / float64(len(s.nodes)) // SCAN counts from the highest bit
			})
			if cursor == 0 {
				break
			}
			if rate > 0 && err == nil {
				err = sleep(ctx, time.Duration(max(int64(len(keys)), step/10))*time.Second/time.Duration(rate))
			}
		}
	}
	if err != nil && ctx.Err() != nil { // the connection was closed under it
		err = ctx.Err()
	}
	a.revocations.end(r, removed, err)
	if a.ctx.Err() != nil && err != nil {
		a.cfg.Log.Error("a revocation was cut short by the end of the program: ask for it again", zap.String("tenant", t.Name), zap.Int64("revocation", r.ID))
	}
	a.cfg.Log.Info("revoked", zap.String("tenant", t.Name), zap.Int64("revocation", r.ID), zap.Int64("sessions", removed), zap.Error(err))
	a.cfg.Trail.add("revoked", zap.String("tenant", t.Name), zap.Int64("revocation", r.ID), zap.Int64("sessions", removed), zap.Error(err))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (rs *revocations) begin(tenant, match string) (*revocation, error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	running := 0
	for _, r := range rs.list {
		if r.State == stateRunning && r.Match != "" {
			running++
		}
	}
	if match != "" && running >= revocationsAtOnce {
		return nil, fail(http.StatusConflict, "conflict", "%d revocations are under way, which is as many as there may be", running)
	}
	rs.last++
	r := &revocation{ID: rs.last, Tenant: tenant, Match: match, State: stateRunning, Started: stamp(time.Now()), cancel: func() {}}
	rs.list = append(rs.list, r)
	for i := 0; len(rs.list) > keptRevocations && i < len(rs.list); {
		if rs.list[i].State == stateRunning {
			i++
			continue
		}
		rs.list = slices.Delete(rs.list, i, i+1)
	}
	return r, nil
}

func (rs *revocations) change(f func()) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	f()
}

func (rs *revocations) end(r *revocation, removed int64, err error) {
	rs.change(func() {
		r.Ended, r.Revoked = stamp(time.Now()), removed
		switch {
		case err == nil:
			r.State, r.Done = stateDone, 1
		case errors.Is(err, context.Canceled):
			r.State = stateCancelled
		default:
			r.State, r.Error = stateFailed, err.Error()
		}
	})
}

// show is a copy for an answer.
func (rs *revocations) show(r *revocation) (v revocation) {
	rs.change(func() { v = *r })
	return v
}

func (a *Admin) getRevocations(*http.Request) (any, error) {
	list := []revocation{}
	a.revocations.change(func() {
		for _, r := range slices.Backward(a.revocations.list) {
			list = append(list, *r)
		}
	})
	return object{"revocations": list}, nil
}

func (a *Admin) findRevocation(r *http.Request) (*revocation, error) {
	id, err := idOf(r, "no_such_revocation")
	if err != nil {
		return nil, err
	}
	var found *revocation
	a.revocations.change(func() {
		if i := slices.IndexFunc(a.revocations.list, func(r *revocation) bool { return r.ID == id }); i >= 0 {
			found = a.revocations.list[i]
		}
	})
	if found == nil {
		return nil, fail(http.StatusNotFound, "no_such_revocation", "there is no revocation %d, or it was long ago", id)
	}
	return found, nil
}

func (a *Admin) getRevocation(r *http.Request) (any, error) {
	found, err := a.findRevocation(r)
	if err != nil {
		return nil, err
	}
	return a.revocations.show(found), nil
}

func (a *Admin) deleteRevocation(r *http.Request) (any, error) {
	found, err := a.findRevocation(r)
	if err != nil {
		return nil, err
	}
	var cancel context.CancelFunc
	a.revocations.change(func() { cancel = found.cancel })
	cancel()
	a.acted(who(r), "cancel revocation", zap.Int64("revocation", found.ID))
	return accepted{a.revocations.show(found)}, nil
}
