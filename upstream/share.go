package upstream

import (
	"hash/fnv"
	"strconv"
)

// share is a fingerprint of how a topology shares out the slots.
type share struct {
	of  *topology
	sum uint64
}

// Share is a fingerprint of which nodes have which slots: another one when any slot has gone to another node. It is 0 where the pool
// is not sharded, and as long as the nodes are not known.
func (p *Pool) Share() uint64 {
	if p.cluster == nil {
		return 0
	}
	t := p.cluster.topo.Load()
	if t == nil {
		return 0
	}
	if known := p.cluster.share.Load(); known != nil && known.of == t {
		return known.sum
	}
	sum := fnv.New64a()
	var before *Pool
	for slot := range Slots {
		if m := t.masterOf(slot); m != before {
			before = m
			_, _ = sum.Write(strconv.AppendInt(nil, int64(slot), 10))
			if m != nil {
				_, _ = sum.Write([]byte(m.opt.Addr))
			}
		}
	}
	s := &share{t, sum.Sum64()}
	p.cluster.share.Store(s)
	return s.sum
}
