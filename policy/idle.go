package policy

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"sessiongate/command"
)

// This file has the sliding part of an expiry rule: idle, idle_refresh and touch_on. A key's expiry is never above idle, each
// access puts it back to idle, and what a command says itself stands until the next access.

// idle is what an expiry rule says of accesses. The zero idle says nothing.
type idle struct {
	ms            int64 // the expiry is put back to this
	reads, writes bool  // what is an access
	window        int64 // milliseconds after which the expiry is put back again; 0: at each access
}

const (
	onRead, onWrite = "read", "write"
	defaultRefresh  = 10 // percent
)

// sliding is the rule in figures.
func (c *ExpiryConfig) sliding() idle {
	if c.Idle == 0 {
		return idle{}
	}
	i := idle{ms: c.Idle.Milliseconds(), reads: len(c.TouchOn) == 0, writes: len(c.TouchOn) == 0}
	for _, word := range c.TouchOn {
		i.reads = i.reads || word == onRead
		i.writes = i.writes || word == onWrite
	}
	percent := int64(defaultRefresh)
	if c.IdleRefresh.given {
		percent = int64(c.IdleRefresh.percent)
	}
	i.window = (i.ms - c.jitter().most(i.ms)) * percent / 100 // of the shortest that jitter leaves
	if life := c.life(); life != nil {                        // which rounds an expiry down
		i.window = max(i.window-life.Grain, 0)
	}
	return i
}

// longest is what no expiry may be above; 0: there is no such thing.
func (c *ExpiryConfig) longest() Duration {
	least := Duration(0)
	for _, d := range []Duration{c.Max, c.Idle, c.Lifetime} {
		if d > 0 && (least == 0 || d < least) {
			least = d
		}
	}
	return least
}

func (c *ExpiryConfig) checkIdle(report func(Problem), more func(path string, a Duration, than string, b Duration, hint string)) {
	more("idle", c.Idle, "above max, "+c.Max.String(), c.Max, "lower idle or raise max")
	more("min", c.Min, "above idle, "+c.Idle.String(), c.Idle, "lower min or raise idle")
	more("default", c.Default, "above idle, "+c.Idle.String(), c.Idle, "lower default or raise idle")
	if c.Default > 0 && c.Default < c.Idle && c.sliding().writes {
		report(Problem{Path: "default", Value: c.Default.String(),
			Text: fmt.Sprintf("%s is never used: each write puts the expiry to idle, %s", c.Default, c.Idle), Hint: "remove default"})
	}
	for i, word := range c.TouchOn {
		if word != onRead && word != onWrite {
			report(Problem{Path: fmt.Sprintf("touch_on[%d]", i), Value: word, Text: fmt.Sprintf("%q is not known", word), Hint: "write read, write or both"})
		}
	}
	if c.Idle > 0 {
		return
	}
	if c.IdleRefresh.given {
		report(Problem{Path: "idle_refresh", Value: c.IdleRefresh.String(), Text: "is of no use without idle", Hint: "add idle, or remove idle_refresh"})
	}
	if len(c.TouchOn) > 0 {
		report(Problem{Path: "touch_on", Value: strings.Join(c.TouchOn, ", "), Text: "is of no use without idle", Hint: "add idle, or remove touch_on"})
	}
}

// idleOf is what accesses put the key's expiry back to.
func (e *expiry) idleOf(key []byte) int64 { return e.jitter.of(e.idle.ms, key) }

// access has the expiry of the key r.Names[i] put back to idle, if the command is an access of it that says no expiry itself, and
// tells Recent of it. first is the index of the first Bound that this rule has asked for.
func (e *expiry) access(r *Request, i int, p *Plan, first int) {
	name, x := r.Names[i], &r.Spec.Expiry
	switch {
	case p.Refusal != nil || name.Kind > command.Out:
	case name.Kind == command.In && x.Effect == command.Carries: // before it, so that it is carried
		if e.idle.writes && !r.Watching {
			p.Bounds = append(p.Bounds, Bound{Arg: name.Arg, Idle: e.idleOf(r.Args[name.Arg]), Before: true})
			e.mark(r, name.Arg, p, Mark{Back: true, Bound: len(p.Bounds)})
		}
	case name.Kind == command.In || x.Effect == command.Keeps:
		if r.Spec.Flags&command.NoTouch == 0 && !r.Spec.MayBlock(r.Args) && e.counts(r) {
			e.putBack(r, name.Arg, p, first, true)
		}
	case x.Effect == command.GetOpts && !p.opts.any:
		if e.idle.reads && !r.Watching && !r.Tracking {
			e.putBack(r, name.Arg, p, first, true)
		}
	case x.Effect == command.Creates && p.Args == nil, x.Effect == command.SetOpts && p.opts.keepTTL && !p.opts.doubt && !p.opts.nx:
		if e.idle.writes && !r.Watching {
			e.putBack(r, name.Arg, p, first, false)
		}
	case x.Effect == command.Anything: // before it, so that what the script says stands; the Bound after it is for what it creates
		if e.idle.writes && !r.Watching {
			p.Bounds = append(p.Bounds, Bound{Arg: name.Arg, Idle: e.idleOf(r.Args[name.Arg]), Before: true})
		}
		e.mark(r, name.Arg, p, Mark{})
	default:
		e.mark(r, name.Arg, p, Mark{Back: len(p.Bounds) == first && e.full(r, p)})
		for _, b := range p.Bounds[first:] {
			if b.Elsewhere && r.Recent != nil && e.idle.window > 0 {
				p.Marks = append(p.Marks, Mark{Key: recentKey(p.salt, b.DB, r.Args[name.Arg], e.idle.ms)})
			}
		}
	}
}

