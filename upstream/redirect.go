package upstream

import (
	"bytes"
	"context"
	"slices"
	"strconv"

	"github.com/tidwall/redcon"
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
	down bool   // the cluster is, or nobody has the slot
	addr []byte // of the node that has it, as announced; nil: none is named
}

// waits are the texts with which Redis, from 7.0 on, says that a command has to wait.
var waits = []string{
	"TRYAGAIN Multiple keys request during rehashing of slot",
	"CLUSTERDOWN Hash slot not served",
	"CLUSTERDOWN The cluster is down",
	"CLUSTERDOWN The cluster is down and only accepts read commands",
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
		return redirect{kind: kindWait, down: word[0] == 'C'}, slices.Contains(waits, string(line))
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
// p is the node's Pool, or the sharded one. Slots that have moved are noted, so the reply must be no
// script's, which may say anything: for those there is IsRedirect.
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

// IsRedirect reports whether the reply names another node of a cluster, or looks like it.
func IsRedirect(reply []byte) bool {
	r, is := redirection(reply)
	return is && r.addr != nil
}

// unready reports whether a reply says that its node can't read yet: it has nothing, or nothing that is true, and has run nothing.
func unready(reply []byte) bool {
	return bytes.HasPrefix(reply, loading) || bytes.HasPrefix(reply, masterDown)
}

var loading, masterDown = []byte("-LOADING "), []byte("-MASTERDOWN ")

var execAbort = []byte("-EXECABORT ")

// refused finds in the replies to a unit what has not run, which is replies[from:to], and why. Of a transaction, in which all or
// nothing runs, that is known when EXEC says so itself, or when it has refused after an error while commands were queued up. Commands
// outside of one each speak for themselves.
func refused(replies []Reply) (r redirect, from, to int, ok bool) {
	n := len(replies) - 1
	for from = range replies {
		if r, ok = redirection(replies[from].Raw); ok {
			break
		}
	}
	switch {
	case !ok:
		return r, 0, 0, false
	case n > 0 && bytes.HasPrefix(replies[n].Raw, execAbort), from == n && n > 1 && queuedUp(replies[1:n]):
		return r, 0, n + 1, true
	}
	for to = from + 1; to <= n; to++ {
		if _, is := redirection(replies[to].Raw); !is {
			break
		}
	}
	return r, from, to, true
}

// multi is the name of the command that begins a transaction, which can't be sent again in part.
var multi = []byte("multi")

// inPart reports whether part of a unit can be sent again.
func inPart(unit []byte) bool {
	_, args, _, _, _ := redcon.ReadNextCommand(unit, nil)
	return len(args) > 0 && !bytes.EqualFold(args[0], multi)
}

var queuedReply = []byte("+QUEUED\r\n")

// queuedUp reports whether the replies are those to commands of a transaction.
func queuedUp(replies []Reply) bool {
	return !slices.ContainsFunc(replies, func(r Reply) bool { return !bytes.Equal(r.Raw, queuedReply) })
}
