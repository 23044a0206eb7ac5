package integration_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
)

// consultation is what the test looks at of doctor's JSON.
type consultation struct {
	Findings []struct{ Level, About, At, Found, Fix string }
	Sums     map[string]int
}

// doctor runs sessiongate doctor --json to its end.
func doctor(t *testing.T, yaml string, code int, args ...string) (c consultation) {
	t.Helper()
	file := writeFile(t, "doctor.yaml", yaml)
	out, got := gatectl(t, append([]string{"doctor", "--config", file, "--json"}, args...)...)
	if got != code {
		t.Errorf("doctor %q ends with %d, want %d:\n%s", args, got, code, out)
	}
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		t.Fatalf("doctor %q prints %s: %v", args, out, err)
	}
	for _, secret := range append(secrets, "sesame", "upstream-pw") {
		if strings.Contains(out, secret) {
			t.Errorf("doctor shows %q:\n%s", secret, out)
		}
	}
	return c
}

// want looks for a finding with these words in it, and in its remedy.
func (c *consultation) want(t *testing.T, level, about, found, fix string) {
	t.Helper()
	for _, f := range c.Findings {
		if f.Level == level && strings.HasPrefix(f.About, about) && strings.Contains(f.Found, found) && strings.Contains(f.Fix, fix) {
			return
		}
	}
	t.Errorf("there is no %s of %s with %q and the remedy %q in\n%s", level, about, found, fix, c)
}

func (c *consultation) String() string {
	var b strings.Builder
	for _, f := range c.Findings {
		fmt.Fprintf(&b, "%s %s (%s): %s; %s\n", f.Level, f.About, f.At, f.Found, f.Fix)
	}
	return b.String()
}

// Where everything is as it should be, doctor has nothing to say even when it is strict, and leaves nothing behind.
func TestDoctor_Good(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--maxmemory", "100mb", "--appendonly", "yes", "--notify-keyspace-events", "Egx")
	c := dial(t, r.addr)
	c.want(ok, "SET", "app:sess:1", "v", "EX", "60")
	yaml := "listen: " + loopback(freePort(t)) + "\nlimits: {clients: 1000}\n" + r.upstream() + "max_dedicated: 100\npassword: sesame\n" + namespaceApp + expiryRule
	yaml = strings.Replace(yaml, r.upstream()+"max_dedicated: 100\n", "upstream: {url: "+r.url()+", max_dedicated: 100}\n", 1)
	g := startGate(t, yaml)
	addr, _, _ := strings.Cut(strings.TrimPrefix(yaml, "listen: "), "\n")
	g.waitFor(t, "tcp", addr)
	got := doctor(t, yaml, 0, "--strict")
	for _, about := range []string{"files", "open files", "clients", "upstream", "memory", "persistence", "connections", "clock", "timeout", "value size", "notifications", "permissions", "keys"} {
		got.want(t, "ok", about, "", "")
	}
	if len(got.Findings) != got.Sums["ok"] {
		t.Errorf("where all is well doctor says\n%s", &got)
	}
	got.want(t, "ok", "clients", "25 of 25 drivers connect to "+addr, "")
	if keys := c.do("KEYS", "*"); keys != "*1\r\n$10\r\napp:sess:1\r\n" {
		t.Errorf("after doctor there are the keys %q", keys)
	}
	if out, code := gatectl(t, "doctor", "--config", writeFile(t, "doctor.yaml", yaml)); code != 0 || !strings.Contains(out, "ok    upstream ("+r.addr+"): Redis ") || !strings.HasSuffix(out, " ok, 0 note, 0 warn, 0 FAIL\n") {
		t.Errorf("doctor ends with %d and prints\n%s", code, out)
	}
}

