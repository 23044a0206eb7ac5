package proxy

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"

	"sessiongate/credential"
)

// find returns the tenant whose client these credentials make of one that came that way: nil if that can't be told, or if there
// is none. Those whose passwords have to be hashed slowly, to tell, are unsure. It compares with every password that there
// is in constant time, so that neither length nor content shows in the time it takes.
func (ts *tenants) find(by entrance, user []byte, a *credential.Attempt) (found *Tenant, unsure []*Tenant) {
	gotUser := sha256.Sum256(user)
	for _, t := range ts.all {
		if by.tenant != "" && by.tenant != t.Name {
			continue
		}
		wantUser := sha256.Sum256([]byte(t.User))
		same, open := subtle.ConstantTimeCompare(gotUser[:], wantUser[:]), false
		for _, password := range t.passwords {
			ok, sure := password.Matches(a)
			if open = open || !sure; ok && same == 1 && found == nil {
				found = t
			}
		}
		if open && same == 1 {
			unsure = append(unsure, t)
		}
	}
	return found, unsure
}

var (
	errManyLogins = errors.New("ERR too many passwords from this address are waiting to be checked, try again")
	errGone       = errors.New("ERR the client has left")
)

// authenticate makes the session the tenant's that these credentials belong to, or says why not. Without any credentials
// configured the default user is whoever says so, as in a Redis without requirepass.
func (s *Session) authenticate(ctx context.Context, user, password []byte) (errText string) {
	all, a := s.srv.tenants.Load(), credential.NewAttempt(password)
	t, unsure := all.find(s.came, user, a)
	if t == nil && !all.needPassword() && string(user) == "default" {
		t = all.arriving(s.came)
	}
	if t == nil && len(unsure) > 0 {
		err := errGone
		s.attend(ctx, true, func(ctx context.Context) { t, err = s.srv.suspects.try(ctx, host(s.conn), unsure, a) })
		if err != nil {
			return err.Error()
		}
	}
	if t == nil {
		s.failedLogin(ctx, all, user)
		return errWrongPass
	}
	if refusal := s.login(t, all); refusal != nil {
		return refusal.Text
	}
	s.srv.tell(Event{Kind: EventLogin, Tenant: t.Name, User: t.User, Client: s.ref()})
	return ""
}

// failedLogin counts and logs a wrong password, and keeps its client waiting. A user that there isn't is not logged: it may be a
// password in the wrong place.
func (s *Session) failedLogin(ctx context.Context, all *tenants, user []byte) {
	s.srv.Counts.FailedLogins.Add(1)
	at, name := host(s.conn), "unknown"
	if all.hasUser(string(user)) {
		name = string(user)
	}
	s.srv.tell(Event{Kind: EventLoginFailed, User: name, Client: s.ref()})
	delay, due, held := s.srv.suspects.note(at, time.Now())
	if due {
		s.srv.log.Warn("wrong password", zap.String("addr", at), zap.String("user", name), zap.Int("not_logged_before", held))
	}
	s.attend(ctx, false, func(ctx context.Context) {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	})
}

// attend returns when f does, which it runs beside the session, watching over the client meanwhile. If the client goes away, is
// killed, f's ctx ends and the session is to leave; at the end of the server too, unless f is worth waiting for.
func (s *Session) attend(ctx context.Context, worth bool, f func(context.Context)) {
	if err := s.flush(); err != nil { // the replies owed must not wait too
		s.quit = true
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	done := make(chan struct{})
	beside.Go(func() { f(ctx); close(done); s.interrupt() })
	s.quit = !s.lookOut(done, worth) || s.quit
	cancel()
	beside.Wait()
	_ = s.conn.SetReadDeadline(time.Time{}) // before looking why it may have been set: who comes now sets it again
	s.quit = s.quit || s.killed.Load() || s.srv.draining.Load() && !worth
}

// lookOut reads ahead until done, or until the client has left or has to.
func (s *Session) lookOut(done <-chan struct{}, worth bool) (here bool) {
	for {
		err := s.in.await()
		var late net.Error
		switch {
		case err == nil:
		case errors.Is(err, errFull): // more can't be kept
			<-done
		case !errors.As(err, &late) || !late.Timeout():
			return false
		default:
			_ = s.conn.SetReadDeadline(time.Time{})
			if s.killed.Load() || s.srv.draining.Load() && !worth {
				return false
			}
		}
		select {
		case <-done:
			return true
		default:
		}
	}
}
