package integration_test

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Two tenants on one server say random commands about the same keys, at the same time. Each gets, byte for byte, what it would
// get from a server of its own, so neither sees the other.
func TestTenants_Differential(t *testing.T) {
	t.Parallel()
	n := randomCommands(t, 3000)
	for _, seed := range randomSeeds(t) {
		for resp := 2; resp <= 3; resp++ {
			t.Run(fmt.Sprintf("RESP%d/seed %d", resp, seed), func(t *testing.T) {
				t.Parallel()
				besideEachOther(t, resp, seed, n)
			})
		}
	}
}

func besideEachOther(t *testing.T, resp int, seed uint64, n int) {
	args := []string{"--hash-max-listpack-value", "1000000000", "--zset-max-listpack-value", "1000000000", "--slowlog-log-slower-than", "-1", "--rdbcompression", "no"}
	behind := startRedis(t, args...)
	addrs := []string{loopback(freePort(t)), loopback(freePort(t))}
	g := startGate(t, behind.upstream()+fmt.Sprintf("tenants:\n- {name: a, listen: '%s', namespace: 'app:'}\n- {name: b, listen: '%s', namespace: 'aqq:'}\n", addrs[0], addrs[1]))
	var both []*differential
	for i, addr := range addrs {
		g.waitFor(t, "tcp", addr)
		plain := startRedis(t, args...)
		d := &differential{t: t, seed: seed, chance: rand.New(rand.NewPCG(seed, uint64(10+i))), bench: bench{
			mode: mode{name: "tenant", prefix: []string{"app:", "aqq:"}[i]}, resp: resp, plain: dial(t, plain.addr), behind: dial(t, behind.addr),
			plainAddr: plain.addr, gateAddr: addr,
		}}
		avoid := named(avoidAlways + " " + avoidNamespaced)
		for name := range holdsOrHarms {
			avoid[name] = true
		}
		d.speaker = newSpeaker(seed, uint64(20+i), resp, dialect{alike: true, avoid: avoid, limit: 1000}, readDocs(d.plain), dumps(d.plain), time.Now())
		both = append(both, d)
	}
	for _, d := range both {
		d.start()
	}
	for sent := 0; sent < n; {
		faults := make([]string, len(both))
		var wg sync.WaitGroup
		for i, d := range both {
			var steps []step
			for depth := 1 + d.chance.IntN(40); len(steps) < depth; {
				u := d.speaker.unit()
				for i := range u {
					if byTheMillisecond(u[i].args) {
						u[i].alike = sameKind
					}
				}
				if !slices.ContainsFunc(u, unlike) {
					steps = append(steps, u...)
				}
			}
			sent += len(steps)
			parts := cut(d.chance, steps)
			wg.Go(func() { faults[i] = d.try(steps, parts) })
		}
		wg.Wait()
		for i, fault := range faults {
			if fault != "" {
				t.Fatalf("seed %d, tenant %d, after %d commands: %s", seed, i, sent, fault)
			}
		}
	}
	for i, d := range both {
		d.ofItsOwn(t, both[1-i].prefix)
	}
}

// unlike reports whether two servers answer differently, as may happen to a damaged line: where an ID of a stream comes from the
// clock, and where what is added to SCAN is taken for the value of its last option.
func unlike(s step) bool {
	last := s.args[len(s.args)-1]
	switch strings.ToLower(s.args[0]) {
	case "xadd":
		return slices.ContainsFunc(s.args, func(arg string) bool { return strings.HasSuffix(arg, "*") })
	case "scan":
		return slices.ContainsFunc([]string{"MATCH", "COUNT", "TYPE"}, func(option string) bool { return strings.EqualFold(last, option) })
	}
	return false
}

// byTheMillisecond reports whether the answer depends on when exactly an expiry was set.
func byTheMillisecond(args []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool { return strings.EqualFold(arg, "LT") || strings.EqualFold(arg, "GT") })
}

