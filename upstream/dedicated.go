package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"sessiongate/resp"
)

// dedicatedRead is the size in bytes of a dedicated connection's read buffer: many may sit in SUBSCRIBE for hours.
const dedicatedRead = 4 << 10

// Conn is a connection of a session's own, for what is stateful upstream: transactions, blocking commands, Pub/Sub.
// One goroutine may read while another one writes; Close may come from anywhere and ends both.
type Conn struct {
	ID int64 // the upstream's CLIENT ID; 0 when it didn't tell

	pool  *Pool
	key   setKey
	conn  net.Conn
	addr  string      // where it leads
	moved atomic.Bool // closed because the master is elsewhere now
	scan  resp.Scanner

	buf     []byte // read buffer
	unread  []byte // part of buf
	partial []byte // of a value whose reading a deadline cut short
	inside  bool   // such a value is unfinished
	over    bool   // and above its limit

	since time.Time // idle since
}

// Dedicated returns a clean connection, waiting for a lost upstream up to the hold. The caller ends with Release or
// Close.
func (p *Pool) Dedicated(ctx context.Context, proto, db int) (*Conn, error) {
	return p.DedicatedAs(ctx, nil, proto, db)
}

// DedicatedAs is Dedicated for a role.
func (p *Pool) DedicatedAs(ctx context.Context, role *Role, proto, db int) (*Conn, error) {
	key := setKey{proto: proto, db: db, role: role}
	if p.cluster != nil {
		return p.cluster.dedicated(ctx, role, proto, db)
	}
	if err := p.warm(ctx); err != nil { // one that is taken now would lead to the old master
		return nil, p.error(false, err)
	}
	for {
		c := p.idle.take(key)
		if c == nil {
			break
		}
		if c.addr == p.place.Load().addr && quiet(c.conn) && c.lively() {
			return c, p.track(c)
		}
		c.discard() // it died, or says something nobody asked for
	}
	if n := p.stats.dedicated.Add(1); n > int64(p.cfg.MaxDedicated) {
		p.stats.dedicated.Add(-1)
		p.load.refused.Add(1)
		return nil, p.error(false, &overloaded{fmt.Sprintf("%d connections of one client each", n), fmt.Sprint(p.cfg.MaxDedicated), "upstream.max_dedicated"})
	}
	if err := p.breaker.admit(); err != nil {
		p.stats.dedicated.Add(-1)
		return nil, p.error(false, err)
	}
	for {
		conn, h, err := p.dialHold(ctx, key)
		if err != nil {
			p.stats.dedicated.Add(-1)
			return nil, p.error(false, reason(err))
		}
		p.learn(h)
		c := &Conn{ID: h.id, pool: p, key: key, conn: conn, addr: h.addr}
		if err := p.track(c); err != nil || h.addr == p.place.Load().addr {
			return c, err
		}
		if p.untrack(c) { // the master has moved meanwhile
			abort(conn)
		} else {
			p.stats.dedicated.Add(1) // whoever closed it has counted it out
		}
	}
}

// dialHold dials until it works, the hold is over, or the upstream refuses us for good.
func (p *Pool) dialHold(ctx context.Context, key setKey) (net.Conn, hello, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	start, _ := p.breaker.outage(nil)
	for attempt := 0; ; attempt++ {
		moved := p.place.Load().left
		conn, h, err := p.connect(ctx, key, p.turns.dedicated)
		if err == nil {
			return conn, h, nil
		}
		if p.deposed() {
			return nil, h, errElsewhere
		}
		if errors.Is(err, errMoved) {
			continue
		}
		p.doubt()
		wait, left := backoff(attempt), p.cfg.Hold-time.Since(start)
		switch {
		case p.ctx.Err() != nil:
			return nil, h, errClosed
		case ctx.Err() != nil:
			return nil, h, ctx.Err()
		case final(err), p.cfg.Hold == 0:
			return nil, h, err
		case wait > left:
			return nil, h, p.gone(reason(err))
		}
		p.breaker.pause(ctx, moved, wait, left)
	}
}

// track has Close close c too.
func (p *Pool) track(c *Conn) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.discard()
		return p.error(false, errClosed)
	}
	p.open[c] = struct{}{}
	return nil
}

// untrack is the opposite of track; false when c was not tracked.
func (p *Pool) untrack(c *Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.open[c]
	delete(p.open, c)
	return ok
}

// Pool is the Pool that the connection belongs to: that of its node, where it was asked of a sharded one.
func (c *Conn) Pool() *Pool { return c.pool }

// LocalAddr is our end of the connection.
func (c *Conn) LocalAddr() net.Addr { return c.conn.LocalAddr() }

// SetReadDeadline ends a ReadReply that waits, now or later, with os.ErrDeadlineExceeded; the zero time lifts it. What
// was read until then isn't lost: the next ReadReply goes on.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.conn.SetReadDeadline(t) }