// Each setting that will hurt is found, with the line that mends it.
func TestDoctor_Bad(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--maxmemory", "300mb", "--maxmemory-policy", "allkeys-lru", "--timeout", "60", "--tcp-keepalive", "0", "--proto-max-bulk-len", "1mb", "--maxclients", "200")
	c := dial(t, r.addr)
	c.want(ok, "SET", "app:sess:1", "v")
	c.want(ok, "SET", "app:sess:2", "v", "EX", "99999")
	c.want(ok, "SET", "app:other", "v")
	c.want(ok, "ACL", "SETUSER", "gate", "on", ">upstream-pw", "~*", "&*", "+@all", "-expire", "-config|get", "+config|get", "-scan")
	yaml := r.upstream() + namespaceApp + "rules:\n  - {name: web, keys: [\"sess:*\"], expiry: {default: 30m, max: 12h}}\n"
	got := doctor(t, yaml, 0, "--address", "off")
	got.want(t, "warn", "memory", "allkeys-lru, 0% in use: when it is full, sessions end early", "maxmemory-policy noeviction")
	got.want(t, "note", "timeout", "timeout 60 closes", "timeout 0")
	got.want(t, "note", "timeout", "tcp-keepalive 0", "tcp-keepalive 300")
	got.want(t, "warn", "value size", "limits.bulk is 512 MiB", "limits: {bulk: 1MiB}")
	got.want(t, "warn", "connections", "maxclients 200, ", "max_dedicated: 180")
	got.want(t, "note", "notifications", `notify-keyspace-events is ""`, "Egx")
	got.want(t, "note", "persistence", "a restart logs everybody out", "appendonly yes")
	got.want(t, "warn", "keys", `of 3 keys looked at: without an expiry (rule "web"): 1`, "sessiongate audit --config ")
	got.want(t, "warn", "keys", `living longer than the maximum (rule "web"): 1`, "--fix")
	got.want(t, "note", "keys", "may live for ever: 1", "a last rule")
	if doctor(t, yaml, 1, "--address", "off", "--strict"); got.Sums["FAIL"] != 0 {
		t.Errorf("doctor says\n%s", &got)
	}

	// A user that may not do what the rules need, and one that nobody knows.
	as := func(login string) string {
		return strings.Replace(yaml, "redis://", "redis://"+login+"@", 1)
	}
	got = doctor(t, as("gate:upstream-pw"), 1, "--address", "off")
	got.want(t, "FAIL", "permissions", `user "gate" lacks +expire, which rule "web" needs`, "ACL SETUSER gate +expire")
	got.want(t, "warn", "keys", "can't be looked at", "+scan")
	c.want(ok, "ACL", "SETUSER", "gate", "+expire", "+scan", "-info")
	got = doctor(t, as("gate:upstream-pw"), 0, "--address", "off")
	got.want(t, "warn", "upstream", "doesn't tell of itself", "ACL SETUSER gate +info")
	c.want(ok, "ACL", "SETUSER", "gate", "+info", "-time")
	got = doctor(t, as("gate:upstream-pw"), 1, "--address", "off")
	got.want(t, "FAIL", "upstream", "NOPERM", "ACL SETUSER gate +time")
	got = doctor(t, as("gate:wrong-secret"), 1, "--address", "off")
	got.want(t, "FAIL", "upstream", "WRONGPASS", "upstream.password")

	// Full, and shrunk by hand.
	c.want(ok, "CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1")
	got = doctor(t, yaml, 1, "--address", "off")
	got.want(t, "FAIL", "memory", "it is full, and refuses every write", "raise maxmemory")
	c.want(ok, "CONFIG", "SET", "maxmemory-policy", "volatile-lru", "maxmemory", "300mb", "timeout", "1")
	got = doctor(t, yaml, 0, "--address", "off")
	got.want(t, "warn", "memory", "volatile-lru", "volatile-ttl")
	got.want(t, "warn", "timeout", "timeout 1 closes shared connections", "timeout 0")
	c.want(ok, "CONFIG", "SET", "maxmemory", "0")
	got = doctor(t, yaml, 0, "--address", "off")
	got.want(t, "warn", "memory", "maxmemory is 0", "redis.conf: maxmemory ")

	// A replica, and a place where nobody is.
	replica := startRedis(t, "--replicaof", "127.0.0.1 "+port(r.addr))
	got = doctor(t, replica.upstream(), 1, "--address", "off", "--sample", "0")
	got.want(t, "FAIL", "replication", "it is a replica", "name the master")
	got = doctor(t, "upstream: redis://"+loopback(freePort(t))+"\n", 1, "--address", "off")
	got.want(t, "FAIL", "upstream", "connection refused", "start Redis")
}

