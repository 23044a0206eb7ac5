package upstream

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// The states of a breaker, as Stats has them.
const (
	BreakerClosed   = "closed"    // all is well, or not bad enough
	BreakerOpen     = "open"      // nobody connects but the probe
	BreakerHalfOpen = "half-open" // the probe got through, but replies were late before: one batch at a time is let through to see
)

// breaker is what a node's connections know together of its outage. It opens when so many connects, or so many replies, have failed in a
// row: then one probe knocks instead of every connection, and nobody waits for a reply that won't come. What waits to be sent
// waits as it does without: up to the hold since the outage began.
//
// It is no concern of connections that are up, unless replies were late.
type breaker struct {
	pool    *Pool
	suspect atomic.Bool // replies have been late since one came: false is all that a command looks at
	guarded atomic.Bool // and batches are not let through freely

	mu       sync.Mutex // taken under a link's; only the Pool's is taken under it
	state    string
	since    time.Time // when the outage began; zero: there is none
	last     time.Time // when something last failed
	why      error     // what the last connect, or the probe, came to
	refused  int       // connects that have failed in a row
	late     int       // replies that have failed to come, with none that did since
	probes   int       // since a reply came
	shut     chan struct{}
	nextTry  time.Time // half-open: when the next batch is let through
	openings int64
}

// begin makes it a closed one.
func (b *breaker) begin(p *Pool) { b.pool, b.state = p, BreakerClosed }

// outage returns when the present outage began and what it is, or now and otherwise if there is none.
func (b *breaker) outage(otherwise error) (since time.Time, why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.forget(now); b.since.IsZero() {
		return now, otherwise
	}
	return b.since, b.why
}

// forget drops failures that nothing has followed for longer than the next one would take to show: they are no outage any more. It
// needs b.mu.
func (b *breaker) forget(now time.Time) {
	if p := b.pool; b.state == BreakerClosed && now.Sub(b.last) > 2*(p.opt.ReadTimeout+p.opt.DialTimeout+maxBackoff) {
		b.since, b.refused, b.late = time.Time{}, 0, 0
	}
}

// failed notes a failure. It needs b.mu.
func (b *breaker) failed(why error) {
	now := time.Now()
	if b.forget(now); b.since.IsZero() {
		b.since = now
	}
	b.last, b.why = now, why
}

// lost notes that a link was lost that is wanted, and returns when the outage began.
func (b *breaker) lost(why error) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed(why)
	return b.since
}

// refuse notes a connect that came to nothing. An upstream that says why is there, and is asked again by whoever wants to know.
func (b *breaker) refuse(why error) {
	if final(why) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed(reason(why))
	if answered(why) {
		return
	}
	b.refused++
	if limit := b.pool.cfg.Breaker; limit > 0 && b.refused >= limit {
		b.open("connects failed in a row", b.refused)
	}
}

// connected notes a handshake that went well. It ends the outage, but says nothing of replies.
func (b *breaker) connected() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refused = 0
	if !b.guarded.Load() {
		b.close()
	}
}

// overdue notes a reply that did not come in time.
func (b *breaker) overdue(why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed(why)
	b.late++
	b.suspect.Store(true)
	if limit := b.pool.cfg.Breaker; limit > 0 && b.late >= limit {
		b.guarded.Store(true)
		b.open("replies in a row were not in time", b.late)
	}
}

// answered notes a reply.
func (b *breaker) answered() {
	if !b.suspect.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.late = 0
	b.suspect.Store(false)
	b.guarded.Store(false)
	if b.refused == 0 || b.state == BreakerHalfOpen {
		b.close()
	}
}

// quiet notes a health check that went well. Nobody may be left to send a batch that would close a half-open breaker; if none has been
// let through for a read timeout, it closes, but the first reply that is late opens it again.
func (b *breaker) quiet() {
	if !b.guarded.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state != BreakerHalfOpen || time.Since(b.nextTry) < b.pool.opt.ReadTimeout {
		return
	}
	b.late = b.pool.cfg.Breaker - 1
	b.guarded.Store(false)
	b.close()
}

// open has the probe take over. It needs b.mu.
func (b *breaker) open(what string, n int) {
	shut := make(chan struct{})
	if b.state == BreakerOpen || !b.pool.spawn(func() { b.probe(shut) }) {
		return
	}
	b.state, b.shut = BreakerOpen, shut
	b.openings++
	b.pool.log.Warn("upstream circuit opened: "+what, zap.String("addr", b.pool.Addr()), zap.Int("failures", n), zap.Error(b.why))
}

