package policy

import "testing"

func TestReads_afterWrite(t *testing.T) {
	p := mustNew(t, Config{Rules: []RuleConfig{{Reads: &ReadsConfig{From: "replica"}}}})
	var written Written
	var plan Plan
	decide := func(line string, tick int64) bool {
		r := request(t, words(line))
		r.Written, r.Tick = &written, tick
		p.Decide(r, &plan)
		for _, m := range plan.Marks {
			if m.Written {
				written.Note(m.Key, tick)
			}
		}
		return plan.Replica
	}
	for _, step := range []struct {
		line    string
		tick    int64
		replica bool
	}{
		{"GET a", 1000, true},
		{"SET a v", 1000, false},
		{"GET a", 1001, false},
		{"GET b", 1001, true},
		{"MGET a b", 1400, false},
		{"GET a", 1499, false},
		{"GET a", 1502, true},
		{"MSET a 1 b 2", 2000, false},
		{"GET b", 2100, false},
		{"GET b", 2600, true},
	} {
		if got := decide(step.line, step.tick); got != step.replica {
			t.Errorf("%s at %d: by a replica %v, want %v", step.line, step.tick, got, step.replica)
		}
	}
}

func TestWritten_neverOlder(t *testing.T) {
	var w Written
	w.Note(7, 5000)
	w.Note(7, 4000) // late news
	w.Note(7+places, 4500)
	for _, each := range []struct {
		key, tick uint64
		want      bool
	}{{7, 5100, true}, {7 + places, 5100, true}, {7, 5502, false}, {8, 5100, false}} {
		if got := w.within(each.key, int64(each.tick), 500); got != each.want {
			t.Errorf("key %d at %d: %v, want %v", each.key, each.tick, got, each.want)
		}
	}
}
