package proxy

import (
	"bytes"
	"cmp"
	"context"
	"math/rand/v2"
	"slices"

	"github.com/tidwall/redcon"

	"sessiongate/command"
	"sessiongate/resp"
	"sessiongate/upstream"
)

// In front of a cluster, what is about a whole server is about all nodes that have keys: it is carried out by each of them, and their
// replies become one. What the nodes agree on anyway (FUNCTION LIST) any of them is asked.

// spread has the handlers of commands that go to every node, by row of the table.
var spread []handler

func init() { // not above, since the handlers look at it
	byName := map[string]handler{
		"CONFIG RESETSTAT":     onEveryNode(agreed),
		"CONFIG REWRITE":       onEveryNode(agreed),
		"CONFIG SET":           onEveryNode(agreed),
		"DBSIZE":               onEveryNode(summed),
		"FLUSHALL":             onEveryNode(agreed),
		"FLUSHDB":              onEveryNode(agreed),
		"FUNCTION DELETE":      onEveryNode(agreed),
		"FUNCTION FLUSH":       onEveryNode(agreed),
		"FUNCTION KILL":        (*Session).onAnyNode,
		"FUNCTION LOAD":        onEveryNode(agreed),
		"FUNCTION RESTORE":     onEveryNode(agreed),
		"INFO":                 (*Session).infoOfNodes,
		"KEYS":                 onEveryNode(listed),
		"PUBSUB CHANNELS":      onEveryNode(listedOnce),
		"PUBSUB NUMPAT":        onEveryNode(summed),
		"PUBSUB NUMSUB":        onEveryNode(countsSummed),
		"PUBSUB SHARDCHANNELS": onEveryNode(listedOnce),
		"PUBSUB SHARDNUMSUB":   onEveryNode(countsSummed),
		"RANDOMKEY":            (*Session).randomKeyOfNodes,
		"SCAN":                 (*Session).scanNodes,
		"SCRIPT EXISTS":        onEveryNode(everywhere),
		"SCRIPT FLUSH":         onEveryNode(agreed),
		"SCRIPT KILL":          (*Session).onAnyNode,
		"SCRIPT LOAD":          onEveryNode(agreed),
		"SLOWLOG GET":          (*Session).slowLogOfNodes,
		"SLOWLOG LEN":          onEveryNode(summed),
		"SLOWLOG RESET":        onEveryNode(agreed),
	}
	for _, spec := range command.All() { // clients see no cluster, or ours
		if spec.IsOf(clusterWord) {
			byName[spec.Name] = (*Session).noCluster
		}
	}
	spread = handlers(byName)
}

// clusterWord is the container of what is about clusters.
const clusterWord = "CLUSTER"

// spreads returns the handler of a command that is about more than one node, or that shows the proxy as a cluster; nil for any other.
func (s *Session) spreads(c cmd) handler {
	spec := c.spec
	switch {
	case s.srv == nil:
		return nil
	case s.srv.cfg.Facade && facade[spec.ID] != nil:
		return facade[spec.ID]
	case !s.sharded, s.composes(spec) != nil, !s.policy.Transparent() && !s.policy.Governs(spec):
		return nil
	case s.tx.open && wholeInTx[spec.ID] && s.slotOf(c) >= 0: // one node can answer
		return nil
	}
	return spread[spec.ID]
}

// leavesCluster reports whether a command leaves the line because the upstream is a cluster, or is shown as one: to go
// elsewhere, or to be told that subscribers don't send such.
func (s *Session) leavesCluster(c cmd) bool {
	return s.tx.afloat() || c.spec != nil && (s.ears != nil && s.proto == 2 && s.subscribed() || s.spreads(c) != nil)
}

// merger makes one reply of those of all nodes, none of which is an error.
type merger func(s *Session, replies [][]byte) []byte

// onEveryNode is the handler of a command that each node carries out. An error of one of them is the reply: it may have been
// carried out by others.
func onEveryNode(merge merger) handler {
	return func(s *Session, ctx context.Context, c cmd) {
		s.reply(s.merged(s.onNodes(ctx, c), merge))
	}
}

