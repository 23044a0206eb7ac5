package upstream

import (
	"context"
	"fmt"
	"strings"
)

// confirms asks the cluster whether what r says of the slot is true: a script may have written it, and has run then. What is not known
// to be true counts as the script's. TRYAGAIN always does: while a slot moves, whoever writes it himself would be believed each time.
func (c *cluster) confirms(ctx context.Context, slot int, r redirect, from *Pool) bool {
	ctx, cancel := context.WithTimeout(ctx, c.pool.opt.ReadTimeout)
	defer cancel()
	if r.kind == kindWait {
		return r.down && (from.down(ctx) || c.unserved(ctx, slot))
	}
	to := c.target(ctx, string(r.addr), from)
	switch {
	case to == nil:
		return false
	case r.kind == kindAsk && from.sends(ctx, slot):
		return true
	case c.topo.Load().masterOf(slot) == from:
		c.again(ctx, to)
	}
	owner := c.topo.Load().masterOf(slot) // ASK: it may have arrived by now
	return owner != nil && owner != from
}

// sends reports whether the node says that it is sending the slot to another one.
func (p *Pool) sends(ctx context.Context, slot int) bool {
	nodes, err := p.admin.ClusterNodes(ctx).Result()
	if err != nil {
		return false
	}
	for line := range strings.Lines(nodes) {
		if strings.Contains(line, "myself") {
			return strings.Contains(line, fmt.Sprintf(" [%d->-", slot))
		}
	}
	return false
}

// down reports whether the node says that its cluster is down.
func (p *Pool) down(ctx context.Context) bool {
	info, err := p.admin.ClusterInfo(ctx).Result()
	return err == nil && infoField(info, "cluster_state") == "fail"
}

// unserved reports whether nobody has the slot.
func (c *cluster) unserved(ctx context.Context, slot int) bool {
	c.again(ctx, nil)
	return c.topo.Load().masterOf(slot) == nil
}
