package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime/debug"
	"slices"
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
	// firstWindow is how many values a new session may ask for at once as long as nobody has shown that values are small
	// here, maxWindow any session. A window grows while values are small, and shrinks when they are not.
	firstWindow, maxWindow, growWindow = 16, 16384, 32
	// maxFlying is how many batches of one client are under way at once, at most.
	maxFlying = 16
	// largeReplies is how many bytes of replies to one batch are many.
	largeReplies = 4 << 20
	// largeReply is the size in bytes from which a reply is written from where it is, instead of being copied.
	largeReply = 32 << 10
	// keepBuffer is the largest buffer a session keeps for its next batch.
	keepBuffer = 64 << 10
)

// Session is one connected client. Its goroutine owns everything here but the fields marked shared.
type Session struct {
	srv  *Server
	conn net.Conn
	in   *reader
	id   int64

	tenant *Tenant       // nil until the client has authenticated
	proto  int           // RESP version, 2 or 3
	db     int           // selected database
	link   upstream.Link // where the batch goes: a shared link, or own
	own    *own          // upstream connection of this client alone, nil if it needs none

	*flight           // the batch at hand
	flying  []*flight // batches whose replies have not been edited, in order
	spare   []*flight // for reuse
	out     []byte    // replies not yet written
	req     policy.Request
	plan    policy.Plan
	tx      transaction
	mute    muting
	window  int   // how many values may be asked for at once
	asked   int   // how many are
	broken  error // a reply could not be written
	quit    bool  // leave after the next flush

	about   atomic.Pointer[about] // shared: what CLIENT LIST shows of this session
	active  atomic.Int64          // shared: when the last batch was read, Unix seconds
	writing atomic.Int64          // shared: since when a write is under way, Unix seconds; 0: none is
	killed  atomic.Bool           // shared: another client or the end of the server asks it to leave
	rested  bool                  // buffers were given back since the last command
}

// flight is one batch of commands on its way upstream and back.
type flight struct {
	policy *policy.Policy // by which it was decided
	batch  upstream.Batch
	slots  []slot   // one per command
	local  []byte   // texts of the slots that are answered here
	inTx   []queued // what the commands of transactions in it bring at EXEC
	asked  int      // values it asks for
	at     int64    // the upstream's clock when it was decided, Unix milliseconds; 0: nobody has asked
	cut    bool     // there was no room for more values
	lost   error    // why there are no replies
	sent   bool     // started on a link that has not been waited for
}

func newSession(srv *Server, conn net.Conn, id int64) *Session {
	s := &Session{srv: srv, conn: conn, id: id, proto: 2, db: srv.pool.DB(), window: int(srv.window.Load()), flight: &flight{}}
	s.in = newReader(conn, srv.cfg.Limits)
	s.active.Store(srv.clock.Load())
	s.about.Store(&about{since: time.Now()})
	s.login(srv.tenants.open)
	return s
}

// login makes t the session's tenant; nil: the client has to authenticate first.
func (s *Session) login(t *Tenant) {
	if s.tenant != nil && s.tenant != t {
		s.disown(false) // what it has upstream belongs to the tenant it leaves
	}
	s.tenant = t
	s.in.authed(t != nil)
	s.describe()
}

