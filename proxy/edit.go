package proxy

import (
	"bytes"
	"errors"
	"iter"
	"strconv"

	"github.com/tidwall/redcon"
	"go.uber.org/zap"

	"sessiongate/command"
	"sessiongate/policy"
	"sessiongate/resp"
)

// errShape says that a reply is not of the shape its command's row promises. It is withheld then: it might hold names.
var errShape = errors.New("unexpected shape")

// editor appends to dst what the client gets to see of a raw reply.
type editor func(s *Session, dst, raw []byte, sl *slot) ([]byte, error)

// editors has one entry for each kind of reply; nil passes the bytes.
var editors = [...]editor{
	command.KeyArray:     editKeyArray,
	command.OneKey:       editOneKey,
	command.CursorKeys:   editCursorKeys,
	command.FirstIsKey:   editFirstIsKey,
	command.Streams:      editStreams,
	command.NameCounts:   editNameCounts,
	command.OKIsOne:      editOKIsOne,
	command.CommandTable: editCommandTable,
	command.ServerInfo:   editInfo,
	command.ScriptNames:  editScriptNames,
	command.ScriptSum:    editScriptSum,
	command.PerKey:       editPerKey,
	command.Payload:      editPayload,
}

// edit appends the replies of the batch, in order, and what the upstream said between them.
func (s *Session) edit() {
	for i := range s.slots {
		sl := &s.slots[i]
		from := len(s.out)
		s.out = s.answer(s.out, sl)
		if sl.traced != nil {
			sl.traced.reply(s.out[min(from, len(s.out)):], sl) // nothing is left of a reply that was written through
		}
		if sl.marks < sl.lastMark {
			s.remember(sl)
		} else if sl.split != nil {
			s.rememberParts(sl)
		}
	}
}

// answer appends the reply in a slot.
func (s *Session) answer(dst []byte, sl *slot) []byte {
	if sl.text {
		if sl.mute {
			return dst
		}
		return append(dst, s.local[sl.start:sl.end]...)
	}
	if s.sharded {
		if sl.split != nil {
			return s.joined(dst, sl)
		}
		if err := s.batch.Replies[sl.first].Err; err != nil {
			if sl.mute {
				return dst
			}
			return appendUnavailable(dst, err)
		}
	}
	if sl.would != nil {
		raw, _ := s.pick(sl)
		s.told(sl.would, raw)
	}
	last := sl.first + max(sl.wrapped, sl.many, 1) - 1 + sl.behind
	if s.own != nil && s.own.pump != nil {
		dst = s.own.pump.appendPushes(dst, last)
	}
	if sl.mute && sl.many == 0 { // confirmations of SUBSCRIBE are pushes, which nobody mutes
		if sl.checked {
			raw, _ := s.pick(sl)
			s.noteDenied(sl, raw)
		}
		return dst
	}
	if sl.many > 0 {
		push := newPushEditor(s.policy.Prefix(), nil)
		for _, r := range s.batch.Replies[sl.first : last+1] {
			if isError(r.Raw) {
				dst = s.appendError(dst, r.Raw, sl.spec)
			} else {
				dst = push.show(dst, r.Raw)
			}
		}
		return dst
	}
	raw, over := s.pick(sl)
	if over = max(over, overError(raw, sl)); over > 0 {
		return s.oversize(dst, sl, over)
	}
	if len(raw) >= largeReply && editors[sl.edit] == nil && !sl.exec && !isError(raw) && (s.own == nil || s.own.pump == nil) {
		return s.writeThrough(dst, raw)
	}
	return s.show(dst, raw, sl)
}

// writeThrough writes what stands in dst and a large reply behind it, without copying that. It returns dst empty.
func (s *Session) writeThrough(dst, raw []byte) []byte {
	s.writing.Store(s.srv.clock.Load())
	for _, b := range [...][]byte{dst, raw} {
		if s.broken == nil {
			var n int
			n, s.broken = s.conn.Write(b)
			s.acct.bytesOut.Add(int64(n))
		}
	}
	s.writing.Store(0)
	return dst[:0]
}

