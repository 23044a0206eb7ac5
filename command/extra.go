package command

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Extra is a command that the table doesn't have, or has in a group whose facts are not certain: the operator has told where its
// keys are, or the upstream has.
type Extra struct {
	Name   string
	Arity  int // as COMMAND INFO gives it; 0: at least up to the first key
	Keys   KeyRange
	Writes bool // its keys may be left in any state; every argument that is no key may be a value
	// Learned: the upstream says so. A row that the table has is only made certain then: it knows of keys behind options and
	// counts, of which ranges tell nothing.
	Learned bool
}

// KeyRange is where keys stand in the arguments, as COMMAND INFO has it: the first, the last (-1 is the last argument), and how
// far one is from the next. The zero KeyRange is no keys.
type KeyRange struct{ First, Last, Step int }

// spare is how many Extras there may be.
const spare = 1024

// index finds rows. It is replaced, never changed.
type index struct {
	all []*Spec          // by ID
	top map[string]*Spec // those that are not subcommands
}

var (
	rows      atomic.Pointer[index]
	extending sync.Mutex
)

func init() { rows.Store(&index{specs, commands}) }

// Extend adds rows for commands that have none, or an uncertain one. Those that have a row of their own keep it; so do those that
// are there from an earlier call. It returns the names of those that are new. A row that replaces another one has its ID and its
// categories, so that rules made before go on to hold.
func Extend(list []Extra) (added []string) {
	extending.Lock()
	defer extending.Unlock()
	old := rows.Load()
	now := &index{slices.Clone(old.all), maps.Clone(old.top)}
	for _, e := range list {
		name := strings.ToUpper(e.Name)
		known := now.top[name]
		switch {
		case known != nil && known.Certain(), len(name) > longestName, e.Learned && asksIndex(name):
			continue
		case known != nil:
			now.all[known.ID] = e.over(known)
			now.top[name] = now.all[known.ID]
		case len(now.all) == len(specs)+spare:
			continue
		default:
			s := e.spec(name)
			s.ID = uint16(len(now.all))
			now.all = append(now.all, s)
			now.top[name] = s
		}
		added = append(added, name)
	}
	rows.Store(now)
	return added
}

// asksIndex reports whether the command is of those that work on an index, whose name is no key, whatever COMMAND says.
func asksIndex(name string) bool {
	return slices.ContainsFunc(indexed, func(family string) bool { return strings.HasPrefix(name, family) })
}

// over is the row that takes the place of one which was not certain.
func (e Extra) over(known *Spec) *Spec {
	if e.Learned {
		s := *known
		s.told = true
		return &s
	}
	s := e.spec(known.Name)
	s.ID = known.ID
	s.Cats = known.Cats | s.Cats&(CatRead|CatWrite)
	return s
}

// spec is the row of the Extra.
func (e Extra) spec(name string) *Spec {
	s := &Spec{Name: name, Arity: e.Arity, Flags: Read, Reply: Value, redisName: strings.ToLower(name), told: true}
	if e.Arity == 0 {
		s.Arity = -e.Keys.First - 1
	}
	kind := In
	if e.Writes {
		s.Flags, kind, s.Expiry = Write, Out, creates
		s.Values = each(e.Keys.First+1, 1)
	}
	s.Cats = Cats(0).implied(s.Flags)
	if e.Keys != (KeyRange{}) {
		s.Names = span(e.Keys, kind).find
	}
	return s
}

// IsExtra reports whether the row was added by Extend.
func (s *Spec) IsExtra() bool { return int(s.ID) >= len(specs) }

// span: keys of this kind stand where the range says.
func span(r KeyRange, k Kind) names {
	return names{find: func(args [][]byte, dst []Ref) ([]Ref, bool) {
		last := r.Last
		if last < 0 {
			last += len(args)
		}
		if r.First >= len(args) || last >= len(args) || last < r.First {
			return dst, false
		}
		for i := r.First; i <= last; i += r.Step {
			dst = append(dst, Ref{i, k})
		}
		return dst, true
	}}
}

// All returns every row in the order of their IDs: that of the table by name, and then those added by Extend.
func All() []*Spec { return slices.Clone(rows.Load().all) }

// Len returns a number that every ID is below, now and later.
func Len() int { return len(specs) + spare }
