package command

import "testing"

func TestSpec_Timeout(t *testing.T) {
	for _, each := range []struct {
		line string
		at   int
		unit Unit
	}{
		{"BLPOP a b 5", 3, Seconds},
		{"BLMOVE a b LEFT RIGHT 5", 5, Seconds},
		{"BRPOPLPUSH a b 5", 3, Seconds},
		{"BLMPOP 5 1 a LEFT", 1, Seconds},
		{"BZMPOP 5 1 a MIN", 1, Seconds},
		{"BZPOPMIN a 5", 2, Seconds},
		{"XREAD COUNT 1 BLOCK 500 STREAMS a 0", 4, Millis},
		{"XREADGROUP GROUP BLOCK BLOCK BLOCK 500 STREAMS a >", 5, Millis},
		{"XREAD BLOCK 1 BLOCK 2 STREAMS a 0", 4, Millis},
		{"XREAD STREAMS a 0", 0, Millis},
	} {
		args := words(each.line)
		if at, unit := Lookup(args).Timeout(args); at != each.at || unit != each.unit {
			t.Errorf("%s: argument %d in unit %d, want %d in %d", each.line, at, unit, each.at, each.unit)
		}
	}
}

// A command in parts is its keys, each with as many arguments behind it: that is how it is taken apart.
func TestTable_split(t *testing.T) {
	for _, spec := range All() {
		if spec.Split == Together {
			continue
		}
		args := words(spec.Name + " a b c d")
		names, ok := spec.Names(args, nil)
		if !ok || (len(args)-1)%len(names) != 0 {
			t.Errorf("%s: names %v", spec.Name, names)
			continue
		}
		step := (len(args) - 1) / len(names)
		for i, name := range names {
			if name.Arg != 1+i*step || name.Kind > Out {
				t.Errorf("%s: names %v", spec.Name, names)
			}
		}
	}
}
