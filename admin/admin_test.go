package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"sessiongate/config"
	"sessiongate/policy"
	"sessiongate/proxy"
	"sessiongate/upstream"
)

const token = "operators-token-1"

// rig is an Admin beside a proxy that serves clients from a store in memory.
type rig struct {
	*Admin
	store  *miniredis.Miniredis
	client net.Conn
	logs   *observer.ObservedLogs
	reload error  // what a reload brings
	drain  func() // begins the end of the proxy
}

func newRig(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	store := miniredis.RunT(t)
	r := newRigOn(t, store.Addr(), change)
	r.store = store
	return r
}

// newRigOn is for any store.
func newRigOn(t testing.TB, addr string, change func(*Config)) *rig {
	t.Helper()
	r := &rig{}
	pool, err := upstream.Open(upstream.Config{URL: "redis://" + addr, ReadTimeout: time.Minute}, nil)
	if err != nil {
		t.Fatal(err)
	}
	rules := policy.Config{Namespace: "a:", Rules: []policy.RuleConfig{
		{Name: "web", Keys: []string{"sess:*"}, Size: &policy.SizeConfig{Value: 100}},
		{Name: "rest", Expiry: &policy.ExpiryConfig{Default: policy.Duration(time.Hour)}},
	}}
	p, err := policy.New(rules)
	if err != nil {
		t.Fatal(err)
	}
	tenant, err := proxy.NewTenant(proxy.TenantConfig{Name: "default", DB: -1, Rules: p})
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.DebugLevel)
	log := zap.New(core)
	cfg := proxy.Defaults()
	cfg.Drain, cfg.Slow, cfg.SlowLength = time.Second, time.Nanosecond, 4
	server := proxy.New(cfg, pool, []*proxy.Tenant{tenant}, log)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.drain = cancel
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(ctx, []net.Listener{ln}) }()
	if r.client, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	whole := config.Default()
	whole.Config = rules
	c := Config{Proxy: server, Version: "1", Token: token, Local: true, Log: log, Level: zap.NewAtomicLevel(),
		InForce: func() config.Config { return whole }, Reload: func(context.Context, string) error { return r.reload }, Drain: func() {}}
	if change != nil {
		change(&c)
	}
	r.logs, r.Admin = logs, New(c)
	t.Cleanup(func() {
		r.Close()
		_ = r.client.Close()
		cancel()
		<-served
		_ = pool.Close()
	})
	return r
}

