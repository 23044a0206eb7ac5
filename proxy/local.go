package proxy

import (
	"bytes"
	"cmp"
	"context"
	"strconv"
	"strings"

	"github.com/tidwall/redcon"

	"sessiongate/command"
	"sessiongate/resp"
	"sessiongate/upstream"
)

// handler answers a command here, or runs one that is more than one command upstream.
type handler func(s *Session, ctx context.Context, c cmd)

// local has the handlers of commands that concern the client's own connection, by row of the table.
var local = handlers(map[string]handler{
	"ASKING":              (*Session).clusterOnly,
	"AUTH":                (*Session).auth,
	"CLIENT GETNAME":      (*Session).clientGetName,
	"CLIENT GETREDIR":     (*Session).clientGetRedir,
	"CLIENT ID":           (*Session).clientID,
	"CLIENT INFO":         (*Session).clientInfo,
	"CLIENT KILL":         (*Session).clientKill,
	"CLIENT LIST":         (*Session).clientList,
	"CLIENT NO-EVICT":     (*Session).clientOnOff,
	"CLIENT NO-TOUCH":     (*Session).clientOnOff,
	"CLIENT REPLY":        (*Session).clientReply,
	"CLIENT SETINFO":      (*Session).clientSetInfo,
	"CLIENT SETNAME":      (*Session).clientSetName,
	"CLIENT TRACKINGINFO": (*Session).clientTrackingInfo,
	"CLIENT UNBLOCK":      (*Session).clientUnblock,
	"ECHO":                (*Session).echo,
	"HELLO":               (*Session).hello,
	"PING":                (*Session).ping,
	"QUIT":                (*Session).leave,
	"READONLY":            (*Session).clusterOnly,
	"READWRITE":           (*Session).clusterOnly,
	"RESET":               (*Session).reset,
	"SELECT":              (*Session).selectDB,
})

// anytime are the local commands that Redis runs at once even inside MULTI, and lets subscribers in RESP2 send.
var anytime = rows("QUIT", "RESET")

// whileSubscribed are the other local commands that subscribers in RESP2 may send.
var whileSubscribed = rows("PING")

// queueable are the local commands that the upstream can carry out in a transaction: they are about nobody but the client.
var queueable = rows("ASKING", "CLIENT CACHING", "CLIENT GETNAME", "CLIENT SETNAME", "ECHO", "PING", "READONLY", "READWRITE", "SELECT")

// ours are the containers whose subcommands are the proxy's to know: drivers try new ones on every connection.
var ours = rows("CLIENT")

// execs is the one command that Redis answers in its own way to a client that is not authenticated.
var execs = rows("EXEC")

// helloWords change the RESP version of a connection.
func helloWords(proto int) []string { return []string{"HELLO", strconv.Itoa(proto)} }

// keyspaceWords ask for what each database holds.
var keyspaceWords = []string{"INFO", "keyspace"}

// askingWord goes before a command for a slot that is on its way to the node.
var askingWord = []string{"ASKING"}

// crossProtocol are the beginnings of HTTP requests. Redis takes them for an attack by way of a browser and hangs up, and so
// do we: passed on, they would have it hang up on the shared link.
var crossProtocol = [...]string{"POST", "HOST:"}

// selects are the commands that choose a database.
var selects = rows("SELECT")

// monitors are the commands after which the upstream sends lines unasked.
var monitors = rows("MONITOR")

// subscriptions are the verbs of Pub/Sub: which of a client's sets they change, and whether they take from it.
var subscriptions = map[string]subscriptionVerb{
	"SUBSCRIBE": {set: "channels"}, "UNSUBSCRIBE": {set: "channels", off: true},
	"PSUBSCRIBE": {set: patternSet}, "PUNSUBSCRIBE": {set: patternSet, off: true},
	"SSUBSCRIBE": {set: "shards"}, "SUNSUBSCRIBE": {set: "shards", off: true},
}

// patternSet is the set of what a client subscribes to by pattern.
const patternSet = "patterns"

type subscriptionVerb struct {
	set string
	off bool
}

// handlers spreads a map by name over the rows of the table; a name without a row is a mistake of ours.
func handlers(byName map[string]handler) []handler {
	list := make([]handler, command.Len())
	for name, h := range byName {
		spec := command.ByName(name)
		if spec == nil {
			panic("no row for " + name)
		}
		list[spec.ID] = h
	}
	return list
}

