package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// runTimeout ends a single run that hangs.
const runTimeout = 5 * time.Minute

// pipelinedFactor makes runs with a pipeline, which are faster, long enough to measure.
const pipelinedFactor = 4

// maxArgument is the longest argument in bytes that Linux lets a program have, and some less; redis-benchmark reads a longer one from its standard input.
const maxArgument = 100 << 10

// sample is what one run of redis-benchmark gave.
type sample struct {
	RPS      float64 // commands per second
	P50, P99 float64 // milliseconds from send to reply, as the client sees it
	ProxyCPU float64 // microseconds of the proxy's CPU per command; 0 without a proxy
	RedisCPU float64 // the same of Redis
}

// row is the runs of one workload on one target, in the order of the rounds.
type row struct {
	workload workload
	target   string
	samples  []sample
}

// runner runs workloads on targets.
type runner struct {
	targets  []target
	rounds   int
	requests int // per run without pipeline
	keys     int
	closed   time.Duration // by the generator of ours, in a closed loop for so long; 0: by redis-benchmark
}

// requestsOf is how many commands a run of the workload has.
func (r runner) requestsOf(w workload) int {
	switch {
	case w.requests > 0:
		return w.requests
	case w.load.pipeline > 1:
		return r.requests * pipelinedFactor
	}
	return r.requests
}

// keysOf is how many keys the workload has.
func (r runner) keysOf(w workload) int {
	if w.keys > 0 {
		return w.keys
	}
	return r.keys
}

// run measures one workload: each round has one run on every target, and each round begins with another target,
// so that a disturbance of the machine, or a place in the order, favours none.
func (r runner) run(ctx context.Context, w workload) ([]row, error) {
	if err := r.prepare(ctx, w); err != nil {
		return nil, err
	}
	rows := make([]row, len(r.targets))
	for round := range r.rounds {
		for i := range r.targets {
			i = (i + round) % len(r.targets)
			t := r.targets[i]
			s, err := r.measure(ctx, t, w)
			if err != nil {
				return nil, t.failed(ctx, w, err)
			}
			fmt.Fprintf(os.Stderr, "%s: round %d of %d, %s: %.0f/s\n", w, round+1, r.rounds, t.name, s.RPS)
			rows[i].workload, rows[i].target = w, t.name
			rows[i].samples = append(rows[i].samples, s)
		}
	}
	return rows, nil
}

// prepare leaves in Redis the workload's keys and nothing else.
func (r runner) prepare(ctx context.Context, w workload) error {
	for _, server := range r.targets[0].servers {
		if err := flush(ctx, server); err != nil {
			return fmt.Errorf("empty Redis: %w", err)
		}
	}
	for _, t := range r.targets {
		fill := fill
		switch {
		case t.cluster:
			fill = fillCluster
		case t.tenants > 0:
			fill = fillTenants
		}
		if err := fill(ctx, t, w, r.keysOf(w)); err != nil {
			return t.failed(ctx, w, fmt.Errorf("fill: %w", err))
		}
	}
	return nil
}

// measure runs redis-benchmark once, and reads the servers' CPU clocks before and after.
func (r runner) measure(ctx context.Context, t target, w workload) (sample, error) {
	if r.closed > 0 {
		return r.closedLoop(ctx, t, w)
	}
	requests := r.requestsOf(w)
	before, err := t.cpu()
	if err != nil {
		return sample{}, err
	}
	s, err := redisBenchmark(ctx, t, t.workload(w), requests, r.keysOf(w))
	if err != nil {
		return sample{}, err
	}
	after, err := t.cpu()
	if err != nil {
		return sample{}, err
	}
	s.ProxyCPU = perCommand(after.proxy-before.proxy, requests)
	s.RedisCPU = perCommand(after.redis-before.redis, requests)
	return s, nil
}

// used is the CPU time that a target's processes have used.
type used struct{ proxy, redis time.Duration }

func (t target) cpu() (u used, err error) {
	if t.proxy != nil {
		if u.proxy, err = cpuTime(t.proxy.cmd.Process.Pid); err != nil {
			return u, err
		}
	}
	for _, server := range t.servers {
		one, err := cpuTime(server.cmd.Process.Pid)
		if err != nil {
			return u, err
		}
		u.redis += one
	}
	return u, nil
}

// failed says where a run failed, and where to look.
func (t target) failed(ctx context.Context, w workload, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	server := t.front()
	return fmt.Errorf("%s on %s: %w; log %s%s", w, t.name, err, server.log, server.logTail())
}

// perCommand is in microseconds.
func perCommand(d time.Duration, commands int) float64 {
	return float64(d.Nanoseconds()) / 1e3 / float64(commands)
}

func redisBenchmark(ctx context.Context, t target, w workload, requests, keys int) (sample, error) {
	addr := t.addr
	var tls []string
	if t.tls != "" {
		addr, tls = t.tls, []string{"--tls", "--cacert", t.ca}
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return sample{}, err
	}
	args := []string{"--csv", "-h", host, "-p", port,
		"-c", strconv.Itoa(w.load.clients), "-P", strconv.Itoa(w.load.pipeline),
		"-n", strconv.Itoa(requests)}

	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "redis-benchmark", append(args, "-r", strconv.Itoa(keys))...)
	if t.cluster {
		cmd = clusterCommand(ctx, t, args, keys)
	}
	cmd.Args = append(cmd.Args, tls...)
	if last := len(w.args) - 1; len(w.args[last]) > maxArgument {
		cmd.Args = append(append(cmd.Args, "-x"), w.args[:last]...)
		cmd.Stdin = strings.NewReader(w.args[last])
	} else {
		cmd.Args = append(cmd.Args, w.args...)
	}
	var stderr bytes.Buffer // holds a warning where a proxy has no CONFIG, which matters only if the run fails
	cmd.Stderr = &stderr
	var out []byte
	err = onLoad(func() error {
		out, err = cmd.Output()
		return err
	})
	if err != nil {
		return sample{}, fmt.Errorf("redis-benchmark: %w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	if i := bytes.Index(out, []byte(`"test",`)); i > 0 {
		out = out[i:] // with --cluster it says before which nodes there are
	}
	s, err := parseCSV(out)
	if err != nil {
		return sample{}, fmt.Errorf("redis-benchmark: %w", err)
	}
	return s, nil
}

// parseCSV reads the output of redis-benchmark --csv for one command.
func parseCSV(out []byte) (sample, error) {
	// Columns of redis-benchmark 6.2 and later: test, rps, then milliseconds: avg, min, p50, p95, p99, max.
	const columns, rps, p50, p99 = 8, 1, 4, 6

	in := csv.NewReader(bytes.NewReader(out))
	in.FieldsPerRecord = columns
	records, err := in.ReadAll()
	if err != nil {
		return sample{}, err
	}
	if len(records) != 2 {
		return sample{}, fmt.Errorf("%d lines of CSV, want a heading and one result: %q", len(records), out)
	}
	var s sample
	var errs []error
	for column, to := range map[int]*float64{rps: &s.RPS, p50: &s.P50, p99: &s.P99} {
		if *to, err = strconv.ParseFloat(records[1][column], 64); err != nil {
			errs = append(errs, err)
		}
	}
	return s, errors.Join(errs...)
}