// say sends commands of a client's and waits for as many lines of replies.
func (r *rig) say(t testing.TB, lines int, commands ...string) {
	t.Helper()
	if _, err := io.WriteString(r.client, strings.Join(commands, "\r\n")+"\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = r.client.SetReadDeadline(time.Now().Add(10 * time.Second))
	one := make([]byte, 1)
	for lines > 0 {
		if _, err := r.client.Read(one); err != nil {
			t.Fatal(err)
		}
		if one[0] == '\n' {
			lines--
		}
	}
}

// call sends one request, with the token.
func (r *rig) call(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, "http://127.0.0.1:6381"+path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	r.http.Handler.ServeHTTP(w, req)
	return w
}

// want sends a request and compares the status and a part of the answer.
func (r *rig) want(t testing.TB, status int, part, method, path, body string, headers ...string) {
	t.Helper()
	w := r.call(method, path, body, headers...)
	if w.Code != status || !strings.Contains(w.Body.String(), part) {
		t.Errorf("%s %s %s = %d %s\nwant %d with %s", method, path, body, w.Code, w.Body, status, part)
	}
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("still waiting: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestAPI_Views(t *testing.T) {
	r := newRig(t, nil)
	r.say(t, 5, "CLIENT SETNAME web-1", "SET sess:1 v", "GET sess:1", "NONSENSE")
	r.say(t, 1, "SET sess:2 "+strings.Repeat("x", 200))
	for _, each := range []struct{ path, part string }{
		{"status", `"ready":`},
		{"stats", `{"tenant":"default","command":"SET","passed":0,"rewritten":1,"refused":1,"local":0,"unknown":0}`},
		{"stats", `"command":"(unknown)"`},
		{"clients", `"name":"web-1"`},
		{"clients?limit=1&after=99", `"clients":[],"total":1,"next":0`},
		{"upstreams", `"role":"master"`},
		{"tenants", `"namespace":"a:"`},
		{"rules", `"rule":"web","keys":["sess:*"],"mode":"enforce"`},
		{"rules", `"hits":3,"refusals":{"size":1}`},
		{"refusals", `"kind":"size","command":"SET","count":1`},
		{"refusals", `"name":"web-1"`},
		{"slowlog", `"command":"SET","key":"sess:#`},
		{"sessions", `"key":"sess:1","type":"string","rule":"web","ttl_ms":-1`},
		{"sessions/show?key=sess:1", `"key":"sess:1"`},
		{"sessions/count?match=sess:*", `"count":1`},
		{"loglevel", `"level":"info"`},
	} {
		eventually(t, "the session has added what it counted", func() bool {
			return strings.Contains(r.call("GET", "/api/v1/stats", "").Body.String(), `"refused":1`)
		})
		r.want(t, 200, each.part, "GET", "/api/v1/"+each.path, "")
	}
	r.want(t, 200, `sessiongate_commands_total{command="SET",tenant="default",verdict="refused"} 1`, "GET", "/metrics", "")
	r.want(t, 200, `sessiongate_command_duration_seconds_bucket{tenant="default",le="+Inf"} `, "GET", "/metrics", "")
	r.want(t, 200, `go_goroutines`, "GET", "/metrics", "")
}

func TestAPI_Actions(t *testing.T) {
	r := newRig(t, nil)
	const v1 = "/api/v1/"
	for i := range 50 {
		_ = r.store.Set(fmt.Sprintf("a:sess:%d", i), "v")
		_ = r.store.Set(fmt.Sprintf("b:sess:%d", i), "v")
	}
	r.want(t, 200, `"revoked":1,"done":1`, "POST", v1+"revocations", `{"key": "sess:1"}`)
	r.want(t, 200, `"revoked":0`, "POST", v1+"revocations", `{"key_base64": "c2VzczoyMDA="}`)
	r.want(t, 202, `"state":"running"`, "POST", v1+"revocations", `{"match": "sess:*", "rate": 0}`)
	eventually(t, "the sessions are gone", func() bool {
		return strings.Contains(r.call("GET", v1+"revocations/3", "").Body.String(), `"state":"done"`)
	})
	r.want(t, 200, `"revoked":49`, "GET", v1+"revocations/3", "")
	if n := len(r.store.Keys()); n != 50 {
		t.Errorf("%d keys are left, want the 50 of the other namespace", n)
	}
	r.want(t, 404, "no_such_revocation", "GET", v1+"revocations/99", "")
	r.want(t, 404, "no_such_revocation", "GET", v1+"revocations/x", "")
	r.want(t, 202, `"state":"running"`, "POST", v1+"audits", "")
	eventually(t, "the audit is done", func() bool {
		return strings.Contains(r.call("GET", v1+"audits", "").Body.String(), `"state":"done"`)
	})
	r.want(t, 200, `"level":"debug"`, "PUT", v1+"loglevel", `{"level": "debug"}`)
	r.want(t, 200, `"paused":true`, "POST", v1+"pause", `{"limit_ms": 60000}`)
	r.want(t, 409, "conflict", "POST", v1+"pause", "")
	r.want(t, 200, `"paused":false`, "POST", v1+"resume", "")
	r.want(t, 409, "conflict", "POST", v1+"resume", "")
	r.want(t, 200, `"verdict":"refuse"`, "POST", v1+"explain", `{"command": ["SET", "sess:1", "`+strings.Repeat("x", 101)+`"]}`)
	r.want(t, 200, `"reloaded":true`, "POST", v1+"reload", "")
	r.reload = errors.Join(errors.New("f:1:2: a"), errors.New("f:3:4: b"))
	r.want(t, 422, `"details":["f:1:2: a","f:3:4: b"]`, "POST", v1+"reload", "")
	r.want(t, 202, `"draining":true`, "POST", v1+"drain", "")
	r.say(t, 1, "PING")
	id := r.clients("", 0, 10).Clients[0].ID
	r.want(t, 200, `"killed":1`, "DELETE", fmt.Sprint(v1, "clients/", id), "")
	if _, err := r.client.Read(make([]byte, 1)); err == nil {
		t.Error("the client was not closed")
	}
}

func TestAPI_Mistakes(t *testing.T) {
	r := newRig(t, nil)
	const v1 = "/api/v1/"
	for _, each := range []struct {
		status             int
		code, method, path string
		body               string
	}{
		{404, "not_found", "GET", v1 + "nothing", ""},
		{404, "not_found", "GET", "/nothing", ""},
		{404, "no_such_client", "DELETE", v1 + "clients/77", ""},
		{404, "no_such_tenant", "GET", v1 + "sessions?tenant=x", ""},
		{404, "no_such_session", "GET", v1 + "sessions/show?key=x", ""},
		{405, "method_not_allowed", "POST", v1 + "status", ""},
		{400, "bad_request", "GET", v1 + "clients?limit=0", ""},
		{400, "bad_request", "GET", v1 + "sessions?cursor=1:1", ""},
		{400, "bad_request", "GET", v1 + "sessions?cursor=x", ""},
		{400, "bad_request", "GET", v1 + "sessions/show", ""},
		{400, "bad_request", "GET", v1 + "sessions/show?key_base64=%21", ""},
		{403, "forbidden", "GET", v1 + "sessions/show?key=x&value=1", ""},
		{400, "bad_request", "POST", v1 + "revocations", `{}`},
		{400, "bad_request", "POST", v1 + "revocations", `{"key": "a", "all": true}`},
		{400, "bad_request", "POST", v1 + "revocations", `{"all": true, "rate": -1}`},
		{400, "bad_request", "POST", v1 + "revocations", `{"al": true}`},
		{400, "bad_request", "POST", v1 + "revocations", `{"all": true} x`},
		{413, "too_large", "POST", v1 + "revocations", `{"key": "` + strings.Repeat("x", maxBody) + `"}`},
		{400, "bad_request", "POST", v1 + "pause", `{"limit_ms": 0}`},
		{400, "bad_request", "PUT", v1 + "loglevel", `{"level": "fatal"}`},
		{400, "bad_request", "POST", v1 + "explain", `{"command": []}`},
	} {
		w := r.call(each.method, each.path, each.body)
		var got struct{ Error apiError }
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != each.status || got.Error.Code != each.code || got.Error.Message == "" {
			t.Errorf("%s %s %.60s = %d %s, want %d %s", each.method, each.path, each.body, w.Code, w.Body, each.status, each.code)
		}
	}
	r.want(t, 415, "unsupported_media_type", "POST", v1+"pause", `{"limit_ms": 1}`, "Content-Type", "text/plain")
}

// Who shows nothing, or the wrong thing, sees nothing but whether the program is there; and no log has what was shown.
func TestGuard(t *testing.T) {
	beyond := newRig(t, func(c *Config) { c.Local, c.Pprof = false, true })
	open := newRig(t, func(c *Config) { c.Token = "" })
	for _, each := range []struct {
		rig    *rig
		status int
		path   string
		given  string
	}{
		{beyond, 200, "/healthz", ""},
		{beyond, 200, "/readyz", ""},
		{beyond, 200, "/", ""},
		{beyond, 401, "/metrics", ""},
		{beyond, 401, "/debug/pprof/", ""},
		{beyond, 401, "/debug/pprof/heap", "Bearer guess-guess-guess"},
		{beyond, 401, "/api/v1/status", ""},
		{beyond, 401, "/api/v1/status", "Bearer guess-guess-guess"},
		{beyond, 401, "/api/v1/status", "Basic " + token},
		{beyond, 401, "/api/v1/status", "Bearer"},
		{beyond, 200, "/api/v1/status", "bearer " + token},
		{open, 200, "/metrics", ""},
		{open, 200, "/api/v1/refusals", ""},
		{open, 403, "/api/v1/sessions", ""},
		{open, 403, "/api/v1/revocations", ""},
		{open, 403, "/api/v1/audits", ""},
		{open, 404, "/debug/pprof/", ""},
	} {
		eventually(t, "it is ready", func() bool { return each.rig.unready() == nil })
		w := each.rig.call("GET", each.path, "", "Authorization", each.given)
		if w.Code != each.status {
			t.Errorf("GET %s with %q = %d %s, want %d", each.path, each.given, w.Code, w.Body, each.status)
		}
	}
	for _, entry := range beyond.logs.All() {
		if text := fmt.Sprint(entry.Message, entry.ContextMap()); strings.Contains(text, "guess") || strings.Contains(text, token) {
			t.Errorf("the log has what was shown: %s", text)
		}
	}
	if n := beyond.cfg.Proxy.Counts.FailedLogins.Load(); n != 2 {
		t.Errorf("%d failed logins were counted, want 2", n)
	}
	open.want(t, 403, "no_token_configured", "POST", "/api/v1/pause", "")
	open.want(t, 403, "forbidden", "GET", "/metrics", "", "Host", "evil.example:6381")
	open.want(t, 200, "go_goroutines", "GET", "/metrics", "", "Host", "[::1]:6381")
	open.want(t, 403, "forbidden", "POST", "/api/v1/explain", `{"command":["GET","a"]}`, "Origin", "http://evil.example")
	open.want(t, 403, "forbidden", "POST", "/api/v1/explain", `{"command":["GET","a"]}`, "Sec-Fetch-Site", "cross-site")
	open.want(t, 200, "verdict", "POST", "/api/v1/explain", `{"command":["GET","a"]}`, "Sec-Fetch-Site", "same-origin")
}

// The same address speaks RESP.
func TestRESP(t *testing.T) {
	r := newRig(t, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.Serve(ln) }()
	eventually(t, "it is ready", func() bool { return r.unready() == nil })
	answer, err := http.Get("http://" + ln.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	say := func(want string, words ...string) {
		t.Helper()
		var b bytes.Buffer
		fmt.Fprintf(&b, "*%d\r\n", len(words))
		for _, word := range words {
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(word), word)
		}
		if _, err := c.Write(b.Bytes()); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		buf := make([]byte, 64<<10)
		n, err := c.Read(buf)
		if got := string(buf[:n]); err != nil || !strings.Contains(got, want) {
			t.Errorf("%q = %q %v, want %q", words, got, err, want)
		}
	}
	say("-NOAUTH ", "SESSIONGATE", "STATS")
	say("-WRONGPASS ", "AUTH", "guess-guess-guess")
	say("-WRONGPASS ", "HELLO", "3", "AUTH", "default", "guess-guess-guess")
	say("*0\r\n", "COMMAND", "DOCS")
	say("+OK\r\n", "AUTH", "default", token)
	say("%5\r\n", "HELLO", "3", "SETNAME", "x")
	for _, word := range respOrder {
		switch word {
		case "KILL", "EXPLAIN", "REVOKE":
			say("-ERR write SESSIONGATE "+word, "SESSIONGATE", word)
		case "RESUME":
			say("paused=false", "SESSIONGATE", word)
		default:
			say("*", "SESSIONGATE", word)
		}
	}
	say("> SET sess:1 v", "SESSIONGATE", "EXPLAIN", "@default", "SET", "sess:1", "v")
	say("-ERR there is no tenant", "SESSIONGATE", "SESSIONS", "@nobody")
	say("-ERR there is no SESSIONGATE", "SESSIONGATE", "NOTHING\r\n+OK")
	say("-ERR this is the admin address", "GET", "a")
	if _, err := io.WriteString(c, "*1\r\n$99999999999\r\n"); err != nil {
		t.Fatal(err)
	}
	if text, _ := io.ReadAll(c); string(text) != "-ERR Protocol error\r\n" {
		t.Errorf("a word too long = %q", text)
	}
	silent, err := net.Dial("tcp", ln.Addr().String()) // must not keep Close from ending
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	r.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestTrail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	trail, err := OpenTrail(config.Log{Audit: path}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	trail.Event(proxy.Event{Kind: proxy.EventRefusal, Tenant: "shop", Reason: "size", Text: "DENIED \"x\"\n", Client: proxy.ClientRef{ID: 7}})
	eventually(t, "the line is there", func() bool { text, _ := os.ReadFile(path); return bytes.Contains(text, []byte("shop")) })
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	trail.Reopen()
	trail.Reloaded("SIGHUP", errors.New("f:1: wrong"))
	trail.Close()
	for name, want := range map[string]string{path + ".1": "refusal", path: "reload"} {
		text, err := os.ReadFile(name)
		var line struct{ Time, Event string }
		if err != nil || json.Unmarshal(text, &line) != nil || line.Event != want || line.Time == "" {
			t.Errorf("%s holds %q %v, want one line of %s", name, text, err, want)
		}
	}
	if none, err := OpenTrail(config.Log{Audit: config.AuditOff}, nil); none != nil || err != nil {
		t.Errorf("off = %v, %v", none, err)
	}
	if _, err := OpenTrail(config.Log{Audit: filepath.Join(path, "below")}, nil); err == nil {
		t.Error("a path that can't be is no error")
	}
}

// What the alerts and the Grafana dashboard ask for is there.
func TestDeploy_Names(t *testing.T) {
	r := newRig(t, nil)
	r.say(t, 2, "SET sess:1 v", "SET sess:1 "+strings.Repeat("x", 200))
	eventually(t, "the session has added what it counted", func() bool {
		return strings.Contains(r.call("GET", "/api/v1/stats", "").Body.String(), `"refused":1`)
	})
	metrics := r.call("GET", "/metrics", "").Body.String()
	for _, file := range []string{"../deploy/prometheus/sessiongate.rules.yml", "../deploy/grafana/sessiongate.json"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`sessiongate_[a-z_]+`).FindAllString(string(text), -1) {
			if !strings.Contains(metrics, "# TYPE "+name+" ") && !strings.Contains(metrics, "\n"+name+"{") && !strings.Contains(metrics, "\n"+name+" ") {
				t.Errorf("%s asks for %s, which /metrics has not got", file, name)
			}
		}
	}
}
