package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"sessiongate/config"
	"sessiongate/doctor/replay"
	"sessiongate/proxy"
)

// handshakes are what drivers say when they connect.
//
//go:embed handshakes.txt
var handshakes string

// clients connects as a tenant's clients do.
func (r *Report) clients(ctx context.Context, c Config, t *proxy.Tenant) {
	at, problem := door(c, t)
	if problem != "" {
		r.add(Note, "clients", "tenant "+t.Name, problem, "")
		return
	}
	password, known := secret(c, t)
	if !known {
		r.add(Note, "clients", "tenant "+t.Name, "its passwords are configured as hashes, so that nobody can log in here with them", "--password-file with one of them")
		return
	}
	wait := patience + max(time.Duration(settingsOf(c, t).Hold), 0) // which Sessiongate itself waits for an upstream that is gone
	p := &replay.Player{User: t.User, Password: password, Patience: wait, Dial: dialer(c, at)}
	if err := knock(ctx, p); err != nil {
		r.add(Fail, "clients", "tenant "+t.Name, fmt.Sprintf("%s: %v", at, err), remedy(err, at))
		return
	}
	r.drivers(ctx, t, at, p)
}

// door is where the tenant's clients come in, or why that can't be tried.
func door(c Config, t *proxy.Tenant) (config.Listener, string) {
	var at config.Listener
	list := c.Settings.Listen
	if i := slices.IndexFunc(c.Settings.Tenants, func(s config.Tenant) bool { return s.Name == t.Name && len(s.Listen) > 0 }); i >= 0 {
		list = c.Settings.Tenants[i].Listen
	}
	if c.Address != FromSettings {
		if err := at.UnmarshalText([]byte(c.Address)); err != nil {
			return at, err.Error()
		}
		list = []config.Listener{at}
	}
	switch {
	case len(list) == 0:
		return at, "there is no address to try"
	case list[0].TLS && c.Settings.TLS.RequireClientCert, len(t.Certs) > 0 && len(t.Passwords) == 0 && !t.Listens:
		return at, "its clients have to show a certificate, and there is none here to show"
	}
	return list[0], ""
}

// FromSettings is an address of Config: those that the settings listen on.
const FromSettings = "settings"

// secret is a password with which the tenant's clients log in; known is false where all are hashes.
func secret(c Config, t *proxy.Tenant) (password string, known bool) {
	if c.Password != "" || len(t.Passwords) == 0 {
		return c.Password, true
	}
	for _, text := range t.Passwords {
		if !strings.HasPrefix(text, "sha256:") && !strings.HasPrefix(text, "$argon2id$") {
			return text, true
		}
	}
	return "", false
}

// dialer connects to the listener from this machine. Under TLS it has to show the very certificate of the settings: the password goes to
// nobody else.
func dialer(c Config, at config.Listener) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		address := at.Address
		if host, port, err := net.SplitHostPort(address); at.Network != "unix" && err == nil {
			if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
				address = net.JoinHostPort("127.0.0.1", port)
			}
		}
		conn, err := new(net.Dialer).DialContext(ctx, at.Network, address)
		if err != nil || !at.TLS {
			return conn, err
		}
		ours, err := certificate(c.Settings.TLS.Cert)
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		secure := tls.Client(conn, &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
			if !s.PeerCertificates[0].Equal(ours) {
				return errors.New("it shows another certificate than the settings have")
			}
			return nil
		}})
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return secure, nil
	}
}

// certificate reads the first one in a PEM file.
func certificate(file string) (*x509.Certificate, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
	return nil, fmt.Errorf("no certificate in %s", file)
}

// knock logs in and reads once, so that a wrong password or a lost upstream is not met by every driver.
func knock(ctx context.Context, p *replay.Player) error {
	all, err := replay.Parse("conversation login\n> [AUTH $LOGIN]\n< +OK\n> GET sessiongate:doctor\n< nil | -NOPERM | -DENIED\n")
	if err != nil {
		return err
	}
	return p.Play(ctx, all[0])[0].Err
}

