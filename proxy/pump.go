package proxy

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"sessiongate/resp"
	"sessiongate/upstream"
)

// pump reads a client's own upstream connection while the upstream may speak unasked: Pub/Sub messages, MONITOR lines,
// invalidations. Such pushes go to the client at once. Replies go to the batch that waits for them, and pushes
// that come between them keep their place: a reply must not overtake the invalidation of what it holds. In RESP3 some come inside
// a reply: what a command in a transaction tells its own client, Redis writes into the middle of EXEC's array.
type pump struct {
	conn    *upstream.Conn
	client  net.Conn
	proto   int
	show    func(dst, raw []byte) []byte // what the client sees of a push
	lifts   atomic.Bool                  // replies are edited: pushes inside them are taken out, else they stay where they are
	dropped func(raw []byte)             // told of an unsubscription that nobody asked for; nil: there is none
	leaving []byte                       // the sharded channel that the batch unsubscribes from, if any
	report  func(why string)             // called when the pump ends the client
	crashed func(why any)                // called when it has panicked
	output  int64                        // bytes of pushes kept for the client at most
	done    chan struct{}                // capacity 1: the batch has its replies, or never will
	ended   chan struct{}                // closed when the pump's goroutine is gone

	mu      sync.Mutex // held while writing to the client, which is what it orders
	busy    bool       // a batch is under way, or its replies have not been written
	want    int        // replies the batch still waits for
	either  bool       // the batch is a subscription: one error answers all of it
	wake    bool       // interrupt the client's read when the batch is done: somebody waits there
	limits  []int64
	max     int64         // of the replies of the batch, in bytes
	flood   bool          // there were more
	writing *atomic.Int64 // the session's clock of writes
	sent    *atomic.Int64 // bytes written to the client
	frames  []byte
	replies []span
	pushes  []span
	kept    int64 // bytes of pushes in frames
	err     error
	stopped bool
	out     []byte

	messages bool // RESP2: the client is subscribed, so arrays may be messages
	lines    bool // MONITOR
}

// span is one value in pump.frames.
type span struct {
	start, end int
	before     int // for a push: how many replies came before it
	over       int64
}

func (p *pump) start() {
	p.done, p.ended = make(chan struct{}, 1), make(chan struct{})
	_ = p.conn.SetReadDeadline(time.Time{})
	go p.run()
}

// run is the pump's goroutine. It ends when the connection does, or when stop interrupts it. A panic costs its client the connection and
// nobody else anything.
func (p *pump) run() {
	defer close(p.ended)
	defer func() {
		if why := recover(); why != nil {
			p.crashed(why)
			p.mu.Lock()
			defer p.mu.Unlock()
			p.fail(errPanic)
			_ = p.client.Close()
		}
	}()
	var buf []byte
	for {
		var err error
		var over int64
		buf, over, err = p.conn.ReadReplyWithin(buf[:0], 0) // a limit must not meet a push
		if !p.handle(buf, over, err) {
			return
		}
		if cap(buf) > keepBuffer {
			buf = nil
		}
	}
}

// handle takes what has been read. It returns false when nothing more is to be read.
func (p *pump) handle(raw []byte, over int64, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.fail(err)
		return false
	}
	if err = p.take(raw, over); err != nil {
		p.fail(err)
		_ = p.client.Close() // as Redis does with a client that can't be told any more
	}
	return err == nil
}

var errPanic = errors.New("a mistake in Sessiongate")

// errBehind is why the client is closed that more pushes wait for than is kept.
var errBehind = errors.New("pushes above the output limit")

// take puts one value where it belongs. An error ends the client.
func (p *pump) take(raw []byte, over int64) error {
	if p.dropped != nil && over == 0 && p.isDropped(raw) {
		p.dropped(raw)
		return nil
	}
	if over == 0 && p.isPush(raw) {
		// A client that waits for a blocking command has been told all that it was owed: it need not wait for this too.
		if !p.busy || p.wake && len(p.replies)+len(p.pushes) == 0 {
			p.out = p.show(p.out[:0], raw)
			return p.tell(p.out)
		}
		return p.keep(raw)
	}
	if over == 0 && p.lifts.Load() {
		var err error
		raw = resp.Lift(raw, func(push []byte) { err = errors.Join(err, p.keep(push)) })
		if err != nil {
			return err
		}
	}
	p.reply(raw, over)
	return nil
}

