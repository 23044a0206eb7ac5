package config

import (
	"time"

	"sessiongate/policy"
)

// Duration is a length of time written as in the rules, "30m" or "7d", or "0" where that means none.
type Duration time.Duration

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	if s := string(text); s == "0" || s == "0s" {
		*d = 0
		return nil
	}
	return (*policy.Duration)(d).UnmarshalText(text)
}

// String returns the form that UnmarshalText reads.
func (d Duration) String() string {
	if d == 0 {
		return "0"
	}
	return policy.Duration(d).String()
}

// MarshalText returns String's form.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
