package upstream

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// target is where a URL leads.
type target struct {
	opt       *redis.Options // of a Redis; its Addr means nothing where there are sentinels
	nodes     []string       // host:port of some of a Redis Cluster's
	sentinels []string       // host:port of those that know where the master is
	master    string         // the name that they know it by
}

// scheme is a form of URL that go-redis's ParseURL doesn't read. It names one host or several, separated by commas.
type scheme struct {
	plain string // the scheme of a URL to one of the Redis servers
	port  string // of hosts that are written without one
	more  bool   // the options of ParseURL may follow
	use   func(t *target, hosts []string, query url.Values) error
}

var schemes = map[string]scheme{
	"redis-sentinel":  {"redis", "26379", false, (*target).bySentinel},
	"rediss-sentinel": {"rediss", "26379", false, (*target).bySentinel},
	"redis-cluster":   {"redis", "6379", true, (*target).inCluster},
	"rediss-cluster":  {"rediss", "6379", true, (*target).inCluster},
}

// target reads c.URL. Its errors show no credentials.
func (c Config) target() (target, error) {
	name, rest, _ := strings.Cut(c.URL, "://")
	s, ok := schemes[name]
	if !ok {
		opt, err := redis.ParseURL(c.URL)
		if err != nil {
			return target{}, urlError(c.URL, err)
		}
		return target{opt: opt}, nil
	}
	hosts, rest := splitHosts(rest)
	one, err := url.Parse(s.plain + "://" + rest)
	if err != nil || one.Host == "" || strings.Contains(c.URL, "@") && one.User == nil {
		return target{}, urlError(c.URL, errors.Join(err, errors.New("want host:port,host:port/db")))
	}
	for i, host := range hosts {
		if hosts[i], err = withPort(host, s.port); err != nil {
			return target{}, urlError(c.URL, err)
		}
	}
	query := one.Query()
	if !s.more {
		one.RawQuery = ""
	}
	t := target{}
	if t.opt, err = redis.ParseURL(one.String()); err != nil {
		return target{}, urlError(c.URL, err)
	}
	return t, s.use(&t, hosts, query)
}

// bySentinel is for redis-sentinel://host:port,host:port/db?master=name.
func (t *target) bySentinel(hosts []string, query url.Values) error {
	for option := range query {
		if option != "master" {
			return fmt.Errorf("upstream url: option %q is not known; there is master", option)
		}
	}
	t.sentinels, t.master = hosts, query.Get("master")
	if t.master == "" {
		return errors.New("upstream url: names no master; write ?master=mymaster")
	}
	if t.opt.TLSConfig != nil {
		t.opt.TLSConfig.ServerName = "" // it is that of the server which we dial
	}
	return nil
}

var errDatabase = errors.New("upstream url: a Redis Cluster has database 0 only; leave the database out")

// inCluster is for redis-cluster://host:port,host:port.
func (t *target) inCluster(hosts []string, _ url.Values) error {
	if t.opt.DB != 0 {
		return errDatabase
	}
	if t.nodes = hosts; t.opt.TLSConfig != nil {
		t.opt.TLSConfig.ServerName = ""
	}
	return nil
}

// splitHosts returns the hosts of a URL whose scheme is cut off, and that URL with only the first of them.
func splitHosts(rest string) (hosts []string, single string) {
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	start := strings.LastIndexByte(rest[:end], '@') + 1
	hosts = slices.Collect(strings.SplitSeq(rest[start:end], ","))
	return hosts, rest[:start] + hosts[0] + rest[end:]
}

// withPort adds a port to a host that has none.
func withPort(host, port string) (string, error) {
	u, err := url.Parse("//" + host)
	if err != nil || u.Hostname() == "" || u.Host != host {
		return "", fmt.Errorf("%q is not host:port", host)
	}
	if u.Port() != "" {
		return host, nil
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}
