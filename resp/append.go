package resp

import (
	"math"
	"strconv"
)

// The Append functions add one value, or the header of an aggregate whose values the caller appends next, to dst and
// return it. proto is the client's RESP version; version 2 gets what Redis sends in its place.

func appendHeader(dst []byte, kind byte, n int64) []byte {
	dst = append(dst, kind)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, '\r', '\n')
}

// AppendArrayHeader begins an array of n values.
func AppendArrayHeader(dst []byte, n int) []byte { return appendHeader(dst, Array, int64(n)) }

// AppendMapHeader begins a map of n pairs: under RESP2 an array of 2n values.
func AppendMapHeader(dst []byte, proto, n int) []byte {
	if proto < 3 {
		return appendHeader(dst, Array, 2*int64(n))
	}
	return appendHeader(dst, Map, int64(n))
}

// AppendSetHeader begins a set of n values: under RESP2 an array.
func AppendSetHeader(dst []byte, proto, n int) []byte {
	return appendHeader(dst, either(proto, Array, Set), int64(n))
}

// AppendPushHeader begins an out-of-band message of n values: under RESP2 an array.
func AppendPushHeader(dst []byte, proto, n int) []byte {
	return appendHeader(dst, either(proto, Array, Push), int64(n))
}

// AppendNull appends a null: under RESP2 the null string.
func AppendNull(dst []byte, proto int) []byte {
	if proto < 3 {
		return append(dst, "$-1\r\n"...)
	}
	return append(dst, "_\r\n"...)
}

// AppendNullArray appends a null where an array could have been: under RESP2 the null array.
func AppendNullArray(dst []byte, proto int) []byte {
	if proto < 3 {
		return append(dst, "*-1\r\n"...)
	}
	return append(dst, "_\r\n"...)
}

// AppendBool appends a truth value: under RESP2 the integer 1 or 0.
func AppendBool(dst []byte, proto int, v bool) []byte {
	text := ":0\r\n#f\r\n"
	if v {
		text = ":1\r\n#t\r\n"
	}
	if proto < 3 {
		return append(dst, text[:4]...)
	}
	return append(dst, text[4:]...)
}

// AppendDouble appends a floating-point number: under RESP2 its text as a string.
func AppendDouble(dst []byte, proto int, v float64) []byte {
	var buf [32]byte
	text := buf[:0]
	switch {
	case math.IsNaN(v):
		text = append(text, "nan"...)
	case math.IsInf(v, 1):
		text = append(text, "inf"...)
	case math.IsInf(v, -1):
		text = append(text, "-inf"...)
	default:
		text = strconv.AppendFloat(text, v, 'g', 17, 64)
	}
	if proto < 3 {
		return appendString(dst, String, "", text)
	}
	return appendLine(dst, Double, text)
}

// AppendBig appends a number of any length, given by its decimal digits: under RESP2 as a string.
func AppendBig(dst []byte, proto int, digits []byte) []byte {
	if proto < 3 {
		return appendString(dst, String, "", digits)
	}
	return appendLine(dst, Big, digits)
}

// AppendVerbatim appends text meant to be shown as it stands, such as the answer to INFO: under RESP2 as a string.
func AppendVerbatim(dst []byte, proto int, text []byte) []byte {
	if proto < 3 {
		return appendString(dst, String, "", text)
	}
	return appendString(dst, Verbatim, "txt:", text)
}

func appendLine(dst []byte, kind byte, text []byte) []byte {
	dst = append(dst, kind)
	dst = append(dst, text...)
	return append(dst, '\r', '\n')
}

func appendString(dst []byte, kind byte, format string, text []byte) []byte {
	dst = appendHeader(dst, kind, int64(len(format)+len(text)))
	dst = append(dst, format...)
	dst = append(dst, text...)
	return append(dst, '\r', '\n')
}

func either(proto int, two, three byte) byte {
	if proto < 3 {
		return two
	}
	return three
}