// run serves the client and cleans up after it. A panic costs this client its connection and nobody else anything.
func (s *Session) run(ctx context.Context) {
	defer s.srv.leave(s)
	defer func() { _ = s.conn.Close() }()
	defer func() { s.disown(false) }()
	defer func() {
		if p := recover(); p != nil {
			s.srv.Counts.Panics.Add(1)
			s.srv.log.Error("session ended by a panic", zap.Int64("client", s.id), zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
		}
	}()
	if err := s.serve(ctx); err != nil {
		s.srv.log.Debug("client left", zap.Int64("client", s.id), zap.Error(err))
	}
}

// serve carries commands from the client to Redis and replies back, until the client leaves.
func (s *Session) serve(ctx context.Context) error {
	for !s.quit {
		if err := s.fill(); err != nil {
			return err
		}
		for more := true; more; {
			s.begin()
			aside := s.decideAll() // every command that has arrived into a slot, up to one that leaves the line
			s.depart(ctx)
			more = s.goOn(ctx, aside)
		}
		if err := s.flush(); err != nil {
			return err
		}
	}
	return nil
}

// fill blocks until a whole command has arrived.
func (s *Session) fill() error {
	for {
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
	case s.killed.Load() || s.srv.draining.Load():
		return io.EOF
	}
	if s.own != nil && s.own.pump != nil {
		if err := s.own.pump.broken(); err != nil {
			return err
		}
	}
	s.rest()
	return s.conn.SetReadDeadline(time.Time{})
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
	s.lost, s.sent, s.cut, s.at = nil, false, false, 0
	if !s.tx.open {
		s.inTx = s.inTx[:0]
	}
	if s.tenant != nil {
		s.policy = s.tenant.Policy()
	}
	if s.link == nil {
		s.link = s.srv.pool.Link(s.proto, s.db)
	}
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
	s.flight.asked = 0
	defer func() { s.srv.Counts.Commands.Add(int64(n)) }()
	for {
		args, raw, ok := s.in.next()
		if !ok {
			return cmd{}
		}
		n++
		c := cmd{spec: command.Lookup(args), args: args, raw: raw, more: true}
		if !s.decide(c) {
			return c
		}
		if c.spec != nil && c.spec.Reply.HoldsValues() {
			s.asked++
			s.flight.asked++
			s.cut = s.asked >= s.window
		}
		if (s.cut || len(s.batch.Req) >= maxBatch) && (s.own != nil || !s.tx.open) {
			return cmd{more: true}
		}
	}
}

// decide gives the command a slot: to be forwarded, or refused. It returns false, and does nothing, for a command that leaves the line.
func (s *Session) decide(c cmd) bool {
	switch {
	case c.spec == nil && isCrossProtocol(c.args):
		return false
	case s.tenant == nil && (c.spec == nil || c.spec.Flags&command.PreAuth == 0):
		s.refuse(appendLockedOut(s.local, c))
		return true
	case s.tenant == nil || s.leaves(c):
		return false
	}
	s.place(c)
	return true
}

// place puts the command into the batch as the tenant's policy wants it, or a refusal into its slot.
func (s *Session) place(c cmd) {
	if s.policy.Transparent() {
		s.pass(c)
	} else if s.known(c) {
		s.govern(c)
	}
	if c.spec != nil {
		s.follow(c)
	}
}

// govern decides a command by the rules.
func (s *Session) govern(c cmd) {
	names, ok := s.req.Names[:0], true
	if c.spec.Names != nil {
		names, ok = c.spec.Names(c.args, names)
	}
	s.req = policy.Request{Spec: c.spec, Args: c.args, Names: names, DB: s.db, Now: s.now()}
	if !ok { // an error whatever the keys: Redis says which
		s.req.Names = s.req.Names[:0]
	}
	s.policy.Decide(&s.req, &s.plan)
	if s.plan.Refusal != nil {
		s.denied(s.plan.Refusal, c.spec)
		return
	}
	if !ok {
		s.plan = policy.Plan{}
	}
	s.send(c)
}

// now is the upstream's clock, asked once per batch.
func (s *Session) now() int64 {
	if s.at == 0 {
		s.at = s.srv.pool.Now()
	}
	return s.at
}

// known reports whether a governed tenant may use the command at all; if not, it has been answered in Redis's words.
func (s *Session) known(c cmd) bool {
	withText, wrong := appendMistake(s.local, c)
	switch {
	case wrong:
		s.refuse(withText)
	case s.policy.Governs(c.spec):
		return true
	case c.spec.Flags&(command.Admin|command.Server) != 0:
		s.refuse(redcon.AppendError(s.local, "NOPERM the '"+c.spec.RedisName()+"' command concerns the whole server and is not allowed under rules or a namespace"))
	default:
		s.refuse(appendUnknown(s.local, c.args))
	}
	return false
}

// appendMistake answers, as Redis does before anything else, a command that there isn't, or with arguments missing.
func appendMistake(dst []byte, c cmd) (withText []byte, wrong bool) {
	switch spec := c.spec; {
	case spec == nil:
		return appendUnknown(dst, c.args), true
	case spec.Flags&command.Container != 0 && len(c.args) > 1:
		return appendUnknownSub(dst, c.args), true
	case !spec.ArityOK(len(c.args)):
		return appendArity(dst, spec.RedisName()), true
	}
	return dst, false
}

// appendLockedOut answers a client that has to authenticate first.
func appendLockedOut(dst []byte, c cmd) []byte {
	withText, wrong := appendMistake(dst, c)
	switch {
	case wrong:
		return withText
	case execs[c.spec.ID]:
		return redcon.AppendError(dst, errExecNoAuth)
	}
	return redcon.AppendError(dst, errNoAuth)
}

// refuse gives the command at hand a slot that is answered here: withText is s.local with the answer appended.
func (s *Session) refuse(withText []byte) {
	s.slots = append(s.slots, slot{text: true, start: len(s.local), end: len(withText), mute: s.mute.next()})
	s.local = withText
	if s.tx.open {
		s.spoil()
	}
}

// denied answers a command that a rule refuses, counts and logs it.
func (s *Session) denied(r *policy.Refusal, spec *command.Spec) {
	s.refuse(r.AppendRESP(s.local))
	s.srv.Counts.Refused.Add(1)
	s.srv.refused.note(s.tenant.Name, spec.Name, r)
}

// forward sends the batch and waits for its replies.
func (s *Session) forward(ctx context.Context) {
	if s.batch.Count == 0 {
		return
	}
	s.batch.Max = s.srv.cfg.Output
	if err := s.link.Do(ctx, &s.batch); err != nil {
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
	s.local = redcon.AppendError(s.local, "ERR upstream unavailable: "+cause(err))
	for i := range s.slots {
		if sl := &s.slots[i]; !sl.text {
			sl.text, sl.start, sl.end = true, start, len(s.local)
		}
	}
	if s.own != nil { // if it still held something there, that is lost, and it has to start again
		s.quit = s.quit || s.tx.open || !s.own.idle()
		s.disown(false)
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
		s.srv.window.Store(int64(min(s.window, firstWindow*growWindow)))
	}
}

// depart sends the batch. What is to be done when its replies are there is done by land. Neither has to heed ctx: the link
// ends every wait within its read timeout, or when the pool is closed.
func (s *Session) depart(ctx context.Context) {
	s.flying = append(s.flying, s.flight)
	if s.batch.Count == 0 {
		return
	}
	s.batch.Max = s.srv.cfg.Output
	if link, ok := s.link.(upstream.Pipeliner); ok {
		s.lost = link.Start(context.Background(), &s.batch)
		s.sent = s.lost == nil
	} else {
		s.lost = s.link.Do(ctx, &s.batch)
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
	s.asked -= s.flight.asked
	if s.lost != nil {
		s.failed(s.lost)
	} else if s.batch.Count > 0 {
		s.adapt()
	}
	s.edit()
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
		}
		return !s.quit && s.broken == nil
	}
	for len(s.flying) > 0 {
		s.land(ctx)
	}
	return s.aside(ctx, aside)
}

// cause is the part of an upstream error that a client may see: why, not where.
func cause(err error) string {
	var e *upstream.Error
	if errors.As(err, &e) {
		return e.Err.Error()
	}
	return err.Error()
}

// edit appends the replies of the batch, in order, and what the upstream said between them.
func (s *Session) edit() {
	for i := range s.slots {
		s.out = s.answer(s.out, &s.slots[i])
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
	s.writing.Store(s.srv.clock.Load())
	_, err := s.write(s.out)
	s.broken = err
	s.writing.Store(0)
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
	return s.conn.Write(b)
}

// rest gives back the buffers of a client that has been silent for a while.
func (s *Session) rest() {
	if s.rested {
		return
	}
	s.rested = true
	s.in.shrink()
	if !s.tx.open {
		s.flight, s.spare, s.flying = &flight{policy: s.policy}, nil, nil
	}
	s.out, s.req, s.plan = nil, policy.Request{}, policy.Plan{}
}

// restAfter is how long a client is silent before its buffers are given back.
const restAfter = 3 * time.Second

// checkTimeouts runs on the server's sweeper, once a second: it wakes a session that should rest or leave.
func (s *Session) checkTimeouts() {
	now := time.Now()
	cfg := &s.srv.cfg
	silent := now.Sub(time.Unix(s.active.Load(), 0))
	if since := s.writing.Load(); since != 0 && now.Sub(time.Unix(since, 0)) > cfg.Write {
		_ = s.conn.SetWriteDeadline(now)
		return
	}
	a := s.about.Load()
	switch {
	case a.stateful: // Redis exempts subscribers and blocked clients from its timeout too
	case cfg.Idle > 0 && silent > cfg.Idle:
		s.kill()
	case a.tenant == "" && now.Sub(a.since) > cfg.Login:
		s.kill()
	case silent >= restAfter && silent < restAfter+2*time.Second:
		s.interrupt()
	}
}

// kill makes the session leave as soon as it reads again.
func (s *Session) kill() {
	s.killed.Store(true)
	s.interrupt()
}

// interrupt ends a read that is under way.
func (s *Session) interrupt() {
	_ = s.conn.SetReadDeadline(time.Unix(1, 0))
}

// peer is the client's address, for logs and CLIENT LIST.
func (s *Session) peer() string {
	if addr := s.conn.RemoteAddr(); addr != nil && addr.String() != "" && addr.String() != "@" {
		return addr.String()
	}
	return s.conn.LocalAddr().String() + ":0" // a UNIX socket: Redis shows the socket's path
}
