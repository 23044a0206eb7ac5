// Package resp measures, walks and builds RESP2 and RESP3 values as bytes, without allocation and without looking at
// payloads.
//
// It knows the wire format. It does not know commands, connections or what a value means: a reply is found by its end
// (Scanner, Len), taken apart where a name may stand in it (Split, Elements, Bulk, Int), and small ones are built for
// either version of the protocol (Append...). What RESP2 alone needs is in redcon's Append functions.
//
//	c, ok := resp.Elements(reply)
//	for value, more := c.Next(); more; value, more = c.Next() {
//		name, isText := resp.Bulk(value)
//		...
//	}
package resp

import (
	"bytes"
	"errors"
	"math"
)

// The first byte of a value is its kind.
const (
	Simple    = '+'
	Error     = '-'
	Integer   = ':'
	String    = '$'
	Array     = '*'
	Null      = '_'
	Bool      = '#'
	Double    = ','
	Big       = '('
	BulkError = '!'
	Verbatim  = '='
	Map       = '%'
	Set       = '~'
	Push      = '>' // inside another value: written into the middle of it, and none of what that holds
	Attribute = '|' // precedes a value and belongs to it
)

// maxLine is the longest simple string, error or number in bytes. Redis itself has no limit for them: a script can
// return any string as a status. This is Redis's limit for strings, so a longer line is broken framing.
const maxLine = 512 << 20

// What can be wrong with a stream. After any of them there is no telling where the next value starts.
var (
	ErrKind   = errors.New("resp: unknown kind of value")
	ErrLength = errors.New("resp: invalid length")
	ErrLine   = errors.New("resp: line without CR LF, or too long")
	ErrEnd    = errors.New("resp: no CR LF after a string")
)

// shape says how a kind of value goes on after its first byte.
type shape uint8

const (
	unknown shape = iota
	line          // text up to CR LF
	bulk          // a length, CR LF, that many bytes, CR LF
	single        // a count, CR LF, that many values
	pairs         // a count, CR LF, twice that many values
)

var shapes = [256]shape{
	Simple: line, Error: line, Integer: line, Null: line, Bool: line, Double: line, Big: line,
	String: bulk, BulkError: bulk, Verbatim: bulk,
	Array: single, Set: single, Push: single,
	Map: pairs, Attribute: pairs,
}

// Scanner finds the end of one value in a stream that arrives in pieces. Payloads are skipped by length, never looked
// at, and nesting needs no stack: what counts is how many values are still to come. The zero Scanner is ready. After
// an error it is of no more use.
type Scanner struct {
	Longest int64 // the longest bulk string in bytes announced so far in this value, or simple string received so far

	open   int64 // values still to come, the current one included; 0: between two values
	skip   int64 // bytes of the current payload and its CR LF still to come
	nested bool  // the values to come are inside an aggregate

	// The header in hand, when a piece ends in the middle of it.
	kind  byte  // 0: none
	cr    bool  // its last byte so far was CR
	minus bool  // its number is negative
	size  int64 // the bytes of its line, or the digits of its number, so far
	num   int64 // its number so far
}

// Scan takes the next bytes of the stream. n of them belong to the value; done says that it ends with b[n-1]. The
// next Scan then begins a new value.
func (s *Scanner) Scan(b []byte) (n int, done bool, err error) {
	if s.open == 0 {
		s.open, s.Longest, s.nested = 1, 0, false
	}
	for n < len(b) {
		var used int
		switch {
		case s.skip > 0:
			used, err = s.payload(b[n:])
		case s.kind == 0:
			if shapes[b[n]] == unknown {
				return n, false, ErrKind
			}
			s.kind, used = b[n], 1
			s.cr, s.minus, s.size, s.num = false, false, 0, 0
		case shapes[s.kind] == line:
			used, err = s.text(b[n:])
		default:
			used, err = s.length(b[n:])
		}
		n += used
		if err != nil {
			return n, false, err
		}
		if s.open == 0 {
			return n, true, nil
		}
	}
	return n, false, nil
}

