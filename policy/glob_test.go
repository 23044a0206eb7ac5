package policy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no []string
	}{
		{"sess:*", []string{"sess:", "sess:1"}, []string{"sess", "ses", "xsess:1"}},
		{"*", []string{"", "a", "\x00\xff\r\n"}, nil},
		{"***", []string{"", "a"}, nil},
		{"exact", []string{"exact"}, []string{"exac", "exactly", ""}},
		{"h?llo", []string{"hello", "h\x00llo", "h\xffllo"}, []string{"hllo", "heello"}},
		{"h[ae]llo", []string{"hello", "hallo"}, []string{"hillo", "h[llo"}},
		{"h[^e]llo", []string{"hallo", "h^llo"}, []string{"hello", "hllo"}},
		{"h[a-c]llo", []string{"hallo", "hcllo"}, []string{"hdllo", "h-llo"}},
		{"h[c-a]llo", []string{"hbllo"}, []string{"hdllo"}},
		{"h[a-]llo", nil, []string{"hallo", "h]llo"}}, // the range is a to ], the class goes on to the end
		{"h[a-]l", []string{"ha", "h]", "h^", "hl"}, []string{"hb", "h-"}},
		{`h\*llo`, []string{"h*llo"}, []string{"hello", `h\*llo`}},
		{`h\[ae]llo`, []string{"h[ae]llo"}, []string{"hallo"}},
		{`[\]]x`, []string{"]x"}, []string{`\x`}},
		{`[\a-c]`, []string{"a", "-", "c"}, []string{"b"}},
		{"[abc", []string{"a", "c"}, []string{"d", "[abc"}},
		{"[", nil, []string{"[", "", "a"}},
		{"[^", []string{"a", "^"}, []string{"", "ab"}},
		{"[]", nil, []string{"[]", "]", ""}},
		{`a\`, []string{`a\`}, []string{"a"}},
		{"*_LOCK", []string{"_LOCK", "sess:1_LOCK", "_LOCK_LOCK"}, []string{"_LOCKS", "sess:1"}},
		{"a*b*c", []string{"abc", "aXbYc", "abbcc", "abcbc"}, []string{"ab", "acb", "abcd"}},
		{"*a?", []string{"ab", "aab", "xaxab"}, []string{"a", "xa", "abb"}},
		{"", []string{""}, []string{"a"}},
		{"?", []string{"a"}, []string{"", "ab"}},
	} {
		g := compileGlob(c.pattern)
		for _, name := range c.yes {
			if !g.match([]byte(name)) {
				t.Errorf("%q does not match %q", c.pattern, name)
			}
		}
		for _, name := range c.no {
			if g.match([]byte(name)) {
				t.Errorf("%q matches %q", c.pattern, name)
			}
		}
	}
}

// The time must not grow with the power of the number of stars.
func TestGlob_Stars(t *testing.T) {
	g := compileGlob(strings.Repeat("a*", 50) + "b")
	name := bytes.Repeat([]byte("a"), 100_000)
	done := make(chan bool)
	go func() { done <- g.match(name) }()
	select {
	case got := <-done:
		if got {
			t.Error("a name without a b matches")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("still matching after 30 s")
	}
}

func TestCheckGlob(t *testing.T) {
	for pattern, want := range map[string]string{
		"sess:*": "", `a\*[a-z]?`: "", `[\]]`: "", "[^a]": "", "a]": "", "[[]": "",
		"": "only the empty key", `a\`: "at the end", "ab[c": "the [ at character 3 has no ]", "[]": "no characters", "x[^]": "no characters", `[a\]`: "no ]",
	} {
		err := checkGlob(pattern)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", pattern, err, want)
		}
	}
}

// A glob that covers another must match whatever the other does.
func FuzzGlob(f *testing.F) {
	f.Add("a*", "ab*", []byte("abc"))
	f.Add("a*", "ab?[c-d]", []byte("abxc"))
	f.Add("[a-", "[^", []byte("a"))
	f.Add(`\`, `a\`, []byte(`a\`))
	f.Fuzz(func(t *testing.T, a, b string, name []byte) {
		g, h := compileGlob(a), compileGlob(b)
		if g.covers(&h) && h.match(name) && !g.match(name) {
			t.Errorf("%q is said to cover %q, but does not match %q", a, b, name)
		}
		if len(a) < 12 && len(name) < 20 {
			if got, want := g.match(name), slowMatch(a, name); got != want {
				t.Errorf("%q matches %q: %v, want %v", a, name, got, want)
			}
		}
		checkGlob(a)
	})
}

// slowMatch says the same by trying everything.
func slowMatch(p string, s []byte) bool {
	switch {
	case p == "":
		return len(s) == 0
	case p[0] == '*':
		for i := 0; i <= len(s); i++ {
			if slowMatch(p[1:], s[i:]) {
				return true
			}
		}
		return false
	case len(s) == 0:
		return false
	}
	ok, next := matchOne(p, 0, s[0])
	return ok && slowMatch(p[next:], s[1:])
}

// The index must find what trying every rule in turn finds.
func TestIndex(t *testing.T) {
	const seed = 42
	random := rand.New(rand.NewPCG(seed, seed))
	letters := []string{"a", "b", "ab", "sess:", ":", "*", "?", "[ab]", "", "a", "b"}
	word := func(n int) string {
		var b strings.Builder
		for range random.IntN(n) {
			b.WriteString(letters[random.IntN(len(letters))])
		}
		return b.String()
	}
	for round := range 300 {
		var x index
		var globs []glob
		for set := range random.IntN(20) {
			globs = append(globs, compileGlob(word(5)))
			x.add(globs[set], set)
		}
		var h hint
		for range 200 {
			name := []byte(strings.NewReplacer("*", "x", "?", "y", "[ab]", "a").Replace(word(6)))
			want := noSet
			for set := range globs {
				if globs[set].match(name) {
					want = set
					break
				}
			}
			if got := x.find(name, nil); got != want {
				t.Fatalf("round %d: %q in %q: set %d, want %d", round, name, globs, got, want)
			}
			if got := x.find(name, &h); got != want {
				t.Fatalf("round %d: %q in %q after others: set %d, want %d", round, name, globs, got, want)
			}
		}
	}
}

func BenchmarkIndex(b *testing.B) {
	for _, n := range []int{1, 1000} {
		var x index
		for i := range n {
			x.add(compileGlob(fmt.Sprintf("tenant%d:sess:*", i)), i)
		}
		name := []byte(fmt.Sprintf("tenant%d:sess:0123456789", n-1))
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if x.find(name, nil) != n-1 {
					b.Fatal("not found")
				}
			}
		})
	}
}
