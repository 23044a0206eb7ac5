package policy

import (
	"testing"

	"sessiongate/command"
)

func TestPolicy_Governs(t *testing.T) {
	wholeServer := []string{"CONFIG GET", "CONFIG SET", "DEBUG", "SHUTDOWN", "REPLICAOF", "SAVE", "ACL SETUSER", "ACL WHOAMI", "SLOWLOG GET",
		"CLUSTER GETKEYSINSLOT", "CLUSTER NODES", "SWAPDB", "MIGRATE", "FAILOVER", "MODULE LOAD", "LATENCY RESET", "PFDEBUG", "ROLE", "LASTSAVE",
		"CLIENT PAUSE", "MEMORY STATS", "MONITOR", "SCRIPT FLUSH", "SCRIPT KILL", "SCRIPT DEBUG", "FUNCTION LIST", "PUBSUB NUMPAT"}
	ruled := mustNew(t, Config{Rules: []RuleConfig{{Expiry: &ExpiryConfig{Max: 1e9}}}})
	spaced := mustNew(t, Config{Namespace: "app:"})
	both := []*Policy{ruled, spaced}
	for _, c := range []struct {
		by    []*Policy
		want  bool
		names []string
	}{
		{both, true, []string{"GET", "SET", "MSET", "SETEX", "GETEX", "APPEND", "BITFIELD", "BITOP", "INCR", "LCS", "EXPIRE", "PERSIST", "TTL",
			"RENAME", "COPY", "MOVE", "DUMP", "RESTORE", "DEL", "UNLINK", "EXISTS", "TOUCH", "TYPE", "OBJECT ENCODING", "KEYS", "SCAN", "RANDOMKEY",
			"DBSIZE", "FLUSHDB", "FLUSHALL", "SORT", "HSET", "LPUSH", "LMPOP", "SADD", "ZADD", "ZUNIONSTORE", "XADD", "XREAD", "XGROUP CREATE",
			"GEOADD", "PFADD", "SETBIT"}},
		{both, true, []string{"PING", "HELLO", "AUTH", "SELECT", "QUIT", "RESET", "CLIENT ID", "CLIENT LIST", "CLIENT SETNAME", "ECHO"}},
		{both, true, []string{"INFO", "TIME", "COMMAND", "COMMAND COUNT", "COMMAND DOCS", "COMMAND GETKEYS", "OBJECT HELP"}},
		{both, true, []string{"MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH", "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "BLPOP", "BLMOVE", "WAIT",
			"PUBLISH", "SPUBLISH", "PUBSUB CHANNELS", "PUBSUB NUMSUB"}},
		{both, true, []string{"CLIENT TRACKING", "CLIENT CACHING", "CLIENT TRACKINGINFO"}},
		{both, true, []string{"EVAL", "EVALSHA", "EVAL_RO", "FCALL", "SCRIPT LOAD", "SCRIPT EXISTS", "MEMORY USAGE"}},
		{both, false, []string{"PSYNC", "SYNC", "REPLCONF", "FUNCTION LOAD", "FUNCTION DELETE", "FUNCTION FLUSH", "FUNCTION RESTORE", "JSON.SET", "BF.ADD"}},
		{[]*Policy{ruled}, true, wholeServer},
		{[]*Policy{spaced}, false, wholeServer},
		{both, false, []string{"CONFIG", "OBJECT", "XGROUP", "CLIENT", "SCRIPT", "ACL"}}, // with a subcommand that is not known
	} {
		for _, name := range c.names {
			spec := command.ByName(name)
			if spec == nil {
				t.Errorf("no such command: %s", name)
				continue
			}
			for _, p := range c.by {
				if got := p.Governs(spec); got != c.want {
					t.Errorf("%s in the namespace %q is governed: %v, want %v", name, p.Prefix(), got, c.want)
				}
			}
		}
	}
	open := mustNew(t, Config{})
	for _, spec := range command.All() {
		if !open.Governs(spec) {
			t.Errorf("%s does not pass without rules", spec.Name)
		}
	}
}

// A command that is governed must be one that the rules can see through.
func TestPolicy_GovernsNothingBlind(t *testing.T) {
	p := mustNew(t, Config{Namespace: "app:"})
	for _, spec := range command.All() {
		if !p.Governs(spec) {
			continue
		}
		if spec.Flags&command.Write != 0 && spec.Names == nil && spec.Flags&command.Whole == 0 {
			t.Errorf("%s writes what it does not name", spec.Name)
		}
	}
}
