// Pages runs the pages of the documentation as they are printed: those called README.md in a fresh clone, the recipes and some others
// in an empty directory each. README.md in this directory says how pages are written.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	only := flag.String("only", "", "run the pages whose names match this `regexp`")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: pages [-only regexp] [page ...]   (in the root of the repository; the default are README.md, some of docs/*.md, examples/*/README.md and docs/recipes/*.md)")
		flag.PrintDefaults()
	}
	flag.Parse()
	pattern, err := regexp.Compile(*only)
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		err = runAll(ctx, pattern, flag.Args())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// runAll runs one page after the other, as they share ports.
func runAll(ctx context.Context, pattern *regexp.Regexp, pages []string) error {
	if len(pages) == 0 {
		recipes, _ := filepath.Glob("docs/recipes/*.md")
		pages = append([]string{"README.md", "docs/running.md", "docs/capacity.md", "docs/admin-api.md", "examples/odoo/README.md"}, recipes...)
	}
	pages = slices.DeleteFunc(pages, func(page string) bool { return !pattern.MatchString(page) })
	if len(pages) == 0 {
		return errors.New("there is no such page")
	}
	bin, err := os.MkdirTemp("", "pages-bin-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin)
	if output, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", filepath.Join(bin, "sessiongate"), ".").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, output)
	}
	t := tally{bin: bin}
	for _, page := range pages {
		if ctx.Err() != nil {
			return errInterrupted
		}
		t.run(ctx, page)
	}
	fmt.Printf("%d passed, %d failed; of %d blocks only the syntax was checked\n", t.passed, t.failed, t.unrunnable)
	if t.failed > 0 {
		return errors.New("the documentation doesn't work as printed")
	}
	return nil
}

// tally is what came of the pages so far.
type tally struct {
	bin                        string // the directory that has sessiongate
	updated                    bool   // apt-get knows what there is
	passed, failed, unrunnable int
}

// run runs a page, and prints a line about it.
func (t *tally) run(ctx context.Context, page string) {
	r, started := run{path: page}, time.Now()
	blocks, err := readPage(page)
	switch {
	case err != nil:
		err = fmt.Errorf("%s:%w", page, err)
	case !slices.ContainsFunc(blocks, func(b block) bool { return b.lang == "console" }):
		return // a page of text: nothing to run
	case !t.updated && slices.ContainsFunc(blocks, block.installs):
		t.updated = true
		err = updatePackages(ctx)
	}
	if err == nil {
		err = r.inDirectory(ctx, blocks, t.bin)
	}
	t.unrunnable += r.unrunnable
	if err != nil {
		t.failed++
		fmt.Printf("FAILED  %s\n%s\n", page, r.describe(err))
		return
	}
	t.passed++
	fmt.Printf("ok      %-32s %3d blocks  %5.1f s\n", page, len(blocks), time.Since(started).Seconds())
}

// describe says where a page is wrong: file, line, the command, and what came.
func (r *run) describe(err error) string {
	var f *failure
	if !errors.As(err, &f) {
		return "  " + err.Error()
	}
	text := fmt.Sprintf("  %s:%d: ", r.path, f.line)
	if f.command != "" {
		text += "$ " + f.command + "\n    "
	}
	return text + strings.TrimRight(f.what, "\n")
}

// inDirectory runs a page in a directory of its own, which for a README is a fresh clone.
func (r *run) inDirectory(ctx context.Context, blocks []block, bin string) error {
	scratch, err := os.MkdirTemp("", "pages-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	r.dir = filepath.Join(scratch, "page")
	if filepath.Base(r.path) == "README.md" {
		err = clone(r.dir)
	} else {
		err = os.Mkdir(r.dir, 0o755)
	}
	if err != nil {
		return err
	}
	if r.sh, err = newShell(ctx, r.dir, scratch, environment(bin)); err != nil {
		return err
	}
	err = r.page(blocks)
	if ended := r.sh.close(); err == nil {
		err = ended
	}
	return err
}

// updatePackages has apt-get know what there is, which the pages that install something take for granted.
func updatePackages(ctx context.Context) error {
	command := asRoot("apt-get update -q")
	if output, err := exec.CommandContext(ctx, "bash", "-c", command).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", command, err, output)
	}
	return nil
}

// clone makes a clone of what is committed.
func clone(to string) error {
	if changes, err := exec.Command("git", "status", "--porcelain").Output(); err == nil && len(changes) > 0 {
		fmt.Println("note: a README is run as it stands here, in a clone of what is committed; there are uncommitted changes")
	}
	if output, err := exec.Command("git", "clone", "-q", ".", to).CombinedOutput(); err != nil {
		return fmt.Errorf("git clone: %w\n%s", err, output)
	}
	return nil
}

// environment is ours, but with sessiongate in PATH, and without what would change what commands do or print.
func environment(bin string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return strings.HasPrefix(name, "SESSIONGATE_") || slices.Contains([]string{"REDISCLI_AUTH", "PATH", "LC_ALL", "TERM", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "VERSION"}, name)
	})
	return append(env, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TERM=dumb", "DEBIAN_FRONTEND=noninteractive")
}
