package proxy

import (
	"context"
	"strconv"

	"github.com/tidwall/redcon"

	"sessiongate/resp"
	"sessiongate/upstream"
)

// SCAN of a cluster walks through one node after the other. Its cursor is one number, as clients know it: the node's own cursor, which
// node that is, and how the slots were shared out when it was given. When they are shared out otherwise by the next call, the walk
// starts again, since a slot may have gone from a node that was still to come to one that was done: keys may be shown twice, as SCAN
// may always, but none that was there all the time is left out. Of a slot that is on its way just then, that can't be told.
const (
	cursorNode  = 9  // bits of the node's number
	cursorShare = 12 // bits of the fingerprint of how slots are shared out
	cursorOwn   = 42 // bits of the node's own cursor, which is below the size of its table. All together are below 2^63
)

const errCursor = "ERR invalid cursor"

// cursor is where a walk through a cluster is.
type cursor struct {
	own   uint64
	node  int
	share uint64
}

func (c cursor) pack() uint64 {
	return c.own<<(cursorNode+cursorShare) | uint64(c.node)<<cursorShare | c.share
}

func unpackCursor(n uint64) cursor {
	return cursor{
		own:   n >> (cursorNode + cursorShare),
		node:  int(n >> cursorShare & (1<<cursorNode - 1)),
		share: n & (1<<cursorShare - 1),
	}
}

// shareOut is what a cursor keeps of the fingerprint of which node has which slots.
func shareOut(pool *upstream.Pool) uint64 {
	n := pool.Share()
	return (n ^ n>>cursorShare ^ n>>(2*cursorShare)) & (1<<cursorShare - 1)
}

// scanNodes runs one step of SCAN cursor [MATCH pattern] [COUNT count] [TYPE type].
func (s *Session) scanNodes(ctx context.Context, c cmd) {
	at, err := strconv.ParseUint(string(c.args[1]), 10, 64)
	if err != nil {
		s.say(errCursor)
		return
	}
	nodes, now := s.pool().Masters(), cursor{share: shareOut(s.pool())}
	if from := unpackCursor(at); at != 0 && from.share == now.share && from.node < len(nodes) {
		now = from
	}
	if len(nodes) == 0 || len(nodes) > 1<<cursorNode {
		s.say("ERR SCAN walks through 1 to 512 nodes, the cluster has " + strconv.Itoa(len(nodes)))
		return
	}
	step := c
	step.args, step.raw = append([][]byte(nil), c.args...), nil
	step.args[1] = strconv.AppendUint(nil, now.own, 10)
	reply, _ := s.onNode(ctx, nodes[now.node], step)
	if isError(reply) {
		s.reply(reply)
		return
	}
	text, err := editElems(nil, reply, func(dst, elem []byte, i int) ([]byte, error) {
		if i > 0 {
			return append(dst, elem...), nil
		}
		next, err := now.after(elem, len(nodes))
		return redcon.AppendBulk(dst, strconv.AppendUint(nil, next, 10)), err
	})
	if err != nil {
		s.say("ERR reply withheld: " + err.Error())
		return
	}
	s.reply(text)
}

// after is the client's next cursor when a node has answered with one of its own: 0 at the end of the last node.
func (c cursor) after(elem []byte, nodes int) (uint64, error) {
	text, _ := resp.Bulk(elem)
	own, err := strconv.ParseUint(string(text), 10, 64)
	switch {
	case err != nil || own >= 1<<cursorOwn:
		return 0, errShape
	case own != 0:
		c.own = own
	case c.node+1 == nodes:
		return 0, nil
	default:
		c.own, c.node = 0, c.node+1
	}
	return c.pack(), nil
}
