package integration_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ask sends a request to the admin address and returns status and body.
func ask(t testing.TB, client *http.Client, method, url, token, body string) (status int, text string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(all)
}

// beyondLoopback is an address of this machine's that others could reach.
func beyondLoopback(t testing.TB) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLoopback() && ip.IP.To4() != nil {
			return ip.IP.String()
		}
	}
	return "127.0.0.1" // it has no other
}

// From beyond loopback nothing is told without a credential, and the token is in no log.
func TestAdmin_Beyond(t *testing.T) {
	t.Parallel()
	r, port := startRedis(t), freePort(t)
	g := startGate(t, r.upstream()+fmt.Sprintf("admin: {listen: \"0.0.0.0:%d\", token: %s, pprof: true}\nlog: {level: debug, audit: log}\n", port, adminToken))
	addr := net.JoinHostPort(beyondLoopback(t), fmt.Sprint(port))
	g.waitFor(t, "tcp", addr)
	client := &http.Client{}
	for _, path := range []string{"/metrics", "/debug/pprof/heap", "/api/v1/status", "/api/v1/sessions", "/api/v1/clients", "/api/v1/nothing"} {
		for _, token := range []string{"", "guess-guess-guess"} {
			status, text := ask(t, client, "GET", "http://"+addr+path, token, "")
			if want := 401; status != want && !(path == "/api/v1/nothing" && status == 404) {
				t.Errorf("GET %s with token %q = %d %s, want %d", path, token, status, text, want)
			}
		}
	}
	for _, path := range []string{"drain", "reload", "pause", "revocations"} {
		if status, text := ask(t, client, "POST", "http://"+addr+"/api/v1/"+path, "", ""); status != 401 {
			t.Errorf("POST %s = %d %s, want 401", path, status, text)
		}
	}
	c := dial(t, addr)
	c.wantPrefix("-NOAUTH ", "SESSIONGATE DRAIN")
	c.wantPrefix("-WRONGPASS ", "AUTH guess-guess-guess")
	if status, text := ask(t, client, "GET", "http://"+addr+"/metrics", adminToken, ""); status != 200 || !strings.Contains(text, "sessiongate_upstream_up") {
		t.Errorf("GET /metrics = %d %.200s", status, text)
	}
	if log := g.out.String(); strings.Contains(log, adminToken) || strings.Contains(log, "guess") {
		t.Errorf("the log has a token:\n%s", log)
	}
}

// A certificate is a credential too, in HTTP and in RESP.
func TestAdmin_MutualTLS(t *testing.T) {
	t.Parallel()
	r, ca := startRedis(t), newAuthority(t)
	cert, key := ca.issue("server")
	mine, myKey := ca.issue("operator")
	addr := loopback(freePort(t))
	g := startGate(t, r.upstream()+fmt.Sprintf("admin: {listen: %s, tls: {cert: %s, key: %s, client_ca: %s}}\nlog: {audit: log}\n", addr, cert, key, ca.file))
	g.waitFor(t, "tcp", addr)
	pair, err := tls.LoadX509KeyPair(mine, myKey)
	if err != nil {
		t.Fatal(err)
	}
	bare := &tls.Config{RootCAs: ca.pool}
	known := &tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{pair}}
	if status, text := ask(t, &http.Client{Transport: &http.Transport{TLSClientConfig: bare}}, "GET", "https://"+addr+"/api/v1/status", "", ""); status != 401 {
		t.Errorf("without a certificate = %d %s, want 401", status, text)
	}
	if status, text := ask(t, &http.Client{Transport: &http.Transport{TLSClientConfig: known}}, "PUT", "https://"+addr+"/api/v1/loglevel", "", `{"level": "debug"}`); status != 200 {
		t.Errorf("with a certificate = %d %s, want 200", status, text)
	}
	dialTLS(t, addr, bare).wantPrefix("-NOAUTH ", "SESSIONGATE STATUS")
	dialTLS(t, addr, known).wantPrefix("*", "SESSIONGATE STATUS")
	eventually(t, "the log names the operator", func() bool { return strings.Contains(g.out.String(), `"by":"CN=operator at 127.0.0.1"`) })
}

// redis-cli talks to the admin address, and a unix socket's permissions are a credential.
func TestAdmin_RedisCLI(t *testing.T) {
	t.Parallel()
	r, path := startRedis(t), filepath.Join(t.TempDir(), "admin.sock")
	g := startGate(t, r.upstream()+"admin: {listen: \"unix://"+path+"?mode=0600\"}\n")
	g.waitFor(t, "unix", path)
	dial(t, g.addr).want(ok, "SET", "sess:1", "v")
	for _, each := range []struct{ args, want string }{
		{"SESSIONGATE HELP", "PAUSE [seconds]"},
		{"SESSIONGATE SESSIONS", "key=sess:1 type=string"},
		{"SESSIONGATE REVOKE ALL", "state="},
		{"SESSIONGATE RULES nobody", ""},
		{"SESSIONGATE EXPLAIN SET a b", "> SET a b"},
	} {
		if got := redisCLI(t, "", append([]string{"-s", path}, strings.Fields(each.args)...)...); !strings.Contains(got, each.want) {
			t.Errorf("%s prints\n%s\nwant %q", each.args, got, each.want)
		}
	}
	eventually(t, "all sessions are revoked", func() bool { return dial(t, r.addr).do("DBSIZE") == ":0\r\n" })
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	if status, text := ask(t, client, "GET", "http://admin/api/v1/sessions", "", ""); status != 200 {
		t.Errorf("GET sessions over the socket = %d %s", status, text)
	}
}

