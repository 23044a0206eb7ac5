package policy

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

const (
	digitsOnly = "0123456789"
	hexOnly    = "0123456789abcdef"
	lowerOnly  = "abcdefghijklmnopqrstuvwxyz"
	base64URL  = lowerOnly + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + digitsOnly + "-_"
)

func TestIDBits(t *testing.T) {
	for _, c := range []struct {
		id   string
		want float64
	}{
		{"", 0},
		{"a", 0},
		{"7xk2m9qp4a", 51.7},            // the original report
		{"7xk2m9qp4a3bz8w1yd0c", 103.4}, // its tokens
		{"5f4dcc3b5aa765d61d8327deb882cf99", 128},           // PHP
		{"5F4DCC3B5AA765D61D8327DEB882CF99", 128},           //
		{"q3h9s0d8vka1l5m2tpi6n4crbu", 134.4},               // PHP with 5 bits per character
		{"jq3x9v0a7m1kd8w5c2zrtb6hn4ypfe0g", 165.4},         // Django
		{"kQ9f-Zr2_VxT0mB7sLh3aWnE6yCuJd5P", 192},           // express, 24 bytes
		{"f81d4fae-7dec-41d0-a765-00a0c91e6bf6", 122},       // Spring, a UUID of version 4
		{"F81D4FAE-7DEC-41D0-A765-00A0C91E6BF6", 122},       //
		{"018f3b0c-5a7e-7cc3-98c4-dc0c0c07398f", 74},        // of version 7
		{"f81d4fae-7dec-11d0-a765-00a0c91e6bf6", 14},        // of version 1
		{"MZXW6YTBOJRGC3DFON2CAYLO", 120},                   // base32
		{"aaaaaaaa", 0},                                     //
		{"00000001", 5.4},                                   // counters
		{"00000000000000000042", 13.1},                      //
		{"1234567890123456", 16.6},                          //
		{"abcdefghijklmnopqrstuvwxyz", 12.9},                //
		{"qzxwqzxwqzxwqzxwqzxwqzxw", 38.7},                  // repeated
		{"aaabbbabaababbbabbaaabbabababaab", 34},            // two letters
		{"00000000-0000-4000-8000-000000000000", 14},        // a UUID that nobody drew
		{strings.Repeat("\xff", 1000), 0},                   //
		{"user@example.com", math.NaN()},                    // no id, but as printable as one
		{strings.Repeat("kQ9f-Zr2_VxT0mB7sLh3", 50), 157.5}, // longer than is looked at
	} {
		got := IDBits([]byte(c.id))
		if math.IsNaN(c.want) {
			continue
		}
		if math.Abs(got-c.want) > 0.1 {
			t.Errorf("%.40q has %.2f bits, want %.1f", c.id, got, c.want)
		}
	}
}

// Ids that are drawn as they should be are practically never taken for less than they are worth.
func TestIDBits_Random(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		alphabet string
		length   int
		least    float64
	}{
		{hexOnly, 32, 100}, {hexOnly, 40, 125}, {hexOnly, 20, 60}, {base64URL, 84, 480}, {base64URL, 32, 180}, {base64URL, 43, 240},
		{lowerOnly + digitsOnly, 32, 150}, {lowerOnly + digitsOnly, 20, 90}, {digitsOnly, 40, 100},
	} {
		low := 0
		for range 10_000 {
			id := make([]byte, c.length)
			for i := range id {
				id[i] = c.alphabet[chance.IntN(len(c.alphabet))]
			}
			if IDBits(id) < c.least {
				low++
			}
		}
		if low > 10 {
			t.Errorf("%d of %d: %d of 10000 ids are below %v bits", c.length, len(c.alphabet), low, c.least)
		}
	}
}

func TestRoom_ID(t *testing.T) {
	for _, c := range []struct{ pattern, name, want string }{
		{"sess:*", "sess:abc", "abc"}, {"*", "abc", "abc"}, {"*_x", "abc_x", "abc"}, {"s:*:data", "s:a:data:data", "a:data"},
		{"s:**", "s:abc", "abc"}, {"s:*:*", "s:a:b", "a"}, {"s:*:?", "s:a:b", "a"}, {"s:???", "s:abc", "abc"}, {"s:[a-z]*", "s:abc", "abc"},
		{`[*]\*:*`, "**:abc", "**:abc"}, {`\[*`, "[abc", "abc"}, {"abc", "abc", ""},
	} {
		g := newRoom(c.pattern)
		if got := string(g.id([]byte(c.name))); got != c.want {
			t.Errorf("the id of %q under %q is %q, want %q", c.name, c.pattern, got, c.want)
		}
	}
}

