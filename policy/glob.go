package policy

import (
	"errors"
	"fmt"
	"strings"
)

// glob is a pattern over key names as Redis's KEYS takes it: * ? [a-z] [^x] and \ before a character that means itself.
// Bytes are bytes: there is no notion of characters beyond them.
type glob struct {
	literal string // what every match begins with
	rest    string // the pattern after that; empty: a match is literal and no more
}

// compileGlob splits a pattern at its first special character. It takes anything that Redis takes.
func compileGlob(pattern string) glob {
	var literal strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '*' || c == '?' || c == '[':
			return glob{literal.String(), pattern[i:]}
		case c == '\\' && i+1 < len(pattern):
			i++
		}
		literal.WriteByte(pattern[i])
	}
	return glob{literal: literal.String()}
}

// checkGlob says what is wrong with a pattern that Redis would take, but hardly as it was meant.
func checkGlob(pattern string) error {
	if pattern == "" {
		return errors.New("an empty pattern matches only the empty key")
	}
	class := -1
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\':
			if i++; i == len(pattern) {
				return errors.New(`the \ at the end has nothing to stand before`)
			}
		case class < 0 && c == '[':
			class = i
		case class >= 0 && c == ']':
			if body := strings.TrimPrefix(pattern[class+1:i], "^"); body == "" {
				return fmt.Errorf("%s has no characters in it and decides nothing", pattern[class:i+1])
			}
			class = -1
		}
	}
	if class >= 0 {
		return fmt.Errorf("the [ at character %d has no ]", class+1)
	}
	return nil
}

// match reports whether the whole name matches.
func (g *glob) match(name []byte) bool {
	return len(name) >= len(g.literal) && string(name[:len(g.literal)]) == g.literal && matchRest(g.rest, name[len(g.literal):])
}

// anything reports whether every name that begins with the literal matches.
func (g *glob) anything() bool { return g.rest != "" && strings.Trim(g.rest, "*") == "" }

// matchRest matches iteratively: on a mismatch, only the last * can usefully take one byte more, for whatever an earlier
// one would take instead, the last can take too. So the time is at most the product of both lengths.
func matchRest(p string, s []byte) bool {
	star, mark := -1, 0 // where the pattern goes on after the last *, and what s it has left
	i, j := 0, 0
	for j < len(s) {
		if i < len(p) && p[i] == '*' {
			i++
			star, mark = i, j
			continue
		}
		if i < len(p) {
			if ok, next := matchOne(p, i, s[j]); ok {
				i, j = next, j+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++
		i, j = star, mark
	}
	return strings.Trim(p[i:], "*") == ""
}

// matchOne matches the byte c with the element of the pattern at i, which is no *, and returns where the next begins.
func matchOne(p string, i int, c byte) (ok bool, next int) {
	switch p[i] {
	case '?':
		return true, i + 1
	case '[':
		return matchClass(p, i+1, c)
	case '\\':
		if i+1 < len(p) {
			i++
		}
	}
	return p[i] == c, i + 1
}

// matchClass matches c with the class that p has from i on, after the [. The end of the pattern ends a class too.
func matchClass(p string, i int, c byte) (ok bool, next int) {
	negated := i < len(p) && p[i] == '^'
	if negated {
		i++
	}
	for ; i < len(p) && p[i] != ']'; i++ {
		switch {
		case p[i] == '\\' && i+1 < len(p):
			i++
			ok = ok || p[i] == c
		case i+2 < len(p) && p[i+1] == '-':
			low, high := min(p[i], p[i+2]), max(p[i], p[i+2])
			ok = ok || low <= c && c <= high
			i += 2
		default:
			ok = ok || p[i] == c
		}
	}
	return ok != negated, min(i+1, len(p))
}

// covers reports whether every name that h matches is matched by g too, where that is plain to see.
func (g *glob) covers(h *glob) bool {
	switch {
	case *g == *h:
		return true
	case h.rest == "":
		return g.match([]byte(h.literal))
	case g.anything():
		return strings.HasPrefix(h.literal, g.literal)
	}
	return false
}
