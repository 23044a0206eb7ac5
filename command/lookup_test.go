package command

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestLookup(t *testing.T) {
	for line, want := range map[string]string{
		"GET k":                                 "GET",
		"get k":                                 "GET",
		"gEt":                                   "GET",
		"georadiusbymember_ro":                  "GEORADIUSBYMEMBER_RO",
		"xgroup create k g $":                   "XGROUP CREATE",
		"xgroup":                                "XGROUP",
		"xgroup other":                          "XGROUP",
		"cluster count-failure-reports x":       "CLUSTER COUNT-FAILURE-REPORTS",
		"cluster " + strings.Repeat("x", 100):   "CLUSTER",
		"GET CREATE":                            "GET",
		"json.set k $ 1":                        "JSON.SET",
		"nosuch":                                "",
		"client|setname a":                      "",
		strings.Repeat("x", longestName+1):      "",
		strings.Repeat("get", longestName) + "": "",
		"":                                      "",
	} {
		got := ""
		if spec := Lookup(words(line)); spec != nil {
			got = spec.Name
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
	if got := Lookup([][]byte{[]byte("XGROUP CREATE")}); got != nil {
		t.Errorf("a subcommand in one argument: got %s, want nil", got.Name)
	}
	if got := Lookup([][]byte{{}}); got != nil {
		t.Errorf("an empty command: got %s, want nil", got.Name)
	}
}

func TestLookup_Allocs(t *testing.T) {
	for _, line := range []string{"get k", "SET k v", "client setname a", "nosuch", strings.Repeat("x", 100)} {
		args := words(line)
		if got := testing.AllocsPerRun(100, func() { Lookup(args) }); got != 0 {
			t.Errorf("%s: %v allocations, want 0", line, got)
		}
	}
}

func TestByName(t *testing.T) {
	for _, spec := range All() {
		for _, name := range []string{spec.Name, spec.RedisName(), strings.ToLower(spec.Name)} {
			if got := ByName(name); got != spec {
				t.Errorf("%s: got %v, want its row", name, got)
			}
		}
	}
	for _, name := range []string{"", "nosuch", "get|k", "client|nosuch", "nosuch|id"} {
		if got := ByName(name); got != nil {
			t.Errorf("%s: got %s, want nil", name, got.Name)
		}
	}
}

func TestAll(t *testing.T) {
	all := All()
	if len(all) > Len() {
		t.Fatalf("%d rows, Len says %d", len(all), Len())
	}
	for i, spec := range all {
		if int(spec.ID) != i {
			t.Errorf("%s: got ID %d, want %d", spec.Name, spec.ID, i)
		}
	}
}

// What makes no sense in a row, whatever Redis says of the command.
func TestTable_Sense(t *testing.T) {
	for _, s := range All() {
		args := make([][]byte, 13) // whole pairs and triples
		for i := range args {
			args[i] = []byte("1")
		}
		writes := false // for some arguments
		if s.Names != nil {
			refs, _ := s.Names(args, nil)
			writes = slices.ContainsFunc(refs, func(r Ref) bool { return r.Kind == Out }) || slices.Contains(optionalOut, s.Name)
		}
		switch {
		case s.Arity == 0:
			t.Errorf("%s: no arity", s.Name)
		case s.Flags&Read != 0 && s.Flags&Write != 0:
			t.Errorf("%s: both Read and Write", s.Name)
		case writes && s.Flags&(Write|Script) == 0:
			t.Errorf("%s: a key is written, but it's no Write", s.Name)
		case !writes && s.Expiry.Effect != Keeps:
			t.Errorf("%s: an effect, but no key is written", s.Name)
		case s.Values.Grow != NoValue && s.Flags&Write == 0:
			t.Errorf("%s: values, but it's no Write", s.Name)
		case (s.Values.Grow == NoValue) != (s.Values.First == 0):
			t.Errorf("%s: values nowhere", s.Name)
		case s.Flags&Container != 0 && s.subs == nil:
			t.Errorf("%s: no subcommands", s.Name)
		case s.Cats&(Fast|Slow) == 0 || s.Cats&(Fast|Slow) == Fast|Slow:
			t.Errorf("%s: must be either fast or slow", s.Name)
		case s.Expiry.Becomes != nil && ByName(s.Expiry.Becomes.Word) == nil:
			t.Errorf("%s: becomes %s, which has no row", s.Name, s.Expiry.Becomes.Word)
		}
	}
}

// optionalOut are the rows that write a key only when an option names it.
var optionalOut = []string{"SORT", "GEORADIUS", "GEORADIUSBYMEMBER"}

func TestBuild_Panics(t *testing.T) {
	for name, table := range map[string]map[string]row{
		"lower case":        {"get": {}},
		"too long":          {strings.Repeat("X", longestName+1): {}},
		"no container":      {"XGROUP CREATE": {}},
		"not a container":   {"XGROUP": {}, "XGROUP CREATE": {}},
		"too long a second": {"XGROUP": {flags: Container}, "XGROUP " + strings.Repeat("X", longestName+1): {}},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			build(table)
		})
	}
}

