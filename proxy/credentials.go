package proxy

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"go.uber.org/zap"

	"sessiongate/credential"
)

// A client that gives a wrong password waits for the answer: firstDelay, twice as long each time, maxDelay at most. How often it
// has failed is remembered by its address, for forgetAfter, so that many connections gain nothing; who gives the right
// password waits for nothing, whatever others do at the same address.
const (
	firstDelay, maxDelay = 100 * time.Millisecond, 3200 * time.Millisecond
	forgetAfter          = time.Minute
	// maxSuspects is how many addresses are remembered; the one that was heard of longest ago makes room.
	maxSuspects = 4096
	// maxTurn is how long a password that has to be hashed slowly waits for its turn among others from its address.
	maxTurn = 10 * time.Second
)

// find returns the tenant whose client these credentials make of one that came that way: nil if that can't be told, or if there
// is none. Those whose passwords have to be hashed slowly, to tell, are unsure. It compares with every password that there
// is in constant time, so that neither length nor content shows in the time it takes.
func (ts *tenants) find(by entrance, user []byte, a *credential.Attempt) (found *Tenant, unsure []*Tenant) {
	gotUser := sha256.Sum256(user)
	for _, t := range ts.all {
		if by.tenant != "" && by.tenant != t.Name {
			continue
		}
		wantUser := sha256.Sum256([]byte(t.User))
		same, open := subtle.ConstantTimeCompare(gotUser[:], wantUser[:]), false
		for _, password := range t.passwords {
			ok, sure := password.Matches(a)
			if open = open || !sure; ok && same == 1 && found == nil {
				found = t
			}
		}
		if open && same == 1 {
			unsure = append(unsure, t)
		}
	}
	return found, unsure
}

var (
	errManyLogins = errors.New("ERR too many passwords from this address are waiting to be checked, try again")
	errStopping   = errors.New("ERR sessiongate is stopping")
)

// authenticate makes the session the tenant's that these credentials belong to, or says why not. Without any credentials
// configured the default user is whoever says so, as in a Redis without requirepass.
func (s *Session) authenticate(ctx context.Context, user, password []byte) (errText string) {
	all, a := s.srv.tenants.Load(), credential.NewAttempt(password)
	t, unsure := all.find(s.came, user, a)
	if t == nil && !all.needPassword() && string(user) == "default" {
		t = all.arriving(s.came)
	}
	if t == nil && len(unsure) > 0 {
		var err error
		if t, err = s.srv.suspects.try(ctx, s.srv.stopping, host(s.conn), unsure, a); err != nil {
			return err.Error()
		}
	}
	if t == nil {
		s.failedLogin(ctx, user)
		return errWrongPass
	}
	if refusal := s.login(t, all); refusal != nil {
		return refusal.Text
	}
	return ""
}

// failedLogin counts and logs a wrong password, and keeps its client waiting. Nobody else waits: a session is a goroutine.
func (s *Session) failedLogin(ctx context.Context, user []byte) {
	s.srv.Counts.FailedLogins.Add(1)
	at := host(s.conn)
	delay, due, held := s.srv.suspects.note(at, time.Now())
	if due {
		s.srv.log.Warn("wrong password", zap.String("addr", at), zap.ByteString("user", cString(user, 64)), zap.Int("not_logged_before", held))
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.srv.stopping:
	case <-ctx.Done():
	}
}

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
			g.forget(now)
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

// forget makes room: of those not heard of for long, and at least of one.
func (g *suspects) forget(now time.Time) {
	oldest, since := "", now.Add(time.Hour)
	for addr, p := range g.by {
		if now.Sub(p.heard) > forgetAfter {
			delete(g.by, addr)
		} else if p.heard.Before(since) {
			oldest, since = addr, p.heard
		}
	}
	if len(g.by) >= maxSuspects {
		delete(g.by, oldest)
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
func (g *suspects) try(ctx context.Context, stopping <-chan struct{}, addr string, unsure []*Tenant, a *credential.Attempt) (*Tenant, error) {
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
		case <-stopping:
			return errStopping
		case <-ctx.Done():
			return errStopping
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
