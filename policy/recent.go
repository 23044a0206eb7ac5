package policy

import (
	"hash/maphash"
	"sync/atomic"
)

// Recent remembers which keys' expiries were put back a moment ago, so that reads of them can stay reads. It has room for many
// keys and forgets the older one of two that fall on the same place: that costs a refresh, nothing else. The zero Recent is
// ready for use, by many at once and without locks. One serves all tenants of an upstream.
//
// A place holds 31 bits of a key's hash above 32 bits of time. Together with the place itself that is 49 bits of a hash that
// is seeded anew in each process: a read is taken for one of another key once in two billion reads at most, and that costs
// the key one refresh.
type Recent struct {
	places [places]atomic.Uint64
}

// places is for how many keys there is room, at 8 bytes each: some 2 MiB when it is full.
const places = 1 << 18

// Mark is a key whose expiry a command changes, for Recent to know of.
type Mark struct {
	Key     uint64 // as Recent knows it
	Written bool   // it is written: for Written to know of, and for nobody else
	Back    bool   // the expiry is put back to idle, if the reply says so; or else it becomes something else
	Bound   int    // one more than the index of the Bound that puts it back; 0: the command itself does
}

// Ticks are milliseconds of a clock that never goes back, and wrap around after 49 days. An entry that seems to be from further
// ahead than sessions are apart is from before.
const ahead = 60_000

// longestWindow is below what ticks can tell apart.
const longestWindow = 1 << 30

var (
	recentSeed = maphash.MakeSeed()
	mixer      = uint64(0x9e3779b97f4a7c15)
)

// recentKey is what Recent knows a key by: where it is, and for which idle timeout. Database and timeout don't change the place, so
// that what was noted under other rules is not taken for true under these, and what happens in a database that only Redis knows
// is forgotten for all of them.
func recentKey(salt uint64, db int, key []byte, idle int64) uint64 {
	h := (maphash.Bytes(recentSeed, key) ^ salt) * mixer
	h ^= h >> 29
	return h ^ (uint64(idle)+uint64(db)<<40)*mixer>>32<<32
}

func (x *Recent) place(key uint64) *atomic.Uint64 { return &x.places[key%places] }

// entryOf is what a place holds; no entry of a key is 0, nor is its upper half.
func entryOf(key uint64, tick int64) uint64 { return (key>>32|1)<<32 | uint64(uint32(tick)) }

// since is how many milliseconds passed from an entry to the tick.
func since(entry uint64, tick int64) int64 { return int64(int32(uint32(tick) - uint32(entry))) }

// within reports whether the key's expiry is known to have been put back less than window milliseconds ago.
func (x *Recent) within(key uint64, tick, window int64) bool {
	e := x.place(key).Load()
	age := since(e, tick)
	return e>>32 == key>>32|1 && age < min(window, longestWindow) && age > -ahead
}

// Note takes down that the key's expiry was put back by a command sent at the tick or later. If its place has something newer
// by now, that stays: it may be that the key is to be forgotten.
func (x *Recent) Note(key uint64, tick int64) {
	place := x.place(key)
	for {
		e := place.Load()
		if age := since(e, tick); e != 0 && age <= 0 && age > -ahead || place.CompareAndSwap(e, entryOf(key, tick)) {
			return
		}
	}
}

// Forget takes down that the key's expiry is something else since the tick. A command is to be forgotten before it is sent and
// again when its reply is here, since nobody knows which of two clients' commands Redis carries out first.
func (x *Recent) Forget(key uint64, tick int64) { x.place(key).Store(uint64(uint32(tick))) }