// What clients meet: nobody there, another password, a password that is only known as a hash.
func TestDoctor_Clients(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	yaml := r.upstream() + namespaceApp + expiryRule
	g := startGate(t, yaml+"password: sesame\n")
	got := doctor(t, yaml+"password: sesame\n", 0, "--address", g.addr)
	got.want(t, "ok", "clients", "25 of 25 drivers connect to "+g.addr, "")
	got = doctor(t, yaml+"password: wrong-secret\n", 1, "--address", g.addr)
	got.want(t, "FAIL", "clients", "WRONGPASS", "SIGHUP")
	got = doctor(t, yaml+"password: sha256:5e884898da28047151d0e56f8dc6292773603d0d6aabbd62a11ef721d1542d8\n"[:len("password: sha256:")]+strings.Repeat("ab", 32)+"\n", 0, "--address", g.addr)
	got.want(t, "note", "clients", "configured as hashes", "--password-file")
	got = doctor(t, yaml+"password: sha256:"+strings.Repeat("ab", 32)+"\n", 0, "--address", g.addr, "--password-file", writeFile(t, "password", "sesame\n"))
	got.want(t, "ok", "clients", "25 of 25", "")
	nobody := loopback(freePort(t))
	got = doctor(t, yaml, 1, "--address", nobody)
	got.want(t, "FAIL", "clients", "connection refused", "start Sessiongate")

	// A rule that refuses a command which a driver needs.
	denying := "namespace: \"app:\"\nrules:\n  - {name: web, commands: {deny: [client|tracking]}}\n"
	g = startGate(t, r.upstream()+denying)
	got = doctor(t, r.upstream()+denying, 0, "--address", g.addr)
	got.want(t, "warn", "client rueidis", "CLIENT TRACKING ON OPTIN is answered -NOPERM", "DisableCache")
	got.want(t, "note", "clients", "24 of 25 drivers", "")

	// An upstream that is gone is told of once.
	r.kill(t)
	got = doctor(t, r.upstream()+denying, 1, "--address", g.addr)
	got.want(t, "FAIL", "clients", "upstream unavailable", "see the findings about the upstream")
	got.want(t, "FAIL", "upstream", "connection refused", "start Redis")
	if got.Sums["FAIL"] != 2 {
		t.Errorf("of a lost upstream doctor says\n%s", &got)
	}
}

// Each tenant at its own door: under TLS, with a certificate that has to be the settings' own, over a UNIX socket, by user and password, at a rate.
func TestDoctor_Tenants(t *testing.T) {
	t.Parallel()
	ca, r := newAuthority(t), startRedis(t)
	cert, key := ca.issue("localhost")
	secure, socket := loopback(freePort(t)), t.TempDir()+"/gate.sock"
	yaml := fmt.Sprintf(`listen: [tls://%s, unix://%s]
tls: {cert: %s, key: %s}
%stenants:
  - {name: shop, user: shop, password: app-secret-1, namespace: "shop:"}
  - {name: blog, password: app-secret-2, namespace: "blog:", rate: {commands: 2000, burst: 100}, rules: [{keys: ["sess:*"], expiry: {default: 30m}}, {keys: ["sess:old:*", "b:*"], expiry: {default: 1h}}]}
`, secure, socket, cert, key, r.upstream())
	g := startGate(t, yaml)
	g.waitFor(t, "tcp", secure)
	for _, address := range []string{"tls://" + secure, "unix://" + socket} {
		got := doctor(t, yaml, 0, "--address", address)
		for _, tenant := range []string{"shop", "blog"} {
			if !strings.Contains(got.String(), "ok clients (tenant "+tenant+"): 25 of 25 drivers connect to "+address) {
				t.Errorf("at %s clients of %s are told\n%s", address, tenant, &got)
			}
		}
		got.want(t, "warn", "configuration", "never matches", "put this rule before")
	}
	got := doctor(t, yaml, 0, "--tenant", "shop")
	if strings.Contains(got.String(), "tenant blog") || !strings.Contains(got.String(), "connect to tls://"+secure) {
		t.Errorf("of shop alone doctor says\n%s", &got)
	}
	other, _ := ca.issue("localhost")
	got = doctor(t, strings.Replace(yaml, "cert: "+cert, "cert: "+other, 1), 1, "--tenant", "shop")
	got.want(t, "FAIL", "clients", "another certificate than the settings have", "")
}

