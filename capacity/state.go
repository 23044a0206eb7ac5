package capacity

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// state is what a run must know to go on, and what it is about, so that it goes on with nothing else.
type state struct {
	Template  string        `json:"template"`
	Namespace string        `json:"namespace"`
	TTL       time.Duration `json:"ttl"`
	Files     string        `json:"files"`
	Layout    string        `json:"layout"`
	Upstream  string        `json:"upstream"`

	Seed    uint64 `json:"seed"`
	Before  int64  `json:"before"` // keys there were
	Base    Memory `json:"base"`   // memory before the first session
	Written int    `json:"written"`
	Done    []Step `json:"done"`
}

// describe takes down what the run is about.
func (s *state) describe(c *Config) {
	s.Template, s.Namespace, s.TTL, s.Files, s.Layout, s.Upstream = c.Template.source, c.Namespace, c.TTL, c.Files, c.Layout, c.Pool.Addr()
}

// load reads the state of an interrupted run, if there is one.
func (s *state) load(c *Config) (found bool, err error) {
	if c.Resume == "" {
		return false, nil
	}
	text, err := os.ReadFile(c.Resume)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(text, s); err != nil {
		return false, fmt.Errorf("%s holds no state of a run: %w", c.Resume, err)
	}
	now := *s
	now.describe(c)
	same := now.Template == s.Template && now.Namespace == s.Namespace && now.TTL == s.TTL && now.Files == s.Files && now.Layout == s.Layout &&
		now.Upstream == s.Upstream
	var done []int
	for _, step := range s.Done {
		done = append(done, step.Sessions)
	}
	if !same || len(done) > len(c.Steps) || !slices.Equal(done, c.Steps[:len(done)]) {
		return false, fmt.Errorf("%s is the state of another run: its upstream, template, namespace, ttl, files and steps must be the same", c.Resume)
	}
	return true, nil
}

// save writes the state, in one step.
func (s *state) save(file string) error {
	if file == "" {
		return nil
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// remove removes the state of a run that is over.
func (s *state) remove(file string) error {
	if file == "" {
		return nil
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
