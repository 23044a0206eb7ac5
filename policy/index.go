package policy

import "strings"

// index finds the first of many rule sets that matches a name, in about the time that it takes for one: globs hang in a
// tree of their literal beginnings, and the name itself is the way down the tree.
type index struct {
	root *node
}

const noSet = int(^uint(0) >> 1) // later than every set

// node stands for one literal beginning, that of its ancestors' labels and its own. What a search reads comes first, in one cache line.
type node struct {
	all   int         // first set that takes every name that begins so
	whole int         // first set that takes just this name
	wide  *[256]*node // the children by first bytes; nil: there are few
	label string      // what this node adds to its parent's beginning
	some  []inNode    // patterns that begin so and have to be matched, by set

	path   string  // the whole literal beginning; empty where no pattern ends
	firsts string  // first bytes of the children's labels
	kids   []*node // in the order of firsts
}

// fewKids are found by their first bytes as fast as by a table.
const fewKids = 2

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
	n.path = g.literal
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
		return n.addKid(newNode(literal))
	}
	kid := n.kids[i]
	same := 0
	for same < len(kid.label) && same < len(literal) && kid.label[same] == literal[same] {
		same++
	}
	if same < len(kid.label) { // split: a node for what both share comes between
		middle := newNode(kid.label[:same])
		kid.label = kid.label[same:]
		middle.addKid(kid)
		n.kids[i] = middle
		if n.wide != nil {
			n.wide[literal[0]] = middle
		}
		kid = middle
	}
	return kid.grow(literal[same:])
}

func (n *node) addKid(kid *node) *node {
	n.firsts += kid.label[:1]
	n.kids = append(n.kids, kid)
	switch {
	case n.wide != nil:
		n.wide[kid.label[0]] = kid
	case len(n.kids) > fewKids:
		n.wide = new([256]*node)
		for i, k := range n.kids {
			n.wide[n.firsts[i]] = k
		}
	}
	return kid
}

// kid returns the child whose label begins with c; nil if there is none.
func (n *node) kid(c byte) *node {
	if n.wide != nil {
		return n.wide[c]
	}
	return n.oneOfFew(c)
}

func (n *node) oneOfFew(c byte) *node {
	for i := range len(n.firsts) {
		if n.firsts[i] == c {
			return n.kids[i]
		}
	}
	return nil
}

// hint is what a search has found out about names that begin as its own did, for the next one: most keys of a client are of one kind.
type hint struct {
	index   *index // where it holds; nil: nowhere
	literal string // names that go on behind this
	set     int    // belong to this set
}

// find returns the first set that matches name, noSet if none does. It heeds the last search's hint, and leaves one; h may be nil.
func (x *index) find(name []byte, h *hint) int {
	if h != nil && h.index == x && len(name) > len(h.literal) && string(name[:len(h.literal)]) == h.literal {
		return h.set
	}
	found, plain := noSet, h != nil
	for n := x.root; n != nil; {
		found = min(found, n.all)
		if len(n.some) > 0 {
			found, plain = n.findSome(name, found), false
		}
		if len(name) == 0 {
			return min(found, n.whole)
		}
		if plain && n.firsts == "" && n.path != "" { // whatever comes now, nothing else can match
			*h = hint{x, n.path, found}
			return found
		}
		if n = n.kid(name[0]); n == nil {
			break
		}
		more := len(n.label)
		if more > 1 && (len(name) < more || string(name[1:more]) != n.label[1:]) {
			break
		}
		name = name[more:]
	}
	return found
}

// findSome returns the first set before found that has a pattern here that matches, or else found.
func (n *node) findSome(name []byte, found int) int {
	for _, g := range n.some {
		if g.set >= found {
			break
		}
		if matchRest(g.rest, name) {
			return g.set
		}
	}
	return found
}
