package integration_test

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// What people do first: redis-cli and redis-benchmark.
func TestRedisCLI(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"password: sesame\n"+namespaceApp+expiryRule)
	p := port(g.addr)
	cli := func(args ...string) string {
		t.Helper()
		return redisCLI(t, "", append([]string{"-p", p, "-a", "sesame", "--no-auth-warning"}, args...)...)
	}
	for _, e := range []struct{ line, want string }{
		{"set sess:1 v", "OK"}, {"ttl sess:1", "1800"}, {"-3 get sess:1", "v"}, {"-n 1 get sess:1", ""}, {"-n 1 set other v", "OK"},
		{"--raw keys *", "sess:1"}, {"--scan", "sess:1"}, {"--scan --pattern sess*", "sess:1"}, {"--json get sess:1", `"v"`},
		{"--user default get sess:1", "v"}, {"echo hi", "hi"}, {"foo", "ERR unknown command 'foo', with args beginning with: "},
		{"-x set sess:2", "OK"}, {"-r 3 incr counter", "1\n2\n3"}, {"--csv mget sess:1 none", `"v",NULL`},
	} {
		if got := strings.TrimSpace(cli(strings.Fields(e.line)...)); got != strings.TrimSpace(e.want) {
			t.Errorf("redis-cli %s prints %q, want %q", e.line, got, e.want)
		}
	}
	if got := redisCLI(t, "", "-p", p, "get", "sess:1"); !strings.Contains(got, "NOAUTH") {
		t.Errorf("without a password redis-cli prints %q", got)
	}
	// As at the prompt.
	got := redisCLI(t, "auth sesame\nset a \"x y\"\nget a\nhello 3\nget none\nquit\n", "-p", p)
	if !strings.HasPrefix(got, "OK\nOK\nx y\n") {
		t.Errorf("a session prints %q", got)
	}

	// Mass insertion.
	var mass strings.Builder
	for i := range 10_000 {
		mass.WriteString(encode("SET", fmt.Sprintf("mass:%d", i), "v"))
	}
	if got := redisCLI(t, mass.String(), "-p", p, "-a", "sesame", "--no-auth-warning", "--pipe"); !strings.Contains(got, "errors: 0, replies: 10000") {
		t.Errorf("redis-cli --pipe prints %q", got)
	}
	if got := dial(t, r.addr).int("DBSIZE"); got < 10_000 {
		t.Errorf("there are %d keys upstream after mass insertion", got)
	}
	if got := strings.Fields(cli("--scan", "--pattern", "mass:*")); len(got) != 10_000 || slices.Contains(got, "app:mass:1") {
		t.Errorf("--scan finds %d keys, want 10000", len(got))
	}
	if out, err := exec.Command("redis-benchmark", "-p", p, "-a", "sesame", "-n", "2000", "-c", "20", "-P", "8", "-t", "set,get,incr", "-q").CombinedOutput(); err != nil || strings.Contains(string(out), "rror") {
		t.Errorf("redis-benchmark: %v\n%s", err, out)
	}
}

// The tools that go over all keys, and scripts, through a gate without rules.
func TestRedisCLI_Transparent(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	p := port(startGate(t, r.upstream()).addr)
	for _, e := range []struct{ args, want string }{
		{"set a v", "OK"}, {"rpush l 1 2 3", "3"}, {"--bigkeys", "Biggest"}, {"eval return(redis.call('get',KEYS[1])) 1 a", "v"},
		{"info server", "redis_version:7"}, {"client list", "id="}, {"config get maxmemory", "maxmemory"}, {"--cluster-yes get a", "v"},
	} {
		if got := redisCLI(t, "", append([]string{"-p", p}, strings.Fields(e.args)...)...); !strings.Contains(got, e.want) {
			t.Errorf("redis-cli %s prints %q, want %q in it", e.args, got, e.want)
		}
	}
	// Lines as nc would send them.
	c := dial(t, "127.0.0.1:"+p)
	c.send("SET inline \"hello world\"\r\nget inline\nPING\r\n")
	if got, want := c.read()+c.read()+c.read(), ok+bulk("hello world")+pong; got != want {
		t.Errorf("inline commands = %q, want %q", got, want)
	}
}
