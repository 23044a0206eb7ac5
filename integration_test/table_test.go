package integration_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sessiongate/command"
)

// These tests hold the table of commands against a live server: what COMMAND says of a row, and what the server does
// with lines made from COMMAND DOCS.

// unflagged are the rows that wait although the server doesn't say so.
var unflagged = []string{"WAIT"}

func TestTable_Facts(t *testing.T) {
	t.Parallel()
	s := startTableServer(t)
	list, err := parse(s.do("COMMAND"))
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	var check func(info value)
	check = func(info value) {
		rows++
		name := info.elems[0].text
		spec := command.ByName(name)
		if spec == nil {
			t.Errorf("%s: no row", name)
			return
		}
		flags := info.elems[2].strings()
		cats := info.elems[6].strings()
		want := func(what string, got, want any) {
			t.Helper()
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: %s is %v, the server says %v", name, what, got, want)
			}
		}
		want("RedisName", spec.RedisName(), name)
		want("Arity", spec.Arity, info.elems[1].text)
		want("Read", spec.Flags&command.Read != 0, slices.Contains(flags, "readonly"))
		want("Write", spec.Flags&command.Write != 0, slices.Contains(flags, "write"))
		want("Admin", spec.Flags&command.Admin != 0, slices.Contains(flags, "admin"))
		want("PreAuth", spec.Flags&command.PreAuth != 0, slices.Contains(flags, "no_auth"))
		want("Blocks", spec.State == command.Blocks, slices.Contains(flags, "blocking") || slices.Contains(unflagged, spec.Name))
		want("Container", spec.Flags&command.Container != 0, len(info.elems[9].elems) > 0)
		got := spec.Cats.Names()
		slices.Sort(got)
		want("Cats", "@"+strings.Join(got, " @"), strings.Join(cats, " "))
		for _, sub := range info.elems[9].elems {
			check(sub)
		}
	}
	for _, info := range list.elems {
		check(info)
	}
	t.Logf("%d of %d rows are known to the server", rows, len(command.All()))
}

// kindOf says what an argument that is no key names, by what the server's grammar calls it.
func kindOf(spec *command.Spec, group string, g grammar) (kind command.Kind, isName bool) {
	switch {
	case g.kind == "pattern" && group == "pubsub":
		return command.ChannelGlob, true
	case g.kind == "pattern" && spec.Flags&command.Whole != 0:
		return command.Glob, true
	case g.kind == "pattern" && spec.Cats&command.List != 0: // SORT
		return command.Sub, true
	case g.name == "channel" || g.name == "shardchannel":
		return command.Channel, true
	case g.name == "prefix":
		return command.In, true
	}
	return 0, false
}

// wantNames asks the server for the names in a line. It returns false when the server finds fault with the line.
func (s *tableServer) wantNames(spec *command.Spec, line sample) (refs []command.Ref, ok bool) {
	s.t.Helper()
	for i, g := range line.from {
		if kind, isName := kindOf(spec, s.group(spec), g); isName {
			refs = append(refs, command.Ref{Arg: i, Kind: kind})
		}
	}
	if len(line.args) == 1 { // too short for COMMAND GETKEYSANDFLAGS, and for a key
		return refs, true
	}
	reply := s.do(append([]string{"COMMAND", "GETKEYSANDFLAGS"}, line.args...)...)
	switch {
	case strings.Contains(reply, "The command has no key arguments"):
		return refs, true
	case reply[0] == '-':
		return nil, false
	}
	keys, err := parse(reply)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, key := range keys.elems {
		at := slices.Index(line.args[1:], key.elems[0].text) + 1
		flags := key.elems[1].strings()
		kind := command.In
		switch {
		case slices.Contains(flags, "not_key"):
			continue
		case slices.Contains(flags, "OW"), slices.Contains(flags, "insert"), slices.Contains(flags, "update"):
			kind = command.Out
		}
		refs = append(refs, command.Ref{Arg: at, Kind: kind})
	}
	return sortRefs(refs), true
}

func sortRefs(refs []command.Ref) []command.Ref {
	slices.SortFunc(refs, func(a, b command.Ref) int { return a.Arg - b.Arg })
	return refs
}

// alwaysOut are the rows whose keys count as written even when these arguments only read.
var alwaysOut = []string{"BITFIELD"}

