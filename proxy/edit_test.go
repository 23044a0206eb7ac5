package proxy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"

	"sessiongate/command"
	"sessiongate/policy"
	"sessiongate/resp"
)

// editing returns a session that edits replies for a tenant with the namespace, and nothing else.
func editing(t testing.TB, namespace string, proto int) *Session {
	t.Helper()
	p, err := policy.New(policy.Config{Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	srv := &Server{log: zap.NewNop(), sessions: map[int64]*Session{}}
	srv.refused.log = srv.log
	return &Session{srv: srv, flight: &flight{policy: p}, proto: proto, tenant: plainTenant(p, nil)}
}

func TestShow(t *testing.T) {
	tests := []struct {
		name, raw, want string
		edit            command.Reply
		proto           int
	}{
		{"opaque", "$5\r\napp:a\r\n", "$5\r\napp:a\r\n", command.Opaque, 2},
		{"keys", "*2\r\n$5\r\napp:a\r\n$4\r\napp:\r\n", "*2\r\n$1\r\na\r\n$0\r\n\r\n", command.KeyArray, 2},
		{"no keys", "*0\r\n", "*0\r\n", command.KeyArray, 2},
		{"set of keys", "~1\r\n$5\r\napp:a\r\n", "~1\r\n$1\r\na\r\n", command.KeyArray, 3},
		{"foreign key", "*1\r\n$5\r\nold:a\r\n", "-ERR reply withheld: unexpected shape\r\n", command.KeyArray, 2},
		{"scan", "*2\r\n$1\r\n0\r\n*1\r\n$5\r\napp:a\r\n", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n", command.CursorKeys, 2},
		{"pop", "*2\r\n$5\r\napp:a\r\n$1\r\nv\r\n", "*2\r\n$1\r\na\r\n$1\r\nv\r\n", command.FirstIsKey, 2},
		{"pop nothing", "*-1\r\n", "*-1\r\n", command.FirstIsKey, 2},
		{"pop nothing in RESP3", "_\r\n", "_\r\n", command.FirstIsKey, 3},
		{"streams", "*1\r\n*2\r\n$5\r\napp:a\r\n*0\r\n", "*1\r\n*2\r\n$1\r\na\r\n*0\r\n", command.Streams, 2},
		{"streams in RESP3", "%1\r\n$5\r\napp:a\r\n*0\r\n", "%1\r\n$1\r\na\r\n*0\r\n", command.Streams, 3},
		{"set", "+OK\r\n", ":1\r\n", command.OKIsOne, 2},
		{"not set", "$-1\r\n", ":0\r\n", command.OKIsOne, 2},
		{"not set in RESP3", "_\r\n", ":0\r\n", command.OKIsOne, 3},
		{"error", "-NOGROUP No such key 'app:a' or group\r\n", "-NOGROUP No such key 'a' or group\r\n", command.Opaque, 2},
		{"blob error", "!11\r\nERR 'app:a'\r\n", "!7\r\nERR 'a'\r\n", command.Opaque, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := editing(t, "app:", tt.proto)
			got := s.show(nil, []byte(tt.raw), &slot{edit: tt.edit, spec: command.ByName("KEYS")})
			if string(got) != tt.want {
				t.Errorf("show(%q) = %q, want %q", tt.raw, got, tt.want)
			}
		})
	}
}

// The namespace is taken out of errors where Redis quotes a name. Scripts have names anywhere, and so may commands that only the
// operator knows. Neither the kind of the reply nor the code of the error is ever touched.
func TestAppendError(t *testing.T) {
	command.Extend([]command.Extra{{Name: "edit.custom", Keys: command.KeyRange{First: 1, Last: 1, Step: 1}}})
	for _, tt := range []struct{ prefix, name, raw, want string }{
		{"app:", "GET", "-ERR no app:k\r\n", "-ERR no app:k\r\n"},
		{"key", "XACK", "-WRONGTYPE Operation against a key\r\n", "-WRONGTYPE Operation against a key\r\n"},
		{"key", "XACK", "-NOGROUP No such key 'keyk'\r\n", "-NOGROUP No such key 'k'\r\n"},
		{"app:", "XACK", "-NOGROUP No such key 'app:app:k'\r\n", "-NOGROUP No such key 'app:k'\r\n"},
		{"-", "XACK", "-NOGROUP No such key '-k' or group\r\n", "-NOGROUP No such key 'k' or group\r\n"},
		{"-", "XACK", "!26\r\nNOGROUP No such key '-k' -\r\n", "!25\r\nNOGROUP No such key 'k' -\r\n"},
		{"-ERR", "GET", "-ERR wrong\r\n", "-ERR wrong\r\n"},
		{"key:", "XACK", "-ERR a key: 'key:a'\r\n", "-ERR a key: 'a'\r\n"},
		{"app", "EVAL", "-E appk is gone\r\n", "-E k is gone\r\n"},
		{"app", "EVAL", "-appk\r\n", "-k\r\n"},
		{"-", "EVAL", "-ERR -k script: f\r\n", "-ERR k script: f\r\n"},
		{"E", "FCALL", "-ERR Ek\r\n", "-ERR k\r\n"},
		{"app:", "EDIT.CUSTOM", "-ERR app:idx: no such index\r\n", "-ERR idx: no such index\r\n"},
		{"ERR", "EDIT.CUSTOM", "-ERR 'ERRk'\r\n", "-ERR 'k'\r\n"},
	} {
		spec := command.ByName(tt.name)
		if got := string(editing(t, tt.prefix, 2).appendError(nil, []byte(tt.raw), spec)); got != tt.want {
			t.Errorf("%s under %q: %q becomes %q, want %q", tt.name, tt.prefix, tt.raw, got, tt.want)
		}
	}
}

// INFO under a namespace tells nothing of what databases hold, in whatever section.
func TestInfo_databases(t *testing.T) {
	s := editing(t, "app:", 2)
	for _, tt := range []struct{ info, want string }{
		{"# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n", "# Keyspace\r\n"},
		{"# Keysizes\r\ndb0_distrib_strings_sizes:1=7\r\n", ""},
		{"# Keysizes\r\n", ""},
		{"# Stats\r\na:1\r\n\r\n# Keyspace\r\ndb0:keys=1\r\ndb12:keys=2\r\n\r\n# Keysizes\r\ndb0_distrib_lists_items:1=7\r\ndb12_x:1\r\n",
			"# Stats\r\na:1\r\n\r\n# Keyspace\r\n"},
		{"# Keysizes\r\ndb0_distrib_sets_items:1=7\r\n\r\n# Debug\r\ndbx:1\r\n", "# Debug\r\ndbx:1\r\n"},
	} {
		got, err := s.info(nil, fmt.Appendf(nil, "$%d\r\n%s\r\n", len(tt.info), tt.info), nil)
		if want := fmt.Sprintf("$%d\r\n%s\r\n", len(tt.want), tt.want); err != nil || string(got) != want {
			t.Errorf("%q becomes %q, %v, want %q", tt.info, got, err, want)
		}
	}
}

// A value in an error is a value above the limit all the same. What Redis itself says of a script is not that long.
func TestOverError(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, tt := range []struct {
		name, raw string
		limit     int64
		want      int64
	}{
		{"EVAL", "-X " + long + "\r\n", 100, 302},
		{"EVAL", "-X " + long + "\r\n", 400, 0},
		{"EVAL", "-X " + long + "\r\n", 0, 0},
		{"EVAL", "-NOSCRIPT No matching script. Please use EVAL.\r\n", 10, 0},
		{"EVALSHA", "*2\r\n:1\r\n*1\r\n-X " + long + "\r\n", 100, 302},
		{"EVALSHA", "*2\r\n:-1\r\n*1\r\n+X " + long + "\r\n", 100, 0},
		{"GET", "-X " + long + "\r\n", 100, 0},
	} {
		if got := overError([]byte(tt.raw), &slot{spec: command.ByName(tt.name), limit: tt.limit}); got != tt.want {
			t.Errorf("%s %q, limit %d: got %d, want %d", tt.name, tt.raw, tt.limit, got, tt.want)
		}
	}
}

// Flags are added once, in time that is linear in what is given.
func TestMerge(t *testing.T) {
	for _, tt := range []struct{ have, more, want string }{
		{"", "KEA", "KEA"}, {"AK", "KE", "AKE"}, {"AKE", "KKKEEE", "AKE"}, {"A", "", "A"}, {"", "Kq\xffq", "Kq\xff"},
	} {
		if got := merge(tt.have, []byte(tt.more)); got != tt.want {
			t.Errorf("merge(%q, %q) = %q, want %q", tt.have, tt.more, got, tt.want)
		}
	}
	var many strings.Builder
	for r := range rune(40000) {
		many.WriteRune(r)
	}
	if got := merge("KEA", []byte(many.String())); len(got) > 256 {
		t.Errorf("%d bytes of flags", len(got))
	}
}

// Whatever the upstream says, an editor makes one whole value of it or an error, shows no name with the namespace, and
// without a namespace passes the bytes.
func FuzzEditors(f *testing.F) {
	for _, raw := range []string{
		"+OK\r\n", "$-1\r\n", "*-1\r\n", "_\r\n", ":1\r\n", "*2\r\n$1\r\n0\r\n*1\r\n$5\r\napp:a\r\n", "%1\r\n$5\r\napp:a\r\n*0\r\n",
		"*1\r\n*2\r\n$5\r\napp:a\r\n*0\r\n", "*2\r\n$5\r\napp:a\r\n$1\r\nv\r\n", "=9\r\ntxt:app:a\r\n", "!9\r\nERR app:a\r\n",
		"*2\r\n*2\r\n$3\r\nget\r\n:2\r\n*2\r\n$4\r\nfoo!\r\n:1\r\n", "$25\r\n# Keyspace\r\ndb0:keys=1,a=\r\n",
	} {
		for edit := range len(editors) {
			f.Add([]byte(raw), uint8(edit), true)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, edit uint8, three bool) {
		n, err := resp.Len(raw)
		if err != nil || n == 0 || n != len(raw) || int(edit) >= len(editors) || raw[0] == resp.Attribute {
			return // not one reply
		}
		proto := 2
		if three {
			proto = 3
		}
		sl := &slot{edit: command.Reply(edit), spec: command.ByName("COMMAND INFO")}
		got := editing(t, "app:", proto).show([]byte("before"), raw, sl)
		got, ok := bytes.CutPrefix(got, []byte("before"))
		if !ok {
			t.Fatalf("what stood before is gone")
		}
		if n, err := resp.Len(got); err != nil || n != len(got) {
			t.Fatalf("show(%q) = %q, which is not one value: %d, %v", raw, got, n, err)
		}
		if plain := editing(t, "", proto).show(nil, raw, &slot{edit: command.Opaque, spec: sl.spec}); !bytes.Equal(plain, raw) {
			t.Fatalf("show(%q) without a namespace = %q", raw, plain)
		}
	})
}