// onNodes has each node carry out the command, one after the other, and returns what a client would see of their replies.
func (s *Session) onNodes(ctx context.Context, c cmd) (replies [][]byte) {
	for _, node := range s.pool().Masters() {
		reply, refused := s.onNode(ctx, node, c)
		replies = append(replies, reply)
		if refused || s.gone(ctx) {
			break
		}
	}
	return replies
}

// onNode has one node carry out the command. What rules refuse, they refuse for all nodes.
func (s *Session) onNode(ctx context.Context, node *upstream.Pool, c cmd) (reply []byte, refused bool) {
	mute := s.mute
	s.mute = muting{}
	defer func() { s.mute = mute }()
	defer s.turnTo(node)()
	s.begin()
	s.rule(c)
	if refused = s.slots[0].text; !refused {
		s.forward(ctx)
	}
	return s.replyOf(nil, &s.slots[0]), refused
}

func (s *Session) merged(replies [][]byte, merge merger) []byte {
	if i := slices.IndexFunc(replies, isError); i >= 0 {
		return failedPart(replies, i)
	}
	return merge(s, replies)
}

// agreed is any of the replies: they are the same.
func agreed(_ *Session, replies [][]byte) []byte { return replies[0] }

func summed(_ *Session, replies [][]byte) []byte {
	total := int64(0)
	for _, reply := range replies {
		n, _ := resp.Int(reply)
		total += n
	}
	return redcon.AppendInt(nil, total)
}

// listed is all that any of the replies lists.
func listed(_ *Session, replies [][]byte) []byte {
	var all []byte
	n := 0
	for _, reply := range replies {
		for elem := range elems(reply) {
			all = append(all, elem...)
			n++
		}
	}
	return append(resp.AppendArrayHeader(nil, n), all...)
}

// listedOnce is listed without what has been listed.
func listedOnce(_ *Session, replies [][]byte) []byte {
	var all []byte
	seen := map[string]struct{}{}
	for _, reply := range replies {
		for elem := range elems(reply) {
			if _, twice := seen[string(elem)]; !twice {
				seen[string(elem)] = struct{}{}
				all = append(all, elem...)
			}
		}
	}
	return append(resp.AppendArrayHeader(nil, len(seen)), all...)
}

// columns calls f for each element of the first reply with all that stand at its place.
func columns(replies [][]byte, f func(i int, column [][]byte)) (n int) {
	cursors := make([]resp.Cursor, len(replies))
	for i, reply := range replies {
		cursors[i], _ = resp.Elements(reply)
	}
	column := make([][]byte, len(replies))
	for ; ; n++ {
		for i := range cursors {
			elem, ok := cursors[i].Next()
			if !ok {
				return n
			}
			column[i] = elem
		}
		f(n, column)
	}
}

// countsSummed adds the counts in [name, count, ...].
func countsSummed(s *Session, replies [][]byte) []byte {
	var all []byte
	n := columns(replies, func(i int, column [][]byte) {
		if i%2 == 0 {
			all = append(all, column[0]...)
		} else {
			all = append(all, summed(s, column)...)
		}
	})
	head, _ := header(replies[0])
	if n == 0 {
		return replies[0]
	}
	return append(bytes.Clone(head), all...)
}

// everywhere says of each element whether it is 1 in all replies.
func everywhere(_ *Session, replies [][]byte) []byte {
	var all []byte
	n := columns(replies, func(_ int, column [][]byte) {
		least := int64(1)
		for _, elem := range column {
			n, _ := resp.Int(elem)
			least = min(least, n)
		}
		all = redcon.AppendInt(all, least)
	})
	return append(resp.AppendArrayHeader(nil, n), all...)
}

// onAnyNode is the handler of a command that has done what it should when any node could.
func (s *Session) onAnyNode(ctx context.Context, c cmd) {
	replies := s.onNodes(ctx, c)
	done := slices.IndexFunc(replies, func(reply []byte) bool { return !isError(reply) })
	if done < 0 {
		s.reply(failedPart(replies, 0))
		return
	}
	s.reply(replies[done])
}

