package proxy

import (
	"bytes"
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"sessiongate/upstream"
)

// SetTenants puts other tenants in the place of those that there are, all at once. A client follows the tenant of its name at its
// next batch; where there is none of that name any more, it is closed. A tenant belongs to one Server from then on.
func (s *Server) SetTenants(list []*Tenant) {
	now := newTenants(list, s.main)
	old := s.tenants.Load()
	now.inherit(old)
	s.tenants.Store(now)
	closed := map[string]int{}
	s.each(func(c *Session) {
		a := c.about.Load()
		before, after := old.byName[a.tenant], now.byName[a.tenant]
		switch {
		case before == nil: // nobody's yet
		case after == nil:
			closed[a.tenant]++
			c.dismiss()
		case !after.samePlace(before):
			c.interrupt() // a silent one has to move too
		}
	})
	for name, n := range closed {
		s.log.Warn("clients closed: their tenant is no longer configured", zap.String("tenant", name), zap.Int("clients", n))
	}
}

// samePlace reports whether what a client has upstream as one of them is good for the other.
func (t *Tenant) samePlace(other *Tenant) bool {
	return t.Pool == other.Pool && t.start() == other.start() && bytes.Equal(t.Policy().Prefix(), other.Policy().Prefix())
}

// Vacated returns when no client is left that uses the pool, or ctx ends.
func (s *Server) Vacated(ctx context.Context, pool *upstream.Pool) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for used := true; used; {
		used = false
		s.each(func(c *Session) { used = used || c.about.Load().pool == pool })
		if !used {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

var (
	errRemoved = errors.New("its tenant is no longer configured")
	errMoved   = errors.New("its tenant has moved: what it held upstream is not there")
)

// catchUp makes the session a client of the tenants of now, if they are others than at its last batch. It is called where nothing of
// a batch has been decided, so that no batch, and no command that leaves the line, is half under old rules; a transaction ends
// under the rules it began with. An error means that the session has to leave.
func (s *Session) catchUp(ctx context.Context) error {
	now := s.srv.tenants.Load()
	if now == s.among {
		return nil
	}
	if s.tenant == nil {
		if t := now.arriving(s.came); t == nil || s.login(t, now) != nil {
			s.among = now
		}
		return nil
	}
	t := now.byName[s.tenant.Name]
	switch {
	case t == nil, t.live != s.tenant.live: // or another has come under its name
		s.landAll(ctx)
		return s.part(errRemoved)
	case s.tx.open:
		return nil
	case t.samePlace(s.tenant):
		s.tenant, s.among = t, now
		if s.own != nil && s.own.pump != nil {
			s.own.pump.lifts.Store(!t.Policy().Transparent())
		}
		s.describe()
		return nil
	}
	s.landAll(ctx)
	if err := s.flush(); err != nil {
		return err
	}
	if s.own != nil && !s.own.idle() || s.ears != nil {
		s.srv.log.Warn("client closed: its tenant has moved, with what it held upstream", zap.Int64("client", s.id),
			zap.String("tenant", t.Name), zap.String("addr", s.peer()))
		return errMoved
	}
	s.disown(false)
	s.link = nil
	if s.tenant.Pool != t.Pool || s.tenant.start() != t.start() {
		s.db = t.start()
	}
	s.tenant, s.among = t, now
	s.describe()
	return nil
}
