package proxy

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/tidwall/redcon"

	"sessiongate/resp"
)

// notifications is the setting that Spring Session changes when it starts, so that it hears of sessions that end.
const notifications = "notify-keyspace-events"

// harmless are the server's settings that a tenant may read: drivers look at some of them. The others are the operator's.
var harmless = []string{"appendonly", "databases", "maxmemory", "maxmemory-policy", notifications, "proto-max-bulk-len",
	"replica-read-only", "save", "slave-read-only", "tcp-keepalive", "timeout"}

// configGet answers CONFIG GET pattern ... with what the upstream says of harmless settings.
func (s *Session) configGet(ctx context.Context, c cmd) {
	ask := []string{"CONFIG", "GET"}
	for _, pattern := range c.args[2:] {
		ask = append(ask, string(pattern))
	}
	raws, err := s.ask(ctx, ask)
	if err != nil {
		s.fail(err)
		return
	}
	var pairs [][]byte
	var name []byte
	for elem := range elems(raws[0]) {
		if name == nil {
			name = elem
			continue
		}
		if text, _ := resp.Bulk(name); slices.Contains(harmless, string(text)) {
			pairs = append(pairs, name, elem)
		}
		name = nil
	}
	text := resp.AppendMapHeader(nil, s.proto, len(pairs)/2)
	for _, each := range pairs {
		text = append(text, each...)
	}
	s.reply(text)
}

// configSet lets a tenant ask for keyspace notifications, which the upstream then sends in addition to those it sends already;
// which of them a tenant hears of is decided by its namespace. Nothing else can be set.
func (s *Session) configSet(ctx context.Context, c cmd) {
	if len(c.args) != 4 || !strings.EqualFold(string(c.args[2]), notifications) {
		s.say("NOPERM the 'config|set' command sets nothing but " + notifications + " here")
		return
	}
	if err := s.notifyAll(ctx, c.args[3]); err != nil {
		s.fail(err)
		return
	}
	s.reply(redcon.AppendOK(nil))
}

// notifyTries is how often flags are set until they are there: whoever else changes the setting reads it first, too.
const notifyTries = 10

var errNotify = errors.New("somebody else keeps changing " + notifications)

// notifyAll is notify on every node of a cluster, each of which tells of its own keys.
func (s *Session) notifyAll(ctx context.Context, flags []byte) error {
	if !s.sharded {
		return s.notify(ctx, flags)
	}
	for _, node := range s.pool().Masters() {
		back := s.turnTo(node)
		err := s.notify(ctx, flags)
		if back(); err != nil {
			return err
		}
	}
	return nil
}

// notify adds flags to the upstream's setting, and looks whether they have stayed.
func (s *Session) notify(ctx context.Context, flags []byte) error {
	s.srv.settings.Lock()
	defer s.srv.settings.Unlock()
	for try := range notifyTries {
		raws, err := s.ask(ctx, []string{"CONFIG", "GET", notifications})
		if err != nil {
			return err
		}
		have := ""
		for elem := range elems(raws[0]) {
			text, _ := resp.Bulk(elem) // the last one is the value
			have = string(text)
		}
		merged := merge(have, flags)
		hidden := strings.Contains(have, "A") && strings.Trim(merged[len(have):], inAll) == ""
		if merged == have || try > 0 && hidden {
			return nil
		}
		if _, err := s.ask(ctx, []string{"CONFIG", "SET", notifications, merged}); err != nil {
			return err
		}
	}
	return errNotify
}

// inAll are the flags that the upstream does not show beside A.
const inAll = "g$lshzxetdn"

// merge returns the flags that are set with those that are to be added, each once. What is no flag stays for the upstream to say so.
func merge(have string, more []byte) string {
	var known [256]bool
	for i := range len(have) {
		known[have[i]] = true
	}
	merged := []byte(have)
	for _, flag := range more {
		if !known[flag] {
			known[flag] = true
			merged = append(merged, flag)
		}
	}
	return string(merged)
}
