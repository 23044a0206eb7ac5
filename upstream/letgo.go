package upstream

import (
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// letGo has the old master at addr end the waits of clients of ours, as if their time were over: only it can do that without losing an
// element. It gives those who wait, but no more than moveGrace, to hear of it and give their connections back.
func (p *Pool) letGo(addr string) {
	open := p.openAt(addr)
	if len(open) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, moveGrace)
	defer cancel()
	client := p.clientAt(addr)
	defer client.Close()
	defer context.AfterFunc(ctx, func() { _ = client.Close() })() // go-redis waits as long as it is configured to
	pipe := client.Pipeline()
	ended := make([]*redis.IntCmd, len(open))
	for i, c := range open {
		ended[i] = pipe.ClientUnblock(ctx, c.ID)
	}
	_, _ = pipe.Exec(ctx) // it says of each what became of it
	var waited []*Conn
	for i, c := range open {
		if ended[i].Val() == 1 {
			waited = append(waited, c)
		}
	}
	for p.anyOpen(waited) && ctx.Err() == nil {
		pause(ctx, 2*time.Millisecond)
	}
}

// openAt returns the dedicated connections in use that lead to addr.
func (p *Pool) openAt(addr string) (list []*Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		if c.addr == addr {
			list = append(list, c)
		}
	}
	return list
}

// anyOpen reports whether one of them is in use still.
func (p *Pool) anyOpen(conns []*Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(conns, func(c *Conn) bool { _, is := p.open[c]; return is })
}

// Left says that the connection leads to a master that is none any more, nil if it doesn't. A wait that ends there has been ended for
// that reason: what was waited for is to be asked of a new connection. The error is that of a command that has not run.
func (c *Conn) Left() error {
	if c.addr == c.pool.place.Load().addr {
		return nil
	}
	return c.pool.error(false, errLostByMove)
}
