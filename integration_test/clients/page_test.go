package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWritePage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "compatibility.md")
	before := "# Title\n\n" + pageBegin + "\nold\n" + pageEnd + "\n\nafter\n"
	if err := os.WriteFile(path, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	lib := &program{Name: "lib", Kind: kindClient}
	rules := mode{name: "rules"}
	results := []result{
		{program: lib, mode: mode{name: "transparent"}, report: report{version: "1.2", checks: []check{
			{name: "connect"}, {name: "resp3", outcome: skipped, why: "no"}, {name: "error"}, {name: "cache"}}}},
		{program: lib, mode: rules, report: report{version: "1.2", checks: []check{
			{name: "connect"}, {name: "resp3", outcome: skipped, why: "no"}, {name: "error", outcome: differs, why: "says more"}, {name: "cache"}, {name: "upstream"}}}},
		{program: &program{Name: "web", Kind: kindSession, missing: "no package"}, mode: rules},
	}
	if err := writePage(path, results); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, want := range []string{
		"# Title\n\n" + pageBegin + "\n✓ passes", "\n" + pageEnd + "\n\nafter\n",
		"| lib | 1.2 | ✓ |", "| ✗<sup>1</sup> | – |", "| ✓ | cache ✓ |\n",
		"\n1. error (rules): says more", "| web | not run<sup>2</sup> |", "\n2. no package\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	if strings.Contains(page, "old") {
		t.Errorf("what was there before still is:\n%s", page)
	}
	// Written anew from nothing, it is the page that the next run finds its markers in.
	again := filepath.Join(t.TempDir(), "new.md")
	for range 2 {
		if err := writePage(again, results); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWritePageWithoutMarkers(t *testing.T) {
	t.Parallel()
	if _, err := replaced("# Title\n", "x"); err == nil || !strings.Contains(err.Error(), pageBegin) {
		t.Errorf("got %v", err)
	}
}

// Every program of the lists has its row in the page.
func TestPageIsComplete(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	directories, err := load(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range directories {
		for _, p := range d.Programs {
			if !strings.Contains(string(page), "\n| "+p.Name+" | ") {
				t.Errorf("docs/compatibility.md has no row of %s: run make test-clients ARGS=\"-write docs/compatibility.md\"", p)
			}
		}
	}
}
