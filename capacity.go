package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"sessiongate/capacity"
	"sessiongate/config"
	"sessiongate/policy"
)

// capacityFlags is what the command line says of a capacity run.
type capacityFlags struct {
	steps, template, ttl, budget, within, jitter string
	out, csv, json                               string
	capacity                                     capacity.Config
}

func (p *program) capacityCommand() *cobra.Command {
	var f capacityFlags
	cmd := &cobra.Command{
		Use:   "capacity",
		Short: "Find out how many sessions fit into a Redis, and how fast",
		Long: "Fill an empty Redis with sessions, in steps, directly and through a proxy in turns; measure memory, throughput and\n" +
			"latency at each step, fit a line, and say how many sessions fit into a server. With --files the same sessions are\n" +
			"written as files too, and with --expire-within they are left to expire together. What was written is removed in the\n" +
			"end, at Ctrl-C too, unless --resume keeps it for the next time.\n\n" +
			"A Redis that holds keys is filled only with --namespace and --yes. Best is one of its own: redis-server --port 6399 --save ''\n\n" +
			"Templates that are built in: " + strings.Join(capacity.Templates(), ", ") + ". README says how to write one.",
		Example: "  sessiongate capacity --upstream redis://127.0.0.1:6399 --steps 100k,500k,1M --out report\n" +
			"  sessiongate capacity --upstream redis://127.0.0.1:6399 --template odoo --files /var/tmp --files-layout sharded\n" +
			"  sessiongate capacity --upstream redis://127.0.0.1:6399 --steps 1M --expire-within 60s --jitter 10%",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.capacity(cmd.Context(), f) },
	}
	flags, c := cmd.Flags(), &f.capacity
	flags.StringVar(&f.steps, "steps", "100k,200k,500k,1M", "`numbers` of sessions at which to measure, growing; k and M stand for thousands and millions")
	flags.StringVar(&f.template, "template", "seed", "`name` or file of what a session looks like")
	flags.StringVar(&f.ttl, "ttl", "7d", "expiry of the sessions; 0: none")
	flags.StringVar(&c.Proxy, "proxy", "", "`url` of a proxy in front of the upstream; left out: one within this process; off: none")
	flags.IntVar(&c.Clients, "clients", 4, "connections that load at once")
	flags.IntVar(&c.Pipeline, "pipeline", 100, "sessions that each sends before it reads the replies")
	flags.StringVar(&c.Namespace, "namespace", "", "`prefix` of all keys")
	flags.BoolVar(&c.Yes, "yes", false, "fill a Redis that holds other keys, outside the namespace")
	flags.StringVar(&f.budget, "budget", "32GB", "`size` of a server's memory, for the estimate of how many sessions fit")
	flags.StringVar(&c.Files, "files", "", "`directory` for the same sessions as files, removed in the end")
	flags.StringVar(&c.Layout, "files-layout", capacity.LayoutFlat, "flat, or sharded: a directory for each two characters that ids begin with, as Odoo has it")
	flags.StringVar(&f.within, "expire-within", "", "`duration` after which to let as many sessions expire together, after the steps")
	flags.StringVar(&f.jitter, "jitter", "10%", "`share` by which they are spread the second time; 0: there is no second time")
	flags.StringVar(&f.out, "out", "", "`directory` for capacity.csv, capacity.json and the plots as PNG and SVG")
	flags.StringVar(&f.csv, "csv", "", "`file` for the table as CSV")
	flags.StringVar(&f.json, "json", "", "`file` for everything as JSON")
	flags.StringVar(&c.Resume, "resume", "", "`file` that keeps the state, so that the same command goes on after an interruption")
	return cmd
}

func (p *program) capacity(ctx context.Context, f capacityFlags) error {
	c, err := f.parse()
	if err != nil {
		return usageError{err}
	}
	cfg, err := config.Load(p.flags, p.environ, os.ReadFile)
	if err != nil {
		return err
	}
	if cfg.Upstream.URL == config.Memory {
		return usageError{errors.New("the store in memory is no Redis to measure; name one with --upstream redis://host:port")}
	}
	if f.out != "" {
		if err := os.MkdirAll(f.out, 0o755); err != nil {
			return err
		}
	}
	pool, closePool, err := openUpstream(cfg.Upstream, zap.NewNop())
	if err != nil {
		return err
	}
	defer closePool()
	c.Pool, c.Version, c.Progress, c.Terminal = pool, version(), p.stderr, terminal(p.stderr)
	report, err := capacity.Run(ctx, c)
	if report != nil {
		if writing := f.write(p.stdout, report); err == nil {
			err = writing
		}
	}
	return err
}

// parse reads what the flags don't read themselves.
func (f capacityFlags) parse() (c capacity.Config, err error) {
	c = f.capacity
	if c.Steps, err = parseSteps(f.steps); err != nil {
		return c, err
	}
	if c.Template, err = capacity.LoadTemplate(f.template); err != nil {
		return c, err
	}
	var budget policy.Size
	if err := budget.UnmarshalText([]byte(f.budget)); err != nil {
		return c, fmt.Errorf("--budget: %w", err)
	}
	c.Budget = int64(budget)
	for _, d := range []struct {
		flag, text string
		to         *time.Duration
	}{{"ttl", f.ttl, &c.TTL}, {"expire-within", f.within, &c.ExpireWithin}} {
		if d.text == "0" || d.text == "" {
			continue
		}
		var duration policy.Duration
		if err := duration.UnmarshalText([]byte(d.text)); err != nil {
			return c, fmt.Errorf("--%s: %w", d.flag, err)
		}
		*d.to = time.Duration(duration)
	}
	var share policy.Share
	if err := share.UnmarshalText([]byte(f.jitter)); err != nil {
		return c, fmt.Errorf("--jitter: %w", err)
	}
	c.Jitter = share.Percent()
	return c, nil
}

// parseSteps reads "100k,1M".
func parseSteps(text string) (steps []int, err error) {
	for _, word := range strings.Split(text, ",") {
		word = strings.TrimSpace(word)
		digits, factor := word, 1
		if n := len(word); n > 0 {
			switch word[n-1] {
			case 'k', 'K':
				digits, factor = word[:n-1], 1000
			case 'm', 'M':
				digits, factor = word[:n-1], 1_000_000
			}
		}
		n, err := strconv.Atoi(digits)
		if err != nil || n < 1 || n > 1_000_000_000 {
			return nil, fmt.Errorf("--steps: %q is no number of sessions; write it as 5000, 100k or 8M", word)
		}
		steps = append(steps, n*factor)
	}
	return steps, nil
}

// write prints the table and writes the files.
func (f capacityFlags) write(stdout io.Writer, report *capacity.Report) error {
	if err := report.Table(stdout); err != nil {
		return err
	}
	type file struct {
		name    string
		content func(io.Writer) error
	}
	files := []file{{f.csv, report.CSV}, {f.json, report.JSON}}
	if f.out != "" {
		files = append(files, file{filepath.Join(f.out, "capacity.csv"), report.CSV}, file{filepath.Join(f.out, "capacity.json"), report.JSON})
		if err := report.Plot(f.out); err != nil {
			return err
		}
	}
	for _, each := range files {
		if each.name == "" {
			continue
		}
		if err := writeTo(each.name, each.content); err != nil {
			return err
		}
	}
	return nil
}

func writeTo(name string, content func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := content(f); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