// close ends the outage. It needs b.mu.
func (b *breaker) close() {
	if b.state != BreakerClosed {
		b.pool.log.Info("upstream circuit closed", zap.String("addr", b.pool.Addr()), zap.Duration("after", time.Since(b.since)))
	}
	b.leave(BreakerClosed)
	b.since, b.why, b.probes = time.Time{}, nil, 0
}

// leave wakes those who wait for an open breaker. It needs b.mu.
func (b *breaker) leave(to string) {
	if b.state == BreakerOpen {
		close(b.shut)
	}
	b.state = to
}

// probe connects again and again, with the back-off of links, until the upstream answers (the handshake ends with a PING) or this opening
// is over: another one has a probe of its own.
func (b *breaker) probe(shut chan struct{}) {
	p := b.pool
	for {
		b.mu.Lock()
		n := b.probes
		if !over(shut) {
			b.probes++
		}
		b.mu.Unlock()
		if pauseUnless(p.ctx, shut, backoff(n)); over(shut) || p.ctx.Err() != nil {
			return
		}
		conn, h, err := p.dial(p.ctx, setKey{proto: 2, db: p.opt.DB})
		if err == nil {
			abort(conn)
			p.learn(h)
		}
		if b.probed(shut, err) {
			return
		}
	}
}

// over reports whether a channel is closed.
func over(closed <-chan struct{}) bool {
	select {
	case <-closed:
		return true
	default:
		return false
	}
}

// probed notes what a probe has come to, and reports whether it was the last one. If it was answered, who wants a connection tries again;
// that ends the outage, unless replies were late: then one that comes ends it.
func (b *breaker) probed(shut chan struct{}, err error) (done bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if over(shut) {
		return true
	}
	if err != nil && !answered(err) {
		b.why = reason(b.pool.unanswered(err))
		return false
	}
	b.refused = 0
	switch {
	case b.guarded.Load():
		b.leave(BreakerHalfOpen)
		b.nextTry = time.Now()
		b.pool.log.Info("upstream circuit half-open", zap.String("addr", b.pool.Addr()))
	case err == nil:
		b.close()
	default: // it is there, but of no use yet
		b.leave(BreakerClosed)
		b.pool.log.Info("upstream circuit closed", zap.String("addr", b.pool.Addr()), zap.Duration("after", time.Since(b.since)))
	}
	return true
}

// admit decides whether a batch may be sent, or queued. While the breaker is half-open, that is one in a read timeout. What was queued
// before, within the hold, goes out with it: it is no more than the load allows, and most outages are over by then.
func (b *breaker) admit() error {
	if !b.guarded.Load() {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	switch {
	case b.state == BreakerHalfOpen && now.Before(b.nextTry), b.state == BreakerOpen && now.Sub(b.since) >= b.pool.cfg.Hold:
		return b.circuit()
	case b.state == BreakerHalfOpen:
		b.nextTry = now.Add(b.pool.opt.ReadTimeout)
	}
	return nil
}

// circuit is why nothing is sent while replies are late. It needs b.mu.
func (b *breaker) circuit() error {
	return fmt.Errorf("circuit open: %d replies in a row did not come within %s", b.late, b.pool.opt.ReadTimeout)
}

// opened is why nobody may connect, nil if the breaker isn't open.
func (b *breaker) opened() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.state != BreakerOpen:
		return nil
	case b.guarded.Load():
		return b.circuit()
	}
	return b.why
}

// trouble is why the upstream can't be called up though it may answer health checks: replies to commands are late. When the next batch may
// try there is none: who asks first would never send it.
func (b *breaker) trouble() error {
	if !b.guarded.Load() {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == BreakerOpen || time.Now().Before(b.nextTry) {
		return b.circuit()
	}
	return nil
}

// pause waits for d; while the breaker is open, until it no longer is, but no longer than most; and in either case no longer than until
// the master has left.
func (b *breaker) pause(ctx context.Context, left <-chan struct{}, d, most time.Duration) {
	b.mu.Lock()
	open, shut := b.state == BreakerOpen, b.shut
	b.mu.Unlock()
	if !open {
		pauseUnless(ctx, left, d)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	select {
	case <-shut:
	case <-left:
	case <-ctx.Done():
	case <-b.pool.ctx.Done():
	}
}

// reset forgets everything: there is another upstream now.
func (b *breaker) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refused, b.late = 0, 0
	b.suspect.Store(false)
	b.guarded.Store(false)
	b.close()
}

// look is for Stats.
func (b *breaker) look() (state string, openings int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state, b.openings
}
