package integration_test

import (
	"slices"
	"strings"
	"testing"
)

// A transaction that has not arrived whole goes to the node of its first key, whatever comes before that.
func TestClusterProxy_afloat(t *testing.T) {
	t.Parallel()
	up := startCluster(t, 3, 0, setup{})
	for _, under := range []struct{ name, yaml string }{
		{"transparent", ""},
		{"rules", "rules: [{expiry: {default: 30m, max: 12h}}]\n"},
	} {
		t.Run(under.name, func(t *testing.T) {
			g := startGate(t, up.upstream()+under.yaml)
			for _, key := range []string{"a", "b", "c"} {
				playAfloat(t, g, key)
			}
			playLateKey(t, g)
			c := dial(t, g.addr)
			if got := c.pipeline("MULTI", "SET a 1", "MSET b", "EXEC"); !strings.HasPrefix(got[2], "-ERR wrong number of arguments") {
				t.Errorf("MSET without a value in a whole transaction = %q", got)
			}
			text := c.do("EVAL", "return redis.error_reply('MOVED 100 "+up.nodes[2].shown()+"')", "0")
			if !strings.HasPrefix(text, "-ERR the script's reply names another node ") {
				t.Errorf("a script's error that reads like a redirection = %q", text)
			}
		})
	}
}

func playAfloat(t *testing.T, g *gate, key string) {
	c := dial(t, g.addr)
	play := func(want string, before ...string) {
		t.Helper()
		c.want(ok, "MULTI")
		got := c.do(before...)
		if set := c.do("SET", key, "1"); set != "+QUEUED\r\n" {
			t.Errorf("SET %s behind %q = %q", key, before, set)
		}
		if exec := c.do("EXEC"); !strings.HasPrefix(exec, want) {
			t.Errorf("EXEC behind %q, which is %q, = %q", before, got, exec)
		}
	}
	play("*2\r\n:1\r\n+OK\r\n", "EVAL", "return 1", "0")
	play("*2\r\n+OK\r\n+OK\r\n", "SELECT", "0")
	play("*2\r\n+OK\r\n+OK\r\n", "CLIENT", "SETNAME", "x")
	play("*1\r\n+OK\r\n", "WATCH", key)
	play("*1\r\n+OK\r\n", "MULTI")
	for _, refused := range [][]string{{"CLIENT", "ID"}, {"DBSIZE"}, {"SUBSCRIBE", "x"}, {"SUNION", "a", "b"}, {"MSET", "q"}, {"NOSUCHCOMMAND"},
		{"DISCARD", "x"}, {"SELECT", "0", "1"}} {
		play("-EXECABORT ", refused...)
	}
	c.want(ok, "MULTI")
	c.want("-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n", "EXEC", "x")
	c.want(ok, "SET", key, "2")
	c.want("-ERR EXEC without MULTI\r\n", "EXEC")
	c.want("$1\r\n2\r\n", "GET", key)
}

// playLateKey begins transactions with more than is kept until there is a key.
func playLateKey(t *testing.T, g *gate) {
	c := dial(t, g.addr)
	text := strings.Repeat("x", 1000)
	lines := slices.Repeat([]string{"ECHO " + text}, 140)
	queued := slices.Repeat([]string{"+QUEUED\r\n"}, len(lines))
	c.want(ok, "MULTI")
	if got := c.pipeline(lines...); !slices.Equal(got, queued) {
		t.Errorf("many commands = %.300q", got)
	}
	if got := c.do("EXEC"); got != "*140\r\n"+strings.Repeat("$1000\r\n"+text+"\r\n", len(lines)) {
		t.Errorf("EXEC of many = %.300q", got)
	}
	c.want(ok, "MULTI")
	c.pipeline(lines...)
	if got := c.do("SET", "a", "1"); !strings.HasPrefix(got, "-ERR the first key of a transaction comes too late") {
		t.Errorf("SET behind many = %q", got)
	}
	if got := c.do("EXEC"); !strings.HasPrefix(got, "-EXECABORT ") {
		t.Errorf("EXEC = %q", got)
	}
}

// In a namespace INFO does not tell where the nodes are.
func TestClusterProxy_infoTellsNoAddress(t *testing.T) {
	t.Parallel()
	up := startCluster(t, 1, 1, setup{})
	g := startGate(t, up.upstream()+"namespace: \"app:\"\n")
	info := dial(t, g.addr).do("INFO")
	for _, told := range []string{"executable:/", "config_file:/", "\nslave0:"} {
		if strings.Contains(info, told) {
			t.Errorf("INFO tells %q", told)
		}
	}
	for _, n := range up.nodes {
		if strings.Contains(info, n.shownPort()+"\r\n") || strings.Contains(info, "="+n.shownPort()) {
			t.Errorf("INFO tells the port %s", n.shownPort())
		}
	}
	for _, parsed := range []string{"redis_version:7", "role:master", "connected_slaves:1", "tcp_port:0", "loading:0"} {
		if !strings.Contains(info, "\n"+parsed) {
			t.Errorf("INFO has no %q", parsed)
		}
	}
}
