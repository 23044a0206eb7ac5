package main

import (
	"context"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"sessiongate/config"
	"sessiongate/policy"
	"sessiongate/proxy"
	"sessiongate/upstream"
)

// stage is the tenants of one configuration and what they stand on: their upstreams, and the roles of their scripts. It never
// changes: a reload makes the next one, which takes over what stays the same.
type stage struct {
	tenants  []*proxy.Tenant
	pools    map[config.Upstream]opened
	walls    map[wallKey]*upstream.Role
	newWalls []*proxy.Tenant // those whose role was not there before
}

// opened is a pool and what closes it.
type opened struct {
	*upstream.Pool
	close func()
}

// wallKey is what makes a role for scripts.
type wallKey struct {
	upstream  config.Upstream
	namespace string
}

// openStage makes the first stage. It waits for no upstream.
func openStage(cfg config.Config, log *zap.Logger) (*stage, error) {
	pool, closePool, err := openUpstream(cfg.Upstream, log)
	if err != nil {
		return nil, err
	}
	first := &stage{pools: map[config.Upstream]opened{cfg.Upstream: {pool, closePool}}}
	next, err := first.next(cfg, log, func(opened) error { return nil })
	if err != nil {
		first.closeAllBut(&stage{})
	}
	return next, err
}

// next makes the stage of another configuration, whose upstream is the same. Each upstream of a tenant that was not there before has
// to pass the test. After an error nothing has changed.
func (s *stage) next(cfg config.Config, log *zap.Logger, test func(opened) error) (_ *stage, err error) {
	n := &stage{pools: map[config.Upstream]opened{cfg.Upstream: s.pools[cfg.Upstream]}, walls: map[wallKey]*upstream.Role{}}
	defer func() {
		if err != nil {
			n.closeAllBut(s)
		}
	}()
	for _, t := range cfg.Everyone() {
		u := cfg.Upstream
		if t.Upstream != nil {
			u = *t.Upstream
		}
		pool, err := n.pool(s, u, log, test)
		if err != nil {
			return nil, fmt.Errorf("tenant %s: %w", t.Name, err)
		}
		if err := n.add(s, t, u, pool); err != nil {
			return nil, fmt.Errorf("tenant %s: %w", t.Name, err)
		}
	}
	return n, nil
}

// pool returns the pool for an upstream: one that is there, of this stage or of the one before, or a new one.
func (s *stage) pool(before *stage, u config.Upstream, log *zap.Logger, test func(opened) error) (opened, error) {
	if pool, ok := s.pools[u]; ok {
		return pool, nil
	}
	if pool, ok := before.pools[u]; ok {
		s.pools[u] = pool
		return pool, nil
	}
	pool, closePool, err := openUpstream(u, log)
	if err != nil {
		return opened{}, err
	}
	o := opened{pool, closePool}
	if err := test(o); err != nil {
		closePool()
		return opened{}, fmt.Errorf("upstream %s: %w", pool.Addr(), err)
	}
	s.pools[u] = o
	return o, nil
}

// add makes a tenant of the configuration one that the proxy can serve.
func (s *stage) add(before *stage, t config.Tenant, u config.Upstream, pool opened) error {
	rules, err := policy.New(t.Config)
	if err != nil {
		return err
	}
	c := proxy.TenantConfig{
		Name: t.Name, User: t.User, Certs: t.Cert, Listens: len(t.Listen) > 0,
		Pool: pool.Pool, DB: -1, Rules: rules,
		Clients: t.Clients, Rate: proxy.Rate{Commands: t.Rate.Commands, Burst: t.Rate.Burst},
	}
	for _, password := range t.All() {
		c.Passwords = append(c.Passwords, password.Reveal())
	}
	if t.DB.Given {
		c.DB = t.DB.Number
	}
	isNew := false
	if t.Namespace != "" && u.ACL != "off" {
		key := wallKey{u, t.Namespace}
		if c.Wall = before.walls[key]; c.Wall == nil {
			c.Wall, isNew = proxy.NewWall(t.Namespace, u.Secret(), u.ACL == "manage"), true
		}
		s.walls[key] = c.Wall
	}
	tenant, err := proxy.NewTenant(c)
	if err != nil {
		return err
	}
	s.tenants = append(s.tenants, tenant)
	if isNew {
		s.newWalls = append(s.newWalls, tenant)
	}
	return nil
}

// toVerify lists the tenants whose roles an operator has to make, of a first stage.
func (s *stage) toVerify(cfg config.Config) (list []*proxy.Tenant) {
	byHand := map[string]bool{}
	for _, t := range cfg.Everyone() {
		byHand[t.Name] = t.Upstream == nil && cfg.Upstream.ACL == "verify" || t.Upstream != nil && t.Upstream.ACL == "verify"
	}
	return slices.DeleteFunc(slices.Clone(s.newWalls), func(t *proxy.Tenant) bool { return !byHand[t.Name] })
}

// closeAllBut closes the upstreams that the other stage doesn't use.
func (s *stage) closeAllBut(other *stage) {
	for u, pool := range s.pools {
		if _, used := other.pools[u]; !used {
			pool.close()
		}
	}
}

// retire closes the upstreams that the stage after this one doesn't use, once their clients have moved, or when ctx ends.
func (s *stage) retire(ctx context.Context, after *stage, server *proxy.Server) {
	for u, pool := range s.pools {
		if _, used := after.pools[u]; !used {
			server.Vacated(ctx, pool.Pool)
			pool.close()
		}
	}
}
