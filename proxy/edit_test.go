package proxy

import (
	"bytes"
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
	srv := &Server{scripts: newAllScripts(), log: zap.NewNop(), sessions: map[int64]*Session{}}
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
		{"blob error", "!9\r\nERR app:a\r\n", "!5\r\nERR a\r\n", command.Opaque, 3},
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

// A namespace that looks like a word is taken out of errors only where Redis quotes a name.
func TestWithoutPrefix(t *testing.T) {
	for _, tt := range []struct{ prefix, text, want string }{
		{"app:", "-ERR no app:k\r\n", "-ERR no k\r\n"},
		{"key", "-WRONGTYPE Operation against a key\r\n", "-WRONGTYPE Operation against a key\r\n"},
		{"key", "-NOGROUP No such key 'keyk'\r\n", "-NOGROUP No such key 'k'\r\n"},
	} {
		if got := string(withoutPrefix([]byte(tt.text), []byte(tt.prefix))); got != tt.want {
			t.Errorf("withoutPrefix(%q, %q) = %q, want %q", tt.text, tt.prefix, got, tt.want)
		}
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
