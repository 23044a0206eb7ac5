package policy

import (
	"crypto/sha1"
	"encoding/binary"
	"fmt"
)

// This file has the jitter of an expiry rule: sessions that were created together must not all expire together. What a key gets that
// says no expiry itself, and what accesses put it back to, is chosen for each key between the full time and that less jitter. It is never
// more: a limit stays a limit. And it is the same for a key each time, by its name, so that nothing has to be remembered, a refresh puts
// back what was there, and whoever audits knows what a key should have.

// jitter is in percent; 0: there is none.
type jitter int64

// of is how long the key has, by the client's name for it, where others have ms. Scripts come to the same figure by the same steps (spread
// in proxy/confine.go), which is why it is SHA-1 and why it is computed in floating point.
func (j jitter) of(ms int64, key []byte) int64 {
	if j == 0 || ms <= 0 {
		return ms
	}
	sum := sha1.Sum(key)
	return ms - int64(float64(j.most(ms))*float64(binary.BigEndian.Uint32(sum[:]))/(1<<32))
}

// most is what a key may lose of ms.
func (j jitter) most(ms int64) int64 { return int64(float64(ms) * float64(j) / 100) }

// first is what the key gets if it would have no expiry.
func (e *expiry) first(key []byte) int64 { return e.jitter.of(e.initial, key) }

// persisted is what the key gets if the client wants it to have no expiry.
func (e *expiry) persisted(key []byte) int64 {
	if e.max > 0 {
		return e.persist
	}
	return e.first(key)
}

func (c *ExpiryConfig) jitter() jitter { return jitter(c.Jitter.percent) }

func (c *ExpiryConfig) checkJitter(report func(Problem)) {
	if !c.Jitter.given {
		return
	}
	full := c.Default
	if full == 0 || c.Idle > 0 && c.Idle < full {
		full = c.longest()
	}
	least := Duration((full.Milliseconds() - c.jitter().most(full.Milliseconds())) * 1e6)
	switch {
	case full <= 0:
		report(Problem{Path: "jitter", Value: c.Jitter.String(), Text: "is of no use without default, max, idle or lifetime",
			Hint: "add default, or remove jitter"})
	case full >= c.Min && least < c.Min:
		report(Problem{Path: "jitter", Value: c.Jitter.String(), Text: fmt.Sprintf("%s brings %s down to %s, below min, %s", c.Jitter, full, least, c.Min),
			Hint: "lower jitter or min"})
	}
}

// Jitter is how long a key has, by the client's name for it, that would have ms without a jitter of so many percent.
func Jitter(ms int64, percent int, key []byte) int64 { return jitter(percent).of(ms, key) }
