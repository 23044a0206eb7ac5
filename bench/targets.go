package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Names of the targets.
const (
	direct      = "redis"
	before      = "before" // an earlier build, with rules
	twemproxy   = "twemproxy"
	haproxy     = "haproxy"     // forwards bytes and knows no Redis: what a hop costs at least
	transparent = "sessiongate" // no namespace, no rules
	withRules   = "sessiongate-rules"
	goRedis     = "sessiongate-go-redis"  // the same rules as withRules, another upstream
	namespace   = "sessiongate-namespace" // no rules
	expiry      = "sessiongate-expiry"    // and an expiry, as those that follow
	idle        = "sessiongate-idle"      // and an idle timeout, as those that follow
	idleEach    = "sessiongate-idle-each" // each access is refreshed
	lifetime    = "sessiongate-lifetime"

	withTLS = "-tls" // ends the names of targets that are asked over TLS

	directCluster = "redis-cluster"       // redis-benchmark --cluster, which sends each command to the node that has its slot
	gateCluster   = "sessiongate-cluster" // before the same cluster
)

// defaultRules are the rules that a Sessiongate with rules runs with, unless -rules names others.
const defaultRules = `namespace: "bench:"
rules:
  - expiry: {default: 30m, max: 12h}
    size: {key: 512, value: 64KiB}
`

// target is one way to Redis: a proxy in front of it, or nothing.
type target struct {
	name    string
	addr    string
	tls     string     // where clients are to connect with TLS; empty: to addr, without
	ca      string     // path of the certificate that they trust
	auth    []string   // the command that clients begin with; nil: none
	tenants int        // among which clients and keys are divided; 0: there are none
	servers []*process // Redis, or the nodes of a cluster
	cluster bool
	proxy   *process // nil: straight to Redis
}

// proxies starts each proxy in front of one Redis and keeps its configuration and log in dir.
type proxies struct {
	dir         string
	redis       *process     // nil: there is a cluster
	nodes       []*process   // of the cluster
	sessiongate string       // path of the binary
	before      string       // path of that of an earlier build
	rules       string       // namespace and rules in YAML
	threads     int          // 0: Sessiongate's own choice
	connections int          // of twemproxy to Redis
	cert        *certificate // with which servers listen, too; nil: they don't
	collector   string       // URL for what is traced; empty: nothing is
}

// starters lists the targets in the order of the report.
var starters = []struct {
	name  string
	start func(context.Context, proxies) (*process, error) // nil: no proxy
}{
	{direct, nil},
	{haproxy, startHAProxy},
	{twemproxy, startTwemproxy},
	{transparent, func(ctx context.Context, p proxies) (*process, error) {
		return p.serve(ctx, transparent, "shared", "")
	}},
	{before, func(ctx context.Context, p proxies) (*process, error) {
		return p.earlier().serve(ctx, before, "shared", p.rules)
	}},
	{before + withTLS, func(ctx context.Context, p proxies) (*process, error) {
		return p.earlier().serve(ctx, before+withTLS, "shared", p.rules)
	}},
	{withRules, func(ctx context.Context, p proxies) (*process, error) {
		return p.serve(ctx, withRules, "shared", p.rules)
	}},
	{goRedis, func(ctx context.Context, p proxies) (*process, error) {
		return p.serve(ctx, goRedis, "go-redis", p.rules)
	}},
	{namespace, gate(namespace, 1, "")},
	{expiry, gate(expiry, 1, "expiry: {default: 30m, max: 12h}")},
	{idle, gate(idle, 1, "expiry: {default: 30m, max: 12h, idle: 30m}")},
	{idleEach, gate(idleEach, 1, "expiry: {default: 30m, max: 12h, idle: 30m, idle_refresh: 0}")},
	{lifetime, gate(lifetime, 1, "expiry: {default: 30m, max: 12h, idle: 30m, lifetime: 12h}")},
	{rules1, gate(rules1, 1, someExpiry)},
	{rules10, gate(rules10, 10, someExpiry)},
	{rules1000, gate(rules1000, 1000, someExpiry)},
	{tenants1, manyTenants(tenants1, 1)},
	{tenants10, manyTenants(tenants10, 10)},
	{tenants1000, manyTenants(tenants1000, 1000)},
	{direct + withTLS, nil},
	{haproxy + withTLS, startHAProxy},
	{withRules + withTLS, func(ctx context.Context, p proxies) (*process, error) {
		return p.serve(ctx, withRules+withTLS, "shared", p.rules)
	}},
	{again, overheadStarter(again)},
	{noMetrics, overheadStarter(noMetrics)},
	{unmeasured, overheadStarter(unmeasured)},
	{traced, overheadStarter(traced)},
	{directCluster, nil},
	{gateCluster, func(ctx context.Context, p proxies) (*process, error) { return p.serve(ctx, gateCluster, "shared", "") }},
}

