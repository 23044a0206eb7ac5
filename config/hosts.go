package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// manyHosts are the schemes of upstream URLs that name hosts separated by commas, which tell where the Redis is, with the options
// that they need.
var manyHosts = map[string]struct {
	options []string
	form    string
}{
	"redis-sentinel":  {[]string{"master"}, "redis-sentinel://host:26379,host:26379/db?master=mymaster"},
	"rediss-sentinel": {[]string{"master"}, "rediss-sentinel://host:26379,host:26379/db?master=mymaster"},
	"redis-cluster":   {nil, "redis-cluster://host:7000,host:7000"},
	"rediss-cluster":  {nil, "rediss-cluster://host:7000,host:7000"},
}

// Scheme is what stands before ://.
func (u URL) Scheme() string {
	scheme, _, _ := strings.Cut(string(u), "://")
	return scheme
}

// secure reports whether the URL asks for TLS.
func (u URL) secure() bool { return strings.HasPrefix(u.Scheme(), "rediss") }

// bySentinel reports whether the URL names sentinels.
func (u URL) bySentinel() bool { return strings.HasSuffix(u.Scheme(), "-sentinel") }

// sharded reports whether the URL names nodes of a Redis Cluster.
func (u URL) sharded() bool { return strings.HasSuffix(u.Scheme(), "-cluster") }

// Split returns the hosts that the URL names, and what it is with only the first of them.
func (u URL) Split() (hosts []string, one *url.URL, err error) {
	scheme, rest, ok := strings.Cut(string(u), "://")
	if _, many := manyHosts[scheme]; !many || !ok {
		if one, err = url.Parse(string(u)); err == nil {
			hosts = []string{one.Host}
		}
		return hosts, one, err
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	start := strings.LastIndexByte(rest[:end], '@') + 1
	hosts = strings.Split(rest[start:end], ",")
	one, err = url.Parse(scheme + "://" + rest[:start] + hosts[0] + rest[end:])
	return hosts, one, err
}

// place is the URL without credentials.
func (u URL) place() string {
	hosts, one, err := u.Split()
	if err != nil {
		return string(u)
	}
	one.User, one.Host = nil, strings.Join(hosts, ",")
	return one.String()
}

// login is what u and its URL say of whom the proxy logs in as. The configuration has been checked.
func (u Upstream) login() (user, password string) {
	if u.User != "" || u.Password != "" {
		return u.User, u.Password.Reveal()
	}
	if _, one, err := u.URL.Split(); err == nil && one.User != nil {
		password, _ = one.User.Password()
		return one.User.Username(), password
	}
	return "", ""
}

// Secret is the password with which the proxy logs in to the upstream.
func (u Upstream) Secret() string {
	_, password := u.login()
	return password
}

// SamePlace reports whether u and other are at one address, whoever we are there.
func (u Upstream) SamePlace(other Upstream) bool { return u.URL.place() == other.URL.place() }

// CanBecome reports whether u and other differ in nothing but passwords and certificates.
func (u Upstream) CanBecome(other Upstream) bool {
	user, _ := u.login()
	theirs, _ := other.login()
	return u.SamePlace(other) && cmp.Or(user, "default") == cmp.Or(theirs, "default") && u.As(other) == other
}

// As is u with what other says of who we are.
func (u Upstream) As(other Upstream) Upstream {
	u.URL, u.User, u.Password, u.PasswordFile = other.URL, other.User, other.Password, other.PasswordFile
	u.TLS, u.Sentinel = other.TLS, other.Sentinel
	return u
}

// Files are those that a connection to the upstream needs, besides the one of its password.
func (u Upstream) Files() []string {
	return slices.DeleteFunc([]string{u.TLS.CA, u.TLS.Cert, u.TLS.Key}, func(name string) bool { return name == "" })
}

// hosts checks a URL that names several hosts.
func (l *ledger) hosts(path string, u URL) {
	form := manyHosts[u.Scheme()]
	hosts, one, err := u.Split()
	if err != nil || strings.Contains(one.Path, "@") || strings.Contains(u.Reveal(), "@") && one.User == nil {
		hint := "write " + form.form
		if strings.Contains(u.Reveal(), "@") {
			hint = "write @ : / ? # % in a user or password as %40 %3A %2F %3F %23 %25"
		}
		l.judge(path, fmt.Sprintf("%q is not the address of a Redis", u.String()), hint)
		return
	}
	for i, host := range hosts {
		if err := checkHost(host); err != nil {
			l.judge(path, fmt.Sprintf("%q %v", clip(host), err), "write "+form.form)
		} else if slices.Contains(hosts[:i], host) {
			l.judge(path, fmt.Sprintf("%q is named twice", clip(host)), "")
		}
	}
	l.database(path, one)
	if db := strings.Trim(one.Path, "/"); u.sharded() && strings.Trim(db, "0") != "" {
		l.judge(path, fmt.Sprintf("names the database %s, which a Redis Cluster has not", clip(db)), "leave it out: there is database 0 only")
	}
	query, err := url.ParseQuery(one.RawQuery)
	if err != nil {
		l.judge(path, "has options that can't be read", "write "+form.form)
		return
	}
	for _, option := range slices.Sorted(maps.Keys(query)) {
		if !slices.Contains(form.options, option) {
			l.judge(path, fmt.Sprintf("%q is not an option of %s://", clip(option), u.Scheme()), unknownHint(option, form.options))
		}
	}
	for _, option := range form.options {
		if query.Get(option) == "" {
			l.judge(path, "names no "+option, "write "+form.form)
		}
	}
}

func checkHost(host string) error {
	u, err := url.Parse("//" + host)
	switch {
	case err == nil && host == "", err == nil && u.Hostname() == "":
		return errors.New("names no host")
	case err != nil || u.Host != host:
		return errors.New("is not host:port")
	}
	return nil
}

// sentinel checks how the sentinels of an upstream are talked to.
func (l *ledger) sentinel(path string, u Upstream) {
	s := u.Sentinel
	switch {
	case s != defaultUpstream.Sentinel && !u.URL.bySentinel():
		l.judge(path, "is of no use: the upstream's URL names no sentinels", "write "+manyHosts["redis-sentinel"].form)
	case s.Password != "" && s.PasswordFile != "":
		l.judge(path+".password_file", "is given besides "+path+".password", "keep one of them")
	case s.User != "" && s.Password == "" && s.PasswordFile == "":
		l.judge(path+".user", "has no password", "write "+path+".password or "+path+".password_file")
	}
}
