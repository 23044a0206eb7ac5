package integration_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sessiongate/command"
)

// noSample says why a write of the server's has no sample in TestTable_Expiry.
var noSample = map[string]string{
	"PFDEBUG": "for the server's own tests",
}

// trial is one line run in one situation: what PTTL said of its keys before and after.
type trial struct {
	spec          *command.Spec
	line          sample
	refs          []command.Ref
	before, after []int
	moved         bool // a key came to be in another database
	reply         string
}

// evidence is what trials of one command have shown so far.
type evidence struct {
	succeeded bool
	created   bool // a key without expiry
	cleared   bool // an expiry is gone
	carried   bool // an expiry came with the key
	set       bool // an expiry was set as the arguments say
}

// Every write does to the expiry of keys what its row says, whether they exist, with or without one, or not; and it
// touches no key that its row doesn't find.
func TestTable_Expiry(t *testing.T) {
	t.Parallel()
	s := startTableServer(t)
	for _, spec := range command.All() {
		_, known := s.docs[spec.RedisName()]
		if !known || spec.Names == nil || spec.Flags&(command.Container|command.Admin) != 0 ||
			spec.State != command.Plain && spec.State != command.Blocks {
			continue
		}
		var seen evidence
		for _, line := range s.samples(spec) {
			for _, by := range states {
				if len(by) > max(len(line.keys), 1) {
					continue
				}
				tr := s.try(spec, line, by)
				tr.judge(t, &seen)
			}
		}
		if spec.Flags&(command.Write|command.Script) == 0 || noSample[spec.Name] != "" {
			continue
		}
		if missing := seen.missing(spec); missing != "" {
			t.Errorf("%s: no sample %s", spec.Name, missing)
		}
	}
}

// try runs a line whose keys are as by says.
func (s *tableServer) try(spec *command.Spec, line sample, by []state) trial {
	s.t.Helper()
	s.prepare(line, fixtureOf(spec, s.group(spec)), by)
	if slices.Contains(line.args, s.texts["MIGRATE port"]) {
		s.peer.want(ok, "FLUSHALL")
	}
	tr := trial{spec: spec, line: line, before: ttls(s.conn, line)}
	if refs, ok := spec.Names(line.asBytes(), nil); ok {
		tr.refs = refs
	}
	tr.reply = s.run(spec, line)
	tr.after = ttls(s.conn, line)
	// Samples name one other database, if any: see sampleTexts.
	leaves := spec.Expiry.DB == command.DBAtTwo || spec.Expiry.DB == command.DBOption && line.has("DB")
	for i, elsewhere := range ttls(s.other, line) {
		if elsewhere == gone {
			continue
		}
		isOut := slices.ContainsFunc(tr.refs, func(r command.Ref) bool { return r.Kind == command.Out && tr.keyAt(r) == i })
		if !leaves || !isOut {
			s.t.Errorf("%s: wrote %s in the other database", line, line.keys[i])
		}
		tr.after[i], tr.moved = elsewhere, true
	}
	for _, key := range s.list("KEYS", "*") {
		if !slices.Contains(line.keys, key) {
			s.t.Errorf("%s: wrote %q, which is no name", line, key)
		}
	}
	return tr
}

// keyAt returns which of the line's keys a name is, or -1.
func (tr *trial) keyAt(ref command.Ref) int { return slices.Index(tr.line.keys, tr.line.args[ref.Arg]) }

const (
	none = -1 // no expiry
	gone = -2 // no key
)

// near says that an expiry is still the same.
func near(a, b int) bool { return a == b || a > 0 && b > 0 && max(a, b)-min(a, b) < 30_000 }

func (tr *trial) judge(t *testing.T, seen *evidence) {
	t.Helper()
	failed := tr.reply[0] == '-'
	seen.succeeded = seen.succeeded || !failed
	seen.carried = seen.carried || tr.moved
	written := make([]bool, len(tr.line.keys))
	for _, ref := range tr.refs {
		i := tr.keyAt(ref)
		if i < 0 {
			continue
		}
		written[i] = written[i] || ref.Kind == command.Out && !failed
	}
	for i := range tr.line.keys {
		before, after := tr.before[i], tr.after[i]
		if near(before, after) || written[i] && tr.fits(before, after, seen) || !written[i] && after == gone && !failed {
			continue
		}
		t.Errorf("%s: PTTL of %s was %d and is %d; the reply is %s", tr.line, tr.line.keys[i], before, after, shorten(tr.reply))
	}
	if !failed {
		tr.settled(t, written)
	}
}

