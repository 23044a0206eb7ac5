package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sessiongate/config"
)

// runs is one command line and what came of it.
type runs struct {
	code           int
	stdout, stderr string
}

func execute(t *testing.T, stdin string, environ []string, args ...string) runs {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, environ, strings.NewReader(stdin), &stdout, &stderr)
	return runs{code, stdout.String(), stderr.String()}
}

// file writes text to a file of its own and returns its name.
func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "sessiongate.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

const twoTenants = `upstream: redis://:hunter2@127.0.0.1:6379
tenants:
  - {name: shop, password: hunter2, namespace: "shop:", rules: [{name: web, expiry: {default: 30m, max: 12h}}]}
  - {name: wiki, user: wiki, password: hunter2, namespace: "wiki:"}
`

func TestRun(t *testing.T) {
	good, bad := file(t, twoTenants), file(t, "upstrem: x\nthreads: two\n")
	plain := file(t, "upstream: redis://127.0.0.1:6379\n")
	odd := file(t, "upstream: redis://127.0.0.1:6379\nrules:\n- {keys: 'sess:*', expiry: {max: 1h}}\n- {name: b, keys: ['sess:a*', 'lock:*'], expiry: {min: 1m}}\n")
	log := file(t, `{"level":"info","time":"2026-11-25T10:00:00.000Z","msg":"starting"}
panic: {"msg":"observed"
{"level":"warn","time":"2026-11-25T10:00:01.000Z","msg":"observed","tenant":"shop","rule":"web","kind":"expiry","verdict":"rewrite","command":"SET","client":"cart","library":"redis-py 5.0.1","count":1,"reason":"it would be sent as SET ... EX 1800"}
2026-11-25 host sessiongate[7]: {"level":"warn","time":"2026-11-25T10:00:11.000Z","msg":"observed","tenant":"shop","rule":"web","kind":"expiry","verdict":"rewrite","command":"SET","client":"cart","library":"redis-py 5.0.1","count":41}
{"level":"warn","time":"2026-11-25T10:00:12.000Z","msg":"observed","tenant":"wiki","rule":"","kind":"commands","verdict":"refuse","command":"FOO","client":"\u001b[2J","library":"","count":7,"reason":"no"}
{"level":"warn","time":"2026-11-25T10:00:13.000Z","msg":"refused","tenant":"wiki","reason":"\"observed\"","count":7}
`)
	preset := file(t, "upstream: redis://127.0.0.1:6379\nrules:\n- {name: web, keys: ['sess:*'], preset: asvs4-l2, expiry: {idle: 1h}, key_entropy: 128}\n")
	watched := file(t, "upstream: redis://127.0.0.1:6379\nmode: observe\nrules:\n- {name: web, keys: ['sess:*'], expiry: {max: 1h}}\n- {name: rest, commands: {deny: [dbsize]}}\n")
	own := file(t, "upstream: redis://127.0.0.1:6379\ntenants: [{name: shop, upstream: redis://127.0.0.1:6380, namespace: 'shop:'}]\n")
	tests := []struct {
		name    string
		args    []string
		stdin   string
		environ []string
		code    int
		stdout  []string // must hold each
		stderr  []string
	}{
		{name: "version", args: []string{"version"}, stdout: []string{"sessiongate ", " go1."}},
		{name: "version as a flag", args: []string{"--version"}, stdout: []string{"sessiongate ", " go1."}},
		{name: "help", args: []string{"--help"}, stdout: []string{"check", "explain", "completion", "--upstream url"}},
		{name: "completion", args: []string{"completion", "bash"}, stdout: []string{"complete"}},

		{name: "no such command", args: []string{"chek"}, code: 2, stderr: []string{`sessiongate: there is no command "chek"; did you mean check?; try sessiongate --help`}},
		{name: "no such command at all", args: []string{"zzz"}, code: 2, stderr: []string{`there is no command "zzz"`}},
		{name: "no such flag", args: []string{"--lisen", "x"}, code: 2, stderr: []string{"unknown flag: --lisen"}},
		{name: "flag without value", args: []string{"check", "--config"}, code: 2, stderr: []string{"flag needs an argument: --config"}},
		{name: "argument too many", args: []string{"serve", "now"}, code: 2, stderr: []string{`serve takes no argument, but got "now"`}},
		{name: "files too many", args: []string{"check", "a", "b"}, code: 2, stderr: []string{"check takes one file"}},

		{name: "check", args: []string{"check", good}, stdout: []string{good + " is valid\n"}},
		{name: "check -c", args: []string{"check", "-c", good}, stdout: []string{good + " is valid\n"}},
		{name: "check nothing", args: []string{"check"}, stdout: []string{"the configuration is valid\n"}},
		{name: "check --print", args: []string{"check", good, "--print"}, stdout: []string{"url: \"redis://***@127.0.0.1:6379\"\n", "clients: 10000\n", "    password: \"***\"\n"}},
		{name: "check --print a rate", args: []string{"check", "--print"}, environ: []string{"SESSIONGATE_RATE=1000"}, stdout: []string{"rate:\n  commands: 1000\n  burst: 1000\n"}},
		{name: "check bad", args: []string{"check", bad}, code: 1, stderr: []string{
			bad + ":1:1: upstrem: is not a setting; did you mean \"upstream\"?\n",
			bad + ":2:10: threads: \"two\" is not a whole number\n",
		}},
		{name: "check with warnings", args: []string{"check", odd}, stdout: []string{odd + " is valid, with 2 warnings\n"}, stderr: []string{
			odd + `:4:20: warning: rules[1].keys[0]: "sess:a*" never matches: rules[0] ("sess:*") comes first and takes these keys; remove the pattern, or put this rule before that one` + "\n",
			odd + `:4:56: warning: rules[1].expiry.min: prolongs the locks that "lock:*" matches to 1m, however soon they should fall; give locks a rule of their own without min` + "\n",
		}},
		{name: "check --strict", args: []string{"check", odd, "--strict"}, code: 1, stderr: []string{":4:20: warning: ", "sessiongate: with --strict, 2 warnings are errors\n"}},
		{name: "check --strict good", args: []string{"check", good, "--strict"}, stdout: []string{good + " is valid\n"}},
		{name: "schema", args: []string{"schema"}, stdout: []string{`"$schema": "https://json-schema.org/draft/2020-12/schema"`, `"key_entropy": {`}},
		{name: "check missing", args: []string{"check", "/no/such"}, code: 1, stderr: []string{"/no/such: can't be read: no such file or directory\n"}},
		{name: "check environment", args: []string{"check"}, environ: []string{"SESSIONGATE_DRAIN=x"}, code: 1, stderr: []string{"SESSIONGATE_DRAIN: drain: "}},
		{name: "check hashes cut by commas", args: []string{"check"}, environ: []string{"SESSIONGATE_PASSWORDS=a,$argon2id$v=19$m=19456,t=2,p=1$hunter2"}, code: 1,
			stderr: []string{"SESSIONGATE_PASSWORDS: passwords: holds an argon2id hash, and would be cut at its commas; write a list as in YAML: [\"$argon2id$...\"]\n"}},
		{name: "serve bad", args: []string{"-c", bad}, code: 1, stderr: []string{":2:10: threads: "}},
		{name: "serve without certificate", args: []string{"serve"}, environ: []string{"SESSIONGATE_LISTEN=tls://127.0.0.1:0", "SESSIONGATE_TLS_CERT=/no/c", "SESSIONGATE_TLS_KEY=/no/k"},
			code: 1, stderr: []string{"sessiongate: listen on tls://127.0.0.1:0: certificate and key: open /no/c: no such file or directory\n"}},

		{name: "acl", args: []string{"acl", "-c", good}, stdout: []string{"ACL SETUSER sessiongate:shop: ", "ACL SETUSER sessiongate:wiki: "}},
		{name: "acl, an upstream of its own", args: []string{"acl", "-c", own, "--tenant", "shop"}, stdout: []string{"ACL SETUSER sessiongate:shop: "}},
		{name: "acl, nothing for the upstream of all", args: []string{"acl", "-c", own}, code: 2, stderr: []string{"has an upstream of its own; add --tenant"}},

		{name: "observe", args: []string{"observe", log}, stdout: []string{
			"2026-11-25T10:00:01.000Z to 2026-11-25T10:00:12.000Z: enforcing would refuse 7, rewrite 42, check 0\n\n" +
				"  tenant  client  library         refuse  rewrite  check\n" +
				"  shop    cart    redis-py 5.0.1  0       42       0\n" +
				"  wiki    ?[2J    -               7       0        0\n\n" +
				"  count  client  library         rule  command  would    why, the first time\n" +
				"  42     cart    redis-py 5.0.1  web   SET      rewrite  it would be sent as SET ... EX 1800\n" +
				"  7      ?[2J    -               any   FOO      refuse   no\n"}},
		{name: "observe --json", args: []string{"observe", "--json"}, stdin: `{"msg":"observed","time":"a","tenant":"t","rule":"r","kind":"size","verdict":"check","command":"APPEND","count":3}`, stdout: []string{
			`{"from":"a","to":"a","total":{"refuse":0,"rewrite":0,"check":3},"applications":[{"tenant":"t","client":"","library":"","refuse":0,"rewrite":0,"check":3}],` +
				`"findings":[{"tenant":"t","client":"","library":"","rule":"r","kind":"size","command":"APPEND","verdict":"check","count":3}]}` + "\n"}},
		{name: "observe nothing", args: []string{"observe"}, stdin: "x\n", stdout: []string{"nothing was observed: the log has no such lines\n"}},
		{name: "observe nothing in JSON", args: []string{"observe", "--json"}, stdout: []string{`{"total":{"refuse":0,"rewrite":0,"check":0},"applications":[],"findings":[]}` + "\n"}},
		{name: "observe a file that is not there", args: []string{"observe", "/no/such"}, code: 1, stderr: []string{"sessiongate: open /no/such: no such file or directory"}},

		{name: "hash", args: []string{"hash"}, stdin: "hunter2\n", stdout: []string{"$argon2id$v=19$m=19456,t=2,p=1$"}},
		{name: "hash without a line's end", args: []string{"hash"}, stdin: "hunter2", stdout: []string{"$argon2id$"}},
		{name: "hash of nothing", args: []string{"hash"}, code: 1, stderr: []string{"sessiongate: hash reads the password from standard input: EOF"}},
		{name: "hash of an empty line", args: []string{"hash"}, stdin: "\n", code: 1, stderr: []string{"sessiongate: the password is empty"}},
		{name: "hash with the password as an argument", args: []string{"hash", "x"}, code: 2, stderr: []string{"hash takes no argument"}},

		{name: "explain", args: []string{"explain", "-c", good, "--tenant", "shop", "--", "SET", "s", "v", "EX", "99999"},
			stdout: []string{"# tenant shop, rule web\n# " + good + ":3:65: rule web takes every key\n" +
				"> SET s v EX 99999\n= SET shop:s v EX 43200\n# rewritten; the reply: errors lose the namespace\n"}},
		{name: "explain without --", args: []string{"explain", "SET", "s", "v"}, stdout: []string{"# rule default takes every key\n> SET s v\n= SET s v EX 1800\n"}},
		{name: "explain --json", args: []string{"explain", "--json", "-c", good, "--tenant", "wiki", "GET", "a b"},
			stdout: []string{`{"tenant":"wiki","command":"GET \"a b\"",`, `"sent":["GET \"wiki:a b\""],"reply":"errors lose the namespace"}` + "\n"}},
		{name: "explain which rule", args: []string{"explain", "-c", odd, "MGET", "sess:a", "lock:1", "x"}, stdout: []string{
			`:3:10: "sess:a" matches "sess:*" of rule sess:*` + "\n# ",
			`:4:31: "lock:1" matches "lock:*" of rule b` + "\n# " + odd + `:3:10: "lock:1" does not match "sess:*" of rule sess:*` + "\n" +
				`# no rule takes "x"` + "\n# " + odd + `:3:10: "x" does not match "sess:*" of rule sess:*` + "\n# " + odd + `:4:20: "x" does not match "sess:a*" or "lock:*" of rule b` + "\n",
			"> MGET sess:a lock:1 x\n= MGET sess:a lock:1 x\n# forwarded as it is; the reply: passes unchanged\n"}},
		{name: "explain which rule in JSON", args: []string{"explain", "-c", odd, "--json", "GET", "lock:1"}, stdout: []string{
			`"keys":[{"key":"lock:1","rule":"b","pattern":"lock:*","at":"` + odd + `:4:31","passed_over":[{"rule":"sess:*","patterns":["sess:*"],"at":"` + odd + `:3:10"}]}]}`}},
		{name: "explain a command without keys", args: []string{"explain", "-c", odd, "DBSIZE"}, stdout: []string{"# the command names no key, and every rule is for some\n> DBSIZE\n"}},
		{name: "explain what the proxy answers", args: []string{"explain", "PING"}, stdout: []string{"# tenant default\n> PING\n# answered by the proxy\n"}},
		{name: "explain many keys", args: []string{"explain", "-c", odd, "DEL", "a", "b", "c", "d", "e", "f"}, stdout: []string{"# and 2 keys more\n> DEL a b c d e f\n"}},
		{name: "explain an unknown command", args: []string{"explain", "-c", odd, "FOO"}, stdout: []string{"# tenant default\n> FOO\n! ERR unknown command 'FOO', with args beginning with: \n# refused: nothing is sent\n"}},
		{name: "explain what is observed", args: []string{"explain", "-c", watched, "SET", "sess:1", "v"},
			stdout: []string{"rule web\n# ", "> SET sess:1 v\n= SET sess:1 v\n# forwarded as it is; the reply: passes unchanged\n# observed; if enforced, sent as: SET sess:1 v EX 3600\n"}},
		{name: "explain what would be refused", args: []string{"explain", "-c", watched, "DBSIZE"}, stdout: []string{
			"# forwarded as it is; the reply: passes unchanged\n# observed; if enforced, refused: NOPERM this rule does not allow the 'dbsize' command (rule \"rest\")\n"}},
		{name: "explain what is observed in JSON", args: []string{"explain", "-c", watched, "--json", "SET", "sess:1", "v"}, stdout: []string{
			`"if_enforced":{"command":"SET sess:1 v","rule":"web","verdict":"rewrite","sent":["SET sess:1 v EX 3600"]`}},
		{name: "explain what is not", args: []string{"explain", "-c", watched, "GET", "x"}, stdout: []string{"# forwarded as it is; the reply: passes unchanged\n"}},
		{name: "explain a preset", args: []string{"explain", "-c", preset, "TTL", "sess:1"}, stdout: []string{
			"# preset asvs4-l2: expiry.idle 1h: weaker than 30m, OWASP ASVS 4.0.3, 3.3.2, level 2\n" +
				"# preset asvs4-l2: expiry.lifetime 12h: OWASP ASVS 4.0.3, 3.3.2, level 2\n" +
				"# preset asvs4-l2: key_entropy 128: as strict as 64 or stricter, OWASP ASVS 4.0.3, 3.2.2\n> TTL sess:1\n"}},
		{name: "explain a preset in JSON", args: []string{"explain", "-c", preset, "--json", "TTL", "sess:1"}, stdout: []string{
			`"preset":"asvs4-l2","preset_values":[{"setting":"expiry.idle","value":"30m","clause":"OWASP ASVS 4.0.3, 3.3.2, level 2","rule":"1h","weaker":true},`}},
		{name: "check a preset that no longer holds", args: []string{"check", preset, "--strict"}, code: 1, stderr: []string{
			preset + ":3:66: warning: rules[0].expiry.idle: 1h is weaker than 30m, so that preset asvs4-l2 no longer holds (OWASP ASVS 4.0.3, 3.3.2, level 2); write 30m, or leave it out\n",
			"sessiongate: with --strict, 1 warning is an error\n"}},
		{name: "explain lines", args: []string{"explain", "-c", plain}, stdin: "# words\n\nGET a\nSET 'a b' v\n", stdout: []string{"> GET a\n= GET a\n", "> SET \"a b\" v\n"}},
		{name: "explain bad line", args: []string{"explain", "-c", plain}, stdin: "GET a\nGET 'a\n", code: 1, stderr: []string{"sessiongate: line 2: a quote is not closed"}},
		{name: "explain for whom", args: []string{"explain", "-c", good, "GET", "a"}, code: 2, stderr: []string{"which tenant? add --tenant with one of shop, wiki"}},
		{name: "explain for nobody", args: []string{"explain", "-c", good, "--tenant", "x", "GET", "a"}, code: 2, stderr: []string{`there is no tenant "x"; there are shop, wiki`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := execute(t, tt.stdin, tt.environ, tt.args...)
			if got.code != tt.code {
				t.Errorf("exit code %d, want %d", got.code, tt.code)
			}
			for _, want := range tt.stdout {
				if !strings.Contains(got.stdout, want) {
					t.Errorf("standard output has no %q", want)
				}
			}
			for _, want := range tt.stderr {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("standard error has no %q", want)
				}
			}
			if tt.code == exitUsage && strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("a usage error of more than one line")
			}
			if strings.Contains(got.stdout+got.stderr, "hunter2") {
				t.Errorf("a secret is shown")
			}
			if t.Failed() {
				t.Logf("standard output:\n%s\nstandard error:\n%s", got.stdout, got.stderr)
			}
		})
	}
}

