package proxy

import (
	"bytes"
	"context"
	"strings"

	"github.com/tidwall/redcon"

	"sessiongate/command"
	"sessiongate/resp"
	"sessiongate/upstream"
)

// The verbs of sharded channels.
var (
	ssubscribe   = []byte("SSUBSCRIBE")
	sunsubscribe = command.ByName("SUNSUBSCRIBE")
)

// shardSet is the set of the sharded channels that a client subscribes to.
const shardSet = "shards"

// subscribeOnNodes is subscribe in front of a cluster. What it confirms is counted here: each node knows a part of it.
func (s *Session) subscribeOnNodes(ctx context.Context, c cmd) {
	s.begin()
	if s.placeOne(c); s.slots[0].text {
		s.edit()
		return
	}
	verb := subscriptions[c.spec.Name]
	if s.ears == nil {
		s.openEars()
	}
	e := s.ears
	e.mouth.hold()
	defer e.mouth.release()
	names := c.args[1:]
	if verb.off && len(names) == 0 {
		names = nil // not in the reader's array
		for name := range e.topics.sets[verb.set] {
			names = append(names, []byte(name))
		}
	}
	err := s.tellNodes(ctx, c, verb, names)
	if err != nil {
		s.quit = len(names) > 1 && len(e.all) > 1 // nobody knows what it hears now
		if text := err.Error(); isRedisError(text) {
			s.say(text)
		} else {
			s.quit = true
			s.unavailable(err)
		}
		if e.topics.none() {
			s.deafen()
		}
		return
	}
	s.confirm(c, verb, names)
	if e.topics.none() {
		s.deafen()
	}
	s.describe()
	_ = s.flush() // before what the ears have heard; an error comes up again at the end
}

// openEars gives the client its ears, whose home is one of the nodes: sessions are spread over them.
func (s *Session) openEars() {
	nodes := s.pool().Masters()
	s.ears = &ears{all: map[*upstream.Pool]*ear{}, shards: map[string]*upstream.Pool{}, home: nodes[int(s.id)%len(nodes)]}
	s.ears.mouth.Conn, s.ears.mouth.writing, s.ears.mouth.most = s.conn, &s.heard, s.srv.cfg.Output
}

// isRedisError reports whether a text is an error of Redis's: its first word is in capitals.
func isRedisError(text string) bool {
	word, _, _ := strings.Cut(text, " ")
	return word == strings.ToUpper(word)
}

