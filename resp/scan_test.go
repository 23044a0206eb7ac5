package resp

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

// values are whole values of every kind.
var values = []string{
	"+OK\r\n", "+\r\n", "-ERR no\r\n", ":0\r\n", ":-12\r\n", ":9223372036854775807\r\n",
	"$0\r\n\r\n", "$5\r\nhello\r\n", "$4\r\n\r\n\r\n\r\n", "$-1\r\n",
	"*0\r\n", "*-1\r\n", "*2\r\n$1\r\na\r\n*1\r\n:1\r\n", "*3\r\n*0\r\n*-1\r\n$-1\r\n",
	"_\r\n", "#t\r\n", "#f\r\n", ",3.25\r\n", ",inf\r\n", "(3492890328409238509324850943850943825024385\r\n",
	"!9\r\nERR wrong\r\n", "=8\r\ntxt:text\r\n",
	"%0\r\n", "%2\r\n+a\r\n:1\r\n+b\r\n%1\r\n+c\r\n_\r\n", "~2\r\n:1\r\n:2\r\n",
	">3\r\n+message\r\n$1\r\nc\r\n$2\r\nhi\r\n",
	"|1\r\n+ttl\r\n:3600\r\n$1\r\nv\r\n", "|0\r\n|1\r\n+a\r\n|1\r\n+b\r\n:1\r\n+c\r\n*1\r\n|1\r\n+d\r\n:2\r\n+e\r\n",
	"*2\r\n:1\r\n>2\r\n+invalidate\r\n*1\r\n+k\r\n:2\r\n", "*1\r\n>1\r\n+a\r\n>1\r\n+b\r\n%1\r\n>0\r\n+k\r\n>1\r\n:1\r\n:2\r\n",
	"*1\r\n|1\r\n>1\r\n+a\r\n+b\r\n:1\r\n>1\r\n+c\r\n:2\r\n", "|1\r\n>1\r\n:1\r\n+a\r\n*1\r\n+b\r\n>1\r\n>1\r\n:2\r\n:3\r\n",
	"*2\r\n" + strings.Repeat("*2\r\n:1\r\n", 200) + ":1\r\n:2\r\n",
}

// broken are beginnings that no further byte can make right.
var broken = []struct {
	in  string
	err error
}{
	{"x", ErrKind}, {"\r\n", ErrKind}, {"*1\r\n?", ErrKind},
	{"+OK\n", ErrLine}, {":1\n", ErrLine}, {"-\n", ErrLine},
	{"$5\n", ErrLength}, {"$\r", ErrLength}, {"$-\r", ErrLength}, {"$-2\r\n", ErrLength}, {"$+1", ErrLength}, {"$01", ErrLength},
	{"$--", ErrLength}, {"$-01", ErrLength}, {"$1-", ErrLength}, {"$1\rx", ErrLength}, {"$?", ErrLength}, {"$ 1", ErrLength},
	{"$9223372036854775806\r\n", ErrLength}, {"$92233720368547758070", ErrLength}, {"$18446744073709551616", ErrLength},
	{"*-2\r\n", ErrLength}, {"%-1\r\n", ErrLength}, {"%4611686018427387904\r\n", ErrLength}, {"|-1\r\n", ErrLength},
	{"*9000000000000000000\r\n*9000000000000000000\r\n", ErrLength},
	{"*2\r\n|4000000000000000000\r\n|4000000000000000000\r\n", ErrLength},
	{"$1\r\nabc", ErrEnd}, {"$1\r\na\rb", ErrEnd}, {"$0\r\n\n", ErrEnd}, {"*2\r\n$1\r\nax", ErrEnd},
}

