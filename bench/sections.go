package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// twoWays are a command that writes a string and one that reads it.
func twoWays(valueBytes int) []workload {
	key := "key:" + keyNumber
	set := []string{"SET", key, strings.Repeat("x", valueBytes)}
	return []workload{{name: "SET", args: set}, {name: "GET", args: []string{"GET", key}, fill: set}}
}

// proxies compares with other proxies, from a command at a time to 100.
func (l *lab) proxies(ctx context.Context) error {
	return l.compare(ctx, l.o, []string{direct, haproxy, twemproxy, transparent, withRules}, []string{direct, twemproxy},
		crossWorkloads([]load{{50, 1}, {50, 16}, {50, 100}}, twoWays(l.o.valueBytes)))
}

// clients shows how cost grows with clients. The generator connects them before anything is counted.
func (l *lab) clients(ctx context.Context) error {
	o := l.o
	o.closed = closedFor
	return l.compare(ctx, o, []string{direct, haproxy, twemproxy, withRules}, []string{direct, twemproxy},
		crossWorkloads([]load{{50, 1}, {500, 1}, {5000, 1}}, twoWays(l.o.valueBytes)))
}

// sizes shows how cost grows with values.
func (l *lab) sizes(ctx context.Context) error {
	o := l.o
	dir := l.dir
	rules, err := proxies{dir: dir}.write("rules.yaml", strings.Replace(defaultRules, "64KiB", "2MiB", 1))
	if err != nil {
		return err
	}
	o.rules = rules
	var workloads []workload
	for _, size := range []struct {
		name           string
		bytes          int
		requests, keys int // fewer of large ones
	}{
		{"100 B", 100, o.requests, o.keys},
		{"1 kB", 1000, o.requests, o.keys / 2},
		{"10 kB", 10_000, o.requests / 2, o.keys / 20},
		{"100 kB", 100_000, o.requests / 8, o.keys / 100},
		{"1 MB", 1_000_000, o.requests / 60, o.keys / 1000},
	} {
		for _, w := range crossWorkloads([]load{{50, 1}}, twoWays(size.bytes)) {
			w.name += " " + size.name
			w.requests, w.keys = max(size.requests, 200), max(size.keys, 10)
			workloads = append(workloads, w)
		}
	}
	return l.compare(ctx, o, []string{direct, haproxy, twemproxy, withRules}, []string{direct, twemproxy}, workloads)
}

// tls compares with and without TLS between client and server; a proxy speaks to Redis without.
func (l *lab) tls(ctx context.Context) error {
	o := l.o
	o.secure = true
	return l.compare(ctx, o, []string{direct, withRules, direct + withTLS, haproxy + withTLS, withRules + withTLS}, []string{direct, direct + withTLS},
		crossWorkloads([]load{{50, 1}, {50, 16}}, twoWays(o.valueBytes)))
}

// rules shows what one kind of rule after the other adds.
func (l *lab) rules(ctx context.Context) error {
	commands := twoWays(l.o.valueBytes)
	hash := []string{"HSET", "key:" + keyNumber, "field", strings.Repeat("x", l.o.valueBytes)}
	commands = append(commands, workload{name: "HSET", args: hash}, workload{name: "HGETALL", args: []string{"HGETALL", "key:" + keyNumber}, fill: hash})
	return l.compare(ctx, l.o, []string{direct, transparent, namespace, expiry, idle, idleEach, lifetime}, []string{direct, transparent},
		crossWorkloads([]load{{50, 1}, {50, 16}}, commands))
}

// commands shows what each way costs in which an expiry is seen to.
func (l *lab) commands(ctx context.Context) error {
	workloads := followUpWorkloads(l.o.valueBytes)
	return l.compare(ctx, l.o, []string{direct, transparent, withRules}, []string{direct, transparent}, workloads[:len(workloads)/2])
}

// matching is the Go benchmark of what rules cost to be found, and to be applied. Each round runs all of it once.
func (l *lab) matching(ctx context.Context) error {
	n, each := 15, "200ms"
	if l.o.quick {
		n, each = 3, "50ms"
	}
	binary := filepath.Join(l.dir, "policy.test")
	if out, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, "sessiongate/policy").CombinedOutput(); err != nil {
		return fmt.Errorf("build the Go benchmark: %w: %s", err, out)
	}
	var all strings.Builder
	for range n {
		cmd := exec.CommandContext(ctx, binary, "-test.run", "^$", "-test.bench", "^Benchmark(Decide_Rules|Index)$", "-test.benchmem", "-test.benchtime", each)
		cmd.Dir = l.dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("the Go benchmark: %w: %s", err, out)
		}
		all.Write(out)
	}
	table, err := goBenchmarks(all.String())
	fmt.Fprintf(&l.out, "Median of %s of `go test -bench '^Benchmark(Decide_Rules|Index)$' ./policy`.\n\n%s", rounds(n), table)
	return err
}

// many shows how cost grows with rules, on the whole way of a command.
func (l *lab) many(ctx context.Context) error {
	return l.compare(ctx, l.o, []string{direct, rules1, rules10, rules1000}, []string{direct, rules1},
		crossWorkloads([]load{{50, 1}, {50, 16}}, twoWays(l.o.valueBytes)))
}

// tenants shows how cost grows with tenants, which have a user, a namespace and a rule each. The clients are the same number, and log in before
// anything is counted.
func (l *lab) tenants(ctx context.Context) error {
	o := l.o
	o.closed = closedFor
	return l.compare(ctx, o, []string{tenants1, tenants10, tenants1000}, []string{tenants1}, crossWorkloads([]load{{1000, 1}}, twoWays(o.valueBytes)))
}

// before compares with an earlier build, given by its path, under what its changes are about.
func (l *lab) before(ctx context.Context) error {
	o := l.o
	o.secure = true
	targets, baselines := []string{before, withRules}, []string{before}
	if err := l.compare(ctx, o, targets, baselines, crossWorkloads([]load{{50, 1}, {50, 16}}, twoWays(o.valueBytes))); err != nil {
		return err
	}
	fmt.Fprintln(&l.out, "\nOver TLS:")
	if err := l.compare(ctx, o, []string{before + withTLS, withRules + withTLS}, []string{before + withTLS}, crossWorkloads([]load{{50, 1}}, twoWays(o.valueBytes))); err != nil {
		return err
	}
	o.closed = closedFor
	fmt.Fprintln(&l.out)
	return l.compare(ctx, o, targets, baselines, crossWorkloads([]load{{500, 1}, {5000, 1}}, twoWays(o.valueBytes)))
}

// cluster compares with redis-benchmark's own knowledge of a cluster.
func (l *lab) cluster(ctx context.Context) error {
	o := l.o
	o.cluster = true
	return l.compare(ctx, o, []string{directCluster, gateCluster}, []string{directCluster}, clusterWorkloads(o.valueBytes))
}
