package policy

import "strings"

// index finds the first of many rule sets that matches a name, in about the time that it takes for one: globs hang in a
// tree of their literal beginnings, and the name itself is the way down the tree.
type index struct {
	root *node
}

const noSet = int(^uint(0) >> 1) // later than every set

// node stands for one literal beginning, that of its ancestors' labels and its own.
type node struct {
	label  string   // what this node adds to its parent's beginning
	firsts string   // first bytes of the children's labels
	kids   []*node  // in the order of firsts
	whole  int      // first set that takes just this name
	all    int      // first set that takes every name that begins so
	some   []inNode // patterns that begin so and have to be matched, by set
}

type inNode struct {
	set  int
	rest string
}

func newNode(label string) *node { return &node{label: label, whole: noSet, all: noSet} }

// add makes set take what g matches. Sets must be added in their order.
func (x *index) add(g glob, set int) {
	if x.root == nil {
		x.root = newNode("")
	}
	n := x.root.grow(g.literal)
	switch {
	case g.rest == "":
		n.whole = min(n.whole, set)
	case g.anything():
		n.all = min(n.all, set)
	default:
		n.some = append(n.some, inNode{set, g.rest})
	}
}

// grow returns the node for what n stands for and literal after it, and makes it if need be.
func (n *node) grow(literal string) *node {
	if literal == "" {
		return n
	}
	i := strings.IndexByte(n.firsts, literal[0])
	if i < 0 {
		kid := newNode(literal)
		n.firsts += literal[:1]
		n.kids = append(n.kids, kid)
		return kid
	}
	kid := n.kids[i]
	same := 0
	for same < len(kid.label) && same < len(literal) && kid.label[same] == literal[same] {
		same++
	}
	if same < len(kid.label) { // split: a node for what both share comes between
		middle := newNode(kid.label[:same])
		kid.label = kid.label[same:]
		middle.firsts, middle.kids = kid.label[:1], []*node{kid}
		n.kids[i] = middle
		kid = middle
	}
	return kid.grow(literal[same:])
}

// find returns the first set that matches name, noSet if none does.
func (x *index) find(name []byte) int {
	found := noSet
	for n := x.root; n != nil; {
		found = min(found, n.all)
		for _, g := range n.some {
			if g.set >= found {
				break
			}
			if matchRest(g.rest, name) {
				found = g.set
			}
		}
		if len(name) == 0 {
			return min(found, n.whole)
		}
		i := strings.IndexByte(n.firsts, name[0])
		if i < 0 {
			break
		}
		n = n.kids[i]
		if len(name) < len(n.label) || string(name[:len(n.label)]) != n.label {
			break
		}
		name = name[len(n.label):]
	}
	return found
}
