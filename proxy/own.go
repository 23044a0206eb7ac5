package proxy

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"sessiongate/upstream"
)

// own is an upstream connection that serves one client alone, because the client has state on it: a transaction that
// did not arrive whole, watched keys, subscriptions, a blocking command, tracking. It stands in for the shared link,
// so that the straight line stays the same. The session owns it.
type own struct {
	conn    *upstream.Conn
	node    *upstream.Pool // whose it is
	slot    int            // of a cluster's: the hash slot of what is watched there; upstream.NoSlot: of anything
	pump    *pump          // set while the upstream may speak unasked
	timeout time.Duration
	patient func() bool // whether a reply that is late may still come; nil: it may not
	replies []byte      // backs the batch's replies while there is no pump

	watching bool   // between WATCH and EXEC or UNWATCH
	pinned   bool   // MONITOR, what nobody here knows: until the client leaves or says RESET
	stained  bool   // something on it can't be undone: it is not given to another client
	topics   topics // what the client has subscribed to
	tracks   bool   // CLIENT TRACKING is on, or may be
	bcast    bool   // with BCAST
	caching  string // what CLIENT CACHING has said about the next command: YES, NO, or empty
	exposed  bool   // another client has invalidations sent here

	redirect atomic.Int64 // the client that gets the invalidations instead, 0: none
}

// idle reports whether the client has no state left on the connection.
func (o *own) idle() bool {
	return !o.watching && !o.pinned && !o.tracks && !o.exposed && o.topics.none()
}

// Do sends a batch and waits for its replies. After an error the connection is of no use any more.
func (o *own) Do(ctx context.Context, b *upstream.Batch) error {
	if o.pump != nil {
		return o.pump.do(ctx, b, o.timeout, o.patient)
	}
	if err := o.conn.Write(ctx, b.Req); err != nil {
		return err
	}
	_ = o.conn.SetReadDeadline(time.Now().Add(o.timeout))
	if o.replies = o.replies[:0]; cap(o.replies) > keepBuffer {
		o.replies = nil
	}
	ends := make([]int, 0, b.Count)
	over := make([]int64, b.Count)
	for i := range b.Count {
		var limit int64
		if i < len(b.Limits) {
			limit = b.Limits[i]
		}
		var err error
		if over[i], err = o.read(limit); err != nil {
			return err
		}
		if ends = append(ends, len(o.replies)); b.Max > 0 && i > 0 && int64(len(o.replies)) > b.Max {
			return upstream.ErrFlood
		}
	}
	b.Replies = b.Replies[:0]
	start := 0
	for i, end := range ends {
		b.Replies = append(b.Replies, upstream.Reply{Raw: o.replies[start:end:end], Over: over[i]})
		start = end
	}
	return nil
}

// read appends the next reply to o.replies.
func (o *own) read(limit int64) (over int64, err error) {
	for {
		o.replies, over, err = o.conn.ReadReplyWithin(o.replies, limit)
		switch {
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return over, err
		case o.patient == nil || !o.patient():
			return over, o.conn.Late()
		}
		_ = o.conn.SetReadDeadline(time.Now().Add(o.timeout))
	}
}

// speak has the pump expect pushes of that RESP version.
func (o *own) speak(proto int) {
	if o.pump != nil {
		o.pump.speak(proto)
	}
}

// Close ends the connection and whatever the client had on it.
func (o *own) Close() error { return o.conn.Close() }

// owned returns the session's own connection, which it takes if it has none. Its state there starts empty.
func (s *Session) owned(ctx context.Context) (*own, error) { return s.ownedOn(ctx, s.pool()) }

// pumped returns the session's own connection with a pump on it.
func (s *Session) pumped(ctx context.Context) (*own, error) { return s.pumpedOn(ctx, s.pool()) }

// pumpedOn is pumped, on that node.
func (s *Session) pumpedOn(ctx context.Context, node *upstream.Pool) (*own, error) {
	o, err := s.ownedOn(ctx, node)
	if err == nil && o.pump == nil {
		tenant := s.tenant
		o.pump = &pump{
			conn: o.conn, client: s.conn, writing: &s.writing, sent: &s.acct.bytesOut, proto: s.proto, output: s.srv.cfg.Output,
			show:   newPushEditor(tenant.Policy().Prefix(), &o.redirect).show,
			report: s.closed, crashed: s.crashed,
		}
		o.pump.lifts.Store(!tenant.Policy().Transparent())
		o.pump.start()
		s.describe()
	}
	return o, err
}

// elsewhere puts the session's own connection aside, so that it can take another for a while. What it returns gives that back.
func (s *Session) elsewhere() (back func()) {
	other := s.own
	s.own = nil
	return func() {
		if other == nil {
			return
		}
		if s.own != nil {
			s.disown(true)
		}
		s.own = other
		s.describe()
	}
}

// disown goes back to the shared link. The connection is given to the next client if it is clean, else closed.
func (s *Session) disown(clean bool) {
	o := s.own
	if o == nil {
		return
	}
	s.own = nil
	s.link = nil
	defer o.topics.end()
	clean = clean && !o.stained && !s.tx.open && o.idle()
	s.tx.open = false
	if o.pump != nil {
		clean = o.pump.stop(clean) && clean
	}
	s.describe()
	if clean && !s.named.Load() { // after describe: who has read the connection's id before has said so
		o.conn.Release()
	} else {
		_ = o.conn.Close()
	}
}

// settle gives the own connection back when the client has nothing left on it.
func (s *Session) settle() {
	if s.own != nil && !s.tx.open && s.own.idle() {
		s.disown(true)
	}
}
