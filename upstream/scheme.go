package upstream

import (
	"fmt"
	"strings"

	"go.uber.org/zap"
)

// scheme is what the URL of an upstream that is more than one address stands for.
type scheme struct {
	base string // the scheme of one address
	open func(cfg Config, base string, log *zap.Logger) (*Pool, error)
}

// schemes are those of URLs with several addresses, such as redis-cluster://user:password@host:port,host:port?read_timeout=1s.
var schemes = map[string]scheme{
	"redis-cluster":  {"redis", openCluster},
	"rediss-cluster": {"rediss", openCluster},
}

// scheme is the URL's.
func (c Config) scheme() string {
	name, _, _ := strings.Cut(c.URL, "://")
	return name
}

// addresses takes a URL with several addresses apart. For each there is one with the scheme base and all that the URL says besides.
func (c Config) addresses(base string) (urls []string, err error) {
	_, rest, _ := strings.Cut(c.URL, "://")
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	hosts, tail := rest[:end], rest[end:]
	at := strings.LastIndexByte(hosts, '@') + 1
	for host := range strings.SplitSeq(hosts[at:], ",") {
		if host == "" {
			return nil, fmt.Errorf("upstream url: an address is missing; want %s://host:port,host:port", c.scheme())
		}
		urls = append(urls, base+"://"+hosts[:at]+host+tail)
	}
	return urls, nil
}
