package proxy

import (
	"sync/atomic"
	"time"

	"sessiongate/command"
	"sessiongate/policy"
)

// Verdict is what becomes of a command. The value of one of these is its index in counts.
type Verdict uint8

const (
	Passed    Verdict = iota // goes upstream byte for byte
	Rewritten                // goes in another form, or with commands of ours around it
	Refused                  // is not sent
	Local                    // is answered here
	Unknown                  // is in no table
	Verdicts                 // how many there are
)

// VerdictNames are how metrics and the API call them.
var VerdictNames = [Verdicts]string{"passed", "rewritten", "refused", "local", "unknown"}

// rewrites says in which ways a command was rewritten, a bit for each of RewriteNames.
type rewrites uint8

const (
	namespaced rewrites = 1 << iota
	restated
	followedBy
	guarded
	confined
	rewriteKinds = iota
)

// RewriteNames are the ways in which commands are rewritten: its names get the namespace; its arguments change (an expiry); commands
// follow it or come before it; it runs within a check; it is a script whose writes are checked.
var RewriteNames = [rewriteKinds]string{"namespace", "expiry", "follow", "guard", "script"}

// tally is what is counted of one tenant's clients, across reloads. Sessions add to it a batch at a time.
type tally struct {
	commands []verdictCounts // by row of the table; the last is for what has none
	rewrites [rewriteKinds]atomic.Int64

	total, upstream   histogram
	bytesIn, bytesOut atomic.Int64 // of clients
}

type verdictCounts [Verdicts]atomic.Int64

func newTally() *tally { return &tally{commands: make([]verdictCounts, command.Len()+1)} }

// Bounds are the upper ends of the latency histograms' buckets.
var Bounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// histogram counts commands by how long they took.
type histogram struct {
	counts [len(Bounds) + 1]atomic.Int64 // the last for what is above all bounds
	sum    atomic.Int64                  // nanoseconds
}

// observe counts n commands that took d each.
func (h *histogram) observe(d time.Duration, n int) {
	i := 0
	for i < len(Bounds) && d > Bounds[i] {
		i++
	}
	h.counts[i].Add(int64(n))
	h.sum.Add(int64(d) * int64(n))
}

// class is what commands have in common that are counted together.
type class struct {
	id      uint16 // of the row; command.Len() for none
	verdict Verdict
	how     rewrites
	rule    uint16 // as policy.Plan.Rule
}

// account is what a session has counted and not yet added to its tenant's tally. A pipeline's commands are mostly alike, so that a
// run of them costs one addition.
type account struct {
	class   class
	same    int64 // commands of the class
	counted uint  // commands ever

	aside    bool          // the command at hand has left the line
	asked    time.Duration // when that first asked the upstream, since the server's start
	waited   time.Duration // for the upstream, by that
	failure  string        // the code of the error with which that was answered here, where anything is traced; empty: with none
	traced   []*traced     // commands whose Spans have not been handed over: of what has landed, and those that have left the line
	timings  []timing
	in, out  int64        // bytes that the tally knows of
	commands atomic.Int64 // shared: ever
	bytesIn  atomic.Int64 // shared: ever
	bytesOut atomic.Int64 // shared: ever, the pump's too
}

// timing is of a batch whose replies are ready to be written.
type timing struct {
	began    time.Duration // since the server's start
	upstream time.Duration
	n        int
	first    cmd
	read     uint // reader.reads when first was valid
}

// count counts one command. It returns the Span of one that is traced, nil mostly.
func (s *Session) count(spec *command.Spec, v Verdict, how rewrites, rule uint16) (t *traced) {
	s.acct.counted++
	if s.until--; s.until < 0 {
		t = s.trace(spec, v, rule)
	}
	if !s.srv.cfg.Metrics {
		return t
	}
	next := class{uint16(command.Len()), v, how, rule}
	if spec != nil {
		next.id = spec.ID
	}
	if next != s.acct.class {
		s.settleCounts()
		s.acct.class = next
	}
	s.acct.same++
	return t
}

// countPlaced counts the command that was put into the batch last.
func (s *Session) countPlaced(c cmd) {
	if s.again || s.docking || s.srv == nil {
		return
	}
	sl := &s.slots[len(s.slots)-1]
	switch {
	case isForeign(c):
		sl.traced = s.count(nil, Unknown, 0, 0)
	case sl.text && !c.spec.ArityOK(len(c.args)):
		sl.traced = s.count(c.spec, Local, 0, 0)
	case sl.text:
		sl.traced = s.count(c.spec, Refused, 0, uint16(s.plan.Rule))
	case s.policy.Transparent():
		sl.traced = s.count(c.spec, Passed, 0, 0)
	default:
		how := s.rewritten(c)
		v := Passed
		if how != 0 {
			v = Rewritten
		}
		sl.traced = s.count(c.spec, v, how, uint16(s.plan.Rule))
	}
	if sl.traced != nil {
		sl.traced.Key = s.srv.slow.show.Form(firstKey(c))
	}
}

