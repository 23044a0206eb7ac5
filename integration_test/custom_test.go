package integration_test

import (
	"strings"
	"testing"
)

// Commands that Sessiongate doesn't know are refused under rules in Redis's words, and governed when the operator says where their
// keys are. The server here has known commands under names of which nobody has heard.
func TestCustomCommands(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--rename-command", "MSET", "MY.MSET", "--rename-command", "STRLEN", "MY.LEN", "--rename-command", "LPUSH", "MY.PUSH")
	for _, m := range modes {
		if m.name == "transparent" {
			continue
		}
		dial(t, r.addr).want(ok, "FLUSHALL")
		rules := m.yaml()
		if m.ruled {
			rules = strings.Replace(rules, "- expiry:", "- {size: {value: 1KiB}, expiry:", 1)
			rules = strings.TrimSuffix(rules, "\n") + "}\n"
		}
		unknown := dial(t, startGate(t, r.upstream()+rules).addr)
		unknown.want("-ERR unknown command 'MY.MSET', with args beginning with: 'a' '1' \r\n", "MY.MSET", "a", "1")

		c := dial(t, startGate(t, r.upstream()+rules+"commands:\n  custom:\n    - {name: my.mset, keys: 1..-1/2, writes: true}\n"+
			"    - {name: my.len, keys: 1}\n    - {name: my.push, keys: 1, writes: true, arity: -3}\n").addr)
		c.want(ok, "MY.MSET", "a", "1", "b", "22")
		c.want(":2\r\n", "MY.LEN", "b")
		c.want(one, "my.push", "l", "x")
		c.want("-ERR wrong number of arguments for 'my.push' command\r\n", "MY.PUSH", "l")
		direct := dial(t, r.addr)
		for _, key := range []string{"a", "b", "l"} {
			ttl := direct.int("TTL", m.prefix+key)
			if m.ruled && (ttl < 1790 || ttl > 1800) || !m.ruled && ttl != -1 {
				t.Errorf("%s: TTL of %s is %d", m.name, key, ttl)
			}
		}
		if m.ruled {
			c.wantPrefix("-DENIED size: value of 2000 bytes is above the limit of 1024", "my.push l "+strings.Repeat("x", 2000))
		}
		c.want(ok, "MULTI")
		c.want("+QUEUED\r\n", "MY.PUSH", "l", "y")
		c.want("*1\r\n:2\r\n", "EXEC")
	}
}

// A command that the operator has told of is not sent when its keys can't be where they should: nobody knows what Redis does with it.
func TestCustomCommands_Misfit(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--rename-command", "DEL", "MY.TWO", "--rename-command", "EXISTS", "MY.STEP", "--rename-command", "TOUCH", "DENIED")
	behind := dial(t, r.addr)
	behind.want(ok, "SET", "other", "v")
	c := dial(t, startGate(t, r.upstream()+"namespace: \"app:\"\nrules:\n  - commands: {deny: [denied]}\ncommands:\n  custom:\n"+
		"    - {name: my.two, keys: 1..2, writes: true}\n    - {name: my.step, keys: 1..-2}\n    - {name: denied, keys: 1}\n").addr)
	c.want("-ERR wrong number of arguments for 'my.two' command\r\n", "MY.TWO", "other")
	c.want("-ERR wrong number of arguments for 'my.step' command\r\n", "MY.STEP", "other")
	c.wantPrefix("-NOPERM ", "DENIED other")
	c.want(ok, "MULTI")
	c.want("-ERR wrong number of arguments for 'my.two' command\r\n", "MY.TWO", "other")
	c.wantPrefix("-EXECABORT ", "EXEC")
	behind.want(bulk("v"), "GET", "other")
	c.want(ok, "SET", "a", "v")
	c.want(one, "MY.STEP", "a", "last")
	c.want(one, "MY.TWO", "a", "b")
}
