package integration_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// told are the texts in README's table of what clients see when the upstream fails, with "..." for what varies, and those that a test
// has brought about.
type told struct {
	texts []*regexp.Regexp
	mu    sync.Mutex
	seen  map[int]bool
}

func readTold(t *testing.T) *told {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n## What clients see when the upstream fails\n")
	section, _, _ = strings.Cut(section, "\n## ")
	all := &told{seen: map[int]bool{}}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(section, -1) {
		parts := strings.Split(row[1], "...")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		all.texts = append(all.texts, regexp.MustCompile("^-"+strings.Join(parts, ".+")+"\r\n$"))
	}
	if len(all.texts) == 0 {
		t.Fatal("README has no such table")
	}
	return all
}

// want fails unless the reply is in the table and holds the part.
func (a *told) want(t *testing.T, reply, part string) {
	t.Helper()
	if !strings.Contains(reply, part) {
		t.Errorf("got %q, want it to hold %q", reply, part)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	found := false
	for i, text := range a.texts {
		if text.MatchString(reply) {
			a.seen[i], found = true, true
		}
	}
	if !found {
		t.Errorf("%q is not in README's table", reply)
	}
}

// Each row of README's table is what a client gets.
func TestOutage_EveryText(t *testing.T) {
	t.Parallel()
	all := readTold(t)
	t.Run("rows", func(t *testing.T) {
		for name, row := range outages {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				row(t, all)
			})
		}
	})
	for i, text := range all.texts {
		if !all.seen[i] {
			t.Errorf("no test has brought about %s", text)
		}
	}
}

// gateTo starts a gate with these upstream settings besides the address.
func gateTo(t *testing.T, url, settings, rest string) *conn {
	t.Helper()
	g := startGate(t, "upstream: {url: \""+url+"\", "+settings+"}\n"+rest)
	return dial(t, g.addr)
}

const (
	quick = "hold: 100ms, connect_timeout: 300ms, read_timeout: 300ms"
	slow  = "hold: 2s, connect_timeout: 2s, read_timeout: 300ms" // TLS takes its time on a busy machine
)

