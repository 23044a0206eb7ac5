package config

import (
	"fmt"
	"io"
	"strings"
)

// mask stands for a secret wherever one would be shown.
const mask = "***"

// Secret is text that no log, error or printed configuration shows.
type Secret string

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

// String returns *** for a secret, nothing for none.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// Format keeps every verb, %d and %#v too, from showing the secret.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText is for encoders such as YAML's and the log's.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// URL is an address that may hold a user and a password, which are shown as ***.
type URL string

// Reveal returns the URL with its credentials.
func (u URL) Reveal() string { return string(u) }

// String returns the URL with *** in place of credentials. It doesn't trust the URL to be a valid one: whatever stands
// before the last @ is kept back.
func (u URL) String() string {
	at := strings.LastIndexByte(string(u), '@')
	if at < 0 {
		return string(u)
	}
	scheme, _, ok := strings.Cut(string(u[:at]), "://")
	if !ok {
		return mask + string(u[at:])
	}
	return scheme + "://" + mask + string(u[at:])
}

// Format keeps every verb from showing the credentials.
func (u URL) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, u.String()) }

// MarshalText is for encoders such as YAML's and the log's.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }
