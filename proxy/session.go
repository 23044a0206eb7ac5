package proxy

import (
	"context"
	"errors"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/tidwall/redcon"
	"go.uber.org/zap"

	"sessiongate/command"
	"sessiongate/policy"
	"sessiongate/upstream"
)

const (
	// maxBatch is how many bytes of requests are gathered before they are forwarded.
	maxBatch = 128 << 10
	// largeReply is the size in bytes from which a reply is written from where it is, instead of being copied.
	largeReply = 32 << 10
	// keepBuffer is the largest buffer a session keeps for its next batch.
	keepBuffer = 256 << 10
)

// Session is one connected client. Its goroutine owns everything here but the fields marked shared.
type Session struct {
	srv  *Server
	conn net.Conn
	in   *reader
	id   int64

	came   entrance      // how
	tenant *Tenant       // nil until the client has authenticated
	among  *tenants      // of which tenant is one
	proto  int           // RESP version, 2 or 3
	db     int           // selected database
	link   upstream.Link // where the batch goes: a shared link, or own
	own    *own          // upstream connection of this client alone, nil if it needs none

	sharded   bool          // the upstream is a cluster
	special   bool          // it is, or it is shown as one
	unitNames []command.Ref // backs the names of slotOf
	heard     atomic.Int64  // shared: since when an ear writes, as writing
	wrote     int           // the slot of the last write, for WAIT
	ears      *ears         // where a client of a cluster hears what it has subscribed to; nil: it has not

	*flight           // the batch at hand
	flying  []*flight // batches whose replies have not been edited, in order
	spare   []*flight // for reuse
	out     []byte    // replies not yet written
	req     policy.Request
	plan    policy.Plan
	tx      transaction

	observer *observer // nil until there are observed rules
	would    *pending  // of the command placed last
	again    bool      // the command at hand was placed before
	docking  bool      // the command at hand was counted before, when it was kept for later

	mute   muting
	bySum  bool          // a script that Redis has seen is sent by its SHA1
	sum    string        // by which one was; empty: by its text
	onOwn  bool          // the next batch belongs on the client's own connection
	fixed  upstream.Link // batches go here, wherever they belong; nil: where they belong
	window int           // how many values may be asked for at once
	asked  int           // how many are
	broken error         // a reply could not be written
	quit   bool          // leave after the next flush
	ended  time.Time     // when a long command found that the client will send nothing more; zero: it has not
	parts  time.Time     // until when its last words are waited for at the end of the server; zero: not yet decided

	about   atomic.Pointer[about]         // shared: what CLIENT LIST shows of this session
	active  atomic.Int64                  // shared: when the last batch was read or answered, Unix seconds
	last    atomic.Pointer[command.Spec]  // shared: the last command of the last batch; nil: none, or one that isn't in the table
	writing atomic.Int64                  // shared: since when a write is under way, Unix seconds; 0: none is
	wanted  atomic.Bool                   // shared: another client redirects its invalidations here, which takes a connection of its own
	named   atomic.Bool                   // shared: another client may be about to name its own connection upstream
	killed  atomic.Bool                   // shared: another client or a timeout asks it to leave
	shaking atomic.Bool                   // shared: it is in a TLS handshake, which no wake-up may cut short
	doing   atomic.Int32                  // shared: what it is at, see doing.go
	held    atomic.Pointer[chan struct{}] // shared: closed to end its wait in a pause; nil: it doesn't
	rested  bool                          // buffers were given back since the last command

	acct  account
	until int64 // commands that go by before one is traced
}

func newSession(srv *Server, conn net.Conn, id int64) *Session {
	s := &Session{srv: srv, conn: conn, id: id, proto: 2, db: srv.main.DB(), window: int(srv.window.Load()), flight: &flight{}, wrote: upstream.NoSlot}
	s.in = newReader(conn, srv.cfg.Limits)
	s.active.Store(srv.clock.Load())
	s.about.Store(&about{since: time.Now()})
	s.until = srv.untilNext()
	s.describe()
	return s
}

// pool is the upstream of the session's tenant.
func (s *Session) pool() *upstream.Pool {
	if s.tenant == nil {
		return s.srv.main
	}
	return s.tenant.Pool
}

// run serves the client and cleans up after it. A panic costs this client its connection and nobody else anything.
func (s *Session) run(ctx context.Context) {
	defer s.srv.leave(s)
	defer func() { // in this order: a pump may be writing to the client
		_ = s.conn.Close()
		s.disown(false)
		s.deafen()
		s.settleAccount()
		if s.tenant != nil {
			s.tenant.leave()
		}
	}()
	defer func() {
		if p := recover(); p != nil {
			s.crashed(p)
		}
	}()
	err := s.welcome(ctx)
	if err == nil {
		err = s.serve(ctx)
	}
	if err != nil {
		s.srv.log.Debug("client left", zap.Int64("client", s.id), zap.Error(err))
	}
}

