package capacity

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

//go:embed templates
var builtin embed.FS

// Templates are the names of those that are built in: what session libraries really store.
func Templates() (names []string) {
	files, err := fs.Glob(builtin, "templates/*.txt")
	if err != nil {
		panic(err)
	}
	for _, file := range files {
		names = append(names, strings.TrimSuffix(file[len("templates/"):], ".txt"))
	}
	return names
}

// LoadTemplate returns the template that is built in under that name, or else in the file of that name.
func LoadTemplate(name string) (*Template, error) {
	if text, err := builtin.ReadFile("templates/" + name + ".txt"); err == nil {
		return ParseTemplate(name, string(text))
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("template: %w; there are %s, or a file", err, strings.Join(Templates(), ", "))
	}
	return ParseTemplate(name, string(text))
}
