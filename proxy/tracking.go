package proxy

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/redcon"

	"sessiongate/command"
	"sessiongate/resp"
)

// Client-side caching: a client that tracks has a connection of its own, on which the upstream sees all that it reads and tells it
// what has changed. Ids of clients are the proxy's; upstream a client is its own connection, if it has one.

const errWatchedScript = "ERR under rules a client that tracks keys can't run scripts between WATCH and MULTI"

const errReason = "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"

var trackingOff = []string{"CLIENT", "TRACKING", "OFF"}

// next stands for a command that came after CLIENT CACHING and that the upstream has not seen.
var next = []string{"PING"}

// tracking are the commands that switch client-side caching on and off, caching those that say what to do with the next command.
var (
	tracking = rows("CLIENT TRACKING")
	caching  = rows("CLIENT CACHING")
)

// pin runs a command that leaves state on its connection.
func (s *Session) pin(ctx context.Context, c cmd) {
	switch {
	case tracking[c.spec.ID]:
		s.track(ctx, c)
		return
	case caching[c.spec.ID]:
		own := s.own
		s.alone(ctx, c) // on a link too: a client that doesn't track is told so
		if own != nil && own.tracks && s.granted(own) {
			own.caching = string(c.args[2])
		}
		return
	}
	if monitors[c.spec.ID] && s.own != nil && s.own.pump != nil && s.own.pump.lines { // Redis does not answer that
		s.mute.next()
		return
	}
	own, err := s.pumped(ctx)
	if err != nil {
		s.unavailable(err)
		return
	}
	lines := own.pump.lines
	own.pump.expect(!own.topics.none(), lines || monitors[c.spec.ID])
	own.stained = true
	s.alone(ctx, c)
	if s.granted(own) {
		own.pinned = true
	} else if s.own == own {
		own.pump.expect(!own.topics.none(), lines)
	}
}

// granted reports whether the upstream has carried out the command that was sent alone on the client's own connection.
func (s *Session) granted(own *own) bool {
	return s.own == own && !s.slots[0].text && len(s.batch.Replies) > 0 && !isError(s.batch.Replies[0].Raw)
}

// track switches tracking on or off: CLIENT TRACKING ON|OFF [REDIRECT id] [BCAST] [PREFIX prefix ...] [OPTIN] [OPTOUT] [NOLOOP].
// What a client that doesn't track may say besides ON needs no connection of its own.
func (s *Session) track(ctx context.Context, c cmd) {
	on := command.IsWord(c.args[2], "ON")
	if s.sharded && on {
		s.refuseTracking(ctx)
		return
	}
	if on || s.tx.open {
		if _, err := s.pumped(ctx); err != nil {
			s.unavailable(err)
			return
		}
	}
	c, target, err := s.redirect(ctx, c)
	if err != nil {
		s.unavailable(err)
		return
	}
	own, mute := s.own, s.mute
	s.begin()
	s.place(c)
	s.forward(ctx)
	if s.own == own && s.overlaps() {
		s.begin()
		s.batch.Req = appendCommand(s.batch.Req, trackingOff)
		s.batch.Count++
		s.mute = mute
		s.placeAgain(c)
		s.forward(ctx)
	}
	s.edit()
	if own == nil || !s.granted(own) {
		return
	}
	own.stained = true
	own.tracks = on || s.tx.open // when it is queued, only EXEC decides
	own.bcast = on && slices.ContainsFunc(c.args[3:], func(arg []byte) bool { return command.IsWord(arg, "BCAST") })
	own.redirect.Store(target)
	s.describe()
}

// errClusterTracking says why not: each node would have to be told of the connection that hears of its keys, for as long as the client is there.
const errClusterTracking = "ERR CLIENT TRACKING is not possible in front of a cluster: what a client reads is tracked by the node that has it, on one connection"

// refuseTracking answers CLIENT TRACKING ON in front of a cluster.
func (s *Session) refuseTracking(ctx context.Context) {
	s.begin()
	s.refuse(redcon.AppendError(s.local, errClusterTracking))
	s.forward(ctx)
	s.edit()
}