var outages = map[string]func(t *testing.T, all *told){
	"refused": func(t *testing.T, all *told) {
		c := gateTo(t, "redis://"+loopback(freePort(t)), quick, "")
		all.want(t, c.do("GET", "a"), "connect: connection refused, for longer than upstream.hold (100ms); the command has not run")
		all.want(t, c.do("WATCH", "a"), "connect: connection refused, for longer than upstream.hold (100ms); the command has not run")
	},
	"no name": func(t *testing.T, all *told) {
		c := gateTo(t, "redis://nowhere.invalid:6379", "hold: 100ms, connect_timeout: 5s", "")
		all.want(t, c.do("GET", "a"), "connect: the upstream's name leads nowhere: ")
	},
	"hang-up": func(t *testing.T, all *told) {
		r := startRedis(t)
		g := startGate(t, "upstream: {url: "+r.url()+", hold: 10s, read_timeout: 20s}\n")
		shared, own := dial(t, g.addr), dial(t, g.addr)
		shared.want(ok, "SET", "a", "v")
		own.send(encode("BLPOP", "none", "0"))
		eventually(t, "it waits", func() bool { return strings.Contains(dial(t, r.addr).line("INFO clients"), "blocked_clients:1\r\n") })
		r.signal(t, syscall.SIGSTOP)
		shared.send(encode("INCR", "n"))
		time.Sleep(50 * time.Millisecond) // it is on its way, and nothing here could see it arrive
		r.kill(t)
		all.want(t, shared.read(), "connection lost: closed by the upstream; the command may or may not have run")
		all.want(t, own.read(), "connection lost: closed by the upstream; the command may or may not have run")
	},
	"late": func(t *testing.T, all *told) {
		r := startRedis(t)
		g := startGate(t, "upstream: {url: "+r.url()+", hold: 500ms, connect_timeout: 300ms, read_timeout: 300ms}\n"+namespaceApp)
		shared, own, whole := dial(t, g.addr), dial(t, g.addr), dial(t, g.addr)
		shared.want(ok, "SET", "a", "v")
		own.want(ok, "WATCH", "a")
		own.want(ok, "MULTI")
		own.want("+QUEUED\r\n", "GET", "a")
		r.signal(t, syscall.SIGSTOP)
		whole.send(encode("DBSIZE"))
		own.send(encode("EXEC"))
		all.want(t, shared.do("INCR", "n"), "timeout: no reply within 300ms; the command may or may not have run")
		all.want(t, own.read(), "timeout: no reply within 300ms; the command may or may not have run")
		all.want(t, whole.read(), "; the command may have run in part")
		all.want(t, shared.do("GET", "a"), ", for longer than upstream.hold (500ms); the command has not run")
		eventually(t, "connecting fails too", func() bool { return strings.Contains(shared.do("GET", "a"), "connect: no answer") })
		all.want(t, shared.do("GET", "a"), "connect: no answer within 300ms, for longer than upstream.hold (500ms); the command has not run")
		start := time.Now()
		for range 20 {
			all.want(t, shared.do("GET", "a"), "the command has not run")
			all.want(t, dial(t, g.addr).do("WATCH", "a"), "the command has not run")
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("40 commands after the hold took %v", took)
		}
		r.signal(t, syscall.SIGCONT)
		eventually(t, "service comes back", func() bool { return shared.do("GET", "a") == bulk("v") })
	},
	"circuit": func(t *testing.T, all *told) {
		r := startRedis(t)
		c := gateTo(t, r.url(), quick, "")
		c.want(ok, "SET", "a", "v")
		dial(t, r.addr).want(ok, "CLIENT", "PAUSE", "60000", "WRITE") // PING passes, writes don't
		start := time.Now()
		eventually(t, "the circuit opens", func() bool {
			got := c.do("SET", "a", "w")
			if strings.Contains(got, "circuit open") {
				all.want(t, got, " replies in a row did not come within 300ms; the command has not run") // 3, or 4 after one was let through
				return true
			}
			return false
		})
		t.Logf("open after %v", time.Since(start))
		dial(t, r.addr).want(ok, "CLIENT", "UNPAUSE")
		eventually(t, "service comes back", func() bool { return c.do("SET", "a", "w") == ok })
	},
	"credentials": func(t *testing.T, all *told) {
		r := startRedis(t, "--requirepass", "right")
		c := gateTo(t, "redis://:wrong@"+r.addr, quick, "")
		all.want(t, c.do("GET", "a"), "it refused our credentials: WRONGPASS invalid username-password pair or user is disabled; the command has not run")
		c = gateTo(t, r.url(), quick, "")
		all.want(t, c.do("GET", "a"), "it refused our credentials: NOAUTH ")
	},
	"not permitted": func(t *testing.T, all *told) {
		r := startRedis(t, "--user", "gate", "on", ">pw", "~*", "&*", "+@all", "-expire", "-set")
		c := gateTo(t, "redis://gate:pw@"+r.addr, quick, "rules: [{expiry: {max: 1h}}]\n")
		all.want(t, c.do("HSET", "h", "f", "v"), "NOPERM")
		c.want("-NOPERM this user has no permissions to run the 'set' command\r\n", "SET", "a", "v")
	},
	"loading": func(t *testing.T, all *told) {
		r := startRedis(t, "--enable-debug-command", "yes")
		d := dial(t, r.addr)
		d.want(ok, "DEBUG", "POPULATE", "50000")
		d.want(ok, "SAVE")
		r.kill(t)
		r.args = append(r.args, "--key-load-delay", "200", "--loading-process-events-interval-bytes", "1024")
		r.process = startProcess(t, "redis-server", nil, r.args...)
		c := gateTo(t, r.url(), quick, "")
		eventually(t, "it is loading", func() bool { return strings.Contains(c.do("GET", "a"), "LOADING") })
		all.want(t, c.do("GET", "a"), "it refused PING: LOADING Redis is loading the dataset in memory, for longer than upstream.hold (100ms); the command has not run")
	},
	"overloaded": func(t *testing.T, all *told) {
		r := startRedis(t)
		g := startGate(t, "upstream: {url: "+r.url()+", hold: 10s, read_timeout: 30s, max_commands: 2, max_dedicated: 1}\n")
		a, b, c := dial(t, g.addr), dial(t, g.addr), dial(t, g.addr)
		a.want(ok, "SET", "a", "v")
		a.want(ok, "WATCH", "a")
		all.want(t, b.do("WATCH", "a"), "overloaded: 2 connections of one client each, the limit is 1 (upstream.max_dedicated); the command has not run")
		a.want(ok, "UNWATCH")
		r.signal(t, syscall.SIGSTOP)
		all.want(t, firstOf(t, g, 3, "GET", "a"), "overloaded: 3 commands wait for their replies, the limit is 2 (upstream.max_commands); the command has not run")
		all.want(t, c.do("GET", "a"), "the limit is 2 (upstream.max_commands)")
		r.signal(t, syscall.SIGCONT)
		eventually(t, "they have been answered", func() bool { return c.do("GET", "a") == bulk("v") })
	},
	"too many bytes": func(t *testing.T, all *told) {
		r := startRedis(t)
		g := startGate(t, "upstream: {url: "+r.url()+", hold: 10s, read_timeout: 30s, max_in_flight: 64KiB}\n")
		dial(t, g.addr).want(ok, "SET", "a", "v")
		r.signal(t, syscall.SIGSTOP)
		got := firstOf(t, g, 17, "SET", "a", strings.Repeat("v", 8000)) // each counts for a 16th
		all.want(t, got, "overloaded: 69632 bytes of requests wait for their replies, the limit is 64KiB (upstream.max_in_flight); the command has not run")
		r.signal(t, syscall.SIGCONT)
	},
	"no turn": func(t *testing.T, all *told) {
		r := startRedis(t)
		g := startGate(t, "upstream: {url: "+r.url()+", hold: 0, connect_timeout: 300ms, max_connects: 1, breaker: 0}\n")
		dial(t, g.addr).want(ok, "SET", "a", "v")
		r.signal(t, syscall.SIGSTOP)
		var clients []*conn
		for range 5 {
			clients = append(clients, dial(t, g.addr))
			clients[len(clients)-1].send(encode("WATCH", "a"))
		}
		turnless := 0
		for _, c := range clients {
			if got := c.read(); strings.Contains(got, "no turn") {
				turnless++
				all.want(t, got, "overloaded: no turn to connect within 300ms, the limit is 1 at a time (upstream.max_connects); the command has not run")
			}
		}
		if turnless == 0 {
			t.Error("nobody went without a turn")
		}
		r.signal(t, syscall.SIGCONT)
	},
	"no Redis": func(t *testing.T, all *told) {
		web := httptest.NewServer(http.NotFoundHandler())
		defer web.Close()
		c := gateTo(t, strings.Replace(web.URL, "http", "redis", 1), slow, "")
		all.want(t, c.do("GET", "a"), "handshake: not a Redis: ")
	},
	"certificate": func(t *testing.T, all *told) {
		web := httptest.NewTLSServer(http.NotFoundHandler())
		defer web.Close()
		c := gateTo(t, strings.Replace(web.URL, "https", "rediss", 1), slow, "")
		all.want(t, c.do("GET", "a"), "handshake: tls: failed to verify certificate: ")
	},
	"no TLS": func(t *testing.T, all *told) {
		web := httptest.NewServer(http.NotFoundHandler())
		defer web.Close()
		c := gateTo(t, strings.Replace(web.URL, "http", "rediss", 1), slow, "")
		all.want(t, c.do("GET", "a"), "handshake: tls: ")
	},
	"TLS is not answered": func(t *testing.T, all *told) {
		ln, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts; a plain Redis says as little, until it reads the end of a line
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		c := gateTo(t, "rediss://"+ln.Addr().String(), "hold: 500ms, connect_timeout: 300ms", "")
		all.want(t, c.do("GET", "a"), "connect: no answer to TLS within 300ms, for longer than upstream.hold (500ms); the command has not run")
	},
	"still connecting": func(t *testing.T, all *told) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		c := gateTo(t, "redis://"+ln.Addr().String(), "hold: 100ms, connect_timeout: 20s", "")
		all.want(t, c.do("GET", "a"), "connect: still under way, for longer than upstream.hold (100ms); the command has not run")
	},
	"output": func(t *testing.T, all *told) {
		r := startRedis(t)
		c := gateTo(t, r.url(), quick, "limits: {output: 10KiB}\n")
		c.want(ok, "SET", "a", strings.Repeat("v", 6000))
		c.send(encode("GET", "a") + encode("GET", "a"))
		all.want(t, c.read(), "replies above the output limit; the command has run")
	},
	"too old": func(t *testing.T, all *told) {
		c := gateTo(t, "redis://"+oldRedis(t), quick, "rules: [{name: web, expiry: {max: 1h}}]\n")
		eventually(t, "its version is known", func() bool { return strings.Contains(c.do("HSET", "h", "f", "v"), "version") })
		all.want(t, c.do("HSET", "h", "f", "v"), `the upstream has version 6.2.6, and rule "web" needs EXPIRE with NX, LT and GT, which version 7.0 brought; the command has not run`)
		c.want(pong, "PING")
	},
}

