package upstream

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"

	"github.com/tidwall/redcon"
)

// Role sets links and connections apart from the others of a Pool: they act as a user of the upstream's with fewer rights,
// or wait longer. The nil Role is the Pool's own user. Nothing of a Role changes but its password; who has the same pointer shares links.
type Role struct {
	Name    string   // for logs
	User    string   // to act as; empty: as the Pool's own user
	Pass    string   // the user's password
	Create  []string // what follows ACL SETUSER to make the user, at each connect; none: somebody else has made it
	Verify  []string // a command that answers +OK if the user is what it has to be: each connect asks; it must do nothing
	Patient bool     // a reply may take longer than the read timeout as long as the upstream answers health checks

	renewed atomic.Pointer[renewed] // instead of Pass and Create
}

// renewed is what a role has come to be.
type renewed struct {
	pass   string
	create []string
}

// Password is what the role logs in with now, and what it makes its user with.
func (r *Role) Password() (pass string, create []string) {
	if n := r.renewed.Load(); n != nil {
		return n.pass, n.create
	}
	return r.Pass, r.Create
}

// RenewRole gives r another password, once the upstream, and each master of a cluster, has let a connection in with it; before that, r keeps the one it has. Where
// create makes the user, it has to leave it the old password too.
func (p *Pool) RenewRole(ctx context.Context, r *Role, pass string, create []string) error {
	old, made := r.Password()
	if len(made) > 0 { // whoever connects from now on makes a user that takes both
		r.renewed.Store(&renewed{old, create})
	}
	next := &Role{Name: r.Name, User: r.User, Pass: pass, Create: create, Verify: r.Verify}
	for _, node := range p.Masters() {
		conn, _, err := node.dial(ctx, setKey{proto: 2, db: node.opt.DB, role: next})
		if err != nil {
			return node.error(false, reason(err))
		}
		abort(conn)
	}
	r.renewed.Store(&renewed{pass, create})
	return nil
}

// steps are those of a handshake that make a new connection the role's.
func (r *Role) steps() []step {
	if r == nil || r.User == "" {
		return nil
	}
	var steps []step
	pass, create := r.Password()
	if len(create) > 0 {
		steps = append(steps, step{name: "ACL", args: append([]string{"SETUSER"}, create...), role: true})
	}
	steps = append(steps, step{name: "AUTH", args: []string{r.User, pass}, role: true})
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
func (r *Role) AppendTake(dst []byte) []byte {
	pass, _ := r.Password()
	return appendAuth(dst, r.User, pass)
}

// AppendLeave appends a command that makes a connection the Pool's own user's again.
func (p *Pool) AppendLeave(dst []byte) []byte {
	return appendAuth(dst, p.User(), p.trusted().password) // a user who needs no password takes any
}

func appendAuth(dst []byte, user, password string) []byte {
	dst = append(dst, "*3\r\n$4\r\nAUTH\r\n"...)
	return redcon.AppendBulkString(redcon.AppendBulkString(dst, user), password)
}