// fits reports whether a changed expiry is what the row promises for a key that is written.
func (tr *trial) fits(before, after int, seen *evidence) bool {
	asked, has := tr.asked()
	switch tr.spec.Expiry.Effect {
	case command.Creates:
		seen.created = seen.created || after == none
		return before == gone && after == none || after == gone
	case command.Clears:
		seen.cleared = seen.cleared || before > 0 && after == none
		return after == none || after == gone
	case command.Carries:
		seen.carried = seen.carried || after > 0
		seen.cleared = seen.cleared || after == none
		return true
	case command.SetOpts:
		seen.set, seen.cleared = seen.set || has, seen.cleared || before > 0 && after == none
		if has {
			return near(after, asked)
		}
		return after == none // a key that is new or was set anew
	case command.GetOpts, command.Sets, command.Moves:
		seen.set = true
		return has && near(after, asked) && (before != gone || tr.spec.Expiry.Effect == command.Sets)
	case command.Removes:
		seen.cleared = seen.cleared || before > 0 && after == none
		return after == none && before != gone
	case command.Anything:
		seen.created = seen.created || after == none
		return true
	}
	return after == gone
}

// settled checks what must not stay the same: SET without an option for it clears an expiry, and one asked for is set.
func (tr *trial) settled(t *testing.T, written []bool) {
	t.Helper()
	conditional := tr.line.has("NX") || tr.line.has("XX") || tr.line.has("GT") || tr.line.has("LT")
	asked, has := tr.asked()
	for i, w := range written {
		if !w || conditional || tr.after[i] == gone {
			continue
		}
		switch tr.spec.Expiry.Effect {
		case command.Clears, command.Removes:
			if tr.after[i] != none {
				t.Errorf("%s: %s keeps an expiry", tr.line, tr.line.keys[i])
			}
		case command.SetOpts:
			if !has && !tr.line.has("KEEPTTL") && tr.after[i] != none {
				t.Errorf("%s: %s keeps an expiry", tr.line, tr.line.keys[i])
			}
		}
		if has && !near(tr.after[i], asked) {
			t.Errorf("%s: PTTL of %s is %d, %d was asked for", tr.line, tr.line.keys[i], tr.after[i], asked)
		}
	}
}

// asked returns the expiry that the arguments ask for, in milliseconds from now; none when they ask for its removal.
func (tr *trial) asked() (ms int, has bool) {
	e, args := tr.spec.Expiry, tr.line.args
	unit := e.Unit
	at := e.Arg
	switch e.Effect {
	case command.Sets, command.Moves:
	case command.SetOpts, command.GetOpts:
		if tr.line.has("PERSIST") {
			return none, true
		}
		options := map[string]command.Unit{
			"EX": command.Seconds, "PX": command.Millis, "EXAT": command.UnixSecs, "PXAT": command.UnixMilli,
		}
		at = 0
		for i := e.Arg; i+1 < len(args); i++ {
			if u, found := options[args[i]]; found {
				at, unit = i+1, u
			}
		}
		if at == 0 {
			return 0, false
		}
	default:
		return 0, false
	}
	n, _ := strconv.Atoi(args[at])
	now := int(time.Now().UnixMilli())
	switch unit {
	case command.Seconds:
		return n * 1000, true
	case command.Millis:
		return n, true
	case command.UnixSecs:
		return n*1000 - now, true
	}
	return n - now, true
}

