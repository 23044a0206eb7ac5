package upstream

import (
	"context"
	"errors"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// bigRequest is the size in bytes from which a request is written from where it is instead of being copied.
	bigRequest = 64 << 10
	// maxGather is how many bytes of small requests are gathered for one write.
	maxGather = 256 << 10
	// writeStep is how much of a big request is written at a time; each step counts as progress.
	writeStep = 256 << 10
)

var errClosed = errors.New("closed")

// link is a Link that many sessions share: one connection, kept up by run, on which whole batches follow each other.
//
// There is no goroutine between a session and the socket: the session that submits while nobody writes becomes the
// flusher, and writes for all that submit meanwhile. The goroutine of run receives; see receiver.
type link struct {
	pool   *Pool
	key    setKey
	ctx    context.Context
	cancel context.CancelFunc

	mu        sync.Mutex
	conn      net.Conn  // nil while down
	at        string    // the address that it leads to
	queue     []*call   // not yet sent, in order
	flight    []*call   // sent since the receiver last asked, in order
	flushing  bool      // somebody is the flusher; it owns out
	wrote     sync.Cond // a big request is written, or there is no flusher left for a lost connection
	running   bool      // run is
	closed    bool
	cause     error     // why conn was given up, when that's known better than a read error can tell
	down      error     // why there has been no connection for longer than the hold; nil: up, or within the hold
	why       error     // the last reason for having no connection
	downSince time.Time // start of the outage
	submitted uint64    // batches ever
	sent      uint64    // calls ever sent, pings too

	out      []byte        // the flusher's
	relay    chan struct{} // to the goroutine that flushes when no session may; set while conn is
	answered atomic.Uint64 // calls ever answered or failed after they were sent
	moved    atomic.Uint64 // reads and writes done: progress

	watch watch // the watchdog's own memory
}

func newLink(p *Pool, key setKey) *link {
	l := &link{pool: p, key: key}
	l.wrote.L = &l.mu
	l.ctx, l.cancel = context.WithCancel(p.ctx)
	return l
}

// Do sends b and waits for its replies; see Link.
func (l *link) Do(ctx context.Context, b *Batch) error {
	if err := l.Start(ctx, b); err != nil {
		return err
	}
	return l.Wait(ctx, b)
}

// Start sends b; see Pipeliner.
func (l *link) Start(ctx context.Context, b *Batch) error {
	c := b.prepare()
	if c.count == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return l.pool.error(false, err)
	}
	flush, err := l.submit(c)
	if err != nil {
		return err
	}
	if flush {
		l.flush(c)
	}
	return nil
}

// Wait waits for the replies to b; see Pipeliner.
func (l *link) Wait(ctx context.Context, b *Batch) error {
	c := b.call
	if c.count == 0 {
		return nil
	}
	if done := ctx.Done(); done == nil {
		<-c.wake
	} else {
		select {
		case <-c.wake:
		case <-done:
			if err, gone := l.abandon(c, ctx.Err()); gone {
				b.call = nil
				return err
			}
			<-c.wake
		}
	}
	if len(c.req) >= bigRequest {
		l.settle(c)
	}
	c.req = nil
	if c.err != nil {
		return c.err
	}
	b.Replies = c.replies
	return nil
}

// submit queues c. When it returns true the caller has become the flusher.
func (l *link) submit(c *call) (flush bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.admit(c); err != nil {
		return false, l.pool.error(false, err)
	}
	if l.conn == nil {
		l.pool.stats.holds.Add(1)
	}
	l.queue = append(l.queue, c)
	l.submitted++
	flush = !l.flushing && l.conn != nil && l.pool.frozen.Load() == nil
	if flush {
		l.flushing = true
	}
	return flush, nil
}

