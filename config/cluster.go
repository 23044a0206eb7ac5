package config

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// cluster checks what a Redis Cluster behind wants, and what clients are shown that want one in front.
func (l *ledger) cluster(c *Config) {
	if at := c.ClusterAnnounce; at != "" {
		host, port, err := net.SplitHostPort(at)
		n, bad := strconv.ParseUint(port, 10, 16)
		switch {
		case err != nil || bad != nil || n == 0 || host == "":
			l.judge("cluster_announce", fmt.Sprintf("%q is not host:port", at), "write what clients can connect to, such as redis.example:6380")
		case !c.ClusterFacade:
			l.judge("cluster_announce", "is of no use without cluster_facade: true", "")
		}
	}
	if len(c.Tenants) == 0 {
		l.inCluster("namespace", c.Namespace, c.Upstream, Database{})
	}
	for i, t := range c.Tenants {
		u := c.Upstream
		if t.Upstream != nil {
			u = *t.Upstream
		}
		l.inCluster(index("tenants", i)+".namespace", t.Namespace, u, t.DB)
	}
}

// inCluster checks a tenant of a cluster. The first braces in a key say which node has it: they must not begin in the namespace and end
// where the client says.
func (l *ledger) inCluster(path, namespace string, u Upstream, db Database) {
	if !u.URL.sharded() {
		return
	}
	if _, tag, open := strings.Cut(namespace, "{"); open && !strings.Contains(tag, "}") {
		l.judge(path, fmt.Sprintf("%q has a { without a }, and the upstream is a cluster, which takes what stands in braces for the part of a key that says where it is", clip(namespace)),
			`leave it out, or close it, as in "{app1}:", which keeps all of the tenant's keys together`)
	}
	if db.Number != 0 {
		l.judge(strings.TrimSuffix(path, "namespace")+"db", fmt.Sprintf("is %d, and the upstream is a cluster, which has database 0 alone", db.Number), "")
	}
}
