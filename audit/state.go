package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// state is a walk between two of its steps: all that it takes to go on.
type state struct {
	Version   int    `json:"version"`
	Upstream  string `json:"upstream"`
	DB        int    `json:"db"`
	Namespace []byte `json:"namespace"` // which need not be text
	Rules     string `json:"rules"`     // a digest
	Fix       bool   `json:"fix"`
	Adopt     bool   `json:"adopt"`
	Cursor    uint64 `json:"cursor"`
	Sums      sums   `json:"sums"`
}

// stateVersion changes when an older file could not be gone on with.
const stateVersion = 2

func newState(cfg Config) state {
	return state{
		Version: stateVersion, Upstream: cfg.Upstream, DB: cfg.DB, Namespace: []byte(cfg.Namespace), Rules: cfg.Digest,
		Fix: cfg.Fix, Adopt: cfg.Adopt != nil, Sums: newSums(cfg.Rules),
	}
}

// load goes on where the file says, if there is one. A file of another walk is an error, and stays what it is.
func (s *state) load(name string) error {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	var old state
	if err := json.Unmarshal(text, &old); err != nil {
		return fmt.Errorf("resume: %s is not the state of an audit: %w", name, err)
	}
	other := func(what string, got, want any) error {
		return fmt.Errorf("resume: %s is of %s %v, not %v; name another file, or remove it", name, what, got, want)
	}
	begun := func(flag string, with bool) error {
		return fmt.Errorf("resume: %s was begun %s %s; go on so, or remove it", name, map[bool]string{true: "with", false: "without"}[with], flag)
	}
	switch {
	case old.Version != s.Version:
		return other("version", old.Version, s.Version)
	case old.Upstream != s.Upstream:
		return other("the upstream", old.Upstream, s.Upstream)
	case old.DB != s.DB:
		return other("database", old.DB, s.DB)
	case string(old.Namespace) != string(s.Namespace):
		return other("the namespace", fmt.Sprintf("%q", old.Namespace), fmt.Sprintf("%q", s.Namespace))
	case old.Rules != s.Rules:
		return fmt.Errorf("resume: %s was written under other rules; remove it to begin anew", name)
	case old.Fix != s.Fix:
		return begun("--fix", old.Fix)
	case old.Adopt != s.Adopt:
		return begun("--adopt", old.Adopt)
	case !old.Sums.sound(&s.Sums):
		return fmt.Errorf("resume: %s is damaged; remove it to begin anew", name)
	}
	*s = old
	return nil
}

// sound reports whether sums that were read have the form of new ones.
func (s *sums) sound(fresh *sums) bool {
	same := func(a, b Histogram) bool { return len(a.Buckets) == len(b.Buckets) }
	return len(s.Rules) == len(fresh.Rules) && s.Types != nil && s.Untold != nil && s.ByKeys != nil && s.ByBytes != nil &&
		same(s.TTL, fresh.TTL) && same(s.Age, fresh.Age) && same(s.Idle, fresh.Idle) && same(s.Size, fresh.Size)
}

// save writes the state so that there is always a whole file: the old one or the new one.
func (s *state) save(name string) error {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	_, err = file.Write(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		_ = os.Remove(file.Name())
		return fmt.Errorf("resume: %w", err)
	}
	return nil
}

// remove deletes the file of a walk that is complete, so that the next one begins anew.
func (s *state) remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("resume: %w", err)
	}
	return nil
}
