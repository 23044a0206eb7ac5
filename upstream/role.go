package upstream

import (
	"bytes"
	"fmt"

	"github.com/tidwall/redcon"
)

// Role sets links and connections apart from the others of a Pool: they act as a user of the upstream's with fewer rights,
// or wait longer. The nil Role is the Pool's own user. A Role never changes; who has the same pointer shares links.
type Role struct {
	Name    string   // for logs
	User    string   // to act as; empty: as the Pool's own user
	Pass    string   // the user's password
	Create  []string // what follows ACL SETUSER to make the user, at each connect; none: somebody else has made it
	Verify  []string // a command that answers +OK if the user is what it has to be: each connect asks; it must do nothing
	Patient bool     // a reply may take longer than the read timeout as long as the upstream answers health checks
}

// steps are those of a handshake that make a new connection the role's.
func (r *Role) steps() []step {
	if r == nil || r.User == "" {
		return nil
	}
	var steps []step
	if len(r.Create) > 0 {
		steps = append(steps, step{name: "ACL", args: append([]string{"SETUSER"}, r.Create...), role: true})
	}
	steps = append(steps, step{name: "AUTH", args: []string{r.User, r.Pass}, role: true})
	if len(r.Verify) > 0 {
		steps = append(steps, step{name: r.Verify[0], args: r.Verify[1:], role: true, ok: true})
	}
	return steps
}

// label is how logs and errors call the role.
func (r *Role) label() string {
	if r == nil {
		return ""
	}
	return r.Name
}

// RoleError is why a connection can't have its role although the upstream answers.
type RoleError struct {
	User string
	Err  error
}

func (e *RoleError) Error() string { return fmt.Sprintf("the ACL user %q: %v", e.User, e.Err) }
func (e *RoleError) Unwrap() error { return e.Err }

// judge holds the reply to one of the role's steps against what it has to be.
func (r *Role) judge(st *step, reply []byte, redact func([]byte) string) error {
	var err error
	switch {
	case reply[0] == '-':
		err = &Refused{Step: st.name, Reply: redact(reply)}
	case st.ok && !bytes.HasPrefix(reply, []byte("+OK")):
		err = fmt.Errorf("%s does not say that it is as it has to be", st.name)
	default:
		return nil
	}
	return &RoleError{r.User, err}
}

// AppendTake appends a command that makes a connection the role's from then on, in a transaction at the time of EXEC. The role
// must have connected before: the user is not made, and nothing is tried.
func (r *Role) AppendTake(dst []byte) []byte { return appendAuth(dst, r.User, r.Pass) }

// AppendLeave appends a command that makes a connection the Pool's own user's again.
func (p *Pool) AppendLeave(dst []byte) []byte {
	return appendAuth(dst, p.User(), p.opt.Password) // a user who needs no password takes any
}

func appendAuth(dst []byte, user, password string) []byte {
	dst = append(dst, "*3\r\n$4\r\nAUTH\r\n"...)
	return redcon.AppendBulkString(redcon.AppendBulkString(dst, user), password)
}
