package integration_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sessiongate/command"
)

// elsewhereToo are the modes in which random commands are compared on upstreams of several servers.
var elsewhereToo = []mode{modes[0], modes[1]}

// notOfReplicated are commands that tell of what a plain server has none of: replicas, and the sentinels' channel.
const notOfReplicated = "wait pubsub|channels"

// What stands behind sentinels answers as a plain server does.
func TestDifferential_Sentinel(t *testing.T) {
	t.Parallel()
	n := randomCommands(t, 1500)
	for _, seed := range randomSeeds(t) {
		for i, m := range elsewhereToo {
			t.Run(fmt.Sprintf("%s/seed %d", m.name, seed), func(t *testing.T) {
				t.Parallel()
				up := startSentinel(t, setup{lines: configLines()})
				gate := startGate(t, up.upstream()+m.yaml())
				newDifferentialWith(t, m, 2+i, seed, startRedis(t, serverArgs("--")...), up.master(t).addr, gate.addr, notOfReplicated).run(n)
			})
		}
	}
}

func configLines() (lines []string) {
	args := serverArgs("")
	for i := 0; i < len(args); i += 2 {
		lines = append(lines, args[i]+" "+args[i+1])
	}
	return lines
}

// A cluster answers as a plain server does what is said of keys in one slot.
func TestDifferential_Cluster(t *testing.T) {
	t.Parallel()
	n := randomCommands(t, 1500)
	for _, seed := range randomSeeds(t) {
		for i, m := range elsewhereToo {
			t.Run(fmt.Sprintf("%s/seed %d", m.name, seed), func(t *testing.T) {
				t.Parallel()
				up := startCluster(t, 3, 0, setup{lines: configLines()})
				gate := startGate(t, up.upstream()+m.yaml())
				home := up.nodeOf(t, slotOf(oneTag))
				d := newDifferentialWith(t, m, 2+i, seed, startRedis(t, serverArgs("--")...), home.addr, gate.addr, notOfCluster)
				for _, c := range up.nodes {
					if c != home {
						d.others = append(d.others, dial(t, c.addr))
					}
				}
				d.speaker.cluster = true
				d.legal = clusterLegal
				d.run(n)
			})
		}
	}
}

// oneTag stands before each key and channel, so that all are of one slot.
const oneTag = "{tag}"

// notOfCluster are commands that a cluster can't answer as one server does:
//
//	wait            counts the replicas of one node
//	move, swapdb    there is one database
//	scan            goes on to the next node when one has no more, so it is over later
//	readonly ...    asking, readwrite: errors on a plain server
const notOfCluster = "wait move swapdb scan @cluster readonly readwrite asking"

// clusterLegal gives the keys and channels of a unit one tag, and takes out what has no meaning in a cluster: SELECT, and in a
// transaction whatever concerns no slot, because a transaction has one node. Scripts have none of that either (speaker.call).
func clusterLegal(u unit) unit {
	var legal unit
	inTx := false
	for _, s := range u {
		spec := command.Lookup(bytesOf(s.args))
		if spec != nil && spec.RedisName() == "select" || inTx && slotless(spec, s.args) {
			continue
		}
		switch {
		case spec == nil:
		case spec.State == command.Begin:
			inTx = true
		case spec.State == command.End:
			inTx = false
		}
		legal = append(legal, tagged(s, spec))
	}
	if len(legal) == 0 {
		return unit{{args: []string{"EXISTS", oneTag}, replies: 1}}
	}
	return legal
}

// slotless reports whether a command is about whole servers.
func slotless(spec *command.Spec, args []string) bool {
	if spec == nil || spec.State == command.End || spec.State == command.Begin {
		return false
	}
	if spec.Flags&(command.Whole|command.Server) != 0 {
		return true
	}
	refs, _ := namesOf(spec, args)
	return len(refs) == 0
}

func namesOf(spec *command.Spec, args []string) (refs []command.Ref, ok bool) {
	if spec.Names == nil || !spec.ArityOK(len(args)) {
		return nil, false
	}
	return spec.Names(bytesOf(args), nil)
}

func bytesOf(args []string) [][]byte {
	list := make([][]byte, len(args))
	for i, a := range args {
		list[i] = []byte(a)
	}
	return list
}

// tagged puts the tag before each name in a command.
func tagged(s step, spec *command.Spec) step {
	if spec == nil {
		return s
	}
	refs, ok := namesOf(spec, s.args)
	if !ok {
		return s
	}
	s.args = slices.Clone(s.args)
	for _, r := range refs {
		if !strings.HasPrefix(s.args[r.Arg], oneTag) { // some are named twice
			s.args[r.Arg] = oneTag + s.args[r.Arg]
		}
	}
	s.inline = s.inline && plainWords(s.args)
	return s
}

// Whatever clients say, tenants' keys stay within their rules behind sentinels and in a cluster too.
func TestProperty_Sentinel(t *testing.T) {
	t.Parallel()
	onOthers(t, func(t *testing.T) place {
		up := startSentinel(t, setup{})
		return place{[]*conn{dial(t, up.master(t).addr)}, 16, up.upstream(), ""}
	})
}

func TestProperty_Cluster(t *testing.T) {
	t.Parallel()
	onOthers(t, func(t *testing.T) place {
		up := startCluster(t, 3, 0, setup{})
		p := place{dbs: 1, upstream: up.upstream(), avoid: "@cluster"} // whoever has no namespace may harm the cluster
		for _, n := range up.nodes {
			p.masters = append(p.masters, dial(t, n.addr))
		}
		return p
	})
}

func onOthers(t *testing.T, start func(*testing.T) place) {
	n := randomCommands(t, 1500)
	for _, seed := range randomSeeds(t) {
		for _, l := range lawfulTenants {
			if l.name != "everything" && l.name != "idle and lifetime" && l.name != "lifetime and size" {
				continue
			}
			t.Run(fmt.Sprintf("%s/seed %d", l.name, seed), func(t *testing.T) {
				t.Parallel()
				obeyAt(t, l, seed, n, start(t))
			})
		}
	}
}
