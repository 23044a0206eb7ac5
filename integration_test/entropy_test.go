package integration_test

import "testing"

// Weak ids are refused where they would be made, and nowhere else; through scripts too.
func TestRules_KeyEntropy(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+namespaceApp+"rules:\n  - name: web\n    keys: [\"sess:*\"]\n    expiry: {max: 1h}\n    key_entropy: 64\n")
	p := port(g.addr)
	const weak, strong = "sess:7xk2m9qp4a", "sess:5f4dcc3b5aa765d61d8327deb882cf99"
	const denied = `ERR DENIED key_entropy: 51.7 bits are below the minimum of 64 (rule "web")`
	for _, e := range []struct{ line, want string }{
		{"set " + strong + " v", "OK"},
		{"ttl " + strong, "3600"},
		{"set " + weak + " v", denied[4:]},
		{"rename " + strong + " " + weak, denied[4:]},
		{"eval redis.call('set',KEYS[1],'v') 1 " + weak, denied[4:]},
		{"exists " + weak, "0"},
		{"set other v", "OK"},
	} {
		if got := roundUp(redisCLI(t, "", append([]string{"-p", p}, split(e.line)...)...), e.want); got != e.want {
			t.Errorf("redis-cli %s prints %q, want %q", e.line, got, e.want)
		}
	}
	c, behind := dial(t, g.addr), dial(t, r.addr)
	c.wantPrefix("-", "EVAL \"return redis.call('SET','"+weak+"','v')\" 0")
	c.wantPrefix("-", "EVAL \"return redis.call('SET','app:"+weak+"','v')\" 0")
	behind.want(zero, "EXISTS", "app:"+weak)

	// What was there before the rule lives on, and can end.
	behind.want(ok, "SET", "app:"+weak, "v")
	c.wantLine(bulk("v"), "GET "+weak)
	c.wantLine(one, "EXPIRE "+weak+" 60")
	c.wantLine(ok, "SET "+weak+" w XX EX 60")
	c.wantPrefix("-DENIED key_entropy: 51.7 bits", "SET "+weak+" w")
	got := c.pipeline("MULTI", "SET "+weak+" x", "EXEC")
	if got[0] != ok || got[1][:7] != "-DENIED" || got[2][:10] != "-EXECABORT" {
		t.Errorf("in MULTI: %q", got)
	}
	c.wantLine(one, "DEL "+weak)
}
