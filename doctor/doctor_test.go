package doctor

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"sessiongate/doctor/replay"
)

func TestHandshakes(t *testing.T) {
	all, err := replay.Parse(handshakes)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, c := range all {
		if seen[c.Name] {
			t.Errorf("%s is there twice", c.Name)
		}
		seen[c.Name] = true
	}
}

func TestClock(t *testing.T) {
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	for _, tt := range []struct {
		skew time.Duration
		want Level
		text string
	}{{0, OK, "within"}, {12 * time.Second, Warn, "12s from"}, {-90 * time.Second, Warn, "-1m30s from"}} {
		server.SetTime(time.Now().Add(tt.skew))
		n := &node{Report: &Report{}, client: client}
		n.clock(context.Background())
		if f := n.Findings[0]; f.Level != tt.want || !strings.Contains(f.Found, tt.text) {
			t.Errorf("a clock that is %v ahead: %+v", tt.skew, f)
		}
	}
}

func TestPlain(t *testing.T) {
	for text, want := range map[string]bool{
		"password: sesame\n": true, "  password: 'x y'\n": true, "tenants:\n  - {name: a, password: b}\n": true, "upstream: redis://u:p@host\n": true, "upstream: redis://:p@host": true,
		"password_file: /etc/x\n": false, "password: \"\"\n": false, "password: sha256:abcd\n": false, "password: $argon2id$v=19$m=1\n": false, "upstream: redis://host:6379\n": false,
		"admin: {token: abc}\n": true, "# no secret\n": false, "password: sha256:ab\nupstream: {url: redis://h, password: x}\n": true,
	} {
		if got := plain.Match(hashed.ReplaceAll([]byte(text), nil)); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}
