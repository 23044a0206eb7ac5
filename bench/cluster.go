package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	clusterNodes = 3     // masters; there are no replicas
	slots        = 16384 // of a Redis Cluster
	tag          = "{tag}"
	fillFactor   = 4 // writes for each key that redis-benchmark shall find: it draws keys at random
)

// clusterWorkloads are those of a Redis Cluster, as redis-benchmark --cluster names keys: it replaces the tag, for each command, by one
// whose slot is on the node that the connection leads to.
func clusterWorkloads(valueBytes int) []workload {
	key := "key:" + tag + ":" + keyNumber
	set := []string{"SET", key, strings.Repeat("x", valueBytes)}
	return crossWorkloads([]load{{50, 1}, {50, 16}}, []workload{
		{name: "SET", args: set},
		{name: "GET", args: []string{"GET", key}, fill: set},
	})
}

// startCluster starts the masters of a Redis Cluster and waits until they serve. The caller stops what it returns, on error too.
func startCluster(ctx context.Context, dir string) (nodes []*process, err error) {
	var buses []string
	for i := range clusterNodes {
		port, err := freePort()
		if err != nil {
			return nodes, err
		}
		bus, err := freePort()
		if err != nil {
			return nodes, err
		}
		name := fmt.Sprintf("%s-%d", directCluster, i+1)
		node, err := start(ctx, dir, name, "127.0.0.1:"+port, "redis-server",
			"--bind", "127.0.0.1", "--port", port, "--cluster-port", bus, "--cluster-enabled", "yes",
			"--cluster-config-file", name+".conf", "--dir", dir, "--save", "", "--appendonly", "no", "--daemonize", "no")
		if err != nil {
			return nodes, err
		}
		nodes, buses = append(nodes, node), append(buses, bus)
	}
	for i, node := range nodes {
		if err := join(ctx, node, i, nodes[0].addr, buses[0]); err != nil {
			return nodes, err
		}
	}
	return nodes, served(ctx, nodes)
}

// join gives a node its share of the slots and has it meet the first one.
func join(ctx context.Context, node *process, i int, first, bus string) error {
	host, port, err := net.SplitHostPort(first)
	if err != nil {
		return err
	}
	client := redis.NewClient(&redis.Options{Addr: node.addr})
	defer client.Close()
	if err := client.ClusterAddSlotsRange(ctx, i*slots/clusterNodes, (i+1)*slots/clusterNodes-1).Err(); err != nil {
		return fmt.Errorf("slots of %s: %w", node.name, err)
	}
	if err := client.Do(ctx, "CLUSTER", "MEET", host, port, bus).Err(); err != nil {
		return fmt.Errorf("%s meets %s: %w", node.name, first, err)
	}
	return nil
}

// served waits until every node knows of all slots.
func served(ctx context.Context, nodes []*process) error {
	ctx, cancel := context.WithTimeout(ctx, 2*startTimeout)
	defer cancel()
	for _, node := range nodes {
		client := redis.NewClient(&redis.Options{Addr: node.addr})
		defer client.Close()
		for {
			info, err := client.ClusterInfo(ctx).Result()
			if err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:"+strconv.Itoa(clusterNodes)) {
				break
			}
			select {
			case <-ctx.Done():
				return errors.Join(fmt.Errorf("the cluster does not come up: %w", ctx.Err()), err)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

// fillCluster has redis-benchmark itself make the keys that it will ask for: by the names that it uses, on the nodes where they belong.
func fillCluster(ctx context.Context, t target, w workload, keys int) error {
	if t.proxy != nil {
		return fill(ctx, t, t.workload(w), keys)
	}
	w.args, w.load = w.fill, load{50, 16}
	_, err := redisBenchmark(ctx, t, w, fillFactor*keys, keys)
	return err
}

// workload is how a target has to be asked. In front of a cluster no client has to know of tags.
func (t target) workload(w workload) workload {
	if !t.cluster || t.proxy == nil {
		return w
	}
	bare := func(args []string) []string {
		args = append([]string(nil), args...)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], ":"+tag+":", ":")
		}
		return args
	}
	w.args, w.fill = bare(w.args), bare(w.fill)
	return w
}

// clusterCommand is redis-benchmark against a target of a cluster. Behind a tag there are few numbers: with a tag for each slot, there
// are as many keys.
func clusterCommand(ctx context.Context, t target, args []string, keys int) *exec.Cmd {
	if t.proxy == nil {
		args = append(args, "--cluster")
		keys = max(1, keys/slots)
	}
	return exec.CommandContext(ctx, "redis-benchmark", append(args, "-r", strconv.Itoa(keys))...)
}
