package integration_test

import (
	"crypto/tls"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// changing is a gate whose configuration file a test changes.
type changing struct {
	*gate
	t    testing.TB
	path string
	head string // the first lines of each version of the file
	hups int
}

func startChanging(t testing.TB, head, yaml string) *changing {
	t.Helper()
	addr := loopback(freePort(t))
	c := &changing{t: t, head: "listen: " + addr + "\ndrain: 2s\n" + head}
	c.path = writeFile(t, "sessiongate.yaml", c.head+yaml)
	c.gate = runGate(t, program, nil, "serve", "--config", c.path)
	c.addr = addr
	c.waitFor(t, "tcp", addr)
	return c
}

// write puts another version of the file in place, as editors and deployment tools do: at once.
func (c *changing) write(yaml string) {
	c.t.Helper()
	if err := os.WriteFile(c.path+".new", []byte(c.head+yaml), 0o600); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Rename(c.path+".new", c.path); err != nil {
		c.t.Fatal(err)
	}
}

// reload puts another version of the file in force, or has it refused.
func (c *changing) reload(yaml string) {
	c.t.Helper()
	c.write(yaml)
	c.hups++
	c.signal(c.t, syscall.SIGHUP)
	eventually(c.t, "it has reloaded", func() bool { return c.logged(`"why":"SIGHUP"`) == c.hups })
}

func (c *changing) logged(text string) int { return strings.Count(c.out.String(), text) }

// Clients that are at it while the rules change again and again see no error and no end of their connections, and each
// transaction and each command goes by one version of the rules, never by parts of two.
func TestReload_UnderLoad(t *testing.T) {
	t.Parallel()
	const clients, reloads = 50, 200
	r := startRedis(t)
	version := func(n int) string {
		seconds, size := 1000, 100
		if n%2 == 1 {
			seconds, size = 2000, 200
		}
		rules := fmt.Sprintf("rules: [{name: v%d, expiry: {default: %ds, max: %ds}, size: {value: %d}}]", seconds, seconds, seconds, size)
		return fmt.Sprintf("tenants:\n- {name: a, passwords: [one, a%d], namespace: 'a:', %s}\n- {name: b, passwords: [two, b%d], namespace: 'b:', %s}\n", n, rules, n, rules)
	}
	g := startChanging(t, r.upstream(), version(0))
	var wg sync.WaitGroup
	var stop atomic.Bool
	var rounds atomic.Int64
	faults := make(chan string, clients)
	for i := range clients {
		c := dial(t, g.addr)
		c.want(ok, "AUTH", []string{"one", "two"}[i%2])
		wg.Go(func() {
			for n := 0; !stop.Load(); n++ {
				if fault := c.oneVersion(fmt.Sprintf("%d:%d:", i, n), n%3 == 0); fault != "" {
					faults <- fault
					return
				}
				rounds.Add(1)
			}
		})
	}
	for n := 1; n <= reloads && len(faults) == 0; n++ {
		before := rounds.Load()
		g.reload(version(n))
		eventually(t, "clients go on", func() bool { return rounds.Load() > before || len(faults) > 0 })
	}
	stop.Store(true)
	wg.Wait()
	close(faults)
	for fault := range faults {
		t.Error(fault)
	}
	if n := g.logged(`"msg":"reloaded"`); n < reloads {
		t.Errorf("%d reloads, want %d", n, reloads)
	}
	t.Logf("%d clients, %d reloads, %d rounds of 11 commands", clients, g.logged(`"msg":"reloaded"`), rounds.Load())
}

// oneVersion runs a transaction, whole or in two parts, and single commands, and says what shows two versions of the rules, or
// an error.
func (c *conn) oneVersion(prefix string, inParts bool) string {
	first := encode("MULTI") + encode("HSET", prefix+"h", "f", "v")
	second := encode("SET", prefix+"s", "v") + encode("TTL", prefix+"h") + encode("TTL", prefix+"s") + encode("EXEC")
	var parts []part
	if inParts {
		parts = []part{{[]string{first}, 2}, {[]string{second}, 4}}
	} else {
		parts = []part{{[]string{first + second}, 6}}
	}
	parts = append(parts,
		part{[]string{encode("SET", prefix+"long", strings.Repeat("x", 150))}, 1},
		part{[]string{encode("TTL", prefix+"long") + encode("SET", prefix+"p1", "v") + encode("SADD", prefix+"p2", "v") + encode("GET", prefix+"s")}, 4})
	replies, err := c.play(parts, func(string) {})
	if err != nil {
		return err.Error()
	}
	version := func(reply string) string { // of an expiry, which may have lost a second or some
		return strings.TrimSuffix(strings.TrimPrefix(reply, ":"), "\r\n")
	}
	exec, err := parse(replies[5])
	if err != nil || len(exec.elems) != 4 {
		return fmt.Sprintf("EXEC = %s", shorten(replies[5]))
	}
	h, s := exec.elems[2].text, exec.elems[3].text
	if h != s || h != "1000" && h != "2000" {
		return fmt.Sprintf("one transaction gave expiries of %s and %s", h, s)
	}
	switch set, ttl := replies[6], version(replies[7]); {
	case strings.HasPrefix(set, "-DENIED size: value of 150 bytes is above the limit of 100 (rule \"v1000\")") && ttl == "-2":
	case set == ok && (ttl == "2000" || ttl == "1999"):
	default:
		return fmt.Sprintf("SET of 150 bytes = %s with an expiry of %s", shorten(set), ttl)
	}
	if replies[8] != ok || replies[9] != one || replies[10] != bulk("v") {
		return fmt.Sprintf("replies are %q", replies[8:])
	}
	return ""
}

// Passwords come and go, and nobody loses a connection by it; clients of a tenant that is gone do.
func TestReload_Credentials(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	other := "- {name: other, user: other, password: o, namespace: 'o:'}\n"
	g := startChanging(t, r.upstream(), "tenants:\n- {name: a, passwords: [old], namespace: 'a:'}\n"+other)
	a, o := dial(t, g.addr), dial(t, g.addr)
	a.want(ok, "AUTH", "old")
	a.want(ok, "SET", "k", "v")
	o.want(ok, "AUTH", "other", "o")
	login := func(password, want string) {
		t.Helper()
		dial(t, g.addr).wantPrefix(want, "AUTH "+password)
	}
	g.reload("tenants:\n- {name: a, passwords: [old, new], namespace: 'a:'}\n" + other)
	login("old", ok)
	login("new", ok)
	g.reload("tenants:\n- {name: a, passwords: [new], namespace: 'a:'}\n" + other)
	login("old", "-WRONGPASS")
	login("new", ok)
	a.want(bulk("v"), "GET", "k")
	o.want(pong, "PING")

	// A tenant is renamed, that is, gone, and another is there.
	g.reload("tenants:\n- {name: b, passwords: [new], namespace: 'a:', read_only: true}\n" + other)
	a.closed()
	o.want(pong, "PING")
	if g.logged(`"msg":"clients closed: their tenant is no longer configured","tenant":"a","clients":`) != 1 {
		t.Errorf("the log doesn't say why clients were closed")
	}
	b := dial(t, g.addr)
	b.want(ok, "AUTH", "new")
	b.want(bulk("v"), "GET", "k")
	b.want("-NOPERM this tenant is read-only: the 'set' command writes\r\n", "SET", "k", "w")
}

// A bad file changes nothing, is logged with its place, and counted.
func TestReload_BadFile(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	good := "rules: [{expiry: {max: 100s}}]\n"
	g := startChanging(t, r.upstream(), good)
	c := dial(t, g.addr)
	c.want(ok, "SET", "a", "v")
	g.reload("rules: [{expiry: {max: 5 parsecs}}]\nnamspace: x\n")
	for _, want := range []string{g.path + `:4:24: rules[0].expiry.max: `, g.path + `:5:1: namspace: is not a setting; did you mean \"namespace\"?`, "reload failed, nothing has changed"} {
		if g.logged(want) != 1 {
			t.Errorf("the log has %q %d times", want, g.logged(want))
		}
	}
	// An upstream that isn't there is a mistake too.
	g.reload("tenants: [{name: default, password: '', upstream: 'redis://" + loopback(freePort(t)) + "'}]\n")
	if g.logged("tenant default: upstream 127.0.0.1:") != 1 {
		t.Error("the log doesn't say which upstream is not there")
	}
	// What takes a restart is named, and the rest is in force.
	g.reload("limits: {clients: 5}\nthreads: 3\nrules: [{expiry: {max: 200s}}]\n")
	eventually(t, "the log names what takes a restart", func() bool { return g.logged(`"settings":["limits.clients","threads"]`) == 1 })
	c.want(ok, "SET", "b", "v")
	if ttl := c.int("TTL", "b"); ttl < 199 {
		t.Errorf("TTL is %d, want 200", ttl)
	}
	if ttl := c.int("TTL", "a"); ttl > 100 {
		t.Errorf("TTL is %d, want 100", ttl)
	}
	info := c.do("INFO")
	for _, want := range []string{"sessiongate_reloads:1\r\n", "sessiongate_failed_reloads:2\r\n"} {
		if !strings.Contains(info, want) {
			t.Errorf("INFO doesn't say %q", want)
		}
	}
}

// Without a signal: the file, a password's file and a certificate's are noticed when they change.
func TestReload_Watch(t *testing.T) {
	t.Parallel()
	r, ca := startRedis(t), newAuthority(t)
	cert, key := ca.issue("first")
	secret := writeFile(t, "password", "one\n")
	addr := loopback(freePort(t))
	yaml := fmt.Sprintf("tls: {cert: %s, key: %s}\ntenants: [{name: a, password_file: %s, namespace: 'a:', listen: 'tls://%s'}]\n", cert, key, secret, addr)
	g := startChanging(t, r.upstream(), yaml)
	name := func() string {
		c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: ca.pool})
		if err != nil {
			return err.Error()
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := name(); got != "first" {
		t.Errorf("the certificate is %q", got)
	}
	stays := dialTLS(t, addr, &tls.Config{RootCAs: ca.pool})
	stays.want(ok, "AUTH", "one")

	if err := os.WriteFile(secret, []byte("two\nthree\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the password's file is noticed", func() bool { return dial(t, g.addr).do("AUTH", "three") == ok })
	dial(t, g.addr).wantPrefix("-WRONGPASS", "AUTH one")

	second, secondKey := ca.issue("second")
	for from, to := range map[string]string{second: cert, secondKey: key} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the certificate is noticed", func() bool { return name() == "second" })

	g.write(yaml + "commands: {learn: true}\n")
	eventually(t, "the file is noticed", func() bool { return g.logged(`"settings":["commands.learn"]`) == 1 })
	g.write("tenants: [{nome: a}]\n")
	eventually(t, "the bad file is noticed", func() bool { return g.logged("tenants[0].nome: is not a setting") == 1 })
	g.write(yaml)
	eventually(t, "the good file is noticed", func() bool { return g.logged(`"msg":"reloaded"`) >= 4 })
	if n := g.logged("tenants[0].nome: is not a setting"); n != 1 {
		t.Errorf("the mistake is logged %d times", n)
	}
	stays.want(pong, "PING")
}

// A tenant that moves takes its clients along, but for those that hold something where it was.
func TestReload_Moves(t *testing.T) {
	t.Parallel()
	r, other := startRedis(t), startRedis(t)
	tenant := func(settings string) string { return "tenants: [{name: a, password: '', " + settings + "}]\n" }
	g := startChanging(t, r.upstream(), tenant("namespace: 'a:'"))
	c, idle, subscriber, watcher, inTx := dial(t, g.addr), dial(t, g.addr), dial(t, g.addr), dial(t, g.addr), dial(t, g.addr)
	inTx.want(ok, "MULTI")
	inTx.want("+QUEUED\r\n", "SET", "tx", "1")
	c.want(ok, "SET", "k", "a")
	idle.want(bulk("a"), "GET", "k")
	subscriber.do("SUBSCRIBE", "ch")
	watcher.want(ok, "WATCH", "k")

	g.reload(tenant("namespace: 'b:'"))
	c.want(null, "GET", "k")
	c.want(ok, "SET", "k", "b")
	subscriber.closed()
	watcher.closed()
	inTx.want("*1\r\n+OK\r\n", "EXEC") // where it began
	inTx.want(bulk("b"), "GET", "k")
	direct := dial(t, r.addr)
	if got := strings.Join(direct.list("KEYS", "*"), " "); got != "a:k a:tx b:k" {
		t.Errorf("keys are %s", got)
	}

	g.reload(tenant("namespace: 'b:', db: 3"))
	c.want(null, "GET", "k")
	c.want(ok, "SET", "k", "db3")
	c.want(ok, "SELECT", "0")
	c.want(bulk("b"), "GET", "k")

	g.reload(tenant("namespace: 'b:', upstream: '" + other.url() + "'"))
	for _, each := range []*conn{c, idle, inTx} {
		each.want(null, "GET", "k")
	}
	c.want(ok, "SET", "k", "other")
	dial(t, other.addr).want(bulk("other"), "GET", "b:k")
	c.want("*1\r\n$1\r\nk\r\n", "KEYS", "*")

	// Back again, whereupon the other upstream is left, though one client says nothing.
	g.reload(tenant("namespace: 'b:'"))
	c.want(bulk("b"), "GET", "k")
	watch := dial(t, other.addr)
	eventually(t, "the other upstream is left", func() bool { return !strings.Contains(watch.do("CLIENT", "LIST"), "name=sessiongate") })
	idle.want(bulk("b"), "GET", "k")
}

// By redis-cli: what an operator does and sees.
func TestReload_RedisCLI(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startChanging(t, r.upstream(), "rules: [{name: web, expiry: {max: 10m}}]\n")
	cli := func(args ...string) string { return redisCLI(t, "", append([]string{"-p", port(g.addr)}, args...)...) }
	cli("set", "k", "v")
	if got := cli("ttl", "k"); got != "600" && got != "599" {
		t.Errorf("ttl is %s", got)
	}
	g.reload("rules: [{name: web, expiry: {max: 1h, default: 20m}, commands: {deny: [keys]}}]\n")
	cli("set", "k", "v")
	if got := cli("ttl", "k"); got != "1200" && got != "1199" {
		t.Errorf("ttl is %s", got)
	}
	if got, want := cli("keys", "*"), "NOPERM this rule does not allow the 'keys' command (rule \"web\")"; !strings.Contains(got, want) {
		t.Errorf("keys prints %q", got)
	}
	if got := cli("info"); !strings.Contains(got, "sessiongate_reloads:1") {
		t.Errorf("info prints %q", got)
	}
	g.reload("rules: [{name: web, expiry: {max: 1h}}]\ncommands: {custom: [{name: my.get, keys: 1}]}\n")
	if g.logged(`"msg":"commands added","names":["MY.GET"]`) != 1 {
		t.Error("the log doesn't say that a command was added")
	}
}

// A subscriber that was there before there were rules hears what its own transaction publishes under them.
func TestReload_Subscriber(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startChanging(t, r.upstream(), "")
	c := dial3(t, g.addr)
	c.send(encode("SUBSCRIBE", "ch"))
	c.read()
	g.reload(expiryRule)
	c.want(ok, "SET", "k", "v")
	c.want(":1800\r\n", "TTL", "k")
	c.send(encode("MULTI") + encode("PUBLISH", "ch", "m") + encode("HSET", "h", "a", "b") + encode("EXEC"))
	var replies []string
	heard := ""
	for len(replies) < 4 {
		reply, err := c.reply(func(push string) { heard += push })
		if err != nil {
			t.Fatal(err)
		}
		replies = append(replies, reply)
	}
	if exec := "*2\r\n:1\r\n:1\r\n"; replies[3] != exec || heard != ">3\r\n"+bulk("message")+bulk("ch")+bulk("m") {
		t.Errorf("EXEC = %q, want %q; heard %q", replies[3], exec, heard)
	}
}
