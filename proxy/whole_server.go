package proxy

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/redcon"

	"sessiongate/command"
	"sessiongate/resp"
)

// What the server tells of itself is under a namespace true for the tenant.

const (
	errSlowCount = "ERR count should be greater than or equal to -1"
	slowDefault  = 10 // entries that SLOWLOG GET answers with when it isn't told how many
	slowArgs     = 32 // arguments that Redis keeps of a command; the last one then says how many more there were
)

// slowLogGet shows the tenant's own slow commands: SLOWLOG GET [count].
func (s *Session) slowLogGet(ctx context.Context, c cmd) {
	count := int64(slowDefault)
	switch {
	case len(c.args) > 3:
		s.reply(appendWrongSub(nil, c.args))
		return
	case len(c.args) == 3:
		var ok bool
		if count, ok = resp.ParseInt(c.args[2]); !ok || count < -1 {
			s.say(errSlowCount)
			return
		}
	}
	entries, err := s.slowLog(ctx)
	if err != nil {
		s.fail(err)
		return
	}
	if count >= 0 && count < int64(len(entries)) {
		entries = entries[:count]
	}
	text := resp.AppendArrayHeader(nil, len(entries))
	for _, entry := range entries {
		text = append(text, entry...)
	}
	s.reply(text)
}

func (s *Session) slowLogLen(ctx context.Context, _ cmd) {
	entries, err := s.slowLog(ctx)
	if err != nil {
		s.fail(err)
		return
	}
	s.reply(redcon.AppendInt(nil, int64(len(entries))))
}

// inScript is the address in entries about commands that a script has called.
const inScript = "?:0"

// slowLog returns the entries about commands all of whose names are in the namespace, with bare names. Who has sent them isn't
// told: upstream that is a proxy, or none of the tenant's clients. What scripts have called is left out, since checks of ours do so too.
func (s *Session) slowLog(ctx context.Context) (entries [][]byte, err error) {
	if !s.sharded {
		return s.slowLogOfOne(ctx)
	}
	for _, node := range s.pool().Masters() {
		back := s.turnTo(node)
		own, err := s.slowLogOfOne(ctx)
		if back(); err != nil {
			return nil, err
		}
		entries = append(entries, own...)
	}
	sortSlow(entries)
	return entries, nil
}

// slowLogOfOne is slowLog of one server.
func (s *Session) slowLogOfOne(ctx context.Context) (entries [][]byte, err error) {
	raws, err := s.ask(ctx, []string{"SLOWLOG", "GET", "-1"})
	if err != nil {
		return nil, err
	}
	for raw := range elems(raws[0]) { // [id, time, microseconds, [argument ...], address, name]
		mine := true
		entry, err := editElems(nil, raw, func(dst, elem []byte, i int) ([]byte, error) {
			switch {
			case i < 3 || !mine:
				return append(dst, elem...), nil
			case i > 3:
				text, _ := resp.Bulk(elem)
				mine = i != 4 || string(text) != inScript
				return redcon.AppendBulkString(dst, ""), nil
			}
			var args [][]byte
			for arg := range elems(elem) {
				text, _ := resp.Bulk(arg)
				args = append(args, text)
			}
			clipped := len(args) == slowArgs && bytes.HasPrefix(args[len(args)-1], []byte("... ("))
			if args = unguarded(args, clipped); !s.bare(args, clipped) {
				mine = false
				return dst, nil
			}
			dst = redcon.AppendArray(dst, len(args))
			for _, arg := range args {
				dst = redcon.AppendBulk(dst, arg)
			}
			return dst, nil
		})
		if err != nil {
			return nil, err
		}
		if mine {
			entries = append(entries, entry)
		}
	}
	return entries, nil
}

// unguarded returns the command that a script of ours was put around, from the slow log's form of that; nil if it can't be told from
// what follows it.
func unguarded(args [][]byte, clipped bool) [][]byte {
	const keys, guardWords = 3, 3 // EVAL script number key ... and what a guard is told
	if len(args) <= keys {
		return args
	}
	within := isOneOf(args[1], withinScripts[:]) || isOneOf(args[1], followedWithin[:])
	follows := isOneOf(args[1], followed[:]) || isOneOf(args[1], followedWithin[:])
	if !within && !follows && !isOneOf(args[1], guards[:]) {
		return args
	}
	n, ok := resp.ParseInt(args[2])
	if !ok || n < 0 || n >= slowArgs {
		return args
	}
	first := keys + int(n)
	if !within || first+1 < len(args) && string(args[first+1]) == deniedSize {
		first += guardWords
	}
	if first >= len(args) {
		return args
	}
	args = args[first:]
	if follows {
		args = withoutParts(args, stepWords, clipped)
	}
	if within {
		args = withoutParts(args, birthWords, clipped)
	}
	return args
}

