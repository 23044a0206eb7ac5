package upstream_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sessiongate/upstream"
)

func TestOpen_errors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.pem")
	for _, test := range []struct {
		name string
		cfg  upstream.Config
		want string
	}{
		{"scheme", upstream.Config{URL: "http://localhost"}, "scheme"},
		{"database", upstream.Config{URL: "redis://localhost/one"}, "database"},
		{"option", upstream.Config{URL: "redis://localhost?what=1"}, "what"},
		{"port", upstream.Config{URL: "redis://:zqxcret@localhost:port"}, "can't be parsed"},
		{"slash in password", upstream.Config{URL: "redis://:zqx/cret@localhost:6379"}, "%2F"},
		{"slash after digits", upstream.Config{URL: "redis://u:12/zqxcret@localhost:6379/0"}, "%2F"},
		{"percent in password", upstream.Config{URL: "redis://:zqx%cret@localhost"}, "%25"},
		{"driver", upstream.Config{Driver: "fast"}, `"fast"`},
		{"negative", upstream.Config{Links: -1}, "negative"},
		{"negative time", upstream.Config{ReadTimeout: -1}, "negative"},
		{"tls without rediss", upstream.Config{TLS: upstream.TLS{Insecure: true}}, "rediss://"},
		{"ca file", upstream.Config{URL: "rediss://localhost", TLS: upstream.TLS{CAFile: missing}}, "missing.pem"},
		{"key file", upstream.Config{URL: "rediss://localhost", TLS: upstream.TLS{CertFile: missing}}, "missing.pem"},
	} {
		p, err := upstream.Open(test.cfg, nil)
		if err == nil {
			p.Close()
			t.Errorf("%s: got no error", test.name)
			continue
		}
		if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %q, want it to hold %q", test.name, err, test.want)
		}
		if strings.Contains(err.Error(), "zqx") || strings.Contains(err.Error(), "cret") {
			t.Errorf("%s: %q shows the password", test.name, err)
		}
	}
}

func TestOpen_options(t *testing.T) {
	p := open(t, upstream.Config{URL: "redis://user:pass@127.0.0.1:1/7?read_timeout=3s&max_retries=5", ReadTimeout: time.Second})
	if got, want := p.DB(), 7; got != want {
		t.Errorf("DB: got %d, want %d", got, want)
	}
	if got, want := p.ReadTimeout(), 3*time.Second; got != want {
		t.Errorf("ReadTimeout: got %v, want %v", got, want)
	}
	if got, want := p.Addr(), "127.0.0.1:1"; got != want {
		t.Errorf("Addr: got %q, want %q", got, want)
	}
	// go-redis turns "never" into 0 when it fills in defaults.
	if got := p.Admin().Options().MaxRetries; got > 0 {
		t.Errorf("MaxRetries: got %d, want none", got)
	}
}

func TestPool_Health(t *testing.T) {
	s := startRedis(t)
	p := open(t, upstream.Config{URL: s.url(), HealthInterval: 5 * time.Millisecond})
	until(t, "it is up", func() bool { up, why := p.Health(); return up && why == nil })
	until(t, "its version is known", func() bool { return strings.HasPrefix(p.Version(), "7.") })
	s.kill()
	until(t, "it is down", func() bool { up, why := p.Health(); return !up && why != nil })
	s.start(t)
	until(t, "it is up again", func() bool { up, _ := p.Health(); return up })
}

// TestPool_Now has an upstream whose clock stands in 2023.
func TestPool_Now(t *testing.T) {
	f := newFake(t, func(c *fakeConn, args [][]byte) { c.out = append(c.out, "+OK\r\n"...) })
	for _, use := range []func(*upstream.Pool){
		func(p *upstream.Pool) { do(t, p.Link(2, 0), cmd("X")) },
		func(p *upstream.Pool) { until(t, "it is up", func() bool { up, _ := p.Health(); return up }) },
	} {
		p := open(t, upstream.Config{URL: f.url()})
		use(p)
		if got, want := p.Now(), int64(1700000000_000); got < want || got > want+60_000 {
			t.Errorf("Now: got %d, want about %d", got, want)
		}
	}
	s := startRedis(t)
	p := open(t, upstream.Config{URL: s.url()})
	do(t, p.Link(2, 0), cmd("PING"))
	if got, want := p.Now(), time.Now().UnixMilli(); got < want-100 || got > want+100 {
		t.Errorf("Now: got %d, want about %d", got, want)
	}
}

func TestPool_Stats(t *testing.T) {
	block := make(chan struct{})
	f := newFake(t, func(c *fakeConn, args [][]byte) {
		if string(args[0]) == "WAIT" {
			<-block
		}
		c.out = append(c.out, "+OK\r\n"...)
	})
	p := open(t, upstream.Config{URL: f.url(), HealthInterval: time.Hour})
	do(t, p.Link(2, 0), cmd("X"))
	until(t, "what was written is counted", func() bool { return p.Stats().BytesOut == int64(len(cmd("X"))) })
	before := p.Stats()
	if before.Connections != 1 || before.InFlight != 0 {
		t.Errorf("got %+v, want 1 connection, nothing in flight", before)
	}
	done := make(chan error)
	go func() {
		b := upstream.Batch{Req: cmd("WAIT"), Count: 1}
		done <- p.Link(2, 0).Do(t.Context(), &b)
	}()
	until(t, "one is in flight", func() bool { return p.Stats().InFlight == 1 })
	close(block)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	after := p.Stats()
	if got, want := after.BytesIn-before.BytesIn, int64(len("+OK\r\n")); got != want {
		t.Errorf("BytesIn: got %d, want %d", got, want)
	}
}

func ExamplePool_Link() {
	p, err := upstream.Open(upstream.Config{URL: "redis://127.0.0.1:6379"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	fmt.Println(p.Addr())
	// Output: 127.0.0.1:6379
}
