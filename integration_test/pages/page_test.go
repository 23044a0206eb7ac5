package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParsePage(t *testing.T) {
	t.Parallel()
	blocks, err := parsePage("text\n\n```console background=6380\n$ sleep 1\n```\n    indented\n````yaml a.yaml\n```\nb: 1\n````\n```text\n$ no\n```\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []block{
		{line: 3, lang: "console", options: map[string]string{"background": "6380"}, text: []string{"$ sleep 1"}},
		{line: 7, lang: "yaml", file: "a.yaml", options: map[string]string{}, text: []string{"```", "b: 1"}},
		{line: 11, lang: "text", options: map[string]string{}, text: []string{"$ no"}},
	}
	if !reflect.DeepEqual(blocks, want) {
		t.Errorf("got  %+v\nwant %+v", blocks, want)
	}
	for text, part := range map[string]string{
		"```console\n$ a":             "1: the block has no end",
		"\n```\na\n```":               "2: the block has no language",
		"```yaml\na: 1\n```":          "1: a block of code has the name of its file",
		"```console backgroud=1\n```": `"backgroud=1" is no option`,
		"```console background=\n```": `"background=" is no option`,
	} {
		if _, err := parsePage(text); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q: got %v, want %q", text, err, part)
		}
	}
}

func TestSteps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want []step
		err  string
	}{
		{"$ a\nout\n# not a prompt\n\n$ b \\\n  -c", []step{
			{line: 2, text: "a", want: []string{"out", "# not a prompt", ""}},
			{line: 6, text: "b \\\n  -c"},
		}, ""},
		{"# a\n# b\nout\n$ c", []step{
			{line: 2, text: "a", asRoot: true}, {line: 3, text: "b", want: []string{"out"}, asRoot: true}, {line: 5, text: "c"},
		}, ""},
		{"$ a\n# apt-get install x", []step{{line: 2, text: "a"}, {line: 3, text: "apt-get install x", asRoot: true}}, ""},
		{"out\n$ a", nil, "begins with a command"},
		{"", nil, "empty"},
	} {
		b := block{line: 1, text: lines(c.text)}
		got, err := b.steps()
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%q: %v", c.text, err)
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q:\ngot  %+v\nwant %+v", c.text, got, c.want)
		}
	}
	b := block{line: 1, text: []string{"$ a", "$ b"}, options: map[string]string{"background": "1"}}
	if _, err := b.steps(); err == nil {
		t.Error("two commands in the background")
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want, got string
		ok        bool
	}{
		{"a\nb", "a\nb", true},
		{"a", "a\nb", false},
		{"a\n...", "a\nb\nc", true},
		{"a\n...", "a", true},
		{"...\nc", "a\nb\nc", true},
		{"...\nc\n...", "a\nb", false},
		{"ttl ... of ...", "ttl 5 of 1800", true},
		{"ttl ...", "ttl 5", true},
		{"ttl ...s", "ttl 5", false},
		{"a...a", "a", false},
		{"a\n\nb", "a\nb", false},
		{"a\nb", "a\r\nb\r\n", true},
	} {
		if got := matches(lines(c.want), lines(c.got)); got != c.ok {
			t.Errorf("%q, %q: got %v", c.want, c.got, got)
		}
	}
	if got, want := diff(lines("a\nb\nc ...\nd"), lines("a\nc 1\nx\nd")), "      a\n    - b\n      c 1\n    + x\n      d\n"; got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

// A page in a shell: files, state that stays, what fails, and a background that ends with the page.
func TestRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ page, err string }{
		{"```json greeting.json\n{}\n```\n```sh greet.sh\necho $WHO > sub.txt; cat sub.txt\n```\n```console\n$ export WHO=me\n$ . ./greet.sh\nme\n$ cat greeting.json\n{}\n```\n", ""},
		{"```console\n$ echo a; echo b >&2\na\nc\n```\n", "    - c\n    + b\n"},
		{"```console\n$ false\n```\n", "exit code 1"},
		{"```console fails\n$ true\n$ echo no; false\nno\n```\n", ""},
		{"```console fails\n$ true\n```\n", "exit code 0"},
		{"```console\n$ exit 3\n```\n", "ended the shell"},
		{"```console unrunnable=systemd\n$ systemctl reboot\n```\n", ""},
		{"```console unrunnable=systemd\n$ if then\n```\n", "syntax error"},
	} {
		blocks, err := parsePage(c.page)
		if err != nil {
			t.Fatal(err)
		}
		r := run{dir: filepath.Join(t.TempDir(), "page")}
		if err = r.inDirectory(t.Context(), blocks, t.TempDir()); c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s\ngot %v, want %q", c.page, err, c.err)
		}
	}
}

func TestBackground(t *testing.T) {
	t.Parallel()
	sh, err := newShell(t.Context(), t.TempDir(), t.TempDir(), environment(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	if output, err := sh.background("echo why; exit 1", []string{"1"}, time.Minute); err == nil || output != "why\n" {
		t.Errorf("got %q, %v", output, err)
	}
	if _, _, err := sh.run("sleep 60", 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), "not done after") {
		t.Errorf("got %v", err)
	}
	if err := sh.close(); err != nil {
		t.Error(err)
	}
}

// The manifest that the recipe prints is the one that is shipped.
func TestSidecar(t *testing.T) {
	t.Parallel()
	blocks, err := readPage("../../docs/recipes/sidecar.md")
	if err != nil {
		t.Fatal(err)
	}
	shipped, err := os.ReadFile("../../deploy/kubernetes/sidecar.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		if b.file == "sidecar.yaml" && strings.Join(b.text, "\n")+"\n" == string(shipped) {
			return
		}
	}
	t.Error("docs/recipes/sidecar.md does not print deploy/kubernetes/sidecar.yaml as it is")
}