// rewritten says how the plan at hand changes the command.
func (s *Session) rewritten(c cmd) (how rewrites) {
	p := &s.plan
	if len(p.Prefix) > 0 {
		how |= namespaced
	}
	if p.Args != nil {
		how |= restated
	}
	if len(p.Bounds) > 0 {
		how |= followedBy
	}
	if p.Guard.Kind != policy.NoGuard || p.Within {
		how |= guarded
	}
	if c.spec.Flags&command.Script != 0 && s.policy.ConfinesScripts() {
		how |= confined
	}
	return how
}

// tallied is where the session's commands are counted.
func (s *Session) tallied() *tally {
	if s.tenant == nil {
		return s.srv.nobody
	}
	return s.tenant.live.tally
}

// settleCounts adds what was counted to the tenant's tally. It comes before the session changes its tenant.
func (s *Session) settleCounts() {
	a := &s.acct
	if a.same == 0 {
		return
	}
	t := s.tallied()
	t.commands[a.class.id][a.class.verdict].Add(a.same)
	for i := range rewriteKinds {
		if a.class.how&(1<<i) != 0 {
			t.rewrites[i].Add(a.same)
		}
	}
	if i := int(a.class.rule) - 1; i >= 0 && s.tenant != nil && i < len(s.tenant.hits) {
		s.tenant.hits[i].Add(a.same)
	}
	a.commands.Add(a.same)
	a.same = 0
}

// settleAccount adds all that is known after a write to the tenant's tally: counts, bytes, and how long it took.
func (s *Session) settleAccount() {
	a := &s.acct
	if !s.srv.measures {
		a.timings = a.timings[:0]
		return
	}
	s.settleCounts()
	t := s.tallied()
	in, out := s.in.total, a.bytesOut.Load()
	a.bytesIn.Store(in)
	t.bytesIn.Add(in - a.in)
	t.bytesOut.Add(out - a.out)
	a.in, a.out = in, out
	if len(a.timings) == 0 && len(a.traced) == 0 {
		return
	}
	now := s.srv.elapsed()
	if len(a.traced) > 0 {
		s.handOver(now)
	}
	for i := range a.timings {
		each := &a.timings[i]
		total := now - each.began
		t.total.observe(total, each.n)
		if each.upstream > 0 {
			t.upstream.observe(each.upstream, each.n)
		}
		if s.srv.slow.is(total) && s.srv.slow.room(now) {
			s.srv.slow.add(s, each, total)
		}
		each.first = cmd{}
	}
	a.timings = a.timings[:0]
}

// littleReq is how many bytes of requests are decided within some microseconds, for which the clock is not read once more.
const littleReq = 1 << 10

// departs notes that the batch at hand is sent.
func (s *Session) departs() {
	if s.departed = s.flight.began; s.srv.measures && len(s.batch.Req) > littleReq {
		s.departed = s.srv.elapsed()
	}
}

// landed notes that the replies of the batch at hand are here, or never will be.
func (s *Session) landed() {
	if s.srv.measures && len(s.slots) > 0 {
		each := timing{began: s.flight.began, n: len(s.slots), first: s.flight.first, read: s.flight.read}
		if s.batch.Count > 0 {
			each.upstream = s.srv.elapsed() - s.flight.departed
		}
		s.acct.timings = append(s.acct.timings, each)
	}
	if len(s.flight.traced) > 0 {
		s.traceLanded()
	}
}

// steppedAside notes that a command which has left the line is done. How long one took that waits for others says nothing.
func (s *Session) steppedAside(c cmd, began time.Duration, counted uint) {
	if len(c.args) == 0 {
		return
	}
	if s.acct.counted == counted {
		s.count(c.spec, Local, 0, 0)
	}
	if s.acct.aside = false; len(s.acct.traced) > 0 {
		s.traceAside(began)
	}
	waits := c.spec != nil && (c.spec.State == command.Blocks || c.spec.State == command.Subscribe || c.spec.Flags&command.PreAuth != 0)
	if s.srv.measures && !waits {
		s.acct.timings = append(s.acct.timings, timing{began: began, upstream: s.acct.waited, n: 1, first: c, read: s.in.reads})
	}
}

// elapsed is how long the server has been there, by a clock that never goes back.
func (s *Server) elapsed() time.Duration { return time.Since(s.started) }
