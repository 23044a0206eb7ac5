package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tidwall/redcon"
)

func TestCheck(t *testing.T) {
	zeros := strings.Repeat("0", maxLine)
	for _, c := range []struct {
		in    string
		n     int // -1: all of it
		count int
		err   error
	}{
		{wire("GET", "a"), -1, 2, nil},
		{wire("GET", "a") + "*1", len(wire("GET", "a")), 2, nil},
		{"*1\r\n$10\r\n0123456789\r\n", -1, 1, nil},
		{"*1\r\n$0\r\n\r\n", -1, 1, nil},
		{"*0\r\n", -1, 0, nil}, {"*-1\r\n", -1, 0, nil}, {"*-9223372036854775808\r\n", -1, 0, nil},
		{"*1\r\n$536870912\r\n", 0, 0, nil}, {"*1048576\r\n", 0, 0, nil},

		{"*1048577\r\n", 0, 0, errMbulkLength}, {"*2147483648\r\n", 0, 0, errMbulkLength},
		{"*9223372036854775808\r\n", 0, 0, errMbulkLength}, {"*-9223372036854775809\r\n", 0, 0, errMbulkLength},
		{"*\r\n", 0, 0, errMbulkLength}, {"*-\r\n", 0, 0, errMbulkLength}, {"*-0\r\n", 0, 0, errMbulkLength},
		{"*00\r\n", 0, 0, errMbulkLength}, {"*+1\r\n", 0, 0, errMbulkLength}, {"*01\r\n", 0, 0, errMbulkLength},
		{"*1 \r\n", 0, 0, errMbulkLength}, {"*0x1\r\n", 0, 0, errMbulkLength}, {"*1\rx", 0, 0, errMbulkLength},
		{"*1\n$4\r\n", 0, 0, errMbulkLength},
		{"*1\r\n$-1\r\n", 0, 0, errBulkLength}, {"*1\r\n$536870913\r\n", 0, 0, errBulkLength},
		{"*1\r\n$9223372036854775807\r\nx", 0, 0, errBulkLength}, {"*1\r\n$-2\r\n", 0, 0, errBulkLength},
		{"*1\r\n$\r\n", 0, 0, errBulkLength}, {"*1\r\n$1\rx", 0, 0, errBulkLength},
		{"*1\r\n$1\r\nabc", 0, 0, errBulkLength}, {"*1\r\n$1\r\na\rc", 0, 0, errBulkLength},
		{"*1\r\n:1\r\n", 0, 0, protocolError("expected '$', got ':'")},
		{"*1\r\n\r\n", 0, 0, protocolError("expected '$', got ' '")},
		{"*1\r\n\xff\r\n", 0, 0, protocolError("expected '$', got '\xff'")},

		{"*" + zeros[1:], 0, 0, nil}, {"*" + zeros, 0, 0, errMbulkString},
		{"*1\r\n$" + zeros[1:], 0, 0, nil}, {"*1\r\n$" + zeros, 0, 0, errBulkString},
		{"*1\x00\r\n", 0, 0, nil}, {"*1\x00\r\n" + zeros, 0, 0, errMbulkString},

		{"PING\r\n", -1, 1, nil}, {"PING\n", -1, 1, nil}, {"set a 'b c' \n", -1, 3, nil},
		{"\n", -1, 0, nil}, {"\r\n", -1, 0, nil}, {" \v\f\t\r\n", -1, 0, nil},
		{"PING", 0, 0, nil}, {"PI\x00NG\r\n", 0, 0, nil}, {"PI\x00NG\r\n" + zeros, 0, 0, errInlineRequest},
		{"$4\r\n", -1, 1, nil},
		{zeros, 0, 0, nil}, {zeros + "\n", -1, 1, nil}, {zeros + "0", 0, 0, errInlineRequest}, {zeros + "0\n", 0, 0, errInlineRequest},
		{"a 'b\r\n", 0, 0, errQuotes},
	} {
		want := c.n
		if want < 0 {
			want = len(c.in)
		}
		check := check{limits: testLimits}
		n, err := check.scan([]byte(c.in))
		if n != want || !errors.Is(err, c.err) || n > 0 && check.count != c.count {
			t.Errorf("%.40q: got %d, %d arguments, %v; want %d, %d, %v", c.in, n, check.count, err, want, c.count, c.err)
		}
	}
}

func TestCheck_Strict(t *testing.T) {
	for in, want := range map[string]error{
		"*10\r\n": nil, "*11\r\n": errMbulkStrict, "*1048577\r\n": errMbulkStrict, "*2147483648\r\n": errMbulkLength,
		"*1\r\n$16384\r\n": nil, "*1\r\n$16385\r\n": errBulkStrict, "*1\r\n$536870913\r\n": errBulkLength,
	} {
		check := check{limits: testLimits, strict: true}
		if n, err := check.scan([]byte(in)); n != 0 || !errors.Is(err, want) {
			t.Errorf("%q: got %d, %v, want %v", in, n, err, want)
		}
	}
}

