package policy

import (
	"bytes"

	"sessiongate/command"
)

// namespace keeps a tenant's names apart from all others by a prefix. It comes after all other rules, so that they see
// the names which the client uses.
type namespace struct {
	prefix []byte
	star   bool // the prefix has a *
}

var _ Rule = (*namespace)(nil)

func newNamespace(prefix string) *namespace {
	return &namespace{prefix: []byte(prefix), star: bytes.IndexByte([]byte(prefix), '*') >= 0}
}

// Apply puts the names of the whole command into the namespace, and has them taken out of its reply.
func (n *namespace) Apply(r *Request, _ int, p *Plan) {
	if len(n.prefix) == 0 {
		if holdsNames(p.Edit) && !p.Each {
			p.Edit = command.Opaque
		}
		return
	}
	p.Prefix = n.prefix
	if r.Spec.Flags&command.Script != 0 {
		p.Edit = command.ScriptNames
	}
	if !n.star {
		return
	}
	for _, name := range r.Names {
		if name.Kind == command.Sub { // Redis replaces the first *, which would be the prefix's
			p.refuse(&Refusal{Kind: "namespace", Text: "NOPERM the '" + r.Spec.RedisName() +
				"' command can't look up other keys in this namespace, which has a * in its name"})
			return
		}
	}
}

// holdsNames reports whether a reply needs editing only because of the names in it.
func holdsNames(reply command.Reply) bool {
	switch reply {
	case command.KeyArray, command.OneKey, command.CursorKeys, command.FirstIsKey, command.NameCounts, command.Streams:
		return true
	}
	return false
}
