package policy

import "sessiongate/command"

// governed are the groups of commands on keys whose facts in the table are certain enough to rule by them.
const governed = command.Keyspace | command.String | command.Bitmap | command.HyperLogLog | command.Hash | command.List |
	command.Set | command.SortedSet | command.Geo | command.Stream

// Governs reports whether a tenant with rules or a namespace may use this command at all. What is not governed yet is
// refused, never passed. This is the one place that says so: covering more commands begins with changing it.
func (p *Policy) Governs(spec *command.Spec) bool {
	namespaced := len(p.namespace.prefix) > 0
	switch {
	case p.Transparent():
		return true
	case spec.State == command.Pinned || spec.State == command.Hijack:
		return false
	case spec.State != command.Plain: // about the client's own connection, or on keys like any other
		return true
	case spec.Flags&command.Container != 0: // alone, or with a subcommand that the table doesn't have
		return spec.Reply == command.CommandTable
	case spec.Flags&(command.Admin|command.Script) != 0 || spec.Cats&command.Scripting != 0:
		return false
	case spec.Flags&command.Server != 0:
		return spec.Reply == command.ServerInfo
	case spec.Cats&command.PubSub != 0:
		return !namespaced || spec.Names != nil
	case spec.Names != nil:
		return spec.Cats&governed != 0 && !sendsAway(spec)
	case spec.Flags&command.Whole != 0:
		return !namespaced || !needsArgs(spec) // it is told what to look at, and not by names
	}
	return true // knows no keys: TIME, COMMAND COUNT, ...
}

func needsArgs(spec *command.Spec) bool { return spec.Arity > 1 || spec.Arity < -1 }

// sendsAway reports whether the command takes keys out of this Redis, where no rule follows them: dangerous, a write, and
// yet nothing is written here.
func sendsAway(spec *command.Spec) bool {
	return spec.Flags&command.Write != 0 && spec.Cats&command.Dangerous != 0 && spec.Expiry.Effect == command.Keeps
}