// Secrets that everybody can read.
func TestDoctor_Files(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	password := writeFile(t, "password", "sesame\n")
	yaml := r.upstream() + "password_file: " + password + "\n"
	got := doctor(t, yaml, 0, "--address", "off")
	got.want(t, "ok", "files", "1 with secrets", "")
	if err := os.Chmod(password, 0o644); err != nil {
		t.Fatal(err)
	}
	got = doctor(t, yaml, 0, "--address", "off")
	got.want(t, "warn", "files", "passwords of tenant default can be read by everybody", "chmod o= "+password)
	file := writeFile(t, "open.yaml", r.upstream()+"password: sesame\n")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, code := gatectl(t, "doctor", "--config", file, "--address", "off"); code != 0 || !strings.Contains(out, "warn  files ("+file+"): the configuration, which holds a password or token, can be read by everybody") {
		t.Errorf("doctor ends with %d and prints\n%s", code, out)
	}
	got = doctor(t, "upstream: memory://\n", 0, "--address", "off")
	got.want(t, "warn", "upstream", "Sessiongate's own memory", "redis://")
	for _, args := range [][]string{{"--sample", "-1"}, {"--address", "x"}, {"--tenant", "nosuch"}, {"--address", "redis://:sesame@h:1"}} {
		if out, code := gatectl(t, append([]string{"doctor", "--upstream", r.url()}, args...)...); code != 2 || strings.Contains(out, "sesame") {
			t.Errorf("doctor %q ends with %d: %s", args, code, out)
		}
	}
}

// A Redis Cluster that is named as such, and one that isn't; a tenant behind sentinels.
func TestDoctor_Topologies(t *testing.T) {
	t.Parallel()
	cluster := startCluster(t, 3, 0, setup{})
	yaml := cluster.upstream() + expiryRule
	g := startGate(t, yaml)
	got := doctor(t, yaml, 0, "--address", g.addr)
	got.want(t, "warn", "client rueidis", "CLIENT TRACKING is not possible in front of a cluster", "DisableCache")
	got.want(t, "note", "clients", "24 of 25 drivers", "")
	got.want(t, "ok", "cluster", "it sees the cluster up", "")
	if n := strings.Count(got.String(), "ok upstream"); n != 3 {
		t.Errorf("of three masters doctor looks at %d:\n%s", n, &got)
	}
	_, rest, _ := strings.Cut(cluster.upstream(), "://")
	one, _, _ := strings.Cut(strings.TrimRight(rest, "\"}\n"), ",")
	if _, _, err := net.SplitHostPort(one); err != nil {
		t.Fatalf("%s: %v", one, err)
	}
	got = doctor(t, "upstream: redis://"+one+"\n", 1, "--address", "off")
	got.want(t, "FAIL", "cluster", "it is a node of a Redis Cluster", "redis-cluster://")

	sentinel := startSentinel(t, setup{})
	got = doctor(t, sentinel.upstream()+expiryRule, 0, "--address", "off")
	got.want(t, "ok", "replication", "a master with", "")
	got.want(t, "note", "replication", "a master that is cut off", "min-replicas-to-write 1")
}
