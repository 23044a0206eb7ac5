package policy

import (
	"encoding/binary"
	"math"
	"slices"
)

// This file finds the longest element in a DUMP payload: what RDB files hold of one value. Strings in it may be compressed, and
// small collections are one string that holds all elements.
//
// Whatever it can't read counts as long as it could possibly be, so that no element above a limit gets by.

const (
	// maxUnpacked is how long a compressed string may be to be unpacked and looked into. A longer one counts as one element.
	maxUnpacked = 1 << 20
	// maxExpansion is how many times longer than itself LZF may make anything.
	maxExpansion = 88
)

// The types of values in RDB files. Those that are not here are not read: they are unknown, or known by several meanings.
const (
	dumpString = iota
	dumpList
	dumpSet
	dumpZSetText
	dumpHash
	dumpZSet
	_
	dumpModule
	_
	dumpZipmap
	dumpListZiplist
	dumpIntset
	dumpZSetZiplist
	dumpHashZiplist
	dumpQuicklistZiplists
	dumpStream1
	dumpHashListpack
	dumpZSetListpack
	dumpQuicklist
	dumpStream2
	dumpSetListpack
	dumpStream3
	_
	_
	dumpHashExpiring
	dumpHashExpiringListpack
)

// DumpLen returns the length of the value in a DUMP payload: of the string, or of the longest element. Of elements that are packed
// into one string it is that string's length, if that is within the limit or the string is above maxUnpacked and compressed; of what
// can't be read, more than there can be in it. A string that isn't whole has no length; Redis will refuse it.
func DumpLen(payload []byte, limit int64) int64 {
	if len(payload) < 2 {
		return 0
	}
	if payload[0] == dumpString {
		return dumpedString(payload[1:])
	}
	d := dump{rest: payload[1:], limit: limit}
	if d.value(payload[0]); d.lost {
		return max(d.longest, int64(len(payload))*maxExpansion)
	}
	return d.longest
}

// dump reads a payload from the front. Once it has lost its way, it reads only zeros.
type dump struct {
	rest    []byte
	limit   int64
	longest int64
	lost    bool

	unpacked []byte // room for one string
}

func (d *dump) note(n int64) { d.longest = max(d.longest, n) }

func (d *dump) value(kind byte) {
	switch kind {
	case dumpList, dumpSet:
		d.times(d.length(), d.element)
	case dumpHash:
		d.times(d.length(), d.element, d.element)
	case dumpZSetText:
		d.times(d.length(), d.element, d.scoreText)
	case dumpZSet:
		d.times(d.length(), d.element, func() { d.skip(8) })
	case dumpModule:
		d.module()
	case dumpListZiplist, dumpZSetZiplist, dumpHashZiplist:
		d.blob(ziplistLen)
	case dumpHashListpack, dumpZSetListpack, dumpSetListpack:
		d.blob(listpackLen)
	case dumpIntset:
		d.blob(intsetLen)
	case dumpZipmap:
		d.element()
	case dumpQuicklistZiplists:
		d.times(d.length(), func() { d.blob(ziplistLen) })
	case dumpQuicklist:
		d.times(d.length(), d.quicklistNode)
	case dumpStream1, dumpStream2, dumpStream3:
		d.stream(kind)
	case dumpHashExpiring:
		d.skip(8)
		d.times(d.length(), func() { d.length() }, d.element, d.element)
	case dumpHashExpiringListpack:
		d.skip(8)
		d.blob(listpackLen)
	default:
		d.lost = true
	}
}

// times reads n times these, or as often as there is something to read.
func (d *dump) times(n int64, parts ...func()) {
	for ; n > 0 && !d.lost; n-- {
		for _, part := range parts {
			part()
		}
	}
}

func (d *dump) skip(n int64) {
	if d.lost = d.lost || n > int64(len(d.rest)); !d.lost {
		d.rest = d.rest[n:]
	}
}

func (d *dump) length() int64 {
	n, rest, ok := dumpedLen(d.rest)
	if d.lost = d.lost || !ok; d.lost {
		return 0
	}
	d.rest = rest
	return n
}

