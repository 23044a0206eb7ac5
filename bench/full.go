package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// section is a part of docs/performance.md that is measured. It starts the servers that it needs.
type section struct {
	name string
	run  func(*lab, context.Context) error
}

// sections are in the order of the page.
var sections = []section{
	{"proxies", (*lab).proxies},
	{"clients", (*lab).clients},
	{"sizes", (*lab).sizes},
	{"tls", (*lab).tls},
	{"rules", (*lab).rules},
	{"commands", (*lab).commands},
	{"latency", (*lab).latency},
	{"memory", (*lab).memory},
	{"matching", (*lab).matching},
	{"many", (*lab).many},
	{"tenants", (*lab).tenants},
	{"cluster", (*lab).cluster},
	{"before", (*lab).before},
}

func sectionNames() []string {
	var names []string
	for _, s := range sections {
		names = append(names, s.name)
	}
	return names
}

// lab is where a section is measured.
type lab struct {
	o   options
	dir string
	out bytes.Buffer // what goes into the page
}

// full measures the sections, prints each when it is done, and puts them into the page.
func full(ctx context.Context, o options, out io.Writer) (err error) {
	chosen := slices.DeleteFunc(slices.Clone(sections), func(s section) bool {
		return !o.only.MatchString(s.name) || s.name == "before" && o.before == ""
	})
	if len(chosen) == 0 {
		return fmt.Errorf("-only %s matches no section", o.only)
	}
	if err := install(ctx, programs([]string{twemproxy, haproxy})...); err != nil {
		return err
	}
	if err := raiseFileLimit(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sessiongate-bench-")
	if err != nil {
		return err
	}
	defer func() { err = tidy(ctx, dir, err) }()
	if o.binary, err = build(ctx, dir); err != nil {
		return err
	}
	if o.quick {
		o.rounds, o.requests, o.keys = 1, max(1000, o.requests/10), max(1000, o.keys/10)
	}
	measured := map[string]string{}
	for _, s := range chosen {
		l := &lab{o: o, dir: filepath.Join(dir, s.name)}
		if err := os.Mkdir(l.dir, 0o700); err != nil {
			return err
		}
		fmt.Fprintf(&l.out, "    make bench-full ARGS=\"-only %s%s\"\n\n%s; %s.\n", s.name, o.flags(s), machine(), version("haproxy", "version "))
		if err := s.run(l, ctx); err != nil {
			return fmt.Errorf("section %s: %w", s.name, err)
		}
		measured[s.name] = l.out.String()
		fmt.Fprintf(out, "## %s\n\n%s\n", s.name, l.out.String())
		if o.write != "" { // at once: a later section may fail
			if err := writePage(o.write, measured); err != nil {
				return err
			}
		}
	}
	return nil
}

// flags are those beside -only that decide what is measured.
func (o options) flags(s section) string {
	var flags string
	if s.name == "before" {
		flags = " -before " + o.before
	}
	if o.quick {
		flags += " -quick"
	}
	return flags
}

// compare measures workloads on targets and reports them, with ratios to the baselines.
func (l *lab) compare(ctx context.Context, o options, targets, baselines []string, workloads []workload) error {
	o.targets = targets
	started, stop, err := startAll(ctx, l.dir, o)
	defer stop()
	if err != nil {
		return err
	}
	if o.closed > 0 && o.quick {
		o.closed /= 5
	}
	r := runner{targets: started, rounds: o.rounds, requests: o.requests, keys: o.keys, closed: o.closed}
	var rows []row
	for _, w := range workloads {
		if w.requests > 0 && o.quick {
			w.requests = max(100, w.requests/10)
		}
		measured, err := r.run(ctx, w)
		if err != nil {
			return err
		}
		rows = append(rows, measured...)
	}
	with := "redis-benchmark"
	if o.closed > 0 {
		with = "the generator in `bench/loadgen`"
	}
	fmt.Fprintf(&l.out, "With %s; median of %s; %d keys, values of %d bytes where nothing else is said.\n", with, rounds(o.rounds), o.keys, o.valueBytes)
	report(&l.out, rows, baselines)
	return nil
}

func rounds(n int) string {
	if n == 1 {
		return "one round"
	}
	return fmt.Sprintf("%d rounds", n)
}

// raiseFileLimit lets this program and those it starts have as many open files as the system allows.
func raiseFileLimit() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	const needed = 2*maxClients + 1000 // of HAProxy
	if limit.Max < needed {
		return fmt.Errorf("a process may have %d open files here, and 5,000 clients of a proxy take %d: raise the limit with ulimit -Hn", limit.Max, needed)
	}
	limit.Cur = limit.Max
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
}

// writePage replaces what the page has between the markers of each section.
func writePage(path string, sections map[string]string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := string(page)
	for name, measured := range sections {
		if text, err = replaceSection(text, name, measured); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// replaceSection replaces what stands between the lines <!-- measured: NAME --> and <!-- end: NAME -->.
func replaceSection(page, name, measured string) (string, error) {
	begin, end := fmt.Sprintf("<!-- measured: %s -->\n", name), fmt.Sprintf("<!-- end: %s -->\n", name)
	before, rest, found := strings.Cut(page, begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return "", fmt.Errorf("no lines %q and %q", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return before + begin + "\n" + strings.Trim(measured, "\n") + "\n\n" + end + after, nil
}
