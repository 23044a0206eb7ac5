package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"sessiongate/policy"
)

// TenantListener returns a listener whose clients are the tenant's: without AUTH if the tenant has neither passwords nor
// certificates, else with one of those.
func TenantListener(ln net.Listener, tenant string) net.Listener { return tenantListener{ln, tenant} }

type tenantListener struct {
	net.Listener
	tenant string
}

// welcome finds out how the client came, and makes it a client of the tenant whose it is by that.
func (s *Session) welcome(ctx context.Context) error {
	if conn, ok := s.conn.(*tls.Conn); ok {
		wait := max(s.srv.cfg.Login, time.Second)
		s.shaking.Store(true)
		if s.srv.draining.Load() { // after the line above: who drains now sees it shaking
			wait = quiet
		}
		limit, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		err := conn.HandshakeContext(limit)
		s.shaking.Store(false)
		if err != nil {
			return err
		}
		if chains := conn.ConnectionState().VerifiedChains; len(chains) > 0 {
			s.came.cert = chains[0][0]
		}
	}
	all := s.srv.tenants.Load()
	if refusal := s.login(all.arriving(s.came), all); refusal != nil {
		_ = s.conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, err := s.conn.Write(refusal.AppendRESP(nil))
		return errors.Join(refusal, err)
	}
	return nil
}

// login makes t, of these tenants, the session's tenant, unless t has as many clients as it may. Nil: the client has to
// authenticate first.
func (s *Session) login(t *Tenant, of *tenants) *policy.Refusal {
	old := s.tenant
	if t != nil && old != nil && t.live == old.live { // if it is a newer one, the session follows at its next batch
		s.describe()
		return nil
	}
	if t != nil {
		if refusal := t.admit(); refusal != nil {
			s.srv.noteRefusal(t.Name, "", refusal, s.ref())
			return refusal
		}
	}
	s.settleCounts()
	if old != nil {
		s.disown(false) // what it has upstream belongs to the tenant it leaves
		old.leave()
	}
	s.link = nil
	s.wanted.Store(false) // who redirects to it asks again, if it still may
	if t != nil && (old == nil || t.Pool != old.Pool || t.start() != old.start()) {
		s.db = t.start()
	}
	s.tenant, s.among = t, of
	s.in.authed(t != nil)
	s.describe()
	return nil
}
