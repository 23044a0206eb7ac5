package capacity

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// FileStep is what the same sessions are as files, one for each.
type FileStep struct {
	Files  int64   `json:"files"`
	Inodes int64   `json:"inodes"` // files and directories
	Bytes  int64   `json:"bytes"`  // in the files
	Blocks int64   `json:"blocks"` // bytes of all blocks that files and directories take
	Create float64 `json:"create_s"`
	List   float64 `json:"list_s"`   // read all names
	Vacuum float64 `json:"vacuum_s"` // read all names and ask of each file how old it is, as a job that looks for old sessions does
}

// store is a directory with a file for each session. It is one of its own, and removed with all that is in it.
type store struct {
	dir     string
	sharded bool
	prefix  int // of ids, which says nothing
	made    map[string]bool
}

func newStore(c *Config, seed uint64) *store {
	return &store{dir: filepath.Join(c.Files, fmt.Sprintf("sessiongate-capacity-%016x", seed)), sharded: c.Layout == LayoutSharded,
		prefix: c.Template.prefix, made: map[string]bool{}}
}

// open makes the directory, which must not be there unless the run goes on.
func (s *store) open(again bool) error {
	if err := os.Mkdir(s.dir, 0o700); err != nil && !(again && errors.Is(err, os.ErrExist)) {
		return fmt.Errorf("files: %w", err)
	}
	return nil
}

// path is where the session with that id is.
func (s *store) path(id []byte) (dir, file string) {
	name := string(id)
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c == '/' || c == '\\' || c > '~' {
			name = hex.EncodeToString(id)
			break
		}
	}
	if !s.sharded {
		return s.dir, filepath.Join(s.dir, name)
	}
	shard := name[min(s.prefix, len(name)-1):]
	dir = filepath.Join(s.dir, "s"+shard[:min(2, len(shard))]) // with a letter first, since ids may begin with dots
	return dir, filepath.Join(dir, name)
}

// create makes the files of the sessions from one number up to another.
func (s *store) create(ctx context.Context, all *sessions, from, to int, tick func(n int)) (seconds float64, err error) {
	began := time.Now()
	for i := from; i < to; i++ {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		id, content := all.file(i)
		dir, file := s.path(id)
		if !s.made[dir] {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return 0, err
			}
			s.made[dir] = true
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return 0, err
		}
		tick(1)
	}
	return time.Since(began).Seconds(), nil
}

// survey looks at all files.
func (s *store) survey(ctx context.Context) (f FileStep, err error) {
	began := time.Now()
	if err := s.walk(ctx, func(string, os.DirEntry) error { return nil }); err != nil {
		return f, err
	}
	f.List = time.Since(began).Seconds()
	began = time.Now()
	err = s.walk(ctx, func(_ string, entry os.DirEntry) error {
		info, err := entry.Info()
		if err != nil {
			return err
		}
		f.Inodes++
		f.Blocks += blocksOf(info)
		if !info.IsDir() {
			f.Files++
			f.Bytes += info.Size()
		}
		return nil
	})
	f.Vacuum = time.Since(began).Seconds()
	if info, err := os.Stat(s.dir); err == nil { // its own
		f.Inodes++
		f.Blocks += blocksOf(info)
	}
	return f, err
}

// namesAtOnce is how many names are read at once, so that a directory of any size takes little memory.
const namesAtOnce = 1000

// walk visits the directories and the files in them, in the order in which they are stored.
func (s *store) walk(ctx context.Context, visit func(dir string, entry os.DirEntry) error) error {
	var in func(dir string) error
	in = func(dir string) error {
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		defer d.Close()
		for {
			entries, err := d.ReadDir(namesAtOnce)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			for _, entry := range entries {
				if err := visit(dir, entry); err != nil {
					return err
				}
				if entry.IsDir() {
					if err := in(filepath.Join(dir, entry.Name())); err != nil {
						return err
					}
				}
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}
	return in(s.dir)
}

// remove removes the store: its files first, of which there may be so many that one wants to see how far it is.
func (s *store) remove(tick func(n int)) (seconds float64, err error) {
	began := time.Now()
	err = s.walk(context.Background(), func(dir string, entry os.DirEntry) error {
		if entry.IsDir() {
			return nil
		}
		tick(1)
		return os.Remove(filepath.Join(dir, entry.Name()))
	})
	if err == nil {
		err = os.RemoveAll(s.dir)
	}
	return time.Since(began).Seconds(), err
}

// spare is the part of what is free that is left free, one in so many.
const spare = 10

// fits refuses to start where the files would fill the disk.
func (c *Config) fits() error {
	if info, err := os.Stat(c.Files); err != nil {
		return fmt.Errorf("files: %w", err)
	} else if !info.IsDir() {
		return fmt.Errorf("files: %s is no directory", c.Files)
	}
	free, err := freeOn(c.Files)
	if err != nil {
		return fmt.Errorf("files: what is free in %s: %w", c.Files, err)
	}
	const perName = 64 // bytes of a directory for each name beside the name, rather more than less
	s, one, sample := newSessions(c.Template, "", 1), int64(0), 200
	for i := range sample {
		id, content := s.file(i)
		one += (int64(len(content))+free.block-1)/free.block*free.block + 2*int64(len(id)) + perName
	}
	return free.admit(c.Files, int64(c.total())*one/int64(sample), int64(c.total())+5000)
}

// disk is what is free.
type disk struct {
	block  int64 // bytes of one
	bytes  int64
	inodes int64 // below 0: as many as one likes
}

func (d disk) admit(dir string, bytes, inodes int64) error {
	switch {
	case bytes > d.bytes-d.bytes/spare:
		return fmt.Errorf("files: they would take some %s, and in %s %s are free, of which a tenth is to be left; make the last step smaller",
			bytesText(bytes), dir, bytesText(d.bytes))
	case d.inodes >= 0 && inodes > d.inodes-d.inodes/spare:
		return fmt.Errorf("files: they would take %d inodes, and in %s %d are free, of which a tenth is to be left; make the last step smaller",
			inodes, dir, d.inodes)
	}
	return nil
}
