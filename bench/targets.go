package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Names of the targets.
const (
	direct      = "redis"
	twemproxy   = "twemproxy"
	transparent = "sessiongate" // no namespace, no rules
	withRules   = "sessiongate-rules"
	goRedis     = "sessiongate-go-redis" // the same rules as withRules, another upstream
	idle        = "sessiongate-idle"
	idleEach    = "sessiongate-idle-each" // each access is refreshed
	lifetime    = "sessiongate-lifetime"  // beside idle

	directCluster = "redis-cluster"       // redis-benchmark --cluster, which sends each command to the node that has its slot
	gateCluster   = "sessiongate-cluster" // before the same cluster
)

// defaultRules are the rules that a Sessiongate with rules runs with, unless -rules names others.
const defaultRules = `namespace: "bench:"
rules:
  - expiry: {default: 30m, max: 12h}
    size: {key: 512, value: 64KiB}
`

// accessRules are those of idle, idleEach and lifetime.
var accessRules = map[string]string{
	idle:     "rules:\n  - expiry: {idle: 30m}\n",
	idleEach: "rules:\n  - expiry: {idle: 30m, idle_refresh: 0}\n",
	lifetime: "rules:\n  - expiry: {idle: 30m, lifetime: 12h}\n",
}

// target is one way to Redis: a proxy in front of it, or nothing.
type target struct {
	name    string
	addr    string
	servers []*process // Redis, or the nodes of a cluster
	cluster bool
	proxy   *process // nil: straight to Redis
}

// proxies starts each proxy in front of one Redis and keeps its configuration and log in dir.
type proxies struct {
	dir         string
	redis       *process   // nil: there is a cluster
	nodes       []*process // of the cluster
	sessiongate string     // path of the binary
	rules       string     // namespace and rules in YAML
	threads     int        // 0: Sessiongate's own choice
	connections int        // of twemproxy to Redis
	collector   string     // URL for what is traced; empty: nothing is
}

// starters lists the targets in the order of the report.
var starters = []struct {
	name  string
	start func(context.Context, proxies) (*process, error) // nil: no proxy
}{
	{direct, nil},
	{twemproxy, startTwemproxy},
	{transparent, func(ctx context.Context, p proxies) (*process, error) {
		return p.serve(ctx, transparent, "shared", "")
	}},
	{withRules, func(ctx context.Context, p proxies) (*process, error) {
		return p.serve(ctx, withRules, "shared", p.rules)
	}},
	{goRedis, func(ctx context.Context, p proxies) (*process, error) {
		return p.serve(ctx, goRedis, "go-redis", p.rules)
	}},
	{idle, accessStarter(idle)},
	{idleEach, accessStarter(idleEach)},
	{lifetime, accessStarter(lifetime)},
	{again, overheadStarter(again)},
	{noMetrics, overheadStarter(noMetrics)},
	{unmeasured, overheadStarter(unmeasured)},
	{traced, overheadStarter(traced)},
	{directCluster, nil},
	{gateCluster, func(ctx context.Context, p proxies) (*process, error) { return p.serve(ctx, gateCluster, "shared", "") }},
}

func accessStarter(name string) func(context.Context, proxies) (*process, error) {
	return func(ctx context.Context, p proxies) (*process, error) {
		return p.serve(ctx, name, "shared", accessRules[name])
	}
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
		t := target{name: s.name, servers: p.nodes, cluster: p.redis == nil}
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
		targets = append(targets, t)
	}
	return targets, nil
}

// serve starts a Sessiongate with its rules in YAML.
func (p proxies) serve(ctx context.Context, name, driver, rules string) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	addr := "127.0.0.1:" + port
	var c strings.Builder
	fmt.Fprintf(&c, "listen: %s\n", addr)
	fmt.Fprintf(&c, "upstream: {url: %q, driver: %s}\n", p.url(), driver)
	if p.threads > 0 {
		fmt.Fprintf(&c, "threads: %d\n", p.threads)
	}
	c.WriteString(rules)
	file, err := p.write(name+".yaml", c.String())
	if err != nil {
		return nil, err
	}
	return start(ctx, p.dir, name, addr, p.sessiongate, "serve", "--config", file)
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
func startRedis(ctx context.Context, dir string) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return start(ctx, dir, direct, "127.0.0.1:"+port, "redis-server",
		"--bind", "127.0.0.1", "--port", port, "--dir", dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no")
}
