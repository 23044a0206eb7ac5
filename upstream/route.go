package upstream

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// routes is how many routed links there are of a kind, so that what names no key is spread over the nodes.
	routes = 16
	// maxTries is how often a unit is sent to another node than before.
	maxTries = 8
)

// routed is a Link that sends each unit of a batch to the node that has its slot, and again if that node says that another one has
// it. It is no Pipeliner on purpose: commands that are sent again would be overtaken by those of the session's next batch.
//
// The order of commands on one slot stays: they go to one node in one piece, and those that are redirected follow each other to
// the next. Only what a node has put off with TRYAGAIN, while a slot is moving, can be overtaken by a later command of the batch.
type routed struct {
	source source
	key    setKey
	home   int // the index of the master that gets what names no key
	turn   atomic.Uint32
	lanes  atomic.Pointer[lanes]
}

// source is what knows which nodes there are: a cluster, or whatever else has masters and replicas.
type source interface {
	await(ctx context.Context) (*topology, error)                        // the topology, when there is one
	current() *topology                                                  // the same once there has been one
	target(ctx context.Context, addr string, asked *Pool) *Pool          // the node that another one names; nil: there is none
	moved(slot int, node *Pool)                                          // a node says that it is there now
	want(hint *Pool) <-chan struct{}                                     // the topology may have changed
	confirms(ctx context.Context, slot int, r redirect, from *Pool) bool // r is true, though a script may have written it
	behind() *Pool                                                       // the Pool that all this is behind
}

// Close does nothing: the connections are the nodes'.
func (r *routed) Close() error { return nil }

// Do sends b to the nodes that it is for; see Link.
func (r *routed) Do(ctx context.Context, b *Batch) error {
	b.Replies = nil
	if b.Count == 0 {
		return nil
	}
	t, err := r.source.await(ctx)
	if err != nil {
		return r.source.behind().error(false, err)
	}
	p := r.picker(t)
	first := p.lead(b.Units)
	var s *scatter
	if p.straight(first, b.Units) {
		err := first.link.Do(ctx, b)
		if errors.Is(err, ErrFlood) || err == nil && !suspicious(b.Replies) {
			return err
		}
		s = b.scattered()
		s.plan(b, p, first)
		s.landed(b, err)
	} else {
		s = b.scattered()
		s.plan(b, p, first)
		s.round(ctx, b)
	}
	for s.again(ctx, b, r) {
		s.round(ctx, b)
	}
	return s.finish(b)
}

// lane is the way to one node.
type lane struct {
	pool *Pool
	link Link
}

// lanes are the ways to the nodes of a topology, by shard.
type lanes struct {
	topo     *topology
	masters  []lane
	replicas [][]lane
}

// lanesTo are the ways to the nodes of t.
func (r *routed) lanesTo(t *topology) *lanes {
	if l := r.lanes.Load(); l != nil && l.topo == t {
		return l
	}
	l := &lanes{topo: t, masters: make([]lane, len(t.shards)), replicas: make([][]lane, len(t.shards))}
	replica := r.key
	replica.replica = true
	for i, s := range t.shards {
		l.masters[i] = lane{s.master, s.master.linkOf(r.key)}
		for _, p := range s.replicas {
			l.replicas[i] = append(l.replicas[i], lane{p, p.linkOf(replica)})
		}
	}
	r.lanes.Store(l)
	return l
}

// picker chooses lanes for the units of one batch.
type picker struct {
	*lanes
	home, turn int
}

func (r *routed) picker(t *topology) picker {
	return picker{r.lanesTo(t), r.home, int(r.turn.Add(1))}
}

// lead is the lane of the first unit that has a slot, or of all if none has. Units without a slot go where the one before them goes.
func (p picker) lead(units []Unit) lane {
	for _, u := range units {
		if u.Slot != NoSlot {
			return p.lane(u, lane{})
		}
	}
	return p.any()
}

// straight reports whether all units can take the lane.
func (p picker) straight(first lane, units []Unit) bool {
	if len(units) == 1 {
		return true
	}
	for _, u := range units {
		if p.lane(u, first).link != first.link {
			return false
		}
	}
	return true
}

