package proxy

import (
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/tidwall/redcon"

	"sessiongate/resp"
	"sessiongate/upstream"
)

// With cluster_facade clients see a cluster of one node that has all slots: the proxy. So clients that only speak to clusters work, over a
// single Redis as well as over a cluster.

// facade has the handlers of what such clients ask, by row of the table.
var facade []handler

func init() {
	facade = handlers(map[string]handler{
		"CLUSTER COUNTKEYSINSLOT": (*Session).clusterCountKeys,
		"CLUSTER GETKEYSINSLOT":   (*Session).clusterGetKeys,
		"CLUSTER INFO":            (*Session).clusterInfo,
		"CLUSTER KEYSLOT":         (*Session).clusterKeySlot,
		"CLUSTER LINKS":           (*Session).clusterNone,
		"CLUSTER MYID":            (*Session).clusterMyID,
		"CLUSTER MYSHARDID":       (*Session).clusterMyID,
		"CLUSTER NODES":           (*Session).clusterNodes,
		"CLUSTER REPLICAS":        (*Session).clusterNone,
		"CLUSTER SHARDS":          (*Session).clusterShards,
		"CLUSTER SLAVES":          (*Session).clusterNone,
		"CLUSTER SLOTS":           (*Session).clusterSlots,
	})
}

// errEnough ends a walk that has found what it looked for.
var errEnough = errors.New("enough")

const errSlot = "ERR Invalid or out of range slot"

// clusterOnly answers what clients of a cluster say to a node of one.
func (s *Session) clusterOnly(ctx context.Context, c cmd) {
	if s.srv.cfg.Facade {
		s.ok()
		return
	}
	s.noCluster(ctx, c)
}

// announced is the address of the node that clients see: where this one has connected to, unless another is configured.
func (s *Session) announced() (host string, port int64) {
	addr := s.srv.cfg.Announce
	if addr == "" {
		addr = s.conn.LocalAddr().String()
	}
	host, number, err := net.SplitHostPort(addr)
	if err != nil { // a UNIX socket
		return "", 0
	}
	port, _ = resp.ParseInt([]byte(number))
	return host, port
}

// nodeID is the node's id, the same in each proxy that is announced there.
func (s *Session) nodeID() string {
	host, port := s.announced()
	sum := sha1.Sum([]byte("sessiongate " + net.JoinHostPort(host, strconv.FormatInt(port, 10))))
	return hex.EncodeToString(sum[:])
}

func (s *Session) clusterMyID(context.Context, cmd) {
	s.reply(redcon.AppendBulkString(nil, s.nodeID()))
}

func (s *Session) clusterNone(context.Context, cmd) { s.reply(redcon.AppendArray(nil, 0)) }

func (s *Session) clusterKeySlot(_ context.Context, c cmd) {
	s.reply(redcon.AppendInt(nil, int64(upstream.Slot(nil, c.args[2]))))
}

// clusterSlots answers with one range: [0, 16383, [host, port, id, []]].
func (s *Session) clusterSlots(context.Context, cmd) {
	host, port := s.announced()
	text := redcon.AppendArray(redcon.AppendArray(nil, 1), 3)
	text = redcon.AppendInt(redcon.AppendInt(text, 0), upstream.Slots-1)
	text = redcon.AppendBulkString(redcon.AppendArray(text, 4), host)
	text = redcon.AppendBulkString(redcon.AppendInt(text, port), s.nodeID())
	s.reply(redcon.AppendArray(text, 0))
}

