package upstream

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

const (
	// tellEvery is the least time between two lines on who has which slots: while slots are being moved that changes all the time.
	tellEvery = 10 * time.Second
	// spansTold is how many ranges of slots a line has for each master.
	spansTold = 8
)

// tell logs who has which slots, if others have some than in the last such line. It needs c.mu.
func (c *cluster) tell(t *topology) {
	if c.told == nil {
		c.told = t
	}
	from, to := c.told.moves(t)
	if len(from) == 0 && len(to) == 0 || time.Since(c.toldAt) < tellEvery {
		return
	}
	c.told, c.toldAt = t, time.Now()
	c.pool.log.Info("cluster: slots have moved", zap.String("addr", c.pool.Addr()), zap.Strings("from", from), zap.Strings("to", to), zap.Strings("masters", t.shown()))
}

// moves are the addresses of those that lose slots from t to next, and of those that get some.
func (t *topology) moves(next *topology) (from, to []string) {
	if t == next {
		return nil, nil
	}
	note := func(list []string, p *Pool) []string {
		if p == nil || slices.Contains(list, p.opt.Addr) {
			return list
		}
		return append(list, p.opt.Addr)
	}
	for slot := range t.owner {
		if was, is := t.masterOf(slot), next.masterOf(slot); was != is {
			from, to = note(from, was), note(to, is)
		}
	}
	return from, to
}

// shown has a line for each master with slots.
func (t *topology) shown() (lines []string) {
	spans := t.spans()
	for _, m := range t.masters {
		var text []string
		for i, s := range spans[m] {
			if i == spansTold {
				text = append(text, "...")
				break
			}
			text = append(text, fmt.Sprintf("%d-%d", s[0], s[1]))
		}
		if len(text) > 0 {
			lines = append(lines, m.opt.Addr+" "+strings.Join(text, ","))
		}
	}
	return lines
}
