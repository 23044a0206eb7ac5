package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	// refreshEvery is how often the topology is asked for; refreshDown as long as a master is down, so that the one that takes its
	// place is found soon; refreshLeast lies between any two times.
	refreshEvery, refreshDown, refreshLeast = 10 * time.Second, 250 * time.Millisecond, 100 * time.Millisecond
	// grace is how long a node that has left the cluster is kept for what is under way there, and for dedicated connections to it.
	grace = time.Minute
)

var (
	errElsewhere  = errors.New("another node has taken over")
	errUndetected = errors.New("the cluster's nodes are not known yet")
)

// cluster is what a Pool has in place of connections of its own when its keys live on several nodes: a Pool for each of them, and
// who has which slots. A node's Pool is one like any other.
type cluster struct {
	pool  *Pool    // that it is behind
	seeds []string // the addresses that are configured
	topo  atomic.Pointer[topology]
	share atomic.Pointer[share] // of topo, or of the one before
	kick  chan struct{}         // capacity 1: a refresh is wanted

	mu      sync.Mutex // taken before that of any Pool
	ended   bool
	next    chan struct{} // closed at the end of the next refresh
	hint    *Pool         // whom it is to ask first
	why     error         // why the last one failed
	leaving []departure   // nodes that are no longer in the topology, until nobody waits for them
	gone    Stats         // the sums of those that have been closed
	told    *topology     // what the log last said of slots
	toldAt  time.Time     // zero: nothing but that there is a cluster

	began time.Time

	epoch int64     // the newest epoch that a node has told of that sees the cluster up; run's, as is
	heard time.Time // when it last did
}

// departure is a node that has left.
type departure struct {
	*Pool
	at time.Time
}

// govern makes p, which is new, one of a cluster.
func (p *Pool) govern() {
	p.cluster = &cluster{pool: p, seeds: p.target.nodes, kick: make(chan struct{}, 1), next: make(chan struct{}), why: errUndetected, began: time.Now()}
	p.wg.Go(p.cluster.run)
}

// run keeps the topology up to date until the Pool closes.
func (c *cluster) run() {
	for c.pool.ctx.Err() == nil {
		c.refresh()
		wait := refreshEvery
		if !c.settled() {
			wait = refreshDown
		}
		pause(c.pool.ctx, refreshLeast)
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-c.kick:
		case <-c.pool.ctx.Done():
		}
		t.Stop()
	}
}

// settled reports whether there is nothing to wait for: all masters are up, and no node has to be closed.
func (c *cluster) settled() bool {
	t := c.topo.Load()
	if t == nil {
		return false
	}
	for _, m := range t.masters {
		if up, _ := m.Health(); !up {
			return false
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.leaving) == 0
}

// want has the topology asked for soon, and returns what is closed when that is done. The hint may be nil.
func (c *cluster) want(hint *Pool) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if hint != nil {
		c.hint = hint
	}
	select {
	case c.kick <- struct{}{}:
	default:
	}
	return c.next
}

// refresh asks for the topology and puts it in force.
func (c *cluster) refresh() {
	c.mu.Lock()
	done, hint := c.next, c.hint
	c.next, c.hint = make(chan struct{}), nil
	c.mu.Unlock()
	defer close(done)
	v, err := c.discover(hint)
	if c.pool.ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		if c.why == nil || c.why == errUndetected {
			c.pool.log.Warn("no node tells how the cluster is made up", zap.String("addr", c.pool.Addr()), zap.Error(err))
		}
		c.why = err
		return
	}
	c.why = nil
	if c.ended {
		return
	}
	old := c.topo.Load()
	t := v.topology(func(addr string) *Pool { return c.node(old, addr) })
	for _, s := range t.shards {
		s.master.follows.Store(false)
		for _, r := range s.replicas {
			r.follows.Store(true)
		}
	}
	c.replace(old, t)
	c.tell(c.topo.Load())
	c.sweep()
}

// node is the Pool of the node at addr, a new one if there was none. It needs c.mu.
func (c *cluster) node(old *topology, addr string) *Pool {
	if old != nil && old.nodes[addr] != nil {
		return old.nodes[addr]
	}
	for i, p := range c.leaving {
		if p.opt.Addr == addr { // it is back
			c.leaving = slices.Delete(c.leaving, i, i+1)
			return p.Pool
		}
	}
	p := newPool(c.pool.cfg, c.at(addr), c.pool.log)
	p.identity, p.member = c.pool.identity, c
	p.proven.Store(c.pool.trusted()) // it may have its first link when SetIdentity has set one that nobody takes
	p.place.Store(&place{addr: addr, left: make(chan struct{})})
	p.watch()
	return p
}

