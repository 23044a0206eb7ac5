package integration_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	ok    = "+OK\r\n"
	null  = "$-1\r\n"
	pong  = "+PONG\r\n"
	one   = ":1\r\n"
	zero  = ":0\r\n"
	empty = "*0\r\n"
)

// conn is a client that shows the bytes of every reply.
type conn struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

// dial connects to a TCP address.
func dial(t testing.TB, addr string) *conn {
	t.Helper()
	return dialNetwork(t, "tcp", addr)
}

func dialNetwork(t testing.TB, network, addr string) *conn {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	return newConn(t, c)
}

func newConn(t testing.TB, c net.Conn) *conn {
	t.Cleanup(func() { c.Close() })
	return &conn{t: t, Conn: c, r: bufio.NewReaderSize(c, 64<<10)}
}

// dial3 connects and switches to RESP3.
func dial3(t testing.TB, addr string) *conn {
	t.Helper()
	c := dial(t, addr)
	if got := c.do("HELLO", "3"); !strings.HasPrefix(got, "%") {
		t.Fatalf("HELLO 3 = %q, want a map", got)
	}
	return c
}

// do sends one command and returns the bytes of its reply.
func (c *conn) do(args ...string) string {
	c.t.Helper()
	c.send(encode(args...))
	return c.read()
}

// line is do for a command in one string, split as redis-cli splits it.
func (c *conn) line(line string) string {
	c.t.Helper()
	return c.do(split(line)...)
}

// send writes raw bytes.
func (c *conn) send(raw string) {
	c.t.Helper()
	c.SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c.Conn, raw); err != nil {
		c.t.Fatalf("sending %s: %v", shorten(raw), err)
	}
}

// read returns the bytes of the next reply.
func (c *conn) read() string {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	reply, err := readReply(c.r)
	if err != nil {
		c.t.Fatalf("reading a reply: %v (so far %s)", err, shorten(reply))
	}
	return reply
}

// readAll returns everything up to the moment when the server closes the connection.
func (c *conn) readAll() string {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	all, err := io.ReadAll(c.r)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		c.t.Fatalf("the server keeps the connection open after %s", shorten(string(all)))
	}
	return string(all)
}

// pipeline sends the lines in one write and returns their replies.
func (c *conn) pipeline(lines ...string) []string {
	c.t.Helper()
	var raw strings.Builder
	for _, l := range lines {
		raw.WriteString(encode(split(l)...))
	}
	c.send(raw.String())
	replies := make([]string, len(lines))
	for i := range replies {
		replies[i] = c.read()
	}
	return replies
}

// want sends a command and compares its reply.
func (c *conn) want(want string, args ...string) {
	c.t.Helper()
	if got := c.do(args...); got != want {
		c.t.Errorf("%s\n got %s\nwant %s", shorten(strings.Join(args, " ")), shorten(got), shorten(want))
	}
}

// wantLine is want for a command in one string.
func (c *conn) wantLine(want, line string) {
	c.t.Helper()
	c.want(want, split(line)...)
}

// wantPrefix sends a command and compares how its reply begins.
func (c *conn) wantPrefix(want, line string) {
	c.t.Helper()
	if got := c.line(line); !strings.HasPrefix(got, want) {
		c.t.Errorf("%s\n got %s\nwant %s...", line, shorten(got), shorten(want))
	}
}

// int returns a command's integer reply.
func (c *conn) int(args ...string) int {
	c.t.Helper()
	got := c.do(args...)
	n, err := strconv.Atoi(strings.Trim(got, ":\r\n"))
	if err != nil || got[0] != ':' {
		c.t.Fatalf("%s = %s, want an integer", strings.Join(args, " "), shorten(got))
	}
	return n
}

// list returns a command's array of strings, sorted.
func (c *conn) list(args ...string) []string {
	c.t.Helper()
	raw := c.do(args...)
	v, err := parse(raw)
	if err != nil || v.elems == nil {
		c.t.Fatalf("%s = %s, want an array", strings.Join(args, " "), shorten(raw))
	}
	return v.strings()
}

// closed waits until the server has closed the connection, without another byte.
func (c *conn) closed() {
	c.t.Helper()
	if got := c.readAll(); got != "" {
		c.t.Errorf("got %s, want the connection closed", shorten(got))
	}
}

// same runs one command directly and through the gate and compares the bytes.
func same(t testing.TB, direct, proxied *conn, args ...string) {
	t.Helper()
	want, got := direct.do(args...), proxied.do(args...)
	if got != want {
		t.Errorf("%s\n got %s\nwant %s", shorten(strings.Join(args, " ")), shorten(got), shorten(want))
	}
}

// encode writes a command as clients do.
func encode(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b.String()
}

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

