package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"sessiongate/bench/loadgen"
)

// rates are what is asked of each target: shares of the slowest one's maximum, or of that of a Sessiongate with rules, which is held against
// Redis there.
var rates = []struct {
	share float64
	own   bool
}{{0.1, false}, {0.25, true}, {0.5, true}, {0.75, false}}

// tail is the latencies of one target at one rate.
type tail struct {
	target     string
	all, late  *hdrhistogram.Histogram // of all rounds, in nanoseconds
	p50s, p99s []float64               // of each round, in milliseconds
	got        float64                 // commands per second, in the mean of the rounds
	busy       float64                 // share of the servers' cores that proxy and Redis used, in the mean of the rounds
}

// latency measures the tails at fixed rates, with a schedule made beforehand. The rates are shares of maxima with the same clients, measured in a closed
// loop just before.
func (l *lab) latency(ctx context.Context) error {
	o := l.o
	o.targets = []string{direct, haproxy, twemproxy, withRules}
	targets, stop, err := startAll(ctx, l.dir, o)
	defer stop()
	if err != nil {
		return err
	}
	get := crossWorkloads([]load{{50, 1}}, twoWays(o.valueBytes))[1]
	if err := (runner{targets: targets, keys: o.keys}).prepare(ctx, get); err != nil {
		return err
	}
	plan := loadgen.Plan{Warm: time.Second, For: 4 * time.Second}
	if o.quick {
		plan = loadgen.Plan{Warm: 200 * time.Millisecond, For: time.Second}
	}
	maxima, err := l.maxima(ctx, targets, get, plan)
	if err != nil {
		return err
	}
	slowest := slices.MinFunc(targets, func(a, b target) int { return cmp.Compare(maxima[a.name], maxima[b.name]) }).name
	for _, rate := range rates {
		of := slowest
		if rate.own {
			of = withRules
		}
		plan.Rate = rate.share * maxima[of]
		tails, err := tailsAt(ctx, targets, get, o, plan)
		if err != nil {
			return err
		}
		fmt.Fprintf(&l.out, "\n### %.0f commands/s, %.0f %% of the maximum of %s\n\n", plan.Rate, 100*rate.share, of)
		reportTails(&l.out, tails)
		if rate.own {
			reportBound(&l.out, tails)
		}
	}
	return nil
}

// maxima are how many commands per second each target answers in a closed loop, in the median of rounds.
func (l *lab) maxima(ctx context.Context, targets []target, w workload, plan loadgen.Plan) (map[string]float64, error) {
	rates := make(map[string][]float64)
	whole := plan.For
	plan.For /= 3
	for range l.o.rounds {
		for _, t := range targets {
			r, err := runLoad(ctx, t, t.options(w, l.o.keys), plan)
			if err != nil {
				return nil, err
			}
			rates[t.name] = append(rates[t.name], perSecond(r))
		}
	}
	maxima := make(map[string]float64)
	fmt.Fprintf(&l.out, "%s, values of %d bytes, %s of %v at each rate. In a closed loop this generator gets", w, l.o.valueBytes, rounds(l.o.rounds), whole)
	for i, t := range targets {
		maxima[t.name] = median(rates[t.name])
		fmt.Fprintf(&l.out, "%s %.0f/s from %s", comma(i), maxima[t.name], t.name)
	}
	fmt.Fprintln(&l.out, ".")
	return maxima, nil
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ","
}

// tailsAt runs the plan on each target, in rounds. Within a round all have the same schedule.
func tailsAt(ctx context.Context, targets []target, w workload, o options, plan loadgen.Plan) ([]*tail, error) {
	tails := make([]*tail, len(targets))
	for i, t := range targets {
		tails[i] = &tail{target: t.name, all: loadgen.NewHistogram(), late: loadgen.NewHistogram()}
	}
	for round := range o.rounds {
		plan.Seed = uint64(round)
		for i := range targets {
			i = (i + round) % len(targets)
			t := targets[i]
			r, busy, err := runWatched(ctx, t, t.options(w, o.keys), plan)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(os.Stderr, "%s at %.0f/s: round %d of %d, %s: p99 %.3f ms\n", w.name, plan.Rate, round+1, o.rounds, t.name, milliseconds(r.Latency, 99))
			tails[i].add(r, o.rounds)
			tails[i].busy += busy / float64(o.rounds)
		}
	}
	return tails, nil
}

