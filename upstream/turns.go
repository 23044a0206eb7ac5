package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// turns limits how many connections are made at once, so that thousands of clients don't all knock when an upstream comes back. Shared
// links, on which everyone depends, don't queue behind dedicated connections.
type turns struct{ links, dedicated chan struct{} }

func newTurns(n int) turns { return turns{make(chan struct{}, n), make(chan struct{}, n)} }

// connect dials when it is this connection's turn, and tells the breaker what comes of it. While that is open it says why.
func (p *Pool) connect(ctx context.Context, key setKey, lane chan struct{}) (net.Conn, hello, error) {
	if err := p.breaker.opened(); err != nil {
		return nil, hello{}, err
	}
	if err := p.turn(ctx, lane); err != nil {
		return nil, hello{}, err
	}
	defer func() { <-lane }()
	if err := p.breaker.opened(); err != nil { // meanwhile
		return nil, hello{}, err
	}
	conn, h, err := p.dial(ctx, key)
	switch {
	case err == nil:
		p.breaker.connected()
	case ctx.Err() == nil && !errors.Is(err, errMoved):
		err = p.unanswered(err)
		p.breaker.refuse(err)
	}
	return conn, h, err
}

// turn waits for a place in the lane.
func (p *Pool) turn(ctx context.Context, lane chan struct{}) error {
	select {
	case lane <- struct{}{}:
		return nil
	default:
	}
	t := time.NewTimer(p.opt.DialTimeout)
	defer t.Stop()
	select {
	case lane <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return &overloaded{fmt.Sprintf("no turn to connect within %s", p.opt.DialTimeout), fmt.Sprintf("%d at a time", cap(lane)), "upstream.max_connects"}
	}
}