// ofItsOwn compares what the tenant has upstream with what its own server has.
func (d *differential) ofItsOwn(t *testing.T, other string) {
	t.Helper()
	for _, db := range []string{"1", "0"} {
		d.plain.want(ok, "SELECT", db)
		d.behind.want(ok, "SELECT", db)
		want := d.plain.list("KEYS", "*")
		var got []string
		for _, key := range d.behind.list("KEYS", "*") {
			if bare, mine := strings.CutPrefix(key, d.prefix); mine {
				got = append(got, bare)
			} else if !strings.HasPrefix(key, other) && !slices.Contains(foreign, key) {
				t.Errorf("%q is outside of both namespaces", key)
			}
		}
		if len(got)+len(want) > 0 && !slices.Equal(got, want) {
			t.Errorf("keys of %s in database %s are %q, want %q", d.prefix, db, got, want)
			continue
		}
		for _, key := range want {
			if want, got := d.plain.do("DUMP", key), d.behind.do("DUMP", d.prefix+key); len(want) != len(got) {
				t.Errorf("%q holds %s, want %s", key, shorten(got), shorten(want))
			}
		}
	}
}

// By redis-cli, through a live server: every way to be a tenant's client, and what sets tenants apart.
func TestTenants_RedisCLI(t *testing.T) {
	t.Parallel()
	r, own := startRedis(t), startRedis(t)
	hashed, code := gatectlStdin(t, "carla's\n", "hash")
	if code != 0 {
		t.Fatalf("hash ends with %d: %s", code, hashed)
	}
	private := loopback(freePort(t))
	locked := loopback(freePort(t))
	g := startGate(t, r.upstream()+fmt.Sprintf(`tenants:
- {name: shop, passwords: [first, "sha256:16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4"], namespace: "shop:", rules: [{expiry: {default: 30m}}]}
- {name: carla, user: carla, password: "%s", namespace: "carla:"}
- {name: reader, user: reader, password: r, namespace: "reader:", read_only: true}
- {name: private, listen: "%s", namespace: "private:"}
- {name: locked, listen: "%s", password: l, namespace: "locked:"}
- {name: elsewhere, user: elsewhere, password: e, upstream: "%s", namespace: "shop:", db: 2}
- {name: few, user: few, password: f, namespace: "few:", clients: 1}
- {name: slow, user: slow, password: s, namespace: "slow:", rate: {commands: 1, burst: 5}}
`, strings.TrimSpace(hashed), private, locked, own.url()))
	g.waitFor(t, "tcp", private)
	cli := func(who, line string) string {
		t.Helper()
		args := []string{"-p", port(g.addr), "--no-auth-warning"}
		switch user, password, named := strings.Cut(who, "/"); {
		case who == "private":
			args[1] = port(private)
		case strings.HasPrefix(who, "locked"):
			args = append([]string{"-p", port(locked), "--no-auth-warning"}, strings.Fields(password)...)
		case named:
			args = append(args, "--user", user, "-a", password)
		default:
			args = append(args, "-a", who)
		}
		return redisCLI(t, "", append(args, strings.Fields(line)...)...)
	}
	for _, e := range []struct{ who, line, want string }{
		{"first", "set k shop", "OK"}, {"second", "get k", "shop"}, {"first", "ttl k", "1800"}, {"third", "get k", "NOAUTH"},
		{"carla/carla's", "get k", ""}, {"carla/carla's", "set k carla", "OK"}, {"carla/" + strings.TrimSpace(hashed), "get k", "NOAUTH"},
		{"carla/first", "get k", "NOAUTH"}, {"first", "get k", "shop"}, {"first", "keys *", "k"}, {"carla/carla's", "dbsize", "1"},
		{"reader/r", "get k", ""}, {"reader/r", "set k v", "NOPERM this tenant is read-only: the 'set' command writes"},
		{"private", "get k", ""}, {"private", "set k private", "OK"}, {"private", "keys *", "k"},
		{"locked", "get k", "NOAUTH"}, {"locked/-a l", "get k", ""}, {"locked/-a first", "get k", "NOAUTH"},
		{"elsewhere/e", "get k", ""}, {"elsewhere/e", "set k elsewhere", "OK"}, {"elsewhere/e", "-n 1 get k", ""},
		{"elsewhere/e", "eval return(redis.call('get',KEYS[1])) 1 k", "elsewhere"}, // scripts are kept in there too
		{"elsewhere/e", "eval return(redis.call('get','other')) 0", "can't access"},
		{"carla/carla's", "eval return(redis.call('get','shop:k')) 0", "can't access"}, {"carla/carla's", "eval return(redis.call('get',KEYS[1])) 1 k", "carla"},
		{"carla/carla's", "-n 1 get k", ""}, {"carla/carla's", "client list", "user=carla"}, {"carla/carla's", "flushall", "OK"}, {"first", "get k", "shop"}, {"private", "get k", "private"}, {"elsewhere/e", "client info", "db=2"},
		{"few/f", "ping", "PONG"}, {"few/f", "ping", "PONG"},
	} {
		if got := cli(e.who, e.line); !strings.Contains(got, e.want) || e.want == "" && got != "" {
			t.Errorf("%s: redis-cli %s prints %q, want %q", e.who, e.line, got, e.want)
		}
	}
	direct := dial(t, own.addr)
	direct.want(ok, "SELECT", "2")
	direct.want(bulk("elsewhere"), "GET", "shop:k")

	first, second := dial(t, g.addr), dial(t, g.addr)
	first.want(ok, "AUTH", "few", "f")
	second.want("-DENIED clients: this would be client 2 of tenant \"few\", which may have 1\r\n", "AUTH", "few", "f")
	first.want(ok, "QUIT")
	eventually(t, "there is room again", func() bool { return second.do("AUTH", "few", "f") == ok })

	got := redisCLI(t, strings.Repeat("ping\n", 20), "-p", port(g.addr), "--user", "slow", "-a", "s", "--no-auth-warning")
	if n := strings.Count(got, "PONG"); n < 4 || n > 7 || !strings.Contains(got, "DENIED rate: the limit is 1 commands a second, 5 at once; ") {
		t.Errorf("20 pings at a rate of 1, 5 at once, print %s", got)
	}
}

