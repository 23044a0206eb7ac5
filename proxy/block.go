package proxy

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	"sessiongate/upstream"
)

// block runs a command that waits for other clients, on a connection of the client's own. Meanwhile the client's socket is
// watched: if it goes away, so does the upstream connection, at once, and no element is taken for nobody.
func (s *Session) block(ctx context.Context, c cmd) {
	if err := s.flush(); err != nil { // the replies owed must not wait too
		s.quit = true
		return
	}
	s.rename(func(a *about) { a.blocks = true })
	defer s.rename(func(a *about) { a.blocks = false })
	if s.sharded {
		s.blockOnNode(ctx, c)
		return
	}
	own, err := s.pumped(ctx)
	if err != nil {
		s.unavailable(err)
		return
	}
	if c.spec.Names == nil { // WAIT means the last write of its own connection: any command moves that mark up to now
		if _, err := s.ask(ctx, next); err != nil {
			s.unavailable(err)
			return
		}
	}
	s.blockFollowing(ctx, own, c)
}

// wait sends the batch and waits for its replies, for ever if need be. If they don't come, the client has been told.
func (s *Session) wait(ctx context.Context, own *own) bool {
	err := s.flush() // and what the upstream has said
	if err != nil {
		s.quit = true
		return false
	}
	s.batch.Max = s.srv.cfg.Output
	err = own.pump.send(ctx, &s.batch, false, true)
	if err == nil {
		err = s.await(ctx, own)
	}
	if err == nil {
		err = own.pump.receive(&s.batch)
	}
	switch {
	case err == nil && s.srv.lastCall.Load() && bytes.HasPrefix(s.batch.Replies[s.batch.Count-1].Raw, []byte("-UNBLOCKED ")):
		s.quit = true // with no answer: so a driver asks again, on its next connection
		return false
	case err == nil:
		return true
	case errors.Is(err, errLeft):
		s.quit = true
		s.disown(false)
	case errors.Is(err, upstream.ErrFlood):
		s.disown(false)
		s.failed(err)
	default:
		s.quit = s.quit || !own.idle() // what it held there is lost with it
		s.disown(false)
		s.unavailable(err)
	}
	return false
}

// blockingMove runs a command that moves an element to a key which has to have an expiry then. The move and the expiry are one
// step, in a MULTI, where nothing waits. So it is tried, and while there is nothing to move, waited until there is: by moving
// the source's next element to where it is already.
func (s *Session) blockingMove(ctx context.Context, own *own, c cmd) {
	seconds, err := parseTimeout(string(c.args[len(c.args)-1]))
	until := time.Now().Add(time.Duration(min(seconds, 1e9) * float64(time.Second))) // some 30 years are as good as more
	asking, tries := false, 0
	for {
		s.link = s.pool().Link(s.proto, s.db) // its EXEC must not end a watch of the client's
		s.forward(ctx)
		if s.own != own || s.slots[0].text {
			s.edit()
			return
		}
		if raw, _ := s.pick(&s.slots[0]); err != nil || seconds < 0 || !isNull(raw) {
			s.edit()
			return
		}
		left := time.Until(until).Seconds()
		if seconds == 0 {
			left = 0
		} else {
			left = max(left, 0.001) // 0 would mean for ever
		}
		move, mute := s.slots[0], s.mute
		s.begin()
		s.placeWait(c, left, asking, move.mute)
		if !s.wait(ctx, own) {
			return
		}
		raw := s.batch.Replies[s.batch.Count-1].Raw
		to, ask, moved := s.pool().Redirect(raw) // only a cluster's node sends elsewhere
		switch {
		case s.followMaster(ctx, own, raw):
			if own = s.own; own == nil {
				return
			}
		case moved && tries < moveTries:
			if own = s.followWait(ctx, to); own == nil {
				return
			}
			asking, tries = ask, tries+1
		case isNull(raw) || isError(raw):
			s.edit()
			return
		default:
			tries = 0
		}
		s.begin()
		s.mute = mute
		s.placeAgain(c)
		s.slots[0].mute = move.mute
	}
}

// placeWait puts into the batch what waits until there is an element to move.
func (s *Session) placeWait(c cmd, seconds float64, asking, mute bool) {
	if asking {
		s.batch.Req = appendCommand(s.batch.Req, askingWord)
		s.batch.Count++
	}
	s.slots = append(s.slots, slot{spec: c.spec, first: s.batch.Count, mute: mute})
	s.batch.Req = appendWait(s.batch.Req, s.policy.Prefix(), c.args, seconds)
	s.batch.Count++
}

// parseTimeout reads a timeout as C does: in Go a hexadecimal number has to have an exponent.
func parseTimeout(text string) (seconds float64, err error) {
	if strings.ContainsAny(text, "xX") && !strings.ContainsAny(text, "pP") {
		text += "p0"
	}
	return strconv.ParseFloat(text, 64)
}

