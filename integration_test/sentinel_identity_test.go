package integration_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// secrets are the passwords that tests give to upstreams and sentinels: no log may show them.
var secrets = []string{
	"open: se/same", "open%3A", "upstream secret", "app-pw", "redis-secret", "sentinel-secret-1", "first-secret", "second-secret", "third-secret",
	"wrong-secret", "app-secret-1", "app-secret-2",
}

// recorders are clients that each count in a key of their own and set unique tokens, and remember what was acknowledged.
type recorders struct {
	counts [50]int
	tokens [50]map[string]string
	errs   atomic.Int64
	first  atomic.Pointer[string]
	worst  atomic.Int64 // longest wait for a reply, in nanoseconds
	acked  atomic.Int64

	stop atomic.Bool
	wg   sync.WaitGroup
}

// startRecorders runs clients against addr until end.
func startRecorders(t testing.TB, addr string) *recorders {
	l := &recorders{}
	for i := range l.counts {
		l.tokens[i] = map[string]string{}
		c := dial(t, addr)
		l.wg.Go(func() { l.client(c, i) })
	}
	return l
}

func (l *recorders) client(c *conn, i int) {
	counter := fmt.Sprint("counter:", i)
	for n := 0; !l.stop.Load(); n++ {
		if reply, ok := l.ask(c, "INCR", counter); ok {
			got, _ := strconv.Atoi(strings.TrimSpace(reply[1:]))
			if l.counts[i]++; got != l.counts[i] {
				l.wrong(fmt.Sprintf("%s is %d after %d acknowledged INCR", counter, got, l.counts[i]))
				l.counts[i] = got
			}
		}
		key, token := fmt.Sprint("token:", i, ":", n%100), fmt.Sprint(i, "-", n)
		if _, ok := l.ask(c, "SET", key, token); ok {
			l.tokens[i][key] = token
		}
	}
}

func (l *recorders) wrong(what string) {
	l.errs.Add(1)
	l.first.CompareAndSwap(nil, &what)
}

func (l *recorders) ask(c *conn, args ...string) (string, bool) {
	began := time.Now()
	if _, err := c.Write([]byte(encode(args...))); err != nil {
		l.wrong(err.Error())
		return "", false
	}
	reply, err := readReply(c.r)
	if took := int64(time.Since(began)); took > l.worst.Load() {
		l.worst.Store(took)
	}
	if err != nil || reply[0] == '-' {
		l.wrong(fmt.Sprint(reply, err))
		return "", false
	}
	l.acked.Add(1)
	return reply, true
}

// more waits until n more replies have come.
func (l *recorders) more(t testing.TB, n int64) {
	t.Helper()
	from := l.acked.Load()
	eventually(t, "commands are answered", func() bool { return l.acked.Load() >= from+n })
}

// end stops the clients and holds what was acknowledged against what is there.
func (l *recorders) end(t testing.TB, get func(args ...string) (value, error)) {
	t.Helper()
	l.stop.Store(true)
	l.wg.Wait()
	if n := l.errs.Load(); n > 0 {
		t.Errorf("%d errors, the first is %q", n, *l.first.Load())
	}
	missing := 0
	for i, n := range l.counts {
		if v, err := get("GET", fmt.Sprint("counter:", i)); err != nil || v.text != strconv.Itoa(n) {
			missing++
			t.Errorf("counter %d is %q (%v), want %d", i, v.text, err, n)
		}
		for key, token := range l.tokens[i] {
			if v, err := get("GET", key); err != nil || v.text != token {
				missing++
			}
		}
	}
	if missing > 0 {
		t.Errorf("%d acknowledged writes are missing", missing)
	}
	t.Logf("%d commands acknowledged, %d errors, %d missing, longest stall %v", l.acked.Load(), l.errs.Load(), missing, time.Duration(l.worst.Load()))
}

