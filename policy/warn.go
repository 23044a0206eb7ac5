package policy

import (
	"fmt"
	"regexp"
	"strconv"
)

// Warn reports what can be meant, but hardly is. It is for a Config that Check finds nothing in.
func (c Config) Warn(report func(Problem)) {
	for i := range c.Rules {
		in := func(p Problem) {
			p.Path = fmt.Sprintf("rules[%d]", i) + dotted(p.Path)
			report(p)
		}
		c.Rules[i].weakenedPreset(in)
		c.shadowedPatterns(i, in)
		c.prolongedLocks(i, in)
		if access := c.Rules[i].Commands; access != nil {
			access.warn(in)
		}
		if rule := c.Rules[i].withPreset(); rule.KeyEntropy != 0 && len(rule.Keys) == 0 {
			in(Problem{Path: "key_entropy", Text: "goes by whole names, so that what they all begin with counts as if it were drawn by lot",
				Hint: `say where the id stands, as in keys: ["sess:*"]`})
		}
	}
}

// shadowedPatterns warns of patterns whose keys an earlier rule takes, while the rule has others. A rule that has no others is an error.
func (c Config) shadowedPatterns(i int, report func(Problem)) {
	globs := c.Rules[i].globs()
	for k := range globs {
		if j := coveredBy(c.Rules[:i], &globs[k]); j >= 0 {
			report(Problem{Path: fmt.Sprintf("keys[%d]", k), Value: c.Rules[i].Keys[k],
				Text: fmt.Sprintf("%q never matches: rules[%d] (%s) comes first and takes these keys", c.Rules[i].Keys[k], j, strconv.Quote(c.Rules[j].DisplayName())),
				Hint: "remove the pattern, or put this rule before that one"})
		}
	}
}

// lockish is what names of locks look like: phpredis' abc_LOCK, ASP.NET's {app}_WriteLock, lock:abc; but not clock or blocked.
var lockish = regexp.MustCompile(`(?:^|[^A-Za-z])(?i:locks?|mutex(?:es)?|semaphores?)(?:[^a-z]|$)|[a-z](?:Lock|Mutex|Semaphore)s?(?:[^a-z]|$)`)

func (c *RuleConfig) lockish() bool {
	for _, pattern := range c.Keys {
		if lockish.MatchString(pattern) {
			return true
		}
	}
	return false
}

// prolongedLocks warns where a minimum makes locks live longer than who holds them asked for: everyone else waits then.
func (c Config) prolongedLocks(i int, report func(Problem)) {
	rule := &c.Rules[i]
	if rule.Expiry == nil || rule.Expiry.Min == 0 {
		return
	}
	warn := func(what string, hint string) {
		report(Problem{Path: "expiry.min", Value: rule.Expiry.Min.String(),
			Text: fmt.Sprintf("prolongs %s to %s, however soon they should fall", what, rule.Expiry.Min), Hint: hint})
	}
	for _, pattern := range rule.Keys {
		if lockish.MatchString(pattern) {
			warn(fmt.Sprintf("the locks that %q matches", pattern), "give locks a rule of their own without min")
			return
		}
	}
	for j := range c.Rules[:i] {
		if c.Rules[j].lockish() {
			return // whoever has such a rule has thought of locks
		}
	}
	if lock := rule.someLock(); lock != "" {
		warn(fmt.Sprintf("locks such as %q", lock), `if there are any, put a rule before this one: {keys: ["*_LOCK"], expiry: {}}`)
	}
}

// someLock is the name of a lock that the rule would take, as phpredis forms them; "" if it takes none.
func (c *RuleConfig) someLock() string {
	if len(c.Keys) == 0 {
		return "sess:1_LOCK"
	}
	globs := c.globs()
	for k := range globs {
		if lock := globs[k].literal + "1_LOCK"; globs[k].match([]byte(lock)) {
			return lock
		}
	}
	return ""
}
