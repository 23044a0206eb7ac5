package integration_test

import (
	"fmt"
	"strings"
	"testing"
)

// handshake is what a driver sends when it connects, and how each reply must begin; | stands between alternatives.
type handshake struct {
	driver string
	lines  []string // "command => reply"
}

// answered is what a driver ignores as long as it comes as one reply: OK from newer servers, an error from older ones.
const answered = "+OK|-ERR unknown subcommand|-ERR Unknown subcommand"

const clusterDisabled = "-ERR This instance has cluster support disabled"

var handshakes = []handshake{
	{"redis-cli 7 -3", []string{"HELLO 3 => %7", "COMMAND DOCS => %"}},
	{"redis-py 5", []string{"CLIENT SETINFO LIB-NAME redis-py => +OK", "CLIENT SETINFO LIB-VER 5.0.1 => +OK", "SELECT 0 => +OK"}},
	{"redis-py 8", []string{
		"HELLO 3 => %7", "CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type internal-ip => " + answered,
		"CLIENT SETINFO LIB-NAME redis-py => +OK", "CLIENT SETINFO LIB-VER 8.0.0 => +OK",
	}},
	{"node-redis 4", []string{"CLIENT SETINFO LIB-NAME node-redis => +OK", "CLIENT SETINFO LIB-VER 4.7.0 => +OK", "SELECT 1 => +OK"}},
	{"node-redis 6", []string{
		"HELLO 3 SETNAME web => %7", "CLIENT SETINFO LIB-NAME node-redis => +OK", "CLIENT SETINFO LIB-VER 6.3.1 => +OK",
		"CLIENT MAINT_NOTIFICATIONS ON => " + answered,
	}},
	{"ioredis 5", []string{"CLIENT SETINFO LIB-VER 5.9.3 => +OK", "CLIENT SETINFO LIB-NAME ioredis => +OK", "info => $", "client setname web => +OK", "select 0 => +OK"}},
	{"ioredis 6", []string{"hello 3 => %7", "client setinfo LIB-VER 6.0.0 => +OK", "client setinfo LIB-NAME ioredis => +OK", "info => ="}},
	{"valkey-glide", []string{"HELLO 3 => %7", "CLIENT SETINFO LIB-NAME GlideJS => +OK", "CLIENT SETINFO LIB-VER 2.5.2 => +OK", "INFO REPLICATION => ="}},
	{"Jedis 7", []string{"CLIENT SETINFO lib-name jedis => +OK", "CLIENT SETINFO lib-ver 7.0.0 => +OK", "CLIENT SETNAME pool => +OK", "PING => +PONG"}},
	{"Lettuce 7", []string{
		"HELLO 3 => %7", "CLIENT SETINFO lib-name Lettuce => +OK", "CLIENT SETINFO lib-ver 7.0.0 => +OK",
		"CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type internal-ip => " + answered, "SELECT 0 => +OK", "READONLY => " + clusterDisabled,
	}},
	{"StackExchange.Redis 2", []string{
		"CLIENT SETNAME machine(SE.Redis-v2.8) => +OK", "CLIENT SETINFO lib-name SE.Redis => +OK", "CLIENT SETINFO lib-ver 2.8.0 => +OK", "CLIENT ID => :",
		"CONFIG GET timeout => *|-", "CONFIG GET replica-read-only => *|-", "CONFIG GET slave-read-only => *|-", "CONFIG GET databases => *|-",
		"SENTINEL MASTERS => -ERR unknown command", "INFO replication => $", "INFO server => $", "CLUSTER NODES => " + clusterDisabled,
		"GET __Booksleeve_TieBreak => $-1", `ECHO "\x01\x02\r\n\x00\xff 16 bytes" => $`, "PING => +PONG",
	}},
	{"StackExchange.Redis 3", []string{
		"HELLO 3 => %7", "CLIENT SETNAME machine => +OK", "CLIENT SETINFO lib-name SE.Redis => +OK", "CLIENT ID => :", "CONFIG GET databases => %|-",
		"INFO replication => =", "CLUSTER NODES => " + clusterDisabled, "GET __Booksleeve_TieBreak => _", "ECHO 0123456789abcdef => $16",
	}},
	{"Predis 3", []string{"HELLO 2 SETNAME predis => *14", "CLIENT SETINFO LIB-NAME predis => +OK", "CLIENT SETINFO LIB-VER 3.0.0 => +OK", "SELECT 0 => +OK"}},
	{"go-redis 9", []string{
		"hello 3 => %7", "client maint_notifications on moving-endpoint-type external-ip => " + answered,
		`client setinfo LIB-NAME go-redis(,go1.26) => +OK`, "client setinfo LIB-VER 9.23.0 => +OK", "select 2 => +OK", "client setname web => +OK",
	}},
	{"rueidis without cache", []string{
		"HELLO 3 SETNAME web => %7", "CLIENT SETINFO LIB-NAME rueidis => +OK", "CLIENT SETINFO LIB-VER 1.0.79 => +OK",
		"CLIENT NO-TOUCH ON => +OK", "CLIENT NO-EVICT ON => +OK", "CLUSTER SLOTS => " + clusterDisabled, "PING => +PONG",
	}},
	{"redis-rs", []string{"CLIENT SETINFO LIB-NAME redis-rs => +OK", "CLIENT SETINFO LIB-VER 1.0.0 => +OK", "SELECT 0 => +OK"}},
	{"redis-rb 4", []string{"READONLY => " + clusterDisabled, "SELECT 0 => +OK", "CLIENT SETNAME web => +OK", "INFO => $"}},
	{"redis-client", []string{"HELLO 3 => %7", "CLIENT SETINFO LIB-NAME \"redis-client(redis-rb_v5)\" => +OK", "SELECT 0 => +OK"}},
	{"Odoo add-ons", []string{"COMMAND LIST => *", "PING => +PONG", "SELECT 0 => +OK"}},
	{"phpredis", []string{"SELECT 0 => +OK", "ECHO phpredis => $8"}},
	{"terminal", []string{"COMMAND DOCS => *", "COMMAND => *", "COMMAND COUNT => :", "COMMAND INFO get set => *2"}},
}

