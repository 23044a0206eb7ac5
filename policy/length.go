package policy

import (
	"math"
	"strconv"

	"sessiongate/command"
)

// This file reads how long a string will be out of arguments that don't show it.

// bitfieldLen returns how many bytes BITFIELD's operations make a string have at least, 0 if they write nothing or Redis
// will refuse them. It is not sure of operations that only a newer server may know.
func bitfieldLen(ops [][]byte) (n int64, sure bool) {
	for len(ops) > 0 {
		op, args := ops[0], ops[1:]
		take, write := 2, false
		switch {
		case command.IsWord(op, "GET"):
		case command.IsWord(op, "SET"), command.IsWord(op, "INCRBY"):
			take, write = 3, true
		case command.IsWord(op, "OVERFLOW"):
			take = 1
		default:
			return n, false
		}
		if len(args) < take {
			return 0, true
		}
		if write {
			end, ok := bitsEnd(args[0], args[1])
			if !ok {
				return 0, true // all operations are read before any of them runs
			}
			n = max(n, (end-1)/8+1)
		}
		ops = args[take:]
	}
	return n, true
}

// bitsEnd is the first bit after an integer of this type at this offset, which counts integers when it begins with #.
func bitsEnd(kind, offset []byte) (end int64, ok bool) {
	if len(kind) < 2 || kind[0] != 'i' && kind[0] != 'u' {
		return 0, false
	}
	bits, ok := parseInt(kind[1:])
	if !ok || bits < 1 || bits > 64 || bits == 64 && kind[0] == 'u' {
		return 0, false
	}
	each := int64(1)
	if len(offset) > 0 && offset[0] == '#' {
		offset, each = offset[1:], bits
	}
	at, ok := parseInt(offset)
	if !ok || at < 0 || at > (math.MaxInt64-bits)/each {
		return 0, false
	}
	return at*each + bits, true
}

// dumpedString reads the length of a string as RDB files have it: plain, as an integer in binary, or compressed.
func dumpedString(b []byte) int64 {
	if len(b) == 0 {
		return 0
	}
	if b[0]>>6 != 3 {
		n, _, _ := dumpedLen(b)
		return n
	}
	switch encoding, b := b[0]&0x3f, b[1:]; {
	case encoding == 0 && len(b) >= 1:
		return digits(int64(int8(b[0])))
	case encoding == 1 && len(b) >= 2:
		return digits(int64(int16(b[0]) | int16(b[1])<<8))
	case encoding == 2 && len(b) >= 4:
		return digits(int64(int32(b[0]) | int32(b[1])<<8 | int32(b[2])<<16 | int32(b[3])<<24))
	case encoding == 3: // LZF: the compressed length, then the real one
		if _, b, ok := dumpedLen(b); ok {
			n, _, _ := dumpedLen(b)
			return n
		}
	}
	return 0
}

// dumpedLen reads a length of 6, 14, 32 or 64 bits and returns what follows it.
func dumpedLen(b []byte) (n int64, rest []byte, ok bool) {
	size := 0
	switch {
	case len(b) == 0:
		return 0, nil, false
	case b[0]>>6 == 0:
		return int64(b[0]), b[1:], true
	case b[0]>>6 == 1 && len(b) >= 2:
		return int64(b[0]&0x3f)<<8 | int64(b[1]), b[2:], true
	case b[0] == 0x80:
		size = 4
	case b[0] == 0x81:
		size = 8
	}
	if size == 0 || len(b) <= size {
		return 0, nil, false
	}
	var u uint64
	for _, c := range b[1 : 1+size] {
		u = u<<8 | uint64(c)
	}
	return int64(min(u, math.MaxInt64)), b[1+size:], true
}

// digits is the length of an integer's text.
func digits(n int64) int64 {
	var buf [20]byte
	return int64(len(strconv.AppendInt(buf[:0], n, 10)))
}
