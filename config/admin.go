package config

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Admin is the address for operators: metrics, health, an API, a dashboard.
type Admin struct {
	Listen     Listener `yaml:"listen"`      // host:port or unix:///path; left out: there is none
	Token      Secret   `yaml:"token"`       // what operators have to show
	TokenFile  string   `yaml:"token_file"`  // holds it
	TLS        AdminTLS `yaml:"tls"`         // with a certificate, the address speaks TLS
	Pprof      bool     `yaml:"pprof"`       // serve profiles of the program
	ShowValues bool     `yaml:"show_values"` // let operators see what is in a session
}

// AdminTLS is what the admin address shows, and whom it lets in without a token.
type AdminTLS struct {
	Cert     string `yaml:"cert"`      // PEM file: the certificate and those above it
	Key      string `yaml:"key"`       // PEM file: its key
	ClientCA string `yaml:"client_ca"` // PEM file: authorities whose client certificates count
}

// On tells whether there is an admin address.
func (a Admin) On() bool { return a.Listen.Address != "" }

// SlowLog says which commands are kept as slow ones.
type SlowLog struct {
	Threshold Duration `yaml:"threshold"` // that take so long, from their arrival to the reply; 0: none
	Length    int      `yaml:"length"`    // how many of the last
	Rate      int      `yaml:"rate"`      // in a second at most, others are only counted; 0: any number
}

// What log.audit may be, besides the path of a file.
const (
	AuditOff = "off"
	AuditLog = "log"
)

// shortestToken is how long an admin token is at least, in bytes: nobody may guess it.
const shortestToken = 16

func (l *ledger) admin(c *Config) {
	a := c.Admin
	if audit := c.Log.Audit; audit != AuditOff && audit != AuditLog && !filepath.IsAbs(audit) {
		l.judge("log.audit", fmt.Sprintf("%q is not known", clip(audit)), "write off, log, or the absolute path of a file")
	}
	if !a.On() {
		if a != (Admin{}) {
			l.judge("admin", "is of no use: admin.listen is not set", "write admin: {listen: 127.0.0.1:6381, ...}")
		}
		return
	}
	for i, at := range c.Listen {
		if at.Network == a.Listen.Network && at.Address == a.Listen.Address && !strings.HasSuffix(at.Address, ":0") {
			l.judge("admin.listen", fmt.Sprintf("%q is the address of %s too", a.Listen, index("listen", i)), "")
		}
	}
	secure := a.TLS.Cert != ""
	switch {
	case a.Listen.TLS && !secure:
		l.judge("admin.tls.cert", "is missing", "a tls:// address needs a certificate")
	case secure != (a.TLS.Key != ""):
		l.judge("admin.tls", "needs both cert and key, or neither", "")
	case a.TLS.ClientCA != "" && !secure:
		l.judge("admin.tls.client_ca", "needs admin.tls.cert", "client certificates are shown within TLS only")
	case secure && a.Listen.Network == "unix":
		l.judge("admin.tls", "is of no use on a unix socket", "")
	}
	if a.Token != "" && a.TokenFile != "" {
		l.judge("admin.token_file", "is given besides admin.token", "keep one of them")
	}
	if !a.Listen.Local() && a.Token == "" && a.TokenFile == "" && a.TLS.ClientCA == "" {
		l.judge("admin.listen", fmt.Sprintf("%q can be reached from other machines and needs a credential", a.Listen),
			"write admin.token, admin.token_file or admin.tls.client_ca, or listen on 127.0.0.1")
	}
	if a.Token != "" {
		l.token("admin.token", a.Token)
	}
}

// token reports one that might be guessed, or that no header can carry.
func (l *ledger) token(path string, token Secret) {
	text := token.Reveal()
	if len(text) < shortestToken {
		l.judge(path, fmt.Sprintf("has %d bytes, and needs %d", len(text), shortestToken), "make one with: openssl rand -hex 24")
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		l.judge(path, "holds a blank or a character that is not ASCII", "make one with: openssl rand -hex 24")
	}
}
