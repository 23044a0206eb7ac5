package proxy

import (
	"cmp"
	"slices"
	"time"

	"sessiongate/command"
	"sessiongate/upstream"
)

// What operators see of a Server.

// Histogram is how long commands took: Counts[i] are those of at most Bounds[i] that are in no earlier one, the last those above.
type Histogram struct {
	Counts [len(Bounds) + 1]int64
	Sum    time.Duration
}

// TenantFigures are the running totals of one tenant's clients.
type TenantFigures struct {
	Name              string // empty: of those who have not authenticated
	Clients           int64
	Verdicts          [Verdicts]int64
	Rewrites          [rewriteKinds]int64
	Total, Upstream   Histogram
	BytesIn, BytesOut int64
	Commands          []CommandFigures
	Hits              []int64 // by rule
}

// CommandFigures says what has become of one command.
type CommandFigures struct {
	Name     string
	Verdicts [Verdicts]int64
}

// UnknownCommand stands for all commands that are in no table.
const UnknownCommand = "(unknown)"

// Figures returns the totals of each tenant, and of those who are nobody's yet.
func (s *Server) Figures() (list []TenantFigures) {
	for _, t := range s.tenants.Load().all {
		f := t.live.tally.figures(t.Name)
		f.Clients = t.live.clients.Load()
		for _, n := range t.hits {
			f.Hits = append(f.Hits, n.Load())
		}
		list = append(list, f)
	}
	return append(list, s.nobody.figures(""))
}

func (t *tally) figures(name string) TenantFigures {
	f := TenantFigures{Name: name, BytesIn: t.bytesIn.Load(), BytesOut: t.bytesOut.Load(), Total: t.total.read(), Upstream: t.upstream.read()}
	for i := range t.rewrites {
		f.Rewrites[i] = t.rewrites[i].Load()
	}
	specs := command.All()
	for id := range t.commands {
		c, all := CommandFigures{Name: UnknownCommand}, int64(0)
		for v := range c.Verdicts {
			n := t.commands[id][v].Load()
			c.Verdicts[v], f.Verdicts[v], all = n, f.Verdicts[v]+n, all+n
		}
		if all == 0 {
			continue
		}
		if id < len(specs) {
			c.Name = specs[id].Name
		}
		f.Commands = append(f.Commands, c)
	}
	return f
}

func (h *histogram) read() (r Histogram) {
	for i := range h.counts {
		r.Counts[i] = h.counts[i].Load()
	}
	r.Sum = time.Duration(h.sum.Load())
	return r
}

// Client is one client as operators see it.
type Client struct {
	ID                            int64
	Addr, LocalAddr               string
	Tenant, User                  string
	Name, Library, LibraryVersion string
	Proto, DB                     int
	Since                         time.Time
	Idle                          time.Duration
	Commands, BytesIn, BytesOut   int64
	Subscriptions                 int
	Transaction, Dedicated        bool
}

// Clients lists the clients of the tenant, or, if that is empty, of all, by id.
func (s *Server) Clients(tenant string) (list []Client) {
	now := time.Now()
	s.each(func(c *Session) {
		a := c.about.Load()
		if tenant != "" && a.tenant != tenant {
			return
		}
		list = append(list, Client{
			ID: c.id, Addr: c.peer(), LocalAddr: c.conn.LocalAddr().String(), Tenant: a.tenant, User: a.user,
			Name: a.name, Library: a.libName, LibraryVersion: a.libVer, Proto: a.proto, DB: a.db,
			Since: a.since, Idle: time.Duration(max(0, now.Unix()-c.active.Load())) * time.Second,
			Commands: c.acct.commands.Load(), BytesIn: c.acct.bytesIn.Load(), BytesOut: c.acct.bytesOut.Load(),
			Subscriptions: a.channels + a.patterns, Transaction: a.multi, Dedicated: a.upstream != 0,
		})
	})
	slices.SortFunc(list, func(a, b Client) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// Kill closes the client of that id. It reports whether there is one.
func (s *Server) Kill(id int64) bool {
	s.mu.Lock()
	c := s.sessions[id]
	s.mu.Unlock()
	if c != nil {
		c.kill()
	}
	return c != nil
}

// Connected is how many clients there are.
func (s *Server) Connected() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// MostClients is how many clients there may be at once.
func (s *Server) MostClients() int { return s.cfg.Clients }

// Tenants are those of the moment.
func (s *Server) Tenants() []*Tenant { return slices.Clone(s.tenants.Load().all) }

// StartDB is the database in which the tenant's clients begin.
func (t *Tenant) StartDB() int { return t.start() }

// HasPasswords reports whether the tenant's clients can log in by a password.
func (t *Tenant) HasPasswords() bool { return len(t.passwords) > 0 }

// Pools are the upstreams of the tenants, the Server's own first.
func (s *Server) Pools() []*upstream.Pool {
	list := []*upstream.Pool{s.main}
	for _, t := range s.tenants.Load().all {
		if !slices.Contains(list, t.Pool) {
			list = append(list, t.Pool)
		}
	}
	return list
}

// Started is when the Server was made.
func (s *Server) Started() time.Time { return s.started }

// Draining reports whether no new clients are let in.
func (s *Server) Draining() bool { return s.draining.Load() }

// Measured reports whether commands are counted by tenant.
func (s *Server) Measured() bool { return s.cfg.Metrics }

// Keys is how keys are shown in logs.
func (s *Server) Keys() KeyForm { return s.cfg.Keys }

// Slow returns up to n entries of the slow log, the latest first.
func (s *Server) Slow(n int) []SlowEntry { return s.slow.latest(n) }

// SlowFrom is how long what goes into the slow log takes at least, 0 if nothing goes there, and SlowLength how much is kept.
func (s *Server) SlowFrom() (threshold time.Duration, length int) {
	return s.cfg.Slow, s.cfg.SlowLength
}

// SlowLeftOut is how many slow ones were not taken down since the start, as there were too many in a second.
func (s *Server) SlowLeftOut() int64 { return s.slow.leftOut.Load() }

// ForgetSlow empties the slow log.
func (s *Server) ForgetSlow() (removed int) { return s.slow.clear() }

// Pattern is what SCAN has to look for to find the names under the prefix that match; an empty match is all of them.
func Pattern(prefix []byte, match string) string {
	if match == "" {
		match = "*"
	}
	return string(append(appendEscaped(nil, prefix), match...))
}