// missing says what has not been seen of a row that ought to be there.
func (e evidence) missing(spec *command.Spec) string {
	switch effect := spec.Expiry.Effect; {
	case !e.succeeded:
		return "succeeds"
	case (effect == command.Creates || effect == command.Anything) && !e.created:
		return "makes a key without expiry"
	case (effect == command.Clears || effect == command.SetOpts || effect == command.Removes) && !e.cleared:
		return "clears an expiry"
	case effect == command.Carries && !e.carried:
		return "brings an expiry along"
	case (effect == command.SetOpts || effect == command.GetOpts || effect == command.Sets || effect == command.Moves) && !e.set:
		return "sets an expiry"
	}
	return ""
}

// An expiry of zero or in the past is an error where the row says Sets, and deletes where it says Moves.
func TestTable_PastExpiry(t *testing.T) {
	t.Parallel()
	s := startTableServer(t)
	for _, spec := range command.All() {
		e := spec.Expiry
		if e.Effect != command.Sets && e.Effect != command.Moves {
			continue
		}
		line := s.samples(spec)[0]
		for _, past := range []string{"0", "-1", "1"} {
			if past == "1" && (e.Unit == command.Seconds || e.Unit == command.Millis) {
				continue
			}
			tr := s.try(spec, line.with(e.Arg, past), []state{volatile})
			switch failed := tr.reply[0] == '-'; {
			case e.Effect == command.Sets && (!failed || !near(tr.after[0], ttlOf(0))):
				t.Errorf("%s: PTTL is %d, the reply %s, want an error", tr.line, tr.after[0], shorten(tr.reply))
			case e.Effect == command.Moves && (failed || tr.after[0] != gone):
				t.Errorf("%s: PTTL is %d, the reply %s, want a deletion", tr.line, tr.after[0], shorten(tr.reply))
			}
		}
	}
}

// What a row becomes stores the same, with an expiry, and its reply turned back is the same.
func TestTable_Becomes(t *testing.T) {
	t.Parallel()
	s := startTableServer(t)
	for _, spec := range command.All() {
		shape := spec.Expiry.Becomes
		if shape == nil {
			continue
		}
		for _, line := range s.samples(spec) {
			for _, by := range [][]state{{missing}, {volatile}} {
				want := s.try(spec, line, by)
				value := s.do("GET", line.keys[0])

				other := line
				other.args = append([]string{shape.Word}, line.args[1:]...)
				if shape.Tail != "" {
					other.args = append(other.args, shape.Tail)
				}
				other.args = append(other.args, "PX", "500000")
				got := s.try(command.ByName(shape.Word), other, by)
				if shape.Reply == command.OKIsOne {
					got.reply = map[string]string{ok: one, null: zero}[got.reply]
				}
				if got.reply != want.reply {
					t.Errorf("%s: %s, as %s: %s", line, shorten(want.reply), other, shorten(got.reply))
				}
				if stored := s.do("GET", line.keys[0]); stored != value {
					t.Errorf("%s stores %s, as %s: %s", line, shorten(value), other, shorten(stored))
				}
				changed := !near(want.before[0], want.after[0]) || spec.Expiry.Effect == command.Keeps && want.before[0] != gone
				if asked := 500_000; changed && !near(got.after[0], asked) || !changed && !near(got.after[0], want.after[0]) {
					t.Errorf("%s: PTTL is %d, want the expiry asked for", other, got.after[0])
				}
			}
		}
	}
}

// Every argument that a write puts into a key is a value by its row.
func TestTable_Values(t *testing.T) {
	t.Parallel()
	s := startTableServer(t)
	random := rand.New(rand.NewPCG(3, 4))
	for _, spec := range command.All() {
		if _, known := s.docs[spec.RedisName()]; !known || spec.Names == nil || !runs(spec) || spec.Flags&command.Write == 0 {
			continue
		}
		stored := false
		list := s.samples(spec)
		for _, line := range list[:min(len(list), 30)] {
			for i, g := range line.from {
				if g.kind == "" || g.isKey {
					continue
				}
				mark := make([]byte, 150)
				for j := range mark {
					mark[j] = byte('a' + random.IntN(26))
				}
				for _, by := range [][]state{{volatile}, {missing}, {volatile, missing}} {
					tr := s.try(spec, line.with(i, string(mark)), by)
					if tr.reply[0] == '-' {
						continue
					}
					for _, key := range line.keys {
						if !strings.Contains(s.do("DUMP", key), string(mark)) {
							continue
						}
						stored = true
						if !isValue(spec.Values, i) {
							t.Errorf("%s: argument %d (%s) is stored, the row doesn't say so", line, i, g.name)
						}
					}
				}
			}
		}
		if how := spec.Values.Grow; !stored && spec.Name != "SMOVE" && // which only moves what is there
			(how == command.Stored || how == command.Append || how == command.AtOffset) {
			t.Errorf("%s: the row has values, but no sample stores one", spec.Name)
		}
	}
}

