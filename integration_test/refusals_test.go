package integration_test

import (
	"fmt"
	"strings"
	"testing"
)

// refused is how many commands the gate says that it has refused.
func refused(t *testing.T, c *conn) (n int) {
	t.Helper()
	_, after, _ := strings.Cut(c.do("INFO", "sessiongate"), "sessiongate_refused_commands:")
	if _, err := fmt.Sscan(after, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A refusal that comes from a check within Redis, of a value that grows or of a script's write, is counted and logged like any other,
// and without what a script puts into its words.
func TestRefusals_WithinRedis(t *testing.T) {
	t.Parallel()
	for _, space := range []string{"", namespaceApp} {
		r := startRedis(t)
		g := startGate(t, r.upstream()+space+"rules:\n  - {name: web, keys: ['s*'], size: {value: 10}}\n  - {name: rest, size: {value: 20}}\n")
		prefix := ""
		if space != "" {
			prefix = "app:"
		}
		c := dial(t, g.addr)
		dial(t, r.addr).want(ok, "SET", prefix+"s2", strings.Repeat("x", 30))
		c.want(ok, "SET", "s1", "12345678")
		set := "return redis.call('SET', KEYS[1], string.rep('x', 15))"
		for i, tt := range []struct{ line, want, kind, command string }{
			{"APPEND s1 1234", "size: value of 12 bytes is above the limit of 10", "size", "APPEND"},
			{"GETSET s2 v", "size: value of 30 bytes is above the limit of 10", "size", "GETSET"},
			{"PFADD s3 a", "size: value of ", "size", "PFADD"},
			{"EVAL \"" + set + "\" 1 s1", "size: value of 15 bytes is above the limit of 10", "size", "EVAL"},
			{"EVAL \"return redis.call('SET', 'secret', 'v')\" 1 s1", "script: it writes ", "script", "EVAL"},
		} {
			for _, tx := range []bool{false, true} {
				before := refused(t, c)
				got := ""
				if tx {
					got = strings.TrimPrefix(c.pipeline("MULTI", tt.line, "EXEC")[2], "*1\r\n")
				} else {
					got = c.line(tt.line)
				}
				if !strings.HasPrefix(got, "-DENIED "+tt.want) {
					t.Errorf("%s = %q, want %q", tt.line, got, tt.want)
				}
				if after := refused(t, c); after != before+1 {
					t.Errorf("%s: %d refusals counted, want 1 (%d, in a transaction: %v)", tt.line, after-before, i, tx)
				}
			}
			for _, want := range []string{`"command":"` + tt.command + `"`, `"kind":"` + tt.kind + `"`} {
				eventually(t, tt.line+": a line in the log has "+want, func() bool { return logged(g, want, `"reason":"DENIED `+tt.kind) })
			}
		}
		before := refused(t, c)
		c.want("-DENIED as I like: hidden\r\n", "EVAL", "return {err = 'DENIED as I like: hidden'}", "1", "s1")
		c.want("-ERR no such thing\r\n", "EVAL", "return {err = 'ERR no such thing'}", "1", "s1")
		if after := refused(t, c); after != before {
			t.Errorf("%d refusals counted that are a script's own words", after-before)
		}
		c.send(encode("CLIENT", "REPLY", "OFF") + encode("APPEND", "s1", "1234") + encode("CLIENT", "REPLY", "ON"))
		if got := c.read(); got != ok {
			t.Errorf("CLIENT REPLY ON = %q", got)
		}
		if after := refused(t, c); after != before+1 {
			t.Errorf("%d refusals counted of a client that wants no replies", after-before)
		}
		for _, never := range []string{"secret", "hidden"} {
			if strings.Contains(g.out.String(), never) {
				t.Errorf("the log has %q", never)
			}
		}
	}
}

// logged reports whether a line of the gate's log has all of the texts.
func logged(g *gate, texts ...string) bool {
	for line := range strings.Lines(g.out.String()) {
		all := true
		for _, text := range texts {
			all = all && strings.Contains(line, text)
		}
		if all {
			return true
		}
	}
	return false
}

// A script can't hand out in an error what it may not hand out as a value.
func TestRefusals_ValueInError(t *testing.T) {
	t.Parallel()
	for _, space := range []string{"", namespaceApp} {
		r := startRedis(t)
		g := startGate(t, r.upstream()+space+"rules:\n  - {name: web, size: {value: 100}}\n")
		prefix := ""
		if space != "" {
			prefix = "app:"
		}
		dial(t, r.addr).want(ok, "SET", prefix+"big", strings.Repeat("x", 5000))
		for _, dialer := range []func(testing.TB, string) *conn{dial, dial3} {
			c := dialer(t, g.addr)
			for _, body := range []string{
				"return redis.error_reply('X ' .. redis.call('GET', KEYS[1]))",
				"return {err = 'X ' .. redis.call('GET', KEYS[1])}",
				"error(redis.call('GET', KEYS[1]))",
				"return {1, {{err = redis.call('GET', KEYS[1])}}}",
				"local t = {} for i = 1, 4000 do t[i] = 'filling it' end t[4001] = {err = 'X ' .. redis.call('GET', KEYS[1])} return t",
			} {
				whole := []string{c.do("EVAL", body, "1", "big"), "", ""}
				c.want(ok, "MULTI")
				c.want("+QUEUED\r\n", "EVAL", body, "1", "big")
				whole[1] = c.do("EXEC")
				c.send(encode("MULTI") + encode("EVAL", body, "1", "big") + encode("EXEC"))
				for range 3 {
					whole[2] = c.read()
				}
				for i, got := range whole {
					if strings.Contains(got, "xxx") || !strings.Contains(got, "-DENIED size: value of 5") || !strings.Contains(got, " is above the limit of 100 (rule \"web\")") {
						t.Errorf("%s, %d: %s", body, i, shorten(got))
					}
				}
			}
			c.want("-NOSCRIPT No matching script. Please use EVAL.\r\n", "EVALSHA", strings.Repeat("0", 40), "1", "big")
			if got := c.do("EVAL", "return redis.call('NOSUCH')", "1", "big"); !strings.HasPrefix(got, "-ERR Unknown Redis command") {
				t.Errorf("an error of Redis's own is %q", got)
			}
		}
	}
}
