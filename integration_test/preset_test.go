package integration_test

import (
	"strings"
	"testing"
)

// A preset is the settings that it stands for: idle, lifetime and the strength of ids, by redis-cli.
func TestPreset_RedisCLI(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"rules:\n- {name: web, keys: ['sess:*'], preset: owasp-high}\n- {name: pay, keys: ['pay:*'], preset: pci, expiry: {idle: 1m}}\n")
	strong := "sess:k7q2x9b4mw0zt6fp3hvd8rcj"
	for _, e := range []struct{ line, want string }{
		{"set " + strong + " v ex 99999", "OK"}, {"ttl " + strong, ""}, {"set sess:abcdefghij v", "DENIED key_entropy: "},
		{"hset pay:1 f v", "1"}, {"ttl pay:1", "60"}, {"set other v", "OK"}, {"ttl other", "-1"},
	} {
		got := redisCLI(t, e.line+"\n", "-p", port(g.addr))
		if e.line == "ttl "+strong { // rounded down, by the lifetime
			if got < "280" || got > "300" || len(got) != 3 {
				t.Errorf("%s is %q, want 5 minutes", e.line, got)
			}
			continue
		}
		if !strings.HasPrefix(got, e.want) {
			t.Errorf("%s prints %q, want %q", e.line, got, e.want)
		}
	}
}
