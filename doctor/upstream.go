package doctor

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"sessiongate/config"
	"sessiongate/proxy"
	"sessiongate/upstream"
)

// node is one server behind, as it describes itself.
type node struct {
	*Report
	Config
	pool     *upstream.Pool // of the upstream that it belongs to
	settings config.Upstream
	client   *redis.Client
	at       string
	info     map[string]string // INFO
	set      map[string]string // CONFIG GET
	tenants  []*proxy.Tenant   // whose keys are there
}

// upstreams looks at each server behind the tenants once, and at each tenant's keys.
func (r *Report) upstreams(ctx context.Context, c Config, tenants []*proxy.Tenant) {
	seen := map[*upstream.Pool]bool{}
	for _, t := range tenants {
		settings := settingsOf(c, t)
		if settings.URL == config.Memory {
			r.add(Warn, "upstream", "tenant "+t.Name, "sessions are kept in Sessiongate's own memory, and are lost when it ends", "sessiongate.yaml: upstream: redis://host:6379")
			continue
		}
		if !seen[t.Pool] {
			seen[t.Pool] = true
			if !r.reach(ctx, c, t, settings, tenants) {
				continue
			}
		}
		if up, _ := t.Pool.Health(); up {
			r.permissions(ctx, t)
			r.keys(ctx, c, t)
		}
	}
}

func settingsOf(c Config, t *proxy.Tenant) config.Upstream {
	for _, s := range c.Settings.Tenants {
		if s.Name == t.Name && s.Upstream != nil {
			return *s.Upstream
		}
	}
	return c.Settings.Upstream
}

// reach looks at the servers of the tenant's upstream, if they can be reached.
func (r *Report) reach(ctx context.Context, c Config, t *proxy.Tenant, settings config.Upstream, tenants []*proxy.Tenant) bool {
	if err := await(ctx, t.Pool); err != nil {
		r.add(Fail, "upstream", t.Pool.Addr(), fmt.Sprintf("can't be reached: %v", err), unreachable(err, t.Pool.User()))
		return false
	}
	for _, master := range t.Pool.Masters() {
		n := &node{Report: r, Config: c, pool: t.Pool, settings: settings, client: master.Admin(), at: master.Addr()}
		for _, other := range tenants {
			if other.Pool == t.Pool {
				n.tenants = append(n.tenants, other)
			}
		}
		n.look(ctx)
	}
	return true
}

// await waits until the upstream's health is known. One that is up but doesn't tell its version is looked at all the same.
func await(ctx context.Context, p *upstream.Pool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		up, why := p.Health()
		if up && p.Version() != "" {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if up {
				return nil
			}
			if why == nil {
				why = errors.New("it doesn't answer")
			}
			return why
		}
	}
}

// forbidden finds the command in what Redis says of one that its user may not send.
var forbidden = regexp.MustCompile(`NOPERM .* run the '([^']+)' command`)

// unreachable is what to do about an upstream that can't be reached, or not by that user.
func unreachable(err error, user string) string {
	if command := forbidden.FindStringSubmatch(err.Error()); command != nil {
		return fmt.Sprintf("ACL SETUSER %s +%s", user, command[1])
	}
	switch text := err.Error(); {
	case strings.Contains(text, "WRONGPASS"), strings.Contains(text, "NOAUTH"):
		return "sessiongate.yaml: upstream.user and upstream.password, or upstream.password_file"
	case strings.Contains(text, "connection refused"):
		return "start Redis, or name where it listens in sessiongate.yaml: upstream: redis://host:port"
	case strings.Contains(text, "DENIED"):
		return "redis.conf: requirepass and bind, or protected-mode no on a closed network"
	case strings.Contains(text, "certificate"), strings.Contains(text, "x509"):
		return "sessiongate.yaml: upstream.tls.ca: the authority that signed its certificate"
	}
	return "sessiongate.yaml: upstream: redis://host:port"
}

// wantedSettings are those of redis.conf that are looked at.
var wantedSettings = []string{"timeout", "tcp-keepalive", "proto-max-bulk-len", "notify-keyspace-events", "save", "min-replicas-to-write"}

// look asks the server for everything that it tells of itself.
func (n *node) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	began := time.Now()
	if err := n.client.Ping(ctx).Err(); err != nil {
		n.add(Fail, "upstream", n.at, fmt.Sprintf("doesn't answer: %v", err), unreachable(err, n.pool.User()))
		return
	}
	trip := time.Since(began)
	text, err := n.client.Info(ctx).Result()
	if err != nil {
		n.add(Warn, "upstream", n.at, fmt.Sprintf("doesn't tell of itself: %v", err), fmt.Sprintf("ACL SETUSER %s +info", n.pool.User()))
		return
	}
	n.info = map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			n.info[name] = value
		}
	}
	n.version(trip)
	n.role()
	n.cluster(ctx)
	n.memory()
	n.persistence()
	n.connections()
	n.clock(ctx)
	n.readSettings(ctx)
}

// number is a field of INFO; 0 where there is none.
func (n *node) number(field string) int64 {
	v, _ := strconv.ParseInt(n.info[field], 10, 64)
	return v
}