// Every driver's handshake goes through, in one write and one by one, with a password and rules and without.
func TestHandshake_Drivers(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	open := startGate(t, r.upstream())
	strict := startGate(t, r.upstream()+"password: sesame\n"+namespaceApp+expiryRule)
	for _, h := range handshakes {
		t.Run(h.driver, func(t *testing.T) {
			for _, pipelined := range []bool{false, true} {
				shake(t, dial(t, open.addr), h.lines, pipelined)
				shake(t, dial(t, strict.addr), withPassword(h.lines), pipelined)
			}
		})
	}
}

// withPassword puts the password into HELLO, or an AUTH before the rest.
func withPassword(lines []string) []string {
	words := strings.Fields(lines[0])
	if !strings.EqualFold(words[0], "HELLO") {
		return append([]string{"AUTH sesame => +OK"}, lines...)
	}
	hello := words[0] + " " + words[1] + " AUTH default sesame " + strings.Join(words[2:], " ")
	return append([]string{hello}, lines[1:]...)
}

func shake(t *testing.T, c *conn, lines []string, pipelined bool) {
	t.Helper()
	defer c.Close()
	var raw strings.Builder
	commands, wants := make([]string, len(lines)), make([]string, len(lines))
	for i, line := range lines {
		commands[i], wants[i], _ = strings.Cut(line, " => ")
		raw.WriteString(encode(split(commands[i])...))
	}
	const marker = "no more replies than commands"
	if pipelined {
		c.send(raw.String() + encode("ECHO", marker))
	}
	for i, command := range commands {
		if !pipelined {
			c.send(encode(split(command)...))
		}
		got := c.read()
		fits := false
		for _, want := range strings.Split(wants[i], "|") {
			fits = fits || strings.HasPrefix(got, want)
		}
		if !fits {
			t.Errorf("%s (pipelined: %v)\n got %s\nwant %s...", command, pipelined, shorten(got), wants[i])
		}
	}
	if !pipelined {
		c.send(encode("ECHO", marker))
	}
	if got := c.read(); got != bulk(marker) {
		t.Errorf("after the handshake ECHO = %s", shorten(got))
	}
}

