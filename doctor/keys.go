package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"sessiongate/audit"
	"sessiongate/proxy"
)

// keys has a sample of the tenant's keys audited.
func (r *Report) keys(ctx context.Context, c Config, t *proxy.Tenant) {
	if c.Sample == 0 || t.Rules == nil {
		return
	}
	at := "tenant " + t.Name
	masters := t.Pool.Masters()
	for _, master := range masters {
		if len(masters) > 1 {
			at = fmt.Sprintf("tenant %s on %s", t.Name, master.Addr())
		}
		report, err := sample(ctx, master.Admin(), c.Sample, audit.Config{Tenant: t.Name, Namespace: string(t.Rules.Prefix()), Policy: t.Rules, Rules: t.Rules.RuleNames(), Top: 1}, t)
		if err != nil {
			r.add(Warn, "keys", at, fmt.Sprintf("can't be looked at: %v", err), fmt.Sprintf("ACL SETUSER %s +scan +pttl +type +object +memory|usage +strlen +pexpiretime", t.Pool.User()))
			continue
		}
		r.judge(at, c.File, t, report)
	}
}

// sample audits until that many keys have been seen, or a few seconds are over.
func sample(ctx context.Context, client *redis.Client, most int, cfg audit.Config, t *proxy.Tenant) (*audit.Report, error) {
	if t.DB >= 0 && t.DB != client.Options().DB {
		opt := *client.Options()
		opt.DB = t.DB
		client = redis.NewClient(&opt)
		defer func() { _ = client.Close() }()
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// Not faster than it takes to see them in the time that there is, so that clients notice nothing.
	cfg.Rate = max(most/int(patience/time.Second-1), 1000)
	cfg.Progress = func(p audit.Progress) {
		if p.Keys >= int64(most) {
			cancel()
		}
	}
	report, err := audit.Run(ctx, client, cfg)
	if report != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		err = nil
	}
	return report, err
}

// judge says what of the keys is not as the rules of the file want it.
func (r *Report) judge(at, file string, t *proxy.Tenant, report *audit.Report) {
	of := fmt.Sprintf("of %s looked at", count(report.Keys, "key"))
	if !report.Complete {
		of = fmt.Sprintf("of %s looked at, some %.0f%% of all,", count(report.Keys, "key"), 100*report.Done)
	}
	if report.Keys == 0 && report.Complete {
		r.add(OK, "keys", at, "there are none yet", "")
		return
	}
	before := len(r.Findings)
	program := "sessiongate audit"
	if file != "" {
		program += " --config " + file
	}
	fix := func(with string) string { return fmt.Sprintf("%s --tenant %s %s", program, t.Name, with) }
	tell := func(level Level, n int64, what, remedy string) {
		if n > 0 {
			r.add(level, "keys", at, fmt.Sprintf("%s: %s %d", of, what, n), remedy)
		}
	}
	for _, rule := range report.Rules {
		named := fmt.Sprintf(" (rule %q)", rule.Rule)
		if rule.Rule == "" {
			if len(t.Rules.RuleNames()) > 0 {
				tell(Note, rule.Keys, "that no rule is for, and that may live for ever:", "sessiongate.yaml: a last rule without keys, for the rest")
			}
			continue
		}
		tell(Warn, rule.Found.NoExpiry, "without an expiry"+named+":", fix("--fix"))
		tell(Warn, rule.Found.AboveMax, "living longer than the maximum"+named+":", fix("--fix"))
		tell(Warn, rule.Found.PastLifetime, "past their lifetime"+named+":", fix("--fix"))
		tell(Note, rule.Found.NoBirth, "without a birth, so that their age is not known"+named+":", fix("--adopt"))
		tell(Note, rule.Found.ValueTooLarge, "larger than allowed"+named+":", "sessiongate.yaml: raise size.value of the rule, or have the application store less")
		tell(Note, rule.Found.KeyTooLong, "with longer names than allowed"+named+":", "sessiongate.yaml: raise size.key of the rule")
		tell(Note, rule.Found.WeakID, "with ids that can be guessed"+named+":", "have the application draw longer ids; key_entropy of the rule refuses these")
	}
	if len(t.Rules.RuleNames()) == 0 {
		tell(Warn, report.TTL.Never, "without an expiry, and there are no rules:", "sessiongate.yaml: rules: [{expiry: {default: 30m, max: 12h}}]")
	}
	if len(r.Findings) == before {
		r.add(OK, "keys", at, of+" all are as the rules want them", "")
	}
}
