package proxy

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"sessiongate/policy"
	"sessiongate/upstream"
)

const (
	// firstWindow is how many values a new session may ask for at once as long as nobody has shown that values are small
	// here, maxWindow any session. A window grows while values are small, and shrinks when they are not.
	firstWindow, maxWindow, growWindow = 16, 16384, 32
	// maxFlying is how many batches of one client are under way at once, at most.
	maxFlying = 8
	// largeReplies is how many bytes of replies to one batch are many.
	largeReplies = 4 << 20
)

// flight is one batch of commands on its way upstream and back.
type flight struct {
	policy *policy.Policy // by which it was decided
	batch  upstream.Batch
	slots  []slot   // one per command
	local  []byte   // texts of the slots that are answered here
	inTx   []queued // what the commands of transactions in it bring at EXEC
	marks  []mark   // what Recent is to know when the replies are here
	asked  int      // values it asks for
	at     int64    // the upstream's clock when it was decided, Unix milliseconds; 0: nobody has asked
	tick   int64    // Recent's clock when it was begun
	cut    bool     // there was no room for more values
	lost   error    // why there are no replies
	united int      // replies that are in units
	unmet  string   // why the upstream can't enforce the rules; empty: it can
	sealed bool     // nothing more may follow: the client's transaction was on one node, what comes next may be for another
	sent   bool     // started on a link that has not been waited for

	traced []*traced // commands of it

	began, departed time.Duration // since the server's start
	first           cmd           // valid while the reader's reads are as in read
	read            uint
}

// begin empties the batch and takes the tenant's policy, once: a reload never splits a batch.
func (s *Session) begin() {
	if slices.Contains(s.flying, s.flight) {
		s.flight = s.another()
	}
	s.slots = s.slots[:0]
	s.local = s.local[:0]
	s.batch.Req = s.batch.Req[:0]
	s.batch.Limits = s.batch.Limits[:0]
	s.batch.Count = 0
	s.batch.Units, s.united, s.sealed = s.batch.Units[:0], 0, false
	s.lost, s.sent, s.cut, s.at = nil, false, false, 0
	if !s.tx.open {
		s.inTx, s.marks = s.inTx[:0], s.marks[:0]
	}
	if s.tenant != nil {
		s.policy, s.unmet = s.tenant.Policy(), s.tenant.unmet()
	}
	s.flight.began = s.srv.elapsed()
	s.flight.first = cmd{}
	s.tick = s.flight.began.Milliseconds()
	s.sharded = s.pool().Sharded()
	s.special = s.sharded || s.srv.cfg.Facade
	s.route()
}

// route chooses where the batch goes. Keys that are watched need a connection of the client's own only for WATCH and for the
// transaction itself; what is sent in between must not meet a MULTI of ours there.
func (s *Session) route() {
	own := s.own != nil && (s.onOwn || s.tx.open || !s.sharded && (s.own.pump != nil || s.own.pinned)) // of a cluster it is one node's
	s.onOwn = false
	switch {
	case s.fixed != nil:
		s.link = s.fixed
	case own:
		s.link = s.own
	case s.link == nil || s.own != nil && s.link == upstream.Link(s.own):
		s.link = s.pool().Link(s.proto, s.db)
	}
}

// seal sees to it that a shared link is never left inside a transaction, whatever has gone wrong.
func (s *Session) seal() {
	if s.tx.open && s.batch.Count > 0 && (s.own == nil || s.link != upstream.Link(s.own)) {
		s.batch.Req = append(s.batch.Req, "*1\r\n$7\r\nDISCARD\r\n"...)
		s.batch.Count++
		s.tx.open, s.quit = false, true
		if s.sharded {
			s.unit(s.tx.slot)
		}
	}
}

// exchange sends the batch and waits for its replies. If they don't come on the client's own connection, that is lost.
func (s *Session) exchange(ctx context.Context) error {
	s.seal()
	s.batch.Max = s.srv.cfg.Output
	var sent time.Duration
	if s.srv.measures {
		sent = s.srv.elapsed()
	}
	err := s.link.Do(ctx, &s.batch)
	if s.srv.measures {
		if s.acct.waited == 0 {
			s.acct.asked = sent
		}
		s.acct.waited += s.srv.elapsed() - sent
	}
	if err == nil && s.sharded {
		err = s.afterExchange()
	}
	if err != nil {
		s.bereave()
	}
	return err
}