// replace puts t in force. It needs c.mu.
func (c *cluster) replace(old, t *topology) {
	if old == nil {
		c.topo.Store(t)
		c.pool.log.Info("cluster found", zap.String("addr", c.pool.Addr()), zap.Int("masters", len(t.masters)), zap.Int("nodes", len(t.nodes)))
		return
	}
	if t.equal(old) && len(t.nodes) == len(old.nodes) {
		return
	}
	c.topo.Store(t)
	for addr, p := range old.nodes {
		if t.nodes[addr] == nil {
			c.leaving = append(c.leaving, departure{p, time.Now()})
			p.evict()
		}
	}
	for _, p := range old.masters {
		if p.deposed() {
			p.depose()
		}
	}
	for p := range old.lost(t) {
		p.evict()
	}
}

// moved notes that the slot is at the node now.
func (c *cluster) moved(slot int, node *Pool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.topo.Load()
	if c.ended || old == nil || old.nodes[node.opt.Addr] != node || old.masterOf(slot) == node {
		return
	}
	t := old.with(slot, node)
	c.topo.Store(t)
	if was := old.masterOf(slot); was != nil {
		was.evict()
	}
}

// sweep closes the nodes that have left and for which nobody waits any more. It needs c.mu.
func (c *cluster) sweep() {
	c.leaving = slices.DeleteFunc(c.leaving, func(p departure) bool {
		if (p.Stats().InFlight > 0 || p.inUse()) && time.Since(p.at) < grace {
			return false
		}
		_ = p.Close()
		c.gone = c.gone.plus(p.Stats().ever())
		return true
	})
}

func (c *cluster) behind() *Pool      { return c.pool }
func (c *cluster) current() *topology { return c.topo.Load() }

// await returns the topology, and waits for the first one up to the hold from the beginning.
func (c *cluster) await(ctx context.Context) (*topology, error) {
	t := c.topo.Load()
	if t != nil {
		return t, nil
	}
	ctx, cancel := context.WithDeadline(ctx, c.began.Add(max(c.pool.cfg.Hold, c.pool.opt.DialTimeout)))
	defer cancel()
	for {
		done := c.want(nil)
		if t = c.topo.Load(); t != nil {
			return t, nil
		}
		select {
		case <-done:
		case <-ctx.Done():
			return nil, c.unknown()
		case <-c.pool.ctx.Done():
			return nil, errClosed
		}
	}
}

// unknown is why there is no topology.
func (c *cluster) unknown() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return cmp.Or(c.why, errUndetected)
}

// any is a master that is up, if there is one.
func (c *cluster) any(ctx context.Context) (*Pool, error) {
	t, err := c.await(ctx)
	if err != nil {
		return nil, err
	}
	return t.up(rand.IntN(len(t.masters))), nil
}

// dedicated is DedicatedAs at any master.
func (c *cluster) dedicated(ctx context.Context, role *Role, proto, db int) (*Conn, error) {
	for try := 1; ; try++ {
		node, err := c.any(ctx)
		if err != nil {
			return nil, c.pool.error(false, err)
		}
		conn, err := node.DedicatedAs(ctx, role, proto, db)
		if !Elsewhere(err) || try == maxTries || c.pool.ctx.Err() != nil {
			return conn, err
		}
	}
}

// close closes the nodes.
func (c *cluster) close() {
	c.mu.Lock()
	c.ended = true
	var nodes []*Pool
	for _, p := range c.leaving {
		nodes = append(nodes, p.Pool)
	}
	if t := c.topo.Load(); t != nil {
		for _, p := range t.nodes {
			nodes = append(nodes, p)
		}
	}
	c.mu.Unlock()
	for _, p := range nodes {
		_ = p.Close()
	}
}

// target is the node at the address that the one asked has named, nil if no node of the cluster confirms that there is one.
func (c *cluster) target(ctx context.Context, addr string, asked *Pool) *Pool {
	host, port, err := splitAddr(addr)
	if err != nil {
		return nil
	}
	from := ""
	if asked != nil {
		from = asked.opt.Addr
	}
	addr = announced(host, port, from)
	t := c.topo.Load()
	if t != nil && t.nodes[addr] != nil {
		return t.nodes[addr]
	}
	c.again(ctx, asked)
	if t = c.topo.Load(); t == nil {
		return nil
	}
	return t.nodes[addr]
}

// again has the topology asked for, and waits for that.
func (c *cluster) again(ctx context.Context, hint *Pool) {
	select {
	case <-c.want(hint):
	case <-ctx.Done():
	case <-c.pool.ctx.Done():
	}
}

// splitAddr takes host:port apart; an IPv6 host has no brackets there.
func splitAddr(addr string) (host, port string, err error) {
	i := strings.LastIndexByte(addr, ':')
	if i < 0 {
		return "", "", fmt.Errorf("no port in %q", addr)
	}
	if _, err := strconv.ParseUint(addr[i+1:], 10, 16); err != nil {
		return "", "", err
	}
	return strings.Trim(addr[:i], "[]"), addr[i+1:], nil
}
