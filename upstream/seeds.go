package upstream

import (
	"fmt"
	"strings"
)

// clusterSchemes are the schemes of URLs with several addresses of a Redis Cluster, such as
// redis-cluster://user:password@host:port,host:port?read_timeout=1s, with the scheme that one address has by itself.
var clusterSchemes = map[string]string{"redis-cluster": "redis", "rediss-cluster": "rediss"}

// clusterBase is the scheme of one address if the URL is that of a cluster.
func (c Config) clusterBase() (base string, ok bool) {
	name, _, _ := strings.Cut(c.URL, "://")
	base, ok = clusterSchemes[name]
	return base, ok
}

// addresses takes a URL with several addresses apart. For each there is one with the scheme base and all that the URL says besides.
func (c Config) addresses(base string) (urls []string, err error) {
	scheme, rest, _ := strings.Cut(c.URL, "://")
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	hosts, tail := rest[:end], rest[end:]
	at := strings.LastIndexByte(hosts, '@') + 1
	for host := range strings.SplitSeq(hosts[at:], ",") {
		if host == "" {
			return nil, fmt.Errorf("upstream url: an address is missing; want %s://host:port,host:port", scheme)
		}
		urls = append(urls, base+"://"+hosts[:at]+host+tail)
	}
	return urls, nil
}
