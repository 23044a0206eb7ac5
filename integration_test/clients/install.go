package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// installTimeout bounds one step of installing.
const installTimeout = 10 * time.Minute

// install gets what the programs need. A program that can't have it is told so in its field missing.
func install(ctx context.Context, o options, directories []*directory) {
	if !o.noInstall {
		installDebian(ctx, o, directories)
	}
	checkDebian(ctx, directories)
	var workers sync.WaitGroup
	free := make(chan struct{}, o.parallel)
	for _, d := range directories {
		workers.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			installDirectory(ctx, o, d)
		})
	}
	workers.Wait()
}

func installDirectory(ctx context.Context, o options, d *directory) {
	build(ctx, o, d)
	for _, p := range d.Programs {
		if len(p.NPM) > 0 && p.missing == "" {
			err := installNPM(ctx, o, p)
			if err != nil {
				p.missing = err.Error()
			}
			// Each of the others would take as long to find that out.
			o.noInstall = o.noInstall || errors.Is(err, errOffline)
		}
		if p.missing == "" && p.broken == "" {
			p.missing = withoutInterpreter(p)
		}
	}
}

// installDebian gets all packages that aren't there in one go; if that fails one by one, so that a package that can't be
// had takes only its own programs along.
func installDebian(ctx context.Context, o options, directories []*directory) {
	var wanted []string
	for _, d := range directories {
		for _, p := range d.Programs {
			wanted = append(wanted, p.packages()...)
		}
	}
	slices.Sort(wanted)
	there := installedPackages(ctx)
	wanted = slices.DeleteFunc(slices.Compact(wanted), func(name string) bool { return there[name] })
	if len(wanted) == 0 {
		return
	}
	fmt.Fprintln(os.Stderr, "installing", strings.Join(wanted, " "))
	// What fails shows in what is there afterwards.
	_ = aptGet(ctx, o, "update")
	if aptGet(ctx, o, wanted...) == nil {
		return
	}
	for _, name := range wanted {
		_ = aptGet(ctx, o, name)
	}
}

// aptGet updates the lists, or installs packages.
func aptGet(ctx context.Context, o options, packages ...string) error {
	line := []string{"apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"}
	if os.Geteuid() != 0 {
		line = append([]string{"sudo"}, line...)
	}
	if packages[0] == "update" {
		line = append(line, "update")
	} else {
		line = append(append(line, "install", "-y", "--no-install-recommends"), packages...)
	}
	// sudo passes no environment on: env does.
	line = slices.Insert(line, slices.Index(line, "apt-get"), "env", "DEBIAN_FRONTEND=noninteractive")
	_, err := command(ctx, o, "", line...)
	return err
}

// installedPackages are those of Debian that are there; none where there is no dpkg.
func installedPackages(ctx context.Context) map[string]bool {
	out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n").Output()
	if err != nil {
		return nil
	}
	there := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutPrefix(line, "installed "); ok {
			there[strings.TrimSpace(name)] = true
		}
	}
	return there
}

func checkDebian(ctx context.Context, directories []*directory) {
	there := installedPackages(ctx)
	for _, d := range directories {
		for _, p := range d.Programs {
			lacking := slices.DeleteFunc(p.packages(), func(name string) bool { return there[name] })
			if len(lacking) > 0 {
				p.missing = "no Debian package " + strings.Join(lacking, ", ")
			}
		}
	}
}

var errOffline = errors.New("the registry can't be reached")

// unreachable finds that in what npm says.
var unreachable = regexp.MustCompile(`\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT)\b`)

// installNPM installs the program's packages into the user's cache, once for these versions.
func installNPM(ctx context.Context, o options, p *program) error {
	var specs []string
	for _, name := range slices.Sorted(maps.Keys(p.NPM)) {
		specs = append(specs, name+"@"+p.NPM[name])
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	hash := sha256.Sum256([]byte(strings.Join(specs, " ")))
	base := filepath.Join(cache, "sessiongate-clients")
	p.modules = filepath.Join(base, fmt.Sprintf("%s-%x", fileName(p.Name), hash[:6]))
	if _, err := os.Stat(p.modules); err == nil {
		return nil
	}
	if o.noInstall {
		return fmt.Errorf("not installed: npm packages %s", strings.Join(specs, " "))
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(base, "new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// Without one npm takes the next above it for its own.
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"private": true}`), 0o644); err != nil {
		return err
	}
	line := append([]string{"npm", "install", "--no-audit", "--no-fund", "--no-save", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=10000"}, specs...)
	if out, err := command(ctx, o, dir, line...); err != nil {
		if unreachable.MatchString(out) {
			err = fmt.Errorf("%w: %w", errOffline, err)
		}
		return fmt.Errorf("npm install: %w: %s", err, lastLines(out, 5))
	}
	return os.Rename(dir, p.modules) // so that what is there is whole
}

// build fetches and builds what the directory's programs have in common. What can't be fetched is missing; what can't
// be built is broken.
func build(ctx context.Context, o options, d *directory) {
	steps := []struct {
		line string
		tell func(p *program, what string)
	}{
		{d.Fetch, func(p *program, what string) { p.missing = what }},
		{d.Build, func(p *program, what string) { p.broken = what }},
	}
	for i, step := range steps {
		if step.line == "" || o.noInstall && i == 0 {
			continue
		}
		if first := strings.Fields(step.line)[0]; !runnable(first, d.Path) {
			for _, p := range d.Programs {
				p.missing = first + " is not there"
			}
			return
		}
		if out, err := command(ctx, o, d.Path, "bash", "-c", step.line); err != nil {
			for _, p := range d.Programs {
				if p.missing == "" {
					step.tell(p, fmt.Sprintf("%s: %v\n%s", step.line, err, lastLines(out, 40)))
				}
			}
			return
		}
	}
}

// command runs one step of installing and returns its output.
func command(ctx context.Context, o options, dir string, line ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Dir = dir
	var kept bytes.Buffer
	cmd.Stdout, cmd.Stderr = &kept, &kept
	if o.verbose {
		both := io.MultiWriter(&kept, os.Stderr)
		cmd.Stdout, cmd.Stderr = both, both
	}
	err := cmd.Run()
	return kept.String(), err
}

// withoutInterpreter says what the program's command line lacks, or nothing.
func withoutInterpreter(p *program) string {
	for _, word := range strings.Fields(p.Run) {
		if strings.Contains(word, "=") { // it is put into the environment
			continue
		}
		if !runnable(word, p.dir.Path) {
			return word + " is not there"
		}
		return ""
	}
	return ""
}

// runnable says whether name is a program, from the point of view of dir.
func runnable(name, dir string) bool {
	if strings.Contains(name, "/") && !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	_, err := exec.LookPath(name)
	return err == nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// fileName is a name without what file systems or shells take for something else.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-", r) {
			return r
		}
		return '_'
	}, name)
}
