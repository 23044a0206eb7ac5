package config

import (
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Listener is an address to accept clients on: host:port, tls://host:port, or unix:///path, with ?mode=0660 for the
// permissions of the socket file.
type Listener struct {
	Network string      // "tcp" or "unix"
	Address string      // host:port, or a path
	TLS     bool        // of tls://
	Mode    fs.FileMode // of unix://; 0660 unless said otherwise
}

const listenHint = "write host:port, tls://host:port or unix:///path"

// UnmarshalText reads the form that String writes.
func (l *Listener) UnmarshalText(text []byte) error {
	s := string(text)
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		scheme, rest = "tcp", s
	}
	switch scheme {
	case "unix":
		return l.unix(s, rest)
	case "tcp", "tls":
	default:
		return fmt.Errorf("%q is not an address to listen on; %s", s, listenHint)
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		return fmt.Errorf("%q is not an address to listen on; %s", s, listenHint)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q has no port from 0 to 65535; %s", s, listenHint)
	} else if strings.ContainsAny(host, "/?#@ ") {
		return fmt.Errorf("%q is not an address to listen on; %s", s, listenHint)
	} else {
		*l = Listener{Network: "tcp", Address: net.JoinHostPort(host, strconv.FormatUint(n, 10)), TLS: scheme == "tls"}
	}
	return nil
}

func (l *Listener) unix(s, rest string) error {
	path, query, _ := strings.Cut(rest, "?")
	if path == "" || path[0] != '/' {
		return fmt.Errorf("%q has no absolute path; write unix:///run/sessiongate.sock", s)
	}
	*l = Listener{Network: "unix", Address: path, Mode: 0o660}
	options, err := url.ParseQuery(query)
	for name := range options {
		if name != "mode" {
			err = strconv.ErrSyntax
		}
	}
	if err != nil {
		return fmt.Errorf("%q has an option that isn't known; the only one is ?mode=0660", s)
	}
	if options.Has("mode") {
		mode, err := strconv.ParseUint(options.Get("mode"), 8, 32)
		if err != nil || mode > 0o777 {
			return fmt.Errorf("mode %q is no octal mode up to 0777; write one such as 0660", options.Get("mode"))
		}
		l.Mode = fs.FileMode(mode)
	}
	return nil
}

// String returns the listener as it is written in the configuration.
func (l Listener) String() string {
	switch {
	case l.Network == "unix" && l.Mode != 0o660:
		return fmt.Sprintf("unix://%s?mode=%04o", l.Address, uint32(l.Mode))
	case l.Network == "unix":
		return "unix://" + l.Address
	case l.TLS:
		return "tls://" + l.Address
	}
	return l.Address
}

// MarshalText returns String's form.
func (l Listener) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Local tells whether only this machine can reach the listener.
func (l Listener) Local() bool {
	if l.Network == "unix" {
		return true
	}
	host, _, _ := net.SplitHostPort(l.Address)
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// At returns the listener with the address that it was given, which matters when port 0 left the choice open.
func (l Listener) At(addr net.Addr) Listener {
	if l.Network == "tcp" {
		l.Address = addr.String()
	}
	return l
}