func (n *node) version(trip time.Duration) {
	name, version := "Redis", n.info["redis_version"]
	if v := n.info["valkey_version"]; v != "" {
		name, version = "Valkey", v
	}
	found := fmt.Sprintf("%s %s, answers in %.1f ms", name, version, float64(trip.Microseconds())/1000)
	for _, t := range n.tenants {
		if why := t.TooOld(); why != "" {
			n.add(Fail, "upstream", n.at, fmt.Sprintf("%s; tenant %s is refused everything: %s", found, t.Name, why), "run Redis or Valkey 7.0 or later")
			return
		}
	}
	if major, _, _ := strings.Cut(n.info["redis_version"], "."); len(major) == 1 && major < "7" {
		n.add(Warn, "upstream", n.at, found+", which no rule on expiry can be enforced on", "run Redis or Valkey 7.0 or later")
		return
	}
	n.add(OK, "upstream", n.at, found, "")
}

// role looks whether writes get there, and stay.
func (n *node) role() {
	replicas := n.number("connected_slaves")
	bySentinel := strings.Contains(n.settings.URL.Scheme(), "sentinel")
	switch {
	case n.info["role"] == "slave":
		n.add(Fail, "replication", n.at, "it is a replica, and refuses writes", "sessiongate.yaml: name the master in upstream, or the sentinels: redis-sentinel://host:26379?master=NAME")
	case bySentinel && replicas == 0:
		n.add(Warn, "replication", n.at, "sentinels watch it, and it has no replica to fail over to", "redis.conf of another server: replicaof HOST PORT of this one")
	case replicas > 0:
		n.add(OK, "replication", n.at, fmt.Sprintf("a master with %s", count(replicas, "replica")), "")
	}
}

func (n *node) cluster(ctx context.Context) {
	switch enabled := n.info["cluster_enabled"] == "1"; {
	case enabled && !n.pool.Sharded():
		n.add(Fail, "cluster", n.at, "it is a node of a Redis Cluster, and answers MOVED for the keys of others", fmt.Sprintf("sessiongate.yaml: upstream: redis-cluster://%s", n.at))
	case enabled:
		text, err := n.client.ClusterInfo(ctx).Result()
		if err == nil && !strings.Contains(text, "cluster_state:ok") {
			n.add(Fail, "cluster", n.at, "it sees the cluster down: some slots are nobody's", "redis-cli --cluster check "+n.at)
		} else if err == nil {
			n.add(OK, "cluster", n.at, "it sees the cluster up", "")
		}
	}
}

// clock compares the server's clock with ours. Rules go by the server's; clients that say when a session ends go by their own.
func (n *node) clock(ctx context.Context) {
	asked := time.Now()
	told, err := n.client.Time(ctx).Result()
	if err != nil {
		n.add(Warn, "clock", n.at, fmt.Sprintf("it doesn't tell the time, which rules go by: %v", err), fmt.Sprintf("ACL SETUSER %s +time", n.pool.User()))
		return
	}
	ahead := told.Sub(asked.Add(time.Since(asked) / 2))
	size := ahead.Abs()
	switch {
	case size > time.Second:
		n.add(Warn, "clock", n.at, fmt.Sprintf("it is %s from this machine's; lifetimes go by Redis's clock, but clients that set EXPIREAT (Spring Session, scs) by their own", ahead.Round(100*time.Millisecond)),
			"keep time on both machines: timedatectl set-ntp true")
	default:
		n.add(OK, "clock", n.at, fmt.Sprintf("within %d ms of this machine's", size.Milliseconds()+1), "")
	}
}

// readSettings looks at what only CONFIG GET tells.
func (n *node) readSettings(ctx context.Context) {
	pipe := n.client.Pipeline()
	asked := map[string]*redis.MapStringStringCmd{}
	for _, name := range wantedSettings {
		asked[name] = pipe.ConfigGet(ctx, name)
	}
	_, _ = pipe.Exec(ctx)
	n.set = map[string]string{}
	for name, cmd := range asked {
		if err := cmd.Err(); err != nil {
			n.add(Note, "settings", n.at, fmt.Sprintf("%s can't be looked at: %v", strings.Join(wantedSettings, ", "), err), fmt.Sprintf("ACL SETUSER %s +config|get", n.pool.User()))
			return
		}
		n.set[name] = cmd.Val()[name]
	}
	n.timeouts()
	n.bulk()
	n.notifications()
	if strings.Contains(n.settings.URL.Scheme(), "sentinel") && n.set["min-replicas-to-write"] == "0" && n.number("connected_slaves") > 0 {
		n.add(Note, "replication", n.at, "a master that is cut off goes on taking writes, which a failover loses", "redis.conf: min-replicas-to-write 1")
	}
	if n.set["save"] == "" && n.info["aof_enabled"] == "0" {
		n.add(Note, "persistence", n.at, "neither snapshots nor an append-only file: a restart logs everybody out", "redis.conf: appendonly yes")
	}
}

// permissions asks what the gate itself may do there.
func (r *Report) permissions(ctx context.Context, t *proxy.Tenant) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	lack, err := t.Lack(ctx)
	at := "tenant " + t.Name
	switch {
	case err != nil && lack.All == "":
		r.add(Note, "permissions", at, fmt.Sprintf("of user %q can't be looked at: %v", t.Pool.User(), err), fmt.Sprintf("ACL SETUSER %s +eval", t.Pool.User()))
	case lack.Rule != "":
		r.add(Fail, "permissions", at, fmt.Sprintf("user %q lacks %s, which rule %q needs", t.Pool.User(), lack.Vital, lack.Rule), lack.Remedy)
	case lack.All != "":
		r.add(Warn, "permissions", at, fmt.Sprintf("user %q lacks %s, which some commands of clients need", t.Pool.User(), lack.All), lack.Remedy)
	default:
		r.add(OK, "permissions", at, fmt.Sprintf("user %q may do what Sessiongate does for its rules", t.Pool.User()), "")
	}
}

func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