// A planned failover costs time, no error and no acknowledged write, whatever the driver.
func TestSentinel_PlannedFailover(t *testing.T) {
	for _, driver := range []string{"shared", "go-redis"} {
		t.Run(driver, func(t *testing.T) {
			s := startSentinel(t, setup{password: "open: se/same"})
			g := startGate(t, fmt.Sprintf("upstream: {url: %q, driver: %s, hold: 10s}\n", s.url(), driver))
			l := startRecorders(t, g.addr)
			l.more(t, 500)
			s.failover(t)
			l.more(t, 500)
			s.settle(t)
			s.failover(t)
			l.more(t, 500)
			s.settle(t)
			l.end(t, s.master(t).ask)
			if worst := time.Duration(l.worst.Load()); worst >= 10*time.Second {
				t.Errorf("longest stall %v, want it below the hold", worst)
			}
		})
	}
}

// rotation is a gate before a Redis whose credentials change while clients are served.
type rotation struct {
	*gate
	t     testing.TB
	files map[string]string // paths by name
}

// put replaces a file and waits until the gate has seen it.
func (r *rotation) put(name, text, seen string) {
	r.t.Helper()
	before := strings.Count(r.out.String(), seen)
	replaceFile(r.t, r.files[name], text)
	eventually(r.t, "the log says "+seen, func() bool { return strings.Count(r.out.String(), seen) > before })
}

// replaceFile writes a file as careful programs do, so that no one reads half of it.
func replaceFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// fresh has the gate make a new connection upstream, and another one for scripts.
func (r *rotation) fresh(c *conn) {
	r.t.Helper()
	c.want(ok, "MULTI")
	c.want("+QUEUED\r\n", "EVAL", "return redis.call('INCR', KEYS[1])", "1", "fresh")
	if got := c.do("EXEC"); !strings.HasPrefix(got, "*1\r\n:") {
		r.t.Errorf("EXEC = %q", got)
	}
	if got := c.do("EVAL", "return redis.call('INCR', KEYS[1])", "1", "fresh"); !strings.HasPrefix(got, ":") {
		r.t.Errorf("EVAL = %q", got)
	}
}

// keepsSecret fails the test if one of the secrets is in the log, or in what ps shows.
func (r *rotation) keepsSecret(secrets ...string) {
	r.t.Helper()
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", r.pid()))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, secret := range secrets {
		if strings.Contains(r.out.String(), secret) || strings.Contains(string(args), secret) {
			r.t.Errorf("the secret %q is shown", secret)
		}
	}
}

const takesNew, refusesNew = "upstream takes the new credentials", "upstream refuses the new credentials"

// Passwords change under load, first here and then there, of the upstream of all and of a tenant's own user; no client sees an error.
// A wrong one is logged, and matters only when no connection is left.
func TestIdentity_PasswordRotation(t *testing.T) {
	for _, driver := range []string{"shared", "go-redis"} {
		t.Run(driver, func(t *testing.T) {
			redis := startRedis(t, "--requirepass", "first-secret", "--user", "app", "on", ">app-secret-1", "~*", "&*", "+@all")
			r := &rotation{t: t, files: map[string]string{
				"main": writeFile(t, "main", "first-secret\n"), "app": writeFile(t, "app", "app-secret-1"),
			}}
			one, two := loopback(freePort(t)), loopback(freePort(t))
			r.gate = startGate(t, fmt.Sprintf(`listen: %s
upstream: {url: %q, driver: %s, password_file: %s}
tenants:
- {name: one, listen: %s, namespace: "one:", rules: [{expiry: {max: 1h}}]}
- {name: two, listen: %s, namespace: "two:", upstream: {url: %q, driver: %s, user: app, password_file: %s}}
`, loopback(freePort(t)), redis.url(), driver, r.files["main"], one, two, redis.url(), driver, r.files["app"]))
			r.waitFor(t, "tcp", two)
			admin := dial(t, redis.addr)
			admin.want(ok, "AUTH", "first-secret")
			load := startRecorders(t, one)
			c, d := dial(t, one), dial(t, two)
			r.fresh(c)
			r.fresh(d)

			// Redis learns the new password first ...
			admin.want(ok, "ACL", "SETUSER", "default", ">second-secret")
			r.put("main", "second-secret", takesNew)
			admin.want(ok, "ACL", "SETUSER", "default", "<first-secret")
			r.fresh(c)
			r.fresh(dial(t, one))
			// ... or last: what it takes is used as long as it does.
			r.put("app", "app-secret-2", refusesNew)
			r.fresh(d)
			r.fresh(dial(t, two))
			before := strings.Count(r.out.String(), takesNew)
			admin.want(ok, "ACL", "SETUSER", "app", ">app-secret-2")
			eventually(t, "the new password is taken", func() bool { return strings.Count(r.out.String(), takesNew) > before })
			admin.want(ok, "ACL", "SETUSER", "app", "<app-secret-1")
			r.fresh(d)
			r.fresh(dial(t, two))
			load.more(t, 200)
			load.end(t, func(args ...string) (value, error) {
				return askServer(redis.addr, "second-secret", args[0], "one:"+args[1])
			})

			// A wrong one, and then nobody who takes the old one.
			r.put("main", "wrong-secret", refusesNew)
			r.fresh(c)
			admin.want(ok, "ACL", "SETUSER", "default", "resetpass", ">third-secret")
			c.want(ok, "SET", "still", "up")
			if got := admin.int("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"); got == 0 {
				t.Error("no client killed")
			}
			last := dial(t, one)
			var got string
			eventually(t, "the upstream refuses us", func() bool {
				got = last.do("SET", "a", "b")
				return strings.HasPrefix(got, "-ERR upstream unavailable: ") && strings.Contains(got, "WRONGPASS")
			})
			if want := "it refused our credentials: WRONGPASS"; driver == "shared" && !strings.Contains(got, want) {
				t.Errorf("SET = %q, want %q in it", got, want)
			}
			r.put("main", "third-secret", takesNew)
			eventually(t, "the upstream lets us in", func() bool { return last.do("SET", "a", "b") == ok })
			r.keepsSecret("first-secret", "second-secret", "third-secret", "wrong-secret", "app-secret-1", "app-secret-2")
		})
	}
}