// A transaction that exceeds the rate fails as a whole, and leaves nothing behind.
func TestTenants_RateInTransaction(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"namespace: \"a:\"\nrate: {commands: 1, burst: 3}\n")
	c := dial(t, g.addr)
	replies := c.pipeline("MULTI", "SET a 1", "SET b 1", "SET c 1", "SET d 1", "SET e 1", "EXEC")
	if !strings.HasPrefix(replies[5], "-DENIED rate: ") || !strings.HasPrefix(replies[6], "-EXECABORT") {
		t.Errorf("replies are %q", replies)
	}
	dial(t, r.addr).want(empty, "KEYS", "*")
	c.want(ok, "QUIT")
}

// Clients are told apart by their certificates.
func TestTenants_Certificates(t *testing.T) {
	t.Parallel()
	r, ca := startRedis(t), newAuthority(t)
	cert, key := ca.issue("server")
	addr := loopback(freePort(t))
	g := startGate(t, fmt.Sprintf("listen: tls://%s\ntls: {cert: %s, key: %s, client_ca: %s}\n%s", addr, cert, key, ca.file, r.upstream())+
		"tenants:\n- {name: a, cert: CN=app1, namespace: 'a:'}\n- {name: b, cert: 'CN=app2', password: pw, namespace: 'b:'}\n")
	g.waitFor(t, "tcp", addr)
	as := func(name string) *conn {
		config := &tls.Config{RootCAs: ca.pool}
		if name != "" {
			pair, err := tls.LoadX509KeyPair(ca.issue(name))
			if err != nil {
				t.Fatal(err)
			}
			config.Certificates = []tls.Certificate{pair}
		}
		return dialTLS(t, addr, config)
	}
	as("app1").want(ok, "SET", "k", "a")
	as("app2").want(null, "GET", "k")
	as("app2").want(ok, "SET", "k", "b")
	as("app1").want(bulk("a"), "GET", "k")
	for _, name := range []string{"", "app3"} {
		c := as(name)
		c.wantPrefix("-NOAUTH", "GET k")
		c.want(ok, "AUTH", "pw")
		c.want(bulk("b"), "GET", "k")
		c.want("+RESET\r\n", "RESET")
		c.wantPrefix("-NOAUTH", "GET k")
	}
	c := as("app1")
	c.want(ok, "AUTH", "pw")
	c.want(bulk("b"), "GET", "k")
	c.want("+RESET\r\n", "RESET")
	c.want(bulk("a"), "GET", "k")
}

