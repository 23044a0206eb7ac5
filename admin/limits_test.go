package admin

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"sessiongate/config"
)

// serve has the rig listen.
func (r *rig) serve(t *testing.T) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.Serve(ln) }()
	t.Cleanup(func() {
		r.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func connect(t *testing.T, addr, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	return c
}

// Who has to show a credential, and has not, can send no more than it takes to do that, and not slowly.
func TestLimits_Nobody(t *testing.T) {
	addr := newRig(t, nil).serve(t)
	want := func(c net.Conn, want string) {
		t.Helper()
		if got, err := io.ReadAll(c); string(got) != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	want(connect(t, addr, "*11\r\n"), "-ERR Protocol error\r\n")
	want(connect(t, addr, "*2\r\n$16385\r\n"), "-ERR Protocol error\r\n")
	want(connect(t, addr, "*5\r\n"+strings.Repeat("$16384\r\n"+strings.Repeat("x", 16384)+"\r\n", 4)+"$1\r\n"), "-ERR Protocol error\r\n")
	want(connect(t, addr, "*2\r\n$4\r\nAU"), "") // after respRest
	admitted := connect(t, addr, "*2\r\n$4\r\nAUTH\r\n$17\r\n"+token+"\r\n*12\r\n$11\r\nSESSIONGATE\r\n$7\r\nEXPLAIN\r\n$3\r\nDEL\r\n"+strings.Repeat("$1\r\na\r\n", 9))
	buf := make([]byte, 8)
	if _, err := io.ReadFull(admitted, buf); err != nil || !bytes.HasPrefix(buf, []byte("+OK\r\n*")) {
		t.Errorf("12 words with a credential = %q, %v", buf, err)
	}
}

// However many are connected that have shown no credential, others are answered, and who has shown one stays.
func TestLimits_Slots(t *testing.T) {
	r := newRig(t, nil)
	addr := r.serve(t)
	operator := connect(t, addr, "*2\r\n$4\r\nAUTH\r\n$17\r\n"+token+"\r\n")
	buf := make([]byte, 64)
	if n, err := operator.Read(buf); err != nil || string(buf[:n]) != "+OK\r\n" {
		t.Fatal(string(buf[:n]), err)
	}
	for range maxConns + 10 {
		connect(t, addr, "*")
	}
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Get("http://" + addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	client.CloseIdleConnections()
	if _, err := io.WriteString(operator, "*1\r\n$4\r\nPING\r\n"); err != nil {
		t.Fatal(err)
	}
	if n, err := operator.Read(buf); err != nil || string(buf[:n]) != "+PONG\r\n" {
		t.Errorf("PING of who has shown a credential = %q, %v", buf[:n], err)
	}
}

// Wrong tokens don't fill the audit log.
func TestLimits_Trail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	trail, err := OpenTrail(config.Log{Audit: path}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *Config) { c.Trail = trail })
	for range 3 {
		r.want(t, 401, "unauthorized", "GET", "/api/v1/status", "", "Authorization", "Bearer wrong")
	}
	r.Close()
	trail.Close()
	if text, err := os.ReadFile(path); err != nil || strings.Count(string(text), "admin_login_failed") != 1 {
		t.Errorf("3 wrong tokens = %s, %v, want one line", text, err)
	}
}

// Close waits for no upstream that doesn't answer.
func TestLimits_Close(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	asked := make(chan struct{}, 1000)
	go func() {
		for {
			c, err := silent.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			asked <- struct{}{}
		}
	}()
	r := newRigOn(t, silent.Addr().String(), nil)
	<-asked // by the proxy itself
	r.want(t, 202, "running", "POST", "/api/v1/revocations", `{"all": true}`)
	r.want(t, 202, "running", "POST", "/api/v1/audits", `{}`)
	began := time.Now()
	r.Close()
	if took := time.Since(began); took > closing+time.Second {
		t.Errorf("Close took %v", took)
	}
	for _, what := range []any{r.revocations.show(r.revocations.list[0]).State, r.audits.list()[0].State} {
		if what != stateCancelled {
			t.Errorf("state = %v, want %v", what, stateCancelled)
		}
	}
	if n := r.logs.FilterMessageSnippet("cut short").Len(); n != 1 {
		t.Errorf("%d lines on a revocation that was cut short, want 1", n)
	}
}

// What would end with the process is not begun shortly before, and keeps another from taking over.
func TestBegun(t *testing.T) {
	r := newRig(t, nil)
	eventually(t, "it is ready", func() bool { return r.unready() == nil })
	r.want(t, 200, "", "POST", "/api/v1/pause", "")
	if _, err := r.Leave(); err == nil {
		t.Error("it may leave while paused")
	}
	r.want(t, 200, "", "POST", "/api/v1/resume", "")
	stay, err := r.Leave()
	if err != nil {
		t.Fatal(err)
	}
	r.want(t, 503, "draining", "POST", "/api/v1/pause", "")
	r.want(t, 503, "draining", "POST", "/api/v1/revocations", `{"all": true}`)
	stay()
	r.want(t, 202, "running", "POST", "/api/v1/revocations", `{"all": true}`)
	eventually(t, "it may leave when all is revoked", func() bool { _, err := r.Leave(); return err == nil })

	r.drain()
	eventually(t, "it drains", r.cfg.Proxy.Draining)
	for path, body := range map[string]string{"pause": "", "revocations": `{"all": true}`, "audits": ""} {
		r.want(t, 503, "draining", "POST", "/api/v1/"+path, body)
	}
	if got := r.call("GET", "/healthz", "").Header().Get("Connection"); got != "close" {
		t.Errorf("Connection: %q while it drains, want close", got)
	}
}
