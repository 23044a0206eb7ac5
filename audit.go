package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"sessiongate/audit"
	"sessiongate/config"
	"sessiongate/policy"
	"sessiongate/proxy"
)

// The exit codes of audit, for cron. Nothing wrong, or all of it fixed, is exitOK.
const (
	exitFindings = 1
	exitFailed   = 2 // it could not look at everything
)

// auditFlags is what the command line says of an audit.
type auditFlags struct {
	tenant, resume string
	rate, top, db  int
	fix, adopt     bool
	json           bool
}

func (p *program) auditCommand() *cobra.Command {
	var f auditFlags
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Look at all keys of a tenant upstream, and say which are not as its rules want them",
		Long: "Walk through a tenant's keys upstream at a polite rate, and say which are not as its rules want them: without\n" +
			"expiry, above the maximum, without birth, past their lifetime, too large, under weak ids; and which prefixes take\n" +
			"most, how long keys live, how old they are, how long they lie idle, and how large they are.\n\n" +
			"With --fix, keys without expiry get the one that their rule begins with, and those above the maximum or beyond their\n" +
			"lifetime are cut to it. With --adopt, keys under a lifetime that have no birth are born now. Nothing is ever deleted,\n" +
			"and no expiry put off.\n\n" +
			"The exit code is 0 if nothing is wrong or all was fixed, 1 if something is, 2 if not all could be looked at.",
		Example: "  sessiongate audit --config sessiongate.yaml\n" +
			"  sessiongate audit --config sessiongate.yaml --tenant shop --rate 5000 --resume shop.audit --fix --adopt",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.audit(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.tenant, "tenant", "", "`name` of the tenant")
	flags.IntVar(&f.rate, "rate", 1000, "`keys` to look at in a second; 0: as many as Redis answers for")
	flags.BoolVar(&f.fix, "fix", false, "give keys the expiry that their rules want")
	flags.BoolVar(&f.adopt, "adopt", false, "give keys under a lifetime a birth, now, if they have none")
	flags.StringVar(&f.resume, "resume", "", "`file` that keeps the state of a walk which was interrupted, to go on there")
	flags.IntVar(&f.top, "top", 10, "how many prefixes to list")
	flags.IntVar(&f.db, "db", -1, "`number` of the database; left out: the upstream URL's")
	flags.BoolVar(&f.json, "json", false, "print one JSON object")
	return cmd
}

func (p *program) audit(ctx context.Context, f auditFlags) error {
	if f.rate < 0 || f.top < 0 || f.db < -1 {
		return usageError{errors.New("--rate, --top and --db take numbers from 0 on")}
	}
	report, err := p.walk(ctx, f)
	if report != nil {
		if printing := f.print(p.stdout, report); err == nil {
			err = printing
		}
	}
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return err
	case err != nil && report == nil:
		return codedError{err, exitFailed}
	case errors.Is(err, context.Canceled):
		return codedError{fmt.Errorf("interrupted at %.0f%%%s", 100*report.Done, f.goOn()), exitFailed}
	case err != nil:
		return codedError{fmt.Errorf("%w; this was at %.0f%%%s", err, 100*report.Done, f.goOn()), exitFailed}
	case report.Remaining > 0:
		return codedError{nil, exitFindings}
	}
	return nil
}

// goOn says how an interrupted audit is continued.
func (f auditFlags) goOn() string {
	if f.resume == "" {
		return "; with --resume it could go on from there"
	}
	return "; the same command goes on from there"
}

func (f auditFlags) print(to io.Writer, report *audit.Report) error {
	if !f.json {
		return report.Table(to)
	}
	enc := json.NewEncoder(to)
	enc.SetEscapeHTML(false)
	return enc.Encode(report)
}

// walk runs the audit. There is a report once there is something to report.
func (p *program) walk(ctx context.Context, f auditFlags) (*audit.Report, error) {
	cfg, err := config.Load(p.flags, p.environ, os.ReadFile)
	if err != nil {
		return nil, err
	}
	t, err := pick(cfg.Everyone(), f.tenant)
	if err != nil {
		return nil, err
	}
	at := cfg.Upstream
	if t.Upstream != nil {
		at = *t.Upstream
	}
	if at.URL == config.Memory {
		return nil, usageError{errors.New("there is nothing to look at: the store in memory is another process's own; name a Redis with --upstream redis://host:port")}
	}
	rules, err := policy.New(t.Config)
	if err != nil {
		return nil, err
	}
	pool, closePool, err := openUpstream(at, zap.NewNop())
	if err != nil {
		return nil, err
	}
	defer closePool()
	if pool.Sharded() {
		return nil, usageError{errors.New("a Redis Cluster is looked at node by node: name one master after the other with --upstream redis://host:port")}
	}
	client, db := pool.Admin(), pool.DB()
	want := db
	if t.DB.Given {
		want = t.DB.Number
	}
	if f.db >= 0 {
		want = f.db
	}
	if want != db {
		opt := *client.Options()
		opt.DB, db = want, want
		client = redis.NewClient(&opt)
		defer client.Close()
	}
	progress, done := p.progressBar()
	defer done()
	var adopting audit.Adopt
	if f.adopt {
		adopting = adopt
	}
	return audit.Run(ctx, client, audit.Config{
		Tenant: t.Name, Upstream: pool.Addr(), DB: db, Namespace: t.Namespace, Policy: rules, Rules: ruleNames(t.Rules), Digest: digest(t.Rules),
		Rate: f.rate, Top: f.top, Fix: f.fix, Adopt: adopting, Resume: f.resume, Progress: progress,
	})
}

// adopt has a key given a birth as the proxy writes them.
func adopt(ctx context.Context, pipe redis.Pipeliner, key string, l *policy.Limits, longest int64) *redis.Cmd {
	script, args := proxy.Adopt(&l.Life, l.Initial, longest)
	return pipe.Eval(ctx, script, []string{key}, args...)
}

func ruleNames(rules []policy.RuleConfig) []string {
	names := make([]string, len(rules))
	for i := range rules {
		names[i] = rules[i].DisplayName()
	}
	return names
}

// digest tells sets of rules apart.
func digest(rules []policy.RuleConfig) string {
	sum := sha256.New()
	for _, rule := range rules {
		fmt.Fprintln(sum, config.Summary(rule))
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// barWidth is that of the progress bar, in characters, drawEvery how often it is drawn anew.
const (
	barWidth  = 30
	drawEvery = 200 * time.Millisecond
)

// progressBar draws on standard error how far an audit has come, if that is a terminal. done wipes it away.
func (p *program) progressBar() (draw func(audit.Progress), done func()) {
	if !terminal(p.stderr) {
		return nil, func() {}
	}
	began, drawn := time.Now(), time.Time{}
	draw = func(at audit.Progress) {
		if now := time.Now(); now.Sub(drawn) > drawEvery {
			full := int(at.Done * barWidth)
			fmt.Fprintf(p.stderr, "\r[%s%s] %3.0f%%  %d keys, %.0f s ", strings.Repeat("#", full), strings.Repeat(".", barWidth-full),
				100*at.Done, at.Keys, now.Sub(began).Seconds())
			drawn = now
		}
	}
	return draw, func() { fmt.Fprint(p.stderr, "\r\033[K") }
}
