package proxy

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/redcon"

	"sessiongate/resp"
	"sessiongate/upstream"
)

// about is what others see of a session, in CLIENT LIST and for timeouts. It is replaced, never changed.
type about struct {
	since    time.Time
	tenant   string         // "" until authenticated
	pool     *upstream.Pool // whose connections it uses
	user     string
	name     string
	libName  string
	libVer   string
	proto    int
	db       int
	channels int
	patterns int
	node     *upstream.Pool // the node on which that is
	upstream int64          // the upstream's id of its own connection, 0: it has none that others could ask for
	exposed  bool           // it is kept as long as the client, for invalidations of others
	tracks   bool
	bcast    bool
	redirect int64 // the client to which its invalidations go
	stateful bool  // it may be silent for long: it has subscriptions, or tracks, or blocks
	multi    bool
	blocks   bool // it waits in a blocking command
	notified bool // it hears keyspace notifications of a cluster's nodes, of which more may come
}

// describe publishes the session's state of now.
func (s *Session) describe() { s.rename(func(*about) {}) }

// rename publishes the session's state of now, changed by f.
func (s *Session) rename(f func(*about)) {
	a := *s.about.Load()
	a.proto, a.db, a.tenant, a.user, a.pool = s.proto, s.db, "", "", s.pool()
	if s.tenant != nil {
		a.tenant, a.user = s.tenant.Name, s.tenant.User
	}
	a.stateful, a.multi, a.channels, a.patterns, a.upstream = false, false, 0, 0, 0
	a.node, a.notified = nil, false
	a.exposed, a.tracks, a.bcast, a.redirect = false, false, false, -1
	if o := s.own; o != nil {
		a.upstream, a.node, a.exposed = o.conn.ID, o.node, o.exposed
		a.stateful, a.multi = o.pump != nil, s.tx.open
		a.channels, a.patterns = o.topics.count()
		if a.tracks, a.bcast = o.tracks, o.bcast; o.tracks {
			a.redirect = o.redirect.Load()
		}
	}
	if e := s.ears; e != nil {
		a.stateful = true
		a.channels, a.patterns = e.topics.count()
		a.notified = e.known != nil
	}
	f(&a)
	s.about.Store(&a)
}

// appendLine appends what CLIENT LIST says of the session, in the fields of Redis 7.0 and the newer lib- ones.
func (s *Session) appendLine(dst []byte, now time.Time, last string) []byte {
	a := s.about.Load()
	multi := -1
	if a.multi {
		multi = 0
	}
	idle := max(0, now.Unix()-s.active.Load())
	return fmt.Appendf(dst, "id=%d addr=%s laddr=%s fd=0 name=%s age=%d idle=%d flags=%s db=%d sub=%d psub=%d ssub=0 multi=%d "+
		"qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd=%s user=%s redir=%d resp=%d lib-name=%s lib-ver=%s\n",
		s.id, s.peer(), s.conn.LocalAddr(), a.name, int(now.Sub(a.since).Seconds()), idle, a.flags(), a.db, a.channels, a.patterns, multi,
		last, a.user, a.redirect, a.proto, a.libName, a.libVer)
}

// flags are the letters of CLIENT LIST.
func (a *about) flags() (letters string) {
	for _, each := range [...]struct {
		is     bool
		letter string
	}{{a.channels+a.patterns > 0, "P"}, {a.multi, "x"}, {a.blocks, "b"}, {a.tracks, "t"}, {a.bcast, "B"}} {
		if each.is {
			letters += each.letter
		}
	}
	return cmp.Or(letters, "N")
}

func (s *Session) clientID(context.Context, cmd) { s.reply(redcon.AppendInt(nil, s.id)) }

func (s *Session) clientInfo(context.Context, cmd) {
	s.reply(s.appendText(nil, s.appendLine(nil, time.Now(), "client|info")))
}

// appendText appends text as the server sends long texts: RESP3 marks them as such.
func (s *Session) appendText(dst, text []byte) []byte {
	if s.proto == 3 {
		dst = fmt.Appendf(dst, "=%d\r\ntxt:", len(text)+4)
		return append(append(dst, text...), "\r\n"...)
	}
	return redcon.AppendBulk(dst, text)
}

// clientList lists the tenant's own clients: [TYPE type] [ID id ...].
func (s *Session) clientList(_ context.Context, c cmd) {
	var ids map[int64]bool
	args := c.args[2:]
	switch {
	case len(args) == 0:
	case len(args) == 2 && bytes.EqualFold(args[0], []byte("TYPE")):
		kind := strings.ToLower(string(args[1]))
		if kind != "normal" && kind != "pubsub" && kind != "master" && kind != "replica" && kind != "slave" {
			s.say("ERR Unknown client type '" + string(cString(args[1], 128)) + "'")
			return
		}
		f := filter{kind: kind}
		s.reply(s.appendText(nil, s.list(func(o *Session) bool { return f.matches(o) })))
		return
	case len(args) >= 2 && bytes.EqualFold(args[0], []byte("ID")):
		ids = map[int64]bool{}
		for _, arg := range args[1:] {
			id, ok := resp.ParseInt(arg)
			if !ok { // one that nobody has is none
				s.say("ERR Invalid client ID")
				return
			}
			ids[id] = true
		}
	default:
		s.say(errSyntax)
		return
	}
	s.reply(s.appendText(nil, s.list(func(o *Session) bool { return ids == nil || ids[o.id] })))
}

