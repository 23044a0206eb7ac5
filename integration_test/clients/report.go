package main

import (
	"fmt"
	"io"
	"strings"
)

// printResult prints the line of a run, and beneath it why it failed and all that the program said.
func printResult(out io.Writer, r result, verbose bool) {
	p := r.program
	if p.missing != "" {
		fmt.Fprintf(out, "MISSING %-9s %-42s %-11s  %s\n", p.dir.Name, p.Name, r.mode.name, indented(p.missing))
		return
	}
	word := "ok"
	if r.failed() || p.broken != "" {
		word = "FAIL"
	}
	fmt.Fprintf(out, "%-7s %-9s %-42s %-11s %3d checks  %4.1f s%s\n", word, p.dir.Name,
		strings.TrimSpace(p.Name+" "+r.report.version), r.mode.name, len(r.report.checks), r.took.Seconds(), remarks(r.report))
	if word == "FAIL" {
		for _, why := range r.failures() {
			fmt.Fprintf(out, "        %s\n", indented(why))
		}
	}
	if verbose || word == "FAIL" && r.output != "" {
		fmt.Fprintf(out, "      | %s\n", strings.ReplaceAll(strings.TrimSpace(r.output), "\n", "\n      | "))
	}
}

// failures lists all that is wrong.
func (r result) failures() []string {
	if r.program.broken != "" {
		return []string{r.program.broken}
	}
	var all []string
	for _, c := range r.report.checks {
		if c.outcome == failed {
			all = append(all, c.name+": "+c.why)
		}
	}
	return append(append(all, r.report.faults...), r.faults...)
}

// remarks counts what neither passed nor failed.
func remarks(r report) string {
	counts := map[outcome]int{}
	for _, c := range r.checks {
		counts[c.outcome]++
	}
	text := ""
	if n := counts[skipped]; n > 0 {
		text += fmt.Sprintf("  %d not offered", n)
	}
	if n := counts[differs]; n > 0 {
		text += fmt.Sprintf("  %d differ", n)
	}
	return text
}

func indented(text string) string {
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n          ")
}

// summarise prints the last line and returns how many were run, and how many of them failed.
func summarise(out io.Writer, results []result) (ran, failed int) {
	var passed, missing int
	for _, r := range results {
		switch {
		case r.program.missing != "":
			missing++
		case r.program.broken != "" || r.failed():
			failed++
		default:
			passed++
		}
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d missing\n", passed, failed, missing)
	return passed + failed, failed
}
