package upstream_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sessiongate/upstream"
)

// once runs a batch of one command.
func once(t testing.TB, l upstream.Link, args ...string) (string, error) {
	t.Helper()
	b := upstream.Batch{Req: cmd(args...), Count: 1}
	if err := l.Do(t.Context(), &b); err != nil {
		return "", err
	}
	return string(b.Replies[0].Raw), nil
}

func TestHandshake_credentials(t *testing.T) {
	s := startRedis(t, "--requirepass", "s3cret", "--user", "alice", "on", ">wonder", "~*", "&*", "+@all")
	for _, driver := range drivers {
		for _, proto := range []int{2, 3} {
			for _, who := range []struct{ user, want string }{
				{":s3cret@", "default"}, {"default:s3cret@", "default"}, {"alice:wonder@", "alice"},
			} {
				p := open(t, upstream.Config{URL: "redis://" + who.user + s.addr(), Driver: driver})
				if got, err := once(t, p.Link(proto, 0), "ACL", "WHOAMI"); got != bulk(who.want) || err != nil {
					t.Errorf("%s, RESP%d, %s: got %q, %v; want %s", driver, proto, who.user, got, err, who.want)
				}
			}
			for _, user := range []string{"", ":wr0ng-s3cret@", "alice:s3cret@", "bob:s3cret@"} {
				p := open(t, upstream.Config{URL: "redis://" + user + s.addr(), Driver: driver})
				start := time.Now()
				_, err := once(t, p.Link(proto, 0), "PING")
				if user == "" && driver == upstream.DriverGoRedis && err == nil {
					continue // it lets the server refuse each command
				}
				if !upstream.SafeToRetry(err) {
					t.Errorf("%s, RESP%d, %q: got %v, want a refusal that is safe to retry", driver, proto, user, err)
				}
				if strings.Contains(err.Error(), "s3cret") {
					t.Errorf("the error shows the password: %v", err)
				}
				if took := time.Since(start); took > 2*time.Second {
					t.Errorf("a refusal must not wait for the hold, took %v", took)
				}
				var refused *upstream.Refused
				if driver == upstream.DriverShared && (!errors.As(err, &refused) || !strings.Contains(err.Error(), "refused our credentials")) {
					t.Errorf("%s, RESP%d, %q: got %v, want a refusal of our credentials", driver, proto, user, err)
				}
			}
		}
	}
}

func TestHandshake_database(t *testing.T) {
	s := startRedis(t)
	p := open(t, upstream.Config{URL: s.url()})
	for range 2 {
		_, err := once(t, p.Link(2, 99), "PING")
		var refused *upstream.Refused
		if !errors.As(err, &refused) || refused.Reply != "ERR DB index is out of range" {
			t.Errorf("got %v, want DB index is out of range", err)
		}
	}
	if _, err := p.Dedicated(t.Context(), 3, 99); !strings.Contains(err.Error(), "DB index is out of range") {
		t.Errorf("Dedicated: got %v, want DB index is out of range", err)
	}
}

// TestHandshake_old has a server that doesn't know HELLO and tells our arguments to everybody.
func TestHandshake_old(t *testing.T) {
	var mu sync.Mutex
	seen := map[*fakeConn]string{}
	f := (&fake{
		answer: func(c *fakeConn, args [][]byte) { c.out = append(c.out, "+OK\r\n"...) },
		greet: func(c *fakeConn, args [][]byte) string {
			words := make([]string, len(args))
			for i, a := range args {
				words[i] = string(a)
			}
			mu.Lock()
			seen[c] += strings.Join(words, " ") + "\n"
			mu.Unlock()
			switch strings.ToUpper(words[0]) {
			case "HELLO":
				return "-ERR unknown command `HELLO`, with args beginning with: `" + strings.Join(words[1:], "`, `") + "`, \r\n"
			case "AUTH":
				return "+OK\r\n"
			}
			return manners(c, args)
		},
	}).start(t)
	p := open(t, upstream.Config{URL: "redis://:s3cret@" + f.addr() + "/3"})
	if got, err := once(t, p.Link(2, 3), "X"); got != "+OK\r\n" || err != nil {
		t.Errorf("RESP2: got %q, %v; want OK", got, err)
	}
	all, ours := "", false
	mu.Lock()
	for _, each := range seen {
		ours = ours || strings.HasSuffix(each, "\nAUTH s3cret\nSELECT 3\nCLIENT SETNAME sessiongate\nCLIENT ID\nTIME\nPING\nX\n")
		all += each + "\n"
	}
	mu.Unlock()
	if !ours {
		t.Errorf("server saw\n%s\nwant a connection that ends with AUTH, SELECT, SETNAME, ID, TIME, PING, X", all)
	}
	_, err := once(t, p.Link(3, 3), "X")
	if err == nil || !strings.Contains(err.Error(), "unknown command") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("RESP3: got %v, want unknown command without our password", err)
	}
}