func TestEntropy_Allocates(t *testing.T) {
	p := mustNew(t, Config{Rules: []RuleConfig{{Keys: []string{"a*", "sess:*", "s:*:*:data", "*_x"}, KeyEntropy: 64}}})
	for _, line := range []string{"SET sess:f81d4fae-7dec-41d0-a765-00a0c91e6bf6 v", "HSET sess:kQ9f-Zr2_VxT0mB7sLh3aWnE6yCuJd5P f v",
		"SET s:kQ9f-Zr2_VxT0mB7sLh3aWnE6yCuJd5P:1:data v", "SET kQ9f-Zr2_VxT0mB7sLh3aWnE6yCuJd5P_x v", "GET sess:1"} {
		r := request(t, words(line))
		var plan Plan
		if got := testing.AllocsPerRun(100, func() { p.Decide(r, &plan) }); got != 0 || plan.Refusal != nil {
			t.Errorf("%s: %v allocations, refusal %v; want none", line, got, plan.Refusal)
		}
	}
}

// A script that does not declare what it writes would get around a rule that goes by names.
func TestEntropy_Scripts(t *testing.T) {
	p := mustNew(t, Config{Rules: []RuleConfig{{KeyEntropy: 64, Expiry: &ExpiryConfig{Max: 1e9}}}})
	if got := string(p.AppendConfinement(nil, 0)); !p.ConfinesScripts() || got != "0 -1 0" {
		t.Errorf("scripts are confined to %q, want keys that they declare", got)
	}
}

func TestEntropy_Check(t *testing.T) {
	for _, c := range []struct {
		rule RuleConfig
		want string
	}{
		{RuleConfig{KeyEntropy: 64}, ""},
		{RuleConfig{KeyEntropy: -1}, "rules[0].key_entropy: -1 is below zero; write a number of bits, as 64 or 128"},
		{RuleConfig{KeyEntropy: 2000}, "rules[0].key_entropy: 2000 is above 1024 bits, which no id has; write a number of bits, as 64 or 128"},
		{RuleConfig{KeyEntropy: 64, Keys: []string{"s:*", "config"}}, `rules[0].key_entropy: the pattern "config" leaves no room for an id; write a * where the id stands, as in sess:*`},
	} {
		got := ""
		Config{Rules: []RuleConfig{c.rule}}.Check(func(p Problem) { got += p.Error() })
		if got != c.want {
			t.Errorf("%+v:\n got %s\nwant %s", c.rule, got, c.want)
		}
	}
}

// Whatever the pattern and the name, the id is a part of the name, and holds no more bits than its bytes do.
func FuzzEntropy(f *testing.F) {
	f.Add("sess:*", "sess:7xk2m9qp4a")
	f.Add("*:a:*b", "x:a:yb")
	f.Add("[a-c]?*\\*", "ab*")
	f.Add("[0*00", "0")
	f.Add("u:*", "u:f81d4fae-7dec-41d0-a765-00a0c91e6bf6")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if g := newRoom(pattern); g.match([]byte(name)) {
			if id := string(g.id([]byte(name))); !strings.Contains(name, id) {
				t.Errorf("the id of %q under %q is %q", name, pattern, id)
			}
		}
		bits := IDBits([]byte(name))
		if !(bits >= 0 && bits <= 8*float64(len(name))) {
			t.Errorf("%q has %v bits", name, bits)
		}
	})
}

func BenchmarkIDBits(b *testing.B) {
	for _, id := range []string{"5f4dcc3b5aa765d61d8327deb882cf99", "f81d4fae-7dec-41d0-a765-00a0c91e6bf6", strings.Repeat("kQ9f-Zr2_VxT", 7)} {
		b.Run(id[:8], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				IDBits([]byte(id))
			}
		})
	}
}