// split cuts a line at spaces; a word in double quotes is a Go string.
func split(line string) []string {
	var words []string
	for rest := strings.TrimLeft(line, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		if quoted, err := strconv.QuotedPrefix(rest); err == nil && rest[0] == '"' {
			word, _ := strconv.Unquote(quoted)
			words, rest = append(words, word), rest[len(quoted):]
			continue
		}
		word, after, _ := strings.Cut(rest, " ")
		words, rest = append(words, word), after
	}
	return words
}

// shorten makes bytes readable in a message.
func shorten(s string) string {
	const most = 400
	if len(s) > most {
		return fmt.Sprintf("%q...(%d bytes)", s[:most], len(s))
	}
	return strconv.Quote(s)
}

// value is a parsed reply.
type value struct {
	kind  byte
	text  string  // what stands behind the kind: a number, a line, the payload of a bulk string
	elems []value // not nil for aggregates
	null  bool
}

// readReply reads one value of RESP2 or RESP3 and returns its bytes. What it read of a broken one comes with the error.
func readReply(r *bufio.Reader) (string, error) {
	head, err := r.ReadString('\n')
	if err != nil {
		return head, err
	}
	if len(head) < 3 || !strings.HasSuffix(head, "\r\n") {
		return head, fmt.Errorf("not a RESP line: %q", head)
	}
	n, numErr := strconv.Atoi(head[1 : len(head)-2])
	raw := head
	switch head[0] {
	case '+', '-', ':', ',', '#', '_', '(':
		return raw, nil
	case '$', '=', '!':
		if numErr != nil || n < -1 {
			return raw, fmt.Errorf("bad length in %q", head)
		}
		if n < 0 {
			return raw, nil
		}
		payload := make([]byte, n+2)
		m, err := io.ReadFull(r, payload)
		if err == nil && string(payload[n:]) != "\r\n" {
			err = fmt.Errorf("payload of %q doesn't end in CRLF", head)
		}
		return raw + string(payload[:m]), err
	case '*', '~', '>':
	case '%':
		n *= 2
	case '|': // attributes come before the value that they belong to
		n = n*2 + 1
	default:
		return raw, fmt.Errorf("unknown type in %q", head)
	}
	if numErr != nil {
		return raw, fmt.Errorf("bad count in %q", head)
	}
	var b strings.Builder
	b.WriteString(raw)
	for range n {
		elem, err := readReply(r)
		b.WriteString(elem)
		if err != nil {
			return b.String(), err
		}
	}
	return b.String(), nil
}

// parse turns the bytes of one reply into a value.
func parse(raw string) (value, error) {
	v, rest, err := parseValue(raw)
	if err == nil && rest != "" {
		err = fmt.Errorf("%d bytes too many after a reply", len(rest))
	}
	return v, err
}

func parseValue(raw string) (v value, rest string, err error) {
	head, rest, found := strings.Cut(raw, "\r\n")
	if !found || head == "" {
		return v, raw, fmt.Errorf("not a RESP value: %s", shorten(raw))
	}
	v = value{kind: head[0], text: head[1:]}
	n, _ := strconv.Atoi(v.text)
	switch v.kind {
	case '$', '=', '!':
		if n < 0 {
			v.null = true
			return v, rest, nil
		}
		if len(rest) < n+2 {
			return v, rest, fmt.Errorf("short bulk string: %s", shorten(raw))
		}
		v.text = rest[:n]
		return v, rest[n+2:], nil
	case '_':
		v.null = true
		return v, rest, nil
	case '%':
		n *= 2
	case '|':
		n = n*2 + 1
	case '*', '~', '>':
		if n < 0 {
			v.null = true
			return v, rest, nil
		}
	default:
		return v, rest, nil
	}
	v.elems = []value{}
	for range n {
		var elem value
		if elem, rest, err = parseValue(rest); err != nil {
			return v, rest, err
		}
		v.elems = append(v.elems, elem)
	}
	return v, rest, nil
}

// strings returns the texts of an aggregate's elements, sorted.
func (v value) strings() []string {
	texts := make([]string, len(v.elems))
	for i, e := range v.elems {
		texts[i] = e.text
	}
	slices.Sort(texts)
	return texts
}

// field returns the value that follows the name in a map or in a flat array of names and values.
func (v value) field(name string) (value, bool) {
	for i := 0; i+1 < len(v.elems); i += 2 {
		if v.elems[i].text == name {
			return v.elems[i+1], true
		}
	}
	return value{}, false
}

// newConnReader is a reader of replies for goroutines, which may not fail a test.
func newConnReader(c net.Conn) *bufio.Reader { return bufio.NewReaderSize(c, 16<<10) }
