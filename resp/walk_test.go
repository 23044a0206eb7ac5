package resp

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		in   string
		kind byte
		n    int
		body string
	}{
		{"+OK\r\nmore", '+', 2, "OK"},
		{"-ERR x\r\n", '-', 5, "ERR x"},
		{":42\r\n", ':', 2, "42"},
		{"_\r\n", '_', 0, ""},
		{"$3\r\nabc\r\nmore", '$', 3, "abc"},
		{"$-1\r\n+x\r\n", '$', -1, ""},
		{"*-1\r\n", '*', -1, ""},
		{"*2\r\n:1\r\n:2\r\n+x\r\n", '*', 2, ":1\r\n:2\r\n+x\r\n"},
		{"*2\r\n", '*', 2, ""}, // a header is enough
		{"%1\r\n:1\r\n:2\r\n", '%', 2, ":1\r\n:2\r\n"},
		{"=5\r\ntxt:a\r\n", '=', 5, "txt:a"},
		{"|1\r\n+a\r\n+b\r\n|0\r\n$1\r\nv\r\n", '$', 1, "v"},
	} {
		kind, n, body, ok := Split([]byte(c.in))
		if kind != c.kind || n != c.n || string(body) != c.body || !ok {
			t.Errorf("Split(%q) = %q, %d, %q, %v", c.in, kind, n, body, ok)
		}
		if cap(body) != len(body) && shapes[kind] < single {
			t.Errorf("Split(%q): body isn't capped", c.in)
		}
	}
	for _, in := range []string{
		"", "+", "\r\n", "+OK", "+OK\r", "+OK\n", "?1\r\n", "$3\r\nabc", "$3\r\nabc\r", "$\r\n", "$-2\r\n", "*01\r\n",
		"$99999999999999999999\r\n", "$9223372036854775807\r\n", "%9223372036854775807\r\n", "%-1\r\n",
		"|1\r\n+a\r\n", "|1\r\n+a\r\n+b\r\n", "|1\r\n?\r\n+b\r\n+x\r\n",
	} {
		if kind, n, body, ok := Split([]byte(in)); ok {
			t.Errorf("Split(%q) = %q, %d, %q, want none", in, kind, n, body)
		}
	}
}

func TestBulk(t *testing.T) {
	for in, want := range map[string]string{
		"$1\r\nx\r\n": "x", "$0\r\n\r\n": "", "+OK\r\n": "OK", "=6\r\ntxt:ab\r\n": "ab", "|0\r\n$1\r\nx\r\n": "x",
	} {
		if got, ok := Bulk([]byte(in)); !ok || string(got) != want {
			t.Errorf("Bulk(%q) = %q, %v, want %q", in, got, ok, want)
		}
	}
	for _, in := range []string{"$-1\r\n", "_\r\n", ":1\r\n", "-ERR\r\n", "=3\r\ntxt\r\n", "*1\r\n$1\r\nx\r\n", "", "$2\r\nx"} {
		if got, ok := Bulk([]byte(in)); ok {
			t.Errorf("Bulk(%q) = %q, want none", in, got)
		}
	}
}

func TestInt(t *testing.T) {
	for in, want := range map[string]int64{
		":0\r\n": 0, ":-1\r\n": -1, ":9223372036854775807\r\n": math.MaxInt64, ":-9223372036854775808\r\n": math.MinInt64,
	} {
		if got, ok := Int([]byte(in)); !ok || got != want {
			t.Errorf("Int(%q) = %d, %v, want %d", in, got, ok, want)
		}
	}
	for _, in := range []string{
		":\r\n", ":-\r\n", ":-0\r\n", ":01\r\n", ":+1\r\n", ":1x\r\n", ":9223372036854775808\r\n", ":-9223372036854775809\r\n",
		":99999999999999999999\r\n", "$1\r\n1\r\n", "",
	} {
		if got, ok := Int([]byte(in)); ok {
			t.Errorf("Int(%q) = %d, want none", in, got)
		}
	}
}

func TestElements(t *testing.T) {
	for in, want := range map[string]string{
		"*0\r\n":                         "",
		"*-1\r\n":                        "",
		"*2\r\n:1\r\n*1\r\n+a\r\n":       ":1 *1+a",
		"%1\r\n+k\r\n$-1\r\n":            "+k $-1",
		"~1\r\n_\r\n":                    "_",
		">2\r\n+a\r\n+b\r\n":             "+a +b",
		"*1\r\n|1\r\n+x\r\n+y\r\n:1\r\n": "|1+x+y:1",
		"*2\r\n>1\r\n+p\r\n:1\r\n|0\r\n>0\r\n|0\r\n:2\r\n": ":1 |0:2", // a push is none of the elements
		"|1\r\n+x\r\n+y\r\n*1\r\n$2\r\n\r\n\r\n+z":         "$2",
	} {
		c, ok := Elements([]byte(in))
		var got []string
		for value, more := c.Next(); more; value, more = c.Next() {
			got = append(got, strings.ReplaceAll(string(value), "\r\n", ""))
		}
		if !ok || c.Bad() || strings.Join(got, " ") != want {
			t.Errorf("Elements(%q): %q, %v, bad %v, want %q", in, got, ok, c.Bad(), want)
		}
	}
	for _, in := range []string{"+a\r\n", "$1\r\na\r\n", "_\r\n", "*1", ""} {
		c, ok := Elements([]byte(in))
		if _, more := c.Next(); ok || more || !c.Bad() {
			t.Errorf("Elements(%q): %v, %v, bad %v, want none", in, ok, more, c.Bad())
		}
	}
	c, ok := Elements([]byte("*3\r\n:1\r\n:2"))
	c.Next()
	if _, more := c.Next(); !ok || more || !c.Bad() || c.Left() != 2 {
		t.Errorf("cut short: %v, %v, bad %v, left %d", ok, more, c.Bad(), c.Left())
	}
}