// HELLO's reply is the one that drivers take apart.
func TestHandshake_Hello(t *testing.T) {
	t.Parallel()
	r, plain := startRedis(t), startRedis(t)
	for _, yaml := range []string{"", namespaceApp + expiryRule} {
		g := startGate(t, r.upstream()+yaml)
		direct, c := dial(t, plain.addr), dial(t, g.addr)
		for _, args := range []string{"HELLO", "HELLO 3", "HELLO", "HELLO 2", "hello 3 setname web", "HELLO 2 SETNAME web"} {
			want, got := direct.line(args), c.line(args)
			if withoutID(t, got) != withoutID(t, want) {
				t.Errorf("%s\n got %s\nwant %s", args, shorten(got), shorten(want))
			}
		}
		for _, line := range []string{
			"CLIENT GETNAME", "HELLO 4", "HELLO 1", "HELLO abc", "HELLO 3 AUTH", "HELLO 3 AUTH a", "HELLO 3 FOO", "HELLO 3 SETNAME", "HELLO 3 SETNAME \"a b\"",
			"GET none", "HELLO 3 AUTH nouser pw", "GET none", "HELLO \"\"", "HELLO 3 SETNAME \"\"", "HELLO 2 AUTH default",
		} {
			direct.send(encode(split(line)...))
			c.send(encode(split(line)...))
			want, got := direct.read(), c.read()
			if strings.HasPrefix(want, "%") && strings.HasPrefix(got, "%") {
				want, got = withoutID(t, want), withoutID(t, got)
			}
			if got != want {
				t.Errorf("%s\n got %s\nwant %s", line, shorten(got), shorten(want))
			}
		}
	}
}

// withoutID blanks the one field of HELLO's reply that no two connections share.
func withoutID(t *testing.T, raw string) string {
	t.Helper()
	v, err := parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	id, found := v.field("id")
	if !found || id.kind != ':' {
		t.Fatalf("HELLO's reply has no integer id: %s", shorten(raw))
	}
	const before = "$2\r\nid\r\n:"
	return strings.Replace(raw, before+id.text, before+"ID", 1)
}

// Without a password and with one, AUTH and everything before it are answered as Redis answers.
func TestHandshake_Auth(t *testing.T) {
	t.Parallel()
	open, locked, behind := startRedis(t), startRedis(t, "--requirepass", "sesame"), startRedis(t)
	openGate := startGate(t, behind.upstream())
	lockedGate := startGate(t, behind.upstream()+"password: sesame\n")
	for _, line := range []string{"AUTH sesame", "AUTH default sesame", "AUTH nouser sesame", "AUTH", "AUTH a b c", "AUTH \"\"", "GET a"} {
		same(t, dial(t, open.addr), dial(t, openGate.addr), split(line)...)
	}
	direct, c := dial(t, locked.addr), dial(t, lockedGate.addr)
	for _, line := range []string{
		"PING", "GET a", "SET a v", "GET", "ECHO x", "FOO bar", "SELECT 1", "CLIENT ID", "CLIENT SETNAME x", "CLIENT NOSUCH", "COMMAND COUNT", "INFO", "MULTI", "EXEC",
		"SUBSCRIBE x", "MONITOR", "HELLO", "HELLO 3", "HELLO 3 SETNAME x", "HELLO 4", "HELLO 3 AUTH default wrong", "HELLO 3 AUTH nouser sesame", "GET a",
		"RESET", "AUTH", "AUTH wrong", "AUTH default wrong", "AUTH nouser sesame", "AUTH a b c", "GET a",
		"AUTH sesame", "GET a", "AUTH wrong", "GET a", "AUTH default sesame", "GET a", "RESET", "GET a",
	} {
		// Redis 7.2 has added a word to this one text.
		want, got := direct.line(line), strings.Replace(c.line(line), "HELLO <proto> AUTH", "HELLO AUTH", 1)
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", line, shorten(got), shorten(want))
		}
	}
	c = dial(t, lockedGate.addr)
	c.wantPrefix("%7", "HELLO 3 AUTH default sesame SETNAME web")
	c.wantLine(bulk("web"), "CLIENT GETNAME")
	c.wantLine("_\r\n", "GET none")

	// What comes in the same write as AUTH is answered after it.
	c = dial(t, lockedGate.addr)
	got := c.pipeline("GET none", "AUTH sesame", "GET none", "PING")
	if want := "-NOAUTH Authentication required.\r\n" + ok + null + pong; strings.Join(got, "") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Credentials choose the tenant.
