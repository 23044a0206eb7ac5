package proxy

import (
	"bytes"
	"slices"
	"time"

	"sessiongate/policy"
)

// Which keys' expiries were put back a moment ago is known of commands whose replies say so, and of no others. Within a client's own
// transaction nothing is taken for known.

// mark is a policy.Mark on its way.
type mark struct {
	key     uint64
	back    bool // the expiry is put back, if the reply says so; or else it becomes something else
	own     bool // the command's own reply says so
	written bool // the key is written, and that is all there is to know
	at      int  // or else the element of EXEC's array that does, or without one the reply, counted from the first before the command
}

// mark takes down what Recent is to know of the command in the slot. What may change an expiry is forgotten now, and once more
// when the reply is here.
func (s *Session) mark(sl *slot) {
	p := &s.plan
	start := len(s.marks)
	// Elements of EXEC's array, or replies, that answer the next Bound before and behind the command. One script settles keys together.
	ahead, behind := 0, sl.before+1
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
		to := mark{key: m.Key, back: m.Back && !s.tx.open, own: m.Bound == 0}
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
		s.marks = append(s.marks, to)
	}
	sl.marks, sl.lastMark = start, len(s.marks)
}

// remember tells Recent what the replies to the command in the slot say.
func (s *Session) remember(sl *slot) {
	for _, m := range s.marks[sl.marks:sl.lastMark] {
		if m.written {
			s.srv.written.Note(m.key, s.srv.tick())
		} else if m.back && !sl.text && s.confirmed(sl, m) {
			s.srv.recent.Note(m.key, s.tick)
		} else {
			s.srv.recent.Forget(m.key, s.srv.tick())
		}
	}
}

// confirmed reports whether the reply says that the expiry was put back: EXPIRE's is 1, the command's own is neither null nor an
// error.
func (s *Session) confirmed(sl *slot, m mark) bool {
	if m.own {
		raw, over := s.pick(sl)
		return over > 0 || len(raw) > 0 && !isError(raw) && !isNull(raw)
	}
	if sl.wrapped == 0 {
		return bytes.Equal(s.batch.Replies[sl.first-sl.before+m.at].Raw, []byte(":1\r\n"))
	}
	i := 0
	for elem := range elems(s.batch.Replies[sl.first+sl.wrapped-1].Raw) {
		if i == m.at {
			return bytes.Equal(elem, []byte(":1\r\n"))
		}
		i++
	}
	return false
}

// tick is the clock of Recent, in milliseconds. It never goes back.
func (s *Server) tick() int64 { return time.Since(s.started).Milliseconds() }
