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

var (
	errNoSlots  = errors.New("it knows of nobody who has a slot")
	errOutdated = errors.New("it has not heard yet what others know of the cluster")
)

// told is what a witness says of its cluster.
type told struct {
	addr  string // of the witness
	err   error  // why the rest isn't there
	view  view
	well  bool  // it sees the cluster up, and so hears from most masters: not so one that is cut off from the others
	epoch int64 // the newest that it knows of: each failover has a higher one; 0: it doesn't say
}

// witness is a node that can tell how its cluster is made up.
type witness struct {
	addr   string
	client *redis.Client // nil: there is none yet
}

// discover asks the nodes, the hint first, until one that sees the cluster up tells how it is made up. Of those who see it down one has to
// do if no other answers soon.
func (c *cluster) discover(hint *Pool) (view, error) {
	ctx, cancel := context.WithTimeout(c.pool.ctx, c.pool.opt.DialTimeout+c.pool.opt.ReadTimeout)
	defer cancel()
	rest := c.witnesses(hint)
	answers := make(chan told, len(rest))
	asked := 0
	ask := func() {
		w := rest[0]
		rest, asked = rest[1:], asked+1
		c.pool.wg.Go(func() { answers <- c.look(ctx, w) })
	}
	tick := time.NewTicker(askNext)
	defer tick.Stop()
	var spare view
	for why := errConnecting; ; {
		if asked == 0 {
			if len(rest) == 0 {
				return spare.or(why)
			}
			ask()
		}
		select {
		case a := <-answers:
			asked--
			switch {
			case a.err != nil:
				why = a.err
			case c.outdated(a.epoch):
				why = fmt.Errorf("%s: %w", a.addr, errOutdated)
			case a.well:
				c.epoch, c.heard = a.epoch, time.Now()
				return a.view, nil
			default:
				spare = a.view
			}
		case <-tick.C:
			if spare != nil {
				return spare, nil
			}
			if len(rest) > 0 {
				ask()
			}
		case <-ctx.Done():
			return spare.or(why)
		}
	}
}

// or is v, or why there is none.
func (v view) or(why error) (view, error) {
	if v != nil {
		return v, nil
	}
	return nil, why
}

// outdated reports whether another node has told of a newer epoch. After a while without such a node it counts no more: the cluster may have
// been made anew.
func (c *cluster) outdated(epoch int64) bool { return epoch < c.epoch && time.Since(c.heard) < grace }

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
func (c *cluster) look(ctx context.Context, w witness) told {
	client := w.client
	if client == nil {
		client = c.pool.clientAt(w.addr)
		defer client.Close()
		defer context.AfterFunc(ctx, func() { _ = client.Close() })()
	}
	both := client.Pipeline()
	list, info := both.ClusterShards(ctx), both.ClusterInfo(ctx)
	_, _ = both.Exec(ctx) // each has its error
	t := told{addr: w.addr, view: shards(list.Val(), w.addr, c.pool.opt.TLSConfig != nil), well: infoField(info.Val(), "cluster_state") != "fail"}
	t.epoch, _ = strconv.ParseInt(infoField(info.Val(), "cluster_current_epoch"), 10, 64) // 0: the user may not ask, perhaps
	if err := list.Err(); err != nil {
		t.err = fmt.Errorf("%s: %w", w.addr, reason(err))
	} else if !t.view.serves() {
		t.err = fmt.Errorf("%s: %w", w.addr, errNoSlots)
	}
	return t
}

// at is where the node at addr is.
func (c *cluster) at(addr string) target {
	o := *c.pool.opt
	o.Addr = addr
	return target{opt: &o}
}

// shards is what the node at addr says, at the addresses that it announces.
func shards(list []redis.ClusterShard, addr string, secure bool) view {
	var v view
	for _, s := range list {
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
	return v
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
