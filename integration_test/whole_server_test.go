package integration_test

import (
	"strings"
	"testing"
)

// What the server tells of itself is true for the tenant.
func TestWholeServer(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--slowlog-log-slower-than", "0", "--slowlog-max-len", "100000")
	direct := dial(t, r.addr)
	g := startGate(t, r.upstream()+namespaceApp)
	for _, dialer := range []func(testing.TB, string) *conn{dial, dial3} {
		c := dialer(t, g.addr)
		direct.want(ok, "SET", "foreign", "secret")
		c.want(ok, "MSET", "a", "1", "b", "2")
		c.want(ok, "SET", "s", "v", "EX", "100")
		c.want(ok, "SELECT", "3")
		c.want(ok, "SET", "three", "v")
		c.want(ok, "SELECT", "0")

		info := c.do("INFO", "keyspace")
		if !strings.Contains(info, "\r\ndb0:keys=3,expires=1,avg_ttl=") || !strings.Contains(info, "\r\ndb3:keys=1,expires=0,avg_ttl=0\r\n") {
			t.Errorf("INFO keyspace = %q", info)
		}
		if all := c.do("INFO"); strings.Contains(all, ":keys=") || !strings.Contains(all, "# Server") {
			t.Errorf("INFO = %q", all)
		}
		log := c.do("SLOWLOG", "GET", "-1")
		for _, want := range []string{"$4\r\nMSET\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n", "$3\r\nSET\r\n$5\r\nthree\r\n"} {
			if !strings.Contains(log, want) {
				t.Errorf("SLOWLOG GET has no %q: %q", want, shorten(log))
			}
		}
		for _, never := range []string{"app:", "secret", "127.0.0.1"} {
			if strings.Contains(log, never) {
				t.Errorf("SLOWLOG GET has %q", never)
			}
		}
		if got := c.do("SLOWLOG", "GET", "1"); !strings.HasPrefix(got, "*1\r\n*6\r\n") {
			t.Errorf("SLOWLOG GET 1 = %q", got)
		}
		if n := c.int("SLOWLOG", "LEN"); n < 3 || n >= direct.int("SLOWLOG", "LEN") {
			t.Errorf("SLOWLOG LEN = %d", n)
		}
		c.want("-ERR count should be greater than or equal to -1\r\n", "SLOWLOG", "GET", "-2")
		c.wantPrefix("-NOPERM the 'slowlog|reset' command", "SLOWLOG RESET")
		if got := c.int("MEMORY", "USAGE", "a"); got < 20 {
			t.Errorf("MEMORY USAGE = %d", got)
		}
		if got := c.do("MEMORY", "USAGE", "foreign"); !strings.Contains(got, "-1") && got != "_\r\n" {
			t.Errorf("MEMORY USAGE of a foreign key = %q", got)
		}
	}
}

// A tenant can only add flags to the notifications, each once; what is no flag the upstream refuses in its own words.
func TestWholeServer_Notifications(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	direct, c := dial(t, r.addr), dial(t, startGate(t, r.upstream()+namespaceApp).addr)
	const setting = "notify-keyspace-events"
	var runes strings.Builder
	for i := range rune(40000) {
		runes.WriteRune('\u4e00' + i%20000)
	}
	for _, value := range []string{"Kq", "\xff", runes.String()} {
		same(t, direct, c, "CONFIG", "SET", setting, value)
	}
	direct.want(ok, "CONFIG", "SET", setting, "Kg")
	c.want(ok, "CONFIG", "SET", setting, strings.Repeat("Ex", 1<<20))
	direct.want("*2\r\n"+bulk(setting)+bulk("gxKE"), "CONFIG", "GET", setting)
}
