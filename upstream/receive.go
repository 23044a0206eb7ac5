package upstream

import (
	"errors"
	"fmt"
	"net"

	"sessiongate/resp"
)

const (
	readSize   = 64 << 10 // of the buffer a link reads into
	maxGrow    = 64 << 20 // bytes of reply buffer made on the mere announcement of a long string
	longString = 32 << 10 // bytes from which a string gets a reply buffer of its own
	headers    = 64       // bytes of them around a string
)

var errUnasked = errors.New("broken framing: a reply that nobody asked for")

// receiver splits what arrives on one connection into replies and hands them to the calls in flight. It looks at
// the shape of values only; payloads are skipped by their length.
type receiver struct {
	link *link
	conn net.Conn
	scan resp.Scanner

	calls []*call // taken from link.flight
	next  int     // of calls
	cur   *call   // whose replies arrive; nil: the next one's, if any

	served bool  // some call got its replies
	inside bool  // within a value
	push   bool  // which is a push frame: nobody's reply
	over   bool  // which is above its limit: not kept
	error  bool  // which is an error
	start  int   // where it starts in cur.buf
	long   int64 // the longest string in it that there is room for
}

// run receives until the connection ends, and returns why.
func (r *receiver) run() error {
	buf := make([]byte, readSize)
	for {
		n, err := r.conn.Read(buf)
		if n > 0 {
			r.link.moved.Add(1)
			r.link.pool.stats.bytesIn.Add(int64(n))
			if err := r.take(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// take works through the next bytes of the stream.
func (r *receiver) take(b []byte) error {
	for len(b) > 0 {
		if !r.inside {
			if err := r.begin(b[0]); err != nil {
				return err
			}
		}
		n, done, err := r.scan.Scan(b)
		if err != nil {
			return fmt.Errorf("broken framing: %w", err)
		}
		if !r.push {
			r.keep(b[:n])
		}
		if done {
			r.end()
		}
		b = b[n:]
	}
	return nil
}

// begin finds whose value starts with the byte kind.
func (r *receiver) begin(kind byte) error {
	r.inside, r.error = true, kind == '-'
	r.push = kind == '>' && r.link.key.proto == 3
	if r.push || r.cur != nil {
		return nil
	}
	if r.next == len(r.calls) && !r.more() {
		return errUnasked
	}
	r.cur, r.calls[r.next] = r.calls[r.next], nil
	r.next++
	return nil
}

// more takes over what was sent since the last time.
func (r *receiver) more() bool {
	l := r.link
	l.mu.Lock()
	r.calls, l.flight = l.flight, r.calls[:0]
	l.mu.Unlock()
	r.next = 0
	return len(r.calls) > 0
}

// keep adds bytes of the current value to its call, unless the value is above its limit.
func (r *receiver) keep(b []byte) {
	c := r.cur
	if r.over || c.flood {
		return
	}
	if c.size += int64(len(b)); c.max > 0 && c.size > c.max && len(c.replies) > 0 {
		c.flood, c.buf, r.start = true, nil, 0
		clear(c.replies)
		return
	}
	if limit := c.limit(); limit > 0 && r.scan.Longest > limit {
		r.over = true
		c.buf = c.buf[:r.start]
		return
	}
	if r.scan.Longest > r.long {
		r.long = r.scan.Longest
		r.start = c.reserve(r.start, r.long)
	}
	c.buf = append(c.buf, b...)
}

// end is called when a value is complete.
func (r *receiver) end() {
	r.inside = false
	if r.push {
		return
	}
	c := r.cur
	var over int64
	if r.over {
		over, r.over = r.scan.Longest, false
	}
	if c.flood {
		c.replies = append(c.replies, Reply{})
	} else {
		if r.error && over == 0 {
			r.link.pool.refused(c.buf[r.start:])
		}
		c.add(r.start, over)
		r.start = len(c.buf)
	}
	r.long = 0
	if len(c.replies) == c.count {
		r.cur, r.start, r.served = nil, 0, true
		r.link.answered.Add(1)
		r.link.pool.load.leave(c)
		if !c.ours {
			r.link.pool.breaker.answered()
		}
		c.finish()
	}
}

// fail gives err to every call that waits for a reply on this connection.
func (r *receiver) fail(err error) {
	if r.cur != nil {
		r.link.answered.Add(1)
		r.link.pool.load.leave(r.cur)
		r.cur.fail(err)
		r.cur = nil
	}
	for {
		for _, c := range r.calls[r.next:] {
			r.link.answered.Add(1)
			r.link.pool.load.leave(c)
			c.fail(err)
		}
		if !r.more() {
			return
		}
	}
}
