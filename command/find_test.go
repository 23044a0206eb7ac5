package command

import (
	"fmt"
	"strings"
	"testing"
)

// words splits a line at spaces; ” is an empty argument, ~ a zero byte.
func words(line string) [][]byte {
	var args [][]byte
	for _, w := range strings.Fields(line) {
		w = strings.ReplaceAll(strings.ReplaceAll(w, "''", ""), "~", "\x00")
		args = append(args, []byte(w))
	}
	return args
}

// show writes refs as their kind's initial and index: "in 1", "out 2".
func show(refs []Ref) string {
	kinds := [...]string{In: "in", Out: "out", Glob: "glob", Sub: "sub", Channel: "channel", ChannelGlob: "channels"}
	list := make([]string, len(refs))
	for i, r := range refs {
		list[i] = fmt.Sprintf("%s %d", kinds[r.Kind], r.Arg)
	}
	return strings.Join(list, ", ")
}

const refused = "refused"

func TestNames(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"GET k", "in 1"},
		{"GET", refused},
		{"SET k v EX 10", "out 1"},
		{"OBJECT ENCODING k", "in 2"},
		{"OBJECT ENCODING", refused},
		{"MEMORY USAGE k SAMPLES 5", "in 2"},
		{"XGROUP CREATE k g $ MKSTREAM", "out 2"},
		{"RENAME a b", "in 1, out 2"},
		{"COPY a b DB 3 REPLACE", "in 1, out 2"},
		{"LCS a b LEN", "in 1, in 2"},

		{"DEL a b c", "in 1, in 2, in 3"},
		{"BLPOP a b 0", "in 1, in 2"},
		{"JSON.MGET a b $", "in 1, in 2"},
		{"MSET a 1 b 2", "out 1, out 3"},
		{"MSET a 1 b", refused},
		{"TS.MADD a 1 2 b 3 4", "out 1, out 4"},
		{"TS.MADD a 1 2 b 3", refused},
		{"BITOP AND d a b", "out 2, in 3, in 4"},
		{"PFMERGE d", "out 1"},
		{"SUNIONSTORE d a b", "out 1, in 2, in 3"},
		{"GEOSEARCHSTORE d s FROMMEMBER m BYRADIUS 1 m STOREDIST", "out 1, in 2"},

		{"ZUNION 2 a b WITHSCORES", "in 2, in 3"},
		{"ZUNION 0 a b", refused},
		{"ZUNION 3 a b", refused},
		{"ZUNION -1 a b", refused},
		{"ZUNION +1 a b", refused},
		{"ZUNION 01 a b", refused},
		{"ZUNION 1x a b", refused},
		{"ZUNION '' a b", refused},
		{"ZUNION 99999999999999999999 a b", refused},
		{"ZUNION 18446744073709551617 a b", refused}, // 1, were it to wrap around
		{"ZUNIONSTORE d 2 a b WEIGHTS 1 2", "out 1, in 3, in 4"},
		{"ZUNIONSTORE d 2 a", refused},
		{"BLMPOP 0 2 a b LEFT", "in 3, in 4"},
		{"SINTERCARD 1 a LIMIT 2", "in 2"},
		{"MSETEX 2 a 1 b 2 EX 10", "out 2, out 4"},
		{"MSETEX 2 a 1 b", refused},
		{"EVAL s 0", ""},
		{"EVAL s 0 x", ""},
		{"EVAL s 2 a b x", "out 3, out 4"},
		{"EVAL s 3 a b", refused},
		{"EVAL s -1 a", refused},
		{"EVAL s a", refused},
		{"EVAL_RO s 1 a", "in 3"},

		{"XREAD STREAMS a b 0 0", "in 2, in 3"},
		{"XREAD COUNT 1 BLOCK 0 streams a 0", "in 6"},
		{"XREAD STREAMS streams 0", "in 2"},
		{"XREAD COUNT STREAMS STREAMS a 0", "in 4"}, // COUNT takes what follows
		{"XREAD STREAMS a b 0", refused},
		{"XREAD STREAMS", refused},
		{"XREAD COUNT 1", refused},
		{"XREAD UNKNOWN STREAMS a 0", refused},
		{"XREADGROUP GROUP STREAMS c NOACK STREAMS a >", "in 6"},
		{"XREADGROUP GROUP g c CLAIM 10 STREAMS a >", "in 7"},

		{"SORT k", "in 1"},
		{"SORT k BY w_* GET # GET o_*->f GET x LIMIT 0 1 ASC ALPHA", "in 1, sub 3, sub 7"},
		{"SORT k BY nosort", "in 1"},
		{"SORT k STORE d", "in 1, out 3"},
		{"SORT k STORE c STORE d", "in 1, in 3, out 5"},
		{"SORT k GET STORE STORE d", "in 1, out 5"},
		{"SORT k STORE~x d", "in 1, out 3"},
		{"SORT k LIMIT STORE d", "in 1"}, // an error, but not one of syntax
		{"SORT k LIMIT 1", refused},
		{"SORT k STORE", refused},
		{"SORT k STORED d", refused},
		{"SORT_RO k GET w_*", "in 1, sub 3"},
		{"SORT_RO k STORE d", refused},

		{"GEORADIUS k 1 2 3 m", "in 1"},
		{"GEORADIUS k 1 2 3 m WITHDIST COUNT 3 ANY ASC STORE d", "in 1, out 12"},
		{"GEORADIUS k 1 2 3 m STORE c STOREDIST d", "in 1, in 7, out 9"},
		{"GEORADIUS k 1 2 3 m COUNT STORE d", refused},
		{"GEORADIUS k 1 2 3 m STORE", refused},
		{"GEORADIUSBYMEMBER k m 3 m STOREDIST d", "in 1, out 6"},
		{"GEORADIUSBYMEMBER_RO k m 3 m", "in 1"},

		{"MIGRATE h 1 k 0 5", "in 3"},
		{"MIGRATE h 1 k 0 5 COPY REPLACE AUTH KEYS", "in 3"},
		{"MIGRATE h 1 '' 0 5 AUTH2 u KEYS KEYS a b", "in 10, in 11"},
		{"MIGRATE h 1 k 0 5 KEYS a", refused},
		{"MIGRATE h 1 '' 0 5 AUTH", refused},
		{"MIGRATE h 1 '' 0 5 AUTH2 u", refused},

		{"KEYS s:*", "glob 1"},
		{"SCAN 0", ""},
		{"SCAN 0 MATCH a COUNT 10 match b TYPE hash", "glob 3, glob 7"},
		{"SCAN 0 MATCH", refused},
		{"SCAN 0 OTHER 1", refused},

		{"PUBLISH c m", "channel 1"},
		{"SUBSCRIBE a b", "channel 1, channel 2"},
		{"UNSUBSCRIBE", ""},
		{"PSUBSCRIBE a* b", "channels 1, channels 2"},
		{"PUBSUB CHANNELS", ""},
		{"PUBSUB CHANNELS a*", "channels 2"},
		{"PUBSUB CHANNELS a* b", refused},
		{"PUBSUB NUMSUB a b", "channel 2, channel 3"},
		{"CLIENT TRACKING ON BCAST PREFIX a PREFIX b NOLOOP", "in 5, in 7"},
		{"CLIENT TRACKING ON REDIRECT PREFIX", ""},
		{"CLIENT TRACKING ON PREFIX", refused},
		{"CLIENT TRACKING ON OTHER", refused},
	} {
		t.Run(tt.line, func(t *testing.T) {
			args := words(tt.line)
			refs, ok := Lookup(args).Names(args, nil)
			got := show(refs)
			if !ok {
				got = refused
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestSpec_Narrow(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"SCAN 0", "MATCH"},
		{"SCAN 0 COUNT 5", "MATCH"},
		{"SCAN 0 MATCH a*", "no"},
		{"KEYS a*", "no"},
		{"RANDOMKEY", "no"},
		{"PUBSUB CHANNELS", ""},
		{"PUBSUB CHANNELS a*", "no"},
		{"CLIENT TRACKING ON BCAST", "PREFIX"},
		{"CLIENT TRACKING ON BCAST PREFIX a", "no"},
		{"CLIENT TRACKING ON", "no"},
	} {
		args := words(tt.line)
		spec := Lookup(args)
		var refs []Ref
		if spec.Names != nil {
			refs, _ = spec.Names(args, nil)
		}
		got := "no"
		if n := spec.Narrow(args, refs); n != nil {
			got = n.Word
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.line, got, tt.want)
		}
	}
}

func TestSpec_MayBlock(t *testing.T) {
	for line, want := range map[string]bool{
		"BLPOP k 0":                  true,
		"WAIT 1 0":                   true,
		"LPOP k":                     false,
		"XREAD STREAMS k 0":          false,
		"XREAD BLOCK 0 STREAMS k $":  true,
		"XREAD COUNT BLOCK STREAMS":  false,
		"XREAD STREAMS BLOCK 0":      false,
		"XREADGROUP GROUP BLOCK c X": false,
	} {
		args := words(line)
		if got := Lookup(args).MayBlock(args); got != want {
			t.Errorf("%s: got %v, want %v", line, got, want)
		}
	}
}

func TestIsWord(t *testing.T) {
	for arg, want := range map[string]bool{
		"EX": true, "ex": true, "eX": true, "ex\x00": true, "ex\x00 10": true,
		"": false, "E": false, "EXAT": false, "\x00EX": false, "E\x00X": false,
	} {
		if got := IsWord([]byte(arg), "EX"); got != want {
			t.Errorf("%q: got %v, want %v", arg, got, want)
		}
	}
}

// Whatever the arguments: no panic, names in range and never the command's own word, and no allocation.
func FuzzFind(f *testing.F) {
	for _, line := range []string{
		"GET k", "MSET a 1 b 2", "ZUNIONSTORE d 2 a b", "EVAL s 0", "XREAD COUNT 1 STREAMS a 0", "SORT k BY w_* STORE d",
		"GEORADIUS k 1 2 3 m STORE d", "MIGRATE h 1 '' 0 5 KEYS a b", "SCAN 0 MATCH a", "CLIENT TRACKING ON PREFIX a", "BLPOP a 0",
	} {
		f.Add(strings.ReplaceAll(line, "''", ""), uint16(Lookup(words(line)).ID))
	}
	dst := make([]Ref, 0, 1024)
	f.Fuzz(func(t *testing.T, line string, row uint16) {
		spec := specs[int(row)%Len()]
		var args [][]byte
		for _, w := range strings.Split(line, " ") {
			args = append(args, []byte(w))
		}
		spec.MayBlock(args)
		if spec.Names == nil || len(args) > cap(dst) {
			return
		}
		refs, _ := spec.Names(args, dst)
		for _, r := range refs {
			if r.Arg < 1 || r.Arg >= len(args) {
				t.Errorf("%s %q: name at %d of %d", spec.Name, args, r.Arg, len(args))
			}
		}
		if allocs := testing.AllocsPerRun(1, func() { spec.Names(args, dst) }); allocs > 0 {
			t.Errorf("%s %q: %v allocations", spec.Name, args, allocs)
		}
	})
}