// pick finds the client's reply among those of its slot. In a MULTI of ours that is an element of EXEC's array, the first but for
// commands of ours that come before; or the error that kept the command from being queued; or, if MULTI itself was refused, what
// came instead of QUEUED.
func (s *Session) pick(sl *slot) (raw []byte, over int64) {
	if sl.wrapped == 0 {
		r := s.batch.Replies[sl.first]
		return r.Raw, r.Over
	}
	multi, queued, exec := s.batch.Replies[sl.first], s.batch.Replies[sl.first+1+sl.before], s.batch.Replies[sl.first+sl.wrapped-1]
	switch {
	case exec.Over > 0:
		return nil, exec.Over
	case isError(multi.Raw) || isError(queued.Raw):
		return queued.Raw, queued.Over
	}
	if isError(exec.Raw) { // what follows the command could not be queued: why says more than EXECABORT
		for _, r := range s.batch.Replies[sl.first+1 : sl.first+sl.wrapped-1] {
			if isError(r.Raw) {
				return r.Raw, 0
			}
		}
	}
	i := 0
	for elem := range elems(exec.Raw) {
		if i == sl.before {
			return elem, 0
		}
		i++
	}
	return exec.Raw, 0
}

// show appends a raw reply the way the client may see it.
func (s *Session) show(dst, raw []byte, sl *slot) []byte {
	if isError(raw) {
		if s.sharded {
			raw = s.hiddenOf(sl.spec, raw)
		}
		if sl.spec != nil && sl.spec.Cats&command.Scripting != 0 {
			raw = s.scripts().toClient(raw)
		}
		if sl.checked {
			s.noteDenied(sl, raw)
		}
		return s.appendError(dst, raw, sl.spec)
	}
	edit := editors[sl.edit]
	if sl.exec {
		edit = (*Session).editExec
	}
	if edit == nil || isNull(raw) && sl.edit != command.OKIsOne {
		return append(dst, raw...)
	}
	start := len(dst)
	dst, err := edit(s, dst, raw, sl)
	if err != nil {
		s.srv.Counts.Withheld.Add(1)
		s.srv.log.Error("reply withheld", zap.String("command", sl.spec.Name), zap.Error(err))
		return redcon.AppendError(dst[:start], "ERR reply withheld: "+err.Error())
	}
	return dst
}

// oversize answers in place of a value above the limit, which was discarded as it streamed in.
func (s *Session) oversize(dst []byte, sl *slot, got int64) []byte {
	r := policy.Oversize(sl.rule, sl.limit, got)
	sl.refusal = r
	s.noteRefusal(sl.spec.Name, r)
	return r.AppendRESP(dst)
}

// appendError passes an error of the upstream's to a command without the namespace: stream commands quote the key they miss.
func (s *Session) appendError(dst, raw []byte, spec *command.Spec) []byte {
	prefix := s.policy.Prefix()
	if len(prefix) == 0 || !bytes.Contains(raw, prefix) {
		return append(dst, raw...)
	}
	text := withoutPrefix(errorText(raw), prefix, spec)
	dst = append(dst, raw[0])
	if raw[0] == resp.BulkError { // carries its length
		dst = strconv.AppendInt(dst, int64(len(text)), 10)
		dst = append(dst, "\r\n"...)
	}
	return append(append(dst, text...), "\r\n"...)
}

// errorText is what an error says, its code first.
func errorText(raw []byte) []byte {
	if raw[0] == resp.BulkError {
		_, _, text, _ := resp.Split(raw)
		return text
	}
	return bytes.TrimSuffix(raw[1:], []byte("\r\n"))
}

// withoutPrefix takes the namespace out of the text of an error in reply to a command. Redis quotes names, so it stands behind a
// quote; anywhere else it may be a part of Redis's own words. Scripts quote nothing. What commands do that only the operator knows,
// nobody can tell: there it is taken out everywhere too, unless it ends like a word.
func withoutPrefix(text, prefix []byte, spec *command.Spec) []byte {
	last := prefix[len(prefix)-1] | 0x20
	word := last >= 'a' && last <= 'z'
	if spec != nil && (spec.Flags&command.Script != 0 || spec.IsExtra() && !word) {
		code := codeLen(text)
		return append(text[:code:code], replaceRuns(text[code:], prefix)...)
	}
	kept := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		c := text[i]
		kept = append(kept, c)
		i++
		if (c == '\'' || c == '"' || c == '`') && bytes.HasPrefix(text[i:], prefix) { // once: the client's own name may begin like it
			i += len(prefix)
		}
	}
	return kept
}

// codeLen is the length of an error's code, which drivers parse: a first word in capitals, with the blank behind it.
func codeLen(text []byte) int {
	for i, c := range text {
		if c == ' ' {
			return i + 1
		}
		if c < 'A' || c > 'Z' {
			break
		}
	}
	return 0
}

// replaceRuns takes the first prefix out of every run of them.
func replaceRuns(text, prefix []byte) []byte {
	var kept []byte
	for {
		before, rest, found := bytes.Cut(text, prefix)
		kept = append(kept, before...)
		if !found {
			return kept
		}
		for text = rest; bytes.HasPrefix(text, prefix); text = text[len(prefix):] {
			kept = append(kept, prefix...)
		}
	}
}

