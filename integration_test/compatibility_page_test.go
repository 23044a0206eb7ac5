package integration_test

import (
	"fmt"
	"regexp"
	"strings"

	"sessiongate/command"
)

// How docs/compatibility.md shows what TestCompatibility finds.

// add takes a row down.
func (p *page) add(f finding, group string) {
	cells := "| " + f.spec.Name
	for i, v := range f.verdicts {
		kind, cell := v.cell(f.spec, compatibilityModes[i])
		p.count[i][kind]++
		cells += " | " + cell
	}
	p.rows[group] = append(p.rows[group], cells+" |")
}

// cell says in a word, and then in many, what becomes of a command.
func (v *verdict) cell(spec *command.Spec, m mode) (kind, text string) {
	switch {
	case v.refusal != "":
		return "refused", "refused: `" + tidy(v.refusal) + "`"
	case v.Verdict == "refuse":
		return "refused", "refused: `" + tidy(v.Reason) + "`"
	case !v.same:
		return "differs", "differs, and should not"
	case v.Verdict == "local":
		return "local", "answered here" + note(spec, m, v.Reply)
	case len(v.Sent) == 1 && strings.ReplaceAll(v.Sent[0], m.prefix, "") == v.Command:
		return "passes", "passes" + note(spec, m, v.Reply)
	}
	return "rewritten", "rewritten: `" + tidy(strings.Join(v.Sent, "; ")) + "`"
}

// note says what of a command's reply, or of whom it tells, is Sessiongate's.
func note(spec *command.Spec, m mode, reply string) string {
	words, tenants := aside[spec.Name], trueForTenant[spec.Name]
	if words == "" && m.prefix != "" {
		words = tenants
	}
	if m.prefix == "" {
		words = strings.ReplaceAll(words, "the tenant's", "Sessiongate's")
	}
	for part := range strings.SplitSeq(reply, "; ") {
		if strings.HasPrefix(part, "a section") {
			words = strings.TrimPrefix(words+"; "+part, "; ")
		}
	}
	if words == "" || m.prefix == "" && inNamespace[spec.Name] {
		return ""
	}
	return ": " + words
}

// aside says of rows what trueForTenant doesn't, or not well enough for either mode.
var aside = map[string]string{
	"CLIENT ID":       "the id is Sessiongate's",
	"CLIENT INFO":     "Sessiongate's word on the client",
	"CLIENT KILL":     "the tenant's clients",
	"CLIENT LIST":     "the tenant's clients",
	"CLIENT UNBLOCK":  "the tenant's clients",
	"COMMAND":         "without what is refused",
	"COMMAND COUNT":   "without what is refused",
	"COMMAND DOCS":    "without what is refused",
	"COMMAND INFO":    "without what is refused",
	"COMMAND LIST":    "without what is refused",
	"DBSIZE":          "the tenant's keys",
	"FLUSHALL":        "the tenant's keys",
	"FLUSHDB":         "the tenant's keys",
	"HELLO":           "the id is Sessiongate's, the version the upstream's",
	"KEYS":            "the tenant's keys",
	"MEMORY USAGE":    "the name is longer by the namespace",
	"RANDOMKEY":       "the tenant's keys",
	"CLIENT GETREDIR": "by Sessiongate's ids",
}

// inNamespace are the rows of which aside is true in a namespace alone.
var inNamespace = map[string]bool{
	"COMMAND": true, "COMMAND COUNT": true, "COMMAND DOCS": true, "COMMAND INFO": true, "COMMAND LIST": true, "DBSIZE": true, "FLUSHALL": true,
	"FLUSHDB": true, "KEYS": true, "MEMORY USAGE": true, "RANDOMKEY": true,
}

var (
	unixTimes = regexp.MustCompile(`\b1[0-9]{9}([0-9]{3})?\b`)
	scripts   = regexp.MustCompile(`"if KEYS\[1\][^"]*"|"return 1"`)
	hashes    = regexp.MustCompile(`\b[0-9a-f]{40}\b`)
	payloads  = regexp.MustCompile(`"[^"]*\\x[^"]*"`)
)

// tidy makes words for a table of what is sent: without long values, and without those that are others in each run.
func tidy(text string) string {
	for _, r := range []struct{ long, short string }{{storedElem, "member"}, {storedElem2, "member2"}, {storedText, "text"}} {
		text = strings.ReplaceAll(text, r.long, r.short)
	}
	text = scripts.ReplaceAllString(text, "script")
	text = payloads.ReplaceAllString(text, "payload")
	text = hashes.ReplaceAllString(text, "sha1")
	text = unixTimes.ReplaceAllString(text, "time")
	return strings.ReplaceAll(text, "|", "\\|")
}

// String is the part of the page.
func (p *page) String() string {
	var b strings.Builder
	b.WriteString("| | without rules and namespace | under rules, in a namespace |\n|---|---|---|\n")
	for _, kind := range []string{"passes", "rewritten", "local", "differs", "refused"} {
		fmt.Fprintf(&b, "| %s | %d | %d |\n", map[string]string{"local": "answered here"}[kind]+strings.TrimPrefix(kind, "local"), p.count[0][kind], p.count[1][kind])
	}
	for _, g := range groups {
		fmt.Fprintf(&b, "\n### %s\n\n| command | without rules and namespace | under rules, in a namespace |\n|---|---|---|\n", g[1])
		for _, row := range p.rows[g[0]] {
			b.WriteString(row + "\n")
		}
		delete(p.rows, g[0])
	}
	if len(p.rows) > 0 {
		fmt.Fprintf(&b, "\ngroups without a heading: %v\n", p.rows)
	}
	return b.String()
}
