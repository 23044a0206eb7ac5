package policy

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time above zero, of whole milliseconds. Its text form is that of "30m", "12h", "7d" or
// "1h30m"; the zero Duration stands for a setting that is not there, and has the empty text.
type Duration time.Duration

// Milliseconds is the duration as Redis counts it.
func (d Duration) Milliseconds() int64 { return time.Duration(d).Milliseconds() }

var timeUnits = []struct {
	name string
	size time.Duration
}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}}

// UnmarshalText reads a duration: whole numbers with the units d, h, m, s or ms, the larger unit first.
func (d *Duration) UnmarshalText(text []byte) error {
	rest, last, sum := string(text), -1, time.Duration(0)
	if rest == "" {
		return fmt.Errorf("a duration is missing; write one as 30m, 12h or 7d")
	}
	if rest[0] == '-' {
		return fmt.Errorf("%q is negative; write a duration above zero, as 30m", text)
	}
	for rest != "" {
		number, unit, tail := cutNumber(rest)
		n, err := strconv.ParseInt(number, 10, 64)
		switch {
		case number == "":
			return fmt.Errorf("%q is no duration; write it as 30m, 12h, 7d or 1h30m", text)
		case unit == "":
			return fmt.Errorf("%q has no unit; write %ss for seconds or %sm for minutes", text, rest, rest)
		case strings.HasPrefix(unit, "."):
			return fmt.Errorf("%q has a fraction; write whole numbers, as 1h30m for an hour and a half", text)
		case unit == "us" || unit == "µs" || unit == "ns":
			return fmt.Errorf("%q is finer than a millisecond, the smallest step of Redis; write it in ms or longer units", text)
		}
		at := timeUnit(unit)
		switch {
		case at < 0:
			return fmt.Errorf("%q has an unknown unit %q; the units are d, h, m, s and ms", text, unit)
		case at <= last:
			return fmt.Errorf("%q has its units out of order; write the larger first and each once, as 1h30m", text)
		case err != nil || n > int64((math.MaxInt64-sum)/timeUnits[at].size):
			return fmt.Errorf("%q is too long; the longest duration is %s", text, Duration(math.MaxInt64/time.Millisecond*time.Millisecond))
		}
		rest, last, sum = tail, at, sum+time.Duration(n)*timeUnits[at].size
	}
	if sum == 0 {
		return fmt.Errorf("%q is zero; write a duration above zero, or leave the setting out", text)
	}
	*d = Duration(sum)
	return nil
}

// cutNumber splits "1h30m" into "1", "h" and "30m".
func cutNumber(s string) (number, unit, rest string) {
	digit := func(c rune) bool { return c >= '0' && c <= '9' }
	rest = strings.TrimLeftFunc(s, digit)
	number = s[:len(s)-len(rest)]
	i := strings.IndexFunc(rest, digit)
	if i < 0 || strings.HasPrefix(rest, ".") {
		i = len(rest)
	}
	return number, rest[:i], rest[i:]
}

func timeUnit(name string) int {
	for i, u := range timeUnits {
		if u.name == name {
			return i
		}
	}
	return -1
}

// MarshalText writes the form that UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String is the shortest text that UnmarshalText reads back as d.
func (d Duration) String() string {
	rest := time.Duration(d)
	if rest < 0 || rest%time.Millisecond != 0 {
		return rest.String() // no valid duration, but a readable one
	}
	var b strings.Builder
	for _, u := range timeUnits {
		if n := rest / u.size; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10))
			b.WriteString(u.name)
			rest %= u.size
		}
	}
	return b.String()
}

// Size is a number of bytes above zero. Its text form is that of "512", "64KiB", "1MB" or "1GiB"; the zero Size
// stands for a setting that is not there.
type Size int64

// Longer names come first: "KiB" ends in "B" too.
var sizeUnits = []struct {
	name string
	size int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1}}

// UnmarshalText reads a size: a whole number of bytes, or of KB, MB, GB (powers of 1000), KiB, MiB, GiB (powers of 1024).
func (s *Size) UnmarshalText(text []byte) error {
	number, unit, tail := cutNumber(string(text))
	unit = strings.TrimSpace(unit)
	n, err := strconv.ParseInt(number, 10, 64)
	factor := sizeUnit(unit)
	switch {
	case len(text) == 0:
		return fmt.Errorf("a size is missing; write one as 512, 64KiB or 1MB")
	case text[0] == '-':
		return fmt.Errorf("%q is negative; write a size above zero, as 64KiB", text)
	case strings.HasPrefix(unit, "."):
		return fmt.Errorf("%q has a fraction; write a whole number of a smaller unit, as 1536KiB for one and a half MiB", text)
	case number == "" || tail != "":
		return fmt.Errorf("%q is no size; write it as 512, 64KiB or 1MB", text)
	case strings.EqualFold(unit, "k") || strings.EqualFold(unit, "m") || strings.EqualFold(unit, "g"):
		return fmt.Errorf("%q can be read in two ways; write %s%sB (powers of 1000) or %s%siB (powers of 1024)",
			text, number, strings.ToUpper(unit), number, strings.ToUpper(unit))
	case factor == 0:
		return fmt.Errorf("%q has an unknown unit %q; the units are B, KB, MB, GB, KiB, MiB and GiB", text, unit)
	case err != nil || n > math.MaxInt64/factor:
		return fmt.Errorf("%q is too large; write a size below %dGiB", text, int64(math.MaxInt64>>30))
	case n == 0:
		return fmt.Errorf("%q is zero; write a size above zero, or leave the setting out", text)
	}
	*s = Size(n * factor)
	return nil
}

// sizeUnit returns the bytes of a unit, 0 if there is no such unit.
func sizeUnit(name string) int64 {
	if name == "" {
		return 1
	}
	for _, u := range sizeUnits {
		if strings.EqualFold(u.name, name) {
			return u.size
		}
	}
	return 0
}

// MarshalText writes the form that UnmarshalText reads, nothing for the zero Size.
func (s Size) MarshalText() ([]byte, error) {
	if s == 0 {
		return nil, nil
	}
	return []byte(s.String()), nil
}

// String is the size in the largest unit that leaves a whole number.
func (s Size) String() string {
	best := strconv.FormatInt(int64(s), 10)
	for _, u := range sizeUnits[:len(sizeUnits)-1] {
		if s > 0 && int64(s)%u.size == 0 {
			if text := strconv.FormatInt(int64(s)/u.size, 10); len(text) < len(best) {
				return text + u.name
			}
		}
	}
	return best
}

// Bits is a number of bits; zero stands for a setting that is not there, and has the empty text.
type Bits int

// UnmarshalText reads a whole number.
func (b *Bits) UnmarshalText(text []byte) error {
	n, err := strconv.ParseInt(string(text), 10, 32)
	if err != nil {
		return fmt.Errorf("%q is not a whole number; write a number of bits, as 64 or 128", text)
	}
	*b = Bits(n)
	return nil
}

// MarshalText writes the form that UnmarshalText reads.
func (b Bits) MarshalText() ([]byte, error) {
	if b == 0 {
		return nil, nil
	}
	return strconv.AppendInt(nil, int64(b), 10), nil
}
