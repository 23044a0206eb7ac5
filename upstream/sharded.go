package upstream

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Sharded reports whether the pool's keys live on several nodes: its batches then need Units.
func (p *Pool) Sharded() bool { return p.cluster != nil }

// Masters are the pools of the nodes that between them hold all keys, in an order that changes only when slots move to other
// nodes; the pool itself where it is not sharded, and as long as the nodes are not known, when whatever is asked of it fails. It
// waits for them up to the hold. The list is not to be changed.
func (p *Pool) Masters() []*Pool {
	if p.cluster == nil {
		return []*Pool{p}
	}
	t, err := p.cluster.await(p.ctx)
	if err != nil {
		return []*Pool{p}
	}
	return t.masters
}

// NodeOf is the pool of the node that has the slot now; any other where nobody has it, which will say so. It is the pool itself
// where it is not sharded, and as long as the nodes are not known.
func (p *Pool) NodeOf(slot int) *Pool {
	if p.cluster == nil {
		return p
	}
	t, err := p.cluster.await(p.ctx)
	if err != nil {
		return p
	}
	if m := t.masterOf(slot); m != nil {
		return m
	}
	return t.up(slot)
}

// NodeStats is a look at one node of an upstream.
type NodeStats struct {
	Addr  string
	Role  string   // master or replica; leaving: no longer one of the cluster's
	Slots [][2]int // first and last of each range; none where the upstream is not sharded
	Up    bool
	Why   error // why it is not up
	Trip  time.Duration
	Stats
}

// Nodes are the nodes of the upstream, masters first; the pool itself where it is not sharded.
func (p *Pool) Nodes() []NodeStats {
	if p.cluster == nil {
		return []NodeStats{p.node("master", nil)}
	}
	var list []NodeStats
	t := p.cluster.topo.Load()
	if t == nil {
		return nil
	}
	spans := t.spans()
	for _, m := range t.masters {
		list = append(list, m.node("master", spans[m]))
	}
	for _, s := range t.shards {
		for _, r := range s.replicas {
			list = append(list, r.node("replica", nil))
		}
	}
	p.cluster.mu.Lock()
	defer p.cluster.mu.Unlock()
	for _, l := range p.cluster.leaving {
		list = append(list, l.node("leaving", nil))
	}
	return list
}

func (p *Pool) node(role string, slots [][2]int) NodeStats {
	n := NodeStats{Addr: p.Addr(), Role: role, Slots: slots, Trip: time.Duration(p.health.trip.Load()), Stats: p.Stats()}
	n.Up, n.Why = p.Health()
	return n
}

// up is a master that is up, the n-th of them if it is; any if none is.
func (t *topology) up(n int) *Pool {
	n = max(n, 0)
	for i := range t.masters {
		m := t.masters[(n+i)%len(t.masters)]
		if up, _ := m.Health(); up {
			return m
		}
	}
	return t.masters[n%len(t.masters)]
}

// now is the clock of the first master that has told it.
func (c *cluster) now() int64 {
	if t := c.topo.Load(); t != nil {
		for _, m := range t.masters {
			if m.health.answer.Load() > 0 {
				return m.Now()
			}
		}
	}
	return time.Now().UnixMilli()
}

// alive reports whether all masters have answered lately.
func (c *cluster) alive() bool {
	t, now := c.topo.Load(), time.Now()
	return t != nil && !slices.ContainsFunc(t.masters, func(m *Pool) bool { return !m.alive(now) })
}

// health is nil if every slot is served.
func (c *cluster) health() error {
	t := c.topo.Load()
	if t == nil {
		return c.unknown()
	}
	gaps := t.gaps(func(p *Pool) bool { up, _ := p.Health(); return up })
	if len(gaps) == 0 {
		return nil
	}
	text := make([]string, 0, len(gaps))
	for _, g := range gaps[:min(len(gaps), 8)] {
		span := strconv.Itoa(g[0])
		if g[1] > g[0] {
			span += "-" + strconv.Itoa(g[1])
		}
		text = append(text, span)
	}
	if more := len(gaps) - len(text); more > 0 {
		text = append(text, fmt.Sprintf("%d more ranges", more))
	}
	why := ""
	for _, m := range t.masters {
		if _, err := m.Health(); err != nil {
			why = fmt.Sprintf(": node %s: %v", m.opt.Addr, err)
			break
		}
	}
	return errors.New("slots not served: " + strings.Join(text, ", ") + why)
}

// version is the oldest of the nodes'.
func (c *cluster) version() string {
	oldest := ""
	t := c.topo.Load()
	if t == nil {
		return ""
	}
	for _, p := range t.nodes {
		if v := p.Version(); v != "" && (oldest == "" || slices.Compare(numbers(v), numbers(oldest)) < 0) {
			oldest = v
		}
	}
	return oldest
}

// numbers are those of a version.
func numbers(version string) (list []int) {
	for part := range strings.SplitSeq(version, ".") {
		n, _ := strconv.Atoi(part)
		list = append(list, n)
	}
	return list
}

// admin is the client of a master that is up; of the first address that is configured as long as the nodes are not known.
func (c *cluster) admin() *redis.Client {
	if t, err := c.await(c.pool.ctx); err == nil {
		return t.up(0).admin
	}
	return c.pool.admin
}

// stats are the sums over the nodes, also over those that have left.
func (c *cluster) stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := c.gone
	for _, p := range c.leaving {
		sum = sum.plus(p.Stats())
	}
	if t := c.topo.Load(); t != nil {
		for _, p := range t.nodes {
			sum = sum.plus(p.Stats())
		}
	}
	return sum
}

func (s Stats) plus(o Stats) Stats {
	s.Connections += o.Connections
	s.Dedicated += o.Dedicated
	s.Reconnects += o.Reconnects
	s.Holds += o.Holds
	s.InFlight += o.InFlight
	s.BytesIn += o.BytesIn
	s.BytesOut += o.BytesOut
	return s
}

// ever is what has been counted since the beginning.
func (s Stats) ever() Stats {
	return Stats{Reconnects: s.Reconnects, Holds: s.Holds, BytesIn: s.BytesIn, BytesOut: s.BytesOut}
}

// trouble tells the cluster that a node of it has lost a connection, or can't make one.
func (p *Pool) trouble() {
	if p.member != nil {
		select {
		case p.member.kick <- struct{}{}:
		default:
		}
	}
}

// evict gives back what waits for a connection.
func (p *Pool) evict() {
	for _, l := range p.links() {
		l.evict()
	}
}

// deposed reports whether p is a node of a cluster and none of its masters.
func (p *Pool) deposed() bool {
	if p.member == nil {
		return false
	}
	t := p.member.topo.Load()
	return t != nil && !slices.Contains(t.masters, p)
}

// depose wakes those who wait for the node: it is no master any more.
func (p *Pool) depose() {
	was := p.place.Swap(&place{addr: p.opt.Addr, left: make(chan struct{})})
	close(was.left)
}

// Elsewhere reports whether err says that the node is none of its cluster's masters any more: nothing was sent, and NodeOf and Masters say
// whom to ask instead.
func Elsewhere(err error) bool {
	return errors.Is(err, errElsewhere) || errors.Is(err, errClosed)
}

// inUse reports whether somebody has a dedicated connection of the pool.
func (p *Pool) inUse() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open) > 0
}
