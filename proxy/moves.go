package proxy

import (
	"context"

	"sessiongate/command"
	"sessiongate/upstream"
)

// What a node of a cluster says about other nodes never reaches the client, which knows of none.

// errMoving answers a command of a transaction, or a WATCH, that met a slot on its way to another node. Drivers know TRYAGAIN: the client
// is to begin again.
const errMoving = "-TRYAGAIN the keys' hash slot is moving to another node of the cluster; begin again\r\n"

// errUnsure answers a script whose reply names another node, which no node has confirmed: it may be the script's own words.
const errUnsure = "-ERR the script's reply names another node of the cluster, which does not confirm it; the script may or may not have run\r\n"

// moveTries is how often a command that has not run is sent to the node that a node names, at most. More than two are a cluster that
// does not agree on who has the slot.
const moveTries = 8

// afterExchange looks at replies from a cluster: at those on the client's own connection, which nobody else has followed, and at
// those to commands of ours, which all go to one node.
func (s *Session) afterExchange() error {
	if s.own != nil && s.link == upstream.Link(s.own) {
		s.hideMoves()
		return nil
	}
	if len(s.batch.Units) == 0 && len(s.batch.Replies) > 0 {
		return s.batch.Replies[0].Err
	}
	return nil
}

// hideMoves puts an answer that a client of one server understands in the place of one that names another node. These are replies on a
// connection of the client's own, outside of EXEC's array, where scripts don't answer: the pool learns of that node.
func (s *Session) hideMoves() {
	for i := range s.batch.Replies {
		r := &s.batch.Replies[i]
		if upstream.IsRedirect(r.Raw) {
			s.pool().Redirect(r.Raw)
			r.Raw = []byte(errMoving)
		}
	}
}

// hidden is the reply that a client sees instead of one that names another node. Nothing is learned from it: its link has done that.
func (s *Session) hidden(raw []byte) []byte {
	if upstream.IsRedirect(raw) {
		return []byte(errMoving)
	}
	return raw
}

// hiddenOf is hidden for a command's reply. A script that has run must not be taken for one that is to be sent again, and nobody learns
// of nodes from scripts.
func (s *Session) hiddenOf(spec *command.Spec, raw []byte) []byte {
	switch {
	case spec == nil || spec.Flags&command.Script == 0:
		return s.hidden(raw)
	case upstream.IsRedirect(raw):
		return []byte(errUnsure)
	}
	return raw
}

// node is the pool of the node that has the slot; of one of a cluster's, where that is any.
func (s *Session) node(slot int) *upstream.Pool {
	pool := s.pool()
	if slot >= 0 && pool.Sharded() {
		return pool.NodeOf(slot)
	}
	return pool
}

// ownedAt is owned, on the node that has the slot. One that is there already may be on another.
func (s *Session) ownedAt(ctx context.Context, slot int) (*own, error) {
	o, err := s.onOwner(ctx, slot, s.ownedOn)
	if err == nil && s.own != nil && o.slot == upstream.NoSlot {
		o.slot = slot
	}
	return o, err
}

// onOwner gets a connection to the node that has the slot, or to the one that takes over while it waits for that.
func (s *Session) onOwner(ctx context.Context, slot int, get func(context.Context, *upstream.Pool) (*own, error)) (*own, error) {
	for try := 0; ; try++ {
		o, err := get(ctx, s.node(slot))
		if !upstream.Elsewhere(err) || slot < 0 || try == moveTries {
			return o, err
		}
	}
}

// ownedOn is owned, on that node.
func (s *Session) ownedOn(ctx context.Context, node *upstream.Pool) (*own, error) {
	if s.own != nil {
		return s.own, nil
	}
	conn, err := node.Dedicated(ctx, s.proto, s.db)
	if err != nil {
		return nil, err
	}
	s.own = &own{conn: conn, node: node, slot: upstream.NoSlot, timeout: s.pool().ReadTimeout()}
	s.link = s.own
	return s.own, nil
}
