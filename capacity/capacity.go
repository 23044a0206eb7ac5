// Package capacity finds out how many sessions fit: it fills a Redis with them in steps, directly and through a proxy, and looks at what
// they take, how fast they go in and how soon Redis answers; the same sessions as files beside it; and what happens when they all expire
// together. What it wrote it removes.
//
// It knows Redis by INFO and by the few commands that write and read a session, which are in session.go. It knows no rules but jitter.
//
//	report, err := capacity.Run(ctx, capacity.Config{Pool: pool, Template: t, Steps: []int{100_000, 200_000}})
//	err = report.Table(os.Stdout)
package capacity

import (
	"errors"
	"fmt"
	"io"
	"time"

	"sessiongate/upstream"
)

// Config says what to fill, with what, and how.
type Config struct {
	Pool      *upstream.Pool // the Redis to fill
	Proxy     string         // URL of a proxy in front of it; empty: one is started within this process; "off": none
	Template  *Template
	Namespace string        // goes before every key
	Yes       bool          // fill a Redis that holds other keys, as long as there are none in the namespace
	Steps     []int         // how many sessions there are after each step, growing
	TTL       time.Duration // of each session, in whole milliseconds; 0: they don't expire
	Clients   int           // connections that load at once
	Pipeline  int           // sessions that each of them sends before it reads the replies
	Budget    int64         // bytes of a server's memory, for the estimate of how many sessions fit

	Files  string // directory for the same sessions as files; empty: none are made
	Layout string // of these: LayoutFlat or LayoutSharded

	ExpireWithin time.Duration // after the steps, let as many sessions expire together so long after they were loaded; 0: no
	Jitter       int           // percent of ExpireWithin by which they are spread the second time

	Resume  string // file that keeps the state, so that an interrupted run goes on where it was; what it wrote then stays. Empty: none
	Version string // of the program, for the report

	Progress io.Writer // where to tell how far it has come
	Terminal bool      // it is one, so a bar is drawn
}

// The layouts of files: all in one directory, or in one for each pair of characters that ids begin with, as Odoo has them.
const (
	LayoutFlat    = "flat"
	LayoutSharded = "sharded"
)

// probeRate is how many requests a second the probe sends: few enough for any Redis.
const probeRate = 1000

// probeFor is how long the probe asks after each step, over each route.
const probeFor = 2 * time.Second

// mostSessions is more than anyone needs, so that a slip of the keyboard is not a run of a day.
const mostSessions = 1_000_000_000

func (c *Config) check() error {
	switch {
	case len(c.Steps) == 0:
		return errors.New("there are no steps; write them as 100k,200k,1M")
	case c.Clients < 1 || c.Clients > 10_000:
		return fmt.Errorf("%d clients are not possible; write a number from 1 to 10000", c.Clients)
	case c.Pipeline < 1 || c.Pipeline > 10_000:
		return fmt.Errorf("a pipeline of %d is not possible; write a number from 1 to 10000", c.Pipeline)
	case c.Files != "" && c.Layout != LayoutFlat && c.Layout != LayoutSharded:
		return fmt.Errorf("%q is no layout of files; write %s or %s", c.Layout, LayoutFlat, LayoutSharded)
	case c.Jitter < 0 || c.Jitter > 50:
		return fmt.Errorf("a jitter of %d%% is not possible; write a number from 0 to 50", c.Jitter)
	case c.TTL < 0 || c.ExpireWithin < 0:
		return errors.New("a time is below zero")
	case c.ExpireWithin > 0 && c.ExpireWithin < time.Second:
		return fmt.Errorf("sessions can't expire within %s; write a second or more", c.ExpireWithin)
	case c.ExpireWithin > 0 && c.Resume != "":
		return errors.New("a run that lets sessions expire can't be resumed; run the steps first, and the expiry by itself with one step")
	}
	last := 0
	for _, n := range c.Steps {
		if n <= last {
			return fmt.Errorf("step %d does not come after %d; write growing numbers, as 100k,200k,1M", n, last)
		}
		last = n
	}
	if last > mostSessions {
		return fmt.Errorf("%d sessions are above %d, the most that are made", last, mostSessions)
	}
	return nil
}

// total is how many sessions there are at the end.
func (c *Config) total() int { return c.Steps[len(c.Steps)-1] }
