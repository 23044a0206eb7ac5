package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sessiongate/policy"
)

// check reports every value, and every pair of values, that can't be worked with. It changes nothing.
func (l *ledger) check(c *Config) {
	l.listeners(c)
	l.upstream(c)
	l.numbers(c)
	l.oneOf("tls.min_version", c.TLS.MinVersion, "1.2", "1.3")
	l.oneOf("upstream.driver", c.Upstream.Driver, "shared", "go-redis")
	l.oneOf("upstream.acl", c.Upstream.ACL, "manage", "verify", "off")
	l.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	l.oneOf("log.format", c.Log.Format, "auto", "json", "console")
	l.commands(c)
	l.tenants(c)
	l.lifetimes(c)
}

func (l *ledger) listeners(c *Config) {
	if len(c.Listen) == 0 {
		l.judge("listen", "names no address", "write one, such as 127.0.0.1:6380")
	}
	secure := false
	for i, a := range c.Listen {
		secure = secure || a.TLS
		for j, b := range c.Listen[:i] {
			if a.Address != "" && a.Network == b.Network && a.Address == b.Address && !strings.HasSuffix(a.Address, ":0") {
				l.judge(index("listen", i), fmt.Sprintf("%q is the address of listen[%d] too", a, j), "")
			}
		}
	}
	t := c.TLS
	switch {
	case secure && t.Cert == "":
		l.judge("tls.cert", "is missing", "a tls:// listener needs a certificate")
	case secure && t.Key == "":
		l.judge("tls.key", "is missing", "a tls:// listener needs the key of its certificate")
	case !secure && (l.wrote("tls.cert") || l.wrote("tls.key") || l.wrote("tls.client_ca")):
		l.judge("tls", "is of no use: no listener speaks TLS", "write listen: tls://host:port")
	}
	if t.RequireClientCert && t.ClientCA == "" {
		l.judge("tls.require_client_cert", "needs tls.client_ca", "name the authority whose certificates count")
	}
}

const upstreamHint = "write redis://host:port/db, rediss://host:port/db for TLS, unix:///path, or memory:// to try things out"

func (l *ledger) upstream(c *Config) {
	u := c.Upstream
	if u.URL == "" {
		l.judge("upstream", "is missing", upstreamHint)
		return
	}
	l.url(u.URL)
	inURL := strings.Contains(u.URL.Reveal(), "@")
	switch {
	case u.Password != "" && u.PasswordFile != "":
		l.judge("upstream.password_file", "is given besides upstream.password", "keep one of them")
	case inURL && (u.Password != "" || u.PasswordFile != "" || u.User != ""):
		l.judge("upstream.url", "holds credentials, which are given besides it", "keep one of them")
	case u.User != "" && u.Password == "" && u.PasswordFile == "":
		l.judge("upstream.user", "has no password", "write upstream.password or upstream.password_file")
	}
	if u.TLS != (UpstreamTLS{}) && !strings.HasPrefix(u.URL.Reveal(), "rediss://") {
		l.judge("upstream.tls", "is of no use: the upstream speaks no TLS", "write rediss:// in place of redis://")
	}
	if (u.TLS.Cert == "") != (u.TLS.Key == "") {
		l.judge("upstream.tls", "needs both cert and key, or neither", "")
	}
}

