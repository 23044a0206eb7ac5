package upstream

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// library is the connections that go-redis has from us. It can't be told to leave a server, so they are closed under it.
type library struct {
	busy  atomic.Int64 // batches on their way
	mu    sync.Mutex
	conns map[*borrowed]struct{}
}

// begin counts a batch in, once nothing is frozen.
func (l *library) begin(ctx context.Context, p *Pool) error {
	for {
		l.busy.Add(1)
		if p.frozen.Load() == nil {
			return nil
		}
		l.busy.Add(-1)
		if err := p.warm(ctx); err != nil {
			return err
		}
	}
}

type borrowed struct {
	net.Conn
	addr string
	of   *library
}

// Close closes the connection and forgets it.
func (b *borrowed) Close() error {
	b.of.mu.Lock()
	delete(b.of.conns, b)
	b.of.mu.Unlock()
	return b.Conn.Close()
}

// SyscallConn is for go-redis, which looks whether the connection has been closed before it writes.
func (b *borrowed) SyscallConn() (syscall.RawConn, error) { return b.Conn.(syscall.Conn).SyscallConn() }

// leave closes all connections to other servers than that at addr.
func (l *library) leave(addr string) {
	l.mu.Lock()
	var old []*borrowed
	for b := range l.conns {
		if b.addr != addr {
			old = append(old, b)
		}
	}
	l.mu.Unlock()
	for _, b := range old {
		_ = b.Conn.Close()
	}
}

// dialForLibrary is go-redis's dialer.
func (p *Pool) dialForLibrary(ctx context.Context, _, _ string) (net.Conn, error) {
	at := p.place.Load()
	if at.addr == "" { // it comes too early, perhaps: nobody holds what is ours
		pauseUnless(ctx, at.left, p.opt.DialTimeout)
		if at = p.place.Load(); at.addr == "" {
			return nil, p.noMaster()
		}
	}
	there, done := at.while(ctx)
	defer done()
	conn, err := p.tcp(there, at.addr)
	if err != nil {
		return nil, err
	}
	if p.sentinels != nil {
		b := &borrowed{conn, at.addr, &p.lib}
		p.lib.mu.Lock()
		p.lib.conns[b] = struct{}{}
		p.lib.mu.Unlock()
		if p.place.Load() != at { // moved meanwhile: whoever moved it may not have seen this one
			p.lib.leave(p.place.Load().addr)
		}
		conn = b
	}
	return p.trusted().secure(conn, at.addr), nil
}

// clientAt is a client with one connection, to the server at addr.
func (p *Pool) clientAt(addr string) *redis.Client {
	o := *p.opt
	o.Protocol, o.PoolSize, o.TLSConfig, o.CredentialsProviderContext = 2, 1, nil, p.credentials
	o.Dialer = func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := p.tcp(ctx, addr)
		if err != nil {
			return nil, err
		}
		return p.trusted().secure(conn, addr), nil
	}
	return redis.NewClient(&o)
}

// trusted is the identity that the upstream is known to take, or else the one to try.
func (p *Pool) trusted() *Identity {
	if id := p.proven.Load(); id != nil {
		return id
	}
	return p.identity.Load()
}

// credentials are go-redis's.
func (p *Pool) credentials(context.Context) (user, password string, err error) {
	id := p.trusted()
	return id.user, id.password, nil
}
