package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/redcon"

	"sessiongate/resp"
)

// composed are commands whose answer takes several commands upstream under a namespace, so that it is true for the tenant's
// part of what they look at. They walk the keyspace by SCAN in steps, so that other clients are served in between.
var composed []handler

// wholeInTx are those that a transaction queues as the one command that they are: nothing can come between there anyway.
var wholeInTx = rows("KEYS")

func init() { // not above, since commandCount looks at it
	composed = handlers(map[string]handler{
		"CLUSTER COUNTKEYSINSLOT": (*Session).noCluster,
		"CLUSTER GETKEYSINSLOT":   (*Session).noCluster,
		"CLUSTER INFO":            (*Session).noCluster,
		"CLUSTER KEYSLOT":         (*Session).noCluster,
		"CLUSTER LINKS":           (*Session).noCluster,
		"CLUSTER MYID":            (*Session).noCluster,
		"CLUSTER MYSHARDID":       (*Session).noCluster,
		"CLUSTER NODES":           (*Session).noCluster,
		"CLUSTER REPLICAS":        (*Session).noCluster,
		"CLUSTER SHARDS":          (*Session).noCluster,
		"CLUSTER SLAVES":          (*Session).noCluster,
		"CLUSTER SLOTS":           (*Session).noCluster,
		"COMMAND COUNT":           (*Session).commandCount, // under rules without a namespace too
		"CONFIG GET":              (*Session).configGet,
		"CONFIG SET":              (*Session).configSet,
		"DBSIZE":                  (*Session).dbSize,
		"FLUSHALL":                (*Session).flushAll,
		"FLUSHDB":                 (*Session).flushDB,
		"KEYS":                    (*Session).keys,
		"PUBSUB NUMPAT":           (*Session).numPat,
		"RANDOMKEY":               (*Session).randomKey,
		"SLOWLOG GET":             (*Session).slowLogGet,
		"SLOWLOG LEN":             (*Session).slowLogLen,
	})
}

const (
	// scanStep is how many slots of the keyspace one SCAN looks at: some 0.1 ms of Redis's time.
	scanStep = "1000"
	// randomTries is how many random keys are drawn at once, in the hope that one is the tenant's.
	randomTries = 32
	// farewell is how long a walk goes on for a client that will send nothing more: it may still wait for the answer, as in
	// printf 'DBSIZE\r\n' | nc, or be gone.
	farewell = time.Second
)

// ask sends one batch of commands of our own and returns the raw replies, valid until the next.
func (s *Session) ask(ctx context.Context, cmds ...[]string) ([][]byte, error) {
	s.begin()
	for _, args := range cmds {
		s.batch.Req = appendCommand(s.batch.Req, args)
		s.batch.Count++
	}
	return s.answers(ctx)
}

// answers sends the batch, which is of commands of our own, and returns the raw replies. An error of one of them is one of all.
func (s *Session) answers(ctx context.Context) ([][]byte, error) {
	if err := s.exchange(ctx); err != nil {
		return nil, err
	}
	raws := make([][]byte, len(s.batch.Replies))
	for i, r := range s.batch.Replies {
		if r.Err != nil {
			return nil, r.Err
		}
		if isError(r.Raw) {
			return nil, errors.New(string(bytes.TrimRight(r.Raw[1:], "\r\n")))
		}
		raws[i] = r.Raw
	}
	return raws, nil
}

func appendCommand(dst []byte, args []string) []byte {
	dst = redcon.AppendArray(dst, len(args))
	for _, arg := range args {
		dst = redcon.AppendBulkString(dst, arg)
	}
	return dst
}

// whereItIs has the upstream say, among other things, which database a connection has selected: db=n.
var whereItIs = []string{"CLIENT", "INFO"}

// askOn is ask on the client's own connection.
func (s *Session) askOn(ctx context.Context, cmds ...[]string) ([][]byte, error) {
	s.onOwn = true
	return s.ask(ctx, cmds...)
}

// gone reports, between the steps of a long command, that nobody waits for its answer any more.
func (s *Session) gone(ctx context.Context) bool {
	if s.broken != nil || s.killed.Load() || ctx.Err() != nil {
		return true
	}
	switch err := s.in.glance(); {
	case err == nil:
		return false
	case !errors.Is(err, io.EOF):
		return true
	case s.ended.IsZero():
		s.ended = time.Now()
	}
	return time.Since(s.ended) > farewell
}