// list has one line for each client of the same tenant that f picks, in the order they came.
func (s *Session) list(f func(*Session) bool) []byte {
	var text []byte
	now := time.Now()
	for _, o := range s.siblings() {
		if f(o) {
			last := "NULL"
			if spec := o.last.Load(); o == s {
				last = "client|list"
			} else if spec != nil {
				last = spec.RedisName()
			}
			text = o.appendLine(text, now, last)
		}
	}
	return text
}

func (s *Session) clientGetName(context.Context, cmd) {
	if name := s.about.Load().name; name != "" {
		s.reply(redcon.AppendBulkString(nil, name))
		return
	}
	s.null()
}

func (s *Session) clientSetName(_ context.Context, c cmd) {
	if !printable(c.args[2]) {
		s.say(errClientName)
		return
	}
	s.rename(func(a *about) { a.name = string(c.args[2]) })
	s.ok()
}

// clientSetInfo takes what drivers say of themselves since Redis 7.2, also before an older upstream.
func (s *Session) clientSetInfo(_ context.Context, c cmd) {
	value := string(c.args[3])
	field := strings.ToLower(string(c.args[2]))
	switch {
	case field != "lib-name" && field != "lib-ver":
		s.say("ERR Unrecognized option '" + string(cString(c.args[2], 128)) + "'")
		return
	case !printable(c.args[3]):
		s.say("ERR " + field + " cannot contain spaces, newlines or special characters.")
		return
	}
	s.rename(func(a *about) {
		if field == "lib-name" {
			a.libName = value
		} else {
			a.libVer = value
		}
	})
	s.ok()
}

// printable is Redis's test for names of clients: no spaces, no control characters.
func printable(name []byte) bool {
	for _, c := range name {
		if c < '!' || c > '~' {
			return false
		}
	}
	return true
}

// filter is what CLIENT KILL goes by. Empty fields match all.
type filter struct {
	id                      int64
	addr, laddr, user, kind string
	includeMe               bool
	minAge                  time.Duration
}

func (f *filter) matches(o *Session) bool {
	a := o.about.Load()
	switch {
	case f.id != 0 && f.id != o.id,
		f.addr != "" && f.addr != o.peer(),
		f.laddr != "" && f.laddr != o.conn.LocalAddr().String(),
		f.user != "" && f.user != a.user,
		f.minAge > 0 && time.Since(a.since) < f.minAge:
		return false
	case f.kind == "normal":
		return a.channels+a.patterns == 0
	case f.kind == "pubsub":
		return a.channels+a.patterns > 0
	}
	return f.kind == ""
}

// clientKill closes clients of the same tenant: CLIENT KILL addr, or CLIENT KILL filter value ...
func (s *Session) clientKill(_ context.Context, c cmd) {
	if len(c.args) == 3 {
		f := filter{addr: string(c.args[2]), includeMe: true}
		if s.killAll(&f) == 0 {
			s.say(errNoSuchClient)
			return
		}
		s.ok()
		return
	}
	f := filter{}
	if errText := f.parse(c.args[2:]); errText != "" {
		s.say(errText)
		return
	}
	if f.user != "" && !s.srv.tenants.Load().hasUser(f.user) {
		s.say("ERR No such user '" + f.user + "'")
		return
	}
	n := s.killAll(&f)
	s.reply(redcon.AppendInt(nil, int64(n)))
}

func (f *filter) parse(args [][]byte) (errText string) {
	for ; len(args) > 0; args = args[2:] {
		if len(args) == 1 {
			return errSyntax
		}
		value := string(args[1])
		switch strings.ToUpper(string(args[0])) {
		case "ID":
			id, err := strconv.ParseInt(value, 10, 64)
			if err != nil || id <= 0 {
				return "ERR client-id should be greater than 0"
			}
			f.id = id
		case "ADDR":
			f.addr = value
		case "LADDR":
			f.laddr = value
		case "USER":
			f.user = value
		case "TYPE":
			f.kind = strings.ToLower(value)
			switch f.kind {
			case "normal", "pubsub", "master", "replica", "slave":
			default:
				return "ERR Unknown client type '" + string(cString(args[1], 128)) + "'"
			}
		case "SKIPME":
			switch strings.ToLower(value) {
			case "yes":
				f.includeMe = false
			case "no":
				f.includeMe = true
			default:
				return errSyntax
			}
		case "MAXAGE":
			seconds, err := strconv.ParseInt(value, 10, 32)
			if err != nil || seconds <= 0 {
				return "ERR maxage should be greater than 0"
			}
			f.minAge = time.Duration(seconds) * time.Second
		default:
			return errSyntax
		}
	}
	return ""
}

// killAll ends the clients of the same tenant that f picks. The client itself goes after its reply.
func (s *Session) killAll(f *filter) (n int) {
	for _, o := range s.siblings() {
		switch {
		case !f.matches(o):
		case o != s:
			o.kill()
			n++
		case f.includeMe:
			s.quit = true
			n++
		}
	}
	return n
}

// siblings are the sessions of the same tenant, itself included, in the order they came, without those that were killed.
func (s *Session) siblings() []*Session {
	var list []*Session
	s.srv.each(func(o *Session) {
		if a := o.about.Load(); s.tenant != nil && a.tenant == s.tenant.Name && !o.killed.Load() {
			list = append(list, o)
		}
	})
	slices.SortFunc(list, func(a, b *Session) int { return cmp.Compare(a.id, b.id) })
	return list
}