// The cost of a long line and of many arguments must not grow with the number of pieces they come in.
func TestCheck_Resumes(t *testing.T) {
	in := []byte("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nhello\r\n")
	c := check{limits: testLimits}
	for i := range in {
		if n, err := c.scan(in[:i]); n != 0 || err != nil {
			t.Fatalf("%q: got %d, %v", in[:i], n, err)
		}
		if i > 4 && c.at < 4 || i > 13 && c.at < 13 {
			t.Errorf("%q: forgot what it knew", in[:i])
		}
	}
	line := bytes.Repeat([]byte("a"), 1000)
	c.next()
	for i := range line {
		if _, _ = c.scan(line[:i]); c.look != i {
			t.Fatalf("looked at %d of %d bytes", c.look, i)
		}
	}
}

func TestSplitInline(t *testing.T) {
	for in, want := range map[string]string{
		"":                        `[]`,
		"  \t\v ":                 `[]`,
		"a":                       `["a"]`,
		" a  b\tc\r":              `["a" "b" "c"]`,
		"a\vb \fc\f":              `["a\vb" "c\f"]`,
		`"" ''`:                   `["" ""]`,
		`"a b" 'c d'`:             `["a b" "c d"]`,
		`a"b c" d'e f'`:           `["ab c" "de f"]`,
		`"\x41\x4g\xfF\x"`:        `["Ax4g\xffx"]`,
		`"\n\r\t\b\a\q\\\""`:      `["\n\r\t\b\aq\\\""]`,
		`'\n\'\\ '`:               `["\\n'\\\\ "]`,
		`\x41 a\ b`:               `["\\x41" "a\\" "b"]`,
		"'a'\v'b'":                `["a" "b"]`,
		`set "it's" 'say "hi"' x`: `["set" "it's" "say \"hi\"" "x"]`,
	} {
		args, ok := splitInline([]byte(in))
		if got := fmt.Sprintf("%q", args); got != want || !ok {
			t.Errorf("%q: got %s, %v, want %s", in, got, ok, want)
		}
	}
	for _, in := range []string{`"`, `'`, `"a`, `a 'b`, `"a\"`, `"a\`, `'a\'`, `"a"b`, `'a''b'`, `a"b"c`, `"\x4`, `""""`} {
		if args, ok := splitInline([]byte(in)); ok {
			t.Errorf("%q: got %q, want none", in, args)
		}
	}
}

// addSeeds gives a fuzz target commands of every kind, whole and broken.
func addSeeds(f *testing.F) {
	for i, s := range []string{
		wire("SET", "a", "hello") + wire("GET", "a"), "*0\r\n*-1\r\n\r\nPING\r\n", "*1\r\n$9223372036854775807\r\nx",
		"*1\r\n$-2\r\nx", "*400000000\r\n", "*2\r\n$1\r\na\r\n$10\r\n0123456789\r\n", "$5\r\nhello\r\n", "set \"a\\x41\" 'b c'\r\n",
		"*1\r\n$4\r\nPINGxx", "*1\rx$4\rxPING\r\n", "PING\x00\r\n", "a 'b\r\n", "*1\r\n\r\n", wire(strings.Repeat("a", 5000)),
		wire(strings.Fields(strings.Repeat("a ", 41))...), wire(strings.Repeat("a", 3000), strings.Repeat("b", 3000)),
	} {
		f.Add([]byte(s), uint64(i))
	}
}

// FuzzCheck: what the check accepts, redcon parses whole, with the same length and number of arguments.
func FuzzCheck(f *testing.F) {
	addSeeds(f)
	limits := Limits{Args: 40, Bulk: 4000, Request: 6000}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		c := check{limits: limits, strict: seed%2 == 1}
		for {
			n, err := c.scan(in)
			if n < 0 || n > len(in) || err != nil && n != 0 {
				t.Fatalf("%q: %d, %v", in, n, err)
			}
			if n == 0 {
				return
			}
			if in[0] == '*' {
				same(t, in, n, c.count)
			}
			if c.count > limits.Args && in[0] == '*' || n > maxLine+int(limits.Request) {
				t.Fatalf("%q: %d bytes, %d arguments are above the limits", in, n, c.count)
			}
			in = in[n:]
			c.next()
		}
	})
}

// same fails unless redcon finds the command that check found.
func same(t *testing.T, in []byte, n, count int) {
	t.Helper()
	if bytes.HasPrefix(in, []byte("*-")) { // redcon refuses this empty command
		return
	}
	complete, args, kind, rest, err := redcon.ReadNextCommand(in, nil)
	if !complete || err != nil || kind != redcon.Redis || len(in)-len(rest) != n || len(args) != count {
		t.Fatalf("%q: check finds %d bytes, %d arguments; redcon %v, %d, %d, %v", in, n, count, complete, len(in)-len(rest), len(args), err)
	}
}
