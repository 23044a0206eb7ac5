package integration_test

import (
	"strings"
	"testing"
)

// Who waits in a blocking command during a planned failover goes on waiting, at the new master.
func TestFailover_Blocked(t *testing.T) {
	t.Parallel()
	up := startSentinel(t, setup{})
	plain := startGate(t, up.upstream())
	ruled := startGate(t, up.upstream()+"namespace: \"app:\"\nrules: [{expiry: {default: 1h, max: 2h}}]\n")
	lines := []string{"BLPOP l 0", "BLPOP l2 60", "XREAD BLOCK 60000 STREAMS s $", "BLPOP never 5", "BLMOVE from to LEFT LEFT 0"}
	var waiting []*conn
	for _, line := range lines {
		g := plain
		if strings.HasPrefix(line, "BLMOVE") {
			g = ruled
		}
		c := dial(t, g.addr)
		c.send(encode(split(line)...))
		waiting = append(waiting, c)
	}
	blocked := func(n *node, count string) {
		eventually(t, count+" clients wait", func() bool { return n.says("INFO clients", "blocked_clients:"+count+"\r") })
	}
	blocked(up.master(t), "5")
	master := up.failover(t)
	waiting[3].wantNext("*-1\r\n")
	blocked(master, "4")
	b, r := dial(t, plain.addr), dial(t, ruled.addr)
	b.want(one, "RPUSH", "l", "x")
	waiting[0].wantNext("*2\r\n" + bulk("l") + bulk("x"))
	b.want(one, "RPUSH", "l2", "y")
	waiting[1].wantNext("*2\r\n" + bulk("l2") + bulk("y"))
	b.do("XADD", "s", "1-1", "f", "v")
	waiting[2].wantNext("*1\r\n*2\r\n" + bulk("s") + "*1\r\n*2\r\n" + bulk("1-1") + "*2\r\n" + bulk("f") + bulk("v"))
	r.want(one, "RPUSH", "from", "z")
	waiting[4].wantNext(bulk("z"))
	r.want(one, "EXISTS", "to")
	blocked(master, "0")
}
