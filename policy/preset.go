package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// preset is what a standard asks of sessions. Where it asks for nothing, the value is zero.
type preset struct {
	name     string
	idle     Duration
	lifetime Duration
	bits     Bits
	clauses  [3]string // that ask for these, in this order
}

const (
	minute  = Duration(time.Minute)
	hour    = Duration(time.Hour)
	owasp   = "OWASP Session Management Cheat Sheet: "
	asvs4   = "OWASP ASVS 4.0.3, "
	nist3   = "NIST SP 800-63B, "
	nist4   = "NIST SP 800-63B-4, "
	anyAAL3 = nist3 + "4.3.3, and SP 800-63B-4, 2.3.3"
	anyID   = nist3 + "7.1, and SP 800-63B-4, 5.1"
)

// presets are those that there are. Ids of 64 bits are the least that any of the standards takes that say something of ids.
var presets = []preset{
	{"owasp-high", 5 * minute, 8 * hour, 64, [...]string{
		owasp + "2 to 5 minutes for applications of high value", owasp + "4 to 8 hours, an office worker's day", owasp + "64 bits of entropy at least"}},
	{"owasp-low", 30 * minute, 8 * hour, 64, [...]string{
		owasp + "15 to 30 minutes for applications of low risk", owasp + "4 to 8 hours, an office worker's day", owasp + "64 bits of entropy at least"}},
	{"asvs4-l2", 30 * minute, 12 * hour, 64, [...]string{asvs4 + "3.3.2, level 2", asvs4 + "3.3.2, level 2", asvs4 + "3.2.2"}},
	{"asvs4-l3", 15 * minute, 12 * hour, 64, [...]string{asvs4 + "3.3.2, level 3", asvs4 + "3.3.2, level 3", asvs4 + "3.2.2"}},
	{"nist3-aal2", 30 * minute, 12 * hour, 64, [...]string{nist3 + "4.2.3", nist3 + "4.2.3", nist3 + "7.1"}},
	{"nist4-aal2", hour, 24 * hour, 64, [...]string{nist4 + "2.2.3", nist4 + "2.2.3", nist4 + "5.1"}},
	{"nist-aal3", 15 * minute, 12 * hour, 64, [...]string{anyAAL3, anyAAL3, anyID}},
	{"nist-aal1", 0, 30 * 24 * hour, 64, [...]string{"", nist3 + "4.1.3, and SP 800-63B-4, 2.1.3", anyID}},
	{"pci", 15 * minute, 0, 0, [...]string{"PCI DSS 4.0.1, 8.2.8", "", ""}},
}

func findPreset(name string) *preset {
	if i := slices.IndexFunc(presets, func(p preset) bool { return p.name == name }); i >= 0 {
		return &presets[i]
	}
	return nil
}

func (c *RuleConfig) checkPreset(report func(Problem)) {
	if c.Preset == "" || findPreset(c.Preset) != nil {
		return
	}
	var names []string
	for _, p := range presets {
		names = append(names, p.name)
	}
	report(Problem{Path: "preset", Value: c.Preset, Text: fmt.Sprintf("%q is not known", c.Preset),
		Hint: "write one of " + strings.Join(names, ", ")})
}

// WithPresets is the configuration with the values of presets where rules have none of their own. It shares no rule with c.
func (c Config) WithPresets() Config {
	c.Rules = slices.Clone(c.Rules)
	for i := range c.Rules {
		c.Rules[i] = c.Rules[i].withPreset()
	}
	return c
}

func (c RuleConfig) withPreset() RuleConfig {
	p := findPreset(c.Preset)
	if p == nil {
		return c
	}
	var e ExpiryConfig
	if c.Expiry != nil {
		e = *c.Expiry
	}
	if e.Idle == 0 {
		e.Idle = p.idle
	}
	if e.Lifetime == 0 {
		e.Lifetime = p.lifetime
	}
	if c.KeyEntropy == 0 {
		c.KeyEntropy = p.bits
	}
	c.Expiry = &e
	return c
}

// PresetValue is one value of a rule's preset.
type PresetValue struct {
	Setting string `json:"setting"`        // "expiry.idle", "expiry.lifetime" or "key_entropy"
	Value   string `json:"value"`          // what the preset says
	Clause  string `json:"clause"`         // of the standard that asks for it
	Own     string `json:"rule,omitempty"` // what the rule itself says instead
	Weaker  bool   `json:"weaker,omitempty"`
}

// String is a sentence on the value.
func (v PresetValue) String() string {
	switch {
	case v.Own == "":
		return fmt.Sprintf("%s %s: %s", v.Setting, v.Value, v.Clause)
	case v.Weaker:
		return fmt.Sprintf("%s %s: weaker than %s, %s", v.Setting, v.Own, v.Value, v.Clause)
	}
	return fmt.Sprintf("%s %s: as strict as %s or stricter, %s", v.Setting, v.Own, v.Value, v.Clause)
}

// PresetValues are what the rule's preset asks for; none, if it has no preset.
func (c *RuleConfig) PresetValues() (list []PresetValue) {
	p := findPreset(c.Preset)
	if p == nil {
		return nil
	}
	var e ExpiryConfig
	if c.Expiry != nil {
		e = *c.Expiry
	}
	for i, d := range []struct {
		setting   string
		own, want Duration
	}{{"expiry.idle", e.Idle, p.idle}, {"expiry.lifetime", e.Lifetime, p.lifetime}} {
		if d.want > 0 {
			v := PresetValue{Setting: d.setting, Value: d.want.String(), Clause: p.clauses[i], Weaker: d.own > d.want}
			if d.own > 0 {
				v.Own = d.own.String()
			}
			list = append(list, v)
		}
	}
	if p.bits > 0 {
		v := PresetValue{Setting: "key_entropy", Value: strconv.Itoa(int(p.bits)), Clause: p.clauses[2], Weaker: c.KeyEntropy > 0 && c.KeyEntropy < p.bits}
		if c.KeyEntropy > 0 {
			v.Own = strconv.Itoa(int(c.KeyEntropy))
		}
		list = append(list, v)
	}
	return list
}

// weakenedPreset warns of values with which a preset no longer holds.
func (c *RuleConfig) weakenedPreset(report func(Problem)) {
	for _, v := range c.PresetValues() {
		if v.Weaker {
			report(Problem{Path: v.Setting, Value: v.Own, Text: fmt.Sprintf("%s is weaker than %s, so that preset %s no longer holds (%s)", v.Own, v.Value, c.Preset, v.Clause),
				Hint: "write " + v.Value + ", or leave it out"})
		}
	}
}
