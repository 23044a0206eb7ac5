package integration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// say has redis-cli say one command to a server.
func say(t testing.TB, addr string, args ...string) string {
	t.Helper()
	host, port, _ := strings.Cut(addr, ":")
	return redisCLI(t, "", append([]string{"-h", host, "-p", port}, args...)...)
}

// A session that is read lives on; one that nobody reads is gone after idle, less what a refresh may be skipped for.
func TestIdle_Lives(t *testing.T) {
	t.Parallel()
	const idle, refresh = 1200 * time.Millisecond, 120 * time.Millisecond
	r := startRedis(t)
	g := startGate(t, r.upstream()+"rules:\n  - expiry: {idle: 1200ms}\n")
	if got := say(t, g.addr, "SET", "cli", "v"); got != "OK" {
		t.Fatalf("SET = %s", got)
	}
	c := dial(t, g.addr)
	c.wantLine(ok, "SET string v")
	c.wantLine(one, "HSET hash f v")
	var last time.Time
	tick := time.NewTicker(idle / 3)
	defer tick.Stop()
	for range 9 { // three times idle
		<-tick.C
		last = time.Now()
		c.wantLine(bulk("v"), "GET string")
		c.wantLine(bulk("v"), "HGET hash f")
		if got := say(t, g.addr, "GET", "cli"); got != "v" {
			t.Fatalf("a session that is read is %q", got)
		}
	}
	behind := dial(t, r.addr)
	eventually(t, "a session that nobody reads is gone", func() bool { return behind.do("EXISTS", "string", "hash") == zero })
	if took := time.Since(last); took < idle-refresh || took > idle+time.Second {
		t.Errorf("sessions were gone %v after they were read, want %v or a little less", took, idle)
	}
}

// Within the share of idle that idle_refresh says, reads stay reads, whoever reads.
func TestIdle_Refresh(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"rules:\n  - expiry: {idle: 30m}\n")
	c, other, behind := dial(t, g.addr), dial3(t, g.addr), dial(t, r.addr)
	calls := func(command string) int {
		for _, line := range strings.Split(behind.do("INFO", "commandstats"), "\r\n") {
			n := 0
			if _, err := fmt.Sscanf(line, "cmdstat_"+command+":calls=%d,", &n); err == nil {
				return n
			}
		}
		return 0
	}
	c.wantLine(ok, "SET s v")
	c.wantLine(one, "HSET h f v")
	for range 10 {
		c.wantLine(bulk("v"), "GET s")
		other.wantLine(bulk("v"), "GET s")
		c.wantLine(bulk("v"), "HGET h f")
		other.wantLine(bulk("v"), "HGET h f")
		c.wantLine("$-1\r\n", "GET missing")
	}
	if n := calls("getex"); n != 10 { // of the key that is not there
		t.Errorf("%d reads of 30 were sent as GETEX, want 10", n)
	}
	if n := calls("expire"); n != 1 { // of the write
		t.Errorf("%d EXPIRE were sent, want 1", n)
	}

	// Whatever sets an expiry ends that, in either client and in a transaction.
	for _, change := range []string{
		"EXPIRE s 50", "SET s v EX 50", "SETEX s 50 v", "GETEX s EX 50", "PEXPIRE s 50000", "EXPIREAT s now+50",
		"MULTI;EXPIRE s 50;EXEC", "EVAL redis.call('EXPIRE',KEYS[1],50) 1 s", "MULTI;GET s;SET s v EX 50;EXEC",
	} {
		c.do("GET", "s")
		now := time.Now()
		for _, line := range strings.Split(change, ";") {
			args := split(line)
			for i := range args {
				args[i] = clock(now, args[i])
			}
			if got := c.do(args...); got[0] == '-' {
				t.Fatalf("%s: %s", line, got)
			}
		}
		wantTTL(t, behind, "s", 50)
		other.wantLine(bulk("v"), "GET s")
		wantTTL(t, behind, "s", 1800)
	}
}