// Every name that the server finds in a line the table finds, and of the same kind; and no other.
func TestTable_Names(t *testing.T) {
	t.Parallel()
	s := startTableServer(t)
	for _, spec := range command.All() {
		if _, known := s.docs[spec.RedisName()]; !known || spec.Flags&command.Container != 0 {
			continue
		}
		compared := 0
		for _, line := range s.samples(spec) {
			want, ok := s.wantNames(spec, line)
			if !ok {
				continue
			}
			var got []command.Ref
			if spec.Names != nil {
				if got, ok = spec.Names(line.asBytes(), nil); !ok {
					continue // TestTable_Refusals sees to it that the server refuses it too
				}
			}
			compared++
			if slices.Contains(alwaysOut, spec.Name) {
				for i := range want {
					want[i].Kind = command.Out
				}
			}
			if !slices.Equal(sortRefs(got), want) {
				t.Errorf("%s: names %v, the server says %v", line, got, want)
			}
		}
		if compared == 0 {
			t.Errorf("%s: no sample to compare", spec.Name)
		}
	}
}

// runs reports whether the command may be run with any arguments: on any connection, without harm to the server, and
// without a word to another one.
func runs(spec *command.Spec) bool {
	const harm = command.Admin | command.Server | command.Container
	return spec.Flags&harm == 0 && spec.Name != "MIGRATE" && !(spec.Flags&command.Whole != 0 && spec.Flags&command.Write != 0) &&
		(spec.State == command.Plain || spec.State == command.Blocks)
}

// Whatever the table refuses the server refuses too, and nothing changes; whatever the server accepts, the table finds
// every key in, among lines that have been tampered with.
func TestTable_Refusals(t *testing.T) {
	t.Parallel()
	s := startTableServer(t)
	random := rand.New(rand.NewPCG(1, 2))
	refusals := 0
	for _, spec := range command.All() {
		if _, known := s.docs[spec.RedisName()]; !known || spec.Names == nil || !runs(spec) {
			continue
		}
		list := s.samples(spec)
		fixture := fixtureOf(spec, s.group(spec))
		for range 60 {
			line := tamper(random, list[random.IntN(len(list))])
			s.prepare(line, fixture, []state{volatile})
			refs, ok := spec.Names(line.asBytes(), nil)
			before := s.do("DEBUG", "DIGEST")
			reply := s.run(spec, line)
			if !ok {
				refusals++
				if reply[0] != '-' {
					t.Errorf("%s: the table refuses it, the server says %s", line, shorten(reply))
				}
				if s.do("DEBUG", "DIGEST") != before {
					t.Errorf("%s: the table refuses it, the server changed something", line)
				}
				continue
			}
			if reply[0] == '-' {
				continue
			}
			keys, _ := parse(s.do(append([]string{"COMMAND", "GETKEYS"}, line.args...)...))
			for _, key := range keys.elems {
				found := slices.ContainsFunc(refs, func(r command.Ref) bool { return line.args[r.Arg] == key.text })
				if !found {
					t.Errorf("%s: the server takes %q for a key, the table doesn't", line, key.text)
				}
			}
		}
	}
	if refusals < 500 {
		t.Errorf("only %d lines were refused", refusals)
	}
}

// tamper changes up to three arguments of a line: words that mean something elsewhere, numbers, one more, one less.
func tamper(random *rand.Rand, line sample) sample {
	words := []string{
		"STORE", "store", "STORE\x00x", "STOREDIST", "BY", "GET", "STREAMS", "KEYS", "MATCH", "COUNT", "LIMIT", "GROUP", "DB",
		"REPLACE", "ASC", "BLOCK", "0", "1", "2", "3", "-1", "01", "+1", "1x", "", "*", "key:1", "key:2",
	}
	args := slices.Clone(line.args)
	first := 1 + strings.Count(command.Lookup(line.asBytes()).Name, " ")
	for range 1 + random.IntN(3) {
		word := words[random.IntN(len(words))]
		at := first
		if len(args) > first {
			at += random.IntN(len(args) - first)
		}
		switch random.IntN(4) {
		case 0:
			args = slices.Insert(args, at, word)
		case 1:
			if len(args) > first {
				args = slices.Delete(args, at, at+1)
			}
		default:
			if len(args) > first {
				args[at] = word
			}
		}
	}
	line.args = args
	return line
}
