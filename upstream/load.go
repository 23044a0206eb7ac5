package upstream

import (
	"fmt"
	"strconv"
	"sync/atomic"
)

// load is what a node has been given to do and has not answered. The bytes of a request are in memory until its replies are there, and
// each reply that is awaited has its place: so both are limited, for all links of the node together.
type load struct {
	bytes, commands   atomic.Int64
	maxBytes, maxCmds int64
	refused           atomic.Int64 // batches, ever
}

// overloaded is the limit that something would have broken.
type overloaded struct{ got, limit, setting string }

func (o *overloaded) Error() string {
	return fmt.Sprintf("overloaded: %s, the limit is %s (%s)", o.got, o.limit, o.setting)
}

// enter counts c in, unless that is too much.
func (l *load) enter(c *call) error {
	c.bytes, c.commands = min(int64(len(c.req)), l.maxBytes/16), min(int64(c.count), max(l.maxCmds/16, 1))
	bytes, commands := l.bytes.Add(c.bytes), l.commands.Add(c.commands)
	var err error
	switch {
	case bytes > l.maxBytes:
		err = &overloaded{fmt.Sprintf("%d bytes of requests wait for their replies", bytes), size(l.maxBytes), "upstream.max_in_flight"}
	case commands > l.maxCmds:
		err = &overloaded{fmt.Sprintf("%d commands wait for their replies", commands), strconv.FormatInt(l.maxCmds, 10), "upstream.max_commands"}
	default:
		return nil
	}
	l.leave(c)
	l.refused.Add(1)
	return err
}

// leave is the end of what enter began.
func (l *load) leave(c *call) {
	l.bytes.Add(-c.bytes)
	l.commands.Add(-c.commands)
	c.bytes, c.commands = 0, 0
}

// size is a number of bytes as configurations have it.
func size(n int64) string {
	for _, unit := range []struct {
		name  string
		bytes int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= unit.bytes && n%unit.bytes == 0 {
			return strconv.FormatInt(n/unit.bytes, 10) + unit.name
		}
	}
	return strconv.FormatInt(n, 10)
}
