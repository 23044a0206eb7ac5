package proxy

import (
	"bytes"
	"context"
	"errors"

	"sessiongate/command"
	"sessiongate/upstream"
)

// Scripts travel on links of their own, so that a slow one keeps nobody else waiting, and under a namespace as a user that Redis
// keeps there (wall.go). Under rules on expiry or size they are confined besides (confine.go).

// patient is the role of scripts where there is no namespace.
var patient = &upstream.Role{Name: "scripts", Patient: true}

// maxScripts is how many scripts of a pipeline are sent at once, at most.
const maxScripts = 256

// script runs a script and those that follow it directly, in one batch.
func (s *Session) script(ctx context.Context, c cmd) {
	if s.own != nil && s.own.tracks {
		s.trackedScript(ctx, c)
		return
	}
	defer func(link upstream.Link) { s.link = link }(s.link)
	s.begin()
	s.link = s.pool().LinkAs(s.scriptRole(), s.proto, s.db)
	mute := s.mute
	s.bySum, s.sum = !s.scriptFollows(), ""
	s.place(c)
	for n := 1; n < maxScripts && len(s.batch.Req) < maxBatch && s.scriptFollows(); n++ {
		args, raw, _ := s.in.next()
		s.srv.Counts.Commands.Add(1)
		if c := (cmd{spec: command.Lookup(args), args: args, raw: raw}); s.tenant.Rate.Commands == 0 || !s.overRate(c) {
			s.place(c)
		}
	}
	s.forward(ctx)
	if s.bySum && s.lacksScript(ctx) {
		s.begin()
		s.link = s.pool().LinkAs(s.scriptRole(), s.proto, s.db)
		s.bySum, s.mute = false, mute
		s.placeAgain(c)
		s.forward(ctx)
	}
	s.bySum = false
	s.edit()
}

// lacksScript reports whether Redis has not got the script of the only slot, which was sent by its SHA1. A script may answer in the
// words that Redis has for that, so Redis is asked.
func (s *Session) lacksScript(ctx context.Context) bool {
	if s.slots[0].text || s.sum == "" {
		return false
	}
	if raw, _ := s.pick(&s.slots[0]); !bytes.HasPrefix(raw, []byte("-NOSCRIPT ")) {
		return false
	}
	ask := upstream.Batch{Req: appendCommand(nil, scriptExists(s.sum)), Count: 1}
	if len(s.batch.Units) > 0 { // of a cluster's nodes each has scripts of its own
		ask.Units = []upstream.Unit{{Slot: s.batch.Units[0].Slot, End: len(ask.Req), Count: 1}}
	}
	return s.link.Do(ctx, &ask) == nil && bytes.Equal(ask.Replies[0].Raw, []byte("*1\r\n:0\r\n"))
}

// scriptFollows reports whether the next command is here, and a script.
func (s *Session) scriptFollows() (yes bool) {
	s.in.peek(func(args [][]byte) bool {
		spec := command.Lookup(args)
		yes = spec != nil && spec.Flags&command.Script != 0 && spec.ArityOK(len(args))
		return false
	})
	return yes
}

// scriptRole is the role in which the tenant's scripts run.
func (s *Session) scriptRole() *upstream.Role {
	if len(s.policy.Prefix()) > 0 {
		return s.tenant.Wall
	}
	return patient
}

const (
	errNoWall = "NOPERM scripts are not allowed in a namespace without upstream.acl: manage or verify, which keeps them in it"
	errWall   = "NOPERM scripts are not possible: the upstream does not grant the ACL user that keeps them in their namespace"
	errNoCall = "NOPERM functions are not allowed in a transaction in a namespace: nothing keeps them in it there"
)

// walled reports why a script may not run where it would, empty if it may.
func (s *Session) walled(c cmd) (errText string) {
	switch {
	case len(s.policy.Prefix()) == 0 || s.tenant == nil:
		return ""
	case s.tenant.Wall == nil:
		return errNoWall
	case !s.tx.open && (s.own == nil || !s.own.tracks):
		return ""
	case s.tx.open && forms[c.spec.ID] == noScript:
		return errNoCall
	}
	// The client's own connection is the pool's own user's, and takes the role for the script alone. One that has the role shows that
	// the upstream grants it.
	conn, err := s.pool().DedicatedAs(context.Background(), s.tenant.Wall, s.proto, s.db)
	if err != nil {
		var role *upstream.RoleError
		if errors.As(err, &role) {
			return errWall
		}
		return unavailable + why(err) + notRun
	}
	conn.Release()
	return ""
}

// switches reports whether a script in a transaction has to take its role there, and give it back.
func (s *Session) switches(c cmd) bool {
	return s.tx.open && len(s.policy.Prefix()) > 0 && c.spec.Flags&command.Script != 0
}
