package integration_test

import (
	"strings"
	"testing"
	"time"
)

// Replicas answer reads where a rule says so, but not of what was written a moment ago.
func TestClusterProxy_reads(t *testing.T) {
	t.Parallel()
	up := startCluster(t, 3, 3, setup{lines: []string{"protected-mode no"}})
	g := startGate(t, up.upstream()+"rules:\n- keys: ['r:*']\n  reads: {from: replica, after: 300ms}\n- expiry: {}\n")
	c := dial(t, g.addr)
	c.want(ok, "MSET", "r:{a}", "1", "r:{b}", "2", "r:{c}", "3", "m", "4")
	written := time.Now()
	for _, key := range []string{"r:{a}", "r:{b}", "r:{c}"} {
		if got := c.do("STRLEN", key); got != one {
			t.Errorf("STRLEN %s = %q", key, got)
		}
	}
	if time.Since(written) < 250*time.Millisecond && up.calls(t, "strlen", false) > 0 {
		t.Error("a replica has answered for a key that has just been written")
	}
	eventually(t, "replicas answer", func() bool {
		for _, key := range []string{"r:{a}", "r:{b}", "r:{c}"} {
			if got := c.do("STRLEN", key); got != one {
				t.Fatalf("STRLEN %s = %q", key, got)
			}
		}
		return up.calls(t, "strlen", false) >= 3
	})
	c.want("*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n", "MGET", "r:{a}", "r:{b}", "r:{c}")
	c.want("$1\r\n4\r\n", "GET", "m")
	if up.calls(t, "get", false) > 0 {
		t.Error("a replica has answered for a key without such a rule")
	}
	replies := c.pipeline("SET r:{a} 5", "GET r:{a}", "MULTI", "GET r:{b}", "EXEC")
	if replies[1] != "$1\r\n5\r\n" || replies[4] != "*1\r\n$1\r\n2\r\n" {
		t.Errorf("replies = %q", replies)
	}
}

// calls counts how often the nodes, masters or replicas, have run a command.
func (c *clusterSetup) calls(t *testing.T, command string, masters bool) (n int) {
	t.Helper()
	for _, node := range c.nodes {
		if node.isMaster() != masters {
			continue
		}
		if _, rest, found := strings.Cut(node.must(t, "INFO", "commandstats").text, "cmdstat_"+command+":calls="); found {
			for _, digit := range rest {
				if digit < '0' || digit > '9' {
					break
				}
				n = n*10 + int(digit-'0')
			}
		}
	}
	return n
}
