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
	Steps     []int         `json:"steps"`

	Seed    uint64 `json:"seed"`
	Before  int64  `json:"before"` // keys there were
	Base    Memory `json:"base"`   // memory before the first session
	Written int    `json:"written"`
	Done    []Step `json:"done"`
}

// describe takes down what the run is about.
func (s *state) describe(c *Config) {
	s.Template, s.Namespace, s.TTL, s.Upstream, s.Steps = c.Template.source, c.Namespace, c.TTL, c.Pool.Addr(), c.Steps
	if c.Files != "" {
		s.Files, s.Layout = c.Files, c.Layout
	}
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
	var now state
	now.describe(c)
	if now.Template != s.Template || now.Namespace != s.Namespace || now.TTL != s.TTL || now.Files != s.Files || now.Layout != s.Layout ||
		now.Upstream != s.Upstream || !slices.Equal(now.Steps, s.Steps) || len(s.Done) > len(s.Steps) {
		return false, fmt.Errorf("%s is the state of another run: its upstream, template, namespace, ttl, files and steps must be the same", c.Resume)
	}
	return true, nil
}

// loaded is how many sessions there are for certain.
func (s *state) loaded() int {
	if n := len(s.Done); n > 0 {
		return s.Done[n-1].Sessions
	}
	return 0
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
