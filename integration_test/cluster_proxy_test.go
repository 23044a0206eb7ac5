package integration_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Keys on three nodes: a has slot 15495, b 3300, c 7365.
const crossSlot = "-CROSSSLOT Keys in request don't hash to the same slot\r\n"

// What a client of one server does works in front of a cluster.
func TestClusterProxy_oneServer(t *testing.T) {
	t.Parallel()
	up := startCluster(t, 3, 0, setup{})
	for _, under := range []struct{ name, yaml string }{
		{"transparent", ""},
		{"namespace", "namespace: \"app:\"\n"},
		{"rules", "namespace: \"app:\"\nrules: [{expiry: {default: 30m, max: 12h}}]\n"},
		{"lifetime", "rules: [{expiry: {default: 30m, max: 12h, lifetime: 12h}}]\n"},
	} {
		t.Run(under.name, func(t *testing.T) {
			g := startGate(t, up.upstream()+under.yaml)
			for _, play := range []struct {
				name string
				f    func(*testing.T, *gate)
			}{{"split", playSplit}, {"cross", playCross}, {"keyspace", playKeyspace}, {"transactions", playTransactions},
				{"blocking", playBlocking}, {"pubsub", playPubSub}, {"server", playServer}} {
				t.Run(play.name, func(t *testing.T) {
					dial(t, g.addr).want(ok, "FLUSHALL")
					play.f(t, g)
				})
			}
		})
	}
}

func playSplit(t *testing.T, g *gate) {
	c := dial(t, g.addr)
	c.want(ok, "MSET", "a", "1", "b", "2", "c", "3", "{a}x", "4")
	c.want("*5\r\n$1\r\n3\r\n$-1\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n", "MGET", "c", "missing", "a", "b", "c")
	c.want(":3\r\n", "EXISTS", "a", "b", "c", "d")
	c.want(":2\r\n", "TOUCH", "a", "b", "d")
	c.want(":2\r\n", "DEL", "a", "b", "d")
	c.want(one, "UNLINK", "a", "c")
	if got := c.do("MSET", "a", "1", "{a}x"); !strings.HasPrefix(got, "-ERR wrong number of arguments") {
		t.Errorf("MSET with a key too many = %q", got)
	}
	c.want(ok, "MSET", "a", "1", "b", "2")
	c.want(one, "LPUSH", "l", "x")
	c.want("*3\r\n$1\r\n1\r\n$-1\r\n$1\r\n2\r\n", "MGET", "a", "l", "b")
	replies := c.pipeline("SET a 5", "MGET a b", "INCR a", "DEL a b", "GET a")
	if want := []string{ok, "*2\r\n$1\r\n5\r\n$1\r\n2\r\n", ":6\r\n", ":2\r\n", null}; !slices.Equal(replies, want) {
		t.Errorf("pipeline = %q, want %q", replies, want)
	}
}

func playCross(t *testing.T, g *gate) {
	c := dial(t, g.addr)
	c.want(crossSlot, "SUNION", "a", "b")
	c.want(crossSlot, "MSETNX", "a", "1", "b", "2")
	c.want(crossSlot, "RENAME", "a", "b")
	c.want(crossSlot, "BLPOP", "a", "b", "0")
	c.want(crossSlot, "EVAL", "return 1", "2", "a", "b")
	c.want(crossSlot, "WATCH", "a", "b")
	c.want(empty, "SUNION", "{a}1", "{a}2")
	c.want(ok, "SELECT", "0")
	c.want("-ERR SELECT is not allowed in cluster mode\r\n", "SELECT", "1")
	c.want("-ERR This instance has cluster support disabled\r\n", "CLUSTER", "SLOTS")
	if got := c.do("CLIENT", "TRACKING", "ON"); !strings.HasPrefix(got, "-ERR CLIENT TRACKING is not possible in front of a cluster") {
		t.Errorf("CLIENT TRACKING ON = %q", got)
	}
	c.want(zero, "EXISTS", "a", "b")
}

func playKeyspace(t *testing.T, g *gate) {
	c := dial(t, g.addr)
	const keys = 300
	var lines []string
	for i := range keys {
		lines = append(lines, fmt.Sprintf("SET k%d %d", i, i))
	}
	c.pipeline(lines...)
	c.want(":300\r\n", "DBSIZE")
	seen := map[string]bool{}
	for cursor, steps := "0", 0; ; steps++ {
		v := parsed(t, c.do("SCAN", cursor, "COUNT", "20"))
		cursor = v.elems[0].text
		for _, key := range v.elems[1].elems {
			seen[key.text] = true
		}
		if n, err := strconv.ParseInt(cursor, 10, 64); err != nil || n < 0 {
			t.Fatalf("cursor %q", cursor)
		}
		if cursor == "0" {
			break
		}
		if steps > keys {
			t.Fatal("SCAN does not end")
		}
	}
	if len(seen) != keys || !seen["k7"] {
		t.Errorf("SCAN shows %d keys, want %d", len(seen), keys)
	}
	c.want("-ERR invalid cursor\r\n", "SCAN", "x")
	if v := parsed(t, c.do("KEYS", "k1?")); len(v.elems) != 10 {
		t.Errorf("KEYS k1? shows %d keys", len(v.elems))
	}
	if got := c.do("RANDOMKEY"); !strings.Contains(got, "k") {
		t.Errorf("RANDOMKEY = %q", got)
	}
	if got := c.do("INFO", "keyspace"); !strings.Contains(got, "db0:keys=300,") {
		t.Errorf("INFO keyspace = %q", got)
	}
	c.want(ok, "FLUSHDB")
	c.want(zero, "DBSIZE")
	c.want(null, "RANDOMKEY")
}