// url checks as much of the upstream's URL as can be without asking Redis's own client, and never quotes it whole.
func (l *ledger) url(u URL) {
	const path = "upstream.url"
	if u == Memory {
		return
	}
	parsed, err := url.Parse(u.Reveal())
	credentials := strings.Contains(u.Reveal(), "@")
	if err != nil || parsed.Opaque != "" || credentials && (parsed.User == nil || strings.Contains(parsed.Path, "@")) {
		hint := upstreamHint
		if credentials {
			hint = "write @ : / ? # % in a user or password as %40 %3A %2F %3F %23 %25"
		}
		l.judge(path, fmt.Sprintf("%q is not the address of a Redis", u.String()), hint)
		return
	}
	switch parsed.Scheme {
	case "redis", "rediss":
		db := strings.Trim(parsed.Path, "/")
		if _, err := strconv.ParseUint(db, 10, 16); err != nil && db != "" {
			l.judge(path, fmt.Sprintf("%q is not the number of a database", db), "it follows the port, as in redis://127.0.0.1:6379/0")
		}
		if parsed.Hostname() == "" {
			l.judge(path, fmt.Sprintf("%q names no host", u.String()), upstreamHint)
		}
	case "unix":
		if !strings.HasPrefix(parsed.Path, "/") || parsed.Host != "" {
			l.judge(path, fmt.Sprintf("%q has no absolute path", u.String()), "write unix:///run/redis.sock")
		}
	default:
		l.judge(path, fmt.Sprintf("%q is not the address of a Redis", u.String()), upstreamHint)
	}
}

// numbers checks ranges.
func (l *ledger) numbers(c *Config) {
	for _, n := range []struct {
		path     string
		got, min int64
		unit     string
	}{
		{"limits.clients", int64(c.Limits.Clients), 1, ""},
		{"limits.accept_rate", int64(c.Limits.AcceptRate), 0, ""},
		{"limits.args", int64(c.Limits.Args), 1, ""},
		{"limits.bulk", int64(c.Limits.Bulk), 1, " byte"},
		{"limits.request", int64(c.Limits.Request), 1, " byte"},
		{"limits.idle", int64(c.Limits.Idle), 0, ""},
		{"limits.login", int64(c.Limits.Login), 0, ""},
		{"limits.write", int64(c.Limits.Write), 0, ""},
		{"limits.keepalive", int64(c.Limits.KeepAlive), 0, ""},
		{"upstream.links", int64(c.Upstream.Links), 1, ""},
		{"upstream.hold", int64(c.Upstream.Hold), 0, ""},
		{"upstream.connect_timeout", int64(c.Upstream.ConnectTimeout), 1, "ms"},
		{"upstream.read_timeout", int64(c.Upstream.ReadTimeout), 1, "ms"},
		{"threads", int64(c.Threads), 0, ""},
		{"drain", int64(c.Drain), 0, ""},
	} {
		if n.got < n.min {
			l.judge(n.path, fmt.Sprintf("is below %d%s", n.min, n.unit), "")
		}
	}
}

func (l *ledger) oneOf(path, got string, want ...string) {
	if slices.Contains(want, got) {
		return
	}
	hint := "write " + strings.Join(want[:len(want)-1], ", ") + " or " + want[len(want)-1]
	if meant := closest(got, want); meant != "" {
		hint = fmt.Sprintf("did you mean %q?", meant)
	}
	l.judge(path, fmt.Sprintf("%q is not known", clip(got)), hint)
}

// tenants checks names, rules and namespaces.
func (l *ledger) tenants(c *Config) {
	if len(c.Tenants) == 0 {
		l.rules("", c.Config)
		if c.Password != "" && c.PasswordFile != "" {
			l.judge("password_file", "is given besides password", "keep one of them")
		}
		return
	}
	for _, path := range []string{"password", "password_file", "namespace", "rules"} {
		if l.wrote(path) {
			l.judge(path, "is given besides tenants", "move it into a tenant")
		}
	}
	for i, t := range c.Tenants {
		path := index("tenants", i)
		l.rules(path, t.Config)
		if t.Name == "" {
			l.judge(path, "has no name", `write "name: ..."`)
		}
		if t.Password != "" && t.PasswordFile != "" {
			l.judge(path+".password_file", "is given besides password", "keep one of them")
		}
		for j, other := range c.Tenants[:i] {
			l.apart(path, t, index("tenants", j), other)
		}
	}
}

