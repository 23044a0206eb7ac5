package upstream

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tidwall/redcon"
)

// asking makes a node that is taking a slot over run the next command, or transaction, on it.
const asking = "*1\r\n$6\r\nASKING\r\n"

// scatter is what a Batch keeps for a routed link: its parts on their ways. Buffers are used again by the next Do.
type scatter struct {
	errands []errand // those that are not done, in the order of their units
	legs    []*leg   // the first used of them hold replies of this Do; the last fresh of those are under way
	used    int
	fresh   int
	replies []Reply
	held    map[int]*Pool // where units of a slot have gone in this round, if it is not the first
	rounds  int
	until   time.Time // when waiting ends; zero: nothing has waited
	flood   bool
}

// errand is a unit on its way.
type errand struct {
	slot         int
	from, to     int // its bytes in Batch.Req
	first, count int // its replies in Batch.Replies
	lane         lane
	replica      bool
	script       bool
	asking       bool // ASKING goes before it
	idle         bool // it was not sent in this round
	tries        int
	err          error // why it has no replies
}

// narrow leaves of e the commands that have not run, from the first to before the last, counted by their replies.
func (e *errand) narrow(req []byte, first, last int) {
	if first == 0 && last == e.count {
		return
	}
	at := e.from
	for i, rest := 0, req[e.from:e.to]; i < last; i++ {
		if i == first {
			e.from = at
		}
		_, _, _, left, _ := redcon.ReadNextCommand(rest, nil) // it is whole: it has been sent
		at, rest = at+len(rest)-len(left), left
	}
	e.to, e.first, e.count = at, e.first+first, last-first
}

// leg is the errands of one round to one node.
type leg struct {
	lane    lane
	batch   Batch
	errands []int // their indexes
	err     error
	ended   chan error // of a link that is no Pipeliner
}

// scattered makes the batch's scatter ready for a Do.
func (b *Batch) scattered() *scatter {
	s := b.scatter
	if s == nil {
		s = &scatter{}
		b.scatter = s
	}
	if cap(s.replies) > keepReplies {
		s.replies, s.errands = nil, nil
	}
	for _, l := range s.legs[:s.used] {
		if cap(l.batch.Req) > keepBytes || cap(l.errands) > keepReplies {
			*l = leg{}
		}
	}
	clear(s.replies)
	s.errands, s.used, s.fresh, s.rounds = s.errands[:0], 0, 0, 0
	s.until, s.flood = time.Time{}, false
	return s
}

// plan makes an errand of each unit.
func (s *scatter) plan(b *Batch, p picker, before lane) {
	s.replies = slices.Grow(s.replies[:0], b.Count)[:b.Count]
	units := b.Units
	if len(units) == 0 {
		units = []Unit{{Slot: NoSlot, End: len(b.Req), Count: b.Count}}
	}
	at, first := 0, 0
	for i, u := range units {
		if i == len(units)-1 {
			u.End, u.Count = len(b.Req), b.Count-first
		}
		before = p.lane(u, before)
		s.errands = append(s.errands, errand{
			slot: u.Slot, from: at, to: u.End, first: first, count: u.Count, lane: before, replica: u.Replica, script: u.Script,
		})
		at, first = u.End, first+u.Count
	}
}

// landed notes what came of the batch when it was sent as it is.
func (s *scatter) landed(b *Batch, err error) {
	s.rounds++
	for i := range s.errands {
		s.errands[i].err = err
	}
	if err == nil {
		copy(s.replies, b.Replies)
	}
	b.Replies = nil
}

// round sends the errands that are due, to each node in one piece, and waits for their replies.
func (s *scatter) round(ctx context.Context, b *Batch) {
	s.fresh = s.used
	clear(s.held)
	for i := range s.errands {
		e := &s.errands[i]
		if e.idle = s.mustFollow(e); !e.idle {
			s.leg(e.lane).add(b, e, i)
		}
	}
	s.rounds++
	under := s.legs[s.fresh:s.used]
	for _, l := range under {
		l.batch.Max = b.Max
		l.start(ctx)
	}
	for _, l := range under {
		l.wait(ctx)
		s.collect(l)
	}
}

// mustFollow reports whether e has to wait for a command on its slot that goes to another node in this round.
func (s *scatter) mustFollow(e *errand) bool {
	if s.rounds == 0 || e.slot == NoSlot {
		return false
	}
	if s.held == nil {
		s.held = map[int]*Pool{}
	}
	if other := s.held[e.slot]; other != nil && other != e.lane.pool {
		return true
	}
	s.held[e.slot] = e.lane.pool
	return false
}

