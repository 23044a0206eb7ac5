package integration_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows says which of our packages a package may import. What isn't listed here has no place in the program yet.
var arrows = map[string][]string{
	"command":          {},
	"resp":             {},
	"quick":            {},
	"credential":       {},
	"policy":           {"command"},
	"config":           {"policy", "command", "credential"},
	"upstream":         {"quick", "resp"},
	"proxy":            {"quick", "resp", "command", "policy", "upstream", "credential"},
	"audit":            {"policy"},
	"capacity":         {"policy", "proxy", "resp", "upstream"},
	"doctor":           {"audit", "config", "policy", "proxy", "resp", "upstream"},
	"tracing":          {"config", "proxy"},
	"admin":            {"audit", "command", "config", "policy", "proxy", "resp", "upstream"},
	"":                 {"admin", "audit", "capacity", "command", "config", "credential", "doctor", "policy", "proxy", "quick", "resp", "tracing", "upstream"},
	"bench":            {"command", "config", "policy", "proxy", "quick", "resp", "upstream"},
	"integration_test": {"command", "doctor"}, // doctor/replay plays the conversations of clients/wire
}

// Imports point one way, so that a rule can be read without knowing about sockets and a socket without rules.
func TestArrows(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "sessiongate/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for list := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg struct {
			ImportPath                         string
			Imports, TestImports, XTestImports []string
		}
		if err := list.Decode(&pkg); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		name := top(pkg.ImportPath)
		allowed, known := arrows[name]
		if !known {
			t.Errorf("package %s is not in the table of arrows", pkg.ImportPath)
			continue
		}
		imports := pkg.Imports
		if name == "integration_test" {
			imports = slices.Concat(pkg.TestImports, pkg.XTestImports)
		}
		for _, path := range imports {
			if ours := path == "sessiongate" || strings.HasPrefix(path, "sessiongate/"); !ours || top(path) == name {
				continue
			}
			if !slices.Contains(allowed, top(path)) {
				t.Errorf("%s imports %s; it may import %q", pkg.ImportPath, path, allowed)
			}
		}
	}
}

// top is the first element of a package's path below the module.
func top(path string) string {
	below, _ := strings.CutPrefix(strings.TrimPrefix(path, "sessiongate"), "/")
	first, _, _ := strings.Cut(below, "/")
	return first
}
