package integration_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority issues certificates for the tests.
type authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	file string // its certificate, for configurations
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir(), pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	a.key = a.newKey()
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	a.file = a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// issue writes a certificate for 127.0.0.1 and its key, and returns the names of the files.
func (a *authority) issue(name string) (cert, key string) {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	private := a.newKey()
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(name+".pem", "CERTIFICATE", der), a.write(name+".key", "PRIVATE KEY", keyDER)
}

func dialTLS(t testing.TB, addr string, config *tls.Config) *conn {
	t.Helper()
	c, err := tls.Dial("tcp", addr, config)
	if err != nil {
		t.Fatal(err)
	}
	return newConn(t, c)
}

func TestListener_TLS(t *testing.T) {
	t.Parallel()
	r, ca := startRedis(t), newAuthority(t)
	cert, key := ca.issue("server")
	addr := loopback(freePort(t))
	g := startGate(t, fmt.Sprintf("listen: tls://%s\ntls: {cert: %s, key: %s}\n%s", addr, cert, key, r.upstream()))
	g.waitFor(t, "tcp", addr)
	c := dialTLS(t, addr, &tls.Config{RootCAs: ca.pool})
	c.want(ok, "SET", "a", strings.Repeat("v", 100_000))
	c.want(bulk(strings.Repeat("v", 100_000)), "GET", "a")
	if got := redisCLI(t, "", "-p", port(addr), "--tls", "--cacert", ca.file, "-3", "ping"); got != "PONG" {
		t.Errorf("redis-cli --tls prints %q", got)
	}
	if _, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: ca.pool, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
	// Who speaks without TLS, or only connects, gets nothing and harms nobody.
	for _, raw := range []string{"PING\r\n", "\x16\x03\x01\xff\xff", ""} {
		plain := dial(t, addr)
		plain.send(raw)
		plain.closeWrite()
		if got := plain.readAll(); strings.Contains(got, "PONG") {
			t.Errorf("%q without TLS = %q", raw, got)
		}
	}
	c.want(pong, "PING")
}

func TestListener_MutualTLS(t *testing.T) {
	t.Parallel()
	r, ca, stranger := startRedis(t), newAuthority(t), newAuthority(t)
	cert, key := ca.issue("server")
	addr := loopback(freePort(t))
	g := startGate(t, fmt.Sprintf("listen: tls://%s\ntls: {cert: %s, key: %s, client_ca: %s, require_client_cert: true}\n%s", addr, cert, key, ca.file, r.upstream()))
	g.waitFor(t, "tcp", addr)
	load := func(a *authority) tls.Certificate {
		pair, err := tls.LoadX509KeyPair(a.issue("client"))
		if err != nil {
			t.Fatal(err)
		}
		return pair
	}
	c := dialTLS(t, addr, &tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{load(ca)}})
	c.want(pong, "PING")
	for name, certs := range map[string][]tls.Certificate{"none": nil, "a stranger's": {load(stranger)}} {
		bad, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: ca.pool, Certificates: certs})
		if err != nil {
			continue
		}
		bad.Write([]byte("PING\r\n")) // with TLS 1.3 the refusal shows at the first read
		bad.SetDeadline(time.Now().Add(patience))
		if n, err := bad.Read(make([]byte, 10)); err == nil {
			t.Errorf("with the client certificate %s, %d bytes came back", name, n)
		}
		bad.Close()
	}
}

func TestListener_UnixAndSeveral(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "redis.sock")
	r := startRedis(t, "--unixsocket", socket)
	front := filepath.Join(t.TempDir(), "gate.sock")
	addr := loopback(freePort(t))
	g := startGate(t, fmt.Sprintf("listen: [\"unix://%s?mode=0600\", \"%s\"]\nupstream: unix://%s\n", front, addr, socket))
	g.waitFor(t, "tcp", addr)
	g.waitFor(t, "unix", front)
	c := dialNetwork(t, "unix", front)
	c.want(ok, "SET", "a", "v")
	dial(t, addr).want(bulk("v"), "GET", "a")
	dial(t, r.addr).want(bulk("v"), "GET", "a")
	if got := redisCLI(t, "", "-s", front, "get", "a"); got != "v" {
		t.Errorf("redis-cli -s prints %q", got)
	}
	if info, err := os.Stat(front); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode is %v, %v; want 0600", info.Mode(), err)
	}
	g.signal(t, os.Interrupt)
	eventually(t, "the gate ends", g.ended)
	if _, err := os.Stat(front); err == nil {
		t.Error("the socket file is left behind")
	}
	// A file left by one that was killed is no obstacle.
	g = startGate(t, fmt.Sprintf("listen: unix://%s\nupstream: unix://%s\n", front, socket))
	g.waitFor(t, "unix", front)
	g.kill(t)
	g = startGate(t, fmt.Sprintf("listen: unix://%s\nupstream: unix://%s\n", front, socket))
	g.waitFor(t, "unix", front)
	dialNetwork(t, "unix", front).want(bulk("v"), "GET", "a")
}

// An upstream behind TLS and a password.
func TestListener_UpstreamTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, key := ca.issue("redis")
	tlsPort := freePort(t)
	startRedis(t, "--tls-port", fmt.Sprint(tlsPort), "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca.file,
		"--tls-auth-clients", "no", "--requirepass", "upstream secret", "--user", "app", "on", ">app-pw", "~*", "&*", "+@all")
	for name, yaml := range map[string]string{
		"password": "upstream: {url: rediss://%s, password: upstream secret, tls: {ca: " + ca.file + "}}\n",
		"user":     "upstream: {url: rediss://%s/2, user: app, password: app-pw, tls: {ca: " + ca.file + "}}\n",
		"go-redis": "upstream: {url: rediss://%s, driver: go-redis, password: upstream secret, tls: {insecure: true}}\n",
	} {
		c := dial(t, startGate(t, fmt.Sprintf(yaml, loopback(tlsPort))).addr)
		c.want(ok, "SET", "a", name)
		c.want(bulk(name), "GET", "a")
	}
	// A certificate that can't be checked is not trusted.
	c := dial(t, startGate(t, fmt.Sprintf("upstream: {url: rediss://%s, hold: 100ms, password: upstream secret}\n", loopback(tlsPort))).addr)
	c.wantPrefix("-ERR upstream unavailable: ", "GET a")
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}
