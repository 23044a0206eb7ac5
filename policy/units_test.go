package policy

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for _, c := range []struct {
		text string
		want time.Duration
		back string
	}{
		{"30m", 30 * time.Minute, "30m"},
		{"12h", 12 * time.Hour, "12h"},
		{"7d", 7 * 24 * time.Hour, "7d"},
		{"1h30m", 90 * time.Minute, "1h30m"},
		{"90m", 90 * time.Minute, "1h30m"},
		{"24h", 24 * time.Hour, "1d"},
		{"1d2h3m4s5ms", 26*time.Hour + 3*time.Minute + 4*time.Second + 5*time.Millisecond, "1d2h3m4s5ms"},
		{"1500ms", 1500 * time.Millisecond, "1s500ms"},
		{"0h5m", 5 * time.Minute, "5m"},
		{"106751d", 106751 * 24 * time.Hour, "106751d"},
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(c.text)); err != nil || time.Duration(d) != c.want {
			t.Errorf("%q is %v, %v, want %v", c.text, time.Duration(d), err, c.want)
		}
		if got := d.String(); got != c.back {
			t.Errorf("%q comes back as %q, want %q", c.text, got, c.back)
		}
		if text, err := d.MarshalText(); err != nil || string(text) != c.back {
			t.Errorf("%q is written as %q, %v, want %q", c.text, text, err, c.back)
		}
		var again Duration
		if err := again.UnmarshalText([]byte(d.String())); err != nil || again != d {
			t.Errorf("%q read back is %v, %v, want %v", d, again, err, d)
		}
	}
	for text, want := range map[string]string{
		"":                      "missing",
		"-5m":                   "negative",
		"30":                    `write 30s for seconds or 30m`,
		"1h30":                  "no unit",
		"1.5h":                  "fraction",
		"12x":                   `unknown unit "x"; the units are d, h, m, s and ms`,
		"1w":                    "unknown unit",
		"5us":                   "finer than a millisecond",
		"5µs":                   "finer than a millisecond",
		"30m1h":                 "out of order",
		"1h1h":                  "out of order",
		"0s":                    "zero",
		"0h0m":                  "zero",
		"h":                     "no duration",
		"half":                  "no duration",
		" 30m":                  "no duration",
		"30 m":                  "unknown unit",
		"106752d":               "too long",
		"99999999999999999999s": "too long",
	} {
		d := Duration(7)
		err := d.UnmarshalText([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error is %v, want one with %q", text, err, want)
		}
		if d != 7 {
			t.Errorf("%q: a bad text changed the duration to %v", text, d)
		}
	}
}

func TestSize(t *testing.T) {
	for _, c := range []struct {
		text string
		want Size
		back string
	}{
		{"512", 512, "512"},
		{"512B", 512, "512"},
		{"64KiB", 64 << 10, "64KiB"},
		{"64kib", 64 << 10, "64KiB"},
		{"64 KiB", 64 << 10, "64KiB"},
		{"65536", 64 << 10, "64KiB"},
		{"1MB", 1e6, "1MB"},
		{"1GiB", 1 << 30, "1GiB"},
		{"1024KiB", 1 << 20, "1MiB"},
		{"1500KB", 1500e3, "1500KB"},
		{"1", 1, "1"},
		{"9223372036854775807", math.MaxInt64, "9223372036854775807"},
	} {
		var s Size
		if err := s.UnmarshalText([]byte(c.text)); err != nil || s != c.want {
			t.Errorf("%q is %d, %v, want %d", c.text, s, err, c.want)
		}
		if got := s.String(); got != c.back {
			t.Errorf("%q comes back as %q, want %q", c.text, got, c.back)
		}
		var again Size
		if text, _ := s.MarshalText(); again.UnmarshalText(text) != nil || again != s {
			t.Errorf("%q read back is %d, want %d", text, again, s)
		}
	}
	for text, want := range map[string]string{
		"":                    "missing",
		"0":                   "zero",
		"0KiB":                "zero",
		"-1":                  "negative",
		"1.5MB":               "fraction",
		"64k":                 "write 64KB (powers of 1000) or 64KiB (powers of 1024)",
		"64XB":                `unknown unit "XB"`,
		"KiB":                 "no size",
		"1KB2":                "no size",
		"many":                "no size",
		"9223372036854775808": "too large",
		"9007199254740992KiB": "too large",
	} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error is %v, want one with %q", text, err, want)
		}
	}
}

func TestParseInt(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "-1": -1, "10": 10, "9223372036854775807": math.MaxInt64, "-9223372036854775808": math.MinInt64,
	} {
		if got, ok := parseInt([]byte(text)); !ok || got != want {
			t.Errorf("%q is %d, %v, want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "-", "-0", "00", "01", "-01", "+1", " 1", "1 ", "1.0", "1e3", "abc", "9223372036854775808",
		"-9223372036854775809", "99999999999999999999", "1\x00", "0x10"} {
		if got, ok := parseInt([]byte(text)); ok {
			t.Errorf("%q is read as %d, want none", text, got)
		}
	}
}
