package proxy

import (
	"bytes"
	"sync/atomic"

	"github.com/tidwall/redcon"

	"sessiongate/command"
	"sessiongate/resp"
)

// Keyspace notifications come on channels of Redis's own: __keyspace@db__:key with the event as message, and
// __keyevent@db__:event with the key as message. Under a namespace a tenant subscribes to its own keys only, and hears of
// no other.
var (
	keyspace = []byte("__keyspace@")
	keyevent = []byte("__keyevent@")
	keyboth  = []byte("__key*__:*") // the pattern for both kinds that Redis's manual shows
	afterDB  = []byte("__:")

	invalidations = []byte("__redis__:invalidate") // where RESP2 clients hear of them
)

// appendSubscription writes a subscription command with its channels or patterns in the namespace.
func appendSubscription(dst []byte, args [][]byte, names []command.Ref, prefix []byte) []byte {
	dst = redcon.AppendArray(dst, len(args))
	dst = redcon.AppendBulk(dst, args[0])
	for i, arg := range args[1:] {
		if i >= len(names) { // not a name
			dst = redcon.AppendBulk(dst, arg)
			continue
		}
		dst = redcon.AppendBulk(dst, topic(arg, prefix, names[i].Kind))
	}
	return dst
}

// topic is the upstream's name of what a client subscribes to.
func topic(name, prefix []byte, kind command.Kind) []byte {
	if kind == command.ChannelGlob {
		prefix = appendEscaped(nil, prefix)
	}
	switch at := bytes.Index(name, afterDB); {
	case bytes.HasPrefix(name, keyevent), bytes.Equal(name, keyboth), bytes.Equal(name, invalidations):
		return name
	case bytes.HasPrefix(name, keyspace) && at > 0:
		at += len(afterDB)
		return append(append(bytes.Clone(name[:at]), prefix...), name[at:]...)
	}
	return append(bytes.Clone(prefix), name...)
}

// bareTopic undoes topic. ok is false for a name outside the namespace.
func bareTopic(name, prefix []byte) (bare []byte, ok bool) {
	at := bytes.Index(name, afterDB) + len(afterDB)
	switch {
	case bytes.HasPrefix(name, keyevent), bytes.Equal(name, keyboth), bytes.Equal(name, invalidations):
		return name, true
	case bytes.HasPrefix(name, keyspace) && at > len(afterDB):
		rest, ok := bytes.CutPrefix(name[at:], prefix)
		return append(bytes.Clone(name[:at]), rest...), ok
	}
	return bytes.CutPrefix(name, prefix)
}

// pushEditor makes of a push what a tenant in the namespace gets to see: nothing, if it is about somebody else's key.
type pushEditor struct {
	prefix, escaped []byte
	redirect        *atomic.Int64 // the client to which invalidations are redirected
}

func newPushEditor(prefix []byte, redirect *atomic.Int64) *pushEditor {
	return &pushEditor{prefix: prefix, escaped: appendEscaped(nil, prefix), redirect: redirect}
}

// brokenRedirect begins the push that says that the client to which invalidations are redirected is gone.
var brokenRedirect = []byte(">2\r\n$21\r\ntracking-redir-broken\r\n")

// show appends the push. A push of a kind that isn't known is left out: it may hold names.
func (e *pushEditor) show(dst, raw []byte) []byte {
	switch {
	case bytes.HasPrefix(raw, brokenRedirect) && e.redirect != nil:
		return redcon.AppendInt(append(dst, brokenRedirect...), e.redirect.Load())
	case len(e.prefix) == 0:
		return append(dst, raw...)
	}
	var parts [4][]byte
	n := 0
	for elem := range elems(raw) {
		if n == len(parts) {
			return dst
		}
		parts[n] = elem
		n++
	}
	if n < 2 {
		return dst
	}
	kind, _ := resp.Bulk(parts[0])
	head, _ := header(raw)
	switch string(kind) {
	case "message", "smessage":
		return e.message(dst, head, parts[:n], 1)
	case "pmessage":
		return e.message(dst, head, parts[:n], 2)
	case "invalidate":
		return e.invalidate(dst, head, parts[:n])
	case "subscribe", "unsubscribe", "ssubscribe", "sunsubscribe":
		return e.confirmation(dst, head, parts[:n], e.prefix)
	case "psubscribe", "punsubscribe":
		return e.confirmation(dst, head, parts[:n], e.escaped)
	}
	return dst
}

// message shows [kind, (pattern,) channel, payload], whose channel is parts[at].
func (e *pushEditor) message(dst, head []byte, parts [][]byte, at int) []byte {
	if len(parts) != at+2 {
		return dst
	}
	upstream, _ := resp.Bulk(parts[at])
	channel, ok := bareTopic(upstream, e.prefix)
	if !ok {
		return dst
	}
	payload := parts[at+1]
	if bytes.Equal(upstream, invalidations) {
		keys, any := e.keys(payload)
		if !any {
			return dst
		}
		payload = keys
	}
	if bytes.HasPrefix(upstream, keyevent) {
		key, _ := resp.Bulk(payload)
		bare, mine := bytes.CutPrefix(key, e.prefix)
		if !mine {
			return dst
		}
		payload = redcon.AppendBulk(nil, bare)
	}
	dst = append(append(dst, head...), parts[0]...)
	if at == 2 {
		pattern, _ := resp.Bulk(parts[1])
		bare, ok := bareTopic(pattern, e.escaped)
		if !ok {
			bare = nil
		}
		dst = redcon.AppendBulk(dst, bare)
	}
	return append(redcon.AppendBulk(dst, channel), payload...)
}

// confirmation shows [kind, name, count]; the name is null when there was nothing to unsubscribe.
func (e *pushEditor) confirmation(dst, head []byte, parts [][]byte, prefix []byte) []byte {
	dst = append(append(dst, head...), parts[0]...)
	if name, ok := resp.Bulk(parts[1]); ok {
		bare, _ := bareTopic(name, prefix)
		dst = redcon.AppendBulk(dst, bare)
	} else {
		dst = append(dst, parts[1]...)
	}
	for _, part := range parts[2:] {
		dst = append(dst, part...)
	}
	return dst
}

// invalidate shows ["invalidate", keys].
func (e *pushEditor) invalidate(dst, head []byte, parts [][]byte) []byte {
	keys, any := e.keys(parts[1])
	if !any {
		return dst
	}
	return append(append(append(dst, head...), parts[0]...), keys...)
}

// keys returns the tenant's of the keys in an invalidation, and whether there are any; null instead of keys means all of them.
func (e *pushEditor) keys(list []byte) (mine []byte, any bool) {
	if isNull(list) {
		return list, true
	}
	var keys []byte
	n := 0
	for elem := range elems(list) {
		key, _ := resp.Bulk(elem)
		if bare, mine := bytes.CutPrefix(key, e.prefix); mine {
			keys = redcon.AppendBulk(keys, bare)
			n++
		}
	}
	return append(redcon.AppendArray(nil, n), keys...), n > 0
}