// overlaps reports whether Redis has refused to track every key of the namespace because the client tracks some already. Where
// there is no namespace it does not: every key is no prefix there. But it was the last thing to be wrong with the command.
func (s *Session) overlaps() bool {
	return len(s.policy.Prefix()) > 0 && !s.slots[0].text && s.req.Spec.Narrow(s.req.Args, s.req.Names) != nil &&
		len(s.batch.Replies) > 0 && bytes.HasPrefix(s.batch.Replies[0].Raw, []byte("-ERR Prefix '"))
}

// redirect puts the upstream's id of the client that is to hear of invalidations in the place of the proxy's; 0, which no client
// has, where there is none. What isn't a number Redis sees as it is.
func (s *Session) redirect(ctx context.Context, c cmd) (changed cmd, target int64, err error) {
	for i := 3; i+1 < len(c.args); i++ {
		switch {
		case command.IsWord(c.args[i], "PREFIX"):
			i++
		case command.IsWord(c.args[i], "REDIRECT"):
			i++
			id, ok := resp.ParseInt(c.args[i])
			if !ok {
				continue
			}
			there, err := s.upstreamID(ctx, id)
			if err != nil {
				return c, 0, err
			}
			c.args = slices.Clone(c.args)
			c.args[i], c.raw = strconv.AppendInt(nil, there, 10), nil
			target = id
		}
	}
	return c, target, nil
}

// errBusy is why another session has not got a connection of its own in time.
var errBusy = errors.New("the client to redirect to is busy")