// withoutParts takes parts of so many words each from the end, the last of which says how many parts there are; nil if it doesn't.
func withoutParts(args [][]byte, words int, clipped bool) [][]byte {
	if clipped || len(args) == 0 {
		return nil
	}
	n, ok := resp.ParseInt(args[len(args)-1])
	if !ok || n < 1 || n > slowArgs || int(n)*words+1 >= len(args) {
		return nil
	}
	return args[:len(args)-int(n)*words-1]
}

// isOneOf reports whether a text of the slow log, which is clipped, is that of one of the scripts.
func isOneOf(text []byte, scripts []string) bool {
	text, _, clipped := bytes.Cut(text, []byte("... ("))
	return clipped && slices.ContainsFunc(scripts, func(script string) bool { return script != "" && strings.HasPrefix(script, string(text)) })
}

// bare takes the prefix from the names of a command as the slow log has it. It reports whether there are any, and all of them
// are in the namespace. clipped says that the last argument only tells how many more there were. A script is none of the client's
// words as it stands there, and shows ours.
func (s *Session) bare(args [][]byte, clipped bool) bool {
	spec := command.Lookup(args)
	if spec == nil || spec.Names == nil || forms[spec.ID] != noScript {
		return false
	}
	known := len(args)
	if clipped {
		known--
	}
	names, ok := spec.Names(args, nil)
	if !ok || !slices.ContainsFunc(names, func(name command.Ref) bool { return name.Arg < known }) {
		return false
	}
	for _, name := range names {
		prefix := s.policy.Prefix()
		if name.Kind == command.Glob || name.Kind == command.ChannelGlob {
			prefix = appendEscaped(nil, prefix)
		}
		if name.Arg >= known {
			continue
		}
		if args[name.Arg], ok = bytes.CutPrefix(args[name.Arg], prefix); !ok {
			return false
		}
	}
	return true
}

// asksKeyspace reports whether the command is INFO under a namespace, and asks for the keyspace by name.
func (s *Session) asksKeyspace(c cmd) bool {
	return c.spec.Reply == command.ServerInfo && !s.tx.open && len(s.policy.Prefix()) > 0 &&
		slices.ContainsFunc(c.args[1:], func(arg []byte) bool { return bytes.EqualFold(arg, keyspaceSection) })
}

// infoKeyspace answers INFO with what each database holds of the tenant's. For that it walks through the tenant's keys.
func (s *Session) infoKeyspace(ctx context.Context, c cmd) {
	words := make([]string, len(c.args))
	for i, arg := range c.args {
		words[i] = string(arg)
	}
	raws, err := s.ask(ctx, []string{words[0], string(keyspaceSection)}, words)
	if err != nil {
		s.fail(err)
		return
	}
	raw := bytes.Clone(raws[1])
	var lines, text []byte
	err = s.inEach(ctx, databases(raws[0]), func(ctx context.Context) error {
		keys, expires, avg, err := s.countKeys(ctx)
		if keys > 0 {
			lines = fmt.Appendf(lines, "db%d:keys=%d,expires=%d,avg_ttl=%d\r\n", s.db, keys, expires, avg)
		}
		return err
	})
	if err == nil {
		text, err = s.info(nil, raw, lines)
	}
	if err != nil {
		s.fail(err)
		return
	}
	s.reply(text)
}

// countKeys counts the tenant's keys in the selected database, those that expire, and in how many milliseconds on average.
func (s *Session) countKeys(ctx context.Context) (keys, expires, average int64, err error) {
	var sum int64
	err = s.scan(ctx, func(page []string) error {
		if len(page) == 0 {
			return nil
		}
		raws, err := s.askEach(ctx, "PTTL", page)
		for _, raw := range raws {
			switch left, _ := resp.Int(raw); {
			case left == -2: // it has gone meanwhile
			case left == -1:
				keys++
			default:
				keys, expires, sum = keys+1, expires+1, sum+left
			}
		}
		return err
	})
	return keys, expires, sum / max(expires, 1), err
}
