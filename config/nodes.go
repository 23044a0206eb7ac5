package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

const clusterHint = "write redis-cluster://host:7000,host:7000, or rediss-cluster:// for TLS"

// sharded reports whether the URL is that of a Redis Cluster.
func (u URL) sharded() bool {
	return strings.HasPrefix(string(u), "redis-cluster://") || strings.HasPrefix(string(u), "rediss-cluster://")
}

// each takes a URL that names several hosts apart: one URL for each of them.
func (u URL) each() (urls []string) {
	scheme, rest, _ := strings.Cut(string(u), "://")
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	start := strings.LastIndexByte(rest[:end], '@') + 1
	for host := range strings.SplitSeq(rest[start:end], ",") {
		urls = append(urls, scheme+"://"+rest[:start]+host+rest[end:])
	}
	return urls
}

// nodes checks the URL of a Redis Cluster, and never quotes its credentials.
func (l *ledger) nodes(path string, u URL) {
	credentials := strings.Contains(u.Reveal(), "@")
	var seen []string
	for _, one := range u.each() {
		parsed, err := url.Parse(one)
		if err != nil || credentials && (parsed.User == nil || strings.Contains(parsed.Path, "@")) {
			hint := clusterHint
			if credentials {
				hint = "write @ : / ? # % in a user or password as %40 %3A %2F %3F %23 %25"
			}
			l.judge(path, fmt.Sprintf("%q does not name the nodes of a Redis Cluster", u.String()), hint)
			return
		}
		if parsed.Hostname() == "" {
			l.judge(path, fmt.Sprintf("%q has an address without a host", u.String()), clusterHint)
			return
		}
		if db := strings.Trim(parsed.Path, "/"); db != "" && strings.Trim(db, "0") != "" {
			l.judge(path, fmt.Sprintf("%q names the database %s, which a Redis Cluster has not", u.String(), clip(db)), "leave it out: there is database 0 only")
			return
		}
		if slices.Contains(seen, parsed.Host) {
			l.judge(path, fmt.Sprintf("%q is named twice", parsed.Host), "")
		}
		seen = append(seen, parsed.Host)
	}
}

// nodes are the addresses that a cluster's URL names, in an order of their own.
func (u URL) nodes() string {
	var hosts []string
	for _, one := range u.each() {
		if parsed, err := url.Parse(one); err == nil {
			hosts = append(hosts, strings.ToLower(parsed.Host))
		}
	}
	slices.Sort(hosts)
	return strings.Join(hosts, ",")
}