// The configuration is put into force by the API, which says what is wrong with it; hits are kept; drain ends the program.
func TestAdmin_ReloadAndDrain(t *testing.T) {
	t.Parallel()
	r, addr, admin := startRedis(t), loopback(freePort(t)), loopback(freePort(t))
	trail := filepath.Join(t.TempDir(), "audit.log")
	path := writeFile(t, "sessiongate.yaml", "")
	write := func(max string) {
		text := "listen: " + addr + "\ndrain: 10s\n" + r.upstream() + "rules: [{name: web, expiry: {max: " + max + "}, size: {value: 10}}]\n" +
			"log: {audit: " + trail + "}\nadmin: {listen: " + admin + ", token: " + adminToken + "}\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("1h")
	g := runGate(t, program, nil, "serve", "--config", path)
	g.waitFor(t, "tcp", admin)
	c, client, v1 := dial(t, addr), &http.Client{}, "http://"+admin+"/api/v1/"
	c.want(ok, "SET", "sess:secret-of-somebody", "v")
	c.wantPrefix("-DENIED size", "SET sess:1 0123456789a")
	write("1x")
	if status, text := ask(t, client, "POST", v1+"reload", adminToken, ""); status != 422 || !strings.Contains(text, "sessiongate.yaml:4:35") {
		t.Errorf("reload of a mistake = %d %s", status, text)
	}
	write("2h")
	if status, text := ask(t, client, "POST", v1+"reload", adminToken, ""); status != 200 {
		t.Errorf("reload = %d %s", status, text)
	}
	c.want(ok, "SET", "sess:2", "v")
	c.want(":7200\r\n", "TTL", "sess:2")
	var rules struct {
		Rules []struct {
			Summary string
			Hits    int
		}
	}
	eventually(t, "hits are added", func() bool {
		_, text := ask(t, client, "GET", v1+"rules", adminToken, "")
		if err := json.Unmarshal([]byte(text), &rules); err != nil {
			t.Fatal(err)
		}
		return len(rules.Rules) == 1 && rules.Rules[0].Hits == 4 && strings.Contains(rules.Rules[0].Summary, "max: 2h")
	})
	c.want(ok, "MULTI")
	if status, text := ask(t, client, "POST", v1+"drain", adminToken, ""); status != 202 {
		t.Errorf("drain = %d %s", status, text)
	}
	eventually(t, "it ends", g.ended)
	if code := g.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	text, err := os.ReadFile(trail)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"event":"refusal"`, `"kind":"size"`, `"event":"reload"`, `"action":"drain"`, `"by":"127.0.0.1"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("there is no %s in the audit log:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "secret-of-somebody") {
		t.Errorf("the audit log has a session's id:\n%s", text)
	}
}

// While it drains the admin address says so, and answers still.
func TestAdmin_Health(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g, admin := startGateWithAdmin(t, "upstream: {url: "+r.url()+", read_timeout: 1s}\n", "")
	client := &http.Client{Timeout: 5 * time.Second}
	is := func(path string, want int) bool {
		status, _ := ask(t, client, "GET", "http://"+admin+path, "", "")
		return status == want
	}
	eventually(t, "it is ready", func() bool { return is("/readyz", 200) })
	r.kill(t)
	eventually(t, "it is not ready without an upstream", func() bool { return is("/readyz", 503) && is("/healthz", 200) })
	r.start(t)
	eventually(t, "it is ready again", func() bool { return is("/readyz", 200) })
	blocked := dial(t, g.addr)
	blocked.send(encode("MULTI"))
	blocked.read()
	g.signal(t, syscall.SIGTERM)
	eventually(t, "it ends", g.ended)
}

// Commands of clients that have not logged in are nobody's, and shown so.
func TestAdmin_Nobody(t *testing.T) {
	t.Parallel()
	g, admin := startGateWithAdmin(t, startRedis(t).upstream()+"password: secret\n", "")
	c := dial(t, g.addr)
	c.do("GET", "a")
	eventually(t, "it is counted", func() bool {
		_, text := ask(t, http.DefaultClient, "GET", "http://"+admin+"/api/v1/stats", adminToken, "")
		return strings.Contains(text, `{"tenant":"(none)","clients":`) && strings.Contains(text, `{"tenant":"(none)","command":"GET",`)
	})
}
