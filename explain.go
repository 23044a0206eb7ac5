package main

import (
	"fmt"
	"slices"
	"strings"

	"sessiongate/config"
	"sessiongate/policy"
)

// keyRule says which rule a key belongs to, where that is written, and why to none of those before it.
type keyRule struct {
	Key        string    `json:"key,omitempty"`     // as the client names it; empty for a command that names none
	Rule       string    `json:"rule,omitempty"`    // empty: no rule takes it
	Pattern    string    `json:"pattern,omitempty"` // of the rule, which matches; empty: the rule takes every key
	At         string    `json:"at,omitempty"`      // file, line and column of the pattern, or else of the rule
	PassedOver []passing `json:"passed_over,omitempty"`

	Preset string               `json:"preset,omitempty"` // of the rule
	Values []policy.PresetValue `json:"preset_values,omitempty"`
}

// passing is an earlier rule that does not take the key.
type passing struct {
	Rule     string   `json:"rule"`
	Patterns []string `json:"patterns"` // none of which matches
	At       string   `json:"at,omitempty"`
}

// finder finds the rules of keys in one tenant's configuration.
type finder struct {
	rules  []policy.RuleConfig
	places config.Places
	path   string // of the tenant
	policy *policy.Policy
}

// tenantPath is where the tenant of that name stands in the configuration.
func tenantPath(cfg config.Config, name string) string {
	i := slices.IndexFunc(cfg.Everyone(), func(t config.Tenant) bool { return t.Name == name })
	return cfg.TenantPath(i)
}

// all finds the rule of each key, or of a command that names none.
func (f *finder) all(names []string) (list []keyRule) {
	if len(f.rules) == 0 {
		return nil
	}
	if len(names) == 0 {
		return []keyRule{f.found("", f.policy.MatchKeyless())}
	}
	for _, name := range names {
		list = append(list, f.found(name, f.policy.Match([]byte(name))))
	}
	return list
}

func (f *finder) found(name string, m policy.Match) keyRule {
	k := keyRule{Key: name}
	before := len(f.rules)
	if m.Rule >= 0 {
		rule := f.rules[m.Rule]
		k.Rule, k.At, before = rule.DisplayName(), f.at(m.Rule, m.Pattern), m.Rule
		k.Preset, k.Values = rule.Preset, rule.PresetValues()
		if m.Pattern >= 0 {
			k.Pattern = rule.Keys[m.Pattern]
		}
	}
	for i, rule := range f.rules[:before] {
		k.PassedOver = append(k.PassedOver, passing{rule.DisplayName(), rule.Keys, f.at(i, 0)})
	}
	return k
}

// at is where a rule's pattern is written, or the rule itself if it has no patterns.
func (f *finder) at(rule, pattern int) string {
	path := config.Join(f.path, fmt.Sprintf("rules[%d]", rule))
	if pattern >= 0 && len(f.rules[rule].Keys) > 0 {
		path += fmt.Sprintf(".keys[%d]", pattern)
	}
	return f.places.At(path).String()
}

// What a transcript shows of a command with many keys and of a configuration with many rules. JSON has all.
const (
	shownKeys  = 4
	shownRules = 8
)

// keyLines are the lines of a transcript that say how each key found its rule.
func keyLines(keys []keyRule) string {
	var b strings.Builder
	line := func(at, format string, args ...any) {
		if at != "" {
			at += ": "
		}
		fmt.Fprintf(&b, "# %s%s\n", at, fmt.Sprintf(format, args...))
	}
	for i, k := range keys {
		if i == shownKeys {
			line("", "and %s", count(len(keys)-i, "key more", "keys more"))
			break
		}
		switch {
		case k.Rule == "" && k.Key == "":
			line("", "the command names no key, and every rule is for some")
			continue
		case k.Rule == "":
			line("", "no rule takes %q", k.Key)
		case k.Key == "":
			line(k.At, "the command names no key, and rule %s is the first for every key", k.Rule)
			continue
		case k.Pattern == "":
			line(k.At, "rule %s takes every key", k.Rule)
		default:
			line(k.At, "%q matches %q of rule %s", k.Key, k.Pattern, k.Rule)
		}
		for j, passed := range k.PassedOver {
			if j == shownRules {
				line("", "nor the keys of %s", count(len(k.PassedOver)-j, "rule more", "rules more"))
				break
			}
			line(passed.At, "%q does not match %s of rule %s", k.Key, strings.Join(quoteAll(passed.Patterns), " or "), passed.Rule)
		}
		if !slices.ContainsFunc(keys[:i], func(other keyRule) bool { return other.Rule == k.Rule }) {
			for _, value := range k.Values {
				line("", "preset %s: %s", k.Preset, value)
			}
		}
	}
	return b.String()
}

func quoteAll(words []string) []string {
	list := make([]string, len(words))
	for i, word := range words {
		list[i] = fmt.Sprintf("%q", word)
	}
	return list
}
