package proxy

import (
	"bytes"
	"slices"
	"time"

	"sessiongate/policy"
)

// Which keys' expiries were put back a moment ago is known of commands whose replies say so, and of no others. Within a client's own
// transaction EXEC's reply says so.

// mark is a policy.Mark on its way.
type mark struct {
	key     uint64
	back    bool // the expiry is put back, if the reply says so; or else it becomes something else
	own     bool // the command's own reply says so
	written bool // the key is written, and that is all there is to know
	at      int  // or else the element of EXEC's array that does, or without one the reply, counted from the first before the command
	elem    int  // in a transaction of the client's: the element of EXEC's array that does, the command's own or another
}

// mark takes down what Recent is to know of the command in the slot, before which there are so many of ours. What may change an
// expiry is forgotten now, and once more when the reply is here.
func (s *Session) mark(sl *slot, before int) {
	p := &s.plan
	start := len(s.marks)
	// Elements of EXEC's array, or replies, that answer the next Bound before and behind the command. One script settles keys together.
	ahead, behind := 0, before+1
	firstBehind := behind
	if slices.ContainsFunc(p.Bounds, func(b policy.Bound) bool { return isBefore(&b) }) {
		ahead++
	}
	if slices.ContainsFunc(p.Bounds, func(b policy.Bound) bool { return isBehind(&b) && !isInScript(p, &b) }) {
		behind++
	}
	bound := 0
	for _, m := range p.Marks {
		if m.Written { // now, and once more when the reply is here: by then it has been
			s.srv.written.Note(m.Key, s.req.Tick)
			s.marks = append(s.marks, mark{key: m.Key, written: true})
			continue
		}
		if !m.Back {
			s.srv.recent.Forget(m.Key, s.req.Tick)
		}
		to := mark{key: m.Key, back: m.Back, own: m.Bound == 0, elem: s.tx.elems + before}
		told := true // a reply is about this key alone
		for ; bound < m.Bound; bound++ {
			b := &p.Bounds[bound]
			next, first := &behind, firstBehind
			if b.Before {
				next, first = &ahead, 0
			}
			switch {
			case isInScript(p, b):
				told = false
			case isSettled(b):
				to.at, told = first, len(p.Bounds) == 1
			default:
				to.at, told = *next, true
				*next += commandsOf(b)
			}
		}
		to.back = to.back && told
		if !to.own {
			to.elem = s.tx.elems + to.at
		}
		s.marks = append(s.marks, to)
	}
	sl.marks, sl.lastMark = start, len(s.marks)
}

// remember tells Recent what the replies to the command in the slot say.
func (s *Session) remember(sl *slot) {
	marks := s.marks[sl.marks:sl.lastMark]
	if sl.exec {
		s.rememberAll(marks, sl)
		return
	}
	for _, m := range marks {
		s.learn(m, m.back && !sl.text && s.confirmed(sl, m))
	}
}

// rememberAll tells Recent what EXEC's array, if there is one, says of the commands of the transaction. Their marks are in the order
// of the elements; one that is not is taken for one that nothing is known of.
func (s *Session) rememberAll(marks []mark, sl *slot) {
	var raw []byte
	if !sl.text && s.batch.Replies[sl.first].Over == 0 {
		raw = s.batch.Replies[sl.first].Raw
	}
	i := 0
	if _, ok := header(raw); ok {
		for elem := range elems(raw) {
			for ; len(marks) > 0 && marks[0].elem <= i; marks = marks[1:] {
				m := marks[0]
				s.learn(m, m.back && m.elem == i && (m.own && isAnswer(elem) || !m.own && bytes.Equal(elem, oneReply)))
			}
			i++
		}
	}
	for _, m := range marks {
		s.learn(m, false)
	}
}

// learn tells Recent of one key.
func (s *Session) learn(m mark, back bool) {
	switch {
	case m.written:
		s.srv.written.Note(m.key, s.srv.tick())
	case back:
		s.srv.recent.Note(m.key, s.tick)
	default:
		s.srv.recent.Forget(m.key, s.srv.tick())
	}
}

// oneReply is EXPIRE's reply when the key is there.
var oneReply = []byte(":1\r\n")

// isAnswer reports whether the reply is neither null nor an error.
func isAnswer(raw []byte) bool { return len(raw) > 0 && !isError(raw) && !isNull(raw) }

// confirmed reports whether the reply says that the expiry was put back: EXPIRE's is 1, the command's own is neither null nor an
// error.
func (s *Session) confirmed(sl *slot, m mark) bool {
	if m.own {
		raw, over := s.pick(sl)
		return over > 0 || isAnswer(raw)
	}
	if sl.wrapped == 0 {
		return bytes.Equal(s.batch.Replies[sl.first-sl.before+m.at].Raw, oneReply)
	}
	i := 0
	for elem := range elems(s.batch.Replies[sl.first+sl.wrapped-1].Raw) {
		if i == m.at {
			return bytes.Equal(elem, oneReply)
		}
		i++
	}
	return false
}

// tick is the clock of Recent, in milliseconds. It never goes back.
func (s *Server) tick() int64 { return time.Since(s.started).Milliseconds() }