// A thousand wrong passwords a second from one client slow nobody else: neither those who are in, nor those who log in,
// whichever way their passwords are kept.
func TestTenants_WrongPasswords(t *testing.T) {
	r := startRedis(t)
	hashed, _ := gatectlStdin(t, "slow\n", "hash")
	g := startPlainGate(t, r.upstream()+fmt.Sprintf("tenants:\n- {name: a, password: plain, namespace: 'a:'}\n- {name: b, user: b, password: '%s', namespace: 'b:'}\n", strings.TrimSpace(hashed)))
	in := dial(t, g.addr)
	in.want(ok, "AUTH", "plain")
	measure := func(name string, what func()) time.Duration {
		var took []time.Duration
		for range 500 {
			start := time.Now()
			what()
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		t.Logf("%-32s median %8v, 99%% %8v, slowest %8v", name, took[250], took[495], took[499])
		return took[495]
	}
	login := func(args ...string) func() {
		return func() {
			c := dial(t, g.addr)
			c.want(ok, args...)
			c.Close()
		}
	}
	quiet := measure("GET", func() { in.want(null, "GET", "k") })
	measure("AUTH", login("AUTH", "plain"))

	var sent, stop atomic.Int64
	attackers := attack(t, g.addr, &sent, &stop)
	eventually(t, "the attack is on", func() bool { return sent.Load() > 1000 })
	start, before := time.Now(), sent.Load()
	dial(t, g.addr).want(ok, "AUTH", "b", "slow") // for the first time: it has to be hashed
	first := time.Since(start)
	loaded := measure("GET, under attack", func() { in.want(null, "GET", "k") })
	plain := measure("AUTH, under attack", login("AUTH", "plain"))
	known := measure("AUTH of a hashed password, under attack", login("AUTH", "b", "slow"))
	rate := float64(sent.Load()-before) / time.Since(start).Seconds()
	t.Logf("%.0f wrong passwords a second; the first AUTH of a hashed password took %v", rate, first)
	stop.Store(1)
	attackers.Wait()
	if rate < 1000 {
		t.Log("less than a thousand a second: the machine is too slow to tell more")
	}
	for name, got := range map[string]time.Duration{"GET": loaded, "AUTH": plain, "AUTH of a hashed password": known, "the first AUTH of it": first / 10} {
		if limit := max(50*time.Millisecond, 20*quiet); got > limit {
			t.Errorf("%s takes %v under attack, want %v at most", name, got, limit)
		}
	}
	if info := in.do("INFO"); strings.Contains(info, "sessiongate_failed_logins:0\r\n") {
		t.Error("nobody has counted")
	}
	if n := strings.Count(g.out.String(), "wrong password"); n < 1 || n > 3 {
		t.Errorf("the log has %d lines on wrong passwords", n)
	}
}

// Who waits for the answer to a wrong password is let go when it leaves, and keeps the program from nothing.
func TestTenants_WrongPasswordsEnd(t *testing.T) {
	t.Parallel()
	r, addr := startRedis(t), loopback(freePort(t))
	g := startGate(t, "listen: "+addr+"\ndrain: 1m\npassword: sesame\n"+r.upstream())
	g.waitFor(t, "tcp", addr)
	in := dial(t, addr)
	in.want(ok, "AUTH", "sesame")
	wrong := strings.Repeat(encode("AUTH", "wrong"), 8) // 100 ms + 200 + ... + 3.2 s + 3.2 s + 3.2 s
	for range 3 {
		c := dial(t, addr)
		c.send(wrong)
		c.Close()
	}
	start := time.Now()
	eventually(t, "those that have left are forgotten", func() bool { return strings.Contains(in.do("INFO"), "sessiongate_connected_clients:1\r\n") })
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("clients that have left stay for %v", took)
	}
	waits := dial(t, addr)
	waits.send(wrong)
	waits.wantPrefix("-WRONGPASS", "PING")
	start = time.Now()
	g.signal(t, syscall.SIGTERM)
	<-g.done
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the program takes %v to end", took)
	}
}

// attack sends wrong passwords, paced at a little above a thousand a second, from another address: each on a connection of its own
// that is left before the answer comes, half of them for a user whose password is hashed.
func attack(t *testing.T, addr string, sent, stop *atomic.Int64) *sync.WaitGroup {
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: patience}
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			user := []string{"default", "b"}[i%2]
			pace := time.NewTicker(3 * time.Millisecond) // of one in each of 6 goroutines
			defer pace.Stop()
			for n := 0; stop.Load() == 0; n++ {
				<-pace.C
				c, err := from.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				fmt.Fprint(c, encode("AUTH", user, fmt.Sprint("wrong", n)))
				sent.Add(1)
				c.Close()
			}
		})
	}
	return &wg
}