// lane is the way to the node for the unit, or the one before if any node will do.
func (p picker) lane(u Unit, before lane) lane {
	if u.Slot == NoSlot {
		return before
	}
	i := p.topo.shardOf(u.Slot)
	switch {
	case i < 0:
		return p.any() // it says that the slot is not served
	case u.Replica:
		return p.reader(i, u.Nearest)
	}
	return p.masters[i]
}

// any is the way to a master that is up.
func (p picker) any() lane {
	n := len(p.masters)
	for i := range n {
		l := p.masters[(p.home+i)%n]
		if up, _ := l.pool.Health(); up {
			return l
		}
	}
	return p.masters[p.home%n]
}

// reader is the way to a replica of the shard that is up and hears from its master; to the master if there is none.
func (p picker) reader(shard int, nearest bool) lane {
	best := p.masters[shard]
	trip := best.pool.health.trip.Load()
	if up, _ := best.pool.Health(); !up || !nearest {
		trip = 0
	}
	all := p.replicas[shard]
	for i := range all {
		l := all[(p.turn+i)%len(all)]
		if up, _ := l.pool.Health(); !up || l.pool.health.apart.Load() {
			continue
		}
		if !nearest {
			return l
		}
		if t := l.pool.health.trip.Load(); trip == 0 || t < trip {
			best, trip = l, t
		}
	}
	return best
}

// to is the way to a node as a master.
func (r *routed) to(node *Pool) lane {
	if t := r.source.current(); t != nil {
		for _, l := range r.lanesTo(t).masters {
			if l.pool == node {
				return l
			}
		}
	}
	return lane{node, node.linkOf(r.key)}
}

// verdict is what is to be done about a unit.
type verdict int

const (
	done  verdict = iota
	retry         // at once
	later         // after a while
)

// judge says what is to be done about e, which has come back. It sets the lane of what is to be sent to a certain node, and takes
// away that of what is to be sent to whoever has the slot by then.
func (r *routed) judge(ctx context.Context, b *Batch, e *errand, replies []Reply) verdict {
	if e.err != nil {
		return r.failed(ctx, e)
	}
	if e.replica && !e.script && slices.ContainsFunc(replies, func(reply Reply) bool { return unready(reply.Raw) }) {
		e.lane.pool.health.apart.Store(true) // until the next health check
		e.lane, e.replica = lane{}, false
		return retry
	}
	red, first, last, ok := refused(replies)
	if !ok || e.slot == NoSlot || e.tries >= maxTries && red.kind != kindWait {
		return done
	}
	if red.kind != kindWait && red.slot != e.slot || last-first < e.count && !inPart(b.Req[e.from:e.to]) {
		return done
	}
	from := e.lane.pool
	doubtful := e.script && inPart(b.Req[e.from:e.to]) // what a transaction queues up has not run
	if doubtful && (last-first < e.count || !r.source.confirms(ctx, e.slot, red, from)) {
		return done
	}
	if red.kind == kindWait {
		r.source.want(nil)
		e.lane, e.asking = lane{}, false
		e.narrow(b.Req, first, last)
		return later
	}
	to := r.source.target(ctx, string(red.addr), from)
	if to == nil || to == from {
		return done
	}
	if red.kind == kindMoved && !doubtful {
		r.source.moved(e.slot, to)
		r.source.want(to)
	}
	e.tries++
	e.narrow(b.Req, first, last)
	e.lane, e.asking = r.to(to), red.kind == kindAsk
	return retry
}

// failed is judge for what got no reply. What was not sent may go to another node.
func (r *routed) failed(ctx context.Context, e *errand) verdict {
	closed := r.source.behind().ctx.Err() != nil
	if !SafeToRetry(e.err) || ctx.Err() != nil || closed || e.tries >= maxTries {
		return done
	}
	e.tries++
	from := e.lane.pool
	e.lane, e.asking = lane{}, false
	if e.replica || errors.Is(e.err, errElsewhere) || errors.Is(e.err, errClosed) {
		e.replica = false
		return retry
	}
	if p := r.picker(r.source.current()); p.lane(Unit{Slot: e.slot}, p.any()).pool != from {
		return retry
	}
	return done
}

// patience is how long a batch waits for slots that are moving, or that nobody has.
func (r *routed) patience() time.Duration { return r.source.behind().cfg.Hold }
