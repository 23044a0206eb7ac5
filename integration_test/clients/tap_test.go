package main

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseTAP(t *testing.T) {
	t.Parallel()
	got := parseTAP("starting up\n# version 4.3.4\nok - set-get\r\nok 2 - resp3 # SKIP it knows RESP2 only\n" +
		"not ok - error: got \"a: b\"\nnot ok - tracking: refused # TODO differs\n1..4\n")
	want := report{version: "4.3.4", checks: []check{
		{name: "set-get"},
		{name: "resp3", outcome: skipped, why: "it knows RESP2 only"},
		{name: "error", outcome: failed, why: `got "a: b"`},
		{name: "tracking", outcome: differs, why: "refused"},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// A program that dies halfway, or says nothing, has not passed.
func TestParseTAPFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ output, want string }{
		{"", "no plan"},
		{"# version 1\nok - a\n", "no plan (1..N): it ended early, after 1 checks"},
		{"# version 1\nok - a\n1..2\n", "2 checks were planned, 1 came"},
		{"# version 1\n1..0\n", "nothing was checked"},
		{"ok - a\n1..1\n", "told no version"},
		{"# version 1\nok - a\nok - a\n1..2\n", `"a" comes twice`},
		{"# version 1\nBail out! no server\n1..0\n", "Bail out! no server"},
	} {
		if got := strings.Join(parseTAP(c.output).faults, "; "); !strings.Contains(got, c.want) {
			t.Errorf("%q: faults are %q, want %q", c.output, got, c.want)
		}
	}
}

func TestFailed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		r    result
		want bool
	}{
		{result{report: report{checks: []check{{name: "a"}, {name: "b", outcome: skipped}, {name: "c", outcome: differs}}}}, false},
		{result{report: report{checks: []check{{name: "a", outcome: failed}}}}, true},
		{result{report: report{faults: []string{"no plan"}}}, true},
		{result{faults: []string{"it was killed"}}, true},
	} {
		if got := c.r.failed(); got != c.want {
			t.Errorf("%+v: failed is %v", c.r, got)
		}
	}
}

func TestOffence(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key     string
		seconds int
		want    string
	}{
		{"app:a", 1800, ""},
		{"app:a", 1801, "expires in 30m1s; the rule allows 30m0s"},
		{"app:s/1_LOCK", 301, "expires in 5m1s; the rule allows 5m0s"},
		{"app:jobs:lock", 300, ""},
		{"a", 10, "is outside of the namespace app:"},
	} {
		if got := offence(c.key, seconds(c.seconds)); got != c.want {
			t.Errorf("%s with %d s: %q, want %q", c.key, c.seconds, got, c.want)
		}
	}
	if got, want := offence("app:a", noExpiry), "has no expiry"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
