package command

import (
	"math/bits"
	"strings"
)

// Cats is a set of ACL categories.
type Cats uint32

// The categories, in the order ACL CAT lists them. Those that follow from Flags and State need no mention in a row:
// CatRead, CatWrite, CatAdmin with Dangerous, Slow (whatever is not Fast).
const (
	Keyspace Cats = 1 << iota
	CatRead
	CatWrite
	Set
	SortedSet
	List
	Hash
	String
	Bitmap
	HyperLogLog
	Geo
	Stream
	PubSub
	CatAdmin
	Fast
	Slow
	Blocking
	Dangerous
	Connection
	Transaction
	Scripting
	Array
	JSON
	Bloom
	Cuckoo
	CMS
	TopK
	TDigest
	TimeSeries

	everything Cats = 1<<iota - 1

	// Uncertain are the groups of commands of modules, whose rows are not certain enough to rule by them.
	Uncertain = Array | JSON | Bloom | Cuckoo | CMS | TopK | TDigest | TimeSeries
)

var catNames = [...]string{
	"keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo", "stream",
	"pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting",
	"array", "json", "bloom", "cuckoo", "cms", "topk", "tdigest", "timeseries",
}

// Category returns the category of that name, in upper or lower case, with or without its @. "all" is every category.
func Category(name string) (Cats, bool) {
	name = strings.ToLower(strings.TrimPrefix(name, "@"))
	if name == "all" {
		return everything, true
	}
	for i, n := range catNames {
		if n == name {
			return 1 << i, true
		}
	}
	return 0, false
}

// Names returns the categories' names, without @, in the order ACL CAT lists them.
func (c Cats) Names() []string {
	names := make([]string, 0, bits.OnesCount32(uint32(c)))
	for i, n := range catNames {
		if c&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return names
}

// implied adds the categories that Redis itself derives from a command's flags.
func (c Cats) implied(f Flags) Cats {
	if f&Write != 0 {
		c |= CatWrite
	}
	if f&Read != 0 && c&Scripting == 0 {
		c |= CatRead
	}
	if f&Admin != 0 {
		c |= CatAdmin | Dangerous
	}
	if c&Fast == 0 {
		c |= Slow
	}
	return c
}
