package integration_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"sessiongate/command"
)

// docs/compatibility.md says of each command of the server what becomes of it without rules, and under rules in a namespace. What
// it says is what this test finds, by a line of each command that is run on a plain server and through a gate in either mode, and by what
// explain says of it. `go test ./integration_test -run Compatibility -update` writes it anew.

var update = flag.Bool("update", false, "write docs/compatibility.md's part on commands anew")

const (
	compatibilityPage = "../docs/compatibility.md"
	commandsBegin     = "<!-- commands:begin -->"
	commandsEnd       = "<!-- commands:end -->"
)

// compatibilityModes are those of the page: nothing is governed, or everything.
var compatibilityModes = []mode{{"without rules", "", false, false}, {"under rules", "app:", true, false}}

// groups are redis.io's, as COMMAND DOCS names them, in the order of the page.
var groups = [][2]string{
	{"generic", "Keys"}, {"string", "Strings"}, {"hash", "Hashes"}, {"list", "Lists"}, {"set", "Sets"}, {"sorted-set", "Sorted sets"},
	{"stream", "Streams"}, {"bitmap", "Bitmaps"}, {"hyperloglog", "HyperLogLog"}, {"geo", "Geo"}, {"transactions", "Transactions"},
	{"scripting", "Scripts and functions"}, {"pubsub", "Pub/Sub"}, {"connection", "Connections"}, {"server", "Server"}, {"cluster", "Cluster"},
}

// explained is what explain says of a command.
type explained struct {
	Command, Verdict, Reason, Reply string
	Sent                            []string
}

// verdict is what becomes of a row in one mode.
type verdict struct {
	explained
	same    bool   // the reply is the plain server's
	refusal string // the error that says that it is not allowed
}

// finding is what was found of a row: the line that was run, and what became of it in each mode.
type finding struct {
	spec     *command.Spec
	args     []string
	verdicts [2]verdict
}

// page is the table of one group, and how many rows of it end how in each mode.
type page struct {
	rows  map[string][]string // by group
	count [2]map[string]int
}

func TestCompatibility(t *testing.T) {
	t.Parallel()
	b := startModes(t, 2, compatibilityModes)
	var found []finding
	for _, spec := range command.All() {
		if _, known := b.docs[spec.RedisName()]; known && (spec.Flags&command.Container == 0 || spec.Name == "COMMAND") {
			found = append(found, b.find(t, spec))
		}
	}
	for i, m := range compatibilityModes {
		for j, e := range explainAll(t, m, found) {
			found[j].verdicts[i].explained = e
		}
	}
	p := page{rows: map[string][]string{}, count: [2]map[string]int{{}, {}}}
	for _, f := range found {
		p.add(f, b.group(f.spec))
	}
	text := p.String()

	data, err := os.ReadFile(compatibilityPage)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, begins := strings.Cut(string(data), commandsBegin+"\n")
	is, foot, ends := strings.Cut(rest, commandsEnd)
	switch {
	case !begins || !ends:
		t.Fatalf("%s has no part between %s and %s", compatibilityPage, commandsBegin, commandsEnd)
	case is == text:
	case *update:
		if err := os.WriteFile(compatibilityPage, []byte(head+commandsBegin+"\n"+text+commandsEnd+foot), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not what was found:\n%s\nwrite it anew with: go test ./integration_test -run Compatibility -update",
			compatibilityPage, firstDifference(is, text))
	}
}

func firstDifference(is, want string) string {
	a, b := strings.Split(is, "\n"), strings.Split(want, "\n")
	for i := range a {
		if i == len(b) || a[i] != b[i] {
			return "page  " + a[i] + "\nfound " + strings.Join(b[min(i, len(b)):min(i+1, len(b))], "")
		}
	}
	return "found " + b[len(a)]
}

// find runs a line of the row on all servers: the first one with keys, or, if none has any, the first, that a plain server doesn't
// find fault with; or, if it does so with all of them, the first.
func (b *modesBench) find(t *testing.T, spec *command.Spec) finding {
	t.Helper()
	for _, c := range b.all {
		c.behind.t, c.client = t, nil
	}
	b.peer.t = t
	r := &rowTest{modesBench: b, t: t, spec: spec, told: map[string]int{}}
	lines, around := b.linesOf(spec), around[spec.Name]
	slices.SortStableFunc(lines, func(x, y sample) int { return min(len(y.keys), 1) - min(len(x.keys), 1) })
	own := len(splitLines(around.before)) // the number of the line's own reply
	for i, line := range append(lines, lines[0]) {
		by := []state{volatile}
		a := attempt{line: line, by: by, lines: append(append(splitLines(around.before), line.args), splitLines(around.after)...)}
		a.stateful = len(a.lines) > 1 || spec.State != command.Plain && spec.State != command.Blocks
		results := []attempt{a, a, a}
		r.plant(line, by)
		r.exchange(results)
		plain := results[0].replies
		if i < len(lines) && len(plain) > own && plain[own][0] == '-' && onlyErrors(spec) == "" {
			continue
		}
		f := finding{spec: spec, args: line.args}
		for i, c := range b.all[1:] {
			got := results[i+1].replies
			f.verdicts[i].same = slices.EqualFunc(got, plain, func(g, w string) bool { return c.alike(spec, g, w) })
			if len(got) > 0 && strings.HasPrefix(got[0], "-NOPERM ") {
				f.verdicts[i].refusal = strings.TrimSpace(got[0][1:])
			}
		}
		return f
	}
	panic("unreachable: the last line is taken as it is")
}

// explainAll asks the program what it does with each line.
func explainAll(t *testing.T, m mode, found []finding) (list []explained) {
	t.Helper()
	binary, err := program()
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for _, f := range found {
		for _, arg := range f.args {
			lines.WriteString(quoteArg(arg) + " ")
		}
		lines.WriteString("\n")
	}
	cmd := exec.Command(binary, "explain", "--json", "--config", writeFile(t, "compatibility.yaml", "upstream: redis://127.0.0.1:1\n"+m.yaml()))
	cmd.Stdin = strings.NewReader(lines.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for objects := json.NewDecoder(bytes.NewReader(out)); objects.More(); {
		var e explained
		if err := objects.Decode(&e); err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
	if len(list) != len(found) {
		t.Fatalf("explain says %d things of %d lines", len(list), len(found))
	}
	return list
}

// quoteArg writes an argument as redis-cli reads it.
func quoteArg(arg string) string {
	var b strings.Builder
	for _, c := range []byte(arg) {
		fmt.Fprintf(&b, `\x%02x`, c)
	}
	return `"` + b.String() + `"`
}
