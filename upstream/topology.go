package upstream

import (
	"cmp"
	"slices"
	"strings"
)

// topology is which nodes have what, at one moment. It never changes.
type topology struct {
	shards  []shard
	owner   [Slots]uint16    // of each slot: one more than its index in shards; 0: nobody has it
	masters []*Pool          // of the shards, by their first slots; those without any at the end, by address
	nodes   map[string]*Pool // all, by address
}

// shard is a master and those that replicate it.
type shard struct {
	master   *Pool
	replicas []*Pool
}

// view is how a node of the cluster sees it.
type view []viewed

// viewed is a shard in the eyes of a node.
type viewed struct {
	slots    [][2]int // from, to
	master   string   // addresses
	replicas []string
}

// topology puts pools in the place of addresses.
func (v view) topology(node func(addr string) *Pool) *topology {
	slices.SortFunc(v, func(a, b viewed) int {
		return cmp.Or(cmp.Compare(a.first(), b.first()), strings.Compare(a.master, b.master))
	})
	t := &topology{nodes: map[string]*Pool{}}
	add := func(addr string) *Pool {
		if t.nodes[addr] == nil {
			t.nodes[addr] = node(addr)
		}
		return t.nodes[addr]
	}
	for i, each := range v {
		s := shard{master: add(each.master)}
		for _, addr := range each.replicas {
			s.replicas = append(s.replicas, add(addr))
		}
		t.shards, t.masters = append(t.shards, s), append(t.masters, s.master)
		for _, r := range each.slots {
			for slot := max(r[0], 0); slot <= r[1] && slot < Slots; slot++ {
				t.owner[slot] = uint16(i + 1)
			}
		}
	}
	return t
}

// first is the shard's first slot; one that no slot has where it has none.
func (v viewed) first() int {
	first := Slots
	for _, r := range v.slots {
		first = min(first, r[0])
	}
	return first
}

// serves reports whether anybody has any slot.
func (v view) serves() bool {
	return slices.ContainsFunc(v, func(s viewed) bool { return len(s.slots) > 0 })
}

// shardOf is the index of the shard that has the slot, negative if none.
func (t *topology) shardOf(slot int) int {
	if slot < 0 {
		return -1
	}
	return int(t.owner[slot]) - 1
}

// masterOf is the node that has the slot, nil if none.
func (t *topology) masterOf(slot int) *Pool {
	if i := t.shardOf(slot); i >= 0 {
		return t.shards[i].master
	}
	return nil
}

// with is the topology in which the slot is at the node, which is one of t's.
func (t *topology) with(slot int, node *Pool) *topology {
	n := *t
	i := slices.IndexFunc(t.shards, func(s shard) bool { return s.master == node })
	if i < 0 {
		i = len(t.shards)
		n.shards = append(slices.Clone(t.shards), shard{master: node})
		n.masters = append(slices.Clone(t.masters), node)
	}
	n.owner[slot] = uint16(i + 1)
	return &n
}

// equal reports whether the two say the same.
func (t *topology) equal(o *topology) bool {
	return t.owner == o.owner && slices.Equal(t.masters, o.masters) && slices.EqualFunc(t.shards, o.shards, func(a, b shard) bool {
		return a.master == b.master && slices.Equal(a.replicas, b.replicas)
	})
}

// lost are the nodes whose slots, or some of them, are others' in the next topology.
func (t *topology) lost(next *topology) map[*Pool]bool {
	lost := map[*Pool]bool{}
	for slot := range t.owner {
		if was := t.masterOf(slot); was != nil && was != next.masterOf(slot) {
			lost[was] = true
		}
	}
	return lost
}

// spans are the slots of each master, as people write them.
func (t *topology) spans() map[*Pool][][2]int {
	spans := map[*Pool][][2]int{}
	for slot := range t.owner {
		m := t.masterOf(slot)
		if m == nil {
			continue
		}
		if n := len(spans[m]); n > 0 && spans[m][n-1][1] == slot-1 {
			spans[m][n-1][1] = slot
		} else {
			spans[m] = append(spans[m], [2]int{slot, slot})
		}
	}
	return spans
}

// gaps are the slots that nobody has, or whose master is not up.
func (t *topology) gaps(up func(*Pool) bool) (gaps [][2]int) {
	ups := make([]bool, len(t.shards))
	for i, s := range t.shards {
		ups[i] = up(s.master)
	}
	for slot := range t.owner {
		if i := t.shardOf(slot); i >= 0 && ups[i] {
			continue
		}
		if n := len(gaps); n > 0 && gaps[n-1][1] == slot-1 {
			gaps[n-1][1] = slot
		} else {
			gaps = append(gaps, [2]int{slot, slot})
		}
	}
	return gaps
}
