// Package audit looks at all keys of a tenant, as they are upstream, and says which of them the tenant's rules would not
// have let become so: written before the rules, or behind the proxy's back. It can put right what an expiry puts right.
//
// It knows rules and go-redis. It does not know clients, and nothing of it is on a client's way.
//
//	report, err := audit.Run(ctx, client, audit.Config{Policy: rules, Rules: names, Rate: 1000})
//	report.Table(os.Stdout)
//
// Keys come and go while it looks, and SCAN may show one twice: its figures are those of a walk, not of a moment. What it
// holds in memory does not grow with the number of keys.
package audit

import (
	"context"
	"fmt"
	"math/bits"
	"time"

	"github.com/redis/go-redis/v9"

	"sessiongate/policy"
)

// Config is what to look at, and how.
type Config struct {
	Tenant    string // for people
	Upstream  string // its address, without credentials
	DB        int
	Namespace string
	Policy    *policy.Policy
	Rules     []string // the names of the policy's rules, in their order
	Digest    string   // of the rules, so that a walk is not continued under others

	Rate   int    // keys looked at a second; 0: any number
	Top    int    // prefixes listed
	Fix    bool   // give keys the expiry that their rules want
	Adopt  Adopt  // give births to keys that have none; nil: don't
	Resume string // file that holds the state of a walk that was interrupted; empty: none

	Progress func(Progress) // called after every step; may be nil
}

// Adopt appends to the pipeline what gives a key a birth, unless it has one, and an expiry where it has none. What is above longest,
// in milliseconds, is cut to it; 0: nothing is. The reply must be the key's expiry in Unix milliseconds, or 0 if it was left
// as it is. How births are written is not known here.
type Adopt func(ctx context.Context, pipe redis.Pipeliner, key string, limits *policy.Limits, longest int64) *redis.Cmd

// Progress is how far a walk has come.
type Progress struct {
	Done float64 // share of the keyspace, from 0 to 1
	Keys int64   // of the tenant's
}

// saveEvery is how much of a walk may be lost when the process is killed.
const saveEvery = 5 * time.Second

// walk is an audit under way.
type walk struct {
	Config
	client redis.Cmdable
	state  state
	began  time.Time
	saved  time.Time
}

// Run walks through the tenant's keys until it has seen all or ctx ends. After an error, or ctx's end, the report holds what was
// seen so far, if anything was, and the state is in the file Resume, if there is to be one.
func Run(ctx context.Context, client redis.Cmdable, cfg Config) (*Report, error) {
	w := &walk{Config: cfg, client: client, began: time.Now(), saved: time.Now()}
	w.state = newState(cfg)
	if cfg.Resume != "" {
		if err := w.state.load(cfg.Resume); err != nil {
			return nil, err
		}
	}
	err := w.run(ctx)
	if err != nil && w.state.Cursor == 0 {
		return nil, err // nothing was seen
	}
	if saving := w.leave(err == nil); saving != nil && err == nil {
		err = saving
	}
	return w.report(err == nil), err
}

func (w *walk) run(ctx context.Context) error {
	pace := pace{rate: w.Rate}
	pattern := ""
	if w.Namespace != "" {
		pattern = escape(w.Namespace) + "*"
	}
	for {
		count := w.step()
		// A step that has begun is finished, so that what it has mended is counted.
		keys, next, err := w.client.Scan(context.WithoutCancel(ctx), w.state.Cursor, pattern, count).Result()
		if err != nil {
			return fmt.Errorf("walk through the keys: %w", err)
		}
		if err := w.look(context.WithoutCancel(ctx), keys); err != nil {
			return err
		}
		w.state.Cursor = next
		if w.Progress != nil {
			w.Progress(Progress{Done: w.state.done(), Keys: w.state.Sums.Keys})
		}
		if next == 0 {
			return nil
		}
		if w.Resume != "" && time.Since(w.saved) > saveEvery {
			if err := w.state.save(w.Resume); err != nil {
				return err
			}
			w.saved = time.Now()
		}
		if err := pace.wait(ctx, max(len(keys), int(count)/passedOver)); err != nil {
			return err
		}
	}
}

// passedOver is how many keys of others SCAN passes over in the time that one of the tenant's takes to be looked at.
const passedOver = 10

// step is how many keys SCAN goes through at a time: five steps a second, within what keeps Redis from other clients for less
// than a millisecond.
func (w *walk) step() int64 {
	if w.Rate == 0 {
		return 1000
	}
	return int64(min(max(w.Rate/5, 10), 1000))
}

// leave writes the state of a walk that is to be continued, and removes that of one that is complete.
func (w *walk) leave(complete bool) error {
	switch {
	case w.Resume == "":
		return nil
	case complete:
		return w.state.remove(w.Resume)
	}
	return w.state.save(w.Resume)
}

// done is the share of the keyspace that the cursor has behind it: Redis counts cursors up from their highest bit, whatever
// the size of its table.
func (s *state) done() float64 {
	if s.Cursor == 0 && s.Sums.Keys > 0 {
		return 1
	}
	return float64(bits.Reverse64(s.Cursor)) / (1 << 64)
}

// pace keeps to a number of keys a second.
type pace struct {
	rate int
	next time.Time
}

// wait waits until n keys more may be looked at, or ctx ends.
func (p *pace) wait(ctx context.Context, n int) error {
	if p.rate == 0 {
		return ctx.Err()
	}
	if now := time.Now(); p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(time.Duration(n) * time.Second / time.Duration(p.rate))
	timer := time.NewTimer(time.Until(p.next))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// escape makes a pattern that matches the text itself.
func escape(text string) string {
	var b []byte
	for i := range len(text) {
		switch text[i] {
		case '*', '?', '[', ']', '\\', '^':
			b = append(b, '\\')
		}
		b = append(b, text[i])
	}
	return string(b)
}