// await returns when the batch is done (nil), or when the client has left. What the client sends meanwhile is kept.
func (s *Session) await(ctx context.Context, own *own) error {
	for {
		switch {
		case s.srv.lastCall.Load():
			s.letGo(ctx, own, "ERROR")
		case s.srv.pausing.now.Load() != nil:
			s.letGo(ctx, own, "TIMEOUT")
		}
		err := s.in.await()
		select {
		case <-own.pump.done:
			return s.conn.SetReadDeadline(time.Time{})
		case <-ctx.Done():
			return errLeft
		default:
		}
		var late net.Error
		switch {
		case err == nil:
		case errors.Is(err, errFull): // more can't be kept, and without reading its end would go unnoticed
			s.closed("it sends more than a request may hold while it waits")
			return errLeft
		case !errors.As(err, &late) || !late.Timeout():
			return errLeft
		default: // woken for another reason
			if err := s.conn.SetReadDeadline(time.Time{}); err != nil || s.killed.Load() {
				return errLeft
			}
			s.expose()
			select { // the reply may have come between the wake-up and the line above
			case <-own.pump.done:
				return nil
			default:
			}
		}
	}
}

// unblockTries is how long a command that is to wait no longer has before it is told again: it may just be on its way.
const unblockTries = 10 * time.Millisecond

// letGo ends the wait, as if the command's time were over (TIMEOUT) or with an error. Only the upstream can do that without losing an
// element: it has taken one, and then the reply holds it, or it takes none.
func (s *Session) letGo(ctx context.Context, own *own, how string) {
	b := upstream.Batch{Req: appendCommand(nil, unblock(own.conn.ID, how)), Count: 1}
	_ = own.node.Link(2, s.pool().DB()).Do(ctx, &b)
	_ = s.conn.SetReadDeadline(time.Now().Add(unblockTries))
}

// subscribe changes what the client is subscribed to. Every channel is confirmed, so the number of replies is known.
func (s *Session) subscribe(ctx context.Context, c cmd) {
	if s.sharded {
		s.subscribeOnNodes(ctx, c)
		return
	}
	own, err := s.pumped(ctx)
	if err != nil {
		s.unavailable(err)
		return
	}
	s.begin()
	s.place(c)
	if s.slots[0].text {
		s.edit()
		return
	}
	own.pump.expect(true, own.pump.lines)
	s.slots[0].many = own.topics.confirmations(c)
	s.batch.Count, s.batch.Max = s.slots[0].many, s.srv.cfg.Output
	all := s.together(c)
	err = own.pump.send(ctx, &s.batch, len(all) == 1, false)
	if err == nil {
		select {
		case <-own.pump.done:
			err = own.pump.receive(&s.batch)
		case <-ctx.Done():
			err = errLeft
		case <-time.After(own.timeout):
			err = own.conn.Late()
		}
	}
	if err != nil {
		s.quit = true
		s.unavailable(err)
		return
	}
	for i, each := range all {
		if sl := &s.slots[i]; !sl.text && !isError(s.batch.Replies[sl.first].Raw) {
			own.topics.change(each, &s.tenant.live.globs)
		}
	}
	own.pump.expect(!own.topics.none(), own.pump.lines)
	s.describe()
	s.edit()
}

var (
	errLeft    = errors.New("client left")
	errMissing = errors.New("replies are missing")
)

// topics are the channels and patterns a client is subscribed to, by the verb that subscribes.
type topics struct {
	sets  map[string]map[string]struct{}
	globs *globs // where its patterns are counted
}

func (t *topics) none() bool {
	for _, set := range t.sets {
		if len(set) > 0 {
			return false
		}
	}
	return true
}

// confirmations returns how many of them answer a subscription command, if it is no error.
func (t *topics) confirmations(c cmd) int {
	if verb := subscriptions[c.spec.Name]; verb.off && len(c.args) == 1 {
		return max(1, len(t.sets[verb.set]))
	}
	return max(1, len(c.args)-1)
}

// change takes note of a subscription command that the upstream has carried out.
func (t *topics) change(c cmd, g *globs) {
	verb := subscriptions[c.spec.Name]
	if t.sets == nil {
		t.sets, t.globs = map[string]map[string]struct{}{}, g
	}
	if verb.off && len(c.args) == 1 {
		for name := range t.sets[verb.set] {
			t.drop(verb.set, name)
		}
	}
	for _, name := range c.args[1:] {
		if verb.off {
			t.drop(verb.set, string(name))
		} else {
			t.add(verb.set, string(name))
		}
	}
}

func (t *topics) add(set, name string) {
	if t.sets[set] == nil {
		t.sets[set] = map[string]struct{}{}
	}
	if _, have := t.sets[set][name]; !have && set == patternSet {
		t.globs.add(name, 1)
	}
	t.sets[set][name] = struct{}{}
}

func (t *topics) drop(set, name string) {
	if _, have := t.sets[set][name]; have && set == patternSet {
		t.globs.add(name, -1)
	}
	delete(t.sets[set], name)
}

// end drops all of them.
func (t *topics) end() {
	for name := range t.sets[patternSet] {
		t.globs.add(name, -1)
	}
	t.sets = nil
}

// count returns the numbers of channels and of patterns, as CLIENT LIST shows them.
func (t *topics) count() (channels, patterns int) {
	return len(t.sets["channels"]), len(t.sets[patternSet])
}