// apart reports what keeps two tenants from being told apart: a name, or keys that both could reach.
func (l *ledger) apart(path string, t Tenant, otherPath string, other Tenant) {
	if t.Name != "" && t.Name == other.Name {
		l.judge(path+".name", fmt.Sprintf("%q is the name of %s too", clip(t.Name), otherPath), "")
	}
	a, b := string(t.Namespace), string(other.Namespace)
	switch {
	case a == b:
		l.judge(path+".namespace", fmt.Sprintf("%q is the namespace of %s too", a, otherPath), "give each tenant its own")
	case strings.HasPrefix(a, b):
		l.judge(path+".namespace", fmt.Sprintf("%q lies in %q, the namespace of %s", a, b, otherPath), "no namespace may begin with another")
	case strings.HasPrefix(b, a):
		l.judge(path+".namespace", fmt.Sprintf("%q holds %q, the namespace of %s", a, b, otherPath), "no namespace may begin with another")
	}
}

func (l *ledger) rules(path string, c policy.Config) {
	c.Check(func(p policy.Problem) {
		l.judge(join(path, p.Path), p.Text, p.Hint)
	})
}

// lifetimes reports those that the store in memory would not keep: a birth is told by the millisecond in which a key expires.
func (l *ledger) lifetimes(c *Config) {
	if c.Upstream.URL != Memory {
		return
	}
	for i, t := range c.Everyone() {
		path := ""
		if len(c.Tenants) > 0 {
			path = index("tenants", i)
		}
		for j, rule := range t.Rules {
			if rule.Expiry != nil && rule.Expiry.Lifetime > 0 {
				l.judge(join(join(path, index("rules", j)), "expiry.lifetime"), "can't be kept by memory://", "name a Redis as upstream")
			}
		}
	}
}

// secrets fetches the passwords that files hold. A line's end after the password is not part of it.
func (l *ledger) secrets(c *Config, readFile func(string) ([]byte, error)) {
	fetch := func(path, file string, into *Secret) {
		if file == "" || *into != "" {
			return
		}
		text, err := readFile(file)
		if err != nil {
			l.judge(path, fmt.Sprintf("%q can't be read: %s", clip(file), reason(err)), "")
			return
		}
		*into = Secret(strings.TrimRight(string(text), "\r\n"))
		if *into == "" {
			l.judge(path, fmt.Sprintf("%q is empty", clip(file)), "")
		}
	}
	fetch("upstream.password_file", c.Upstream.PasswordFile, &c.Upstream.Password)
	fetch("password_file", c.PasswordFile, &c.Password)
	for i := range c.Tenants {
		t := &c.Tenants[i]
		fetch(index("tenants", i)+".password_file", t.PasswordFile, &t.Password)
	}
}

// credentials checks that what a client says in AUTH leads to one tenant.
func (l *ledger) credentials(c *Config) {
	user := func(t Tenant) string {
		if t.User == "" {
			return "default"
		}
		return t.User
	}
	for i, t := range c.Tenants {
		path := index("tenants", i)
		switch {
		case t.Password != "" || t.PasswordFile != "":
		case t.User != "":
			l.judge(path+".user", "has no password", "write password or password_file")
		case len(c.Tenants) > 1 && !l.wrote(path+".password"):
			l.judge(path, "has no password", `write one, or password: "" to let clients in that give none`)
		}
		for j, other := range c.Tenants[:i] {
			switch {
			case t.Password != other.Password || t.Password != "" && user(t) != user(other):
			case t.Password != "":
				l.judge(path+".password", fmt.Sprintf("user and password are those of %s too", index("tenants", j)), "give each tenant its own")
			case l.wrote(path+".password") && l.wrote(index("tenants", j)+".password"):
				l.judge(path+".password", fmt.Sprintf("is empty, as that of %s is", index("tenants", j)), "only one tenant can be for clients that give no password")
			}
		}
	}
}

// reason is what the system says about a file, without the file's name, which the message has already.
func reason(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err.Error()
	}
	return err.Error()
}
