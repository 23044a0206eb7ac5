package proxy

import (
	"bytes"
	"math"

	"sessiongate/resp"
)

// Limits are what one command may claim. A command beyond them ends the connection.
type Limits struct {
	Args    int   // arguments, the name included
	Bulk    int64 // bytes of one argument
	Request int64 // bytes of the whole command as it is received
}

// What a client may send before it is authenticated, and the longest line: Redis's own limits.
const (
	strictArgs = 10
	strictBulk = 16 << 10
	maxLine    = 64 << 10
)

// protocolError is a violation of the protocol: the text behind "-ERR Protocol error: ". Where the next command would
// start is unknown then, so the connection has to be closed.
type protocolError string

func (e protocolError) Error() string { return "protocol error: " + string(e) }

// Redis's own words, from redis-server 7.0.15; the last one is ours, as Redis just closes the connection.
const (
	errMbulkLength   protocolError = "invalid multibulk length"
	errMbulkStrict   protocolError = "unauthenticated multibulk length"
	errMbulkString   protocolError = "too big mbulk count string"
	errBulkLength    protocolError = "invalid bulk length"
	errBulkStrict    protocolError = "unauthenticated bulk length"
	errBulkString    protocolError = "too big bulk count string"
	errInlineRequest protocolError = "too big inline request"
	errQuotes        protocolError = "unbalanced quotes in request"
	errRequest       protocolError = "too big request"
)

// check finds the end of one command in bytes that arrive in pieces, before anything else looks at them. It remembers how
// far it got, so its cost is linear in the bytes received, and claims alone cost nothing. The zero value with limits is
// ready for a command.
//
// It refuses what Redis refuses, and more: Redis doesn't look at the byte behind a CR nor at the two bytes behind an
// argument, so that two parties could see different commands in the same bytes. Here they have to be CR LF.
type check struct {
	limits Limits
	strict bool // the client is not authenticated

	count  int      // arguments of the command, once its header is read
	inline [][]byte // the arguments, when the command is inline

	at      int  // how far the command is understood
	payload bool // what stands before at is an argument whose CR LF has not been seen
	left    int  // arguments not yet understood
	look    int  // how far behind at the end of the line was looked for
	deaf    bool // the line holds a zero byte
}

// next makes c ready for the next command.
func (c *check) next() { *c = check{limits: c.limits, strict: c.strict} }

// scan looks at b, which begins with the first byte of the command and holds all of it that has arrived. It returns the
// command's length in bytes, or 0 when it isn't whole; c.count is then how many arguments it has. An empty command,
// which Redis ignores, has none.
func (c *check) scan(b []byte) (n int, err error) {
	if c.at == 0 {
		switch {
		case len(b) == 0:
			return 0, nil
		case b[0] != '*':
			return c.scanInline(b)
		}
		if more, err := c.header(b); more || err != nil {
			return 0, err
		}
	}
	for c.left > 0 {
		if !c.payload {
			if more, err := c.bulk(b); more || err != nil {
				return 0, err
			}
		}
		if len(b)-c.at < 2 {
			return 0, nil
		}
		if b[c.at] != '\r' || b[c.at+1] != '\n' {
			return 0, errBulkLength
		}
		c.at += 2
		c.left--
		c.payload = false
	}
	return c.at, nil
}

// last returns how long the command will be, once its last argument has begun; before that 0.
func (c *check) last() int {
	if c.left == 1 && c.payload {
		return c.at + 2
	}
	return 0
}

// header reads the number of arguments. more: it isn't all there.
func (c *check) header(b []byte) (more bool, err error) {
	count, ok, more, err := c.number(b, errMbulkString)
	switch {
	case more || err != nil:
		return more, err
	case !ok || count > math.MaxInt32:
		return false, errMbulkLength
	case c.strict && count > strictArgs:
		return false, errMbulkStrict
	case count > int64(c.limits.Args):
		return false, errMbulkLength
	}
	c.count = int(max(count, 0)) // a negative number of arguments is an empty command
	c.left = c.count
	return false, nil
}

// bulk reads the length of an argument and takes its payload as understood. more: the length isn't all there.
func (c *check) bulk(b []byte) (more bool, err error) {
	start := c.at
	size, ok, more, err := c.number(b, errBulkString)
	switch {
	case more || err != nil:
		return more, err
	case b[start] != '$':
		return false, unexpected(b[start])
	case !ok || size < 0 || size > c.limits.Bulk:
		return false, errBulkLength
	case c.strict && size > strictBulk:
		return false, errBulkStrict
	case size > c.limits.Request-int64(c.at)-2:
		return false, errRequest
	}
	c.at += int(size)
	c.payload = true
	return false, nil
}

// unexpected is what Redis says to a byte that should begin an argument: it keeps its error on one line.
func unexpected(got byte) protocolError {
	if got == '\r' || got == '\n' {
		got = ' '
	}
	return protocolError("expected '$', got '" + string([]byte{got}) + "'")
}

// number reads the line at c.at, a kind byte and a number, and moves behind it. ok: it is a number and the line ends with
// CR LF. more: the line isn't all there.
func (c *check) number(b []byte, tooBig protocolError) (n int64, ok, more bool, err error) {
	line := b[c.at:]
	if n, size := shortNumber(line); size > 0 {
		c.at, c.look = c.at+size, 0
		return n, true, false, nil
	}
	cr := c.find(line, '\r')
	switch {
	case cr > maxLine:
		return 0, false, false, tooBig
	case cr < 0 || cr+1 == len(line):
		return 0, false, true, nil
	}
	c.at, c.look = c.at+cr+2, 0
	if cr > 0 && line[cr+1] == '\n' {
		n, ok = resp.ParseInt(line[1:cr])
	}
	return n, ok, false, nil
}

// shortNumber reads a line that holds a number of one to nine digits, as practically all do. size 0: it doesn't.
func shortNumber(line []byte) (n int64, size int) {
	for i, c := range line[:min(len(line), 11)] {
		switch digit := c - '0'; {
		case i == 0:
		case digit <= 9 && i < 10 && (n > 0 || i == 1):
			n = n*10 + int64(digit)
		case c == '\r' && i > 1 && i+1 < len(line) && line[i+1] == '\n':
			return n, i + 2
		default:
			return 0, 0
		}
	}
	return 0, 0
}

// find returns where in line the byte is that ends it: -1 when it isn't there yet, math.MaxInt when the line is too long.
// Redis doesn't see the end of a line that holds a zero byte, and goes on reading until the line is too long. So do we.
func (c *check) find(line []byte, end byte) int {
	rest := line[c.look:min(len(line), maxLine+1)]
	i := bytes.IndexByte(rest, end)
	seen := rest
	if i >= 0 {
		seen = rest[:i]
	}
	c.deaf = c.deaf || bytes.IndexByte(seen, 0) >= 0
	switch {
	case i >= 0 && !c.deaf:
		return c.look + i
	case len(line) > maxLine:
		return math.MaxInt
	}
	c.look += len(seen)
	return -1
}

// scanInline finds the end of a command that is a line of text, and splits it.
func (c *check) scanInline(b []byte) (n int, err error) {
	lf := c.find(b, '\n')
	switch {
	case lf > maxLine:
		return 0, errInlineRequest
	case lf < 0:
		return 0, nil
	}
	line := bytes.TrimSuffix(b[:lf], []byte{'\r'})
	args, ok := splitInline(line)
	if !ok {
		return 0, errQuotes
	}
	c.inline, c.count = args, len(args)
	c.at = lf + 1
	return c.at, nil
}
