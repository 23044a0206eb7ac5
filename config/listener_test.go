package config_test

import (
	"net"
	"testing"

	"sessiongate/config"
)

func TestListener(t *testing.T) {
	tests := []struct {
		text, want string // "" is an error
		local      bool
	}{
		{"127.0.0.1:6380", "127.0.0.1:6380", true},
		{"127.8.9.1:06380", "127.8.9.1:6380", true},
		{"localhost:0", "localhost:0", true},
		{"[::1]:1", "[::1]:1", true},
		{":6380", ":6380", false},
		{"0.0.0.0:6380", "0.0.0.0:6380", false},
		{"example.org:65535", "example.org:65535", false},
		{"tcp://127.0.0.1:1", "127.0.0.1:1", true},
		{"tls://[fe80::1%eth0]:1", "tls://[fe80::1%eth0]:1", false},
		{"unix:///run/s.sock", "unix:///run/s.sock", true},
		{"unix:///run/s.sock?mode=0660", "unix:///run/s.sock", true},
		{"unix:///run/s.sock?mode=777", "unix:///run/s.sock?mode=0777", true},
		{"", "", false},
		{"6380", "", false},
		{"127.0.0.1", "", false},
		{"::1:6380", "", false},
		{"127.0.0.1:65536", "", false},
		{"127.0.0.1:-1", "", false},
		{"127.0.0.1:redis", "", false},
		{"a b:1", "", false},
		{"redis://127.0.0.1:1", "", false},
		{"tls://a/b:1", "", false},
		{"unix://", "", false},
		{"unix://s", "", false},
		{"unix:///s?mode=", "", false},
		{"unix:///s?mode=0888", "", false},
		{"unix:///s?mode=01777", "", false},
		{"unix:///s?%zz", "", false},
	}
	for _, tt := range tests {
		var got config.Listener
		err := got.UnmarshalText([]byte(tt.text))
		switch {
		case tt.want == "" && err == nil:
			t.Errorf("%q: got %s, want an error", tt.text, got)
		case tt.want != "" && (err != nil || got.String() != tt.want || got.Local() != tt.local):
			t.Errorf("%q: got %s, local %v, error %v; want %s, local %v", tt.text, got, got.Local(), err, tt.want, tt.local)
		}
	}
}

func TestListener_At(t *testing.T) {
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5}
	l := config.Listener{Network: "tcp", Address: "127.0.0.1:0", TLS: true}
	if got, want := l.At(addr).String(), "tls://127.0.0.1:5"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	u := config.Listener{Network: "unix", Address: "/s", Mode: 0o660}
	if got, want := u.At(&net.UnixAddr{Name: "/s"}).String(), "unix:///s"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
