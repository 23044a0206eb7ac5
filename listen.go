package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"sessiongate/config"
	"sessiongate/proxy"
	"sessiongate/quick"
)

// place is an address to accept clients on: everybody's, or a tenant's own.
type place struct {
	tenant string // empty: everybody's
	at     config.Listener
}

// places lists all of the configuration.
func places(cfg config.Config) (all []place) {
	for _, at := range cfg.Listen {
		all = append(all, place{"", at})
	}
	for _, t := range cfg.Tenants {
		for _, at := range t.Listen {
			all = append(all, place{t.Name, at})
		}
	}
	return all
}

// listeners opens all the listeners of the configuration, in the order of places, or none.
func (s *sockets) listeners(ctx context.Context, cfg config.Config, certs *certificates) (all []net.Listener, err error) {
	s.reuse = cfg.ReusePort
	defer func() {
		if err != nil {
			s.closeAll()
		}
	}()
	for _, p := range places(cfg) {
		socket, err := s.listenAt(ctx, p.at, time.Duration(cfg.Limits.KeepAlive))
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w", p.at, err)
		}
		l := quick.Listener(socket)
		if p.at.TLS {
			l = tls.NewListener(l, certs.config())
		}
		if p.tenant != "" {
			l = proxy.TenantListener(l, p.tenant)
		}
		all = append(all, l)
	}
	return all, nil
}

func (s *sockets) listenAt(ctx context.Context, at config.Listener, keepAlive time.Duration) (*socket, error) {
	var conf net.ListenConfig
	if keepAlive == 0 {
		conf.KeepAlive = -1
	} else {
		conf.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: keepAlive, Interval: keepAlive / 3}
	}
	if at.Network != "unix" {
		return s.listen(ctx, conf, network(at.Address), at.Address)
	}
	l, err := s.listen(ctx, conf, "unix", at.Address)
	if errors.Is(err, syscall.EADDRINUSE) && abandoned(at.Address) {
		if err := os.Remove(at.Address); err != nil {
			return nil, err
		}
		l, err = s.listen(ctx, conf, "unix", at.Address)
	}
	if err != nil {
		return nil, err
	}
	if l.name == "" { // systemd has said who may
		return l, nil
	}
	return l, os.Chmod(at.Address, at.Mode)
}

// network is that of a TCP address. Under "tcp" 0.0.0.0 would stand for every IPv6 address too.
func network(address string) string {
	host, _, _ := net.SplitHostPort(address)
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is4() {
		return "tcp4"
	}
	return "tcp"
}

// abandoned tells whether path is a socket that nobody listens on any more, left by a process that was killed.
func abandoned(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// serverTLS reads the certificates that the configuration names.
func serverTLS(t config.TLS) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate and key: %w", err)
	}
	conf := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if t.MinVersion == "1.3" {
		conf.MinVersion = tls.VersionTLS13
	}
	if t.ClientCA == "" {
		return conf, nil
	}
	pem, err := os.ReadFile(t.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("client_ca: %w", err)
	}
	conf.ClientCAs = x509.NewCertPool()
	if !conf.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("client_ca: no certificate in %s", t.ClientCA)
	}
	conf.ClientAuth = tls.VerifyClientCertIfGiven
	if t.RequireClientCert {
		conf.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return conf, nil
}