// served is a running "sessiongate serve".
type served struct {
	addrs []string // of its listeners, as logged
	stop  func() runs
	log   *bytes.Buffer
}

// serve starts the program and returns when it listens on so many addresses.
func serve(t *testing.T, listeners int, environ []string, args ...string) *served {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	s := &served{log: &bytes.Buffer{}}
	var stdout bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, args, environ, strings.NewReader(""), &stdout, w)
		_ = w.Close()
	}()
	lines := json.NewDecoder(io.TeeReader(r, s.log))
	for len(s.addrs) < listeners {
		var line struct{ Msg, Addr string }
		if err := lines.Decode(&line); err != nil {
			t.Fatalf("%v in the log:\n%s", err, s.log)
		}
		if line.Msg == "listening" {
			s.addrs = append(s.addrs, line.Addr)
		}
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(s.log, r)
	}()
	var result *runs
	s.stop = func() runs {
		if result == nil {
			cancel()
			result = &runs{code: <-code}
			<-drained
			result.stdout, result.stderr = stdout.String(), s.log.String()
		}
		return *result
	}
	t.Cleanup(func() { s.stop() })
	return s
}

// With nothing configured, what the README promises: a session set without expiry has one of 30 minutes.
func TestServe_nothing_configured(t *testing.T) {
	s := serve(t, 1, nil, "--listen", "127.0.0.1:0")
	c := redis.NewClient(&redis.Options{Addr: s.addrs[0], MaxRetries: -1})
	defer c.Close()
	if got := do(t, c, "SET", "sess:1", "v"); got != "OK" {
		t.Errorf("SET: got %v", got)
	}
	if got, want := do(t, c, "TTL", "sess:1"), int64(1800); got != want {
		t.Errorf("TTL: got %v, want %v", got, want)
	}
	got := s.stop()
	if got.code != exitOK || !strings.Contains(got.stderr, "for trying things out") || !strings.Contains(got.stderr, `"stopped"`) {
		t.Errorf("exit code %d, log:\n%s", got.code, got.stderr)
	}
	if stopping, stopped := strings.Index(got.stderr, `"stopping`), strings.Index(got.stderr, `"stopped"`); stopping < 0 || stopped < stopping {
		t.Errorf("the end is told out of order:\n%s", got.stderr)
	}
	if got.stdout != "" {
		t.Errorf("standard output, which is no terminal, got %q", got.stdout)
	}
}

