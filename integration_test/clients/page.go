package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// The part of the page that is this program's.
const (
	pageBegin = "<!-- clients:begin -->"
	pageEnd   = "<!-- clients:end -->"
	newPage   = "# Compatibility\n\n## Clients and session libraries\n\n" + pageBegin + "\n" + pageEnd + "\n"
)

// The columns, in the order of README.md. Other checks share a last one.
var columns = map[string][]string{
	kindClient: {"connect", "set-get", "binary", "expiry", "hash", "counter", "multi-key", "list-set", "pipeline", "transaction",
		"watch", "script", "scan", "pubsub", "blocking", "large", "error", "resp3", "concurrent", "reconnect", upstreamCheck},
	kindSession: {"create", "read", "refresh", "rotate", "logout", "expiry", "parallel", upstreamCheck},
}

// writePage puts the tables of the results into the page at path, between its markers.
func writePage(path string, results []result) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = []byte(newPage), nil
	}
	if err != nil {
		return err
	}
	page, err := replaced(string(text), tables(results))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(page), 0o644)
}

// replaced is the page with text between its markers.
func replaced(page, text string) (string, error) {
	before, rest, ok := strings.Cut(page, pageBegin)
	_, after, ended := strings.Cut(rest, pageEnd)
	if !ok || !ended {
		return "", fmt.Errorf("the markers %s and %s are not in it", pageBegin, pageEnd)
	}
	return before + pageBegin + "\n" + text + pageEnd + after, nil
}

// footnotes numbers what is said beneath the tables; what is said twice has one number.
type footnotes []string

func (f *footnotes) mark(text string) string {
	i := slices.Index(*f, text)
	if i < 0 {
		i = len(*f)
		*f = append(*f, text)
	}
	return fmt.Sprintf("<sup>%d</sup>", i+1)
}

// tables are all results in Markdown: clients, then session libraries, then what differs.
func tables(results []result) string {
	var b strings.Builder
	var notes footnotes
	b.WriteString("✓ passes, without rules and under them; – the library doesn't offer it; ✗ differs, see the note; empty: not checked.\n")
	for _, part := range []struct{ kind, title string }{{kindClient, "Client"}, {kindSession, "Session library"}} {
		rows := rowsOf(results, part.kind)
		if len(rows) == 0 {
			continue
		}
		names := columns[part.kind]
		fmt.Fprintf(&b, "\n| %s | version | %s | besides |\n|---|---|%s---|\n", part.title, strings.Join(names, " | "), strings.Repeat("---|", len(names)))
		for _, row := range rows {
			b.WriteString(row.markdown(names, &notes))
		}
	}
	for i, note := range notes {
		fmt.Fprintf(&b, "\n%d. %s", i+1, note)
		if i == len(notes)-1 {
			b.WriteString("\n")
		}
	}
	return b.String()
}

// row is a program's results in all modes.
type row []result

func rowsOf(results []result, kind string) []row {
	var rows []row
	for _, r := range results {
		if r.program.Kind != kind {
			continue
		}
		if n := len(rows); n > 0 && rows[n-1][0].program == r.program {
			rows[n-1] = append(rows[n-1], r)
		} else {
			rows = append(rows, row{r})
		}
	}
	return rows
}

func (r row) markdown(names []string, notes *footnotes) string {
	p := r[0].program
	if why := p.missing + p.broken; why != "" {
		first, _, _ := strings.Cut(why, "\n")
		return fmt.Sprintf("| %s | not run%s |%s |\n", p.Name, notes.mark(first), strings.Repeat(" |", len(names)))
	}
	cells := []string{p.Name, r[0].report.version}
	for _, name := range names {
		cells = append(cells, r.cell(name, notes))
	}
	var besides []string
	for _, name := range r.others(names) {
		besides = append(besides, name+" "+r.cell(name, notes))
	}
	return "| " + strings.Join(append(cells, strings.Join(besides, ", ")), " | ") + " |\n"
}

// others are the checks that have no column.
func (r row) others(names []string) []string {
	var others []string
	for _, result := range r {
		for _, c := range result.report.checks {
			if !slices.Contains(names, c.name) && !slices.Contains(others, c.name) {
				others = append(others, c.name)
			}
		}
	}
	return others
}

// cell puts the outcomes of a check in all modes into one. What is known in some mode counts more than what is skipped in another.
func (r row) cell(name string, notes *footnotes) string {
	cell := ""
	for _, result := range r {
		for _, c := range result.report.checks {
			switch {
			case c.name != name:
			case c.outcome >= differs:
				return "✗" + notes.mark(fmt.Sprintf("%s (%s): %s", name, result.mode.name, c.why))
			case c.outcome == passed:
				cell = "✓"
			case cell == "":
				cell = "–"
			}
		}
	}
	return cell
}