func isValue(v command.Values, i int) bool {
	return v.Grow != command.NoValue && (i == v.First || v.Step > 0 && i > v.First && (i-v.First)%v.Step == 0)
}

// A reply that holds what is stored, or the name of a key, is of a kind that says so.
func TestTable_Replies(t *testing.T) {
	t.Parallel()
	s := startTableServer(t)
	for _, spec := range command.All() {
		if _, known := s.docs[spec.RedisName()]; !known || !runs(spec) || spec.Flags&command.Script != 0 {
			continue
		}
		hadName, hadValue := false, false
		for _, line := range s.samples(spec) {
			line.keys = append(slices.Clone(line.keys), "key:9") // for those that take no key
			s.prepare(line, fixtureOf(spec, s.group(spec)), []state{volatile})
			reply := s.run(spec, line)
			if reply[0] == '-' || spec.Reply == command.CommandTable {
				continue
			}
			if strings.Contains(reply, "key:") {
				hadName = true
				if !holdsNames(spec.Reply) {
					t.Errorf("%s: a key is in the reply %s", line, shorten(reply))
				}
			}
			if strings.Contains(reply, storedText) {
				hadValue = true
				if !spec.Reply.HoldsValues() {
					t.Errorf("%s: a value is in the reply %s", line, shorten(reply))
				}
			}
		}
		if holdsNames(spec.Reply) && !hadName && s.group(spec) != "pubsub" {
			t.Errorf("%s: no sample has a name in its reply", spec.Name)
		}
		if spec.Reply.HoldsValues() && !hadValue {
			t.Errorf("%s: no sample has a value in its reply", spec.Name)
		}
	}
}

func holdsNames(r command.Reply) bool {
	switch r {
	case command.KeyArray, command.OneKey, command.CursorKeys, command.FirstIsKey, command.Streams, command.NameCounts:
		return true
	}
	return false
}

// A row says NoTouch if and only if Redis takes the command for no access of the keys that it names as In, or deletes them. How
// often a key was accessed shows where it is counted to decide what to evict.
func TestTable_NoTouch(t *testing.T) {
	t.Parallel()
	s := startTableServer(t)
	s.want(ok, "CONFIG", "SET", "maxmemory-policy", "allkeys-lfu", "lfu-log-factor", "0", "lfu-decay-time", "0")
	for _, spec := range command.All() {
		if _, known := s.docs[spec.RedisName()]; !known || spec.Names == nil || !runs(spec) || spec.State != command.Plain ||
			spec.Flags&(command.Read|command.Write) == 0 || spec.Flags&(command.Script|command.Admin) != 0 {
			continue
		}
		touches, reads := false, false
		for _, line := range s.samples(spec) {
			refs, _ := spec.Names(line.asBytes(), nil)
			s.prepare(line, fixtureOf(spec, s.group(spec)), []state{persistent})
			before := map[string]string{}
			for _, ref := range refs {
				if ref.Kind == command.In {
					before[line.args[ref.Arg]] = s.do("OBJECT", "FREQ", line.args[ref.Arg])
				}
			}
			if s.run(spec, line)[0] == '-' {
				continue
			}
			for key, was := range before {
				reads = true
				is := s.do("OBJECT", "FREQ", key)
				touched := is[0] == ':' && is != was
				if touches = touches || is != was; touched && spec.Flags&command.NoTouch != 0 {
					t.Errorf("%s is an access of %s, the row says it is none", line, key)
				}
			}
		}
		if reads && !touches && spec.Flags&command.NoTouch == 0 {
			t.Errorf("%s: no sample is an access of its keys, the row says it is one", spec.Name)
		}
	}
}
