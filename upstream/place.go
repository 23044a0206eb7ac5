package upstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"
)

// moveGrace is how long what is in flight to a master that is one no longer may take before its connections are closed.
const moveGrace = 250 * time.Millisecond

// firstWord is how long a dial waits for the sentinels before it fails: they are asked from the beginning on, and answer soon.
const firstWord = 100 * time.Millisecond

var (
	errMoved      = errors.New("the master has moved")
	errLostByMove = fmt.Errorf("connection lost: %w", errMoved)
	errReplica    = errors.New("it is a replica, not the master")
	errNoMaster   = errors.New("no sentinel has named a master yet")
)

// place is where the master is. A move makes another one.
type place struct {
	addr string        // host:port or a path; empty: nobody knows yet
	left chan struct{} // closed when the master has moved; nil: it never does
}

// while is ctx, but ends when the master has left, too.
func (at *place) while(ctx context.Context) (context.Context, context.CancelFunc) {
	if at.left == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-at.left:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// freeze is the time of a failover, in which nothing new is written.
type freeze struct{ over chan struct{} }

// Addr is the upstream's address, without credentials: for people and logs. Where sentinels know it, it is the present master's, and of
// a cluster those that are configured.
func (p *Pool) Addr() string {
	if len(p.target.nodes) > 0 {
		return strings.Join(p.target.nodes, ",")
	}
	if at := p.place.Load(); at.addr != "" {
		return at.addr
	}
	return "master " + p.target.master
}

// Replicas are the addresses of the master's replicas that the sentinels see up; none where there are no sentinels.
func (p *Pool) Replicas() []string {
	if all := p.replicas.Load(); all != nil {
		return *all
	}
	return nil
}

// freeze has links and connections keep what they have not written yet.
func (p *Pool) freeze() {
	if p.frozen.Load() == nil {
		p.frozen.Store(&freeze{make(chan struct{})})
	}
}

// thaw ends a freeze, if there is one.
func (p *Pool) thaw() {
	f := p.frozen.Swap(nil)
	if f == nil {
		return
	}
	close(f.over)
	for _, l := range p.links() {
		l.thaw()
	}
}

// thaw has what waits written.
func (l *link) thaw() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil && len(l.queue) > 0 && !l.flushing {
		l.startRelay()
	}
}

// warm waits until nothing is frozen.
func (p *Pool) warm(ctx context.Context) error {
	f := p.frozen.Load()
	if f == nil {
		return nil
	}
	select {
	case <-f.over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.ctx.Done():
		return errClosed
	}
}

// move leaves the old master for the one at addr. Only the sentinels' owner calls it.
func (p *Pool) move(addr string) {
	p.freeze()
	old := p.place.Swap(&place{addr, make(chan struct{})}) // first of all: who connects from now on connects there
	if old.addr == "" {
		p.log.Info("upstream master found", zap.String("addr", addr))
	} else {
		p.log.Warn("upstream master has moved", zap.String("from", old.addr), zap.String("addr", addr))
	}
	p.breaker.reset()
	links := p.links()
	for _, l := range links {
		l.renew()
	}
	close(old.left)
	start := time.Now()
	p.letGo(old.addr)
	for p.busy(links, addr) && time.Since(start) < moveGrace && p.ctx.Err() == nil {
		pause(p.ctx, 2*time.Millisecond)
	}
	for _, l := range links {
		l.leave(addr)
	}
	p.strand(addr)
	p.lib.leave(addr)
	p.thaw()
}

// busy reports whether a reply is owed by another server than that at addr.
func (p *Pool) busy(links []*link, addr string) bool {
	for _, l := range links {
		l.mu.Lock()
		owed := l.conn != nil && l.at != addr && (l.flushing || l.sent != l.answered.Load())
		l.mu.Unlock()
		if owed {
			return true
		}
	}
	return p.lib.busy.Load() > 0
}

// renew has what comes wait for the new master, however long the old one has been gone.
func (l *link) renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil && l.hold() > 0 {
		l.down, l.downSince = nil, time.Now()
	}
}

// leave closes a connection to another server than that at addr.
func (l *link) leave(addr string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil && l.at != addr {
		l.giveUp(l.conn, errMoved)
	}
}

// strand closes the dedicated connections to other servers than that at addr: who waits there would wait for ever.
func (p *Pool) strand(addr string) {
	p.idle.sweep(time.Now().Add(time.Hour))
	p.mu.Lock()
	var old []*Conn
	for c := range p.open {
		if c.addr != addr {
			old = append(old, c)
		}
	}
	p.mu.Unlock()
	for _, c := range old {
		c.moved.Store(true)
		_ = c.Close()
	}
}

// doubt has the sentinels asked again: the master can't be reached, or isn't one.
func (p *Pool) doubt() {
	if p.sentinels == nil {
		return
	}
	select {
	case p.sentinels.doubts <- struct{}{}:
	default:
	}
}

// refused looks at an error reply to a client's command.
func (p *Pool) refused(reply []byte) {
	const demoted = "-READONLY"
	if p.sentinels != nil && len(reply) > len(demoted) && string(reply[:len(demoted)]) == demoted {
		p.doubt()
	}
}

// noMaster is why there is no address to dial.
func (p *Pool) noMaster() error {
	if why := p.sentinels.why.Load(); why != nil {
		return fmt.Errorf("%w: %w", errNoMaster, *why)
	}
	return errNoMaster
}