// isDropped reports whether an unsubscription answers nothing that was sent.
func (p *pump) isDropped(raw []byte) bool {
	word, name := firstTwo(raw)
	return string(word) == "sunsubscribe" && (p.want <= 0 || !bytes.Equal(name, p.leaving))
}

// tell writes a push to the client.
func (p *pump) tell(push []byte) error {
	if len(push) == 0 {
		return nil
	}
	p.writing.Store(time.Now().Unix())
	n, err := p.client.Write(push)
	p.sent.Add(int64(n))
	p.writing.Store(0)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.report("it does not take what it is sent")
	}
	return err
}

// keep has a push keep its place among the replies.
func (p *pump) keep(raw []byte) error {
	start := len(p.frames)
	p.frames = p.show(p.frames, raw)
	p.pushes = append(p.pushes, span{start: start, end: len(p.frames), before: len(p.replies)})
	if p.kept += int64(len(p.frames) - start); p.output > 0 && p.kept > p.output {
		p.report("what it is sent unasked is above the output limit")
		return errBehind
	}
	return nil
}

// reply puts one reply to the batch.
func (p *pump) reply(raw []byte, over int64) {
	if i := len(p.replies); i < len(p.limits) && p.limits[i] > 0 {
		if longest := longestString(raw); longest > p.limits[i] {
			raw, over = nil, longest
		}
	}
	if p.max > 0 && len(p.replies) > 0 && int64(len(p.frames)+len(raw)) > p.max {
		p.flood, raw = true, nil
	}
	start := len(p.frames)
	p.frames = append(p.frames, raw...)
	p.replies = append(p.replies, span{start: start, end: len(p.frames), over: over})
	if p.want--; p.either && len(raw) > 0 && raw[0] == '-' {
		p.want = 0
	}
	if p.want <= 0 {
		p.finish()
	}
}

// fail ends the pump: the batch under way gets err, and a client that waits for pushes is told by the end of its connection.
func (p *pump) fail(err error) {
	p.err = err
	if p.busy {
		p.finish()
	}
	if !p.stopped {
		_ = p.client.SetReadDeadline(time.Unix(1, 0))
	}
}

func (p *pump) finish() {
	select {
	case p.done <- struct{}{}:
	default:
	}
	if p.wake {
		_ = p.client.SetReadDeadline(time.Unix(1, 0))
	}
}

// speak has the pump expect pushes of that RESP version.
func (p *pump) speak(proto int) {
	p.mu.Lock()
	p.proto = proto
	p.mu.Unlock()
}

// broken reports why the upstream connection ended, nil if it hasn't.
func (p *pump) broken() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// send starts a batch: from now on pushes keep their place among its replies until writeReplies.
func (p *pump) send(ctx context.Context, b *upstream.Batch, either, wake bool) error {
	p.mu.Lock()
	select { // left over from a batch that was given up
	case <-p.done:
	default:
	}
	p.busy, p.want, p.either, p.wake = true, b.Count, either, wake
	p.max, p.flood = b.Max, false
	kept := 0
	for _, each := range p.pushes { // came after the last batch and have not been shown
		kept += copy(p.frames[kept:], p.frames[each.start:each.end])
	}
	p.frames, p.replies, p.pushes, p.limits = p.frames[:kept], p.replies[:0], p.pushes[:0], b.Limits
	if p.kept = int64(kept); kept > 0 {
		p.pushes = append(p.pushes, span{end: kept})
	} else if cap(p.frames) > keepBuffer {
		p.frames = nil
	}
	err := p.err
	p.mu.Unlock()
	if err != nil {
		return err
	}
	return p.conn.Write(ctx, b.Req)
}