func TestLift(t *testing.T) {
	for in, want := range map[string]string{
		"+a\r\n":           "+a | ",
		">1\r\n+p\r\n":     ">1+p | ",
		"$4\r\nx\r\n>\r\n": "$4x> | ",
		"*2\r\n$3\r\n\r\n>\r\n>1\r\n:1\r\n:2\r\n":                             "*2$3>:2 | >1:1",
		"*2\r\n>1\r\n+p\r\n:1\r\n*1\r\n>2\r\n+q\r\n*1\r\n+k\r\n>0\r\n$-1\r\n": "*2:1*1$-1 | >1+p>2+q*1+k>0",
	} {
		pushes := ""
		got := Lift([]byte(in), func(raw []byte) { pushes += string(raw) })
		if got := strings.ReplaceAll(string(got)+" | "+pushes, "\r\n", ""); got != want {
			t.Errorf("Lift(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestWalk_Allocs(t *testing.T) {
	in := []byte("*3\r\n$3\r\nabc\r\n:5\r\n%1\r\n+a\r\n+b\r\n")
	got := testing.AllocsPerRun(100, func() {
		c, _ := Elements(in)
		for value, more := c.Next(); more; value, more = c.Next() {
			Bulk(value)
			Int(value)
		}
	})
	if got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
}

func TestAppend(t *testing.T) {
	for _, c := range []struct {
		name       string
		add        func(dst []byte, proto int) []byte
		two, three string
	}{
		{"array", func(b []byte, _ int) []byte { return AppendArrayHeader(b, 12) }, "*12\r\n", "*12\r\n"},
		{"map", func(b []byte, p int) []byte { return AppendMapHeader(b, p, 7) }, "*14\r\n", "%7\r\n"},
		{"set", func(b []byte, p int) []byte { return AppendSetHeader(b, p, 2) }, "*2\r\n", "~2\r\n"},
		{"push", func(b []byte, p int) []byte { return AppendPushHeader(b, p, 3) }, "*3\r\n", ">3\r\n"},
		{"null", AppendNull, "$-1\r\n", "_\r\n"},
		{"null array", AppendNullArray, "*-1\r\n", "_\r\n"},
		{"true", func(b []byte, p int) []byte { return AppendBool(b, p, true) }, ":1\r\n", "#t\r\n"},
		{"false", func(b []byte, p int) []byte { return AppendBool(b, p, false) }, ":0\r\n", "#f\r\n"},
		{"double", func(b []byte, p int) []byte { return AppendDouble(b, p, 3.25) }, "$4\r\n3.25\r\n", ",3.25\r\n"},
		{"whole", func(b []byte, p int) []byte { return AppendDouble(b, p, 1e6) }, "$7\r\n1000000\r\n", ",1000000\r\n"},
		{"inf", func(b []byte, p int) []byte { return AppendDouble(b, p, math.Inf(1)) }, "$3\r\ninf\r\n", ",inf\r\n"},
		{"-inf", func(b []byte, p int) []byte { return AppendDouble(b, p, math.Inf(-1)) }, "$4\r\n-inf\r\n", ",-inf\r\n"},
		{"nan", func(b []byte, p int) []byte { return AppendDouble(b, p, math.NaN()) }, "$3\r\nnan\r\n", ",nan\r\n"},
		{"big", func(b []byte, p int) []byte { return AppendBig(b, p, []byte("123")) }, "$3\r\n123\r\n", "(123\r\n"},
		{"verbatim", func(b []byte, p int) []byte { return AppendVerbatim(b, p, []byte("hi")) }, "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"},
	} {
		for proto, want := range map[int]string{2: c.two, 3: c.three} {
			if got := string(c.add([]byte(">"), proto)); got != ">"+want {
				t.Errorf("%s, RESP%d: got %q, want %q", c.name, proto, got[1:], want)
			}
		}
	}
}

func ExampleElements() {
	c, _ := Elements([]byte("*2\r\n$6\r\nsess:1\r\n$6\r\nsess:2\r\n"))
	for value, more := c.Next(); more; value, more = c.Next() {
		name, _ := Bulk(value)
		fmt.Printf("%s\n", name)
	}
	// Output:
	// sess:1
	// sess:2
}
