package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
)

// listName is the file that lists the programs of a directory.
const listName = "programs.yaml"

// The kinds of programs.
const (
	kindClient  = "client"
	kindSession = "session"
)

// directory is a language: programs that are installed and built together.
type directory struct {
	Name     string     `yaml:"-"`     // such as "node"
	Path     string     `yaml:"-"`     // absolute
	Apt      []string   `yaml:"apt"`   // Debian packages of every program
	Fetch    string     `yaml:"fetch"` // downloads what build needs
	Build    string     `yaml:"build"`
	Programs []*program `yaml:"programs"`
}

// program is one client or session library.
type program struct {
	Name string            `yaml:"name"`
	Kind string            `yaml:"kind"`
	Run  string            `yaml:"run"`
	Apt  []string          `yaml:"apt"`
	NPM  map[string]string `yaml:"npm"` // package to exact version

	dir     *directory
	missing string // why it can't run; empty: it can
	broken  string // its build failed; with the output
	modules string // directory of its npm packages
}

func (p *program) String() string { return p.dir.Name + "/" + p.Name }

// packages are the Debian packages that it needs.
func (p *program) packages() []string { return append(append([]string(nil), p.dir.Apt...), p.Apt...) }

// load reads the lists of all directories below base, in the order of their names.
func load(base string) ([]*directory, error) {
	lists, err := filepath.Glob(filepath.Join(base, "*", listName))
	if err != nil {
		return nil, err
	}
	var directories []*directory
	var errs []error
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			return nil, err
		}
		name := filepath.Base(filepath.Dir(list))
		d, err := parse(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s/%s: %w", name, listName, err))
			continue
		}
		d.Name, d.Path = name, filepath.Dir(list)
		directories = append(directories, d)
	}
	return directories, errors.Join(errs...)
}

var exactVersion = regexp.MustCompile(`^\d+\.\d+\.\d+(-[\w.]+)?$`)

// parse reads a list and tells of every mistake in it.
func parse(text []byte) (*directory, error) {
	d := &directory{}
	if err := yaml.UnmarshalWithOptions(text, d, yaml.Strict()); err != nil {
		return nil, errors.New(yaml.FormatError(err, false, false))
	}
	var errs []error
	complain := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(d.Programs) == 0 {
		complain("programs: there must be one at least")
	}
	names := map[string]bool{}
	for i, p := range d.Programs {
		if p == nil || p.Name == "" {
			complain("programs[%d].name is missing", i)
			continue
		}
		if names[p.Name] {
			complain("programs[%d].name: %q is another program's name too", i, p.Name)
		}
		names[p.Name] = true
		if p.Kind != kindClient && p.Kind != kindSession {
			complain("kind of %q is %q; it must be %s or %s", p.Name, p.Kind, kindClient, kindSession)
		}
		if strings.TrimSpace(p.Run) == "" {
			complain("run of %q is missing", p.Name)
		}
		for pkg, version := range p.NPM {
			if !exactVersion.MatchString(version) {
				complain("npm.%s of %q is %q; it must be an exact version such as 1.2.3", pkg, p.Name, version)
			}
		}
		p.dir = d
	}
	return d, errors.Join(errs...)
}

// pick keeps the programs that only matches, and directories that have one.
func pick(directories []*directory, only *regexp.Regexp) []*directory {
	var picked []*directory
	for _, d := range directories {
		var programs []*program
		for _, p := range d.Programs {
			if only.MatchString(p.String()) {
				programs = append(programs, p)
			}
		}
		if d.Programs = programs; len(programs) > 0 {
			picked = append(picked, d)
		}
	}
	return picked
}