func TestServe_tenants_and_listeners(t *testing.T) {
	dir := t.TempDir()
	roots := certificate(t, dir)
	socket := filepath.Join(dir, "s")
	abandon(t, socket)
	conf := file(t, fmt.Sprintf(`
listen: [127.0.0.1:0, "tls://127.0.0.1:0", "unix://%s?mode=0600"]
tls: {cert: %s/cert.pem, key: %[2]s/key.pem}
upstream: memory://
tenants:
  - {name: shop, password: hunter2, namespace: "shop:", rules: [{expiry: {max: 12h}}]}
  - {name: wiki, user: wiki, password: hunter2, namespace: "wiki:"}
`, socket, dir))
	s := serve(t, 3, nil, "-c", conf)
	clients := map[string]*redis.Client{
		"TCP":  redis.NewClient(&redis.Options{Addr: s.addrs[0], Password: "hunter2"}),
		"TLS":  redis.NewClient(&redis.Options{Addr: strings.TrimPrefix(s.addrs[1], "tls://"), Password: "hunter2", TLSConfig: &tls.Config{RootCAs: roots}}),
		"unix": redis.NewClient(&redis.Options{Network: "unix", Addr: socket, Username: "wiki", Password: "hunter2"}),
	}
	for name, c := range clients {
		defer c.Close()
		if got := do(t, c, "SET", name, "v"); got != "OK" {
			t.Errorf("%s: SET answered %v", name, got)
		}
	}
	if got := do(t, clients["TCP"], "TTL", "TLS"); got != int64(43200) {
		t.Errorf("the shop's TTL is %v, want 43200", got)
	}
	if got := do(t, clients["unix"], "EXISTS", "TLS"); got != int64(0) {
		t.Errorf("the wiki sees the shop's key")
	}
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket is %v, error %v; want mode 0600", info, err)
	}
	got := s.stop()
	if got.code != exitOK || strings.Contains(got.stderr, "hunter2") || !strings.Contains(got.stderr, `"{expiry: {max: 12h}}"`) {
		t.Errorf("exit code %d, log:\n%s", got.code, got.stderr)
	}
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket is still there")
	}
}