// admit decides whether a call may be queued. It needs l.mu.
func (l *link) admit(c *call) error {
	if l.conn == nil {
		if err := l.wake(); err != nil {
			return err
		}
	}
	if err := l.pool.load.enter(c); err != nil {
		return err
	}
	err := l.pool.breaker.admit() // last: whoever is let through has to be sent
	if err != nil {
		l.pool.load.leave(c)
	}
	return err
}

// wake has a link connect that isn't, unless it is down. It needs l.mu.
func (l *link) wake() error {
	switch {
	case l.closed:
		return errClosed
	case l.down != nil:
		return l.down
	case l.running:
		return nil
	case !l.pool.start(l):
		return errClosed
	}
	l.running = true
	l.downSince, l.why = l.pool.breaker.outage(errConnecting)
	if hold := l.hold(); hold > 0 && time.Since(l.downSince) >= hold { // the node's outage is older than this link
		l.down = l.pool.gone(l.why)
	}
	return l.down
}

// abandon lets the owner of c go, unless the link is still reading its request: then the owner must go on waiting,
// which ends with the reply or the read timeout.
func (l *link) abandon(c *call, why error) (err error, gone bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case c.state == writing, len(c.wake) > 0:
		return nil, false
	case c.state == sent:
		return l.pool.error(true, why), true
	}
	if i := slices.Index(l.queue, c); i >= 0 {
		l.queue = slices.Delete(l.queue, i, i+1)
		l.pool.load.leave(c)
	}
	return l.pool.error(false, why), true
}

// settle waits until the link is done with the request of c, which has its replies: an upstream that refuses a request
// may say so before it has read all of it.
func (l *link) settle(c *call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c.state == writing {
		l.wrote.Wait()
	}
}

// flush writes what is queued until nothing is. The caller has set l.flushing; own is its call, nil for the relay.
func (l *link) flush(own *call) {
	if own != nil {
		// The receiver has just woken others, most likely: let them submit too, one write then serves all.
		runtime.Gosched()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.conn != nil && len(l.queue) > 0 && l.pool.frozen.Load() == nil {
		if own != nil && len(own.wake) > 0 {
			l.relay <- struct{}{} // our reply is here; others must not keep us from it
			return
		}
		conn := l.conn
		big := l.gather()
		l.mu.Unlock()
		err := l.write(conn, big)
		l.mu.Lock()
		if big != nil {
			big.state = sent
			l.wrote.Broadcast()
		}
		if err != nil {
			l.giveUp(conn, err)
		}
	}
	l.flushing = false
	if l.conn == nil {
		l.wrote.Broadcast()
	}
}

// gather moves calls from the queue into flight: small ones by copying their bytes to l.out, up to a big one, which
// it returns to be written after them. It needs l.mu.
func (l *link) gather() (big *call) {
	l.out = l.out[:0]
	n := 0
	for n < len(l.queue) && big == nil && len(l.out) < maxGather {
		c := l.queue[n]
		n++
		if len(c.req) >= bigRequest {
			c.state, big = writing, c
		} else {
			c.state = sent
			l.out = append(l.out, c.req...)
		}
	}
	l.flight = append(l.flight, l.queue[:n]...)
	l.queue = slices.Delete(l.queue, 0, n)
	l.sent += uint64(n)
	return big
}

// write writes what gather prepared.
func (l *link) write(conn net.Conn, big *call) error {
	if len(l.out) > 0 {
		if err := l.writeStep(conn, l.out); err != nil {
			return err
		}
	}
	if big == nil {
		return nil
	}
	for rest := big.req; len(rest) > 0; {
		step := rest[:min(len(rest), writeStep)]
		if err := l.writeStep(conn, step); err != nil {
			return err
		}
		rest = rest[len(step):]
	}
	return nil
}

func (l *link) writeStep(conn net.Conn, b []byte) error {
	n, err := conn.Write(b)
	l.moved.Add(1)
	l.pool.stats.bytesOut.Add(int64(n))
	return err
}

// inFlight is how many batches wait for their replies.
func (l *link) inFlight() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.queue)) + int64(l.sent-l.answered.Load())
}