// TestHandshake_patience has a server that is loading, then full: both pass.
func TestHandshake_patience(t *testing.T) {
	var mu sync.Mutex
	refusals := []string{"-LOADING Redis is loading the dataset in memory\r\n", "-ERR max number of clients reached\r\n"}
	f := (&fake{
		answer: func(c *fakeConn, args [][]byte) { c.out = append(c.out, "+OK\r\n"...) },
		greet: func(c *fakeConn, args [][]byte) string {
			mu.Lock()
			defer mu.Unlock()
			if string(args[0]) == "HELLO" && len(refusals) > 0 {
				first := refusals[0]
				refusals = refusals[1:]
				return first
			}
			return manners(c, args)
		},
	}).start(t)
	p := open(t, upstream.Config{URL: f.url()})
	if got, err := once(t, p.Link(2, 0), "X"); got != "+OK\r\n" || err != nil {
		t.Errorf("got %q, %v; want OK", got, err)
	}
}

// TestHandshake_stall has a server that accepts and says nothing.
func TestHandshake_stall(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	p := open(t, upstream.Config{
		URL: "redis://" + ln.Addr().String(), ConnectTimeout: 20 * time.Millisecond, Hold: 100 * time.Millisecond,
	})
	if _, err := once(t, p.Link(2, 0), "X"); !upstream.SafeToRetry(err) || !strings.Contains(err.Error(), "no answer within 20ms") {
		t.Errorf("got %v, want a timeout, safe to retry", err)
	}
	if _, err := p.Dedicated(t.Context(), 2, 0); !upstream.SafeToRetry(err) || !strings.Contains(err.Error(), "no answer within 20ms") {
		t.Errorf("Dedicated: got %v, want a timeout, safe to retry", err)
	}
}

func TestHandshake_unix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	startRedis(t, "--unixsocket", path)
	p := open(t, upstream.Config{URL: "unix://" + path + "?db=3"})
	if got, err := once(t, p.Link(3, p.DB()), "CLIENT", "INFO"); !strings.Contains(got, " db=3 ") || err != nil {
		t.Errorf("got %q, %v; want db=3", got, err)
	}
	c := dedicated(t, p, 2, 3)
	id := c.ID
	c.Release()
	if c = dedicated(t, p, 2, 3); c.ID != id {
		t.Errorf("got connection %d, want %d again", c.ID, id)
	}
}

func TestHandshake_tls(t *testing.T) {
	dir := t.TempDir()
	pair := certificate(t, dir)
	ca := filepath.Join(dir, "cert.pem")
	pool := x509.NewCertPool()
	raw, _ := os.ReadFile(ca)
	pool.AppendCertsFromPEM(raw)
	f := (&fake{
		answer: func(c *fakeConn, args [][]byte) { c.out = append(c.out, "+OK\r\n"...) },
		tls:    &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool},
	}).start(t)
	url := "rediss://" + f.addr()
	for _, test := range []struct {
		name string
		tls  upstream.TLS
		want string // part of the error; empty: works
	}{
		{"unknown authority", upstream.TLS{}, "certificate"},
		{"authority", upstream.TLS{CAFile: ca}, ""},
		{"own certificate", upstream.TLS{CAFile: ca, CertFile: ca, KeyFile: filepath.Join(dir, "key.pem")}, ""},
		{"wrong name", upstream.TLS{CAFile: ca, ServerName: "elsewhere"}, "elsewhere"},
		{"insecure", upstream.TLS{Insecure: true}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := open(t, upstream.Config{URL: url, TLS: test.tls})
			got, err := once(t, p.Link(2, 0), "X", strings.Repeat("v", 300<<10))
			if test.want == "" && (got != "+OK\r\n" || err != nil) {
				t.Errorf("got %q, %v; want OK", got, err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
			if test.want == "" {
				c := dedicated(t, p, 2, 0)
				if got, want := ask(t, c, "X"), "+OK\r\n"; got != want {
					t.Errorf("Dedicated: got %q, want %q", got, want)
				}
				c.Release()
				dedicated(t, p, 2, 0)
				if got, want := p.Stats().Dedicated, int64(1); got != want {
					t.Errorf("got %d dedicated connections, want %d", got, want)
				}
			}
		})
	}
}

// certificate makes one for 127.0.0.1 that is its own authority, as cert.pem and key.pem in dir.
func certificate(t *testing.T, dir string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	for name, text := range map[string][]byte{"cert.pem": certPEM, "key.pem": keyPEM} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}