func TestLen(t *testing.T) {
	for _, v := range values {
		for tail := range 3 {
			in := v + "+x"[:tail]
			if n, err := Len([]byte(in)); n != len(v) || err != nil {
				t.Errorf("Len(%q) = %d, %v; want %d", in, n, err, len(v))
			}
		}
		for i := range v {
			if n, err := Len([]byte(v[:i])); n != 0 || err != nil {
				t.Errorf("Len(%q) = %d, %v; want 0", v[:i], n, err)
			}
		}
	}
	for _, c := range broken {
		if n, err := Len([]byte(c.in)); n != 0 || !errors.Is(err, c.err) {
			t.Errorf("Len(%q) = %d, %v; want 0, %v", c.in, n, err, c.err)
		}
	}
}

// Every value, one after the other through one Scanner, in pieces of every size up to seven bytes.
func TestScanner_Pieces(t *testing.T) {
	stream := strings.Join(values, "")
	for size := 1; size <= 7; size++ {
		var s Scanner
		var got []string
		var value []byte
		for rest := []byte(stream); len(rest) > 0; {
			n, done, err := s.Scan(rest[:min(size, len(rest))])
			if err != nil {
				t.Fatalf("size %d, behind %q: %v", size, got, err)
			}
			value, rest = append(value, rest[:n]...), rest[n:]
			if done {
				got, value = append(got, string(value)), nil
			}
		}
		if got, want := strings.Join(got, "|"), strings.Join(values, "|"); got != want {
			t.Errorf("size %d: got %q, want %q", size, got, want)
		}
	}
	for _, c := range broken {
		var s Scanner
		var err error
		for i := range c.in {
			if _, _, err = s.Scan([]byte(c.in[i : i+1])); err != nil {
				break
			}
		}
		if !errors.Is(err, c.err) {
			t.Errorf("Scan(%q) byte by byte: %v, want %v", c.in, err, c.err)
		}
	}
}

func TestScanner_Longest(t *testing.T) {
	var s Scanner
	in := []byte("*4\r\n$3\r\nabc\r\n%1\r\n+a\r\n=8\r\ntxt:abcd\r\n$-1\r\n:123456789\r\n")
	if _, done, err := s.Scan(in); !done || err != nil || s.Longest != 8 {
		t.Errorf("got %d, %v, %v, want 8", s.Longest, done, err)
	}
	if _, _, err := s.Scan([]byte("$70000000000\r\n")); err != nil || s.Longest != 70000000000 {
		t.Errorf("announced: got %d, %v", s.Longest, err)
	}
	s = Scanner{}
	_, _, _ = s.Scan([]byte("$2\r\nab\r\n"))
	if s.Longest != 2 {
		t.Errorf("after the end: got %d, want 2 until the next Scan", s.Longest)
	}
	if _, _, _ = s.Scan([]byte("+")); s.Longest != 0 {
		t.Errorf("next value: got %d, want 0", s.Longest)
	}
}

// A line is cut off at some length, whatever pieces it comes in.
func TestScanner_LongLine(t *testing.T) {
	piece := []byte(strings.Repeat("a", 1<<20))
	s := Scanner{}
	_, _, err := s.Scan([]byte("+"))
	for total := 0; err == nil && total <= maxLine; total += len(piece) {
		_, _, err = s.Scan(piece)
	}
	if !errors.Is(err, ErrLine) {
		t.Errorf("got %v, want %v", err, ErrLine)
	}
}

