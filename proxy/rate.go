package proxy

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"sessiongate/command"
	"sessiongate/policy"
)

// Rate limits the commands of all of a tenant's clients together: a token bucket.
type Rate struct {
	Commands int // a second; 0: any number
	Burst    int // that may come at once, after a silence; 0: as many as Commands
}

// depth is how many tokens the bucket holds.
func (r Rate) depth() int64 {
	if r.Burst > 0 {
		return int64(r.Burst)
	}
	return int64(r.Commands)
}

// meter is the bucket, as the time at which it will be full again: one number that many clients change without a lock.
// Beside it is counted what was asked for, for errors to say.
type meter struct {
	full   atomic.Int64 // Unix nanoseconds
	second atomic.Int64 // the second that is being counted
	asked  atomic.Int64 // in it
	before atomic.Int64 // in the one before
}

// take takes one token, if there is one, at the time now in Unix nanoseconds.
func (m *meter) take(r Rate, now int64) bool {
	m.count(now)
	gap := int64(time.Second) / int64(r.Commands)
	for {
		full, empty := m.full.Load(), now+gap*r.depth()
		if full > empty { // left from another rate, before a reload
			m.full.CompareAndSwap(full, empty)
			continue
		}
		next := max(full, now) + gap
		if next > empty {
			return false
		}
		if m.full.CompareAndSwap(full, next) {
			return true
		}
	}
}

func (m *meter) count(now int64) {
	second := now / int64(time.Second)
	if was := m.second.Load(); was != second && m.second.CompareAndSwap(was, second) {
		asked := m.asked.Swap(0)
		if was != second-1 {
			asked = 0
		}
		m.before.Store(asked)
	}
	m.asked.Add(1)
}

// recent is how many commands were asked for in the second up to now, refused ones included, as far as two counters tell.
func (m *meter) recent(now int64) int64 {
	left := int64(time.Second) - now%int64(time.Second)
	return m.asked.Load() + m.before.Load()*(left/int64(time.Millisecond))/1000
}

// overRate reports whether the command is one too many for the tenant; then it has been answered. What was begun can be
// ended, and a MULTI is not refused: what follows it would run outside of a transaction.
func (s *Session) overRate(c cmd) bool {
	if c.spec != nil && unlimited(c.spec) {
		return false
	}
	t, now := s.tenant, time.Now().UnixNano()
	if t.live.meter.take(t.Rate, now) {
		return false
	}
	got, name := t.live.meter.recent(now), ""
	if c.spec != nil {
		name = c.spec.Name
	}
	r := &policy.Refusal{Kind: "rate", Limit: int64(t.Rate.Commands), Got: got,
		Text: fmt.Sprintf("DENIED rate: the limit is %d commands a second, %d at once; %d came within the last second (tenant %s)",
			t.Rate.Commands, t.Rate.depth(), got, strconv.Quote(t.Name))}
	s.refuse(r.AppendRESP(s.local))
	s.noteRefusal(name, r)
	sl := &s.slots[len(s.slots)-1]
	sl.refusal, sl.traced = r, s.count(c.spec, Refused, 0, 0)
	if s.cached(c) {
		s.batch.Req = appendCommand(s.batch.Req, next)
		s.batch.Count++
	}
	return true
}

// unlimited reports whether the command serves to log in or out, or begins or ends what belongs together.
func unlimited(spec *command.Spec) bool {
	switch spec.State {
	case command.Begin, command.End, command.Unwatch:
		return true
	}
	return spec.Flags&command.PreAuth != 0
}