// Write sends req, whole commands. It fails when nothing moves for the read timeout, or ctx ends. After an error the
// connection is good for Close only.
func (c *Conn) Write(ctx context.Context, req []byte) error {
	if err := c.pool.warm(ctx); err != nil {
		return c.pool.error(false, err)
	}
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() { _ = c.conn.SetWriteDeadline(time.Unix(1, 0)) })
		defer stop()
	}
	sent := false
	for len(req) > 0 {
		step := req[:min(len(req), writeStep)]
		_ = c.conn.SetWriteDeadline(time.Now().Add(c.pool.opt.WriteTimeout))
		if err := ctx.Err(); err != nil { // after the deadline above: it may have overwritten the one that ctx set
			return c.pool.error(sent, err)
		}
		n, err := c.conn.Write(step)
		c.pool.stats.bytesOut.Add(int64(n))
		// With TLS n counts plain bytes whose record may have gone out in part; that is no command yet either.
		sent = sent || n > 0
		if err != nil {
			return c.pool.error(sent, c.reason(err))
		}
		req = req[len(step):]
	}
	return nil
}

// Late is the error of a reply that has not come within the read timeout. The connection is good for Close only.
func (c *Conn) Late() error { return c.pool.error(true, c.pool.late()) }

// ReadReply reads one whole value, push frames included, and appends it to dst.
func (c *Conn) ReadReply(dst []byte) ([]byte, error) {
	dst, _, err := c.ReadReplyWithin(dst, 0)
	return dst, err
}

// ReadReplyWithin is ReadReply with a limit in bytes for bulk strings, 0 for none. A value above it is discarded as it
// streams in: dst comes back as it was, and over is the length of the longest string.
func (c *Conn) ReadReplyWithin(dst []byte, limit int64) (reply []byte, over int64, err error) {
	start := len(dst)
	dst = append(dst, c.partial...)
	c.partial = c.partial[:0]
	var long int64
	if c.inside {
		long = c.scan.Longest
	}
	for {
		n, done, err := c.scan.Scan(c.unread)
		if err != nil {
			return dst[:start], 0, c.pool.error(true, err)
		}
		if limit > 0 && c.scan.Longest > limit {
			c.over, dst = true, dst[:start]
		}
		if !c.over {
			dst = reserve(dst, &long, c.scan.Longest)
			dst = append(dst, c.unread[:n]...)
		}
		c.unread = c.unread[n:]
		c.inside = !done && (c.inside || n > 0)
		if done {
			c.pool.breaker.answered()
			if c.over {
				c.over = false
				return dst, c.scan.Longest, nil
			}
			if len(dst) > start && dst[start] == '-' {
				c.pool.refused(dst[start:])
			}
			return dst, 0, nil
		}
		if err := c.fill(); err != nil {
			c.partial = append(c.partial, dst[start:]...)
			return dst[:start], 0, err
		}
	}
}

// reserve makes room in buf when a string longer than known is announced, so that it is not copied again and again as
// buf grows.
func reserve(buf []byte, known *int64, announced int64) []byte {
	if announced <= *known {
		return buf
	}
	*known = announced
	return slices.Grow(buf, int(min(announced, maxGrow))+headers)
}

// fill reads more bytes.
func (c *Conn) fill() error {
	if c.buf == nil {
		c.buf = make([]byte, dedicatedRead)
	}
	n, err := c.conn.Read(c.buf)
	c.pool.stats.bytesIn.Add(int64(n))
	c.unread = c.buf[:n]
	if n > 0 {
		return nil
	}
	return c.pool.error(true, c.reason(err))
}

// reason is the package's, but says so where the connection was closed because the master has moved.
func (c *Conn) reason(err error) error {
	if c.moved.Load() {
		return errLostByMove
	}
	return lossOf(err)
}

// Close ends the connection. What the upstream does for it, it stops doing.
func (c *Conn) Close() error {
	if c.pool.untrack(c) {
		c.discard()
	}
	return nil
}

// discard closes a connection that is not tracked.
func (c *Conn) discard() {
	c.pool.stats.dedicated.Add(-1)
	abort(c.conn)
}

// Release gives the connection back for others. The caller guarantees that it is clean: every reply has been read,
// nothing is watched, subscribed or tracked, RESP version, database and user are those it came with.
func (c *Conn) Release() {
	if !c.pool.untrack(c) {
		return
	}
	if c.addr != c.pool.place.Load().addr || len(c.unread) > 0 || c.inside || !quiet(c.conn) || c.conn.SetDeadline(time.Time{}) != nil {
		c.discard()
		return
	}
	c.buf, c.partial = nil, nil
	c.since = time.Now()
	if !c.pool.idle.put(c, c.pool.cfg.MaxIdle) {
		c.discard()
	}
}
