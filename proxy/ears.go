package proxy

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/redcon"

	"sessiongate/command"
	"sessiongate/resp"
	"sessiongate/upstream"
)

// Pub/Sub in front of a cluster. Messages go to all of its nodes, so a client hears channels and patterns on one, its home. Two things only
// one node tells of: keyspace notifications, which are heard on all of them, and sharded channels, heard where their slot is. So a
// client may have a connection to each node, an ear, with a pump. Who of them speaks to the client when is up to its mouth.

// ears are the connections on which one client hears. The session owns them.
type ears struct {
	mouth  mouth
	home   *upstream.Pool
	all    map[*upstream.Pool]*ear
	topics topics
	shards map[string]*upstream.Pool // where sharded channels are heard, by the upstream's name
	known  []*upstream.Pool          // the nodes that there were when keyspace notifications were last asked for
}

// ear is one of them.
type ear struct {
	pump *pump
	conn *upstream.Conn
}

// mouth orders what ears say to the client, and has them wait while a subscription is confirmed.
type mouth struct {
	net.Conn
	mu      sync.Mutex
	held    bool
	kept    []byte
	most    int64         // bytes that are kept at most; 0: any
	writing *atomic.Int64 // since when a write is under way, Unix seconds; 0: none is
	dropped []string      // sharded channels that a node has taken away
}

// Write is the ears' way to the client.
func (m *mouth) Write(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.held {
		return m.say(b)
	}
	if m.kept = append(m.kept, b...); m.most > 0 && int64(len(m.kept)) > m.most {
		return 0, errBehind
	}
	return len(b), nil
}

// say writes. It needs m.mu.
func (m *mouth) say(b []byte) (int, error) {
	m.writing.Store(time.Now().Unix())
	defer m.writing.Store(0)
	return m.Conn.Write(b)
}

// hold has what ears say wait until release.
func (m *mouth) hold() {
	m.mu.Lock()
	m.held = true
	m.mu.Unlock()
}

func (m *mouth) release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held = false
	if len(m.kept) > 0 {
		_, _ = m.say(m.kept) // an error comes up again at the next write
		m.kept = nil
	}
}

// drop takes down that a node has ended the subscription to a sharded channel: its slot has moved.
func (m *mouth) drop(raw []byte) {
	i := 0
	for elem := range elems(raw) {
		if name, ok := resp.Bulk(elem); ok && i == 1 {
			m.mu.Lock()
			m.dropped = append(m.dropped, string(name))
			m.mu.Unlock()
			_ = m.SetReadDeadline(time.Unix(1, 0)) // the session subscribes again
		}
		i++
	}
}

// ear returns the client's ear at a node.
func (s *Session) ear(ctx context.Context, node *upstream.Pool) (*ear, error) {
	e := s.ears
	if e.all[node] != nil {
		return e.all[node], nil
	}
	conn, err := node.Dedicated(ctx, s.proto, s.db)
	if now := s.pool().Masters(); upstream.Elsewhere(err) && len(e.all) == 0 && node == e.home && !slices.Contains(now, node) {
		e.home = now[int(s.id)%len(now)] // another node takes over before it has heard anything
		return s.ear(ctx, e.home)
	}
	if err != nil {
		return nil, err
	}
	show := newPushEditor(s.tenant.Policy().Prefix(), nil).show
	p := &pump{
		conn: conn, client: &e.mouth, writing: new(atomic.Int64), sent: &s.acct.bytesOut, proto: s.proto, output: s.srv.cfg.Output,
		messages: true, report: s.closed, crashed: s.crashed, dropped: e.mouth.drop, show: show,
	}
	if node != e.home { // what is published is heard at home
		p.show = func(dst, raw []byte) []byte {
			if ofOneNode(raw) {
				return show(dst, raw)
			}
			return dst
		}
	}
	p.start()
	e.all[node] = &ear{pump: p, conn: conn}
	return e.all[node], nil
}

// ofOneNode reports whether a message comes from one node alone: a keyspace notification, or one on a sharded channel.
func ofOneNode(raw []byte) bool {
	i, at := 0, 1
	for elem := range elems(raw) {
		text, _ := resp.Bulk(elem)
		switch {
		case i > 0 && i == at:
			return isNotification(text)
		case i == 0 && string(text) == "smessage":
			return true
		case i == 0 && string(text) == "pmessage":
			at = 2
		}
		i++
	}
	return false
}

func isNotification(channel []byte) bool {
	return bytes.HasPrefix(channel, keyspace) || bytes.HasPrefix(channel, keyevent)
}

// tell sends a subscription command on an ear and waits until all of it is confirmed, which the client doesn't see.
func (e *ear) tell(ctx context.Context, timeout time.Duration, args [][]byte) error {
	req := redcon.AppendArray(nil, len(args))
	for _, arg := range args {
		req = redcon.AppendBulk(req, arg)
	}
	e.pump.mu.Lock()
	if e.pump.leaving = nil; command.Lookup(args) == sunsubscribe {
		e.pump.leaving = args[1]
	}
	e.pump.mu.Unlock()
	return e.do(ctx, timeout, &upstream.Batch{Req: req, Count: max(1, len(args)-1)})
}

// do sends a batch that one error answers.
func (e *ear) do(ctx context.Context, timeout time.Duration, b *upstream.Batch) error {
	if err := e.pump.send(ctx, b, true, false); err != nil {
		return err
	}
	defer func() { _, _ = e.pump.writeReplies(nil) }()
	select {
	case <-e.pump.done:
	case <-ctx.Done():
		return errLeft
	case <-time.After(timeout):
		return e.pump.conn.Late()
	}
	if err := e.pump.receive(b); err != nil {
		return err
	}
	if raw := b.Replies[0].Raw; isError(raw) {
		return errors.New(string(errorText(raw)))
	}
	return nil
}

// deafen ends all subscriptions.
func (s *Session) deafen() {
	e := s.ears
	if e == nil {
		return
	}
	s.ears = nil
	e.topics.end()
	for _, each := range e.all {
		each.pump.stop(false)
	}
	s.describe()
}

// hearIn has the upstream speak that RESP version to the client's ears.
func (s *Session) hearIn(ctx context.Context, proto int) error {
	if s.ears == nil {
		return nil
	}
	for _, each := range s.ears.all {
		each.pump.speak(2) // which tells pushes of both versions, while it changes
		b := upstream.Batch{Req: appendCommand(nil, helloWords(proto)), Count: 1}
		if err := each.do(ctx, s.pool().ReadTimeout(), &b); err != nil {
			return err
		}
		each.pump.speak(proto)
	}
	return nil
}

// hear looks after the client's ears before it reads: one that has broken is the end of the client, as with one server, since
// what it missed nobody can tell. What has moved is heard where it is now.
func (s *Session) hear(ctx context.Context) error {
	e := s.ears
	if e == nil {
		return nil
	}
	for _, each := range e.all {
		if err := each.pump.broken(); err != nil {
			return err
		}
	}
	e.mouth.mu.Lock()
	dropped := e.mouth.dropped
	e.mouth.dropped = nil
	e.mouth.mu.Unlock()
	for _, name := range dropped {
		if err := s.hearAgain(ctx, name); err != nil {
			return err
		}
	}
	if e.known != nil && !slices.Equal(e.known, s.pool().Masters()) {
		return s.hearNewcomers(ctx)
	}
	return nil
}