func TestHandshake_Tenants(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--requirepass", "upstream secret")
	g := startGate(t, "upstream: {url: "+r.url()+", password: upstream secret}\n"+`tenants:
  - {name: shop, password: shop-pw, namespace: "shop:", rules: [{expiry: {default: 10m}}]}
  - {name: blog, user: blog, password: blog-pw, namespace: "blog:", rules: [{expiry: {default: 20m}}]}
`)
	shop, blog := dial(t, g.addr), dial(t, g.addr)
	shop.wantLine("-NOAUTH Authentication required.\r\n", "GET a")
	shop.wantLine(ok, "AUTH shop-pw")
	blog.wantPrefix("*14", "HELLO 2 AUTH blog blog-pw")
	shop.wantLine(ok, "SET a shop's")
	blog.wantLine(null, "GET a")
	blog.wantLine(ok, "SET a blog's")
	shop.wantLine(bulk("shop's"), "GET a")
	shop.wantLine("*1\r\n"+bulk("a"), "KEYS *")
	blog.wantLine(ok, "FLUSHALL")
	shop.wantLine(one, "DBSIZE")
	wantTTL(t, shop, "a", 600)
	shop.wantPrefix("-WRONGPASS", "AUTH blog shop-pw")
	shop.wantPrefix("-WRONGPASS", "AUTH blog-pw")
	// A client may change its tenant.
	shop.wantLine(ok, "AUTH blog blog-pw")
	shop.wantLine(null, "GET a")
	shop.wantLine(ok, "SET b v")
	wantTTL(t, blog, "b", 1200)
	if list := blog.line("CLIENT LIST"); strings.Count(list, "id=") != 2 {
		t.Errorf("CLIENT LIST of a tenant with two clients is %s", shorten(list))
	}
	if log := g.out.String(); strings.Contains(log, "-pw") || strings.Contains(log, "upstream secret") {
		t.Errorf("a password stands in the log:\n%s", log)
	}
}

// Before AUTH a client may say little: Redis's limits, in Redis's words.
func TestHandshake_LimitsBeforeAuth(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--requirepass", "sesame")
	g := startGate(t, "upstream: redis://:sesame@"+r.addr+"\npassword: sesame\n")
	for _, raw := range []string{
		"*10\r\n" + strings.Repeat("$1\r\na\r\n", 10), "*11\r\n", "*1000000\r\n", "*1\r\n$16384\r\n" + strings.Repeat("a", 16384) + "\r\n", "*1\r\n$16385\r\n",
		"*2\r\n$4\r\nAUTH\r\n$536870913\r\n", "*-5\r\n", "$3\r\nGET\r\n",
	} {
		compareRaw(t, r.addr, g.addr, raw)
	}
}

// compareRaw sends the same bytes to both servers, then nothing more, and compares all that they say until they close.
func compareRaw(t *testing.T, direct, proxied, raw string) {
	t.Helper()
	want, got := answer(t, direct, raw), answer(t, proxied, raw)
	if got != want {
		t.Errorf("%s\n got %s\nwant %s", shorten(raw), shorten(got), shorten(want))
	}
}

// answer is all that a server says to these bytes until it closes the connection.
func answer(t *testing.T, addr, raw string) string {
	t.Helper()
	c := dial(t, addr)
	defer c.Close()
	c.send(raw)
	c.closeWrite()
	return c.readAll()
}

// The words that drivers look for.
func TestHandshake_Texts(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	for _, yaml := range []string{"", namespaceApp + expiryRule} {
		c := dial(t, startGate(t, r.upstream()+yaml).addr)
		for _, e := range []struct{ line, want string }{
			{"CLIENT MAINT_NOTIFICATIONS ON", "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n"},
			{"FOO a", "-ERR unknown command 'FOO', with args beginning with: 'a' \r\n"},
			{"HELLO 9", "-NOPROTO unsupported protocol version\r\n"},
			{"READONLY", clusterDisabled + "\r\n"},
			{"CLUSTER INFO", clusterDisabled + "\r\n"},
			{"SENTINEL masters", "-ERR unknown command 'SENTINEL', with args beginning with: 'masters' \r\n"},
			{"GET", "-ERR wrong number of arguments for 'get' command\r\n"},
			{"CLIENT SETNAME \"a b\"", "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
			{"SELECT 16", "-ERR DB index is out of range\r\n"},
			{"AUTH x", "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n"},
		} {
			c.wantLine(e.want, e.line)
		}
	}
}

func (c *conn) closeWrite() {
	c.t.Helper()
	if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		c.t.Fatal(fmt.Errorf("closing the sending side: %w", err))
	}
}
