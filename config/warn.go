package config

import (
	"fmt"
	"slices"

	"sessiongate/policy"
)

// Places tells where the settings of a Config were written.
type Places struct{ ledger *ledger }

// At is where the setting at path, as in "tenants[1].rules[0].keys[2]", was written, or else the nearest setting around it.
func (p Places) At(path string) Origin { return p.ledger.at(path) }

// TenantPath is the path of the i-th tenant that Everyone returns: "" in the short form.
func (c Config) TenantPath(i int) string {
	if len(c.Tenants) == 0 {
		return ""
	}
	return index("tenants", i)
}

// Join makes the path of a setting inside another.
func Join(path, name string) string { return join(path, name) }

// Warning is something in a configuration that works, but hardly as it was meant. Its text has the form of an Error's.
type Warning Error

// String is the warning's line, "sessiongate.yaml:7:14: warning: rules[0]: ...".
func (w Warning) String() string {
	e := Error(w)
	e.Origin = Origin{}
	if origin := w.Origin.String(); origin != "" {
		return origin + ": warning: " + e.Error()
	}
	return "warning: " + e.Error()
}

// Warnings finds what in c, which Read returned with p and without an error, is hardly as it was meant, in the order of the file.
func (p Places) Warnings(c Config) (all []Warning) {
	for i, t := range c.Everyone() {
		path := c.TenantPath(i)
		warn := func(w policy.Problem) {
			at := join(path, w.Path)
			all = append(all, Warning{Origin: p.At(at), Path: at, Text: w.Text, Hint: w.Hint})
		}
		t.Config.Warn(warn)
		c.unreachable(t.Rules, warn)
		if !c.upstreamOf(t).URL.sharded() {
			withoutReplicas(t.Rules, warn)
		}
	}
	slices.SortStableFunc(all, func(a, b Warning) int { return a.Origin.compare(b.Origin) })
	return all
}

// unreachable warns of sizes that no command can bring: it would end the connection before a rule sees it.
func (c Config) unreachable(rules []policy.RuleConfig, warn func(policy.Problem)) {
	for i, rule := range rules {
		if rule.Size != nil && rule.Size.Value > c.Limits.Bulk {
			warn(policy.Problem{Path: fmt.Sprintf("rules[%d].size.value", i), Value: rule.Size.Value.String(),
				Text: fmt.Sprintf("%s is above limits.bulk, %s: a longer argument ends the connection instead", rule.Size.Value, c.Limits.Bulk),
				Hint: "lower it or raise limits.bulk"})
		}
	}
}

// upstreamOf is where the tenant's sessions are.
func (c Config) upstreamOf(t Tenant) Upstream {
	if t.Upstream != nil {
		return *t.Upstream
	}
	return c.Upstream
}

// withoutReplicas warns of reads from replicas that nobody knows.
func withoutReplicas(rules []policy.RuleConfig, warn func(policy.Problem)) {
	for i, rule := range rules {
		if rule.Reads != nil && rule.Reads.From != "master" {
			warn(policy.Problem{Path: fmt.Sprintf("rules[%d].reads.from", i), Value: rule.Reads.From,
				Text: "does nothing with this upstream: replicas are known in front of a Redis Cluster only", Hint: "remove it"})
		}
	}
}