func FuzzLen(f *testing.F) {
	for _, v := range values {
		f.Add([]byte(v))
	}
	for _, c := range broken {
		f.Add([]byte(c.in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		n, err := Len(in)
		if n < 0 || n > len(in) || err != nil && n != 0 {
			t.Fatalf("Len(%q) = %d, %v", in, n, err)
		}
		kind, size, body, ok := Split(in)
		if n == 0 {
			return
		}
		if !ok || shapes[kind] == unknown || size < -1 {
			t.Fatalf("Split(%q) = %q, %d, %q, %v", in, kind, size, body, ok)
		}
		if m, err := Len(in[:n]); m != n || err != nil { // the rest of the stream doesn't matter
			t.Fatalf("Len(%q) = %d, %v; want %d", in[:n], m, err, n)
		}
		walk(t, in[:n:n])
		lift(t, in[:n])
	})
}

// walk visits every value in raw, and fails unless they fill it.
func walk(t *testing.T, raw []byte) {
	t.Helper()
	Bulk(raw)
	Int(raw)
	c, ok := Elements(raw)
	if !ok {
		return
	}
	left := c.Left()
	for value, more := c.Next(); more; value, more = c.Next() {
		left--
		if len(raw) < 4096 { // deep nesting makes this quadratic
			walk(t, value)
		}
	}
	if c.Bad() || left != 0 || len(c.Rest()) != 0 {
		t.Fatalf("%q: bad %v, %d values left, rest %q", raw, c.Bad(), left, c.Rest())
	}
}

// lift fails unless what Lift leaves is the value without the pushes in it.
func lift(t *testing.T, raw []byte) {
	t.Helper()
	lifted := Lift(bytes.Clone(raw), func(push []byte) {
		if n, err := Len(push); n != len(push) || err != nil || push[0] != Push {
			t.Fatalf("Lift(%q): push %q", raw, push)
		}
	})
	if n, err := Len(lifted); n != len(lifted) || n == 0 || err != nil {
		t.Fatalf("Lift(%q) = %q, of which %d, %v", raw, lifted, n, err)
	}
	a, ok := Elements(raw)
	b, also := Elements(lifted)
	if ok != also || a.Left() != b.Left() {
		t.Fatalf("Lift(%q) = %q: %d elements, were %d", raw, lifted, b.Left(), a.Left())
	}
	for ok {
		var was, is []byte
		was, ok = a.Next()
		if is, also = b.Next(); ok != also || ok && len(raw) < 4096 && !bytes.Equal(Lift(bytes.Clone(bare(was)), func([]byte) {}), bare(is)) {
			t.Fatalf("Lift(%q) = %q: element %q, was %q", raw, lifted, is, was)
		}
	}
}

// bare is a value without the attributes before it.
func bare(raw []byte) []byte {
	for raw[0] == Attribute {
		raw = raw[attribute(raw):]
	}
	return raw
}

func FuzzScanner(f *testing.F) {
	for i, v := range values {
		f.Add([]byte(v+values[(i+1)%len(values)]), uint64(i))
	}
	for i, c := range broken {
		f.Add([]byte(c.in), uint64(i))
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var s Scanner
		start := 0 // of the current value
		for at := 0; at < len(in); {
			piece := in[at : at+1+rnd.IntN(min(8, len(in)-at))]
			n, done, err := s.Scan(piece)
			want, wantErr := Len(in[start:])
			switch at += n; {
			case err != nil:
				if !errors.Is(wantErr, err) {
					t.Fatalf("%q: error %v, whole %v", in[start:], err, wantErr)
				}
				return
			case done:
				if at-start != want {
					t.Fatalf("%q: ends at %d, whole at %d, %v", in[start:], at-start, want, wantErr)
				}
				start = at
			case n != len(piece):
				t.Fatalf("%q: neither done nor used up", in[start:])
			}
		}
		if n, err := Len(in[start:]); n != 0 || err != nil {
			t.Fatalf("%q: whole %d, %v, in pieces neither", in[start:], n, err)
		}
	})
}

func BenchmarkScanner(b *testing.B) {
	for name, in := range map[string]string{
		"OK":     "+OK\r\n",
		"int":    ":1\r\n",
		"bulk":   "$200\r\n" + strings.Repeat("v", 200) + "\r\n",
		"null":   "$-1\r\n",
		"array3": "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\nhello\r\n",
	} {
		stream := []byte(strings.Repeat(in, 64))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var s Scanner
			rest := stream
			for b.Loop() {
				n, done, err := s.Scan(rest)
				if !done || err != nil {
					b.Fatal(done, err)
				}
				if rest = rest[n:]; len(rest) == 0 {
					rest = stream
				}
			}
		})
	}
}
