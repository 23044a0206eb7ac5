package doctor

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"sessiongate/policy"
)

// memory looks at what happens when there is no more of it.
func (n *node) memory() {
	used, most, policyName := n.number("used_memory"), n.number("maxmemory"), n.info["maxmemory_policy"]
	if evicted := n.number("evicted_keys"); evicted > 0 {
		n.add(Warn, "memory", n.at, fmt.Sprintf("%s have been evicted since Redis started: sessions that ended early", count(evicted, "key")), "redis.conf: raise maxmemory; sessiongate capacity says to what")
	}
	if most == 0 {
		fix := "redis.conf: maxmemory 4gb"
		total := n.number("total_system_memory")
		if total > 0 {
			fix = fmt.Sprintf("redis.conf: maxmemory %dmb", total/4*3>>20)
		}
		n.add(Warn, "memory", n.at, fmt.Sprintf("maxmemory is 0: it grows until the kernel kills it, with all sessions; %s in use of the machine's %s", size(used), size(total)), fix)
		return
	}
	share := 100 * used / most
	found := fmt.Sprintf("maxmemory %s with %s, %d%% in use", size(most), policyName, share)
	fuller := "redis.conf: raise maxmemory; sessiongate capacity says to what"
	switch {
	case policyName == "noeviction" && used >= most:
		n.add(Fail, "memory", n.at, found+": it is full, and refuses every write (OOM): nobody can log in", fuller)
	case policyName == "noeviction" && share >= 80:
		n.add(Warn, "memory", n.at, found+": when it is full, writes are refused (OOM): nobody can log in", fuller)
	case policyName == "noeviction":
		n.add(OK, "memory", n.at, found+"; when it is full, writes are refused and sessions stay", "")
	case policyName == "volatile-ttl":
		n.add(Note, "memory", n.at, found+": when it is full, sessions that are next to expire end early", "redis.conf: maxmemory-policy noeviction, to refuse new ones instead")
	case strings.HasPrefix(policyName, "volatile-"):
		n.add(Warn, "memory", n.at, found+": when it is full, sessions end early, as all that expires may, while keys without expiry stay", "redis.conf: maxmemory-policy noeviction, or volatile-ttl to lose the oldest first")
	default:
		n.add(Warn, "memory", n.at, found+": when it is full, sessions end early, whatever their rules say", "redis.conf: maxmemory-policy noeviction, or volatile-ttl to lose the oldest first")
	}
}

// persistence looks at what keeps Redis from writing.
func (n *node) persistence() {
	switch {
	case n.info["rdb_last_bgsave_status"] == "err":
		n.add(Fail, "persistence", n.at, "the last snapshot failed, and unless stop-writes-on-bgsave-error is no, every write is refused (MISCONF)", "free the disk of redis.conf's dir, see Redis's log, then BGSAVE")
	case n.info["aof_enabled"] == "1" && n.info["aof_last_write_status"] == "err":
		n.add(Fail, "persistence", n.at, "the append-only file can't be written, and every write is refused (MISCONF)", "free the disk of redis.conf's dir")
	case n.info["loading"] == "1":
		n.add(Fail, "persistence", n.at, "it is loading its data, and refuses everything until then (LOADING)", "wait")
	case n.info["aof_enabled"] == "1":
		n.add(OK, "persistence", n.at, "an append-only file: sessions survive a restart", "")
	}
}

// connections compares how many there may be with how many Sessiongate opens.
func (n *node) connections() {
	most := n.number("maxclients")
	if most == 0 {
		return
	}
	// Links are opened for each RESP version, and databases have their own. A few more are for health, scans and scripts.
	need := int64(4*n.settings.Links + n.settings.MaxDedicated + 16)
	found := fmt.Sprintf("maxclients %d, %d connected now; a Sessiongate opens up to %d", most, n.number("connected_clients"), need)
	if need > most {
		n.add(Warn, "connections", n.at, found+", so that transactions, blocking commands and Pub/Sub may be refused", fmt.Sprintf("redis.conf: maxclients %d, or sessiongate.yaml: upstream.max_dedicated: %d", need, max(most-int64(4*n.settings.Links)-16, 1)))
		return
	}
	n.add(OK, "connections", n.at, found, "")
}

// timeouts looks at what closes idle connections, or leaves dead ones.
func (n *node) timeouts() {
	seconds, _ := strconv.Atoi(n.set["timeout"])
	idle, beat := time.Duration(n.settings.IdleTimeout), time.Duration(n.settings.HealthInterval)
	limit := time.Duration(seconds) * time.Second
	switch {
	case seconds > 0 && limit <= beat:
		n.add(Warn, "timeout", n.at, fmt.Sprintf("timeout %d closes shared connections between two PINGs, which come every %v", seconds, beat), "redis.conf: timeout 0, or sessiongate.yaml: a shorter upstream.health_interval")
	case seconds > 0 && limit <= idle:
		n.add(Note, "timeout", n.at, fmt.Sprintf("timeout %d closes connections that are kept for the next client up to %v", seconds, idle), fmt.Sprintf("redis.conf: timeout 0, or sessiongate.yaml: upstream.idle_timeout: %ds", max(seconds/2, 1)))
	default:
		n.add(OK, "timeout", n.at, fmt.Sprintf("timeout %d closes no connection of ours", seconds), "")
	}
	if n.set["tcp-keepalive"] == "0" {
		n.add(Note, "timeout", n.at, "tcp-keepalive 0: connections of machines that are gone stay for ever", "redis.conf: tcp-keepalive 300")
	}
}

// bulk compares the longest value on both sides.
func (n *node) bulk() {
	most, _ := strconv.ParseInt(n.set["proto-max-bulk-len"], 10, 64)
	ours := int64(n.Settings.Limits.Bulk)
	if most > 0 && ours > most {
		n.add(Warn, "value size", n.at, fmt.Sprintf("limits.bulk is %s, and Redis hangs up at more than proto-max-bulk-len, %s: all clients of the link are hit", size(ours), size(most)),
			fmt.Sprintf("sessiongate.yaml: limits: {bulk: %s}", policy.Size(most)))
		return
	}
	n.add(OK, "value size", n.at, fmt.Sprintf("limits.bulk %s is within Redis's proto-max-bulk-len, %s", size(ours), size(most)), "")
}

// notifications tells what clients hear of sessions that end.
func (n *node) notifications() {
	flags := n.set["notify-keyspace-events"]
	all := strings.Contains(flags, "A")
	hears := strings.Contains(flags, "E") && (all || strings.Contains(flags, "x")) && (all || strings.Contains(flags, "g"))
	if hears {
		n.add(OK, "notifications", n.at, fmt.Sprintf("notify-keyspace-events %q tells of sessions that end", flags), "")
		return
	}
	n.add(Note, "notifications", n.at, fmt.Sprintf("notify-keyspace-events is %q: nobody hears of sessions that end, unless a client sets it, as Spring Session's indexed repository does at its start", flags),
		"redis.conf: notify-keyspace-events Egx, where a client waits for that")
}

func size(n int64) string {
	for _, unit := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= unit.size {
			return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/float64(unit.size)), ".0") + " " + unit.name
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
