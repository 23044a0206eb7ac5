package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// outcome is what became of a check.
type outcome int

const (
	passed  outcome = iota
	skipped         // the library doesn't offer it
	differs         // a known difference from Redis, told by the TODO directive of TAP
	failed
)

// check is one line of a program's report.
type check struct {
	name    string
	outcome outcome
	why     string // of all outcomes but passed
}

// report is what a program said.
type report struct {
	version string // of the library
	checks  []check
	faults  []string // what is wrong with the report itself
}

var (
	tapResult  = regexp.MustCompile(`^(not )?ok\b(?:\s+\d+)?\s*(?:-\s*)?(.*)$`)
	tapComment = regexp.MustCompile(`(?i)^(.*?)\s*#\s*(skip|todo)\S*\s*(.*)$`)
	tapPlan    = regexp.MustCompile(`^1\.\.(\d+)\s*(?:#.*)?$`)
	tapVersion = regexp.MustCompile(`^#\s*version\s+(\S.*?)\s*$`)
)

// parseTAP reads the output of a program. Lines that are not TAP are let be, as TAP has it.
func parseTAP(output string) report {
	var r report
	plan := -1
	fault := func(format string, args ...any) { r.faults = append(r.faults, fmt.Sprintf(format, args...)) }
	seen := map[string]bool{}
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, "\r\n")
		if m := tapVersion.FindStringSubmatch(line); m != nil {
			r.version = m[1]
		} else if m := tapPlan.FindStringSubmatch(line); m != nil {
			plan, _ = strconv.Atoi(m[1])
		} else if strings.HasPrefix(line, "Bail out!") {
			fault("%s", line)
		} else if m := tapResult.FindStringSubmatch(line); m != nil {
			c := parseCheck(m[1] != "", m[2])
			if seen[c.name] {
				fault("the check %q comes twice", c.name)
			}
			seen[c.name] = true
			r.checks = append(r.checks, c)
		}
	}
	switch {
	case plan < 0:
		fault("there is no plan (1..N): it ended early, after %d checks", len(r.checks))
	case plan != len(r.checks):
		fault("%d checks were planned, %d came", plan, len(r.checks))
	case plan == 0:
		fault("nothing was checked")
	}
	if r.version == "" {
		fault("it told no version (# version ...)")
	}
	return r
}

func parseCheck(not bool, text string) check {
	directive, reason := "", ""
	if m := tapComment.FindStringSubmatch(text); m != nil {
		text, directive, reason = m[1], strings.ToLower(m[2]), m[3]
	}
	if !not {
		c := check{name: text}
		if directive == "skip" {
			c.outcome, c.why = skipped, reason
		}
		return c
	}
	name, why, _ := strings.Cut(text, ": ")
	c := check{name: name, outcome: failed, why: why}
	if directive == "todo" {
		c.outcome = differs
		if c.why == "" {
			c.why = reason
		}
	}
	return c
}