func playTransactions(t *testing.T, g *gate) {
	c := dial(t, g.addr)
	whole := c.pipeline("MULTI", "SET a 1", "INCR a", "EXEC")
	if want := []string{ok, "+QUEUED\r\n", "+QUEUED\r\n", "*2\r\n+OK\r\n:2\r\n"}; !slices.Equal(whole, want) {
		t.Errorf("whole = %q, want %q", whole, want)
	}
	torn := c.pipeline("MULTI", "SET a 1", "SET b 1", "EXEC")
	if torn[2] != crossSlot || !strings.HasPrefix(torn[3], "-EXECABORT") {
		t.Errorf("over two slots = %q", torn)
	}
	for _, lines := range []string{
		"MULTI|+OK, SET b 1|+QUEUED, GET b|+QUEUED, EXEC|*2\r\n+OK\r\n$1\r\n1",
		"MULTI|+OK, PUBLISH x y|+QUEUED, SET c 2|+QUEUED, EXEC|*2\r\n:0\r\n+OK",
		"MULTI|+OK, EXEC|*0",
		"MULTI|+OK, PUBLISH x y|+QUEUED, DISCARD|+OK, EXEC|-ERR EXEC without MULTI",
		"WATCH a|+OK, MULTI|+OK, SET a 7|+QUEUED, EXEC|*1\r\n+OK",
		"WATCH a|+OK, SET a 9|+OK, MULTI|+OK, SET a 8|+QUEUED, EXEC|*-1",
		"WATCH a|+OK, UNWATCH|+OK, GET b|$1\r\n1",
	} {
		for step := range strings.SplitSeq(lines, ", ") {
			line, want, _ := strings.Cut(step, "|")
			if got := c.line(line); got != want+"\r\n" {
				t.Errorf("%s: %s = %q, want %q", lines, line, got, want+"\r\n")
			}
		}
	}
	c.want(ok, "MULTI")
	c.want("+QUEUED\r\n", "SET", "a", "1")
	c.want(crossSlot, "SET", "b", "1")
	if got := c.do("EXEC"); !strings.HasPrefix(got, "-EXECABORT") {
		t.Errorf("EXEC after CROSSSLOT = %q", got)
	}
	c.want(ok, "MULTI")
	if got := c.do("PUBLISH", "x"); !strings.HasPrefix(got, "-ERR wrong number") {
		t.Errorf("PUBLISH x in MULTI = %q", got)
	}
	c.want("+QUEUED\r\n", "SET", "a", "1")
	if got := c.do("EXEC"); !strings.HasPrefix(got, "-EXECABORT") {
		t.Errorf("EXEC after a mistake = %q", got)
	}
	c.want("$1\r\n9\r\n", "GET", "a")
}

func playBlocking(t *testing.T, g *gate) {
	a, b := dial(t, g.addr), dial(t, g.addr)
	for _, key := range []string{"a", "b", "c"} {
		a.send(encode("BLPOP", "l"+key, "20"))
		eventuallyBlocked(t, b, "l"+key)
		a.wantNext("*2\r\n$2\r\nl" + key + "\r\n$1\r\nx\r\n")
	}
	a.want("*-1\r\n", "BLPOP", "la", "0.01")
	a.send(encode("BLMOVE", "{m}1", "{m}2", "LEFT", "LEFT", "20"))
	eventuallyBlocked(t, b, "{m}1")
	a.wantNext("$1\r\nx\r\n")
	if got := a.do("WAIT", "0", "10"); got != zero {
		t.Errorf("WAIT = %q", got)
	}
}