// text reads a string: its length and, unless it is compressed, or a number, its bytes; packed is what is compressed.
func (d *dump) text() (n int64, plain, packed []byte) {
	switch {
	case d.lost || len(d.rest) == 0:
		d.lost = true
		return 0, nil, nil
	case d.rest[0]>>6 != 3: // plain
		n = d.length()
		plain = d.rest
		if d.skip(n); d.lost {
			return 0, nil, nil
		}
		return n, plain[:n], nil
	case d.rest[0]&0x3f < 3: // a number of 1, 2 or 4 bytes
		n = dumpedString(d.rest)
		d.skip(1 + 1<<(d.rest[0]&0x3f))
		return n, nil, nil
	case d.rest[0]&0x3f > 3:
		d.lost = true
		return 0, nil, nil
	}
	d.skip(1)
	size := d.length()
	n, packed = d.length(), d.rest
	if d.skip(size); d.lost {
		return 0, nil, nil
	}
	return n, nil, packed[:size]
}

// element reads a string that is one.
func (d *dump) element() {
	n, _, _ := d.text()
	d.note(n)
}

// blob reads a string that holds many elements, which longest can look through. What is within the limit as a whole is not.
func (d *dump) blob(longest func([]byte) (int64, bool)) {
	n, plain, packed := d.text()
	switch {
	case n <= d.limit || packed != nil && n > min(maxUnpacked, maxExpansion*int64(len(packed))):
		d.note(n)
		return
	case packed != nil:
		d.unpacked = slices.Grow(d.unpacked[:0], int(n))
		plain = unpack(d.unpacked, packed, int(n))
	}
	if inside, ok := longest(plain); ok {
		n = inside
	}
	d.note(n)
}

// scoreText reads a number as text, with a byte before it that says how long it is or which it is.
func (d *dump) scoreText() {
	const special = 253
	if len(d.rest) > 0 && d.rest[0] < special {
		d.skip(int64(d.rest[0]))
	}
	d.skip(1)
}

// quicklistNode reads one long element or a listpack of many.
func (d *dump) quicklistNode() {
	const plain = 1
	if d.length() == plain {
		d.element()
	} else {
		d.blob(listpackLen)
	}
}

// module reads what a module has written, each part behind the kind that it is of.
func (d *dump) module() {
	d.length() // which module
	for !d.lost {
		switch d.length() {
		case 0:
			return
		case 1, 2:
			d.length()
		case 3:
			d.skip(4)
		case 4:
			d.skip(8)
		case 5:
			d.element()
		default:
			d.lost = true
		}
	}
}

// stream reads listpacks of entries, and then consumer groups.
func (d *dump) stream(kind byte) {
	number := func() { d.length() }
	id := func() { d.skip(16) }
	d.times(d.length(), d.element, func() { d.blob(listpackLen) })
	d.times(3, number) // how many entries; the last one
	if kind != dumpStream1 {
		d.times(5, number)
	}
	d.times(d.length(), func() { // groups
		d.element()
		d.times(2, number)
		if kind != dumpStream1 {
			d.times(1, number)
		}
		d.times(d.length(), id, func() { d.skip(8) }, number)
		d.times(d.length(), func() { // consumers
			d.element()
			d.skip(8)
			if kind == dumpStream3 {
				d.skip(8)
			}
			d.times(d.length(), id)
		})
	})
}

// unpack undoes LZF behind out, which is empty. It returns nil if that does not make n bytes.
func unpack(out, in []byte, n int) []byte {
	for len(in) > 0 {
		head := int(in[0])
		in = in[1:]
		if head < 32 { // as they are
			if head++; head > len(in) || len(out)+head > n {
				return nil
			}
			out, in = append(out, in[:head]...), in[head:]
			continue
		}
		size := head >> 5
		if size == 7 && len(in) > 0 {
			size, in = size+int(in[0]), in[1:]
		}
		if len(in) == 0 {
			return nil
		}
		from := len(out) - 1 - (head&0x1f<<8 | int(in[0]))
		in = in[1:]
		if size += 2; from < 0 || len(out)+size > n {
			return nil
		}
		for ; size > 0; size, from = size-1, from+1 {
			out = append(out, out[from])
		}
	}
	if len(out) != n {
		return nil
	}
	return out
}