// tellNodes has each node know which of the names it has to tell of, or no longer.
func (s *Session) tellNodes(ctx context.Context, c cmd, verb subscriptionVerb, names [][]byte) error {
	prefix, kind := s.policy.Prefix(), command.Channel
	if verb.set == patternSet {
		kind = command.ChannelGlob
	}
	args := map[*upstream.Pool][][]byte{}
	for _, name := range names {
		name = topic(name, prefix, kind)
		for _, node := range s.hearsOn(verb, name) {
			if verb.off && s.ears.all[node] == nil {
				continue
			}
			if args[node] == nil {
				args[node] = [][]byte{c.args[0]}
			}
			args[node] = append(args[node], name)
			if verb.set == shardSet {
				if s.ears.shards[string(name)] = node; verb.off {
					delete(s.ears.shards, string(name))
				}
			}
		}
	}
	for node, words := range args {
		if verb.set == shardSet {
			if err := s.tellShards(ctx, node, words); err != nil {
				return err
			}
			continue
		}
		each, err := s.ear(ctx, node)
		if err == nil {
			err = each.tell(ctx, s.pool().ReadTimeout(), words)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tellShards tells a node of sharded channels one by one: it refuses several of different slots in one command.
func (s *Session) tellShards(ctx context.Context, node *upstream.Pool, words [][]byte) error {
	for _, name := range words[1:] {
		if err := s.tellShard(ctx, node, words[0], name); err != nil {
			return err
		}
	}
	return nil
}

// tellShard tells a node of a sharded channel, or the node that it names instead.
func (s *Session) tellShard(ctx context.Context, node *upstream.Pool, verb, name []byte) error {
	for try := 0; ; try++ {
		each, err := s.ear(ctx, node)
		if upstream.Elsewhere(err) && try < moveTries {
			node = s.node(upstream.Slot(nil, name))
			continue
		}
		if err != nil {
			return err
		}
		err = each.tell(ctx, s.pool().ReadTimeout(), [][]byte{verb, name})
		if err == nil {
			if s.ears.shards[string(name)] != nil {
				s.ears.shards[string(name)] = node
			}
			return nil
		}
		to, _, moved := s.pool().Redirect([]byte("-" + err.Error() + "\r\n"))
		if !moved || try == moveTries {
			return err
		}
		node = to
	}
}

// hearsOn are the nodes that tell of an upstream's name.
func (s *Session) hearsOn(verb subscriptionVerb, name []byte) []*upstream.Pool {
	e := s.ears
	switch {
	case verb.set == shardSet:
		if node := e.shards[string(name)]; node != nil {
			return []*upstream.Pool{node}
		}
		return []*upstream.Pool{s.node(upstream.Slot(nil, name))}
	case mayNotify(name, verb.set == patternSet):
		e.known = s.pool().Masters()
		if verb.off {
			nodes := make([]*upstream.Pool, 0, len(e.all))
			for node := range e.all {
				nodes = append(nodes, node)
			}
			return nodes
		}
		nodes := []*upstream.Pool{e.home}
		for _, node := range e.known {
			if node != e.home {
				nodes = append(nodes, node)
			}
		}
		return nodes
	}
	return []*upstream.Pool{e.home}
}

// mayNotify reports whether a channel is one of keyspace notifications, or a pattern may match one.
func mayNotify(name []byte, isPattern bool) bool {
	if !isPattern {
		return isNotification(name)
	}
	for _, kind := range [...][]byte{keyspace, keyevent} {
		plain := bytes.IndexFunc(name, func(c rune) bool { return c < 128 && isGlob(byte(c)) })
		if plain < 0 {
			plain = len(name)
		}
		n := min(plain, len(kind))
		if bytes.Equal(name[:n], kind[:n]) && (n == len(kind) || plain < len(name)) {
			return true
		}
	}
	return false
}

// confirm answers for each name as Redis does, with how many the client has subscribed to by then.
func (s *Session) confirm(c cmd, verb subscriptionVerb, names [][]byte) {
	kind := strings.ToLower(c.spec.Name)
	t := &s.ears.topics
	for _, name := range names {
		t.change(cmd{spec: c.spec, args: [][]byte{c.args[0], name}}, &s.tenant.live.globs)
		s.out = redcon.AppendBulk(s.appendConfirmation(kind), name)
		s.out = redcon.AppendInt(s.out, t.counted(verb.set))
	}
	if len(names) == 0 {
		s.out = s.appendNull(s.appendConfirmation(kind))
		s.out = redcon.AppendInt(s.out, t.counted(verb.set))
	}
}

func (s *Session) appendConfirmation(kind string) []byte {
	return redcon.AppendBulkString(resp.AppendPushHeader(s.out, s.proto, 3), kind)
}

// counted is the count in a confirmation: of sharded channels, or of channels and patterns.
func (t *topics) counted(set string) int64 {
	if set == shardSet {
		return int64(len(t.sets[set]))
	}
	channels, patterns := t.count()
	return int64(channels + patterns)
}

// hearAgain subscribes to a sharded channel where its slot is now.
func (s *Session) hearAgain(ctx context.Context, name string) error {
	if s.ears.shards[name] == nil {
		return nil
	}
	return s.tellShard(ctx, s.node(upstream.Slot(nil, []byte(name))), ssubscribe, []byte(name))
}

// hearNewcomers subscribes to keyspace notifications on nodes that have come since.
func (s *Session) hearNewcomers(ctx context.Context) error {
	e := s.ears
	e.mouth.hold()
	defer e.mouth.release()
	for _, each := range [...]struct {
		set  string
		verb []byte
		kind command.Kind
	}{{"channels", []byte("SUBSCRIBE"), command.Channel}, {patternSet, []byte("PSUBSCRIBE"), command.ChannelGlob}} {
		for name := range e.topics.sets[each.set] {
			up := topic([]byte(name), s.policy.Prefix(), each.kind)
			if !mayNotify(up, each.set == patternSet) {
				continue
			}
			for _, node := range s.pool().Masters() {
				ear, err := s.ear(ctx, node)
				if err == nil {
					err = ear.tell(ctx, s.pool().ReadTimeout(), [][]byte{each.verb, up})
				}
				if err != nil {
					return err
				}
			}
		}
	}
	e.known = s.pool().Masters()
	return nil
}