// firstOf has so many clients send a command at once, and returns the reply that comes first.
func firstOf(t *testing.T, g *gate, clients int, args ...string) string {
	t.Helper()
	replies := make(chan string, clients)
	for range clients {
		c := dial(t, g.addr)
		c.send(encode(args...))
		go func() {
			reply, _ := readReply(c.r)
			replies <- reply
		}()
	}
	select {
	case reply := <-replies:
		return reply
	case <-time.After(patience):
		t.Fatal("no reply")
		return ""
	}
}

// oldRedis is a server that says it is version 6.2.6, and OK to everything else.
func oldRedis(t *testing.T) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go answerAs(c, "6.2.6")
		}
	}()
	return ln.Addr().String()
}

// answerAs answers commands as a server of that version, until the connection ends.
func answerAs(c net.Conn, version string) {
	defer c.Close()
	r := newConnReader(c)
	for {
		request, err := readReply(r)
		if err != nil {
			return
		}
		reply := ok
		switch upper := strings.ToUpper(request); {
		case strings.Contains(upper, "HELLO"):
			reply = "*4\r\n" + bulk("version") + bulk(version) + bulk("id") + ":7\r\n"
		case strings.Contains(upper, "TIME"):
			reply = "*2\r\n" + bulk(fmt.Sprint(time.Now().Unix())) + bulk("0")
		case strings.Contains(upper, "INFO"):
			reply = bulk("redis_version:" + version + "\r\n")
		case strings.Contains(upper, "PING"):
			reply = pong
		}
		if _, err := c.Write([]byte(reply)); err != nil {
			return
		}
	}
}

