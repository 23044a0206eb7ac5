package integration_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

const operatorToken = "0123456789abcdef-operator"

// operated is a gate with two tenants and an admin address.
func operated(t *testing.T) (r *redisServer, g *gate, admin, token string) {
	t.Helper()
	r = startRedis(t)
	addr, port := loopback(freePort(t)), loopback(freePort(t))
	g = startGate(t, fmt.Sprintf(`listen: %s
drain: 2s
%sadmin: {listen: %s, token: %s}
tenants:
  - {name: shop, password: shop, namespace: "shop:", rules: [{name: web, expiry: {default: 30m, max: 12h}, size: {value: 64}}]}
  - {name: wiki, password: wiki, namespace: "wiki:"}
`, addr, r.upstream(), port, operatorToken))
	g.addr = addr
	g.waitFor(t, "tcp", addr)
	g.waitFor(t, "tcp", port)
	return r, g, "http://" + port, writeFile(t, "token", operatorToken+"\n")
}

func TestRemote_Sessions(t *testing.T) {
	t.Parallel()
	_, g, admin, token := operated(t)
	c := dial(t, g.addr)
	c.want(ok, "AUTH", "shop")
	for i := range 250 {
		c.want(ok, "SET", fmt.Sprint("sess:", i), "v")
	}
	c.want(ok, "SET", "odd\x1b[2J", "v")
	run := func(wantCode int, args ...string) string {
		t.Helper()
		out, code := gatectl(t, append(args, "--admin", admin, "--token-file", token)...)
		if code != wantCode {
			t.Errorf("%s: ends with %d: %s", strings.Join(args, " "), code, out)
		}
		return out
	}
	if got := run(0, "sessions", "count", "--tenant", "shop"); got != "251\n" {
		t.Errorf("count: %q", got)
	}
	if got := run(0, "sessions", "count", "--tenant", "shop", "--match", "sess:1?", "--json"); !strings.Contains(got, `"count":10`) && !strings.Contains(got, `"count": 10`) {
		t.Errorf("count: %q", got)
	}
	list := run(0, "sessions", "list", "--tenant", "shop", "--limit", "0")
	if n := strings.Count(list, "\n"); n != 252 || !strings.HasPrefix(list, "KEY ") || strings.Contains(list, "\x1b") || strings.Contains(list, "shop:") {
		t.Errorf("list has %d lines:\n%s", n, tail(list, 2000))
	}
	lines := strings.Split(strings.TrimSpace(run(0, "sessions", "list", "--tenant", "shop", "--limit", "20", "--json")), "\n")
	var first struct {
		Key string
		TTL int64 `json:"ttl_ms"`
	}
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil || len(lines) != 20 || first.TTL < 1_700_000 {
		t.Errorf("%d lines, %+v, %v", len(lines), first, err)
	}
	if got := run(0, "sessions", "show", "sess:7", "--tenant", "shop"); !strings.Contains(got, "type   string\nrule   web\nttl    ") {
		t.Errorf("show: %s", got)
	}
	run(1, "sessions", "show", "none", "--tenant", "shop")
	if got := run(1, "sessions", "count"); !strings.Contains(got, "shop, wiki") {
		t.Errorf("without a tenant: %s", got)
	}
	run(0, "sessions", "revoke", "sess:1", "sess:2", "--tenant", "shop")
	run(1, "sessions", "revoke", "sess:1", "--tenant", "shop")
	run(2, "sessions", "revoke", "--all", "--tenant", "shop") // nobody can be asked
	run(2, "sessions", "revoke", "sess:3", "--all", "--tenant", "shop")
	if got := run(0, "sessions", "revoke", "--match", "sess:*", "--rate", "0", "--yes", "--tenant", "shop"); got != "248 revoked\n" {
		t.Errorf("revoke: %q", got)
	}
	c.want(one, "DBSIZE") // the odd one
}

func TestRemote_Views(t *testing.T) {
	t.Parallel()
	r, g, admin, token := operated(t)
	c := dial(t, g.addr)
	c.want(ok, "AUTH", "shop")
	c.want(ok, "CLIENT", "SETNAME", "web-1")
	c.wantPrefix("-DENIED", "SET big "+strings.Repeat("x", 100))
	to := []string{"--admin", admin, "--token-file", token}
	out, code := gatectl(t, append([]string{"clients"}, to...)...)
	if code != 0 || !strings.Contains(out, "web-1") || !strings.Contains(out, "shop") {
		t.Errorf("clients ends with %d: %s", code, out)
	}
	out, code = gatectl(t, append([]string{"top", "--once", "--interval", "100ms"}, to...)...)
	for _, want := range []string{"commands/s", "TENANT", "shop", "wiki", "REFUSED OF", "size", "ready"} {
		if code != 0 || !strings.Contains(out, want) || strings.Contains(out, "\x1b") {
			t.Errorf("top ends with %d, and lacks %q: %s", code, want, out)
		}
	}
	id := fmt.Sprint(c.int("CLIENT", "ID"))
	if out, code := gatectl(t, append([]string{"clients", "kill", id}, to...)...); code != 0 {
		t.Errorf("kill ends with %d: %s", code, out)
	}
	c.closed()

	for _, e := range []struct {
		code int
		args []string
	}{
		{0, []string{"health", "--admin", admin}},
		{0, []string{"health", "--admin", admin, "--ready"}},
		{1, []string{"health", "--admin", "http://" + loopback(freePort(t))}},
		{0, []string{"health", "--listen", g.addr, "--upstream", r.url()}}, // with a PING
		{1, []string{"health", "--listen", loopback(freePort(t)), "--upstream", r.url()}},
		{1, []string{"clients", "--admin", admin}},
		{1, []string{"clients", "--admin", admin, "--token-file", filepath.Join(t.TempDir(), "none")}},
		{0, []string{"health", "--admin", strings.TrimPrefix(admin, "http://")}},
		{2, []string{"clients", "--admin", "ftp://localhost:1"}},
		{2, []string{"clients", "--upstream", r.url()}},
		{2, append([]string{"sessions", "show"}, to...)},
		{2, append([]string{"top", "--interval", "1ms"}, to...)},
	} {
		if out, code := gatectl(t, e.args...); code != e.code || strings.Contains(out, operatorToken) {
			t.Errorf("%s: ends with %d, want %d: %s", strings.Join(e.args, " "), code, e.code, out)
		}
	}
}
