package audit

import "slices"

// Histogram counts keys by a measure, in buckets that grow with it.
type Histogram struct {
	Unit    string   `json:"unit"`            // "s" or "B"
	Never   int64    `json:"never,omitempty"` // keys without expiry, which are in no bucket
	Buckets []Bucket `json:"buckets"`
}

// Bucket counts what is from here on, up to where the next bucket begins.
type Bucket struct {
	From int64 `json:"from"`
	Keys int64 `json:"keys"`
}

// Where buckets begin: for times in seconds at what people think in, for sizes in bytes at powers of two.
var (
	times = []int64{0, 1, 3, 10, 30, 60, 180, 600, 1800, 3600, 3 * 3600, 12 * 3600, 86400, 3 * 86400, 7 * 86400, 30 * 86400, 90 * 86400, 365 * 86400}
	sizes = func() []int64 {
		list := []int64{0}
		for n := int64(64); n <= 1<<30; n *= 2 {
			list = append(list, n)
		}
		return list
	}()
)

func newHistogram(unit string, from []int64) Histogram {
	h := Histogram{Unit: unit}
	for _, n := range from {
		h.Buckets = append(h.Buckets, Bucket{From: n})
	}
	return h
}

func (h *Histogram) add(n int64) {
	i, exact := slices.BinarySearchFunc(h.Buckets, n, func(b Bucket, n int64) int { return int(min(max(b.From-n, -1), 1)) })
	if !exact {
		i--
	}
	h.Buckets[max(i, 0)].Keys++
}

// count is how many keys are in buckets.
func (h *Histogram) count() (n int64) {
	for _, b := range h.Buckets {
		n += b.Keys
	}
	return n
}