func isError(raw []byte) bool { return len(raw) > 0 && (raw[0] == '-' || raw[0] == '!') }

// isNull reports whether raw is RESP2's or RESP3's null.
func isNull(raw []byte) bool {
	return len(raw) > 1 && (raw[0] == '_' || raw[1] == '-' && (raw[0] == '$' || raw[0] == '*'))
}

// appendBare appends a key without the namespace, as a bulk string.
func (s *Session) appendBare(dst, elem []byte) ([]byte, error) {
	key, ok := resp.Bulk(elem)
	bare, in := bytes.CutPrefix(key, s.policy.Prefix())
	if !ok || !in {
		return dst, errShape
	}
	return redcon.AppendBulk(dst, bare), nil
}

// editKeyArray strips the names in [key ...].
func editKeyArray(s *Session, dst, raw []byte, _ *slot) ([]byte, error) {
	head, ok := header(raw)
	if !ok {
		return dst, errShape
	}
	dst = append(dst, head...)
	var err error
	for elem := range elems(raw) {
		if dst, err = s.appendBare(dst, elem); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func editOneKey(s *Session, dst, raw []byte, _ *slot) ([]byte, error) {
	return s.appendBare(dst, raw)
}

// editCursorKeys strips the names in [cursor, [key ...]].
func editCursorKeys(s *Session, dst, raw []byte, sl *slot) ([]byte, error) {
	return editElems(dst, raw, func(dst, elem []byte, i int) ([]byte, error) {
		if i == 1 {
			return editKeyArray(s, dst, elem, sl)
		}
		return append(dst, elem...), nil
	})
}

// editFirstIsKey strips the name in [key, ...].
func editFirstIsKey(s *Session, dst, raw []byte, _ *slot) ([]byte, error) {
	return editElems(dst, raw, func(dst, elem []byte, i int) ([]byte, error) {
		if i == 0 {
			return s.appendBare(dst, elem)
		}
		return append(dst, elem...), nil
	})
}

// editStreams strips the names in [[key, entries] ...], or in RESP3's map of key to entries.
func editStreams(s *Session, dst, raw []byte, sl *slot) ([]byte, error) {
	if sl.keys != nil {
		if out, is := s.streamsAbove(dst, raw, sl); is {
			return out, nil
		}
	}
	return editElems(dst, raw, func(dst, elem []byte, i int) ([]byte, error) {
		switch {
		case raw[0] == '*':
			return editFirstIsKey(s, dst, elem, sl)
		case i%2 == 0:
			return s.appendBare(dst, elem)
		}
		return append(dst, elem...), nil
	})
}

// editNameCounts strips the names in [name, count, ...].
func editNameCounts(s *Session, dst, raw []byte, _ *slot) ([]byte, error) {
	return editElems(dst, raw, func(dst, elem []byte, i int) ([]byte, error) {
		if i%2 == 0 {
			return s.appendBare(dst, elem)
		}
		return append(dst, elem...), nil
	})
}

// editOKIsOne turns the reply of SET NX back into SETNX's.
func editOKIsOne(_ *Session, dst, raw []byte, _ *slot) ([]byte, error) {
	switch {
	case isNull(raw):
		return append(dst, ":0\r\n"...), nil
	case bytes.Equal(raw, []byte("+OK\r\n")):
		return append(dst, ":1\r\n"...), nil
	}
	return dst, errShape
}

// editElems copies an aggregate, each element through f.
func editElems(dst, raw []byte, f func(dst, elem []byte, i int) ([]byte, error)) ([]byte, error) {
	head, ok := header(raw)
	if !ok {
		return dst, errShape
	}
	dst = append(dst, head...)
	i := 0
	for elem := range elems(raw) {
		var err error
		if dst, err = f(dst, elem, i); err != nil {
			return dst, err
		}
		i++
	}
	return dst, nil
}

// elems are the elements of an aggregate, as raw bytes.
func elems(raw []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		c, ok := resp.Elements(raw)
		for ok {
			var elem []byte
			if elem, ok = c.Next(); ok && !yield(elem) {
				return
			}
		}
	}
}

// header is the first line of an aggregate.
func header(raw []byte) ([]byte, bool) {
	kind, n, body, ok := resp.Split(raw)
	switch {
	case !ok || n < 0:
		return nil, false
	case kind == resp.Array || kind == resp.Map || kind == resp.Set || kind == resp.Push:
		return raw[:len(raw)-len(body)], true
	}
	return nil, false
}