// receive hands the replies that have come to the batch. They are valid until the next send.
func (p *pump) receive(b *upstream.Batch) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil && p.want > 0 { // what has come has come, whatever became of the connection since
		return p.err
	}
	p.wake = false
	if p.flood {
		return upstream.ErrFlood
	}
	b.Replies = b.Replies[:0]
	for _, r := range p.replies {
		b.Replies = append(b.Replies, upstream.Reply{Raw: p.frames[r.start:r.end:r.end], Over: r.over})
	}
	if len(b.Replies) < b.Count && !p.either {
		return errMissing
	}
	for len(b.Replies) < b.Count { // one error answered several
		b.Replies = append(b.Replies, upstream.Reply{})
	}
	return nil
}

// expect tells the pump what kinds of pushes RESP2 can't mark may come from now on.
func (p *pump) expect(messages, lines bool) {
	p.mu.Lock()
	p.messages, p.lines = messages, lines
	p.mu.Unlock()
}

// do sends a batch and waits for its replies, beyond the timeout while patient says so.
func (p *pump) do(ctx context.Context, b *upstream.Batch, timeout time.Duration, patient func() bool) error {
	if err := p.send(ctx, b, false, false); err != nil {
		return err
	}
	tick := time.NewTicker(timeout)
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			return p.receive(b)
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if patient == nil || !patient() {
				return p.conn.Late()
			}
		}
	}
}

// appendPushes appends the pushes that came before reply i of the batch at hand and have not been shown yet.
func (p *pump) appendPushes(dst []byte, i int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.pushes) > 0 && p.pushes[0].before <= i {
		dst = append(dst, p.frames[p.pushes[0].start:p.pushes[0].end]...)
		p.pushes = p.pushes[1:]
	}
	return dst
}

// writeReplies writes the edited replies and then what came after them. From now on pushes go straight to the client.
func (p *pump) writeReplies(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writing.Store(time.Now().Unix()) // only now: until then a push may have been on its way
	defer p.writing.Store(0)
	n, err := 0, error(nil)
	if len(b) > 0 {
		n, err = p.client.Write(b)
		p.sent.Add(int64(n))
	}
	for _, each := range p.pushes {
		if err == nil {
			var m int
			m, err = p.client.Write(p.frames[each.start:each.end])
			p.sent.Add(int64(m))
		}
	}
	p.pushes = p.pushes[:0]
	p.busy = false
	return n, err
}

// stop ends the pump's goroutine; with keep it leaves the connection as it is and reports whether it is clean.
func (p *pump) stop(keep bool) bool {
	p.mu.Lock()
	p.stopped = true
	clean := p.err == nil && p.want <= 0
	p.mu.Unlock()
	if keep && clean {
		_ = p.conn.SetReadDeadline(time.Unix(1, 0))
	} else {
		_ = p.conn.Close()
	}
	<-p.ended
	_ = p.conn.SetReadDeadline(time.Time{})
	return clean
}

// isPush tells a push from a reply. RESP3 marks pushes, except that the confirmations of SUBSCRIBE, which are pushes too,
// are what answers that command. RESP2 has messages as arrays, which no other reply resembles while a client is subscribed;
// MONITOR has lines that begin with a time.
func (p *pump) isPush(raw []byte) bool {
	switch {
	case len(raw) < 4:
		return false
	case raw[0] == '+' && p.lines:
		return raw[1] >= '0' && raw[1] <= '9'
	case raw[0] == '>':
		return !isConfirmation(raw)
	case raw[0] == '*' && p.messages && p.proto == 2:
		kind := firstWord(raw)
		return bytes.HasSuffix(kind, []byte("message")) && len(kind) <= len("pmessage")
	}
	return false
}

// isConfirmation reports whether raw is what SUBSCRIBE and its like are answered with.
func isConfirmation(raw []byte) bool {
	return bytes.HasSuffix(firstWord(raw), []byte("subscribe"))
}

// firstTwo are the texts of an aggregate's first two elements.
func firstTwo(raw []byte) (first, second []byte) {
	i := 0
	for elem := range elems(raw) {
		text, _ := resp.Bulk(elem)
		if i++; i == 2 {
			return first, text
		}
		first = text
	}
	return first, nil
}

// firstWord is the text of an aggregate's first element.
func firstWord(raw []byte) []byte {
	for elem := range elems(raw) {
		text, _ := resp.Bulk(elem)
		return text
	}
	return nil
}