// upstreamID returns the upstream's id of a client of the same tenant, 0 if there is no such client. One that has no connection
// of its own is told to take one, as its goroutine does when it next reads.
func (s *Session) upstreamID(ctx context.Context, id int64) (int64, error) {
	o := s.sibling(id)
	switch {
	case o == nil:
		return 0, nil
	case o == s:
		own, err := s.pumped(ctx)
		if err != nil {
			return 0, err
		}
		return own.conn.ID, nil
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(s.pool().ReadTimeout()); time.Now().Before(end); <-tick.C {
		switch a := o.about.Load(); {
		case a.exposed:
			return a.upstream, nil
		case s.sibling(id) == nil:
			return 0, nil
		case o.wanted.CompareAndSwap(false, true):
			o.interrupt()
		}
		s.expose() // it may be the other one that waits for us
	}
	return 0, errBusy
}

// expose takes a connection that another session has asked for, and keeps it.
func (s *Session) expose() {
	if !s.wanted.Load() {
		return
	}
	if s.tenant != nil { // else who asked is not of its tenant any more
		if own, err := s.pumped(context.Background()); err == nil {
			own.exposed, own.stained = true, true
			s.describe()
		}
	}
	s.wanted.Store(false)
}

// sibling returns the session of the same tenant that has this id, nil if there is none.
func (s *Session) sibling(id int64) *Session {
	s.srv.mu.Lock()
	o := s.srv.sessions[id]
	s.srv.mu.Unlock()
	if o == nil || s.tenant == nil || o.about.Load().tenant != s.tenant.Name {
		return nil
	}
	return o
}

// cached reports whether CLIENT CACHING was said about this command, and forgets it. Commands about clients don't count.
func (s *Session) cached(c cmd) bool {
	if s.own == nil || s.own.caching == "" || c.spec != nil && strings.HasPrefix(c.spec.Name, "CLIENT ") {
		return false
	}
	s.own.caching = ""
	return true
}

// trackedScript runs a script on the connection of a client that tracks, so that its keys are tracked too. It may take its time:
// the client's socket is watched meanwhile.
func (s *Session) trackedScript(ctx context.Context, c cmd) {
	if err := s.flush(); err != nil {
		s.quit = true
		return
	}
	if s.own.watching && s.policy.ConfinesScripts() { // what follows the script travels with it in a MULTI, which would end the watch
		s.say(errWatchedScript)
		return
	}
	own, role := s.own, s.scriptRole()
	walled := role != nil && role.User != ""
	if walled {
		if errText := s.walled(c); errText != "" {
			s.say(errText)
			return
		}
		s.begin()
		s.batch.Req = role.AppendTake(s.batch.Req)
		s.batch.Count++
		if err := s.exchange(ctx); err != nil || isError(s.batch.Replies[0].Raw) {
			s.say(errWall)
			return
		}
	}
	s.begin()
	if walled && own.caching != "" { // taking the role was the next command
		s.batch.Req = appendCommand(s.batch.Req, []string{"CLIENT", "CACHING", own.caching})
		s.batch.Count++
	}
	s.place(c)
	if walled {
		s.batch.Req = s.pool().AppendLeave(s.batch.Req)
		s.batch.Count++
	}
	if s.wait(ctx, own) {
		if walled && isError(s.batch.Replies[s.batch.Count-1].Raw) {
			s.quit = true // it would stay what it is
		}
		s.edit()
	}
}

// clientGetRedir answers -1 without tracking, 0 without redirection, or the id of the client that hears of invalidations.
func (s *Session) clientGetRedir(context.Context, cmd) {
	id := int64(-1)
	if s.own != nil && s.own.tracks {
		id = s.own.redirect.Load()
	}
	s.reply(redcon.AppendInt(nil, id))
}

// clientTrackingInfo answers in the upstream's words, with the proxy's id and bare prefixes.
func (s *Session) clientTrackingInfo(ctx context.Context, _ cmd) {
	if s.own == nil || !s.own.tracks {
		text := resp.AppendMapHeader(nil, s.proto, 3)
		text = redcon.AppendBulkString(text, "flags")
		text = redcon.AppendBulkString(resp.AppendSetHeader(text, s.proto, 1), "off")
		text = redcon.AppendInt(redcon.AppendBulkString(text, "redirect"), -1)
		s.reply(redcon.AppendArray(redcon.AppendBulkString(text, "prefixes"), 0))
		return
	}
	raws, err := s.askOn(ctx, []string{"CLIENT", "TRACKINGINFO"})
	if err != nil {
		s.fail(err)
		return
	}
	text, err := editElems(nil, raws[0], func(dst, elem []byte, i int) ([]byte, error) {
		switch i {
		case 3:
			if n, ok := resp.Int(elem); ok && n > 0 {
				return redcon.AppendInt(dst, s.own.redirect.Load()), nil
			}
		case 5:
			return editKeyArray(s, dst, elem, nil)
		}
		return append(dst, elem...), nil
	})
	if err != nil {
		s.fail(err)
		return
	}
	s.reply(text)
}

// unblock is the command that wakes the upstream's client of this id.
func unblock(id int64, how string) []string {
	return []string{"CLIENT", "UNBLOCK", strconv.FormatInt(id, 10), how}
}

// clientUnblock wakes a client of the same tenant that waits in a blocking command: CLIENT UNBLOCK id [TIMEOUT|ERROR].
func (s *Session) clientUnblock(ctx context.Context, c cmd) {
	how := "TIMEOUT"
	switch {
	case len(c.args) > 4:
		s.reply(appendWrongSub(nil, c.args))
		return
	case len(c.args) == 4 && bytes.EqualFold(c.args[3], []byte("ERROR")):
		how = "ERROR"
	case len(c.args) == 4 && !bytes.EqualFold(c.args[3], []byte(how)):
		s.say(errReason)
		return
	}
	id, ok := resp.ParseInt(c.args[2])
	if !ok {
		s.say(errNotInteger)
		return
	}
	if o := s.sibling(id); o != nil {
		o.named.Store(true) // before its id is read: see disown
		if a := o.about.Load(); a.upstream != 0 {
			raws, err := s.askNode(ctx, a.node, unblock(a.upstream, how))
			if err != nil {
				s.fail(err)
				return
			}
			s.reply(raws[0])
			return
		}
	}
	s.reply(redcon.AppendInt(nil, 0))
}
