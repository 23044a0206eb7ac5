package policy

import (
	"fmt"

	"sessiongate/command"
)

// readOnly refuses a tenant whatever changes something.
type readOnly struct {
	namespaced bool // what administers the server is not the tenant's anyway
}

var _ Rule = (*readOnly)(nil)

// Apply refuses commands that write, scripts that may (EVAL, but not EVAL_RO, which Redis itself keeps from writing), and, where
// the server is the tenant's alone, what administers it.
func (ro *readOnly) Apply(r *Request, _ int, p *Plan) {
	if why := ro.changes(r.Spec); why != "" {
		p.refuse(&Refusal{Kind: "read_only", Text: fmt.Sprintf("NOPERM this tenant is read-only: the '%s' command %s", r.Spec.RedisName(), why)})
	}
}

// changes says in what way the command may change something, empty if it doesn't.
func (ro *readOnly) changes(s *command.Spec) string {
	switch {
	case s.State == command.Local:
		return ""
	case s.Flags&command.Write != 0:
		return "writes"
	case s.Flags&command.Script != 0 && s.Flags&command.Read == 0:
		return "may write"
	case s.Flags&command.Admin != 0 && !ro.namespaced:
		return "administers the server"
	}
	return ""
}
