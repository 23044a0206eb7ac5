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
	main     opened // of all tenants that have none of their own
	pools    map[config.Upstream]opened
	walls    map[wallKey]*upstream.Role
	newWalls []*proxy.Tenant             // those whose role was not there before
	secrets  map[*upstream.Pool]string   // passwords with which the proxy logs in
	changes  map[*upstream.Pool]identity // of pools that were there before
}

// identity is what a pool is to become at the swap.
type identity struct {
	*upstream.Identity
	of config.Upstream
}

// opened is a pool and what closes it.
type opened struct {
	*upstream.Pool
	close func()
}

// wallKey is what makes a role for scripts.
type wallKey struct {
	pool      *upstream.Pool
	acl       string
	namespace string
}

// openStage makes the first stage. It waits for no upstream.
func openStage(cfg config.Config, log *zap.Logger) (*stage, error) {
	pool, closePool, err := openUpstream(cfg.Upstream, log)
	if err != nil {
		return nil, err
	}
	main := opened{pool, closePool}
	first := &stage{main: main, pools: map[config.Upstream]opened{cfg.Upstream: main}}
	next, err := first.next(cfg, log, func(opened) error { return nil })
	if err != nil {
		first.closeAllBut(&stage{})
	}
	return next, err
}

// next makes the stage of another configuration, whose upstream is at the same place. Each upstream of a tenant that was not there before has
// to pass the test. After an error nothing has changed.
func (s *stage) next(cfg config.Config, log *zap.Logger, test func(opened) error) (_ *stage, err error) {
	n := &stage{
		main: s.main, pools: map[config.Upstream]opened{}, walls: map[wallKey]*upstream.Role{},
		secrets: map[*upstream.Pool]string{}, changes: map[*upstream.Pool]identity{},
	}
	defer func() {
		if err != nil {
			n.closeAllBut(s)
		}
	}()
	if err := n.keep(cfg.Upstream, s.main); err != nil {
		return nil, err
	}
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
	if pool, ok := before.heir(u, s.changes); ok {
		return pool, s.keep(u, pool)
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
	s.secrets[pool] = u.Secret()
	return o, nil
}

// heir returns the pool that serves u from now on: that of u as it is, or as it was before its password or certificate changed.
func (s *stage) heir(u config.Upstream, taken map[*upstream.Pool]identity) (opened, bool) {
	if pool, ok := s.pools[u]; ok && taken[pool.Pool].Identity == nil {
		return pool, true
	}
	for old, pool := range s.pools {
		if taken[pool.Pool].Identity == nil && old.CanBecome(u) {
			return pool, true
		}
	}
	return opened{}, false
}

// keep takes a pool over, as that of u.
func (s *stage) keep(u config.Upstream, pool opened) error {
	s.pools[u] = pool
	s.secrets[pool.Pool] = u.Secret()
	if u.URL == config.Memory {
		return nil
	}
	id, err := upstream.NewIdentity(upstreamConfig(u))
	if err != nil {
		return err
	}
	s.changes[pool.Pool] = identity{id, u}
	return nil
}

// become puts the identities of the stage into force, and has scripts follow.
func (s *stage) become(ctx context.Context, log *zap.Logger) {
	for pool, id := range s.changes {
		if pool.SetIdentity(id.Identity) {
			pool.TryIdentity(ctx)
		}
	}
	proxy.RenewWalls(ctx, s.tenants, func(t *proxy.Tenant) string { return s.secrets[t.Pool] }, log)
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
		key := wallKey{pool.Pool, u.ACL, t.Namespace}
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
	for _, pool := range s.pools {
		if !other.uses(pool) {
			pool.close()
		}
	}
}

func (s *stage) uses(pool opened) bool {
	for _, other := range s.pools {
		if other.Pool == pool.Pool {
			return true
		}
	}
	return false
}

// retire closes the upstreams that the stage after this one doesn't use, once their clients have moved, or when ctx ends.
func (s *stage) retire(ctx context.Context, after *stage, server *proxy.Server) {
	for _, pool := range s.pools {
		if !after.uses(pool) {
			server.Vacated(ctx, pool.Pool)
			pool.close()
		}
	}
}
