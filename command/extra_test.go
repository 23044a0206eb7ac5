package command

import (
	"slices"
	"testing"
)

func TestExtend(t *testing.T) {
	before := rows.Load()
	t.Cleanup(func() { rows.Store(before) })
	added := Extend([]Extra{
		{Name: "My.Set", Keys: KeyRange{1, 1, 1}, Writes: true},
		{Name: "MY.MSET", Keys: KeyRange{1, -1, 2}, Writes: true, Arity: -3},
		{Name: "MY.MGET", Keys: KeyRange{1, -1, 1}},
		{Name: "GET", Keys: KeyRange{2, 2, 1}},      // has a row
		{Name: "JSON.SET", Keys: KeyRange{1, 1, 1}}, // has one that is not certain
		{Name: "MY.PING"},
	})
	if want := []string{"MY.SET", "MY.MSET", "MY.MGET", "JSON.SET", "MY.PING"}; !slices.Equal(added, want) {
		t.Errorf("added %v, want %v", added, want)
	}
	if again := Extend([]Extra{{Name: "MY.SET", Keys: KeyRange{2, 2, 1}}}); len(again) != 0 {
		t.Errorf("again: %v", again)
	}
	for _, tt := range []struct {
		line string
		want []Ref
		ok   bool
	}{
		{"my.set k v", []Ref{{1, Out}}, true},
		{"MY.MSET a 1 b 2", []Ref{{1, Out}, {3, Out}}, true},
		{"my.mget a b c", []Ref{{1, In}, {2, In}, {3, In}}, true},
		{"my.mget", nil, false},
		{"get k", []Ref{{1, In}}, true},
		{"json.set k $ 1", []Ref{{1, In}}, true},
	} {
		args := words(tt.line)
		spec := Lookup(args)
		if spec == nil {
			t.Errorf("%s: no row", tt.line)
			continue
		}
		refs, ok := spec.Names(args, nil)
		if ok != tt.ok || !slices.Equal(refs, tt.want) {
			t.Errorf("%s: %v, %v, want %v, %v", tt.line, refs, ok, tt.want, tt.ok)
		}
		if int(spec.ID) >= Len() || All()[spec.ID] != spec {
			t.Errorf("%s: the ID %d is not its place", tt.line, spec.ID)
		}
	}
	if s := Lookup(words("my.ping")); s == nil || s.Names != nil || s.Cats&Uncertain != 0 {
		t.Errorf("MY.PING: %+v", s)
	}
}

// A row that replaces another has its ID and its categories. What the upstream says makes a row certain and changes nothing in it,
// since ranges don't tell of keys behind a count; and no command is learned whose first argument names an index.
func TestExtend_Learned(t *testing.T) {
	before := rows.Load()
	t.Cleanup(func() { rows.Store(before) })
	merge, set := ByName("CMS.MERGE"), ByName("JSON.SET")
	added := Extend([]Extra{
		{Name: "CMS.MERGE", Arity: -3, Keys: KeyRange{1, 1, 1}, Writes: true, Learned: true},
		{Name: "JSON.SET", Keys: KeyRange{2, 2, 1}, Writes: true},
		{Name: "FT.SEARCH", Arity: -3, Keys: KeyRange{1, 1, 1}, Learned: true},
		{Name: "ts.queryindex", Arity: -2, Keys: KeyRange{1, 1, 1}, Learned: true},
		{Name: "_ft.debug", Arity: -3, Keys: KeyRange{1, 1, 1}, Learned: true},
	})
	if want := []string{"CMS.MERGE", "JSON.SET"}; !slices.Equal(added, want) {
		t.Errorf("added %v, want %v", added, want)
	}
	for _, tt := range []struct {
		line string
		old  *Spec
		want []Ref
	}{
		{"cms.merge mine 1 other", merge, []Ref{{1, Out}, {3, In}}},
		{"json.set $ k 1", set, []Ref{{2, Out}}}, // the operator's word counts
	} {
		args := words(tt.line)
		spec := Lookup(args)
		refs, ok := spec.Names(args, nil)
		if !ok || !slices.Equal(refs, tt.want) {
			t.Errorf("%s: %v, %v, want %v", tt.line, refs, ok, tt.want)
		}
		if !spec.Certain() || tt.old.Certain() || spec.ID != tt.old.ID || spec.Cats != tt.old.Cats || All()[spec.ID] != spec {
			t.Errorf("%s: %+v in the place of %+v", tt.line, spec, tt.old)
		}
	}
}