// payload skips what is there of a string and of its CR LF.
func (s *Scanner) payload(b []byte) (n int, err error) {
	n = int(min(s.skip, int64(len(b))))
	s.skip -= int64(n)
	if s.skip > 1 {
		return n, nil
	}
	cr := n - 2 + int(s.skip)
	if cr >= 0 && b[cr] != '\r' || s.skip == 0 && b[n-1] != '\n' {
		return n, ErrEnd
	}
	if s.skip == 0 {
		s.open--
	}
	return n, nil
}

// text skips a line up to its CR LF.
func (s *Scanner) text(b []byte) (n int, err error) {
	i := bytes.IndexByte(b, '\n')
	n = i + 1
	if i < 0 {
		n = len(b)
	}
	if s.size += int64(n); s.size > maxLine {
		return n, ErrLine
	}
	if s.kind == Simple { // of any length: a script may return a value as a status
		end := min(i, 0) + 2 // its CR LF, or at most CR
		s.Longest = max(s.Longest, s.size-int64(end))
	}
	// A CR inside a line was corrupted, or is the end of a line whose LF was: Redis puts blanks for those in statuses and errors. To go on
	// would be to take two replies for one, and to give each client that of the one before.
	last := i - 1
	if i < 0 {
		last = n - 1
	}
	if r := bytes.IndexByte(b[:n], '\r'); s.cr && i != 0 || r >= 0 && r != last {
		return n, ErrLine
	}
	switch {
	case i < 0:
		s.cr = b[n-1] == '\r'
		return n, nil
	case i > 0:
		s.cr = b[i-1] == '\r'
	}
	if !s.cr {
		return n, ErrLine
	}
	s.kind = 0
	s.open--
	return n, nil
}

// length reads the number of a header and, at its CR LF, begins what it announces.
func (s *Scanner) length(b []byte) (n int, err error) {
	for i, c := range b {
		switch {
		case s.cr:
			if c != '\n' {
				return i, ErrLength
			}
			return i + 1, s.announce()
		case '0' <= c && c <= '9':
			if s.size > 0 && s.num == 0 || s.num > (math.MaxInt64-9)/10 { // a leading zero, or too large
				return i, ErrLength
			}
			s.num = s.num*10 + int64(c-'0')
			s.size++
		case c == '\r' && s.size > 0:
			s.cr = true
		case c == '-' && s.size == 0 && !s.minus:
			s.minus = true
		default:
			return i, ErrLength
		}
	}
	return len(b), nil
}

// announce takes the header in hand, whose number is complete: from now on what it announces is what is missing.
func (s *Scanner) announce() error {
	kind := s.kind
	s.kind = 0
	if s.minus {
		if s.num != 1 || kind != String && kind != Array {
			return ErrLength
		}
		s.open--
		return nil
	}
	switch shapes[kind] {
	case bulk:
		if s.num > math.MaxInt64-2 {
			return ErrLength
		}
		s.Longest = max(s.Longest, s.num)
		s.skip = s.num + 2
		return nil
	case pairs:
		if s.num > math.MaxInt64/2 {
			return ErrLength
		}
		s.num *= 2
	}
	within := s.nested || s.open > 1 // behind attributes, open is 1 again
	s.nested = s.nested || kind != Attribute && !within
	if kind != Attribute && (kind != Push || !within) { // those two aren't the value that is waited for
		s.open--
	}
	if s.num > math.MaxInt64-s.open {
		return ErrLength
	}
	s.open += s.num
	return nil
}

// Len returns the length in bytes of the value at the start of b, or 0 when it isn't all there.
func Len(b []byte) (n int, err error) { return length(b, Scanner{}) }

// lenWithin is Len of a value that an aggregate holds, with the pushes before it.
func lenWithin(b []byte) (n int, err error) { return length(b, Scanner{open: 1, nested: true}) }

func length(b []byte, s Scanner) (n int, err error) {
	n, done, err := s.Scan(b)
	if !done {
		return 0, err
	}
	return n, nil
}
