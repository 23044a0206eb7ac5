package capacity

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Loaded is how sessions went in over one route in one step.
type Loaded struct {
	Sessions  int     `json:"sessions"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_second"`
	Batch     Latency `json:"batch"` // of a pipeline, from its first byte to its last reply
}

// Latency is in milliseconds.
type Latency struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`
}

// newHistogram is of microseconds, from one to a minute, with three digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, patience.Microseconds(), 3) }

func latency(h *hdrhistogram.Histogram) Latency {
	ms := func(us int64) float64 { return float64(us) / 1000 }
	return Latency{Count: h.TotalCount(), P50: ms(h.ValueAtPercentile(50)), P99: ms(h.ValueAtPercentile(99)),
		P999: ms(h.ValueAtPercentile(99.9)), Max: ms(h.Max())}
}

// record takes down a time, of which what is above the histogram's range counts as its longest.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d.Microseconds(), 1), h.HighestTrackableValue()))
}

// job is what is done with the sessions from one number up to another.
type job struct {
	from, to int
	each     func(dst []byte, s *sessions, i int) ([]byte, int) // appends commands and says how many lines their replies are
	tick     func(n int)                                        // n more are done; may be called by many at once
}

// crew does jobs, with several connections at once.
type crew struct {
	make     func() *sessions
	clients  int
	pipeline int
}

// do does the job over the route. All that its goroutines do is over when it returns.
func (c *crew) do(ctx context.Context, r *route, j job) (*hdrhistogram.Histogram, time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	next.Store(int64(j.from))
	all, began := newHistogram(), time.Now()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range min(c.clients, (j.to-j.from+c.pipeline-1)/c.pipeline) {
		wg.Go(func() {
			h := newHistogram()
			if err := c.work(ctx, r, j, &next, h); err != nil {
				cancel(err)
			}
			mu.Lock()
			defer mu.Unlock()
			all.Merge(h)
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, 0, context.Cause(ctx)
	}
	return all, time.Since(began), nil
}

// work is one connection's part of the job: as many sessions as a pipeline holds, again and again.
func (c *crew) work(ctx context.Context, r *route, j job, next *atomic.Int64, h *hdrhistogram.Histogram) error {
	w, err := r.dial(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	s := c.make()
	var out []byte
	for {
		first := int(next.Add(int64(c.pipeline))) - c.pipeline
		n := min(c.pipeline, j.to-first)
		if n <= 0 {
			return nil
		}
		lines := 0
		out = out[:0]
		for i := first; i < first+n; i++ {
			more := 0
			out, more = j.each(out, s, i)
			lines += more
		}
		sent := time.Now()
		if err := w.lines(out, lines); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%s: %w", r.name, err)
		}
		record(h, time.Since(sent))
		if j.tick != nil {
			j.tick(n)
		}
	}
}
