package proxy

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"strings"
	"sync"

	"github.com/tidwall/redcon"

	"sessiongate/command"
	"sessiongate/resp"
)

// The changed script has another SHA1 than the one that clients know. The proxy translates, for scripts that it has seen; for
// others EVALSHA says NOSCRIPT, as after a restart of Redis, and the client sends the script.

// form says where a command holds a script, or the SHA1 of one.
type form uint8

const (
	noScript form = iota
	textAtOne
	sumAtOne
	textAtTwo
	sumsFromTwo
)

// forms has the form of each command, by row of the table. Functions are what the operator has loaded, and stay what they are.
var forms = func() []form {
	list := make([]form, command.Len())
	for name, f := range map[string]form{
		"EVAL": textAtOne, "EVAL_RO": textAtOne, "EVALSHA": sumAtOne, "EVALSHA_RO": sumAtOne,
		"SCRIPT EXISTS": sumsFromTwo, "SCRIPT LOAD": textAtTwo,
	} {
		list[command.ByName(name).ID] = f
	}
	return list
}()

// maxSums is how many scripts are remembered. Beyond that all are forgotten, and clients send them again.
const maxSums = 1 << 16

// scripts puts one prelude before scripts, and remembers which SHA1 a script has for clients and which for Redis.
type scripts struct {
	prelude         string
	mu              sync.RWMutex
	inside, outside map[string]string // by the client's, by Redis's
}

// sumOf returns the SHA1 that Redis knows the script by, if it has been sent before.
func (m *scripts) sumOf(text []byte) (inside string, known bool) {
	outside := sum(text)
	m.mu.RLock()
	defer m.mu.RUnlock()
	inside, known = m.inside[outside]
	return inside, known
}

// bySum has the commands that run a script by its SHA1, by row of those that run its text.
var bySum = func() map[uint16][]byte {
	twins := map[uint16][]byte{}
	for name, twin := range map[string]string{"EVAL": "EVALSHA", "EVAL_RO": "EVALSHA_RO"} {
		twins[command.ByName(name).ID] = []byte(twin)
	}
	return twins
}()

// scriptExists asks Redis whether it has a script.
func scriptExists(sum string) []string { return []string{"SCRIPT", "EXISTS", sum} }

// allScripts has one for scripts that are only walled, only confined, or both.
type allScripts struct{ walled, confined, both, aged, bothAged scripts }

func newAllScripts() *allScripts {
	return &allScripts{
		walled:   scripts{prelude: walledPrelude},
		confined: scripts{prelude: confinedPrelude},
		both:     scripts{prelude: walledPrelude + confinedPrelude},
		aged:     scripts{prelude: agedPrelude},
		bothAged: scripts{prelude: walledPrelude + agedPrelude},
	}
}

// scripts returns what changes the tenant's scripts; nil: they stay what they are.
func (s *Session) scripts() *scripts {
	walled, confined := len(s.policy.Prefix()) > 0, s.policy.ConfinesScripts()
	if s.tenant == nil {
		return nil
	}
	ages := s.policy.KeepsLifetimes()
	switch all := s.tenant.live.scripts; {
	case walled && ages:
		return &all.bothAged
	case ages:
		return &all.aged
	case walled && confined:
		return &all.both
	case walled:
		return &all.walled
	case confined:
		return &all.confined
	}
	return nil
}

// changed returns the script as Redis gets it, and remembers it.
func (m *scripts) changed(text []byte) []byte {
	head := 0
	if bytes.HasPrefix(text, []byte("#!")) { // this line has to be the first
		if head = bytes.IndexByte(text, '\n') + 1; head == 0 {
			return text
		}
	}
	script := make([]byte, 0, len(m.prelude)+len(text))
	script = append(append(append(script, text[:head]...), m.prelude...), text[head:]...)
	outside := sum(text)
	m.mu.RLock()
	_, known := m.inside[outside]
	m.mu.RUnlock()
	if !known {
		m.remember(outside, sum(script))
	}
	return script
}

func (m *scripts) remember(outside, inside string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.inside) >= maxSums || m.inside == nil {
		m.inside, m.outside = map[string]string{}, map[string]string{}
	}
	m.inside[outside], m.outside[inside] = inside, outside
}

func sum(text []byte) string {
	digest := sha1.Sum(text)
	return hex.EncodeToString(digest[:])
}

// unknown is a SHA1 that no script has.
const unknown = "0000000000000000000000000000000000000000"

// toRedis translates a client's SHA1, in whatever case.
func (m *scripts) toRedis(sum []byte) []byte {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if inside, ok := m.inside[strings.ToLower(string(sum))]; ok {
		return []byte(inside)
	}
	return []byte(unknown)
}

