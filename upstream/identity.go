package upstream

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"go.uber.org/zap"

	"sessiongate/quick"
)

// Identity is who we are to the upstream, and how we know it. It never changes; SetIdentity puts another in its place.
type Identity struct {
	user, password string
	tls            *tls.Config // nil: none

	sentinelUser, sentinelPassword string
	sentinelTLS                    *tls.Config

	mark [sha256.Size]byte // of all that it was made of
}

// identity reads the files that c names; t is where c leads.
func (c Config) identity(t target) (*Identity, error) {
	hash := sha256.New()
	id := &Identity{
		user: t.opt.Username, password: t.opt.Password, tls: t.opt.TLSConfig,
		sentinelUser: c.Sentinel.User, sentinelPassword: c.Sentinel.Password,
	}
	if err := c.TLS.apply(id.tls, hash); err != nil {
		return nil, err
	}
	if !c.Sentinel.Plain {
		id.sentinelTLS = id.tls
	}
	fmt.Fprintf(hash, "%q %q %+v %q %+v", id.user, id.password, c.TLS, c.URL, c.Sentinel)
	hash.Sum(id.mark[:0])
	return id, nil
}

// NewIdentity makes the one that cfg describes, for SetIdentity of a Pool at the same address.
func NewIdentity(cfg Config) (*Identity, error) {
	cfg = cfg.withDefaults()
	t, err := cfg.options()
	if err != nil {
		return nil, err
	}
	return cfg.identity(t)
}

// SetIdentity has new connections come as id, and reports whether that is another than before. Connections that are up stay as they
// are. As long as the upstream refuses id, the last identity that it took is tried after it.
func (p *Pool) SetIdentity(id *Identity) (changed bool) {
	before := p.identity.Load()
	if changed = before.mark != id.mark; changed {
		p.proven.CompareAndSwap(nil, before) // for want of a better one
		p.identity.Store(id)
	}
	return changed
}

// TryIdentity connects once, and logs what the upstream makes of the identity that SetIdentity has set.
func (p *Pool) TryIdentity(ctx context.Context) {
	err := p.tryIdentity(ctx)
	switch {
	case err == nil:
	case refusesIdentity(err):
		p.log.Error("upstream refuses the new credentials: those from before are used as long as it takes them, and connections that are up stay",
			zap.String("addr", p.Addr()), zap.Error(err))
	default:
		p.log.Warn("upstream can't be reached to try the new credentials", zap.String("addr", p.Addr()), zap.Error(reason(err)))
	}
}

func (p *Pool) tryIdentity(ctx context.Context) error {
	if p.cluster != nil {
		if t := p.cluster.topo.Load(); t != nil {
			return t.up(0).tryIdentity(ctx)
		}
	}
	id, at := p.identity.Load(), p.place.Load()
	if at.addr == "" {
		return p.noMaster()
	}
	conn, _, err := p.dialAs(ctx, setKey{proto: 2, db: p.opt.DB}, at.addr, id)
	if err != nil {
		return err
	}
	abort(conn)
	p.prove(id)
	p.log.Info("upstream takes the new credentials", zap.String("addr", at.addr))
	return nil
}

// prove notes that the upstream has taken id. Nodes that the cluster gets from now on begin with it.
func (p *Pool) prove(id *Identity) {
	p.proven.Store(id)
	if p.member != nil {
		p.member.pool.proven.Store(id)
	}
}

// unproven reports whether the upstream has not taken the identity yet that SetIdentity has set.
func (p *Pool) unproven() bool {
	proven := p.proven.Load()
	return proven != nil && proven != p.identity.Load()
}

// dialAt opens a connection to the server at addr that is ready for commands.
func (p *Pool) dialAt(ctx context.Context, key setKey, addr string) (net.Conn, hello, error) {
	offered, proven := p.identity.Load(), p.proven.Load()
	conn, h, err := p.dialAs(ctx, key, addr, offered)
	switch {
	case err == nil:
		if offered != proven {
			p.prove(offered)
		}
	case proven != nil && offered != proven && refusesIdentity(err):
		if conn, h, again := p.dialAs(ctx, key, addr, proven); again == nil {
			return conn, h, nil
		}
	}
	return conn, h, err
}

// refusesIdentity reports whether err may be due to credentials or certificates. A server that doesn't like our certificate may hang up
// before we can read why.
func refusesIdentity(err error) bool {
	var role *RoleError
	return !isDial(err) && !errors.As(err, &role) && !errors.Is(err, errReplica)
}

// tcp connects to addr, which may be the path of a UNIX socket as well.
func (p *Pool) tcp(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{Control: p.limitUnacked, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	conn, err := d.DialContext(ctx, p.opt.Network, addr)
	if err != nil {
		return nil, err
	}
	return quick.New(conn), nil
}

// secure has conn, which leads to addr, speak TLS if it has to. Hands are shaken at the first write.
func (id *Identity) secure(conn net.Conn, addr string) net.Conn {
	if id.tls == nil {
		return conn
	}
	return tls.Client(conn, named(id.tls, addr))
}

// named is conf with the host of addr as the name to expect, if it has none.
func named(conf *tls.Config, addr string) *tls.Config {
	if conf == nil || conf.ServerName != "" {
		return conf
	}
	conf = conf.Clone()
	conf.ServerName, _, _ = net.SplitHostPort(addr)
	return conf
}
