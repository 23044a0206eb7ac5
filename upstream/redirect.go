package upstream

import (
	"bytes"
	"context"
	"strconv"
)

// The kinds of redirect.
const (
	kindMoved = iota + 1 // the slot is at another node
	kindAsk              // the slot is moving: this key is at the other node, if anywhere
	kindWait             // the slot is moving, or has no node: later
)

// redirect is an error with which a node of a cluster says that it has not run a command.
type redirect struct {
	kind int
	slot int    // of MOVED and ASK
	addr []byte // of the node that has it, as announced; nil: none is named
}

// redirection reads such an error. A node writes it exactly so; a script's own text mostly differs.
func redirection(reply []byte) (r redirect, ok bool) {
	if len(reply) == 0 || reply[0] != '-' {
		return r, false
	}
	line, found := bytes.CutSuffix(reply[1:], []byte("\r\n"))
	if !found {
		return r, false
	}
	word, rest, _ := bytes.Cut(line, []byte(" "))
	switch string(word) {
	case "MOVED":
		r.kind = kindMoved
	case "ASK":
		r.kind = kindAsk
	case "TRYAGAIN", "CLUSTERDOWN":
		return redirect{kind: kindWait}, true
	default:
		return r, false
	}
	slot, addr, _ := bytes.Cut(rest, []byte(" "))
	n, err := strconv.Atoi(string(slot))
	if err != nil || n < 0 || n >= Slots || len(addr) == 0 || bytes.IndexByte(addr, ' ') >= 0 {
		return r, false
	}
	r.slot, r.addr = n, addr
	return r, true
}

// Redirect reads the reply to a command that was sent on a dedicated connection to a node: does it say that another node is to be
// asked? Then that is to, in a transaction from its beginning; ask says that what is sent there has to begin with ASKING.
// p is the node's Pool, or the sharded one. Slots that have moved are noted.
func (p *Pool) Redirect(reply []byte) (to *Pool, ask, ok bool) {
	c, asked := p.member, p
	if c == nil {
		c, asked = p.cluster, nil
	}
	r, is := redirection(reply)
	if c == nil || !is || r.addr == nil {
		return nil, false, false
	}
	if t := c.topo.Load(); asked == nil && t != nil {
		asked = t.masterOf(r.slot)
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.opt.ReadTimeout)
	defer cancel()
	to = c.target(ctx, string(r.addr), asked)
	if to == nil {
		return nil, false, false
	}
	if r.kind == kindMoved {
		c.moved(r.slot, to)
		c.want(to)
	}
	return to, r.kind == kindAsk, true
}

var execAbort = []byte("-EXECABORT ")

// refusal reads the replies to a unit for why nothing of it has run: the only command's error; or, of a transaction, that of EXEC
// when it says so itself, or one while it was queued up, after which EXEC has refused.
func refusal(replies []Reply) (r redirect, ok bool) {
	n := len(replies) - 1
	switch {
	case n < 0:
		return r, false
	case n == 0:
		return redirection(replies[0].Raw)
	case !queuedUp(replies[1:n]):
		return r, false // it is no transaction
	}
	last := replies[n].Raw
	if r, ok = redirection(last); ok || !bytes.HasPrefix(last, execAbort) {
		return r, ok
	}
	for i := range replies {
		if r, ok = redirection(replies[i].Raw); ok {
			return r, true
		}
	}
	return r, false
}

var queuedReply = []byte("+QUEUED\r\n")

// queuedUp reports whether the replies are those to commands of a transaction, of which there are any.
func queuedUp(replies []Reply) bool {
	for i := range replies {
		if raw := replies[i].Raw; !bytes.Equal(raw, queuedReply) && (len(raw) == 0 || raw[0] != '-') {
			return false
		}
	}
	return len(replies) > 0
}