// toClient translates every SHA1 of Redis's in a text.
func (m *scripts) toClient(text []byte) []byte {
	if m == nil {
		return text
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for at := 0; at+len(unknown) <= len(text); {
		n := 0
		for at+n < len(text) && isHex(text[at+n]) {
			n++
		}
		if n == len(unknown) {
			if outside, ok := m.outside[string(text[at:at+n])]; ok {
				text = bytes.Replace(text, text[at:at+n:at+n], []byte(outside), 1)
			}
		}
		at += n + 1
	}
	return text
}

// firstDeclared is the argument at which the keys that a script declares begin.
const firstDeclared = 3

// change makes the plan send the script changed.
func (s *Session) change(c cmd) {
	f := forms[c.spec.ID]
	if f == noScript || s.srv == nil {
		return
	}
	m := s.scripts()
	if m == nil {
		return
	}
	if c.spec.Names != nil {
		if _, ok := c.spec.Names(c.args, nil); !ok { // too few keys: Redis says so, and must not take what we add for one
			return
		}
	}
	p := &s.plan
	if p.Args == nil {
		p.Names = s.req.Names
	} else {
		c.args = p.Args
	}
	p.Args = append([][]byte(nil), c.args...)
	switch f {
	case textAtOne:
		if inside, known := m.sumOf(p.Args[1]); known && s.bySum { // the text is some fifty times as long, and Redis would hash it
			p.Args[0], p.Args[1], s.sum = bySum[c.spec.ID], []byte(inside), inside
		} else {
			p.Args[1] = m.changed(p.Args[1])
		}
	case sumAtOne:
		p.Args[1] = m.toRedis(p.Args[1])
	case textAtTwo:
		p.Args[2] = m.changed(p.Args[2])
	case sumsFromTwo:
		for i := 2; i < len(p.Args); i++ {
			p.Args[i] = m.toRedis(p.Args[i])
		}
	}
	if c.spec.Flags&command.Script != 0 && s.policy.ConfinesScripts() {
		text := s.policy.AppendConfinement(nil, p.Limit)
		if s.policy.KeepsLifetimes() {
			text = s.policy.AppendLives(text, p.Bounds, firstDeclared)
		}
		p.Args = append(p.Args, text)
	}
}

// ownError is how many bytes of error pass whatever the limit on values: Redis's own errors, NOSCRIPT and those that say why a script
// has failed, are as long.
const ownError = 256

// overError returns the length of the longest error that a script replies with, as a whole or somewhere in it, if that is above the
// limit on values: a script can put a value there.
func overError(raw []byte, sl *slot) int64 {
	if sl.limit == 0 || sl.spec.Flags&command.Script == 0 || bytes.IndexByte(raw, '-') < 0 && bytes.IndexByte(raw, '!') < 0 {
		return 0
	}
	if n := longestError(raw); n > max(sl.limit, ownError) {
		return n
	}
	return 0
}

func longestError(raw []byte) (longest int64) {
	if isError(raw) {
		return int64(len(errorText(raw)))
	}
	if _, ok := header(raw); ok {
		for elem := range elems(raw) {
			longest = max(longest, longestError(elem))
		}
	}
	return longest
}

// editScriptSum turns the reply of SCRIPT LOAD back.
func editScriptSum(s *Session, dst, raw []byte, _ *slot) ([]byte, error) {
	if _, ok := resp.Bulk(raw); !ok {
		return dst, errShape
	}
	return append(dst, s.scripts().toClient(raw)...), nil
}

// editScriptNames takes the namespace from names that a script returns, which are the texts that begin with it, however deep, and
// from errors.
func editScriptNames(s *Session, dst, raw []byte, sl *slot) ([]byte, error) {
	prefix := s.policy.Prefix()
	if !bytes.Contains(raw, prefix) && !bytes.ContainsRune(raw, '-') {
		return append(dst, raw...), nil
	}
	if isError(raw) {
		return s.appendError(dst, s.scripts().toClient(raw), sl.spec), nil
	}
	if _, ok := header(raw); ok {
		return editElems(dst, raw, func(dst, elem []byte, _ int) ([]byte, error) { return editScriptNames(s, dst, elem, sl) })
	}
	if len(raw) > 0 && raw[0] == resp.Simple && bytes.HasPrefix(raw[1:], prefix) {
		return append(append(dst, resp.Simple), raw[1+len(prefix):]...), nil
	}
	if text, ok := resp.Bulk(raw); ok && bytes.HasPrefix(text, prefix) {
		return redcon.AppendBulk(dst, text[len(prefix):]), nil
	}
	return append(dst, raw...), nil
}