// parsed is a reply as a value.
func parsed(t *testing.T, raw string) value {
	t.Helper()
	v, err := parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// eventuallyBlocked pushes an element to a list: whether the client that pops it waits by then doesn't matter.
func eventuallyBlocked(t *testing.T, c *conn, key string) {
	t.Helper()
	c.want(one, "RPUSH", key, "x")
}

func (c *conn) wantNext(want string) {
	c.t.Helper()
	if got := c.read(); got != want {
		c.t.Errorf("next = %q, want %q", got, want)
	}
}

func playPubSub(t *testing.T, g *gate) {
	a, b := dial(t, g.addr), dial(t, g.addr)
	a.want("*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n", "SUBSCRIBE", "x")
	a.want("*3\r\n$10\r\npsubscribe\r\n$2\r\ny*\r\n:2\r\n", "PSUBSCRIBE", "y*")
	for i, shard := range []string{"a", "b", "c"} {
		a.want("*3\r\n$10\r\nssubscribe\r\n$1\r\n"+shard+"\r\n:"+strconv.Itoa(i+1)+"\r\n", "SSUBSCRIBE", shard)
	}
	eventually(t, "a message has a receiver", func() bool { return b.do("PUBLISH", "x", "1") != "" })
	a.wantNext("*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$1\r\n1\r\n")
	b.do("PUBLISH", "yy", "2")
	a.wantNext("*4\r\n$8\r\npmessage\r\n$2\r\ny*\r\n$2\r\nyy\r\n$1\r\n2\r\n")
	for _, shard := range []string{"a", "b", "c"} {
		b.want(one, "SPUBLISH", shard, "3")
		a.wantNext("*3\r\n$8\r\nsmessage\r\n$1\r\n" + shard + "\r\n$1\r\n3\r\n")
	}
	b.want("*2\r\n$1\r\nx\r\n:1\r\n", "PUBSUB", "NUMSUB", "x")
	b.want("*2\r\n$1\r\nb\r\n:1\r\n", "PUBSUB", "SHARDNUMSUB", "b")
	if v := parsed(t, b.do("PUBSUB", "SHARDCHANNELS")); len(v.elems) != 3 {
		t.Errorf("SHARDCHANNELS shows %d", len(v.elems))
	}
	a.want("*3\r\n$11\r\nunsubscribe\r\n$1\r\nx\r\n:1\r\n", "UNSUBSCRIBE")
	a.want("*3\r\n$12\r\nsunsubscribe\r\n$1\r\nb\r\n:2\r\n", "SUNSUBSCRIBE", "b")
	a.want("*3\r\n$12\r\npunsubscribe\r\n$2\r\ny*\r\n:0\r\n", "PUNSUBSCRIBE")
	b.want(ok, "CONFIG", "SET", "notify-keyspace-events", "KEA")
	a.want("*3\r\n$10\r\npsubscribe\r\n$17\r\n__keyevent@0__:se\r\n:1\r\n", "PSUBSCRIBE", "__keyevent@0__:se")
	a.want("*3\r\n$10\r\npsubscribe\r\n$18\r\n__keyevent@0__:se*\r\n:2\r\n", "PSUBSCRIBE", "__keyevent@0__:se*")
	for _, key := range []string{"a", "b", "c"} {
		b.want(ok, "SET", key, "1")
		a.wantNext("*4\r\n$8\r\npmessage\r\n$18\r\n__keyevent@0__:se*\r\n$18\r\n__keyevent@0__:set\r\n$1\r\n" + key + "\r\n")
	}
	c := dial3(t, g.addr)
	c.want(">3\r\n$9\r\nsubscribe\r\n$1\r\nz\r\n:1\r\n", "SUBSCRIBE", "z")
	c.want("$1\r\n1\r\n", "GET", "b")
	b.do("PUBLISH", "z", "4")
	c.wantNext(">3\r\n$7\r\nmessage\r\n$1\r\nz\r\n$1\r\n4\r\n")
}

func playServer(t *testing.T, g *gate) {
	c := dial(t, g.addr)
	for _, key := range []string{"a", "b", "c"} {
		c.want("$1\r\n"+key+"\r\n", "EVAL", "redis.call('SET', KEYS[1], '1') return ARGV[1]", "1", key, key)
	}
	v := parsed(t, c.do("SCRIPT", "LOAD", "return redis.call('GET', KEYS[1])"))
	for _, key := range []string{"a", "b", "c"} {
		c.want("$1\r\n1\r\n", "EVALSHA", v.text, "1", key)
		c.want("$1\r\n1\r\n", "EVAL", "return redis.call('GET', KEYS[1])", "1", key)
	}
	for i, text := range []string{"TRYAGAIN come back later", "TRYAGAIN Multiple keys request during rehashing of slot", "CLUSTERDOWN The cluster is down"} {
		key := "runs" + strconv.Itoa(i) // such a script has run, and runs once
		c.want("-"+text+"\r\n", "EVAL", "redis.call('INCR', KEYS[1]) return redis.error_reply(ARGV[1])", "1", key, text)
		c.want("$1\r\n1\r\n", "GET", key)
	}
	c.want("-ERR the script's reply names another node of the cluster, which does not confirm it; the script may or may not have run\r\n",
		"EVAL", "redis.call('INCR', KEYS[1]) return redis.error_reply('MOVED 1 127.0.0.1:1')", "1", "runs")
	c.want("$1\r\n1\r\n", "GET", "runs")
	c.want("*2\r\n:1\r\n:0\r\n", "SCRIPT", "EXISTS", v.text, strings.Repeat("0", 40))
	c.want("$1\r\n5\r\n", "EVAL", "return '5'", "0")
	if got := c.do("SLOWLOG", "LEN"); !strings.HasPrefix(got, ":") {
		t.Errorf("SLOWLOG LEN = %q", got)
	}
	if got := c.do("SLOWLOG", "GET"); !strings.HasPrefix(got, "*") {
		t.Errorf("SLOWLOG GET = %q", got)
	}
	if got := c.do("INFO", "cluster"); !strings.Contains(got, "cluster_enabled:0") {
		t.Errorf("INFO cluster = %q", got)
	}
}
