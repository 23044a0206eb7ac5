package main

import (
	"slices"
	"strings"
	"testing"
)

func TestWithoutSecrets(t *testing.T) {
	given := []string{"serve", "--upstream", "redis://user:pass:w/rd@h:1/0", "--upstream=redis-cluster://:secret@h1,h2", "redis://user@h", "redis://h:1", "a@b"}
	want := []string{"serve", "--upstream", "redis://user:xxxxxxxxx@h:1/0", "--upstream=redis-cluster://:xxxxxx@h1,h2", "redis://user@h", "redis://h:1", "a@b"}
	args := make([]string, len(given))
	for i, arg := range given {
		args[i] = strings.Clone(arg) // not in read-only memory
	}
	kept := withoutSecrets(args)
	if !slices.Equal(kept, given) {
		t.Errorf("kept %q", kept)
	}
	if !slices.Equal(args, want) {
		t.Errorf("ps would show %q", args)
	}
}
