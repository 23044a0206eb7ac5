package upstream

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/zap"
)

// maxSets is how many link sets may exist before those that nobody uses are forgotten.
const maxSets = 64

// Pool is all our connections to one upstream.
type Pool struct {
	serial uint64 // no other Pool has it
	cfg    Config
	opt    *redis.Options
	addr   string // for people: host:port or path
	log    *zap.Logger
	admin  *redis.Client
	ctx    context.Context // ends with the Pool
	cancel context.CancelFunc
	wg     sync.WaitGroup
	stats  counters
	health health
	idle   idle

	cluster *cluster    // its nodes, if it is sharded: it has no connections of its own then
	member  *cluster    // that it is a node of
	follows atomic.Bool // it is a replica

	mu      sync.Mutex // a leaf: nothing else is locked under it
	closed  bool
	sets    map[setKey]*set
	running map[*link]struct{} // what the watchdog looks after
	open    map[*Conn]struct{} // dedicated connections in use
}

// setKey is what all links of a set have in common.
type setKey struct {
	proto, db int
	role      *Role
	replica   bool // it reads from a replica, and waits for none that is gone
}

// set is the links of one RESP version, database and role.
type set struct {
	links []Link
	next  atomic.Uint32
}

// counters are what Stats shows.
type counters struct {
	connections, dedicated, reconnects, holds, bytesIn, bytesOut atomic.Int64
}

// Stats is a look at the numbers of a Pool.
type Stats struct {
	Connections int64 // shared links that are up
	Dedicated   int64 // dedicated connections open, idle ones included
	Reconnects  int64 // links that came back, ever
	Holds       int64 // batches that had to wait for a connection, ever
	InFlight    int64 // batches sent or waiting to be sent on shared links
	BytesIn     int64 // from the upstream, ever; shared and dedicated
	BytesOut    int64 // to the upstream, ever; shared and dedicated
}

// pools is how many Pools there have been.
var pools atomic.Uint64

// Open checks cfg and returns a Pool for it. It doesn't wait for the upstream: links connect when first used, and
// Health tells how things are. A nil log logs nothing.
func Open(cfg Config, log *zap.Logger) (*Pool, error) {
	if log == nil {
		log = zap.NewNop()
	}
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	quietGoRedis()
	if base, ok := cfg.clusterBase(); ok {
		return openCluster(cfg, base, log)
	}
	opt, err := cfg.options()
	if err != nil {
		return nil, err
	}
	p := newPool(cfg, opt, log)
	p.watch()
	return p, nil
}

// newPool makes a Pool that nobody watches over yet.
func newPool(cfg Config, opt *redis.Options, log *zap.Logger) *Pool {
	p := &Pool{
		serial: pools.Add(1), cfg: cfg, opt: opt, addr: opt.Addr, log: log,
		sets: map[setKey]*set{}, running: map[*link]struct{}{}, open: map[*Conn]struct{}{},
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.admin = p.client(2, opt.DB, 4)
	p.health.begin()
	return p
}

// watch starts what looks after the upstream and the connections to it.
func (p *Pool) watch() {
	p.wg.Add(2)
	go p.runHealth()
	go p.runWatchdog()
}

// Serial tells the pools of this process apart, also those that are closed by now.
func (p *Pool) Serial() uint64 { return p.serial }

// Addr is the upstream's address, without credentials.
func (p *Pool) Addr() string { return p.addr }

// DB is the database that the upstream's URL names.
func (p *Pool) DB() int { return p.opt.DB }

// ReadTimeout is how long the upstream may take for a reply.
func (p *Pool) ReadTimeout() time.Duration { return p.opt.ReadTimeout }

// Admin is a client for ordinary commands of our own, in RESP2 and the URL's database; where the pool is sharded, of one of its masters.
// It never retries.
func (p *Pool) Admin() *redis.Client {
	if p.cluster != nil {
		return p.cluster.admin()
	}
	return p.admin
}

// Link returns a link for the RESP version and database. It connects with the first Do. A client's commands stay
// in order as long as its session keeps to the link it was given.
func (p *Pool) Link(proto, db int) Link { return p.LinkAs(nil, proto, db) }

// LinkAs is Link for a role.
func (p *Pool) LinkAs(role *Role, proto, db int) Link {
	return p.linkOf(setKey{proto: proto, db: db, role: role})
}

func (p *Pool) linkOf(key setKey) Link {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sets[key]
	if s == nil {
		p.sweep()
		s = p.newSet(key)
		p.sets[key] = s
	}
	return s.links[int(s.next.Add(1))%len(s.links)]
}

// newSet makes the links of a set. It needs p.mu.
func (p *Pool) newSet(key setKey) *set {
	s := &set{}
	if p.cluster != nil {
		for i := range routes {
			s.links = append(s.links, &routed{source: p.cluster, key: key, home: i})
		}
		return s
	}
	if p.cfg.Driver == DriverGoRedis {
		s.links = []Link{&plain{pool: p, client: p.clientAs(key)}}
		return s
	}
	for range p.cfg.Links {
		s.links = append(s.links, newLink(p, key))
	}
	return s
}

// sweep forgets sets whose links all rest, once there are many: clients that SELECT their way through all databases
// must not fill the memory. A session that still has such a link can go on using it. It needs p.mu.
func (p *Pool) sweep() {
	if len(p.sets) < maxSets {
		return
	}
	for key, s := range p.sets {
		if !s.inUse(p.running) {
			delete(p.sets, key)
		}
	}
}

func (s *set) inUse(running map[*link]struct{}) bool {
	for _, l := range s.links {
		switch l := l.(type) {
		case *link:
			if _, runs := running[l]; runs {
				return true
			}
		case *plain:
			if l.client.PoolStats().TotalConns > 0 {
				return true
			}
		}
	}
	return false
}

// start runs l and has the watchdog look after it. It returns false when the Pool is closed.
func (p *Pool) start(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.running[l] = struct{}{}
	p.wg.Go(l.run)
	return true
}

// stopped is called at the end of a link's run.
func (p *Pool) stopped(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, l)
}

