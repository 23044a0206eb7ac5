package capacity

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/redis/go-redis/v9"
)

// turns is in how many parts a step is loaded where there are two routes, which take turns, so that a disturbance favours none.
const turns = 10

// run is one run under way.
type run struct {
	*Config
	client *redis.Client
	routes []*route
	crew   crew
	state  state
	files  *store // nil: none
	made   bool   // the files' directory is there
	bar    progress
	report *Report
}

// Run fills, measures and cleans up. Where it ends early there is a report too, once there is something to report. What it wrote stays
// only if the run can be resumed.
func Run(ctx context.Context, c Config) (_ *Report, err error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	r := &run{Config: &c, client: c.Pool.Admin(), bar: progress{to: c.Progress, terminal: c.Terminal}}
	routes, stop, err := c.routes()
	if err != nil {
		return nil, err
	}
	defer stop()
	r.routes = routes
	r.crew = crew{make: r.sessions, clients: c.Clients, pipeline: c.Pipeline}
	if err := r.begin(ctx); err != nil {
		return nil, err
	}
	r.report = r.newReport()
	defer func() { err = errors.Join(err, r.end(context.WithoutCancel(ctx), err)) }()
	began := time.Now()
	for i := len(r.state.Done); i < len(c.Steps); i++ {
		if err := r.step(ctx, i); err != nil {
			return r.partly(), err
		}
	}
	r.report.fit(c.Budget)
	r.report.Seconds = time.Since(began).Seconds()
	if c.ExpireWithin > 0 {
		if err := r.expire(ctx); err != nil {
			return r.partly(), err
		}
	}
	return r.report, nil
}

func (r *run) sessions() *sessions { return newSessions(r.Template, r.Namespace, r.state.Seed) }

// partly is the report so far, nil if there is nothing to report.
func (r *run) partly() *Report {
	if len(r.report.Steps) == 0 {
		return nil
	}
	r.report.Complete = false
	r.report.fit(r.Budget)
	return r.report
}

// begin checks that the run may take place, and where it goes on.
func (r *run) begin(ctx context.Context) (err error) {
	resumed, err := r.state.load(r.Config)
	if err != nil {
		return err
	}
	if resumed {
		return r.goOn(ctx)
	}
	if r.Files != "" {
		if err := r.fits(); err != nil {
			return err
		}
	}
	r.state = state{Seed: rand.Uint64()}
	r.state.describe(r.Config)
	if r.state.Before, err = r.admit(ctx, r.client); err != nil {
		return err
	}
	if err := r.sameRedis(ctx); err != nil {
		return err
	}
	if r.state.Base, err = settledMemory(ctx, r.client); err != nil {
		return err
	}
	return r.openFiles(false)
}

// goOn makes sure that what the run had written before is still there.
func (r *run) goOn(ctx context.Context) error {
	if n := len(r.state.Done); n > 0 {
		size, err := r.client.DBSize(ctx).Result()
		if want := r.state.Before + r.state.Done[n-1].Keys; err == nil && size < want {
			err = fmt.Errorf("%s says that there are %d keys or more, but there are %d; begin anew without it", r.Resume, want, size)
		}
		if err != nil {
			return err
		}
		r.bar.say("going on after %s sessions", number(int64(r.state.Done[n-1].Sessions)))
	}
	if _, err := r.unlink(ctx, r.state.loaded()); err != nil { // of a step that was not finished
		return err
	}
	return r.openFiles(true)
}

func (r *run) openFiles(again bool) error {
	if r.Files == "" {
		return nil
	}
	r.files = newStore(r.Config, r.state.Seed)
	if err := r.files.open(again); err != nil {
		return err
	}
	r.made = true
	return nil
}

// step brings the sessions to the number of the i-th step, and measures.
func (r *run) step(ctx context.Context, i int) error {
	from, to := 0, r.Steps[i]
	if i > 0 {
		from = r.Steps[i-1]
	}
	r.state.Written = to
	if err := r.state.save(r.Resume); err != nil {
		return err
	}
	s := Step{Sessions: to, Load: map[string]Loaded{}, Read: map[string]Latency{}}
	if err := r.load(ctx, from, to, &s); err != nil {
		return err
	}
	var err error
	if s.Memory, err = settledMemory(ctx, r.client); err != nil {
		return err
	}
	size, err := r.client.DBSize(ctx).Result()
	if err != nil {
		return err
	}
	s.Keys = size - r.state.Before
	if s.Keys > 0 {
		s.BytesPerSession = float64(s.Memory.Used-r.state.Base.Used) / float64(s.Keys)
	}
	for _, route := range r.routes {
		if s.Read[route.name], err = readLatency(ctx, route, r.sessions(), to); err != nil {
			return err
		}
	}
	if r.files != nil {
		if s.Files, err = r.fileStep(ctx, from, to); err != nil {
			return err
		}
	}
	r.state.Done = append(r.state.Done, s)
	r.report.Steps = r.state.Done
	r.bar.say("%s", s.line())
	return r.state.save(r.Resume)
}

