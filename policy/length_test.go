package policy

import "testing"

func TestBitfieldLen(t *testing.T) {
	for _, c := range []struct {
		ops  string
		want int64
		sure bool
	}{
		{"", 0, true},
		{"GET u8 1000", 0, true},
		{"SET u8 0 1", 1, true},
		{"SET u1 7 1", 1, true},
		{"SET u1 8 1", 2, true},
		{"set i64 0 1", 8, true},
		{"SET u8 #3 1", 4, true},
		{"INCRBY i5 #3 1", 3, true},
		{"SET u8 0 1 INCRBY u8 80 1 GET u8 800", 11, true},
		{"OVERFLOW SAT SET u8 16 1", 3, true},
		{"SET u8 8000 1 SET u8 -1 1", 0, true},
		{"SET u64 0 1", 0, true},
		{"SET i65 0 1", 0, true},
		{"SET u0 0 1", 0, true},
		{"SET x8 0 1", 0, true},
		{"SET u 0 1", 0, true},
		{"SET u8 # 1", 0, true},
		{"SET u8 9223372036854775807 1", 0, true},
		{"SET u8 #9223372036854775807 1", 0, true},
		{"SET u8 0", 0, true},
		{"SET u8 16 1 NEW u8 0", 3, false},
		{"NEW", 0, false},
	} {
		if got, sure := bitfieldLen(words(c.ops)); got != c.want || sure != c.sure {
			t.Errorf("%q: %d bytes, sure %v; want %d, %v", c.ops, got, sure, c.want, c.sure)
		}
	}
}

func TestDumpLen(t *testing.T) {
	for _, c := range []struct {
		payload string
		want    int64
	}{
		{"", 0},
		{"\x00", 0},
		{"\x00\x00", 0},
		{"\x00\x03foo\x0a\x00checksum", 3},
		{"\x00\x3f", 63},
		{"\x00\x41\x00", 256},
		{"\x00\x7f\xff", 16383},
		{"\x00\x41", 0},
		{"\x00\x80\x00\x01\x00\x00", 65536},
		{"\x00\x80\x00\x01\x00", 0},
		{"\x00\x81\x00\x00\x00\x01\x00\x00\x00\x00", 1 << 32},
		{"\x00\x81\xff\xff\xff\xff\xff\xff\xff\xff", 1<<63 - 1},
		{"\x00\x82\x00\x00\x00\x00", 0},
		{"\x00\xc0\x0a", 2},
		{"\x00\xc0\xff", 2},                                              // -1
		{"\x00\xc1\x00\x80", 6},                                          // -32768
		{"\x00\xc2\xff\xff\xff\x7f", 10},                                 // 2147483647
		{"\x00\xc2\x00\x00\x00\x80", 11},                                 // -2147483648
		{"\x00\xc3\x05\x41\x00xxxxx", 256},                               // compressed
		{"\x00\xc3\x05", 0},                                              // cut
		{"\x00\xc4\x05", 0},                                              // no such encoding
		{"\x04\x01\x01f\x02vv\x0a\x00", 2},                               // a hash
		{"\x12\x01\x02\x80\x00\x01\x00", 7 * maxExpansion},               // a list that isn't whole
		{"\x7f\x01", 2 * maxExpansion},                                   // no type that is known
		{"\x12\x01\x02\x0e\x0e\x00\x00\x00\x01\x00\x85hello\x06\xff", 5}, // a list in a listpack
		{"\x12\x01\x01\x05hello", 5},                                     // a list with a long element
		{"\x10\x09\x09\x00\x00\x00\x01\x00\x85he", 9},                    // a listpack with an entry that isn't whole
	} {
		if got := DumpLen([]byte(c.payload), 0); got != c.want {
			t.Errorf("%q: %d bytes, want %d", c.payload, got, c.want)
		}
	}
}

// Nothing in a payload makes reading it fail, or go on without end, or find less than is plainly there.
func FuzzDumpLen(f *testing.F) {
	for _, seed := range []string{
		"\x00\x03foo", "\x04\x01\x01f\x02vv", "\x12\x01\x02\x0e\x0e\x00\x00\x00\x01\x00\x85hello\x06\xff", "\x12\x01\x01\x05hello",
		"\x10\x0a\xc3\x05\x0a\x04hello", "\x07\x81\x00\x00\x00\x00\x00\x00\x00\x01\x05\x03foo\x00", "\x0a\x0f\x0f\x00\x00\x00\x0a\x00\x00\x00\x01\x00\x00\x02ab\xff",
		"\x0b\x0a\x02\x00\x00\x00\x01\x00\x00\x00\x01\x00", "\x13\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01g\x00\x00\x00\x00\x00",
		"\x03\x01\x01m\xff\x05\x01\x01m\x011",
	} {
		f.Add([]byte(seed), int64(0))
	}
	f.Fuzz(func(t *testing.T, payload []byte, limit int64) {
		if n := DumpLen(payload, limit); n < 0 {
			t.Errorf("%q: %d bytes", payload, n)
		}
	})
}
