package policy

import (
	"fmt"
	"sync/atomic"
	"time"

	"sessiongate/command"
)

// ReadsConfig says who answers reads, where the upstream has replicas. What a replica answers may be old: by as much as it is behind its master,
// which nobody waits for.
type ReadsConfig struct {
	From  string   `yaml:"from"`  // "master", the default, "replica", or "nearest": whoever answers soonest, the master included
	After Duration `yaml:"after"` // how long after a write of a key through this proxy the master answers reads of it; left out: 500ms
}

// defaultAfter is longer than replicas on the same network are behind, mostly.
const defaultAfter = 500 * time.Millisecond

func (c *ReadsConfig) check(report func(Problem)) {
	switch {
	case c.From != "" && c.From != "master" && c.From != "replica" && c.From != "nearest":
		report(Problem{Path: "from", Value: c.From, Text: fmt.Sprintf("%q is not known", c.From), Hint: "write master, replica or nearest"})
	case c.From == "":
		report(Problem{Text: "sets nothing", Hint: "add from"})
	case c.After > 0 && c.From == "master":
		report(Problem{Path: "after", Value: c.After.String(), Text: "is of no use with from: master", Hint: "remove it"})
	case c.After < 0 || c.After.Milliseconds() > longestWindow:
		report(Problem{Path: "after", Value: c.After.String(), Text: c.After.String() + " is not from 1ms to 12d", Hint: "write a duration as 500ms"})
	}
}

// reads lets replicas answer.
type reads struct {
	nearest bool
	after   int64 // milliseconds
}

var _ Rule = (*reads)(nil)

func (c *ReadsConfig) rule(string) Rule {
	if c.From == "master" {
		return nil
	}
	after := defaultAfter.Milliseconds()
	if c.After > 0 {
		after = c.After.Milliseconds()
	}
	return &reads{c.From == "nearest", after}
}

// Apply counts the key among those that a replica may answer for, or has it taken down as written.
func (d *reads) Apply(r *Request, i int, p *Plan) {
	if r.Written == nil || i == noKey || r.Names[i].Kind > command.Out {
		return
	}
	key := recentKey(p.salt, r.DB, r.Args[r.Names[i].Arg], 0)
	switch {
	case r.Spec.Flags&command.Read == 0:
		p.Marks = append(p.Marks, Mark{Key: key, Written: true})
	case r.Spec.State == command.Plain && r.Spec.Flags&command.Script == 0 && !r.Written.within(key, r.Tick, d.after):
		p.spared++
		p.Nearest = p.Nearest || d.nearest
	}
}

// spare decides whether a replica may answer: for all keys of a command, which is sent as a read and alone.
func (p *Plan) spare(r *Request) {
	keys := 0
	for _, name := range r.Names {
		if name.Kind <= command.Out || name.Kind == command.Sub {
			keys++
		}
	}
	p.Replica = p.spared > 0 && p.spared == keys && p.Refusal == nil && len(p.Bounds) == 0 && p.Guard.Kind == NoGuard && !p.Within && p.Args == nil
}

// Written remembers when keys were written. It has room for many; of two that fall on the same place both count as written when one is, so
// that it never takes a key for older than it is. The zero Written is ready for use, by many at once and without locks.
type Written struct {
	places [places]atomic.Uint32
}

// Note takes down that the key was written at the tick or before.
func (w *Written) Note(key uint64, tick int64) {
	place := &w.places[key%places]
	for {
		was := place.Load()
		if age := int64(int32(uint32(tick) - was)); was != 0 && age <= 0 && age > -ahead || place.CompareAndSwap(was, uint32(tick)|1) {
			return
		}
	}
}

// within reports whether the key may have been written less than window milliseconds before the tick.
func (w *Written) within(key uint64, tick, window int64) bool {
	was := w.places[key%places].Load()
	age := int64(int32(uint32(tick) - was))
	return was != 0 && age < window && age > -ahead
}
