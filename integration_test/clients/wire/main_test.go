package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sessiongate/doctor/replay"
)

// Every file is part of a program, and every program a conversation.
func TestPrograms(t *testing.T) {
	list, err := os.ReadFile("programs.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var used []string
	programs := 0
	for line := range strings.Lines(string(list)) {
		_, run, isProgram := strings.Cut(strings.TrimRight(line, "}\n"), "run: ../../../dist/clients/wire ")
		if !isProgram {
			continue
		}
		programs++
		text := ""
		for _, file := range strings.Fields(run) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			used, text = append(used, file), text+string(raw)+"\n"
		}
		all, err := replay.Parse(text)
		if err != nil || len(all) != 1 {
			t.Errorf("%s: %d conversations, %v", run, len(all), err)
			continue
		}
		if names := all[0].Checks(); names[0] != "connect" || len(names) != len(slices.Compact(slices.Sorted(slices.Values(names)))) {
			t.Errorf("%s: the checks are %q", run, names)
		}
	}
	files, err := filepath.Glob("*.txt")
	if err != nil || programs < 10 {
		t.Fatalf("%d programs, %v", programs, err)
	}
	for _, file := range files {
		if !slices.Contains(used, file) {
			t.Errorf("nobody plays %s", file)
		}
	}
}
