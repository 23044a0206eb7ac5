package proxy

import (
	"bytes"
	"context"
	"fmt"

	"sessiongate/resp"
)

// infoOfNodes answers INFO with what one node says of itself, but for the keyspace section: that is about the keys of all.
func (s *Session) infoOfNodes(ctx context.Context, c cmd) {
	if s.asksKeyspace(c) {
		s.infoKeyspace(ctx, c)
		return
	}
	reply, _ := s.onNode(ctx, s.pool().Masters()[0], c)
	text, _ := resp.Bulk(reply)
	if len(s.policy.Prefix()) > 0 || !bytes.Contains(text, keyspaceHead) {
		s.reply(reply)
		return
	}
	text = withoutDatabases(bytes.Clone(text))
	line, err := s.keyspaceOfNodes(ctx)
	if err != nil {
		s.fail(err)
		return
	}
	s.reply(s.appendText(nil, bytes.Replace(text, keyspaceHead, append(bytes.Clone(keyspaceHead), line...), 1)))
}

// keyspaceOfNodes is the line on a cluster's only database, with the sums over its nodes; empty if it holds nothing.
func (s *Session) keyspaceOfNodes(ctx context.Context) ([]byte, error) {
	var keys, expires, ttl int64
	for _, node := range s.pool().Masters() {
		raws, err := s.askNode(ctx, node, keyspaceWords)
		if err != nil {
			return nil, err
		}
		text, _ := resp.Bulk(raws[0])
		if _, line, found := bytes.Cut(text, keyspaceHead); found {
			var k, e, t int64
			_, _ = fmt.Sscanf(string(line), "db0:keys=%d,expires=%d,avg_ttl=%d", &k, &e, &t)
			keys, expires, ttl = keys+k, expires+e, ttl+e*t
		}
	}
	if keys == 0 {
		return nil, nil
	}
	return fmt.Appendf(nil, "db0:keys=%d,expires=%d,avg_ttl=%d\r\n", keys, expires, ttl/max(expires, 1)), nil
}

// mode says in INFO what clients are to take the upstream for: a cluster when it is shown as one, else one server.
func (s *Session) mode(info []byte) []byte {
	enabled, mode := "cluster_enabled:0", "redis_mode:standalone"
	if s.srv.cfg.Facade {
		enabled, mode = "cluster_enabled:1", "redis_mode:cluster"
	}
	for _, each := range [...]struct{ field, now string }{{"cluster_enabled:", enabled}, {"redis_mode:", mode}} {
		before, rest, found := bytes.Cut(info, []byte(each.field))
		if !found {
			continue
		}
		_, after, _ := bytes.Cut(rest, []byte("\r\n"))
		info = append(append(append(bytes.Clone(before), each.now...), "\r\n"...), after...)
	}
	return info
}
