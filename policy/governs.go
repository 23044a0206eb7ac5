package policy

import "sessiongate/command"

// Governs reports whether a tenant with rules or a namespace may use this command at all. What is not governed is refused,
// never passed. This is the one place that says so: covering more commands begins with changing it.
func (p *Policy) Governs(spec *command.Spec) bool {
	namespaced := len(p.namespace.prefix) > 0
	switch {
	case p.Transparent(), spec.State == command.Local:
		return true
	case spec.State == command.Hijack:
		return false
	case spec.Flags&command.Container != 0: // alone, or with a subcommand that the table doesn't have
		return spec.Reply == command.CommandTable
	case installsCode(spec):
		return false
	case spec.Flags&(command.Admin|command.Server) != 0: // the whole server is one tenant's where there is no namespace
		return !namespaced || spec.Reply == command.ServerInfo
	case spec.Names != nil:
		return spec.Certain() && !(namespaced && sendsAway(spec))
	case spec.Cats&command.PubSub != 0:
		return !namespaced
	case spec.Flags&command.Whole != 0:
		return !namespaced || !needsArgs(spec) // it is told what to look at, and not by names
	}
	return true // knows no keys: MULTI, TIME, COMMAND COUNT, ...
}

// installsCode reports whether the command changes the functions of the whole server, code that rules can't see into.
func installsCode(spec *command.Spec) bool {
	return spec.Cats&command.Scripting != 0 && spec.Flags&command.Write != 0
}

func needsArgs(spec *command.Spec) bool { return spec.Arity > 1 || spec.Arity < -1 }

// sendsAway reports whether the command takes keys out of this Redis, where no namespace holds them: dangerous, a write, and
// yet nothing is written here.
func sendsAway(spec *command.Spec) bool {
	return spec.Flags&command.Write != 0 && spec.Cats&command.Dangerous != 0 && spec.Expiry.Effect == command.Keeps
}