// Certificates and authorities change on both sides, one by one, under load.
func TestIdentity_CertificateRotation(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	old, young := newAuthority(t), newAuthority(t)
	both := writeFile(t, "both.pem", read(old.file)+read(young.file))
	serverCert, serverKey := old.issue("server")
	tlsPort := freePort(t)
	startRedisTLS := func() *redisServer {
		return startRedis(t, "--tls-port", fmt.Sprint(tlsPort), "--tls-cert-file", serverCert, "--tls-key-file", serverKey,
			"--tls-ca-cert-file", old.file, "--tls-auth-clients", "yes", "--tls-session-caching", "no")
	}
	redis := startRedisTLS()
	cert, key := old.issue("gate")
	r := &rotation{t: t, files: map[string]string{
		"ca": writeFile(t, "ca.pem", read(old.file)), "cert": writeFile(t, "cert.pem", read(cert)), "key": writeFile(t, "key.pem", read(key)),
	}}
	r.gate = startGate(t, fmt.Sprintf("upstream: {url: 'rediss://%s', tls: {ca: %s, cert: %s, key: %s, min_version: \"1.3\"}}\nnamespace: 'a:'\n",
		loopback(tlsPort), r.files["ca"], r.files["cert"], r.files["key"]))
	load := startRecorders(t, r.addr)
	admin := dial(t, redis.addr)
	fresh := func() { r.fresh(dial(t, r.addr)); load.more(t, 50) }
	fresh()
	r.put("ca", read(both), takesNew)
	fresh()
	cert, key = young.issue("gate")
	replaceFile(t, r.files["key"], read(key))
	r.put("cert", read(cert), refusesNew) // Redis doesn't know its authority yet
	fresh()
	admin.want(ok, "CONFIG", "SET", "tls-ca-cert-file", both)
	serverCert, serverKey = young.issue("server")
	admin.want(ok, "CONFIG", "SET", "tls-cert-file", serverCert, "tls-key-file", serverKey)
	fresh()
	admin.want(ok, "CONFIG", "SET", "tls-ca-cert-file", young.file)
	r.put("ca", read(young.file), takesNew)
	fresh()
	load.end(t, func(args ...string) (value, error) { return askServer(redis.addr, "", args[0], "a:"+args[1]) })
}

