package capacity

import (
	"context"
	"fmt"
	"time"
)

// probe sends the requests that command makes, one after the other, at a steady rate as long as there is to be more, and has the time of each told. One
// that can't be sent in time, because the one before has no reply yet, counts from when it should have been: so a Redis that stands still
// is seen by as many as it kept waiting.
func probe(ctx context.Context, r *route, more func(due time.Time) bool, command func(n int) []byte, told func(at time.Time, took time.Duration)) error {
	w, err := r.dial(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	const every = time.Second / probeRate
	timer := time.NewTimer(0)
	defer timer.Stop()
	due := time.Now()
	for n := 0; more(due); n++ {
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			due = time.Now() // the timer's lateness is ours
		}
		if err := w.ask(command(n)); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%s: %w", r.name, err)
		}
		told(due, time.Since(due))
		due = due.Add(every)
	}
	return nil
}

// readLatency is that of reads of sessions among the first count.
func readLatency(ctx context.Context, r *route, s *sessions, count int) (Latency, error) {
	h := newHistogram()
	var out []byte
	err := probe(ctx, r, time.Now().Add(probeFor).After, func(n int) []byte {
		out = s.appendRead(out[:0], int(uint64(n)*odd%uint64(count)))
		return out
	}, func(_ time.Time, took time.Duration) { record(h, took) })
	return latency(h), err
}
