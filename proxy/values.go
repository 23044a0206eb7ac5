package proxy

import (
	"bytes"

	"sessiongate/policy"
	"sessiongate/resp"
)

// This file measures values in replies whose keys have limits of their own.

// copyNames copies the names in a request, as the client knows them.
func copyNames(r *policy.Request) [][]byte {
	size := 0
	for _, name := range r.Names {
		size += len(r.Args[name.Arg])
	}
	names, text := make([][]byte, 0, len(r.Names)), make([]byte, 0, size)
	for _, name := range r.Names {
		start := len(text)
		text = append(text, r.Args[name.Arg]...)
		names = append(names, text[start:])
	}
	return names
}

// above answers in place of a value of n bytes that is longer than its key allows.
func (s *Session) above(dst []byte, sl *slot, key []byte, n int64) (out []byte, is bool) {
	limit, rule := s.policy.ValueLimit(key)
	if limit == 0 || n <= limit {
		return dst, false
	}
	own := *sl
	own.limit, own.rule = limit, rule
	return s.oversize(dst, &own, n), true
}

// editPerKey passes [value ...] if each is within the limit of its key.
func editPerKey(s *Session, dst, raw []byte, sl *slot) ([]byte, error) {
	i := 0
	for elem := range elems(raw) {
		if i == len(sl.keys) {
			return dst, errShape
		}
		text, _ := resp.Bulk(elem)
		if out, is := s.above(dst, sl, sl.keys[i], int64(len(text))); is {
			return out, nil
		}
		i++
	}
	return append(dst, raw...), nil
}

// editPayload passes what DUMP makes of a value within the limit.
func editPayload(s *Session, dst, raw []byte, sl *slot) ([]byte, error) {
	payload, ok := resp.Bulk(raw)
	if !ok || len(sl.keys) == 0 {
		return dst, errShape
	}
	limit, _ := s.policy.ValueLimit(sl.keys[0])
	if out, is := s.above(dst, sl, sl.keys[0], policy.DumpLen(payload, limit)); is {
		return out, nil
	}
	return append(dst, raw...), nil
}

// streamsAbove answers in place of [[key, entries] ...], or in RESP3 a map of key to entries, if an entry is too long for its key.
func (s *Session) streamsAbove(dst, raw []byte, sl *slot) (out []byte, is bool) {
	var key []byte
	i := 0
	entries := func(elem []byte) bool {
		if i++; i%2 == 1 {
			text, _ := resp.Bulk(elem)
			key = bytes.TrimPrefix(text, s.policy.Prefix())
			return false
		}
		out, is = s.above(dst, sl, key, longestString(elem))
		return is
	}
	for elem := range elems(raw) {
		if raw[0] != '*' {
			if entries(elem) {
				return out, true
			}
			continue
		}
		for part := range elems(elem) {
			if entries(part) {
				return out, true
			}
		}
	}
	return dst, false
}