// bereave gives up the client's own connection after it has failed. If the client held something there, it has to start again.
func (s *Session) bereave() {
	if s.own != nil && s.link == upstream.Link(s.own) {
		s.quit = s.quit || s.tx.open || !s.own.idle()
		s.disown(false)
	}
}

// forward sends the batch and waits for its replies.
func (s *Session) forward(ctx context.Context) {
	if s.batch.Count == 0 {
		return
	}
	if err := s.exchange(ctx); err != nil {
		s.failed(err)
	}
}

// failed gives every slot still open the error that kept its reply from coming.
func (s *Session) failed(err error) {
	if errors.Is(err, upstream.ErrFlood) { // as Redis does with its output buffer limit
		s.srv.log.Warn("client closed: its replies are above the output limit", zap.Int64("client", s.id), zap.String("addr", s.peer()), zap.Int64("limit", s.srv.cfg.Output))
		s.quit = true
	}
	start := len(s.local)
	s.local = appendUnavailable(s.local, err)
	for i := range s.slots {
		if sl := &s.slots[i]; !sl.text {
			sl.text, sl.start, sl.end = true, start, len(s.local)
		}
	}
}

// adapt sets how many values the next batch may ask for, by how large the replies of this one were. All of a batch's
// replies are in memory at once, so many small ones may come together, and few large ones.
func (s *Session) adapt() {
	bytes := 0
	for i := range s.batch.Replies {
		bytes += len(s.batch.Replies[i].Raw)
	}
	switch {
	case bytes > largeReplies:
		s.window = max(1, s.flight.asked*largeReplies/bytes)
		s.srv.window.Store(firstWindow)
	case bytes < largeReplies/growWindow && s.cut:
		s.window = min(growWindow*s.window, maxWindow)
		s.srv.window.Store(int64(s.window))
	}
}

// depart sends the batch. What is to be done when its replies are there is done by land. Neither has to heed ctx: the link
// ends every wait within its read timeout, or when the pool is closed.
func (s *Session) depart(ctx context.Context) {
	s.flying = append(s.flying, s.flight)
	if s.batch.Count == 0 {
		return
	}
	s.seal()
	s.batch.Max = s.srv.cfg.Output
	s.departs()
	if link, ok := s.link.(upstream.Pipeliner); ok {
		s.lost = link.Start(context.Background(), &s.batch)
		s.sent = s.lost == nil
	} else {
		s.lost = s.exchange(ctx)
	}
}

// land waits for the replies of the oldest batch under way and edits them.
func (s *Session) land(ctx context.Context) {
	if !slices.Contains(s.flying, s.flight) {
		s.spare = append(s.spare, s.flight)
	}
	s.flight = s.flying[0]
	s.flying = s.flying[:copy(s.flying, s.flying[1:])]
	if s.sent {
		s.lost = s.link.(upstream.Pipeliner).Wait(context.Background(), &s.batch)
	}
	s.landed()
	s.asked -= s.flight.asked
	if s.lost != nil {
		s.failed(s.lost)
	} else if s.batch.Count > 0 {
		s.adapt()
	}
	s.edit()
}

// landAll waits for all batches under way.
func (s *Session) landAll(ctx context.Context) {
	for len(s.flying) > 0 {
		s.land(ctx)
	}
}

// another returns a flight that is not under way.
func (s *Session) another() *flight {
	if n := len(s.spare); n > 0 {
		r := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return r
	}
	return &flight{}
}

// goOn decides what comes next. A command that leaves the line waits until all batches before it have landed. While a client
// sends a long pipeline, the next batch is sent before the last one's replies are here.
func (s *Session) goOn(ctx context.Context, aside cmd) (more bool) {
	if aside.args == nil && s.own == nil && (aside.more || s.in.poll()) {
		for len(s.flying) == maxFlying || len(s.flying) > 0 && s.asked >= s.window {
			s.land(ctx)
			if s.flush() != nil {
				break // it comes up again at the end
			}
			s.settleAccount()
		}
		return !s.quit && s.broken == nil
	}
	for len(s.flying) > 0 {
		s.land(ctx)
		if len(s.flying) > 0 {
			_ = s.flush() // an error comes up again at the end
		}
	}
	if s.broken != nil { // so does this
		return false
	}
	return s.aside(ctx, aside)
}