// load writes sessions over all routes, in turns.
func (r *run) load(ctx context.Context, from, to int, s *Step) error {
	what := fmt.Sprintf("%s sessions", number(int64(to)))
	r.bar.begin(what, to-from)
	size := to - from
	if len(r.routes) > 1 {
		size = max((size+turns-1)/turns, r.Pipeline)
	}
	latencies := map[string]*hdrhistogram.Histogram{}
	for turn := 0; from < to; turn++ {
		route, until := r.routes[turn%len(r.routes)], min(from+size, to)
		h, took, err := r.crew.do(ctx, route, job{from: from, to: until, each: r.writes(), tick: r.bar.tick})
		if err != nil {
			return err
		}
		if latencies[route.name] == nil {
			latencies[route.name] = newHistogram()
		}
		latencies[route.name].Merge(h)
		l := s.Load[route.name]
		l.Sessions, l.Seconds = l.Sessions+until-from, l.Seconds+took.Seconds()
		s.Load[route.name] = l
		from = until
	}
	for name, l := range s.Load {
		l.PerSecond, l.Batch = float64(l.Sessions)/l.Seconds, latency(latencies[name])
		s.Load[name] = l
	}
	return nil
}

func (r *run) writes() func(dst []byte, s *sessions, i int) ([]byte, int) {
	e := expiry{after: r.TTL.Milliseconds()}
	return func(dst []byte, s *sessions, i int) ([]byte, int) { return s.appendWrite(dst, i, e) }
}

func (r *run) fileStep(ctx context.Context, from, to int) (*FileStep, error) {
	r.bar.begin(fmt.Sprintf("%s files", number(int64(to))), to-from)
	took, err := r.files.create(ctx, r.sessions(), from, to, r.bar.tick)
	if err != nil {
		return nil, fmt.Errorf("files: %w", err)
	}
	f, err := r.files.survey(ctx)
	if err != nil {
		return nil, fmt.Errorf("files: %w", err)
	}
	f.Create = took
	return &f, nil
}

// end removes what the run wrote, unless it can go on there.
func (r *run) end(ctx context.Context, why error) error {
	if why != nil && r.Resume != "" {
		r.bar.say("what was written stays, so that the same command can go on; the state is in %s", r.Resume)
		return nil
	}
	if r.made {
		r.bar.begin("removing files", r.state.Written)
		took, err := r.files.remove(r.bar.tick)
		if err != nil {
			return fmt.Errorf("remove the files: %w", err)
		}
		r.report.RemoveFiles = took
		r.bar.say("the files are removed")
	}
	if err := r.removeSessions(ctx); err != nil {
		return fmt.Errorf("remove the sessions: %w", err)
	}
	return r.state.remove(r.Resume)
}

// unlink removes each session from a number on by its name, so that nothing of anybody else's can be hit.
func (r *run) unlink(ctx context.Context, from int) (took time.Duration, err error) {
	routes := r.routes[:1]
	if r.Proxy != "" { // which may have given the keys other names
		routes = r.routes
	}
	for _, route := range routes {
		r.bar.begin("removing", r.state.Written-from)
		_, each, err := r.crew.do(ctx, route, job{from: from, to: r.state.Written, tick: r.bar.tick,
			each: func(dst []byte, s *sessions, i int) ([]byte, int) { return s.appendRemove(dst, i), 1 }})
		if err != nil {
			return 0, err
		}
		took += each
	}
	return took, nil
}

// removeSessions removes all that the run has written.
func (r *run) removeSessions(ctx context.Context) error {
	took, err := r.unlink(ctx, 0)
	if err != nil {
		return err
	}
	r.report.Remove += took.Seconds()
	after, err := r.client.DBSize(ctx).Result()
	if err != nil {
		return err
	}
	r.report.Before, r.report.After = r.state.Before, after
	r.bar.say("removed; there were %d keys before, and there are %d", r.state.Before, after)
	return nil
}

func (r *run) newReport() *Report {
	rep := &Report{Version: r.Version, CPUs: runtime.NumCPU(), Upstream: r.Pool.Addr(), Template: r.Template.Name, Namespace: r.Namespace,
		TTL: r.TTL.Seconds(), Clients: r.Clients, Pipeline: r.Pipeline, Complete: true, Base: r.state.Base, Before: r.state.Before, Steps: r.state.Done}
	if r.Files != "" {
		rep.Layout = r.Layout
	}
	return rep
}