// intsetLen is about the text of a set's integers, all of one width.
func intsetLen(b []byte) (int64, bool) {
	if len(b) < 8 {
		return 0, false
	}
	switch binary.LittleEndian.Uint32(b) {
	case 2:
		return int64(len("-32768")), true
	case 4:
		return int64(len("-2147483648")), true
	}
	return int64(len("-9223372036854775808")), true
}

// listpackLen returns the length of the longest element of a listpack, integers as text.
func listpackLen(b []byte) (longest int64, ok bool) {
	const header, end = 6, 0xff
	for at := header; at < len(b); {
		if b[at] == end {
			return longest, at == len(b)-1
		}
		head, body, text := listpackEntry(b[at:])
		if head == 0 || body > len(b)-at-head {
			return 0, false
		}
		longest = max(longest, text)
		at += head + body
		at += backLen(head + body)
	}
	return 0, false
}

// listpackEntry returns how long an entry's head and what follows it are, and its text. head 0: it can't be read.
func listpackEntry(b []byte) (head, body int, text int64) {
	c := b[0]
	switch {
	case c < 0x80:
		return 1, 0, 3
	case c < 0xc0:
		body = int(c & 0x3f)
		return 1, body, int64(body)
	case c < 0xe0:
		return 1, 1, 5
	case c < 0xf0 && len(b) > 1:
		body = int(c&0xf)<<8 | int(b[1])
		return 2, body, int64(body)
	case c == 0xf0 && len(b) > 4:
		n := binary.LittleEndian.Uint32(b[1:])
		body = int(min(n, math.MaxInt32))
		return 5, body, int64(n)
	case c >= 0xf1 && c <= 0xf3: // 16, 24, 32 bits
		return 1, int(c-0xf1) + 2, 11
	case c == 0xf4:
		return 1, 8, 20
	}
	return 0, 0, 0
}

// backLen is how many bytes say behind an entry of n bytes how long it was.
func backLen(n int) int {
	switch {
	case n <= 127:
		return 1
	case n < 16383:
		return 2
	case n < 2097151:
		return 3
	case n < 268435455:
		return 4
	}
	return 5
}

// ziplistLen returns the length of the longest element of a ziplist, integers as text.
func ziplistLen(b []byte) (longest int64, ok bool) {
	const header, end, longPrev = 10, 0xff, 0xfe
	for at := header; at < len(b); {
		switch b[at] {
		case end:
			return longest, at == len(b)-1
		case longPrev:
			at += 5
		default:
			at++
		}
		if at >= len(b) {
			return 0, false
		}
		head, body, text := ziplistEntry(b[at:])
		if head == 0 || body > len(b)-at-head {
			return 0, false
		}
		longest = max(longest, text)
		at += head + body
	}
	return 0, false
}

// ziplistEntry is for ziplists what listpackEntry is for listpacks.
func ziplistEntry(b []byte) (head, body int, text int64) {
	c := b[0]
	switch {
	case c < 0x40:
		return 1, int(c), int64(c)
	case c < 0x80 && len(b) > 1:
		body = int(c&0x3f)<<8 | int(b[1])
		return 2, body, int64(body)
	case c == 0x80 && len(b) > 4:
		n := binary.BigEndian.Uint32(b[1:])
		return 5, int(min(n, math.MaxInt32)), int64(n)
	case c == 0xc0:
		return 1, 2, 6
	case c == 0xd0:
		return 1, 4, 11
	case c == 0xe0:
		return 1, 8, 20
	case c == 0xf0:
		return 1, 3, 8
	case c == 0xfe:
		return 1, 1, 4
	case c > 0xf0 && c < 0xfe:
		return 1, 0, 2
	}
	return 0, 0, 0
}
