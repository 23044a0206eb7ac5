package policy

import "math"

// parseInt reads an integer as strictly as Redis does: no plus sign, no leading zero, no space, no "-0".
func parseInt(b []byte) (n int64, ok bool) {
	digits, negative := b, false
	if len(b) > 1 && b[0] == '-' {
		digits, negative = b[1:], true
	}
	if len(digits) == 0 || len(digits) > 19 || digits[0] == '0' && (len(digits) > 1 || negative) {
		return 0, false
	}
	var u uint64 // 19 digits always fit
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		u = u*10 + uint64(c-'0')
	}
	switch {
	case !negative && u <= math.MaxInt64:
		return int64(u), true
	case negative && u <= math.MaxInt64+1:
		return -int64(u), true // wraps around to the smallest integer, as it must
	}
	return 0, false
}

// mayBeInt reports whether a more lenient reader than Redis could take b for an integer above zero: "+5", "05", " 5".
func mayBeInt(b []byte) bool {
	for len(b) > 0 && (b[0] == '+' || b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	return len(b) > 0 && b[0] >= '0' && b[0] <= '9'
}