func TestSpec_ArityOK(t *testing.T) {
	for _, tt := range []struct {
		name string
		n    int
		want bool
	}{
		{"GET", 2, true}, {"GET", 1, false}, {"GET", 3, false},
		{"SET", 3, true}, {"SET", 5, true}, {"SET", 2, false},
		{"CLIENT SETNAME", 3, true}, {"CLIENT SETNAME", 2, false},
	} {
		if got := ByName(tt.name).ArityOK(tt.n); got != tt.want {
			t.Errorf("%s with %d arguments: got %v, want %v", tt.name, tt.n, got, tt.want)
		}
	}
}

func TestCategory(t *testing.T) {
	for _, name := range catNames {
		c, ok := Category("@" + strings.ToUpper(name))
		if got := c.Names(); !ok || len(got) != 1 || got[0] != name {
			t.Errorf("%s: got %v, %v", name, got, ok)
		}
	}
	if c, ok := Category("all"); !ok || len(c.Names()) != len(catNames) {
		t.Errorf("all: got %v, %v", c.Names(), ok)
	}
	if _, ok := Category("nosuch"); ok {
		t.Error("nosuch is a category")
	}
	if got, want := strings.Join(ByName("SETEX").Cats.Names(), " "), "write string slow"; got != want {
		t.Errorf("SETEX: got %s, want %s", got, want)
	}
}

// The rows of each group stand in the order of their names.
func TestTable_Sorted(t *testing.T) {
	source, err := os.ReadFile("table.go")
	if err != nil {
		t.Fatal(err)
	}
	groups := strings.Split(string(source), "\n\n\t// ")
	if len(groups) < 10 {
		t.Fatalf("%d groups", len(groups))
	}
	for _, group := range groups {
		heading, _, _ := strings.Cut(group, "\n")
		last := ""
		for line := range strings.Lines(group) {
			name, isRow := strings.CutPrefix(line, "\t\"")
			if name, _, _ = strings.Cut(name, `"`); !isRow {
				continue
			}
			if name < last {
				t.Errorf("%s: %s stands after %s", heading, name, last)
			}
			last = name
		}
	}
}

// speaksForItself lists the files that may name commands: those the proxy answers, and those it issues or shows of its
// own accord.
var speaksForItself = []string{
	"proxy/local.go", "proxy/send.go", "proxy/whole.go", "proxy/settings.go", "proxy/guard.go", "proxy/lifetime.go", "proxy/explain.go", "proxy/wall.go", "proxy/confine.go", "proxy/sums.go", "proxy/tracking.go", "proxy/whole_server.go", "proxy/everynode.go", "proxy/facade.go", "proxy/subscribe_nodes.go",
	"proxy/ready.go",
	"upstream/role.go", "upstream/handshake.go",
}

// optionWords are names of commands that are options of others as well.
var optionWords = []string{"GET", "SET", "INCRBY", "PERSIST", "COPY", "TYPE", "AUTH", "SORT"}

// Code switches on what a row says, never on the name of a command: no command in quotes outside the table.
func TestLaw_NoNamesOutsideTheTable(t *testing.T) {
	for _, dir := range []string{"policy", "proxy", "upstream"} {
		files, err := filepath.Glob(filepath.Join("..", dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if slices.Contains(speaksForItself, filepath.ToSlash(file[len("../"):])) || strings.HasSuffix(file, "_test.go") {
				continue
			}
			fset := token.NewFileSet()
			parsed, err := parser.ParseFile(fset, file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				lit, isLit := n.(*ast.BasicLit)
				if !isLit || lit.Kind != token.STRING {
					return true
				}
				text, _ := strconv.Unquote(lit.Value)
				if text == strings.ToUpper(text) && !slices.Contains(optionWords, text) && ByName(text) != nil {
					t.Errorf("%s: the command %s is named", fset.Position(lit.Pos()), text)
				}
				return true
			})
		}
	}
}

func BenchmarkLookupNames(b *testing.B) {
	for _, line := range []string{"GET sess:1", "set sess:1 v ex 60", "client setname a"} {
		args := words(line)
		refs := make([]Ref, 0, 8)
		b.Run(string(args[0]), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if spec := Lookup(args); spec.Names != nil {
					spec.Names(args, refs)
				}
			}
		})
	}
}