func targetNames() []string {
	var names []string
	for _, s := range starters {
		names = append(names, s.name)
	}
	return names
}

// start starts the targets named, in the order of the report. The caller stops what it returns, on error too.
func (p proxies) start(ctx context.Context, names []string) ([]target, error) {
	var targets []target
	for _, s := range starters {
		if !slices.Contains(names, s.name) {
			continue
		}
		t := target{name: s.name, servers: p.nodes, cluster: p.redis == nil, tenants: tenantsOf[s.name]}
		if p.redis != nil {
			t.servers = []*process{p.redis}
		}
		t.addr = t.servers[0].addr
		if s.start != nil {
			proxy, err := s.start(ctx, p)
			if err != nil {
				return targets, err
			}
			t.proxy, t.addr = proxy, proxy.addr
		}
		if strings.HasSuffix(s.name, withTLS) {
			t.tls, t.ca = t.front().tls, p.cert.cert
		}
		targets = append(targets, t)
	}
	return targets, nil
}

// front is the server that clients connect to.
func (t target) front() *process {
	if t.proxy != nil {
		return t.proxy
	}
	return t.servers[0]
}

// earlier has the earlier build started.
func (p proxies) earlier() proxies {
	p.sessiongate = p.before
	return p
}

// serve starts a Sessiongate with its rules in YAML.
func (p proxies) serve(ctx context.Context, name, driver, rules string) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	addr := "127.0.0.1:" + port
	secure, err := p.securePort()
	if err != nil {
		return nil, err
	}
	var c strings.Builder
	if secure == "" {
		fmt.Fprintf(&c, "listen: %s\n", addr)
	} else {
		fmt.Fprintf(&c, "listen: [%s, tls://%s]\ntls: {cert: %s, key: %s}\n", addr, secure, p.cert.cert, p.cert.key)
	}
	fmt.Fprintf(&c, "upstream: {url: %q, driver: %s}\n", p.url(), driver)
	if p.threads > 0 {
		fmt.Fprintf(&c, "threads: %d\n", p.threads)
	}
	c.WriteString(rules)
	file, err := p.write(name+".yaml", c.String())
	if err != nil {
		return nil, err
	}
	gate, err := start(ctx, p.dir, name, addr, p.sessiongate, "serve", "--config", file)
	return gate.with(secure), err
}

// url is the upstream of a Sessiongate.
func (p proxies) url() string {
	if p.redis != nil {
		return "redis://" + p.redis.addr + "/0"
	}
	addrs := make([]string, len(p.nodes))
	for i, node := range p.nodes {
		addrs[i] = node.addr
	}
	return "redis-cluster://" + strings.Join(addrs, ",")
}

// startTwemproxy starts Debian's nutcracker as its documentation recommends: one connection to each server, made
// beforehand. With one server, hashing decides nothing.
func startTwemproxy(ctx context.Context, p proxies) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	stats, err := freePort()
	if err != nil {
		return nil, err
	}
	addr := "127.0.0.1:" + port
	file, err := p.write("twemproxy.yml", fmt.Sprintf(`bench:
  listen: %s
  redis: true
  hash: fnv1a_64
  distribution: ketama
  auto_eject_hosts: false
  preconnect: true
  backlog: 1024
  server_connections: %d
  servers:
   - %s:1
`, addr, p.connections, p.redis.addr))
	if err != nil {
		return nil, err
	}
	return start(ctx, p.dir, twemproxy, addr, "nutcracker",
		"-c", file,
		"-o", "/dev/stderr", // Debian's default is a file under /var/log
		"-p", filepath.Join(p.dir, "twemproxy.pid"),
		"-a", "127.0.0.1", "-s", stats)
}

func (p proxies) write(name, text string) (path string, err error) {
	path = filepath.Join(p.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// startRedis starts a Redis that keeps nothing on disk.
func startRedis(ctx context.Context, p proxies) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	args := []string{"--bind", "127.0.0.1", "--port", port, "--dir", p.dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no", "--maxclients", strconv.Itoa(maxClients)}
	secure, err := p.securePort()
	if err != nil {
		return nil, err
	}
	if secure != "" {
		_, port, _ := strings.Cut(secure, ":")
		args = append(args, "--tls-port", port, "--tls-cert-file", p.cert.cert, "--tls-key-file", p.cert.key, "--tls-auth-clients", "no")
	}
	redis, err := start(ctx, p.dir, direct, "127.0.0.1:"+port, "redis-server", args...)
	return redis.with(secure), err
}