// counts reports whether the command is an access. Nothing that may only read is one while the client watches keys: putting back an
// expiry changes a key, and would fail the transaction for which the client watches. Nor is, while it tracks keys, what Redis takes
// for a write, which isn't tracked: after the change the client would hear of no other.
func (e *expiry) counts(r *Request) bool {
	switch flags := r.Spec.Flags; {
	case flags&command.Read != 0:
		return e.idle.reads && !r.Watching
	case flags&(command.Write|command.Script) != 0:
		return e.idle.writes && !r.Watching && !r.Tracking
	}
	return false
}

// putBack asks for the expiry of the key at arg to be idle, in place of what the rule has asked for. It may be skipped where the
// command creates nothing.
func (e *expiry) putBack(r *Request, arg int, p *Plan, first int, skip bool) {
	if skip && r.Recent != nil && e.idle.window > 0 && r.Recent.within(e.recentKey(r, arg, p), r.Tick, e.idle.window) {
		return
	}
	if e.life == nil && !r.Tracking && p.Args == nil && len(r.Args) == r.Spec.Arity && r.Spec.Expiry.Effect == command.Keeps && r.Spec.Expiry.Becomes != nil {
		p.reshape(r, r.Spec.Expiry.Becomes)
		p.addTime(e.idleOf(r.Args[arg]))
		e.mark(r, arg, p, Mark{Back: true})
		return
	}
	if e.life == nil && r.Spec.Expiry.Effect == command.GetOpts {
		p.take(r)
		p.addTime(e.idleOf(r.Args[arg]))
		e.mark(r, arg, p, Mark{Back: true})
		return
	}
	reads := r.Spec.Flags&command.Read != 0 || r.Spec.Expiry.Effect == command.GetOpts
	p.Loose = reads && !r.Tracking // which goes by what is the next command
	// A change after what a client has read would end, with NOLOOP without a word, that it hears of others' changes.
	p.Bounds = append(p.Bounds[:first], Bound{Arg: arg, Idle: e.idleOf(r.Args[arg]), Before: r.Tracking && skip})
	e.mark(r, arg, p, Mark{Back: true, Bound: len(p.Bounds)})
}

// full reports whether the command, as it is sent, gives the key an expiry of idle, and its reply tells whether it did.
func (e *expiry) full(r *Request, p *Plan) bool {
	at, unit := 0, command.Seconds
	switch x := &r.Spec.Expiry; {
	case x.Effect == command.SetOpts && !p.opts.get && !p.opts.doubt:
		if at, unit = p.opts.word+1, p.opts.unit; !p.opts.expires() {
			return e.initial == e.idle.ms && !p.opts.keepTTL
		}
	case x.Effect == command.Sets:
		at, unit = x.Arg, x.Unit
	case x.Effect == command.Creates:
		return e.initial == e.idle.ms
	}
	if at == 0 || at >= len(r.Args) || unit != command.Seconds && unit != command.Millis || e.max != e.idle.ms {
		return false
	}
	factor := int64(1)
	if unit == command.Seconds {
		factor = 1000
	}
	n, ok := parseInt(r.Args[at])
	return ok && n > 0 && n <= math.MaxInt64/factor && n*factor >= e.idle.ms && e.idle.ms%factor == 0
}

func (e *expiry) recentKey(r *Request, arg int, p *Plan) uint64 {
	return recentKey(p.salt, r.DB, r.Args[arg], e.idle.ms)
}

// mark has Recent told of the key at arg, if it is asked at all.
func (e *expiry) mark(r *Request, arg int, p *Plan, m Mark) {
	if r.Recent != nil && e.idle.window > 0 {
		m.Key = e.recentKey(r, arg, p)
		p.Marks = append(p.Marks, m)
	}
}

// Share is a part of a whole in percent, written "10%" or "0". The zero Share stands for a setting that is not there, and has
// the empty text.
type Share struct {
	percent int8
	given   bool
}

// largestShare leaves a session that is read all the time half of its idle timeout at least.
const largestShare = 50

// UnmarshalText reads a share: a whole number with %, or 0.
func (s *Share) UnmarshalText(text []byte) error {
	digits, percent := strings.CutSuffix(string(text), "%")
	n, err := strconv.ParseUint(digits, 10, 16)
	switch {
	case err != nil || !percent && digits != "0":
		return fmt.Errorf("%q is no share; write a whole number of percent, as 10%%", text)
	case n > largestShare:
		return fmt.Errorf("%q is too much; write %d%% at most", text, largestShare)
	}
	*s = Share{int8(n), true}
	return nil
}

// MarshalText writes the form that UnmarshalText reads.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String is the text that UnmarshalText reads back as s.
func (s Share) String() string {
	if !s.given {
		return ""
	}
	return strconv.Itoa(int(s.percent)) + "%"
}

// Percent is the share in figures.
func (s Share) Percent() int { return int(s.percent) }
