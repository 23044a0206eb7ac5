package audit

import (
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Counts are keys that are not as their rule wants them, by what is wrong. A key may count several times.
type Counts struct {
	NoExpiry      int64 `json:"no_expiry"`
	AboveMax      int64 `json:"above_max"`
	NoBirth       int64 `json:"no_birth"`        // under a lifetime
	PastLifetime  int64 `json:"past_lifetime"`   // its expiry is, or that has ended
	ValueTooLarge int64 `json:"value_too_large"` // strings; the elements of collections are not looked at
	KeyTooLong    int64 `json:"key_too_long"`
	WeakID        int64 `json:"weak_id"`
}

// list has each count under its title.
func (c *Counts) list() []count {
	return []count{
		{"no expiry", c.NoExpiry, false}, {"above max", c.AboveMax, false}, {"no birth", c.NoBirth, true}, {"past lifetime", c.PastLifetime, true},
		{"value too large", c.ValueTooLarge, false}, {"key too long", c.KeyTooLong, false}, {"weak id", c.WeakID, false},
	}
}

type count struct {
	title string
	n     int64
	life  bool // it is about rules with a lifetime
}

func (c *Counts) sum() (n int64) {
	for _, each := range c.list() {
		n += each.n
	}
	return n
}

// RuleSums are the keys of one rule.
type RuleSums struct {
	Rule  string `json:"rule"` // empty: keys that no rule takes
	Keys  int64  `json:"keys"`
	Bytes int64  `json:"bytes"` // in Redis's memory
	Found Counts `json:"found"`
	Fixed Counts `json:"fixed"` // of those
}

// sums are all that is counted on a walk. Their size is bounded, whatever the number of keys.
type sums struct {
	Keys    int64             `json:"keys"`
	Bytes   int64             `json:"bytes"`
	Rules   []RuleSums        `json:"rules"` // by the index of the rule; the last is for keys that no rule takes
	Types   map[string]int64  `json:"types"`
	ByKeys  *top              `json:"by_keys"`
	ByBytes *top              `json:"by_bytes"`
	TTL     Histogram         `json:"ttl"`
	Age     Histogram         `json:"age"` // of keys that have a birth
	Idle    Histogram         `json:"idle"`
	Size    Histogram         `json:"size"`
	Untold  map[string]string `json:"untold"` // what Redis doesn't tell, and in which words
}

func newSums(rules []string) sums {
	s := sums{
		Types: map[string]int64{}, Untold: map[string]string{}, ByKeys: newTop(mostPrefixes), ByBytes: newTop(mostPrefixes),
		TTL: newHistogram("s", times), Age: newHistogram("s", times), Idle: newHistogram("s", times), Size: newHistogram("B", sizes),
	}
	for _, name := range rules {
		s.Rules = append(s.Rules, RuleSums{Rule: name})
	}
	s.Rules = append(s.Rules, RuleSums{})
	return s
}

// add counts one key, and what of it was put right.
func (s *sums) add(k *seen, namespace string) {
	at := k.limits.Rule
	if at < 0 {
		at = len(s.Rules) - 1
	}
	rule, prefix := &s.Rules[at], k.prefix(namespace)
	s.Keys++
	rule.Keys++
	s.Types[k.kind]++
	s.ByKeys.add(prefix, 1)
	if k.bytes >= 0 {
		s.Bytes += k.bytes
		rule.Bytes += k.bytes
		s.ByBytes.add(prefix, k.bytes)
		s.Size.add(k.bytes)
	}
	if k.idle >= 0 {
		s.Idle.add(k.idle)
	}
	if k.ttl < 0 {
		s.TTL.Never++
	} else {
		s.TTL.add(k.ttl / 1000)
	}
	if k.grain > 0 {
		s.Age.add((k.now - k.birth) / 1000)
	}
	judge(k, len(k.key)-len(namespace), &rule.Found)
	if k.after > 0 {
		judgeFixed(k, &rule.Fixed)
	}
}

// judge counts what is wrong with a key, whose name has n bytes.
func judge(k *seen, n int, found *Counts) {
	judgeExpiry(k, found)
	if k.length > 0 {
		found.ValueTooLarge++
	}
	if l := &k.limits; l.Key > 0 && int64(n) > l.Key {
		found.KeyTooLong++
	}
	if k.limits.Bits < k.limits.MinBits {
		found.WeakID++
	}
}

// judgeExpiry counts what an expiry puts right.
func judgeExpiry(k *seen, found *Counts) {
	switch {
	case k.noExpiry():
		found.NoExpiry++
	case k.aboveMax():
		found.AboveMax++
	}
	switch {
	case k.noBirth():
		found.NoBirth++
	case k.pastLifetime():
		found.PastLifetime++
	}
}

// judgeFixed counts what was wrong with a key before it was given another expiry, and is no longer.
func judgeFixed(k *seen, fixed *Counts) {
	var before, after Counts
	judgeExpiry(k, &before)
	now := *k
	now.expires(k.after)
	judgeExpiry(&now, &after)
	fixed.NoExpiry += max(0, before.NoExpiry-after.NoExpiry)
	fixed.AboveMax += max(0, before.AboveMax-after.AboveMax)
	fixed.NoBirth += max(0, before.NoBirth-after.NoBirth)
	fixed.PastLifetime += max(0, before.PastLifetime-after.PastLifetime)
}

// told reports whether Redis has answered what was asked. It takes note of a refusal: LFU policies know no idle time, some servers
// no memory, and an ACL may deny either.
func (s *sums) told(what string, err error) bool {
	var answered redis.Error
	if err != nil && !errors.Is(err, redis.Nil) && errors.As(err, &answered) {
		s.Untold[what] = strings.TrimSpace(err.Error())
	}
	return err == nil
}

func (s *sums) untold(what string) bool { return s.Untold[what] != "" }