func rows(names ...string) []bool {
	list := make([]bool, command.Len())
	for _, name := range names {
		list[command.ByName(name).ID] = true
	}
	return list
}

// say answers the command at hand with an error.
func (s *Session) say(errText string) { s.reply(redcon.AppendError(nil, errText)) }

func (s *Session) ok() { s.reply(redcon.AppendOK(nil)) }

// null answers with the null of the client's RESP version.
func (s *Session) null() { s.reply(s.appendNull(nil)) }

func (s *Session) appendNull(dst []byte) []byte {
	if s.proto == 3 {
		return append(dst, "_\r\n"...)
	}
	return redcon.AppendNull(dst)
}

func (s *Session) ping(_ context.Context, c cmd) {
	switch {
	case len(c.args) > 2:
		s.reply(appendArity(nil, "ping"))
	case s.proto == 2 && s.subscribed():
		text := []byte{}
		if len(c.args) == 2 {
			text = c.args[1]
		}
		s.reply(redcon.AppendBulk(redcon.AppendBulkString(redcon.AppendArray(nil, 2), "pong"), text))
	case len(c.args) == 2:
		s.reply(redcon.AppendBulk(nil, c.args[1]))
	default:
		s.reply(redcon.AppendString(nil, "PONG"))
	}
}

// noCluster answers what only clients of a cluster ask, the way a Redis that is none does.
func (s *Session) noCluster(context.Context, cmd) { s.say(errNoCluster) }

func (s *Session) echo(_ context.Context, c cmd) { s.reply(redcon.AppendBulk(nil, c.args[1])) }

func (s *Session) leave(context.Context, cmd) {
	s.ok()
	s.quit = true
}

// reset puts the session back to how it began, as RESET does since Redis 6.2.
func (s *Session) reset(context.Context, cmd) {
	s.disown(false)
	s.deafen()
	s.tx = transaction{}
	s.proto, s.link = 2, nil
	s.mute = muting{}
	s.reply(redcon.AppendString(nil, "RESET"))
	s.rename(func(a *about) { a.name = "" })
	all := s.srv.tenants.Load()
	if refusal := s.login(all.arriving(s.came), all); refusal != nil {
		s.quit = true
	}
	if s.db = s.srv.main.DB(); s.tenant != nil {
		s.db = s.tenant.start()
	}
	s.describe()
}

// auth handles AUTH password and AUTH user password.
func (s *Session) auth(ctx context.Context, c cmd) {
	if len(c.args) > 3 {
		s.say(errSyntax)
		return
	}
	user, password := []byte("default"), c.args[len(c.args)-1]
	if len(c.args) == 3 {
		user = c.args[1]
	} else if !s.srv.tenants.Load().needPassword() {
		s.say(errNoPassword)
		return
	}
	if errText := s.authenticate(ctx, user, password); errText != "" {
		s.say(errText)
		return
	}
	s.ok()
}

// hello handles HELLO [version [AUTH user password] [SETNAME name]].
func (s *Session) hello(ctx context.Context, c cmd) {
	proto := s.proto
	args := c.args[1:]
	if len(args) > 0 {
		v, err := strconv.ParseInt(string(args[0]), 10, 64)
		switch {
		case err != nil:
			s.say(errProtoNumber)
			return
		case v < 2 || v > 3:
			s.say(errNoProto)
			return
		}
		proto, args = int(v), args[1:]
	}
	for len(args) > 0 { // in their order, as Redis 7.0 takes them
		switch word := strings.ToUpper(string(args[0])); {
		case word == "AUTH" && len(args) >= 3:
			if errText := s.authenticate(ctx, args[1], args[2]); errText != "" {
				s.say(errText)
				return
			}
			args = args[3:]
		case word == "SETNAME" && len(args) >= 2:
			name := string(args[1])
			if !printable(args[1]) {
				s.say(errClientName)
				return
			}
			s.rename(func(a *about) { a.name = name })
			args = args[2:]
		default:
			s.say("ERR Syntax error in HELLO option '" + string(cString(args[0], len(args[0]))) + "'")
			return
		}
	}
	if s.tenant == nil {
		s.say(errHelloAuth)
		return
	}
	if err := s.speak(ctx, proto); err != nil {
		s.unavailable(err)
		return
	}
	if s.pool().Version() == "" {
		_, _ = s.ask(ctx, []string{"PING"}) // any command has the upstream tell its version; if it is away, we have one
	}
	s.reply(s.appendHello(nil))
}