// remedy is what to do where the first login fails.
func remedy(err error, at config.Listener) string {
	switch text := err.Error(); {
	case strings.Contains(text, "upstream unavailable"): // and why, which may be a connection refused
		return "see the findings about the upstream"
	case strings.Contains(text, "connection refused"), strings.Contains(text, "no such file"):
		return fmt.Sprintf("start Sessiongate, or name where it listens with --address instead of %s; --address off leaves clients out", at)
	case strings.Contains(text, "-WRONGPASS"), strings.Contains(text, "-NOAUTH"):
		return "reload the running Sessiongate (SIGHUP), whose passwords are others than those of the configuration, or give --password-file"
	case strings.Contains(text, "max number of clients"):
		return "sessiongate.yaml: raise limits.clients"
	}
	return ""
}

// drivers plays the handshake of each driver, as it is sent and one request at a time.
func (r *Report) drivers(ctx context.Context, t *proxy.Tenant, at config.Listener, p *replay.Player) {
	all, err := replay.Parse(handshakes)
	if err != nil {
		r.add(Fail, "clients", "tenant "+t.Name, "handshakes: "+err.Error(), "")
		return
	}
	passed, tolerated := 0, map[string]bool{}
	began := time.Now()
	for _, driver := range all {
		failed := false
		for _, p.OneByOne = range []bool{false, true} {
			breathe(ctx, t.Rate)
			for _, result := range p.Play(ctx, driver) {
				for _, text := range result.Tolerated {
					command, _, _ := strings.Cut(text, ": ")
					words := strings.Fields(strings.ToUpper(command))
					tolerated[strings.Join(words[:min(len(words), 2)], " ")] = true
				}
				if result.Err != nil && !failed {
					failed = true
					r.add(severity(result.Err), "client "+driver.Name, "tenant "+t.Name, fmt.Sprintf("at %s (pipelined: %v) %v", at, !p.OneByOne, result.Err), refusedFix(result.Err))
				}
			}
		}
		if !failed {
			passed++
		}
	}
	found := fmt.Sprintf("%d of %d drivers connect to %s in RESP2 or RESP3, pipelined and one request at a time, in %d ms", passed, len(all), at, time.Since(began).Milliseconds())
	if len(tolerated) > 0 {
		names := make([]string, 0, len(tolerated))
		for name := range tolerated {
			names = append(names, name)
		}
		slices.Sort(names)
		found += "; commands refused, which drivers put up with: " + strings.Join(names, ", ")
	}
	level := OK
	if passed < len(all) {
		level = Note
	}
	r.add(level, "clients", "tenant "+t.Name, found, "")
}

// breathe leaves the tenant's clients most of what they may send.
func breathe(ctx context.Context, rate proxy.Rate) {
	if rate.Commands == 0 {
		return
	}
	const handshake = 15 // commands, of the longest
	timer := time.NewTimer(min(2*handshake*time.Second/time.Duration(rate.Commands), patience))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// severity is that of a driver which can't connect: where a command is refused, the rules may well mean that, and another driver is used.
func severity(err error) Level {
	if strings.Contains(err.Error(), " is answered -") {
		return Warn
	}
	return Fail
}

// refusedFix is what lets a driver in that is refused a command.
func refusedFix(err error) string {
	switch text := err.Error(); {
	case strings.Contains(text, "DENIED rate"):
		return "sessiongate.yaml: raise rate.burst to the commands of a handshake, 15, times the clients that connect at once"
	case strings.Contains(text, "CLIENT TRACKING"):
		return "let the client not cache: DisableCache of rueidis and valkey-go; or, where a rule refuses it, allow client|tracking"
	case strings.Contains(text, "-NOPERM"):
		return "sessiongate.yaml: allow the command in commands of the rules"
	}
	return ""
}