// weighted chooses a node by how many keys it has; nil: none has any.
func (s *Session) weighted(ctx context.Context) (*upstream.Pool, error) {
	nodes := s.pool().Masters()
	sizes := make([]int64, len(nodes))
	total := int64(0)
	for i, node := range nodes {
		raws, err := s.askNode(ctx, node, []string{"DBSIZE"})
		if err != nil {
			return nil, err
		}
		sizes[i], _ = resp.Int(raws[0])
		total += sizes[i]
	}
	if total == 0 {
		return nil, nil
	}
	at := rand.Int64N(total)
	for i, size := range sizes {
		if at -= size; at < 0 {
			return nodes[i], nil
		}
	}
	return nil, nil
}

// askNode is ask for one node.
func (s *Session) askNode(ctx context.Context, node *upstream.Pool, cmds ...[]string) ([][]byte, error) {
	defer s.turnTo(node)()
	return s.ask(ctx, cmds...)
}

// turnTo has what is asked go to that node, until what it returns is called.
func (s *Session) turnTo(node *upstream.Pool) (back func()) {
	fixed, link := s.fixed, s.link
	s.fixed = node.Link(s.proto, s.db)
	return func() { s.fixed, s.link = fixed, link }
}

// askEach sends a command for each of the keys, which have the namespace, to where that is.
func (s *Session) askEach(ctx context.Context, word string, keys []string) ([][]byte, error) {
	if !s.sharded {
		cmds := make([][]string, len(keys))
		for i, key := range keys {
			cmds[i] = []string{word, key}
		}
		return s.ask(ctx, cmds...)
	}
	defer s.turnTo(s.pool())()
	s.begin()
	for _, key := range keys {
		s.batch.Req = appendCommand(s.batch.Req, []string{word, key})
		s.batch.Count++
		s.unit(upstream.Slot(nil, []byte(key)))
	}
	return s.answers(ctx)
}

// randomKeyOfNodes draws a key, each as likely as if they were on one server.
func (s *Session) randomKeyOfNodes(ctx context.Context, c cmd) {
	node, err := s.weighted(ctx)
	switch {
	case err != nil:
		s.fail(err)
	case node == nil:
		s.null()
	default:
		reply, _ := s.onNode(ctx, node, c)
		s.reply(reply)
	}
}

// slowLogOfNodes shows the entries of all nodes, the latest first: SLOWLOG GET [count]. Ids are each node's own.
func (s *Session) slowLogOfNodes(ctx context.Context, c cmd) {
	replies := s.onNodes(ctx, c)
	count := int64(slowDefault)
	if len(c.args) > 2 {
		count, _ = resp.ParseInt(c.args[2])
	}
	s.reply(s.merged(replies, func(*Session, [][]byte) []byte {
		var entries [][]byte
		for _, reply := range replies {
			for elem := range elems(reply) {
				entries = append(entries, elem)
			}
		}
		return latest(entries, count)
	}))
}

// latest lists entries of slow logs, at most so many unless that is negative, the latest first.
func latest(entries [][]byte, count int64) []byte {
	sortSlow(entries)
	if count >= 0 && count < int64(len(entries)) {
		entries = entries[:count]
	}
	text := resp.AppendArrayHeader(nil, len(entries))
	for _, entry := range entries {
		text = append(text, entry...)
	}
	return text
}

// sortSlow sorts entries of slow logs, the latest first: [id, Unix time, ...].
func sortSlow(entries [][]byte) {
	at := func(entry []byte) (seconds int64) {
		i := 0
		for elem := range elems(entry) {
			if i == 1 {
				seconds, _ = resp.Int(elem)
				break
			}
			i++
		}
		return seconds
	}
	slices.SortStableFunc(entries, func(a, b []byte) int { return cmp.Compare(at(b), at(a)) })
}