// speak changes the RESP version, on the client's own connection too if it has anything there.
func (s *Session) speak(ctx context.Context, proto int) error {
	if proto == s.proto {
		return nil
	}
	if own := s.own; own != nil && !own.idle() {
		own.speak(2) // which tells pushes of both versions, while it changes
		own.stained = true
		if _, err := s.askOn(ctx, []string{"HELLO", strconv.Itoa(proto)}); err != nil {
			s.quit = true
			return err
		}
		own.speak(proto)
	} else {
		s.disown(false)
	}
	if err := s.hearIn(ctx, proto); err != nil {
		s.quit = true
		return err
	}
	s.proto, s.link = proto, nil
	s.describe()
	return nil
}

// oldestVersion is what HELLO names as long as the upstream has not told its own: the oldest that will do.
const oldestVersion = "7.0.0"

func (s *Session) appendHello(dst []byte) []byte {
	dst = resp.AppendMapHeader(dst, s.proto, 7)
	dst = redcon.AppendBulkString(redcon.AppendBulkString(dst, "server"), "redis")
	dst = redcon.AppendBulkString(redcon.AppendBulkString(dst, "version"), cmp.Or(s.pool().Version(), oldestVersion))
	dst = redcon.AppendInt(redcon.AppendBulkString(dst, "proto"), int64(s.proto))
	dst = redcon.AppendInt(redcon.AppendBulkString(dst, "id"), s.id)
	mode := "standalone"
	if s.srv.cfg.Facade {
		mode = "cluster"
	}
	dst = redcon.AppendBulkString(redcon.AppendBulkString(dst, "mode"), mode)
	dst = redcon.AppendBulkString(redcon.AppendBulkString(dst, "role"), "master")
	return redcon.AppendArray(redcon.AppendBulkString(dst, "modules"), 0)
}

// selectDB has the upstream say whether the database exists, on a shared link: SELECT there and back in one batch, which
// nothing can come between. Then the session moves to a link of that database.
func (s *Session) selectDB(ctx context.Context, c cmd) {
	db, strict := resp.ParseInt(c.args[1])
	if strict && int(db) == s.db {
		s.ok()
		return
	}
	s.begin()
	s.batch.Req = redcon.AppendArray(s.batch.Req, 2)
	s.batch.Req = redcon.AppendBulkString(s.batch.Req, "SELECT")
	s.batch.Req = redcon.AppendBulk(s.batch.Req, c.args[1])
	s.batch.Count = 1
	stays := s.own != nil && s.link == upstream.Link(s.own) // what it holds there goes with it
	if !stays {
		s.batch.Req = appendSelect(s.batch.Req, s.db)
		s.batch.Count = 2
	}
	if err := s.exchange(ctx); err != nil {
		s.unavailable(err)
		return
	}
	raw := s.batch.Replies[0].Raw
	s.reply(raw)
	if !strict || isError(raw) {
		return
	}
	s.db = int(db)
	if stays {
		s.own.stained = true
	} else {
		s.link = nil
	}
	if s.own != nil && s.own.watching { // keys are watched in the database they were in; what follows belongs to another
		s.own.stained = true
		if _, err := s.askOn(ctx, []string{"SELECT", strconv.Itoa(s.db)}); err != nil {
			s.quit = true
		}
	}
	s.describe()
}

// clientOnOff answers settings that concern a server's treatment of a connection, which a client of a proxy shares.
func (s *Session) clientOnOff(_ context.Context, c cmd) {
	if arg := string(bytes.ToUpper(c.args[2])); arg != "ON" && arg != "OFF" {
		s.say(errSyntax)
		return
	}
	s.ok()
}

// muting is CLIENT REPLY: which replies the client does not want.
type muting struct {
	off  bool
	skip int // replies to leave out; the command that asks for it counts
}

// next reports whether the reply of the next command is left out.
func (m *muting) next() bool {
	if m.skip > 0 {
		m.skip--
		return true
	}
	return m.off
}

func (s *Session) clientReply(_ context.Context, c cmd) {
	switch string(bytes.ToUpper(c.args[2])) {
	case "ON":
		s.mute = muting{}
		s.ok()
	case "OFF":
		s.mute = muting{off: true}
	case "SKIP":
		if !s.mute.off {
			s.mute.skip = 1
		}
	default:
		s.say(errSyntax)
	}
}
