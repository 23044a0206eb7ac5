package capacity

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Files are where the layout wants them, are counted, and go in the end; what is beside them stays.
func TestStore(t *testing.T) {
	t.Parallel()
	template, err := LoadTemplate("odoo")
	if err != nil {
		t.Fatal(err)
	}
	for _, layout := range []string{LayoutFlat, LayoutSharded} {
		c := &Config{Files: t.TempDir(), Layout: layout, Template: template}
		beside := filepath.Join(c.Files, "beside")
		if err := os.WriteFile(beside, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s, all := newStore(c, 5), newSessions(template, "", 5)
		if err := s.open(false); err != nil {
			t.Fatal(err)
		}
		if err := s.open(false); err == nil {
			t.Error("a directory that is there is taken for a new one")
		}
		if err := s.open(true); err != nil {
			t.Error(err)
		}
		if _, err := s.create(t.Context(), all, 0, 500, func(int) {}); err != nil {
			t.Fatal(err)
		}
		f, err := s.survey(t.Context())
		id, content := all.file(3)
		dir, file := s.path(id)
		if got, err := os.ReadFile(file); err != nil || string(got) != string(content) {
			t.Errorf("%s holds %q, error %v", file, got, err)
		}
		inodes := int64(501)
		if layout == LayoutSharded {
			inodes += int64(len(s.made))
			if want := "s" + string(id[len("session:"):][:2]); filepath.Base(dir) != want || len(s.made) < 100 {
				t.Errorf("%s is in %s, want %s; there are %d directories", id, dir, want, len(s.made))
			}
		}
		if err != nil || f.Files != 500 || f.Inodes != inodes || f.Bytes < 500*400 || f.Blocks < f.Bytes {
			t.Errorf("%s: %+v, error %v; want %d inodes", layout, f, err, inodes)
		}
		if _, err := s.remove(func(int) {}); err != nil {
			t.Error(err)
		}
		if entries, err := os.ReadDir(c.Files); err != nil || len(entries) != 1 {
			t.Errorf("after that there are %v, error %v", entries, err)
		}
	}
}

// A name that a file system may not take is written in hexadecimal digits.
func TestStore_path(t *testing.T) {
	t.Parallel()
	s := &store{dir: "d"}
	for id, want := range map[string]string{"a:b-1": "d/a:b-1", "a/b": "d/612f62", "a b": "d/612062", "\xff": "d/ff"} {
		if _, got := s.path([]byte(id)); got != filepath.FromSlash(want) {
			t.Errorf("%q is in %s, want %s", id, got, want)
		}
	}
}

func TestConfig_fits(t *testing.T) {
	t.Parallel()
	template, err := LoadTemplate("seed")
	if err != nil {
		t.Fatal(err)
	}
	c := &Config{Files: t.TempDir(), Template: template, Steps: []int{1000}}
	if err := c.fits(); err != nil {
		t.Error(err)
	}
	c.Steps = []int{1_000_000_000}
	if err := c.fits(); err == nil || !strings.HasPrefix(err.Error(), "files: they would take some ") {
		t.Errorf("a billion files: %v", err)
	}
	if err := (disk{block: 4096, bytes: 1 << 40, inodes: 1000}).admit("d", 1<<20, 950); err == nil || !strings.HasPrefix(err.Error(), "files: they would take 950 inodes, and in d 1000 are free") {
		t.Errorf("too many inodes: %v", err)
	}
	if err := (disk{block: 4096, bytes: 1 << 40, inodes: -1}).admit("d", 1<<20, 950); err != nil {
		t.Error(err)
	}
	c.Files = filepath.Join(c.Files, "none")
	if err := c.fits(); err == nil {
		t.Error("a directory that is not there will do")
	}
}

func TestSecondOf(t *testing.T) {
	t.Parallel()
	end := time.Unix(1000, 0)
	for d, want := range map[time.Duration]int{0: 0, 999 * time.Millisecond: 0, time.Second: 1, -1: -1, -time.Second: -1, -time.Second - 1: -2} {
		if got := secondOf(end.Add(d), end); got != want {
			t.Errorf("%v is in second %d, want %d", d, got, want)
		}
	}
}