// Each kind of access puts the expiry back; what is none doesn't.
func TestIdle_Accesses(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+namespaceApp+idleRule)
	behind := dial(t, r.addr)
	for resp := 2; resp <= 3; resp++ {
		c := dialRESP(t, g.addr, resp)
		for _, access := range []struct {
			line string
			want int // seconds
		}{
			{"GET s", 1800}, {"GETEX s", 1800}, {"STRLEN s", 1800}, {"APPEND s v", 1800}, {"SET s v", 1800}, {"SET s v KEEPTTL", 1800}, {"SET s v EX 70", 70},
			{"MGET s missing", 1800}, {"TOUCH s", 1800}, {"GETRANGE s 0 1", 1800}, {"SET s v NX", 50}, {"SETNX s v", 50}, {"DUMP s", 1800},
			{"TTL s", 50}, {"PTTL s", 50}, {"EXPIRETIME s", 50}, {"EXISTS s", 50}, {"TYPE s", 50}, {"OBJECT ENCODING s", 50}, {"MEMORY USAGE s", 50}, {"KEYS *", 50},
			{"SCAN 0", 50}, {"EXPIRE s 70", 70}, {"EXPIRE s 70000", 1800}, {"PERSIST s", 1800}, {"MULTI;GET s;EXEC", 1800}, {"MULTI;STRLEN s;EXEC", 1800},
			{"EVAL return(redis.call('GET',KEYS[1])) 1 s", 1800}, {"EVAL redis.call('SET',KEYS[1],'v','EX',70) 1 s", 70}, {"EVAL_RO return(1) 1 s", 1800},
			{"WATCH s;GET s", 50}, {"RENAME s x;RENAME x s", 1800}, {"COPY s x REPLACE;RENAME x s", 1800}, {"COPY x s", 50}, {"MULTI;EVAL return(1) 1 s;EXEC", 1800},
		} {
			behind.do("SET", "app:s", "v", "EX", "50")
			for _, line := range strings.Split(access.line, ";") {
				if got := c.line(line); got[0] == '-' {
					t.Fatalf("%s: %s", line, got)
				}
			}
			if got := behind.int("TTL", "app:s"); got > access.want || got < access.want-5 {
				t.Errorf("RESP%d: after %s s expires in %d s, want %d", resp, access.line, got, access.want)
			}
			c.do("UNWATCH")
		}
		for _, gone := range []string{"DEL s", "GETDEL s", "EXPIRE s 0", "GETEX s PXAT 1", "MULTI;GET s;DEL s;EXEC", "MULTI;DEL s;GET s;EXEC", "UNLINK s", "EXPIREAT s 1"} {
			behind.do("SET", "app:s", "v", "EX", "50")
			for _, line := range strings.Split(gone, ";") {
				c.line(line)
			}
			behind.want(zero, "EXISTS", "app:s")
		}
		c.wantLine(bulkNull(resp), "GET s")
		behind.want(zero, "EXISTS", "app:s")
	}
}

func bulkNull(resp int) string {
	if resp == 3 {
		return "_\r\n"
	}
	return null
}

// A client that watches a key and reads it must not fail its own transaction by that; one that tracks hears of others only.
func TestIdle_WatchAndTracking(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+idleRule)
	c := dial(t, g.addr)
	c.wantLine(ok, "SET s 1")
	c.wantLine(ok, "WATCH s")
	c.wantLine(bulk("1"), "GET s")
	c.wantLine(ok, "MULTI")
	c.wantLine("+QUEUED\r\n", "SET s 2")
	c.wantLine("+QUEUED\r\n", "GET s")
	c.wantLine("*2\r\n+OK\r\n"+bulk("2"), "EXEC")

	behind := dial(t, r.addr)
	behind.want(ok, "SET", "t", "old", "EX", "50")
	tracks := dial3(t, g.addr)
	tracks.wantLine(ok, "CLIENT TRACKING ON NOLOOP")
	tracks.wantLine(bulk("old"), "GET t")
	wantTTL(t, behind, "t", 1800)
	behind.want(ok, "SET", "t", "new")
	if got := tracks.read(); !strings.Contains(got, "invalidate") || !strings.Contains(got, "$1\r\nt\r\n") {
		t.Errorf("a client that tracks what it reads hears %s, want the invalidation of t", shorten(got))
	}
}

// What EXEC's reply says is known too: whoever reads in a transaction, again and again, changes the key once, and doesn't fail those of
// others who watch it.
func TestIdle_ReadInTransaction(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"rules:\n  - expiry: {idle: 30m}\n")
	watches, reads, behind := dial(t, g.addr), dial(t, g.addr), dial(t, r.addr)
	pieces := func(lines ...string) {
		reads.wantLine(ok, "MULTI")
		for _, line := range lines {
			reads.wantLine("+QUEUED\r\n", line)
		}
		if got := reads.do("EXEC"); !strings.HasPrefix(got, "*") {
			t.Fatalf("EXEC = %q", got)
		}
	}
	atOnce := func(lines ...string) {
		request := encode("MULTI")
		for _, line := range lines {
			request += encode(strings.Fields(line)...)
		}
		reads.send(request + encode("EXEC"))
		for range len(lines) + 1 {
			reads.read()
		}
		if got := reads.read(); !strings.HasPrefix(got, "*") {
			t.Fatalf("EXEC = %q", got)
		}
	}
	for i, transact := range []func(...string){pieces, atOnce} {
		h, s := fmt.Sprint("h", i), fmt.Sprint("s", i)
		behind.want(one, "HSET", h, "f", "v")
		behind.want(ok, "SET", s, "v")
		transact("HGETALL "+h, "EXISTS "+s, "GET "+s) // puts both back
		wantTTL(t, behind, h, 1800)
		wantTTL(t, behind, s, 1800)
		watches.wantLine(ok, "WATCH "+h+" "+s)
		transact("HGETALL "+h, "GET "+s)
		watches.wantLine(ok, "MULTI")
		watches.wantLine("+QUEUED\r\n", "SET done v")
		watches.wantLine("*1\r\n+OK\r\n", "EXEC")

		// What has not been there is not known.
		transact("GET new"+s, "HGETALL new"+h)
		behind.want(ok, "SET", "new"+s, "v", "EX", "50")
		behind.want(one, "HSET", "new"+h, "f", "v")
		transact("GET new"+s, "HGETALL new"+h)
		wantTTL(t, behind, "new"+s, 1800)
		wantTTL(t, behind, "new"+h, 1800)

		// What comes later in the transaction ends it.
		transact("GET "+s, "EXPIRE "+s+" 50", "HGETALL "+h)
		wantTTL(t, behind, s, 50)
		transact("GET " + s)
		wantTTL(t, behind, s, 1800)
	}
}