// What Redis itself says of its state reaches the client as it is.
func TestOutage_RedisOwnWords(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--maxmemory", "100kb", "--lua-time-limit", "10")
	g := startGate(t, r.upstream())
	c, script := dial(t, g.addr), dial(t, g.addr)
	c.wantPrefix("-OOM command not allowed when used memory > 'maxmemory'.", "SET a v")
	script.send(encode("EVAL", "while true do end", "0"))
	eventually(t, "it is busy", func() bool { return strings.HasPrefix(c.do("GET", "a"), "-BUSY Redis is busy running a script.") })
	c.want(ok, "SCRIPT", "KILL")
	if got := script.read(); !strings.HasPrefix(got, "-ERR Error running script") && !strings.Contains(got, "SCRIPT KILL") {
		t.Errorf("EVAL = %q", got)
	}

	dir := t.TempDir() + "/gone"
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	broken := startRedis(t, "--dir", dir, "--save", "3600 1000")
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	dial(t, broken.addr).line("BGSAVE")
	d := dial(t, startGate(t, broken.upstream()).addr)
	eventually(t, "it can't save", func() bool { return strings.HasPrefix(d.do("SET", "a", "v"), "-MISCONF Redis is configured to save") })

	lost := startRedis(t, "--replica-serve-stale-data", "no")
	dial(t, lost.addr).want(ok, "REPLICAOF", "127.0.0.1", "1")
	e := dial(t, startGate(t, lost.upstream()).addr)
	e.wantPrefix("-MASTERDOWN Link with MASTER is down", "GET a")
}

// Missing permissions are named at the start, with what grants them; and again when the upstream comes back.
func TestOutage_Permissions(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--user", "gate", "on", ">pw", "~*", "&*", "+@all", "-getex", "-pexpire", "-acl")
	g := startGate(t, "upstream: redis://gate:pw@"+r.addr+"\nnamespace: \"app:\"\nrules: [{name: web, expiry: {idle: 30m}}]\n")
	eventually(t, "it is said", func() bool { return strings.Contains(g.out.String(), "rules can't be carried out") })
	for _, part := range []string{"lacks +getex +pexpire, which rule", "remedy: ACL SETUSER gate +getex +pexpire +acl|setuser"} {
		if !strings.Contains(g.out.String(), part) {
			t.Errorf("the log has no %q", part)
		}
	}
	r.kill(t)
	r.start(t)
	eventually(t, "it is said again", func() bool { return strings.Count(g.out.String(), "rules can't be carried out") > 1 })
}

// A server that is too old for a rule is named at the start.
func TestOutage_TooOldAtStart(t *testing.T) {
	t.Parallel()
	g := startGate(t, "upstream: redis://"+oldRedis(t)+"\nrules: [{name: web, expiry: {max: 1h}}]\n")
	eventually(t, "it is said", func() bool {
		return strings.Contains(g.out.String(), "the tenant's commands are refused: the upstream has version 6.2.6")
	})
}
