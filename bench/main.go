// Command bench measures what Sessiongate costs, on this machine, in one run: redis-benchmark against Redis itself,
// twemproxy, and Sessiongate without rules, with rules, and with its plain go-redis upstream. Run it from inside the
// repository:
//
//	go run ./bench              # compare the proxies
//	go run ./bench -followups   # what each kind of rewriting and follow-up costs
//	go run ./bench -cluster     # against three masters of a Redis Cluster, and redis-benchmark --cluster
//	go run ./bench -overhead    # what metrics and tracing cost, on and off in pairs
//	go run ./bench -full        # all sections of docs/performance.md: about 25 minutes, -quick 3
//
// It installs what is missing with apt-get, builds Sessiongate, starts every server on a free loopback port, and ends
// them all when it ends. Markdown goes to standard output, progress to standard error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	rounds, requests, keys, valueBytes int
	threads, connections               int
	only                               *regexp.Regexp
	rules, json                        string // paths
	targets                            []string
	followUps, cluster, overhead       bool
	full, quick                        bool
	before                             string        // path of an earlier build
	write                              string        // the page whose sections are to be replaced
	binary                             string        // Sessiongate, built; empty: it is still to be
	closed                             time.Duration // of runs of our own generator, in a closed loop; 0: redis-benchmark is to run
	secure                             bool          // every server listens with TLS, too
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	o, err := parseFlags(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		do := bench
		if o.full {
			do = full
		}
		err = do(ctx, o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseFlags(args []string) (options, error) {
	var o options
	var only, targets string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&o.rounds, "rounds", 3, "`rounds`, each with one run on every target")
	f.IntVar(&o.requests, "n", 200_000, fmt.Sprintf("`commands` per run; %d times as many with a pipeline", pipelinedFactor))
	f.IntVar(&o.keys, "keys", 100_000, "`number` of keys")
	f.IntVar(&o.valueBytes, "size", 200, "`bytes` in a value")
	f.StringVar(&only, "only", "", "measure workloads that match this `regexp`, such as 'GET, 50 clients, pipeline 16'")
	f.StringVar(&targets, "targets", "", "`names` with commas between, of "+strings.Join(targetNames(), ", ")+
		" (default: all that fit the mode)")
	f.StringVar(&o.rules, "rules", "", "YAML `file` with namespace and rules for "+withRules+" and "+goRedis)
	f.IntVar(&o.threads, "threads", 0, "`threads` of Sessiongate (default: its own choice)")
	f.IntVar(&o.connections, "connections", 1, "`connections` of twemproxy to Redis")
	f.StringVar(&o.json, "json", "", "write every run to this `file`")
	f.BoolVar(&o.followUps, "followups", false, "measure the cost of what rules add to each command")
	f.BoolVar(&o.cluster, "cluster", false, fmt.Sprintf("measure against a Redis Cluster of %d masters", clusterNodes))
	f.BoolVar(&o.overhead, "overhead", false, "measure the cost of metrics and of tracing")
	f.BoolVar(&o.full, "full", false, "measure the sections of docs/performance.md that -only matches, of "+strings.Join(sectionNames(), ", "))
	f.BoolVar(&o.quick, "quick", false, "with -full: shorter runs, for trying out")
	f.StringVar(&o.before, "before", "", "with -full: an earlier build, a `file`, which section before compares with this one")
	f.StringVar(&o.write, "write", "", "with -full: put what was measured into its place in this `page`")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if !o.full && (o.quick || o.write != "" || o.before != "") {
		return o, errors.New("-quick, -write and -before go with -full")
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if min(o.rounds, o.requests, o.keys, o.valueBytes, o.connections) < 1 || o.threads < 0 {
		return o, errors.New("a number must be positive")
	}
	o.targets = o.defaultTargets()
	if targets != "" {
		o.targets = strings.Split(targets, ",")
	}
	for _, name := range o.targets {
		if strings.HasSuffix(name, "-cluster") != o.cluster {
			return o, fmt.Errorf("target %s is none of this mode's", name)
		}
		if !slices.Contains(targetNames(), name) {
			return o, fmt.Errorf("no target %q; there are %s", name, strings.Join(targetNames(), ", "))
		}
	}
	var err error
	o.only, err = regexp.Compile(only)
	return o, err
}

func (o options) defaultTargets() []string {
	if o.cluster {
		return []string{directCluster, gateCluster}
	}
	if o.overhead {
		return []string{withRules, again, noMetrics, unmeasured, traced}
	}
	if o.followUps {
		return []string{direct, transparent, withRules, idle, idleEach, lifetime}
	}
	return []string{direct, twemproxy, transparent, withRules, goRedis}
}

// workloads are those of the mode that -only matches, and the targets to compare the others with.
func (o options) workloads() (workloads []workload, baselines []string) {
	workloads, baselines = proxyWorkloads(o.valueBytes), []string{direct, twemproxy}
	if o.followUps {
		workloads, baselines = followUpWorkloads(o.valueBytes), []string{direct, transparent}
	}
	if o.cluster {
		workloads, baselines = clusterWorkloads(o.valueBytes), []string{directCluster}
	}
	return slices.DeleteFunc(workloads, func(w workload) bool { return !o.only.MatchString(w.String()) }), baselines
}

// bench does it all. When it fails it leaves the servers' configurations and logs, and says where.
func bench(ctx context.Context, o options, out io.Writer) (err error) {
	workloads, baselines := o.workloads()
	if len(workloads) == 0 {
		return fmt.Errorf("-only %s matches no workload", o.only)
	}
	if err := install(ctx, programs(o.targets)...); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sessiongate-bench-")
	if err != nil {
		return err
	}
	defer func() { err = tidy(ctx, dir, err) }()

	targets, stop, err := startAll(ctx, dir, o)
	defer stop()
	if err != nil {
		return err
	}
	r := runner{targets: targets, rounds: o.rounds, requests: o.requests, keys: o.keys}
	var rows []row
	for _, w := range workloads {
		measured, err := r.run(ctx, w)
		if err != nil {
			return err
		}
		rows = append(rows, measured...)
	}

	fmt.Fprintf(out, "%s.\nMedian of %d rounds; %d keys, values of %d bytes.\n", machine(), o.rounds, o.keys, o.valueBytes)
	if o.overhead {
		reportOverheads(out, rows)
	} else {
		report(out, rows, baselines)
	}
	if o.json != "" {
		return writeJSON(o.json, machine(), rows)
	}
	return nil
}

// tidy removes dir, unless something has failed: then it says where to look.
func tidy(ctx context.Context, dir string, err error) error {
	if err == nil || ctx.Err() != nil {
		os.RemoveAll(dir)
		return err
	}
	return fmt.Errorf("%w\nconfigurations and logs are in %s", err, dir)
}

// startAll builds Sessiongate, if that is still to be done, and starts Redis and the targets. The function it returns stops what was started, and
// is never nil.
func startAll(ctx context.Context, dir string, o options) (targets []target, stop func(), err error) {
	stop = func() {}
	p := proxies{dir: dir, rules: defaultRules, threads: o.threads, connections: o.connections, sessiongate: o.binary, before: o.before}
	if o.secure {
		if p.cert, err = makeCertificate(dir); err != nil {
			return nil, stop, err
		}
	}
	if o.rules != "" {
		text, err := os.ReadFile(o.rules)
		if err != nil {
			return nil, stop, err
		}
		p.rules = string(text)
	}
	if p.sessiongate == "" && slices.ContainsFunc(o.targets, func(name string) bool { return strings.HasPrefix(name, transparent) }) {
		if p.sessiongate, err = build(ctx, dir); err != nil {
			return nil, stop, err
		}
	}
	var servers []*process
	stop = func() {
		for _, t := range targets {
			if t.proxy != nil {
				t.proxy.stop()
			}
		}
		for _, server := range servers {
			server.stop()
		}
	}
	if o.cluster {
		p.nodes, err = startCluster(ctx, dir)
		servers = p.nodes
	} else if p.redis, err = startRedis(ctx, p); err == nil {
		servers = []*process{p.redis}
	}
	if err != nil {
		return nil, stop, err
	}
	if slices.Contains(o.targets, traced) {
		var stopCollector func()
		if p.collector, stopCollector, err = startCollector(); err != nil {
			return nil, stop, err
		}
		stopAll := stop
		stop = func() { stopAll(); stopCollector() }
	}
	targets, err = p.start(ctx, o.targets)
	return targets, stop, err
}

// build builds Sessiongate as a release is built, and returns the path of the binary.
func build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "sessiongate")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "sessiongate")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build Sessiongate: %w", err)
	}
	return binary, nil
}