// Sentinels with TLS and a password of their own, before a Redis with another; the files of both passwords change.
func TestSentinel_SecureSentinel(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.issue("server")
	tls := func(port int) []string {
		return []string{"port 0", fmt.Sprint("tls-port ", port), "tls-cert-file " + cert, "tls-key-file " + key, "tls-ca-cert-file " + ca.file,
			"tls-auth-clients no", "tls-replication yes", "bind 127.0.0.1", "dir " + t.TempDir()}
	}
	start := func(name string, lines []string, args ...string) {
		p := startProcess(t, "redis-server", nil, append([]string{writeFile(t, name, strings.Join(lines, "\n")+"\n")}, args...)...)
		t.Cleanup(func() { p.kill(t) })
	}
	redisPort, sentinelPort := freePort(t), freePort(t)
	start("redis.conf", append(tls(redisPort), "requirepass redis-secret", `save ""`))
	start("sentinel.conf", append(tls(sentinelPort), "requirepass sentinel-secret-1",
		fmt.Sprintf("sentinel monitor m 127.0.0.1 %d 1", redisPort), "sentinel auth-pass m redis-secret"), "--sentinel")
	r := &rotation{t: t, files: map[string]string{"redis": writeFile(t, "redis", "redis-secret"), "sentinel": writeFile(t, "sentinel", "wrong-secret")}}
	r.gate = startGate(t, fmt.Sprintf("upstream: {url: 'rediss-sentinel://%s/0?master=m', password_file: %s, tls: {ca: %s}, sentinel: {password_file: %s}}\n",
		loopback(sentinelPort), r.files["redis"], ca.file, r.files["sentinel"]))
	eventually(t, "the sentinel refuses us", func() bool { return strings.Contains(r.out.String(), "WRONGPASS") })
	c := dial(t, r.addr)
	replaceFile(t, r.files["sentinel"], "sentinel-secret-1")
	c.want(ok, "SET", "a", "v")
	eventually(t, "the master is in the log", func() bool { return strings.Contains(r.out.String(), loopback(redisPort)) })
	r.keepsSecret("redis-secret", "sentinel-secret-1", "wrong-secret")
}

// What clients hold on a master that is one no longer is lost, and they are told; scripts find their user on the new one.
func TestSentinel_HeldState(t *testing.T) {
	s := startSentinel(t, setup{password: "redis-secret"})
	r := &rotation{t: t}
	r.gate = startGate(t, fmt.Sprintf("upstream: {url: %q, hold: 10s}\nnamespace: 'a:'\n", s.url()))
	blocked, both, subscribed, watching, other := dial(t, r.addr), dial(t, r.addr), dial(t, r.addr), dial(t, r.addr), dial(t, r.addr)
	r.fresh(other)
	blocked.send(encode("BLPOP", "q", "0"))
	both.want(ok, "WATCH", "k")
	both.send(encode("BLPOP", "q2", "0"))
	subscribed.do("SUBSCRIBE", "news")
	watching.want(ok, "WATCH", "k")
	other.want(one, "PUBLISH", "news", "x")
	subscribed.read()
	s.failover(t)
	r.fresh(other)
	other.want(one, "RPUSH", "q", "e")
	blocked.wantNext("*2\r\n" + bulk("q") + bulk("e")) // it holds nothing there: it waits on
	if got, want := both.readAll(), "-ERR upstream unavailable: connection lost: the master has moved; the command has not run\r\n"; got != want {
		t.Errorf("BLPOP under a watch = %q, want %q", got, want)
	}
	if got := subscribed.readAll(); got != "" {
		t.Errorf("the subscriber gets %q", got)
	}
	watching.send(encode("MULTI") + encode("SET", "k", "v") + encode("EXEC"))
	if got := watching.readAll(); !strings.Contains(got, "the master has moved") || strings.Contains(got, "*1") {
		t.Errorf("a transaction under a watch gets %q", got)
	}
	r.fresh(other)
	blocked.want(ok, "SET", "k", "v")
	if got := dial(t, r.addr).do("SUBSCRIBE", "news"); !strings.HasPrefix(got, "*3\r\n") {
		t.Errorf("SUBSCRIBE = %q", got)
	}
	other.want(one, "PUBLISH", "news", "x")
	r.keepsSecret("redis-secret")
}