// crashed counts and logs a panic that ends the session. It is called where that is recovered.
func (s *Session) crashed(why any) {
	s.srv.Counts.Panics.Add(1)
	s.srv.log.Error("session ended by a panic", zap.Int64("client", s.id), zap.Any("panic", why), zap.ByteString("stack", debug.Stack()))
}

// serve carries commands from the client to Redis and replies back, until the client leaves.
func (s *Session) serve(ctx context.Context) error {
	for !s.quit {
		if err := s.fill(ctx); errors.Is(err, errDrained) || errors.Is(err, errDismissed) {
			return s.part(err)
		} else if err != nil {
			return err
		}
		s.doing.Store(working)
		for more := true; more; {
			if err := s.hold(ctx); err != nil {
				return err
			}
			if err := s.catchUp(ctx); err != nil {
				return err
			}
			s.begin()
			aside := s.decideAll() // every command that has arrived into a slot, up to one that leaves the line
			s.depart(ctx)
			more = s.goOn(ctx, aside)
		}
		if s.srv.draining.Load() && (s.quit || s.done()) {
			return s.part(errDrained)
		}
		if err := s.flush(); err != nil {
			return err
		}
		s.settleAccount()
		s.heed()
	}
	return nil
}

// fill blocks until a whole command has arrived.
func (s *Session) fill(ctx context.Context) error {
	for {
		if s.killed.Load() { // its wake-up may have been taken for that of a reply
			return errDismissed
		}
		if s.srv.draining.Load() {
			if err := s.lastWords(); err != nil {
				return err
			}
		}
		s.expose()
		if err := s.hear(ctx); err != nil {
			return err
		}
		err := s.in.fill()
		if err == nil {
			s.active.Store(s.srv.clock.Load())
			s.rested = false
			return nil
		}
		if err = s.interrupted(err); err != nil {
			return err
		}
	}
}

// interrupted handles the end of a read that brought no command. It returns nil when the session is to go on reading.
func (s *Session) interrupted(err error) error {
	var late net.Error
	var broken protocolError
	switch {
	case errors.As(err, &broken):
		s.out = redcon.AppendError(s.out, "ERR Protocol error: "+string(broken))
		s.quit = true
		return errors.Join(err, s.flush())
	case !errors.As(err, &late) || !late.Timeout():
		return err
	}
	if err := s.conn.SetReadDeadline(time.Time{}); err != nil { // before looking why: who comes now wakes it again
		return err
	}
	if s.killed.Load() {
		return errDismissed
	}
	if err := s.catchUp(context.Background()); err != nil {
		return err
	}
	s.expose()
	if s.own != nil && s.own.pump != nil {
		if err := s.own.pump.broken(); err != nil {
			return err
		}
	}
	s.rest()
	return nil
}

// cmd is one command as it was read. Its slices are valid until the next fill.
type cmd struct {
	spec *command.Spec // nil: not in the table
	args [][]byte
	raw  []byte // as it was received; nil if it came inline
	more bool   // there may be further commands to decide
}

// decideAll puts the commands that have arrived into slots. It stops at a command that has to leave the line,
// which it returns, and when the batch has grown enough.
func (s *Session) decideAll() (aside cmd) {
	n := 0
	var last *command.Spec
	s.flight.asked = 0
	defer func() {
		s.srv.Counts.Commands.Add(int64(n))
		if n > 0 && s.last.Load() != last { // a store costs more than a look
			s.last.Store(last)
		}
	}()
	for {
		args, raw, ok := s.in.next()
		if !ok {
			return cmd{}
		}
		n++
		c := cmd{spec: command.Lookup(args), args: args, raw: raw, more: true}
		last = c.spec
		if len(s.slots) == 0 {
			s.flight.first, s.flight.read = c, s.in.reads
		}
		if !s.decide(c) {
			return c
		}
		if c.spec != nil && c.spec.Reply.HoldsValues() {
			s.asked++
			s.flight.asked++
			s.cut = s.asked >= s.window
		}
		if s.sealed || (s.cut || len(s.batch.Req) >= maxBatch) && (s.own != nil || !s.tx.open) {
			return cmd{more: true}
		}
	}
}

// flush writes what there is to say in one write.
func (s *Session) flush() error {
	if s.broken != nil {
		return s.broken
	}
	if len(s.out) == 0 && (s.own == nil || s.own.pump == nil) {
		return nil
	}
	_, err := s.write(s.out)
	s.broken = err
	s.out = s.out[:0]
	if cap(s.out) > keepBuffer {
		s.out = nil
	}
	return err
}

// write writes to the client; while the upstream may speak unasked, one at a time with it.
func (s *Session) write(b []byte) (int, error) {
	if s.own != nil && s.own.pump != nil {
		return s.own.pump.writeReplies(b)
	}
	s.writing.Store(s.srv.clock.Load())
	defer s.writing.Store(0)
	n, err := s.conn.Write(b)
	s.acct.bytesOut.Add(int64(n))
	return n, err
}
