package policy

import "sessiongate/command"

// Governs reports whether a tenant with rules or a namespace may use this command at all. What is not governed yet is
// refused, never passed. This is the one place that says so: covering more commands begins with changing it.
func (p *Policy) Governs(spec *command.Spec) bool {
	switch {
	case p.Transparent() || spec.State == command.Local:
		return true
	case spec.State == command.Blocks:
		return !spec.MayBlock(nil) // with other arguments it may; Decide looks at them
	case spec.State != command.Plain:
		return false
	case spec.Flags&command.Container != 0: // with a subcommand that the table doesn't have
		return spec.Reply == command.CommandTable
	case spec.Flags&(command.Admin|command.Script) != 0, spec.Cats&command.Scripting != 0:
		return false
	case spec.Flags&command.Server != 0:
		return spec.Reply == command.ServerInfo || spec.Names != nil
	case spec.Cats&command.PubSub != 0:
		return len(p.namespace.prefix) == 0
	}
	return !sendsAway(spec)
}

// sendsAway reports whether the command takes keys out of this Redis, where no rule follows them: dangerous, a write, and
// yet nothing is written here.
func sendsAway(spec *command.Spec) bool {
	return spec.Flags&command.Write != 0 && spec.Flags&command.Whole == 0 &&
		spec.Cats&command.Dangerous != 0 && spec.Expiry.Effect == command.Keeps
}

// waits refuses a command that Governs lets through for its other uses.
func waits(spec *command.Spec) *Refusal {
	return &Refusal{Kind: "commands", Text: "NOPERM the '" + spec.RedisName() + "' command can't wait here: no rule covers that"}
}