func (t *tail) add(r loadgen.Result, rounds int) {
	t.all.Merge(r.Latency)
	t.late.Merge(r.Late)
	t.p50s = append(t.p50s, milliseconds(r.Latency, 50))
	t.p99s = append(t.p99s, milliseconds(r.Latency, 99))
	t.got += perSecond(r) / float64(rounds)
}

// runWatched is runLoad that tells which share of the servers' cores they used.
func runWatched(ctx context.Context, t target, o loadgen.Options, plan loadgen.Plan) (r loadgen.Result, busy float64, err error) {
	before, err := t.cpu()
	if err != nil {
		return r, 0, err
	}
	start := time.Now()
	if r, err = runLoad(ctx, t, o, plan); err != nil {
		return r, 0, err
	}
	took := time.Since(start)
	after, err := t.cpu()
	return r, float64(after.proxy-before.proxy+after.redis-before.redis) / float64(took) / float64(serverCores()), err
}

// runLoad connects the clients of one run, makes the run, and disconnects them.
func runLoad(ctx context.Context, t target, o loadgen.Options, plan loadgen.Plan) (loadgen.Result, error) {
	g, err := loadgen.Dial(ctx, o)
	if err != nil {
		return loadgen.Result{}, fmt.Errorf("%s: %w", t.name, err)
	}
	defer g.Close()
	r, err := generate(ctx, g, plan)
	if err == nil && r.Errors > 0 {
		err = fmt.Errorf("%d replies were errors; log %s%s", r.Errors, t.front().log, t.front().logTail())
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w", t.name, err)
	}
	return r, nil
}

func perSecond(r loadgen.Result) float64 { return float64(r.Latency.TotalCount()) / r.Took.Seconds() }

func milliseconds(h *hdrhistogram.Histogram, percentile float64) float64 {
	return float64(h.ValueAtQuantile(percentile)) / 1e6
}

// reportTails writes a table for one rate.
func reportTails(out io.Writer, tails []*tail) {
	fmt.Fprint(out, "| target | commands/s | p50 ms | p99 ms | p99.9 ms | p99.99 ms | max ms | p50 × redis | p99 × redis | sent late, p99 ms | busy |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	redis := tailOf(tails, direct)
	for _, t := range tails {
		fmt.Fprintf(out, "| %s | %.0f | %.3f | %.3f | %.3f | %.3f | %.3f | %.2f | %.2f | %.3f | %.0f %% |\n", t.target, t.got,
			median(t.p50s), median(t.p99s), milliseconds(t.all, 99.9), milliseconds(t.all, 99.99), float64(t.all.Max())/1e6,
			medianRatio(t.p50s, redis.p50s), medianRatio(t.p99s, redis.p99s), milliseconds(t.late, 99), 100*t.busy)
	}
}

func tailOf(tails []*tail, target string) *tail {
	return tails[slices.IndexFunc(tails, func(t *tail) bool { return t.target == target })]
}

// reportBound holds a Sessiongate with rules against what its p99 is to be at most: 1.25 times that of Redis and 0.2 ms.
func reportBound(out io.Writer, tails []*tail) {
	rules, redis := tailOf(tails, withRules), tailOf(tails, direct)
	bound := make([]float64, len(redis.p99s))
	for i, p99 := range redis.p99s {
		bound[i] = 1.25*p99 + 0.2
	}
	fmt.Fprintf(out, "\nThe p99 of %s, %.3f ms, is to be at most 1.25 times that of Redis and 0.2 ms, %.3f ms: it is %.2f of that, in the median of rounds.\n",
		withRules, median(rules.p99s), median(bound), medianRatio(rules.p99s, bound))
}
