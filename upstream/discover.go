package upstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// askNext is how long a node may take to tell about its cluster before another one is asked too.
const askNext = 200 * time.Millisecond

var errNoSlots = errors.New("it knows of nobody who has a slot")

// witness is a node that can tell how its cluster is made up.
type witness struct {
	addr   string
	client *redis.Client // nil: there is none yet
}

// discover asks the nodes, the hint first, until one tells how the cluster is made up.
func (c *cluster) discover(hint *Pool) (view, error) {
	ctx, cancel := context.WithTimeout(c.pool.ctx, c.pool.opt.DialTimeout+c.pool.opt.ReadTimeout)
	defer cancel()
	type answer struct {
		view view
		err  error
	}
	rest := c.witnesses(hint)
	answers := make(chan answer, len(rest))
	asked := 0
	ask := func() {
		w := rest[0]
		rest = rest[1:]
		asked++
		c.pool.wg.Go(func() {
			v, err := c.look(ctx, w)
			answers <- answer{v, err}
		})
	}
	tick := time.NewTicker(askNext)
	defer tick.Stop()
	for why := errConnecting; ; {
		if asked == 0 {
			if len(rest) == 0 {
				return nil, why
			}
			ask()
		}
		select {
		case a := <-answers:
			if a.err == nil {
				return a.view, nil
			}
			asked--
			why = a.err
		case <-tick.C:
			if len(rest) > 0 {
				ask()
			}
		case <-ctx.Done():
			return nil, why
		}
	}
}

// witnesses are whom to ask, in this order: the hint, nodes that are up, the addresses that are configured, the rest.
func (c *cluster) witnesses(hint *Pool) []witness {
	var up, down []witness
	t := c.topo.Load()
	if t == nil {
		t = &topology{}
	}
	for addr, node := range t.nodes {
		w := witness{addr, node.admin}
		switch ok, _ := node.Health(); {
		case node == hint:
		case ok:
			up = append(up, w)
		default:
			down = append(down, w)
		}
	}
	rand.Shuffle(len(up), func(i, j int) { up[i], up[j] = up[j], up[i] })
	if hint != nil {
		up = slices.Insert(up, 0, witness{hint.opt.Addr, hint.admin})
	}
	for _, addr := range c.seeds {
		if t.nodes[addr] == nil {
			up = append(up, witness{addr: addr})
		}
	}
	return append(up, down...)
}

// look asks one node.
func (c *cluster) look(ctx context.Context, w witness) (view, error) {
	client := w.client
	if client == nil {
		client = c.pool.clientAt(w.addr)
		defer client.Close()
		defer context.AfterFunc(ctx, func() { _ = client.Close() })()
	}
	v, err := shards(ctx, client, w.addr, c.pool.opt.TLSConfig != nil)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", w.addr, reason(err))
	case !v.serves():
		return nil, fmt.Errorf("%s: %w", w.addr, errNoSlots)
	}
	return v, nil
}

// at is where the node at addr is.
func (c *cluster) at(addr string) target {
	o := *c.pool.opt
	o.Addr = addr
	return target{opt: &o}
}

// shards is what the client's node says, at the addresses that it announces.
func shards(ctx context.Context, client *redis.Client, addr string, secure bool) (view, error) {
	told, err := client.ClusterShards(ctx).Result()
	if err != nil {
		return nil, err
	}
	var v view
	for _, s := range told {
		each, online := viewed{}, false
		for _, r := range s.Slots {
			each.slots = append(each.slots, [2]int{int(r.Start), int(r.End)})
		}
		for _, n := range s.Nodes {
			port := n.Port
			if secure && n.TLSPort != 0 {
				port = n.TLSPort
			}
			at := announced(n.Endpoint, strconv.FormatInt(port, 10), addr)
			switch {
			case n.Role != "master":
				each.replicas = append(each.replicas, at)
			case each.master == "" || n.Health == "online": // a shard may still have the master that failed
				each.master, online = at, n.Health == "online"
			}
		}
		if each.master != "" && (online || len(each.slots) > 0) {
			v = append(v, each)
		}
	}
	return v, nil
}

// announced is the address of a node that another one, which was asked at addr, calls by endpoint and port. An empty endpoint is
// the host that was asked, and so is "?", which says that a host name is to be used and there is none.
func announced(endpoint, port, asked string) string {
	if endpoint == "" || endpoint == "?" {
		endpoint = host(asked)
	}
	return net.JoinHostPort(endpoint, port)
}

// host is that of an address.
func host(addr string) string {
	if h, _, err := net.SplitHostPort(addr); err == nil {
		return h
	}
	return addr
}
