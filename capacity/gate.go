package capacity

import (
	"context"
	"fmt"
	"net"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"sessiongate/policy"
	"sessiongate/proxy"
	"sessiongate/upstream"
)

// gate is a proxy within this process, without rules.
type gate struct {
	cancel context.CancelFunc
	done   chan error
	opt    *redis.Options
}

func startGate(pool *upstream.Pool) (*gate, error) {
	rules, err := policy.New(policy.Config{})
	if err != nil {
		return nil, err
	}
	tenant, err := proxy.NewTenant(proxy.TenantConfig{Name: "capacity", DB: -1, Rules: rules})
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the proxy: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	opt, err := redis.ParseURL("redis://" + l.Addr().String())
	if err != nil {
		cancel()
		return nil, err
	}
	g := &gate{cancel: cancel, done: make(chan error, 1), opt: opt}
	server := proxy.New(proxy.Defaults(), pool, []*proxy.Tenant{tenant}, zap.NewNop())
	go func() { g.done <- server.Serve(ctx, []net.Listener{l}) }()
	return g, nil
}

// stop returns when the last session is gone.
func (g *gate) stop() {
	g.cancel()
	<-g.done
}

// routes opens the ways to Redis. stop ends what it has started.
func (c *Config) routes() (routes []*route, stop func(), err error) {
	stop = func() {}
	routes = []*route{{direct, c.Pool.Admin().Options()}}
	var opt *redis.Options
	switch c.Proxy {
	case "off":
		return routes, stop, nil
	case "":
		g, err := startGate(c.Pool)
		if err != nil {
			return nil, stop, err
		}
		opt, stop = g.opt, g.stop
	default:
		if opt, err = redis.ParseURL(c.Proxy); err != nil {
			return nil, stop, fmt.Errorf("proxy: %w; write it as redis://host:port", err)
		}
	}
	client := redis.NewClient(opt) // which makes the options complete, its dialer above all
	opt = client.Options()
	if err := client.Close(); err != nil {
		stop()
		return nil, func() {}, err
	}
	return append(routes, &route{throughOne, opt}), stop, nil
}

// sameRedis makes sure that a proxy which was named leads to the upstream: what is behind it was not asked whether it holds keys. It
// writes one session there, which is gone after a minute at the latest.
func (r *run) sameRedis(ctx context.Context) error {
	if len(r.routes) < 2 || r.Proxy == "" {
		return nil
	}
	w, err := r.routes[1].dial(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	before, err := r.client.DBSize(ctx).Result()
	if err != nil {
		return err
	}
	s := r.sessions()
	write, lines := s.appendWrite(nil, 0, expiry{after: 60_000})
	if err := w.lines(write, lines); err != nil {
		return fmt.Errorf("%s: %w", r.routes[1].name, err)
	}
	after, err := r.client.DBSize(ctx).Result()
	if err != nil {
		return err
	}
	if err := w.lines(s.appendRemove(nil, 0), 1); err != nil {
		return fmt.Errorf("%s: %w", r.routes[1].name, err)
	}
	if after <= before {
		return fmt.Errorf("the proxy at %s leads to another Redis, or another database, than the one at %s", r.routes[1].opt.Addr, r.Pool.Addr())
	}
	return nil
}