// A hash that was printed is the password of its tenant.
func TestHash_serves(t *testing.T) {
	hashed := strings.TrimSpace(execute(t, "hunter2\n", nil, "hash").stdout)
	s := serve(t, 1, []string{"SESSIONGATE_PASSWORD=" + hashed}, "--listen", "127.0.0.1:0")
	for password, want := range map[string]string{"hunter2": "<nil>", hashed: "WRONGPASS invalid username-password pair or user is disabled."} {
		c := redis.NewClient(&redis.Options{Addr: s.addrs[0], Password: password, MaxRetries: -1})
		if got := fmt.Sprint(c.Ping(t.Context()).Err()); got != want {
			t.Errorf("%s: got %s, want %s", password, got, want)
		}
		_ = c.Close()
	}
}

// An address of IPv4 does not let IPv6 in.
func TestListenAt_network(t *testing.T) {
	for address, want := range map[string]string{"0.0.0.0:0": "0.0.0.0:", "127.0.0.1:0": "127.0.0.1:"} {
		l, err := new(sockets).listenAt(t.Context(), config.Listener{Network: "tcp", Address: address}, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Addr().String(); !strings.HasPrefix(got, want) {
			t.Errorf("%s: listens on %s", address, got)
		}
		_ = l.Listener.Close()
	}
	for address, want := range map[string]string{"0.0.0.0:1": "tcp4", "[::]:1": "tcp", ":1": "tcp", "localhost:1": "tcp", "[::ffff:127.0.0.1]:1": "tcp"} {
		if got := network(address); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}

// Nobody types at the null device, by whatever name it was opened.
func TestTerminal_null(t *testing.T) {
	null, err := syscall.Open(os.DevNull, syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	stdin := os.NewFile(uintptr(null), "/dev/stdin")
	defer stdin.Close()
	if terminal(stdin) {
		t.Error("the null device passes for a terminal")
	}
}

// A listener that can't be opened leaves none of the others open.
func TestServe_address_in_use(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	got := execute(t, "", nil, "--listen", "127.0.0.1:0,"+taken.Addr().String())
	if want := "sessiongate: listen on " + taken.Addr().String(); got.code != exitError || !strings.Contains(got.stderr, want) {
		t.Errorf("exit code %d, %s\nwant %s", got.code, got.stderr, want)
	}
}

// abandon leaves a socket at path that nobody listens on.
func abandon(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
}

// certificate puts cert.pem and key.pem for 127.0.0.1 into dir and returns a pool that trusts them.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: private},
	} {
		text := pem.EncodeToMemory(block)
		roots.AppendCertsFromPEM(text)
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return roots
}
