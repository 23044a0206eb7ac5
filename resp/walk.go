package resp

import (
	"bytes"
	"math"
)

// Split takes apart the value at the start of b, behind its attributes if it has any.
//
// Of an aggregate, n is how many values it holds (two for each pair of a map) and body all that follows its header:
// those values, and whatever b holds behind them. Of a string, body is the payload and n its length. Of a line (simple
// string, error, number, null), body is its text and n the length of that. A null string or a null array has n -1
// and no body. ok is false when b doesn't hold that much, or no RESP.
func Split(b []byte) (kind byte, n int, body []byte, ok bool) {
	for {
		kind, n, body, ok = header(b)
		if !ok || kind != Attribute {
			break
		}
		for range n {
			size, err := lenWithin(body)
			if err != nil || size == 0 {
				return 0, 0, nil, false
			}
			body = body[size:]
		}
		b = body
	}
	switch {
	case !ok:
		return 0, 0, nil, false
	case n < 0:
		return kind, -1, nil, true
	case shapes[kind] == bulk:
		if len(body)-2 < n {
			return 0, 0, nil, false
		}
		body = body[:n:n]
	}
	return kind, n, body, true
}

// header reads the first line of a value. The body of a line is its text; that of everything else is what follows.
func header(b []byte) (kind byte, n int, body []byte, ok bool) {
	end := bytes.IndexByte(b, '\n')
	if end < 2 || b[end-1] != '\r' {
		return 0, 0, nil, false
	}
	text := b[1 : end-1 : end-1]
	switch shapes[b[0]] {
	case unknown:
		return 0, 0, nil, false
	case line:
		return b[0], len(text), text, true
	}
	count, ok := ParseInt(text)
	switch {
	case !ok || count < -1 || count > math.MaxInt64/2:
		return 0, 0, nil, false
	case count < 0 && b[0] != String && b[0] != Array:
		return 0, 0, nil, false
	case shapes[b[0]] == pairs:
		count *= 2
	}
	return b[0], int(count), b[end+1:], true
}

// ParseInt reads a decimal number as strictly as Redis does: no plus sign, no leading zeros, no space, nothing that
// doesn't fit into 64 bits.
func ParseInt(text []byte) (n int64, ok bool) {
	digits := text
	minus := len(text) > 1 && text[0] == '-'
	if minus {
		digits = text[1:]
	}
	if len(digits) == 0 || len(digits) > 19 || digits[0] == '0' && len(text) > 1 {
		return 0, false
	}
	var abs uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		abs = abs*10 + uint64(c-'0')
	}
	if minus {
		return int64(-abs), abs <= -math.MinInt64
	}
	return int64(abs), abs <= math.MaxInt64
}

// Bulk returns the text of a string: bulk, simple, or verbatim without its format. ok is false for anything else, nulls
// included. The payload is a part of raw, capped.
func Bulk(raw []byte) (payload []byte, ok bool) {
	kind, n, body, ok := Split(raw)
	switch {
	case !ok || n < 0:
		return nil, false
	case kind == String || kind == Simple:
		return body, true
	case kind == Verbatim && n >= 4: // three letters and a colon: "txt:"
		return body[4:], true
	}
	return nil, false
}

// Int returns the value of an integer reply.
func Int(raw []byte) (n int64, ok bool) {
	kind, _, body, ok := Split(raw)
	if !ok || kind != Integer {
		return 0, false
	}
	return ParseInt(body)
}

// Cursor walks over the values that an aggregate holds.
type Cursor struct {
	rest []byte
	left int
	bad  bool
}

// Elements returns a Cursor at the first value in the aggregate raw; keys and values of a map alternate. A null array
// holds none. ok is false when raw isn't an aggregate.
func Elements(raw []byte) (c Cursor, ok bool) {
	kind, n, body, ok := Split(raw)
	if !ok || shapes[kind] != single && shapes[kind] != pairs {
		return Cursor{bad: true}, false
	}
	return Cursor{rest: body, left: max(n, 0)}, true
}

// Next returns the raw bytes of the next value, with the attributes before it and without the pushes. They are capped. ok is
// false behind the last one, and when the next one isn't whole: Bad tells which.
func (c *Cursor) Next() (raw []byte, ok bool) {
	if c.left == 0 || c.bad {
		return nil, false
	}
	n, err := lenWithin(c.rest)
	if err != nil || n == 0 {
		c.bad = true
		return nil, false
	}
	raw, c.rest = c.rest[:n:n], c.rest[n:]
	c.left--
	return behindPushes(raw), true
}

// behindPushes cuts off the pushes before a value that an aggregate holds.
func behindPushes(raw []byte) []byte {
	for at := 0; at < len(raw); {
		switch raw[at] {
		case Push:
			size, err := Len(raw[at:])
			if err != nil || size == 0 {
				return raw
			}
			raw, at = raw[at+size:], 0
		case Attribute:
			at += attribute(raw[at:])
		default:
			return raw
		}
	}
	return raw
}

// attribute is the length of the attribute at the start of raw, which is whole, without the value behind it.
func attribute(raw []byte) int {
	_, n, body, _ := header(raw)
	for range n {
		size, _ := lenWithin(body)
		body = body[size:]
	}
	return len(raw) - len(body)
}

// Lift takes the pushes out of the middle of the value raw, which is whole, and hands each to push. It returns the value
// without them, in the same memory; what push gets is valid until it returns.
func Lift(raw []byte, push func(raw []byte)) []byte {
	at := 0
	for at < len(raw) && raw[at] == Attribute {
		at += attribute(raw[at:])
	}
	if at == len(raw) || shapes[raw[at]] < single || !bytes.Contains(raw[at:], []byte("\n>")) { // that may be in a payload
		return raw
	}
	kept, from := 0, 0
	for top := true; at < len(raw); top = false {
		kind, n, body, ok := header(raw[at:])
		if !ok {
			return raw
		}
		next := len(raw) - len(body)
		switch {
		case kind == Push && !top:
			size, _ := Len(raw[at:])
			push(raw[at : at+size])
			kept += copy(raw[kept:], raw[from:at])
			next = at + size
			from = next
		case shapes[kind] == line:
			next = at + 1 + n + 2
		case shapes[kind] == bulk && n >= 0:
			next += n + 2
		}
		at = next
	}
	return raw[:kept+copy(raw[kept:], raw[from:])]
}

// Left returns how many values Next has not returned yet.
func (c *Cursor) Left() int { return c.left }

// Bad reports whether the walk ended early because the bytes weren't whole, or no RESP.
func (c *Cursor) Bad() bool { return c.bad }

// Rest returns the bytes behind the values returned so far: behind the last one, what follows the aggregate.
func (c *Cursor) Rest() []byte { return c.rest }
