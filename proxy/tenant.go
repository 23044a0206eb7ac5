package proxy

import (
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"sync/atomic"

	"sessiongate/policy"
	"sessiongate/upstream"
)

// Tenant is one set of clients under one policy. A tenant without a password needs no AUTH.
type Tenant struct {
	Name     string
	User     string // "" is Redis's default user
	Password string // "" : open
	policy   atomic.Pointer[policy.Policy]
	globs    globs
	wall     *upstream.Role // keeps scripts in the namespace; nil: nothing does
	scripts  *allScripts    // those that its clients have sent
}

// NewTenant returns a tenant; an empty user is Redis's default user, an empty password an open door.
func NewTenant(name, user, password string, p *policy.Policy) *Tenant {
	if user == "" {
		user = "default"
	}
	t := &Tenant{Name: name, User: user, Password: password, scripts: newAllScripts()}
	t.policy.Store(p)
	return t
}

// SetWall has the tenant's scripts run in this role, see NewWall. It must come before the first client.
func (t *Tenant) SetWall(wall *upstream.Role) { t.wall = wall }

// Policy is what the tenant's commands are decided by from now on. Take it once per batch.
func (t *Tenant) Policy() *policy.Policy { return t.policy.Load() }

// SetPolicy puts new rules in force: each client follows at its next batch.
func (t *Tenant) SetPolicy(p *policy.Policy) { t.policy.Store(p) }

// tenants finds a tenant by credential.
type tenants struct {
	open   *Tenant // whose clients need no AUTH; nil: everyone has to
	locked []*Tenant
}

func newTenants(list []*Tenant) *tenants {
	t := &tenants{}
	for _, each := range list {
		if each.Password == "" {
			t.open = each
		} else {
			t.locked = append(t.locked, each)
		}
	}
	return t
}

// find returns the tenant with these credentials or nil. It compares digests of all of them in constant time, so that
// neither length nor content of a password shows in the time it takes.
func (t *tenants) find(user, password []byte) *Tenant {
	var found *Tenant
	gotUser, gotPassword := sha256.Sum256(user), sha256.Sum256(password)
	for _, each := range t.locked {
		wantUser, wantPassword := sha256.Sum256([]byte(each.User)), sha256.Sum256([]byte(each.Password))
		same := subtle.ConstantTimeCompare(gotUser[:], wantUser[:]) & subtle.ConstantTimeCompare(gotPassword[:], wantPassword[:])
		if same == 1 {
			found = each
		}
	}
	return found
}

// hasUser reports whether there is a tenant whose clients log in as that user.
func (t *tenants) hasUser(user string) bool {
	is := func(each *Tenant) bool { return each.User == user }
	return user == "default" || t.open != nil && is(t.open) || slices.ContainsFunc(t.locked, is)
}

// needPassword reports whether AUTH with the default user's password can succeed at all.
func (t *tenants) needPassword() bool { return len(t.locked) > 0 }