// clusterShards answers with one shard, of one node.
func (s *Session) clusterShards(context.Context, cmd) {
	host, port := s.announced()
	text := resp.AppendMapHeader(redcon.AppendArray(nil, 1), s.proto, 2)
	text = redcon.AppendArray(redcon.AppendBulkString(text, "slots"), 2)
	text = redcon.AppendInt(redcon.AppendInt(text, 0), upstream.Slots-1)
	text = redcon.AppendArray(redcon.AppendBulkString(text, "nodes"), 1)
	text = resp.AppendMapHeader(text, s.proto, 7)
	text = redcon.AppendBulkString(redcon.AppendBulkString(text, "id"), s.nodeID())
	text = redcon.AppendInt(redcon.AppendBulkString(text, s.portName()), port)
	text = redcon.AppendBulkString(redcon.AppendBulkString(text, "ip"), host)
	text = redcon.AppendBulkString(redcon.AppendBulkString(text, "endpoint"), host)
	text = redcon.AppendBulkString(redcon.AppendBulkString(text, "role"), "master")
	text = redcon.AppendInt(redcon.AppendBulkString(text, "replication-offset"), 0)
	s.reply(redcon.AppendBulkString(redcon.AppendBulkString(text, "health"), "online"))
}

// portName is what a port is called that speaks as this client's connection does.
func (s *Session) portName() string {
	if _, encrypted := s.conn.(*tls.Conn); encrypted {
		return "tls-port"
	}
	return "port"
}

// clusterNodes answers with one line: id host:port@bus flags master ping pong epoch state slots.
func (s *Session) clusterNodes(context.Context, cmd) {
	host, port := s.announced()
	text := fmt.Sprintf("%s %s:%d@%d myself,master - 0 0 1 connected 0-%d\n", s.nodeID(), host, port, port+10000, upstream.Slots-1)
	s.reply(s.appendText(nil, []byte(text)))
}

func (s *Session) clusterInfo(context.Context, cmd) {
	text := fmt.Sprintf("cluster_state:ok\r\ncluster_slots_assigned:%[1]d\r\ncluster_slots_ok:%[1]d\r\ncluster_slots_pfail:0\r\n"+
		"cluster_slots_fail:0\r\ncluster_known_nodes:1\r\ncluster_size:1\r\ncluster_current_epoch:1\r\ncluster_my_epoch:1\r\n"+
		"cluster_stats_messages_sent:0\r\ncluster_stats_messages_received:0\r\ntotal_cluster_links_buffer_limit_exceeded:0\r\n", upstream.Slots)
	s.reply(s.appendText(nil, []byte(text)))
}

// clusterCountKeys counts the client's keys in a slot: CLUSTER COUNTKEYSINSLOT slot. For that it walks through all of them.
func (s *Session) clusterCountKeys(ctx context.Context, c cmd) {
	n := 0
	if s.inSlot(ctx, c, func([]byte) bool { n++; return true }) {
		s.reply(redcon.AppendInt(nil, int64(n)))
	}
}

// clusterGetKeys lists them: CLUSTER GETKEYSINSLOT slot count.
func (s *Session) clusterGetKeys(ctx context.Context, c cmd) {
	most, ok := resp.ParseInt(c.args[3])
	if !ok || most < 0 {
		s.say("ERR Invalid number of keys")
		return
	}
	var text []byte
	n := int64(0)
	if s.inSlot(ctx, c, func(key []byte) bool {
		if n < most {
			text = redcon.AppendBulk(text, key)
			n++
		}
		return n < most
	}) {
		s.reply(append(redcon.AppendArray(nil, int(n)), text...))
	}
}

// inSlot calls f for the client's keys in the slot args[2], by the client's names, until it returns false. It answers what is wrong,
// and returns false then.
func (s *Session) inSlot(ctx context.Context, c cmd, f func(key []byte) bool) bool {
	slot, ok := resp.ParseInt(c.args[2])
	if !ok || slot < 0 || slot >= upstream.Slots {
		s.say(errSlot)
		return false
	}
	enough := false
	own := len(s.policy.Prefix())
	err := s.scan(ctx, func(keys []string) error {
		for _, key := range keys {
			name := []byte(key[own:])
			if !enough && int64(upstream.Slot(nil, name)) == slot {
				enough = !f(name)
			}
		}
		if enough {
			return errEnough
		}
		return nil
	})
	if err != nil && !enough {
		s.fail(err)
		return false
	}
	return true
}
