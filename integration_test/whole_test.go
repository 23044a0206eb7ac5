package integration_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// Under a namespace the slow log shows the tenant's own commands, with the names that it knows, and nothing of anybody else.
func TestWhole_SlowLog(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--slowlog-log-slower-than", "0")
	g := startGate(t, r.upstream()+namespaceApp)
	direct, c := dial(t, r.addr), dial(t, g.addr)
	direct.do("SET", "theirs", "v")
	direct.do("MGET", "app:a", "theirs")
	direct.do("CONFIG", "GET", "maxmemory")
	long := strings.Repeat("x", 300)
	many := []string{"MGET"}
	for i := range 40 {
		many = append(many, fmt.Sprint("k", i))
	}
	c.do("SET", "a", "app:value")
	c.do("GET", long)
	c.do(many...)
	c.do("KEYS", "a*")
	c.do("PUBLISH", "news", "v")
	c.do("NOSUCH", "app:a")
	direct.do("GET", "theirs")
	names := func(reply string) (shown []string) {
		v, err := parse(reply)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range v.elems {
			if len(entry.elems) != 6 || entry.elems[4].text != "" || entry.elems[5].text != "" {
				t.Errorf("entry %+v, want six elements, without an address and a name", entry)
			}
			words := []string{}
			for _, arg := range entry.elems[3].elems {
				words = append(words, arg.text)
			}
			shown = append(shown, strings.Join(words, " "))
		}
		return shown
	}
	want := []string{
		"PUBLISH news v",
		"SCAN 0 MATCH a* COUNT 1000", // KEYS a*, which is a walk
		strings.Join(many[:31], " ") + " ... (10 more arguments)",
		"GET " + long[:128-len("app:")] + "... (176 more bytes)",
		"SET a app:value",
	}
	for i, dialer := range []func(testing.TB, string) *conn{dial, dial3} {
		c := dialer(t, g.addr)
		if got := names(c.do("SLOWLOG", "GET")); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("RESP%d: SLOWLOG GET shows\n%s\nwant\n%s", i+2, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if got := names(c.do("SLOWLOG", "GET", "2")); len(got) != 2 || got[0] != want[0] {
			t.Errorf("SLOWLOG GET 2 shows %q", got)
		}
		if got := names(c.do("SLOWLOG", "GET", "-1")); len(got) != len(want) {
			t.Errorf("SLOWLOG GET -1 shows %d, want %d", len(got), len(want))
		}
		c.want(empty, "SLOWLOG", "GET", "0")
		c.want(fmt.Sprintf(":%d\r\n", len(want)), "SLOWLOG", "LEN")
		for _, line := range []string{"SLOWLOG GET x", "SLOWLOG GET -2", "SLOWLOG GET 1 2", "SLOWLOG LEN 1"} {
			same(t, direct, c, split(line)...)
		}
		c.wantPrefix("-NOPERM ", "SLOWLOG RESET")
	}
}

// The slow log shows what the tenant has sent, and neither the checks that were put around it nor scripts, which are changed on their
// way.
func TestWhole_SlowLogScripts(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--slowlog-log-slower-than", "0", "--slowlog-max-len", "10000")
	g := startGate(t, r.upstream()+namespaceApp+"rules:\n  - {size: {value: 1KiB}, expiry: {default: 30m}}\n")
	direct, c := dial(t, r.addr), dial(t, g.addr)
	many := []string{"BITOP", "OR", "many"}
	for i := range 40 {
		many = append(many, fmt.Sprint("k", i))
	}
	direct.do("EVAL", "return redis.call('APPEND', KEYS[1], 'v')", "1", "theirs")
	direct.do("EVAL", "return redis.call('APPEND', KEYS[1], 'v')", "1", "app:a")
	direct.do("MGET", "theirs", "... (")
	c.want(":2\r\n", "APPEND", "a", "w")
	c.want(null, "GETSET", "b", "v")
	c.want(":2\r\n", "BITOP", "OR", "d", "a", "b")
	c.want(zero, many...)
	c.want(one, "PFADD", "p", "a", "app:b")
	c.want(one, "EVAL", "return redis.call('HSET', KEYS[1], 'f', 'v')", "1", "h")
	sha := c.do("SCRIPT", "LOAD", "return redis.call('GET', KEYS[1])")[5:45]
	c.want(bulk("v"), "EVALSHA", sha, "1", "b")
	c.want(bulk("v"), "GET", "b")
	v, err := parse(c.do("SLOWLOG", "GET", "-1"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range v.elems {
		line := ""
		for _, arg := range entry.elems[3].elems {
			line += " " + arg.text
		}
		if !strings.HasPrefix(line, " EXPIRE ") { // follows each write
			got = append(got, line[1:])
		}
	}
	want := []string{"GET b", "PFADD p a app:b", "BITOP OR d a b", "SET b v GET EX 1800", "APPEND a w"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("SLOWLOG GET shows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// INFO keyspace counts the tenant's keys in each database. INFO at large leaves that out, as it would take a walk through them.
func TestWhole_InfoKeyspace(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		if m.prefix == "" {
			continue
		}
		r, plain := startRedis(t), startRedis(t)
		g := startGate(t, r.upstream()+m.yaml())
		direct := dial(t, r.addr)
		for _, dialer := range []func(testing.TB, string) *conn{dial, dial3} {
			c, reference := dialer(t, g.addr), dialer(t, plain.addr)
			direct.want(ok, "FLUSHALL")
			reference.want(ok, "FLUSHALL")
			compare := func(line string) {
				t.Helper()
				want, got := textOf(t, reference.line(line)), textOf(t, c.line(line))
				if m.ruled { // each key expires
					want = regexp.MustCompile(`keys=(\d+),expires=\d+`).ReplaceAllString(want, "keys=$1,expires=$1")
				}
				average := regexp.MustCompile(`avg_ttl=\d+`)
				if want, got := average.ReplaceAllString(want, ""), average.ReplaceAllString(got, ""); got != want {
					t.Errorf("%s: %s\n got %q\nwant %q", m.name, line, got, want)
				}
			}
			direct.want(ok, "SET", "theirs", "v")
			compare("INFO keyspace")
			for _, c := range []*conn{c, reference} {
				for i := range 1500 {
					c.send(encode("SET", fmt.Sprint("k", i), "v"))
				}
				for range 1500 {
					c.read()
				}
				c.want(ok, "SET", "e", "v", "EX", "100")
				c.want(ok, "SELECT", "5")
				c.want(ok, "SET", "other", "v", "PX", "60000")
			}
			compare("INFO keyspace")
			compare("INFO KEYSPACE keyspace")
			average := regexp.MustCompile(`db5:keys=1,expires=1,avg_ttl=(59\d\d\d|60000)\r\n`)
			if got := c.do("INFO", "keyspace"); !average.MatchString(got) {
				t.Errorf("%s: INFO keyspace = %q, want an average of a minute", m.name, got)
			}
			if got := c.do("INFO", "server", "keyspace"); !strings.Contains(got, "redis_version:") || !strings.Contains(got, "# Sessiongate") || !average.MatchString(got) {
				t.Errorf("%s: INFO server keyspace = %q", m.name, got)
			}
			for _, line := range []string{"INFO", "INFO all", "INFO everything"} {
				if got := c.line(line); !strings.Contains(got, "# Keyspace") || strings.Contains(got, ":keys=") {
					t.Errorf("%s: %s has lines of databases", m.name, line)
				}
			}
			c.want(ok, "MULTI")
			c.want("+QUEUED\r\n", "INFO", "keyspace")
			if got := c.do("EXEC"); strings.Contains(got, ":keys=") {
				t.Errorf("%s: INFO keyspace in a transaction = %q", m.name, got)
			}
		}
	}
}

// textOf is the text of a reply, whatever its length.
func textOf(t *testing.T, raw string) string {
	t.Helper()
	v, err := parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return v.text
}

// What looks into one key looks into the tenant's.
func TestWhole_OneKey(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--maxmemory-policy", "allkeys-lfu")
	g := startGate(t, r.upstream()+namespaceApp)
	direct, c := dial(t, r.addr), dial(t, g.addr)
	direct.want(ok, "SET", "theirs", "v")
	c.want(ok, "SET", "mine", "v")
	for _, line := range []string{"MEMORY USAGE", "OBJECT ENCODING", "OBJECT FREQ", "OBJECT REFCOUNT"} {
		if got, want := c.line(line+" mine"), direct.line(line+" app:mine"); got != want || got == null {
			t.Errorf("%s = %q, want %q", line, got, want)
		}
		c.wantLine(null, line+" theirs")
	}
	c.wantLine(direct.line("MEMORY USAGE app:mine SAMPLES 5"), "MEMORY USAGE mine SAMPLES 5")
	c.wantPrefix("-NOPERM ", "MEMORY STATS")
}
