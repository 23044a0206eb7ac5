package upstream

import "slices"

// What a batch keeps from one run for the next.
const (
	keepBytes   = 256 << 10 // of reply buffer
	keepReplies = 1 << 10
)

// private is what a Batch keeps for its link between two runs.
type private struct {
	call    *call
	scatter *scatter
}

// call is one batch on its way through a shared link. The link knows calls only, never a Batch: an owner that gives
// up waiting leaves its call behind, and what still arrives for it goes to the garbage collector.
type call struct {
	req    []byte  // the owner's bytes; the link reads them until sent, never after
	limits []int64 // a copy of the owner's
	count  int
	max    int64
	state  callState // guarded by link.mu

	// The receiver's until it wakes the owner.
	buf     []byte // replies, one after the other
	replies []Reply
	sealed  int   // replies that are in an earlier buf, which they keep
	size    int64 // bytes of all replies so far
	err     error
	flood   bool // more than max has come: nothing of it is kept

	wake chan struct{} // capacity 1, reused: the receiver never waits for an owner
}

// callState says how far a call has come.
type callState uint8

const (
	queued  callState = iota // not a byte is written
	writing                  // its bytes are being written straight from req
	sent                     // copied or written: req is the owner's again
)

// prepare makes the batch's call ready for a run.
func (b *Batch) prepare() *call {
	c := b.call
	if c == nil {
		c = &call{wake: make(chan struct{}, 1)}
		b.call = c
	}
	if cap(c.buf) > keepBytes {
		c.buf = nil
	}
	if cap(c.replies) > keepReplies {
		c.replies, c.limits = nil, nil
	}
	c.req, c.count, c.max, c.state, c.err = b.Req, b.Count, b.Max, queued, nil
	c.sealed, c.size, c.flood = 0, 0, false
	c.limits = append(c.limits[:0], b.Limits...)
	c.buf, c.replies = c.buf[:0], slices.Grow(c.replies[:0], b.Count)
	b.Replies = nil
	return c
}

// limit returns the longest bulk string in bytes that the next reply may hold; 0 means any.
func (c *call) limit() int64 {
	if i := len(c.replies); i < len(c.limits) {
		return c.limits[i]
	}
	return 0
}

// add ends the next reply: the bytes of buf from start on, or over when they broke the limit.
func (c *call) add(start int, over int64) {
	if over > 0 {
		c.replies = append(c.replies, Reply{Over: over})
		return
	}
	c.replies = append(c.replies, Reply{Raw: c.buf[start:]})
}

// finish hands the complete replies to the owner.
func (c *call) finish() {
	if c.flood {
		c.fail(ErrFlood)
		return
	}
	c.seal()
	c.wake <- struct{}{}
}

// seal points the replies that are in buf at their places. It may have moved while it grew: until now only their
// lengths are right.
func (c *call) seal() {
	at := 0
	for i := c.sealed; i < len(c.replies); i++ {
		r := &c.replies[i]
		end := at + len(r.Raw)
		if r.Over == 0 {
			r.Raw = c.buf[at:end:end]
		}
		at = end
	}
	c.sealed = len(c.replies)
}

// reserve makes room for a string that is announced, in a buf of its own if it is long: what came before is not copied
// then. start is where the value it is in starts in buf; reserve returns where it starts now.
func (c *call) reserve(start int, announced int64) int {
	room := int(min(announced, maxGrow)) + headers
	if cap(c.buf)-len(c.buf) >= room {
		return start
	}
	if announced < longString || start == 0 {
		c.buf = slices.Grow(c.buf, room)
		return start
	}
	c.seal()
	c.buf = append(make([]byte, 0, len(c.buf)-start+room), c.buf[start:]...)
	return 0
}

// fail hands the owner an error instead.
func (c *call) fail(err error) {
	c.err = err
	c.wake <- struct{}{}
}
