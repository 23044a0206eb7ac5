package capacity

import (
	"math/rand/v2"
	"strconv"

	"github.com/tidwall/redcon"
)

// sessions makes sessions by number: that of a number is the same each time, so that nothing has to be remembered to find it, write it
// anew or remove it. One goroutine uses it.
type sessions struct {
	*Template
	namespace string
	seed      uint64
	pcg       *rand.PCG
	dice      *rand.Rand
	name      []byte // buffers
	text      []byte
}

func newSessions(t *Template, namespace string, seed uint64) *sessions {
	pcg := rand.NewPCG(seed, 0)
	return &sessions{Template: t, namespace: namespace, seed: seed, pcg: pcg, dice: rand.New(pcg)}
}

// odd spreads neighbouring numbers.
const odd = 0x9e3779b97f4a7c15

// keyOf returns the session's key, without the namespace first. What is drawn next is the session's. Both are valid until the next call.
func (s *sessions) keyOf(i int) (id, key []byte) {
	s.pcg.Seed(s.seed, uint64(i)*odd)
	s.name = s.key.append(append(s.name[:0], s.namespace...), s.dice)
	return s.name[len(s.namespace):], s.name
}

// expiry is when sessions end. The zero expiry is never.
type expiry struct {
	after int64                 // milliseconds from when they are written
	at    func(id []byte) int64 // Unix milliseconds, by the key without namespace; nil: it is after
}

// appendWrite appends the commands that write session i, and returns how many that are. Each has a reply of one line.
func (s *sessions) appendWrite(dst []byte, i int, e expiry) ([]byte, int) {
	id, key := s.keyOf(i)
	var at int64
	if e.at != nil {
		at = e.at(id)
	}
	if s.fields == nil {
		s.text = s.value.append(s.text[:0], s.dice)
		return appendSet(dst, key, s.text, e.after, at), 1
	}
	dst = redcon.AppendArray(dst, 2+2*len(s.fields))
	dst = redcon.AppendBulkString(dst, "HSET")
	dst = redcon.AppendBulk(dst, key)
	for _, f := range s.fields {
		s.text = f.value.append(s.text[:0], s.dice)
		dst = redcon.AppendBulk(redcon.AppendBulk(dst, f.name), s.text)
	}
	switch {
	case e.at != nil:
		return appendNumbered(dst, "PEXPIREAT", key, at), 2
	case e.after > 0:
		return appendNumbered(dst, "PEXPIRE", key, e.after), 2
	}
	return dst, 1
}

func appendSet(dst, key, value []byte, after, at int64) []byte {
	word, n := "", after
	switch {
	case at > 0:
		word, n = "PXAT", at
	case after > 0 && after%1000 == 0:
		word, n = "EX", after/1000
	case after > 0:
		word = "PX"
	}
	if word == "" {
		dst = redcon.AppendArray(dst, 3)
	} else {
		dst = redcon.AppendArray(dst, 5)
	}
	dst = redcon.AppendBulk(redcon.AppendBulk(redcon.AppendBulkString(dst, "SET"), key), value)
	if word != "" {
		dst = appendInt(redcon.AppendBulkString(dst, word), n)
	}
	return dst
}

func appendNumbered(dst []byte, word string, key []byte, n int64) []byte {
	dst = redcon.AppendArray(dst, 3)
	return appendInt(redcon.AppendBulk(redcon.AppendBulkString(dst, word), key), n)
}

func appendInt(dst []byte, n int64) []byte {
	var text [20]byte
	return redcon.AppendBulk(dst, strconv.AppendInt(text[:0], n, 10))
}

// appendRead appends the command that reads session i.
func (s *sessions) appendRead(dst []byte, i int) []byte {
	_, key := s.keyOf(i)
	word := "GET"
	if s.fields != nil {
		word = "HGETALL"
	}
	return redcon.AppendBulk(redcon.AppendBulkString(redcon.AppendArray(dst, 2), word), key)
}

// appendRemove appends the command that removes session i, which has a reply of one line.
func (s *sessions) appendRemove(dst []byte, i int) []byte {
	_, key := s.keyOf(i)
	return redcon.AppendBulk(redcon.AppendBulkString(redcon.AppendArray(dst, 2), "UNLINK"), key)
}

// file returns the session's id and what a file of it holds: the value, or lines of fields. Both are valid until the next call.
func (s *sessions) file(i int) (id, content []byte) {
	id, _ = s.keyOf(i)
	if s.fields == nil {
		s.text = s.value.append(s.text[:0], s.dice)
		return id, s.text
	}
	s.text = s.text[:0]
	for _, f := range s.fields {
		s.text = append(append(s.text, f.name...), '=')
		s.text = append(f.value.append(s.text, s.dice), '\n')
	}
	return id, s.text
}