// links returns the links that run.
func (p *Pool) links() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*link, 0, len(p.running))
	for l := range p.running {
		all = append(all, l)
	}
	return all
}

// runWatchdog looks after links and idle connections until the Pool closes.
func (p *Pool) runWatchdog() {
	defer p.wg.Done()
	tick := 250 * time.Millisecond
	for _, d := range []time.Duration{p.opt.ReadTimeout, p.cfg.Hold, p.cfg.HealthInterval, p.cfg.IdleTimeout} {
		if d > 0 {
			tick = min(tick, d/4)
		}
	}
	t := time.NewTicker(max(tick, time.Millisecond))
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			for _, l := range p.links() {
				l.look(now, tick)
			}
			p.idle.sweep(now.Add(-p.cfg.IdleTimeout))
		case <-p.ctx.Done():
			return
		}
	}
}

// quietGoRedis stops go-redis from writing to standard error: what it would say there comes back as errors too.
var quietGoRedis = sync.OnceFunc(logging.Disable)

// client makes a go-redis client; size is its number of connections, 0 for go-redis's default.
func (p *Pool) client(proto, db, size int) *redis.Client {
	o := *p.opt
	o.Protocol, o.DB = proto, db
	if o.PoolSize == 0 || size > 0 {
		o.PoolSize = size
	}
	return redis.NewClient(&o)
}

// clientAs makes a go-redis client whose connections have the key's role.
func (p *Pool) clientAs(key setKey) *redis.Client {
	client := p.client(key.proto, key.db, 0)
	if key.role == nil && !key.replica {
		return client
	}
	opt := *client.Options()
	_ = client.Close()
	opt.OnConnect = func(ctx context.Context, c *redis.Conn) error {
		if key.replica {
			_ = c.ReadOnly(ctx) // outside of a cluster it is an error, and not needed
		}
		for _, st := range key.role.steps() {
			args := []any{st.name}
			for _, arg := range st.args {
				args = append(args, arg)
			}
			err := c.Process(ctx, redis.NewCmd(ctx, args...))
			said := redis.Error(nil)
			reply := []byte("+OK")
			if errors.As(err, &said) {
				reply = []byte("-" + said.Error())
			} else if err != nil {
				return err
			}
			if err := key.role.judge(&st, reply, func(b []byte) string { return string(b[1:]) }); err != nil {
				return err
			}
		}
		return nil
	}
	return redis.NewClient(&opt)
}

// Stats returns the numbers as they are now.
func (p *Pool) Stats() Stats {
	if p.cluster != nil {
		return p.cluster.stats()
	}
	s := Stats{
		Connections: p.stats.connections.Load(),
		Dedicated:   p.stats.dedicated.Load(),
		Reconnects:  p.stats.reconnects.Load(),
		Holds:       p.stats.holds.Load(),
		BytesIn:     p.stats.bytesIn.Load(),
		BytesOut:    p.stats.bytesOut.Load(),
	}
	for _, l := range p.links() {
		s.InFlight += l.inFlight()
	}
	return s
}

// Close fails whatever is under way, closes all connections and waits for our goroutines to end.
func (p *Pool) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	sets, open := p.sets, slices.Collect(maps.Keys(p.open))
	links := make([]Link, 0, len(p.running))
	for l := range p.running {
		links = append(links, l)
	}
	p.mu.Unlock()

	p.cancel()
	for _, s := range sets {
		links = append(links, s.links...)
	}
	for _, l := range links {
		_ = l.Close()
	}
	for _, c := range open {
		_ = c.Close()
	}
	p.idle.close()
	err := p.admin.Close()
	if p.cluster != nil {
		p.cluster.close()
	}
	p.wg.Wait()
	return err
}

// error wraps why a batch has no replies.
func (p *Pool) error(sent bool, why error) error {
	return &Error{Addr: p.addr, Sent: sent, Err: why}
}
