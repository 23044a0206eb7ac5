package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Error is one thing wrong with the configuration. Its text fits one line and never holds a secret.
type Error struct {
	Origin Origin
	Path   string // of the setting, as in "rules[0].expiry.max"; empty for the file as a whole
	Text   string // what is wrong, the offending value included
	Hint   string // what to write instead; may be empty
}

func (e *Error) Error() string {
	var b strings.Builder
	for _, part := range []string{e.Origin.String(), e.Path} {
		if part != "" {
			b.WriteString(part)
			b.WriteString(": ")
		}
	}
	b.WriteString(e.Text)
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	return b.String()
}

// Origin is where a value was written: a place in a file, an environment variable or a flag.
type Origin struct {
	Source       string // "sessiongate.yaml", "SESSIONGATE_UPSTREAM" or "--upstream"; empty for a default
	Line, Column int    // in the source, from 1, columns in characters; 0 where the source has no lines
	rank         rank
}

// rank orders sources: a later one wins over an earlier one, and errors are listed in this order.
type rank uint8

const (
	fromDefault rank = iota
	fromFile
	fromEnv
	fromFlag
)

// String is in the form that editors and terminals make clickable, "sessiongate.yaml:7:14".
func (o Origin) String() string {
	if o.Line == 0 {
		return o.Source
	}
	return o.Source + ":" + strconv.Itoa(o.Line) + ":" + strconv.Itoa(o.Column)
}

func (o Origin) compare(p Origin) int {
	return cmp.Or(cmp.Compare(o.rank, p.rank), cmp.Compare(o.Source, p.Source),
		cmp.Compare(o.Line, p.Line), cmp.Compare(o.Column, p.Column))
}

// ledger knows where every value came from and collects what is wrong.
type ledger struct {
	origins  map[string]Origin // by path
	problems []*Error
	unread   int // how many of the problems are values that could not be read at all
}

// at returns where path was written, or else the nearest setting around it that was written anywhere.
func (l *ledger) at(path string) Origin {
	for {
		if o, ok := l.origins[path]; ok || path == "" {
			return o
		}
		path = parent(path)
	}
}

// wrote tells whether any source gave a value to path.
func (l *ledger) wrote(path string) bool {
	_, ok := l.origins[path]
	return ok
}

// report notes a problem with the value at path.
func (l *ledger) report(path, text, hint string) {
	l.reportAt(l.at(path), path, text, hint)
}

func (l *ledger) reportAt(o Origin, path, text, hint string) {
	l.problems = append(l.problems, &Error{Origin: o, Path: path, Text: text, Hint: hint})
}

// judge reports a problem with a value that was read, unless that value, or something in it or around it, is among
// those that could not be: then it would be a second complaint about one mistake.
func (l *ledger) judge(path, text, hint string) {
	for _, e := range l.problems[:l.unread] {
		wholeFile := e.Path == "" && e.Origin.rank == fromFile
		if wholeFile || within(e.Path, path) || within(path, e.Path) {
			return
		}
	}
	l.report(path, text, hint)
}

// maxErrors is how many errors are worth reading at once.
const maxErrors = 100

// err returns all problems as one error, a line each, in the order of the file. One mistake that is seen through many
// aliases is one problem.
func (l *ledger) err() error {
	slices.SortStableFunc(l.problems, func(a, b *Error) int { return a.Origin.compare(b.Origin) })
	problems := slices.CompactFunc(l.problems, func(a, b *Error) bool {
		return a.Origin == b.Origin && a.Text == b.Text && (a.Path == b.Path || a.Origin.Line > 0)
	})
	var all []error
	for i, e := range problems {
		if i == maxErrors {
			all = append(all, &Error{Origin: Origin{Source: e.Origin.Source}, Text: fmt.Sprintf("and %d errors more", len(problems)-i)})
			break
		}
		all = append(all, e)
	}
	return errors.Join(all...)
}

// join makes the path of a setting inside another.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// parent cuts the last step off a path: "rules[0].keys[1]", "rules[0].keys", "rules[0]", "rules", "".
func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

// within tells whether inner is outer or a setting inside it.
func within(inner, outer string) bool {
	rest, ok := strings.CutPrefix(inner, outer)
	return ok && outer != "" && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// closest returns the name that a misspelt word was probably meant to be, or "".
func closest(word string, names []string) string {
	best, found := len(word)/3+1, ""
	for _, name := range names {
		if d := distance(strings.ToLower(word), strings.ToLower(name)); d <= best && d < len(name) {
			best, found = d-1, name
		}
	}
	return found
}

// distance counts the letters to insert, delete, replace or swap with their neighbour to make b from a.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
