package capacity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"sessiongate/policy"
)

// ExpiryRun is what a steady probe met while many sessions expired.
type ExpiryRun struct {
	Sessions int     `json:"sessions"`
	Within   float64 `json:"within_s"` // the default that they were given, all at one moment
	Jitter   int     `json:"jitter_percent"`

	Before Latency        `json:"before"` // until the first expires
	During Latency        `json:"during"` // from then on, until none is left
	Gone   float64        `json:"gone_s"` // seconds from the last expiry until Redis has removed all
	Course []ExpirySecond `json:"course"`
}

// ExpirySecond is one second of it.
type ExpirySecond struct {
	Second  int     `json:"second"` // from the last expiry on, negative before
	Left    int64   `json:"left"`   // sessions that Redis has not yet removed, at the second's end
	Latency Latency `json:"latency"`
}

// lead is how long the probe asks before the first session expires.
const lead = 3 * time.Second

// stuck is how long after the last expiry all must be gone.
const stuck = 5 * time.Minute

// expire lets all sessions expire together, then once more with jitter.
func (r *run) expire(ctx context.Context) error {
	if err := r.removeSessions(ctx); err != nil {
		return err
	}
	jitters := []int{0}
	if r.Jitter > 0 {
		jitters = append(jitters, r.Jitter)
	}
	for _, percent := range jitters {
		e := ExpiryRun{Sessions: r.total(), Within: r.ExpireWithin.Seconds(), Jitter: percent}
		if err := r.expireOnce(ctx, &e); err != nil {
			return err
		}
		r.report.Expiry = append(r.report.Expiry, e)
		r.bar.say("%s", e.line())
	}
	return nil
}

// expireOnce loads sessions that end as if all had been created at one moment, under a rule with that default and that jitter.
func (r *run) expireOnce(ctx context.Context, e *ExpiryRun) error {
	rate := r.report.Steps[len(r.report.Steps)-1].Load[direct].PerSecond
	loading := time.Duration(1.5*float64(e.Sessions)/rate*1e9) + time.Second
	spread := r.ExpireWithin * time.Duration(e.Jitter) / 100
	end := time.Now().Add(max(loading-(r.ExpireWithin-spread-lead), 0) + r.ExpireWithin)
	full := r.ExpireWithin.Milliseconds()
	created := end.UnixMilli() - full
	ends := expiry{at: func(id []byte) int64 { return created + policy.Jitter(full, e.Jitter, id) }}
	r.state.Written = e.Sessions + 1 // the last one is the probe's, and does not expire
	if err := r.loadExpiring(ctx, e, ends); err != nil {
		return err
	}
	first := end.Add(-spread)
	if left := time.Until(first); left < lead/2 {
		return fmt.Errorf("loading took longer than was expected, %s before the sessions expire; write a longer time", left)
	} else if err := wait(ctx, left-lead); err != nil {
		return err
	}
	return r.watch(ctx, e, first, end)
}

func (r *run) loadExpiring(ctx context.Context, e *ExpiryRun, ends expiry) error {
	r.bar.begin(fmt.Sprintf("%s sessions, jitter %d%%", number(int64(e.Sessions)), e.Jitter), e.Sessions)
	_, _, err := r.crew.do(ctx, r.routes[0], job{to: e.Sessions + 1, tick: r.bar.tick,
		each: func(dst []byte, s *sessions, i int) ([]byte, int) {
			if i == e.Sessions {
				return s.appendWrite(dst, i, expiry{})
			}
			return s.appendWrite(dst, i, ends)
		}})
	return err
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// watch has the probe ask until no session is left.
func (r *run) watch(ctx context.Context, e *ExpiryRun, first, end time.Time) error {
	var left atomic.Int64
	left.Store(int64(e.Sessions))
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() { defer close(done); r.count(ctx, &left, cancel) }()
	defer func() { cancel(nil); <-done }()

	before, during, second := newHistogram(), newHistogram(), newHistogram()
	now := secondOf(time.Now(), end)
	s := r.sessions()
	var out []byte
	err := probe(ctx, r.routes[0], func(due time.Time) bool { return left.Load() > 0 && due.Before(end.Add(stuck)) },
		func(int) []byte { out = s.appendRead(out[:0], e.Sessions); return out },
		func(at time.Time, took time.Duration) {
			if this := secondOf(at, end); this != now {
				e.Course = append(e.Course, ExpirySecond{now, left.Load(), latency(second)})
				second.Reset()
				now = this
			}
			h := during
			if at.Before(first) {
				h = before
			}
			record(h, took)
			record(second, took)
		})
	if err != nil {
		return err
	}
	if n := left.Load(); n > 0 {
		return fmt.Errorf("%d sessions are still there %s after they expired", n, stuck)
	}
	e.Course = append(e.Course, ExpirySecond{now, 0, latency(second)})
	e.Before, e.During, e.Gone = latency(before), latency(during), time.Since(end).Seconds()
	return nil
}

// secondOf is the second in which at is, of those that are counted from end.
func secondOf(at, end time.Time) int {
	d := at.Sub(end)
	if d < 0 {
		return int((d - time.Second + 1) / time.Second)
	}
	return int(d / time.Second)
}

// countEvery is how often the sessions that are left are counted.
const countEvery = 100 * time.Millisecond

// count keeps left up to date until ctx ends.
func (r *run) count(ctx context.Context, left *atomic.Int64, fail context.CancelCauseFunc) {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		size, err := r.client.DBSize(ctx).Result()
		if err != nil && !errors.Is(err, context.Canceled) {
			fail(err)
			return
		}
		if err == nil {
			left.Store(max(size-r.state.Before-1, 0))
		}
	}
}

func (e *ExpiryRun) line() string {
	return fmt.Sprintf("%s sessions expired after %.0f s, jitter %d%%: p99 %.2f ms before, %.2f ms meanwhile, max %.1f ms; all gone %.1f s after the last",
		number(int64(e.Sessions)), e.Within, e.Jitter, e.Before.P99, e.During.P99, e.During.Max, e.Gone)
}

func (e *ExpiryRun) table(to io.Writer) error {
	fmt.Fprintf(to, "\n%s\n", e.line())
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "second\tleft\tp50 ms\tp99 ms\tmax ms\t")
	for _, s := range e.Course {
		fmt.Fprintf(w, "%+d\t%s\t%.3f\t%.3f\t%.3f\t\n", s.Second, number(s.Left), s.Latency.P50, s.Latency.P99, s.Latency.Max)
	}
	return w.Flush()
}