// scan walks the tenant's part of the selected database, a page of upstream names at a time. The names are copies.
func (s *Session) scan(ctx context.Context, page func(keys []string) error) error {
	return s.scanFor(ctx, []byte("*"), page)
}

// scanFor is scan for the names that match a pattern of the client's.
func (s *Session) scanFor(ctx context.Context, bare []byte, page func(keys []string) error) error {
	if !s.sharded {
		return s.scanOne(ctx, bare, page)
	}
	for _, node := range s.pool().Masters() {
		back := s.turnTo(node)
		err := s.scanOne(ctx, bare, page)
		if back(); err != nil {
			return err
		}
	}
	return nil
}

// scanOne is scanFor on one server.
func (s *Session) scanOne(ctx context.Context, bare []byte, page func(keys []string) error) error {
	pattern := string(append(appendEscaped(nil, s.policy.Prefix()), bare...))
	for cursor := "0"; ; {
		raws, err := s.ask(ctx, []string{"SCAN", cursor, "MATCH", pattern, "COUNT", scanStep})
		if err != nil {
			return err
		}
		var keys []string
		i := 0
		for elem := range elems(raws[0]) {
			if i++; i == 1 {
				text, _ := resp.Bulk(elem)
				cursor = string(text)
				continue
			}
			for key := range elems(elem) {
				text, _ := resp.Bulk(key)
				keys = append(keys, string(text))
			}
		}
		if err := page(keys); err != nil || cursor == "0" || i != 2 {
			return err
		}
		if s.gone(ctx) {
			return errLeft
		}
	}
}

// fail answers a composed command that could not be finished, in the upstream's words if it has said why.
func (s *Session) fail(err error) {
	if errors.Is(err, errLeft) {
		s.quit = true
		return
	}
	text := err.Error()
	if word, _, _ := strings.Cut(text, " "); word != strings.ToUpper(word) {
		text = unavailable + why(err) + partRun
	}
	s.say(text)
}

// dbSize counts the tenant's keys. SCAN may show a key twice while the keyspace is being resized, as it may for any client.
func (s *Session) dbSize(ctx context.Context, _ cmd) {
	n := 0
	err := s.scan(ctx, func(keys []string) error { n += len(keys); return nil })
	if err != nil {
		s.fail(err)
		return
	}
	s.reply(redcon.AppendInt(nil, int64(n)))
}

// keys lists the tenant's keys that match: KEYS pattern. One KEYS upstream would keep everybody waiting. SCAN may show a key
// twice, KEYS doesn't.
func (s *Session) keys(ctx context.Context, c cmd) {
	own := len(s.policy.Prefix())
	seen := map[string]struct{}{}
	var names []byte
	err := s.scanFor(ctx, c.args[1], func(keys []string) error {
		for _, key := range keys {
			if _, twice := seen[key]; !twice {
				seen[key] = struct{}{}
				names = redcon.AppendBulkString(names, key[own:])
			}
		}
		return nil
	})
	if err != nil {
		s.fail(err)
		return
	}
	s.reply(append(resp.AppendArrayHeader(nil, len(seen)), names...))
}

// flushDB removes the tenant's keys of the selected database, in steps; FLUSHDB [ASYNC|SYNC].
func (s *Session) flushDB(ctx context.Context, c cmd) {
	if !flushOption(c.args) {
		s.say(errSyntax)
		return
	}
	if err := s.removeAll(ctx); err != nil {
		s.fail(err)
		return
	}
	s.ok()
}

// flushAll removes the tenant's keys of every database that holds any.
func (s *Session) flushAll(ctx context.Context, c cmd) {
	if !flushOption(c.args) {
		s.say(errSyntax)
		return
	}
	raws, err := s.ask(ctx, []string{"INFO", "keyspace"})
	if err != nil {
		s.fail(err)
		return
	}
	err = s.inEach(ctx, databases(raws[0]), s.removeAll)
	if err == nil && s.own != nil && s.own.tracks {
		_, err = s.askOn(ctx, next) // what it tracked is gone: by now it has been told so
	}
	if err != nil {
		s.fail(err)
		return
	}
	s.ok()
}

