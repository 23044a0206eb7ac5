package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func (p *program) observeCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "observe [file ...]",
		Short: "Sum up what rules in mode observe would do, from the log of a running proxy",
		Long: "Read logs of sessiongate, from files or standard input, and sum up which applications break which rule how often,\n" +
			"and what enforcing the rules would do. Lines about anything else are passed over.",
		Example: "  journalctl -o cat -u sessiongate | sessiongate observe\n" +
			"  sessiongate observe --json /var/log/sessiongate.log",
		RunE: func(_ *cobra.Command, files []string) error { return p.observe(files, asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func (p *program) observe(files []string, asJSON bool) error {
	sums := newObservations()
	if len(files) == 0 {
		if terminal(p.stdin) {
			return usageError{errors.New("observe reads a log, as in: sessiongate observe sessiongate.log")}
		}
		if err := sums.read(p.stdin); err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
	}
	for _, name := range files {
		if err := sums.readFile(name); err != nil {
			return err
		}
	}
	report := sums.report()
	if asJSON {
		enc := json.NewEncoder(p.stdout)
		enc.SetEscapeHTML(false)
		return enc.Encode(report)
	}
	_, err := io.WriteString(p.stdout, report.String())
	return err
}

// observation is a class of what observed rules would do, as the log has it.
type observation struct {
	Tenant  string `json:"tenant"`
	Client  string `json:"client"`  // as it calls itself in CLIENT SETNAME
	Library string `json:"library"` // as it says in CLIENT SETINFO
	Rule    string `json:"rule"`    // empty: any rule would do it
	Kind    string `json:"kind"`    // of rule
	Command string `json:"command"`
	Verdict string `json:"verdict"` // refuse, rewrite or check
}

// observed is how often a class was seen, and why the first of it was.
type observed struct {
	observation
	Count  int    `json:"count"`
	Reason string `json:"reason,omitempty"`
}

// application is all that one application would be met with.
type application struct {
	Tenant  string `json:"tenant"`
	Client  string `json:"client"`
	Library string `json:"library"`
	outcome
}

// outcome counts commands by what enforcing would do with them.
type outcome struct {
	Refuse  int `json:"refuse"`
	Rewrite int `json:"rewrite"`
	Check   int `json:"check"`
}

func (o *outcome) add(verdict string, n int) {
	switch verdict {
	case "refuse":
		o.Refuse += n
	case "rewrite":
		o.Rewrite += n
	case "check":
		o.Check += n
	}
}

func (o outcome) sum() int { return o.Refuse + o.Rewrite + o.Check }

// observations adds up lines of logs.
type observations struct {
	classes     map[observation]*observed
	first, last string // times, as the log writes them
}

func newObservations() *observations { return &observations{classes: map[observation]*observed{}} }

func (s *observations) readFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := s.read(f); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (s *observations) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		s.add(line)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// add adds a line, if it is one that counts something. What a collector of logs puts before it is passed over.
func (s *observations) add(line []byte) {
	start := bytes.IndexByte(line, '{')
	if start < 0 || !bytes.Contains(line, []byte(`"observed"`)) {
		return
	}
	var l struct {
		Msg  string `json:"msg"`
		Time string `json:"time"`
		observed
	}
	if err := json.Unmarshal(line[start:], &l); err != nil || l.Msg != "observed" || l.Count < 1 {
		return
	}
	if s.first == "" || l.Time < s.first {
		s.first = l.Time
	}
	s.last = max(s.last, l.Time)
	class := s.classes[l.observation]
	if class == nil {
		class = &observed{observation: l.observation}
		s.classes[l.observation] = class
	}
	class.Count += l.Count
	class.Reason = cmp.Or(class.Reason, l.Reason)
}

// observationReport is what observe prints. The names of its JSON are stable.
type observationReport struct {
	From         string        `json:"from,omitempty"`
	To           string        `json:"to,omitempty"`
	Total        outcome       `json:"total"`
	Applications []application `json:"applications"`
	Findings     []observed    `json:"findings"`
}

// report puts what happens most often first.
func (s *observations) report() observationReport {
	r := observationReport{From: s.first, To: s.last, Applications: []application{}, Findings: []observed{}}
	apps := map[application]*application{}
	for class, seen := range s.classes {
		r.Findings = append(r.Findings, *seen)
		r.Total.add(class.Verdict, seen.Count)
		who := application{Tenant: class.Tenant, Client: class.Client, Library: class.Library}
		if apps[who] == nil {
			apps[who] = &application{Tenant: who.Tenant, Client: who.Client, Library: who.Library}
		}
		apps[who].add(class.Verdict, seen.Count)
	}
	for _, app := range apps {
		r.Applications = append(r.Applications, *app)
	}
	slices.SortFunc(r.Applications, func(a, b application) int {
		return cmp.Or(cmp.Compare(b.sum(), a.sum()), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Client, b.Client), cmp.Compare(a.Library, b.Library))
	})
	slices.SortFunc(r.Findings, func(a, b observed) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), slices.Compare(a.words(), b.words()))
	})
	return r
}

func (o observation) words() []string {
	return []string{o.Tenant, o.Client, o.Library, o.Rule, o.Kind, o.Command, o.Verdict}
}

// String is the report as tables for people.
func (r observationReport) String() string {
	if len(r.Findings) == 0 {
		return "nothing was observed: the log has no such lines\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s to %s: enforcing would refuse %d, rewrite %d, check %d\n\n", r.From, r.To, r.Total.Refuse, r.Total.Rewrite, r.Total.Check)
	table(&b, "tenant\tclient\tlibrary\trefuse\trewrite\tcheck", r.Applications, func(a application) []string {
		return []string{a.Tenant, a.Client, a.Library, strconv.Itoa(a.Refuse), strconv.Itoa(a.Rewrite), strconv.Itoa(a.Check)}
	})
	b.WriteByte('\n')
	table(&b, "count\tclient\tlibrary\trule\tcommand\twould\twhy, the first time", r.Findings, func(o observed) []string {
		return []string{strconv.Itoa(o.Count), o.Client, o.Library, cmp.Or(o.Rule, "any"), o.Command, o.Verdict, o.Reason}
	})
	return b.String()
}

// table writes a line for each item, with a dash where there is nothing to say.
func table[T any](w io.Writer, head string, items []T, line func(T) []string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  %s\n", head)
	for _, item := range items {
		words := line(item)
		for i := range words {
			words[i] = strings.Map(printable, cmp.Or(words[i], "-"))
		}
		fmt.Fprintf(t, "  %s\n", strings.Join(words, "\t"))
	}
	_ = t.Flush() // into memory
}

// printable keeps what a log holds from steering a terminal, or the table.
func printable(r rune) rune {
	if strconv.IsPrint(r) {
		return r
	}
	return '?'
}