// leg is the one of this round that takes the lane.
func (s *scatter) leg(way lane) *leg {
	for _, l := range s.legs[s.fresh:s.used] {
		if l.lane.link == way.link {
			return l
		}
	}
	if s.used == len(s.legs) {
		s.legs = append(s.legs, &leg{})
	}
	l := s.legs[s.used]
	s.used++
	l.lane, l.err, l.errands = way, nil, l.errands[:0]
	l.batch.Req, l.batch.Limits, l.batch.Count = l.batch.Req[:0], l.batch.Limits[:0], 0
	return l
}

// add puts an errand's bytes behind those of the others.
func (l *leg) add(b *Batch, e *errand, index int) {
	if e.asking {
		l.batch.Req = append(l.batch.Req, asking...)
		l.batch.Count++
	}
	for n := l.batch.Count - len(l.batch.Limits); n > 0 && len(b.Limits) > 0; n-- {
		l.batch.Limits = append(l.batch.Limits, 0)
	}
	l.batch.Req = append(l.batch.Req, b.Req[e.from:e.to]...)
	if e.first < len(b.Limits) {
		l.batch.Limits = append(l.batch.Limits, b.Limits[e.first:min(e.first+e.count, len(b.Limits))]...)
	}
	l.batch.Count += e.count
	l.errands = append(l.errands, index)
}

func (l *leg) start(ctx context.Context) {
	if link, ok := l.lane.link.(Pipeliner); ok {
		l.err = link.Start(ctx, &l.batch)
		return
	}
	if l.ended == nil {
		l.ended = make(chan error, 1)
	}
	go func() { l.ended <- l.lane.link.Do(ctx, &l.batch) }() // wait waits for it
}

func (l *leg) wait(ctx context.Context) {
	link, ok := l.lane.link.(Pipeliner)
	switch {
	case !ok:
		l.err = <-l.ended
	case l.err == nil:
		l.err = link.Wait(ctx, &l.batch)
	}
}

// collect puts the replies of a leg in their places.
func (s *scatter) collect(l *leg) {
	s.flood = s.flood || errors.Is(l.err, ErrFlood)
	at := 0
	for _, i := range l.errands {
		e := &s.errands[i]
		if e.err = l.err; e.err != nil {
			continue
		}
		if e.asking {
			at++
		}
		copy(s.replies[e.first:e.first+e.count], l.batch.Replies[at:])
		at += e.count
	}
}

// again drops the errands that are done and reports whether there are others, for which it waits until it is time.
func (s *scatter) again(ctx context.Context, b *Batch, r *routed) bool {
	rest, wait := s.errands[:0], false
	for i := range s.errands {
		e := &s.errands[i]
		what := retry
		if !e.idle && !s.flood {
			what = r.judge(ctx, b, e, s.replies[e.first:e.first+e.count])
		}
		if s.flood || what == later && !s.patient(r) {
			what = done
		}
		switch what {
		case done:
			s.settle(e)
			continue
		case later:
			wait = true
		}
		rest = append(rest, *e)
	}
	s.errands = rest
	if len(rest) == 0 {
		return false
	}
	if wait {
		pause(ctx, backoff(min(s.rounds-1, 4)))
	}
	p := r.picker(r.source.current())
	for i := range rest {
		e := &rest[i]
		if wait || e.idle { // where it was to go may be wrong by now
			e.lane, e.asking = lane{}, false
		}
		if e.lane.link == nil {
			e.lane = p.lane(Unit{Slot: e.slot}, p.any())
		}
	}
	return true
}

// patient reports whether there is time to wait.
func (s *scatter) patient(r *routed) bool {
	if s.until.IsZero() {
		s.until = time.Now().Add(r.patience())
	}
	return time.Now().Before(s.until)
}

// settle gives the replies of an errand that failed its error.
func (s *scatter) settle(e *errand) {
	if e.err == nil {
		return
	}
	for i := range e.count {
		s.replies[e.first+i] = Reply{Err: e.err}
	}
}

// finish hands over the replies.
func (s *scatter) finish(b *Batch) error {
	if b.Max > 0 && b.Count > 1 && !s.flood {
		size := int64(0)
		for i := range s.replies {
			size += int64(len(s.replies[i].Raw))
		}
		s.flood = size > b.Max
	}
	switch {
	case s.flood:
		return ErrFlood
	case len(b.Units) <= 1:
		for i := range s.replies {
			if err := s.replies[i].Err; err != nil {
				return err
			}
		}
	}
	b.Replies = s.replies
	return nil
}

// suspicious reports whether a reply may be one with which a node of a cluster says that it has not run a command, or can't yet.
func suspicious(replies []Reply) bool {
	for i := range replies {
		if raw := replies[i].Raw; len(raw) > 0 && raw[0] == '-' {
			if _, is := redirection(raw); is || bytes.HasPrefix(raw, execAbort) || unready(raw) {
				return true
			}
		}
	}
	return false
}