// inEach has f look at one database after the other, on shared links.
func (s *Session) inEach(ctx context.Context, dbs []int, f func(context.Context) error) error {
	if s.sharded { // it has one, on several nodes
		return f(ctx)
	}
	home, link := s.db, s.link
	defer func() { s.db, s.link, s.fixed = home, link, nil }()
	for _, db := range dbs {
		s.db, s.fixed = db, s.pool().Link(s.proto, db)
		if err := f(ctx); err != nil {
			return err
		}
	}
	return nil
}

func flushOption(args [][]byte) bool {
	return len(args) == 1 || len(args) == 2 && (bytes.EqualFold(args[1], []byte("ASYNC")) || bytes.EqualFold(args[1], []byte("SYNC")))
}

func (s *Session) removeAll(ctx context.Context) error {
	return s.scan(ctx, func(keys []string) error {
		if len(keys) == 0 {
			return nil
		}
		if s.sharded { // keys of two slots in one command it refuses
			_, err := s.askEach(ctx, "UNLINK", keys)
			return err
		}
		_, err := s.ask(ctx, append([]string{"UNLINK"}, keys...))
		return err
	})
}

// databases are the numbers in INFO's keyspace section: db0:keys=1,... a line.
func databases(info []byte) (list []int) {
	text, _ := resp.Bulk(info)
	for line := range strings.Lines(string(text)) {
		if name, _, ok := strings.Cut(line, ":"); ok {
			if db, err := strconv.Atoi(strings.TrimPrefix(name, "db")); err == nil && strings.HasPrefix(name, "db") {
				list = append(list, db)
			}
		}
	}
	return list
}

// randomKey draws from the whole keyspace and keeps what is the tenant's. For a tenant with a small part of a large
// keyspace that finds nothing; then it walks the tenant's keys and draws one of them.
func (s *Session) randomKey(ctx context.Context, _ cmd) {
	prefix := s.policy.Prefix()
	tries := make([][]string, randomTries)
	for i := range tries {
		tries[i] = []string{"RANDOMKEY"}
	}
	raws, err := s.draw(ctx, tries)
	if err != nil {
		s.fail(err)
		return
	}
	for _, raw := range raws {
		if text, ok := resp.Bulk(raw); ok && bytes.HasPrefix(text, prefix) {
			s.reply(redcon.AppendBulk(nil, text[len(prefix):]))
			return
		}
	}
	chosen, seen := "", 0
	err = s.scan(ctx, func(keys []string) error {
		for _, key := range keys {
			if seen++; rand.IntN(seen) == 0 {
				chosen = key
			}
		}
		return nil
	})
	switch {
	case err != nil:
		s.fail(err)
	case seen == 0:
		s.null()
	default:
		s.reply(redcon.AppendBulkString(nil, chosen[len(prefix):]))
	}
}

// draw asks for random keys, in front of a cluster on a node that is chosen by how many it has.
func (s *Session) draw(ctx context.Context, tries [][]string) ([][]byte, error) {
	if !s.sharded {
		return s.ask(ctx, tries...)
	}
	node, err := s.weighted(ctx)
	if err != nil || node == nil {
		return nil, err
	}
	return s.askNode(ctx, node, tries...)
}

// numPat counts the patterns of the tenant's clients of this proxy; the upstream counts everybody's.
func (s *Session) numPat(context.Context, cmd) {
	s.reply(redcon.AppendInt(nil, int64(s.tenant.live.globs.count())))
}

// commandCount counts the commands that the tenant may call.
func (s *Session) commandCount(ctx context.Context, _ cmd) {
	raws, err := s.ask(ctx, []string{"COMMAND", "LIST"})
	if err != nil {
		s.fail(err)
		return
	}
	n := 0
	for name := range elems(raws[0]) {
		if text, _ := resp.Bulk(name); s.lets(name) && bytes.IndexByte(text, '|') < 0 { // subcommands don't count
			n++
		}
	}
	s.reply(redcon.AppendInt(nil, int64(n)))
}
