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
	l.admin(c)
	l.tracing(c.Tracing)
	l.upstream("upstream", c.Upstream)
	l.numbers(c)
	l.oneOf("tls.min_version", c.TLS.MinVersion, "1.2", "1.3")
	l.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	l.oneOf("log.format", c.Log.Format, "auto", "json", "console")
	l.oneOf("log.keys", c.Log.Keys, "shortened", "hashed")
	l.commands(c)
	l.tenants(c)
	l.lifetimes(c)
	l.cluster(c)
}

func (l *ledger) listeners(c *Config) {
	if len(c.Listen) == 0 {
		l.judge("listen", "names no address", "write one, such as 127.0.0.1:6380")
	}
	secure := false
	type place struct {
		path string
		at   Listener
	}
	var all []place
	for i, at := range c.Listen {
		all = append(all, place{index("listen", i), at})
	}
	for i, t := range c.Tenants {
		for j, at := range t.Listen {
			all = append(all, place{index(index("tenants", i)+".listen", j), at})
		}
	}
	for i, a := range all {
		secure = secure || a.at.TLS
		for _, b := range all[:i] {
			if a.at.Address != "" && a.at.Network == b.at.Network && a.at.Address == b.at.Address && !strings.HasSuffix(a.at.Address, ":0") {
				l.judge(a.path, fmt.Sprintf("%q is the address of %s too", a.at, b.path), "")
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

// upstream checks the upstream of all at path, or that of a tenant.
func (l *ledger) upstream(path string, u Upstream) {
	if u.URL == "" {
		l.judge(path, "is missing", upstreamHint)
		return
	}
	l.url(path+".url", u.URL)
	l.oneOf(path+".driver", u.Driver, "shared", "go-redis")
	l.oneOf(path+".acl", u.ACL, "manage", "verify", "off")
	l.atLeast(path+".links", int64(u.Links), 1, "")
	l.atLeast(path+".hold", int64(u.Hold), 0, "")
	l.atLeast(path+".connect_timeout", int64(u.ConnectTimeout), 1, "ms")
	l.atLeast(path+".read_timeout", int64(u.ReadTimeout), 1, "ms")
	l.atLeast(path+".health_interval", int64(u.HealthInterval), 1, "ms")
	l.atLeast(path+".idle_timeout", int64(u.IdleTimeout), 1, "ms")
	l.atLeast(path+".max_in_flight", int64(u.MaxInFlight), 1<<10, " bytes")
	l.atLeast(path+".max_commands", int64(u.MaxCommands), 1, "")
	l.atLeast(path+".max_dedicated", int64(u.MaxDedicated), 1, "")
	l.atLeast(path+".max_idle", int64(u.MaxIdle), 0, "")
	l.atLeast(path+".max_connects", int64(u.MaxConnects), 1, "")
	l.atLeast(path+".breaker", int64(u.Breaker), 0, "")
	inURL := strings.Contains(u.URL.Reveal(), "@")
	switch {
	case u.Password != "" && u.PasswordFile != "":
		l.judge(path+".password_file", "is given besides "+path+".password", "keep one of them")
	case inURL && (u.Password != "" || u.PasswordFile != "" || u.User != ""):
		l.judge(path+".url", "holds credentials, which are given besides it", "keep one of them")
	case u.User != "" && u.Password == "" && u.PasswordFile == "":
		l.judge(path+".user", "has no password", "write "+path+".password or "+path+".password_file")
	}
	l.oneOf(path+".tls.min_version", u.TLS.MinVersion, "1.2", "1.3")
	l.sentinel(path+".sentinel", u)
	if u.TLS != defaultUpstream.TLS && !u.URL.secure() {
		l.judge(path+".tls", "is of no use: the upstream speaks no TLS", "write rediss:// in place of redis://")
	}
	if (u.TLS.Cert == "") != (u.TLS.Key == "") {
		l.judge(path+".tls", "needs both cert and key, or neither", "")
	}
}

// url checks as much of the upstream's URL as can be without asking Redis's own client, and never quotes it whole.
func (l *ledger) url(path string, u URL) {
	if u == Memory {
		return
	}
	if _, many := manyHosts[u.Scheme()]; many {
		l.hosts(path, u)
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
		l.database(path, parsed)
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

// database checks the number that an upstream's URL has for a path.
func (l *ledger) database(path string, u *url.URL) {
	db := strings.Trim(u.Path, "/")
	if _, err := strconv.ParseUint(db, 10, 16); err != nil && db != "" {
		l.judge(path, fmt.Sprintf("%q is not the number of a database", db), "it follows the port, as in redis://127.0.0.1:6379/0")
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
		{"slow_log.threshold", int64(c.SlowLog.Threshold), 0, ""},
		{"slow_log.length", int64(c.SlowLog.Length), 1, ""},
		{"slow_log.rate", int64(c.SlowLog.Rate), 0, ""},
		{"threads", int64(c.Threads), 0, ""},
		{"drain", int64(c.Drain), 0, ""},
	} {
		l.atLeast(n.path, n.got, n.min, n.unit)
	}
}

// atLeast reports a number below the least. Of lengths of time and sizes those are zero, which has no unit.
func (l *ledger) atLeast(path string, got, least int64, unit string) {
	if got < least {
		l.judge(path, fmt.Sprintf("%d is below %d%s", got, least, unit), "")
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

// namespace reports what Redis can't take in a namespace: it blanks or cuts control characters in errors, puts quotes around names
// there, and has no blanks in ACL users and patterns.
func (l *ledger) namespace(path, namespace string) {
	for _, c := range []byte(namespace) {
		if c <= ' ' || c == 0x7f || strings.IndexByte("'\"`", c) >= 0 {
			l.judge(path, fmt.Sprintf("%q holds the character %q", clip(namespace), rune(c)), `leave out blanks, quotes and control characters, as in "app1:"`)
			return
		}
	}
}

func (l *ledger) rules(path string, c policy.Config, known Commands) {
	c.Check(func(p policy.Problem) {
		if p.Unknown != "" && slices.ContainsFunc(known.Custom, func(each CustomCommand) bool { return strings.EqualFold(each.Name, p.Unknown) }) {
			return
		}
		l.judge(join(path, p.Path), p.Text, p.Hint)
	})
}

// lifetimes reports those that the store in memory would not keep: a birth is told by the millisecond in which a key expires.
func (l *ledger) lifetimes(c *Config) {
	for i, t := range c.Everyone() {
		path, upstream := "", c.Upstream.URL
		if len(c.Tenants) > 0 {
			path = index("tenants", i)
		}
		if t.Upstream != nil {
			upstream = t.Upstream.URL
		}
		if upstream != Memory {
			continue
		}
		for j, rule := range t.WithPresets().Rules {
			if rule.Expiry != nil && rule.Expiry.Lifetime > 0 {
				l.judge(join(join(path, index("rules", j)), "expiry.lifetime"), "can't be kept by memory://", "name a Redis as upstream")
			}
		}
	}
}

// secrets fetches the passwords that files hold. A line's end after a password is not part of it.
func (l *ledger) secrets(c *Config, readFile func(string) ([]byte, error)) {
	fetch := func(path, file string) (lines []Secret) {
		text, err := readFile(file)
		if err != nil {
			l.judge(path, fmt.Sprintf("%q can't be read: %s", clip(file), reason(err)), "")
			return nil
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			if line = strings.TrimRight(line, "\r"); line != "" {
				lines = append(lines, Secret(line))
			}
		}
		if len(lines) == 0 {
			l.judge(path, fmt.Sprintf("%q is empty", clip(file)), "")
		}
		return lines
	}
	single := func(path, file string, password *Secret) {
		if file == "" || *password != "" {
			return
		}
		lines := fetch(path+".password_file", file)
		if len(lines) > 1 {
			l.judge(path+".password_file", fmt.Sprintf("%q has %d lines", clip(file), len(lines)), "an upstream has one password")
		}
		if len(lines) > 0 {
			*password = lines[0]
		}
	}
	upstream := func(path string, u *Upstream) {
		if u != nil {
			single(path, u.PasswordFile, &u.Password)
			single(path+".sentinel", u.Sentinel.PasswordFile, &u.Sentinel.Password)
		}
	}
	passwords := func(path string, p *Credentials) {
		if p.PasswordFile != "" && p.Password == "" {
			p.FromFile = fetch(join(path, "password_file"), p.PasswordFile)
		}
	}
	if a := &c.Admin; a.TokenFile != "" && a.Token == "" {
		if lines := fetch("admin.token_file", a.TokenFile); len(lines) > 0 {
			a.Token = lines[0]
			l.token("admin.token_file", a.Token)
		}
	}
	upstream("upstream", &c.Upstream)
	passwords("", &c.Credentials)
	for i := range c.Tenants {
		path := index("tenants", i)
		passwords(path, &c.Tenants[i].Credentials)
		upstream(path+".upstream", c.Tenants[i].Upstream)
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
