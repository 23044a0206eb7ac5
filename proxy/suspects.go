package proxy

import (
	"context"
	"maps"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"sessiongate/credential"
)

// A client that gives a wrong password waits for the answer: firstDelay, twice as long each time, maxDelay at most. How often it
// has failed is remembered by its address, for forgetAfter, so that many connections gain nothing; who gives the right
// password waits for nothing, whatever others do at the same address.
const (
	firstDelay, maxDelay = 100 * time.Millisecond, 3200 * time.Millisecond
	forgetAfter          = time.Minute
	// maxSuspects is how many addresses are remembered.
	maxSuspects = 4096
	// maxTurn is how long a password that has to be hashed slowly waits for its turn among others from its address.
	maxTurn = 10 * time.Second
)

// host is the client's address without the port; in IPv6, its network of 64 bits, which is one customer's.
func host(conn net.Conn) string {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return "local socket"
	}
	addr, _ := netip.AddrFromSlice(tcp.IP)
	if addr = addr.Unmap(); addr.Is6() {
		prefix, _ := addr.Prefix(64)
		return prefix.String()
	}
	return addr.String()
}

// suspects are the addresses from which wrong passwords have come.
type suspects struct {
	mu sync.Mutex // a leaf, never held while anything waits
	by map[string]*suspect

	slots chan struct{} // one for each slow hash that may be calculated at once
}

type suspect struct {
	failed int
	last   time.Time     // of failed
	heard  time.Time     // of it at all
	logged time.Time     // the last line in the log
	held   int           // failures since then
	turn   chan struct{} // capacity 1: held by the one client whose password is hashed
}

func newSuspects() *suspects {
	return &suspects{by: map[string]*suspect{}, slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
}

// at returns what is known of an address. It needs g.mu.
func (g *suspects) at(addr string, now time.Time) *suspect {
	p := g.by[addr]
	if p == nil {
		if len(g.by) >= maxSuspects {
			g.forget()
		}
		p = &suspect{turn: make(chan struct{}, 1)}
		g.by[addr] = p
	}
	if now.Sub(p.last) > forgetAfter {
		p.failed = 0
	}
	p.heard = now
	return p
}

// forget makes room: the half that was not heard of for longest goes.
func (g *suspects) forget() {
	addrs := slices.Collect(maps.Keys(g.by))
	slices.SortFunc(addrs, func(a, b string) int { return g.by[a].heard.Compare(g.by[b].heard) })
	for _, addr := range addrs[:len(addrs)/2] {
		delete(g.by, addr)
	}
}

// note counts a failure and returns how long its client waits for the answer, and whether it is time for a line in the log, for
// this one and those held back before.
func (g *suspects) note(addr string, now time.Time) (delay time.Duration, due bool, held int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.at(addr, now)
	p.failed++
	p.last = now
	if now.Sub(p.logged) < refusalEvery {
		p.held++
		return p.delay(), false, 0
	}
	held = p.held
	p.logged, p.held = now, 0
	return p.delay(), true, held
}

// delay is how long the next failure waits, or the next hash is put off.
func (p *suspect) delay() time.Duration {
	if p.failed == 0 {
		return 0
	}
	return min(firstDelay<<min(p.failed-1, 10), maxDelay)
}

// try hashes the password as slowly as the tenants want it and returns the one whose it is, nil if it is nobody's. Each address has
// one hash under way at a time and, once it has failed, only one in its delay: guessing costs the others no CPU to speak of.
func (g *suspects) try(ctx context.Context, addr string, unsure []*Tenant, a *credential.Attempt) (*Tenant, error) {
	g.mu.Lock()
	p := g.at(addr, time.Now())
	g.mu.Unlock()
	patience := time.NewTimer(maxTurn)
	defer patience.Stop()
	wait := func(ready <-chan time.Time, slot chan<- struct{}) error {
		select {
		case <-ready:
		case slot <- struct{}{}:
		case <-patience.C:
			return errManyLogins
		case <-ctx.Done():
			return errGone
		}
		return nil
	}
	if err := wait(nil, p.turn); err != nil {
		return nil, err
	}
	defer func() { <-p.turn }()
	if t := matching(unsure, a); t != nil { // somebody has found out while we waited
		return t, nil
	}
	g.mu.Lock()
	pause := p.delay() - time.Since(p.last)
	g.mu.Unlock()
	if pause > 0 {
		if err := wait(time.After(pause), nil); err != nil {
			return nil, err
		}
	}
	if err := wait(nil, g.slots); err != nil {
		return nil, err
	}
	defer func() { <-g.slots }()
	for _, t := range unsure {
		for _, password := range t.passwords {
			if password.Try(a) {
				return t, nil
			}
		}
	}
	return nil, nil
}

// matching is the tenant of which the password is known to be.
func matching(list []*Tenant, a *credential.Attempt) *Tenant {
	for _, t := range list {
		for _, password := range t.passwords {
			if ok, _ := password.Matches(a); ok {
				return t
			}
		}
	}
	return nil
}
