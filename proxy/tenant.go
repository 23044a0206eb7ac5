package proxy

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"sessiongate/credential"
	"sessiongate/policy"
	"sessiongate/upstream"
)

// TenantConfig is what makes a Tenant. A tenant with neither passwords nor certificates nor listeners of its own is an open door.
type TenantConfig struct {
	Name      string
	User      string   // empty: Redis's default user
	Passwords []string // any of them will do, in the forms of package credential
	Certs     []string // client certificates: CN=name, a whole subject, dns:, uri: or email: and a name
	Listens   bool     // it has listeners of its own, see TenantListener

	Pool    *upstream.Pool // nil: the Server's
	DB      int            // where its clients begin; negative: in the database that the Pool's URL names
	Wall    *upstream.Role // keeps scripts in the namespace, see NewWall; nil: nothing does
	Rules   *policy.Policy
	Clients int // connected at once at most; 0: as many as there may be at all
	Rate    Rate
}

// Tenant is one set of clients under one policy. It never changes: a reload makes another of the same name, see Server.SetTenants.
type Tenant struct {
	TenantConfig
	passwords []*credential.Credential
	live      *live           // shared with the tenants of this name before and after it
	hits      []*atomic.Int64 // by rule: commands whose first key is the rule's
}

// live is what goes on across reloads.
type live struct {
	clients atomic.Int64
	meter   meter
	globs   globs
	scripts *allScripts // those that its clients have sent
	tally   *tally
}

// NewTenant returns a tenant, or what is wrong with a password.
func NewTenant(c TenantConfig) (*Tenant, error) {
	if c.User == "" {
		c.User = "default"
	}
	t := &Tenant{TenantConfig: c, live: &live{scripts: newAllScripts(), tally: newTally()}}
	for range t.ruleNames() {
		t.hits = append(t.hits, new(atomic.Int64))
	}
	for _, text := range c.Passwords {
		password, err := credential.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("tenant %s: a password %w", c.Name, err)
		}
		t.passwords = append(t.passwords, password)
	}
	return t, nil
}

// Policy is what the tenant's commands are decided by.
func (t *Tenant) Policy() *policy.Policy { return t.Rules }

// start is the database in which the tenant's clients begin.
func (t *Tenant) start() int {
	if t.DB < 0 {
		return t.Pool.DB()
	}
	return t.DB
}

// admit takes one more client in, if there is room. Who was taken in is let go by leave.
func (t *Tenant) admit() *policy.Refusal {
	if n := t.live.clients.Add(1); t.Clients > 0 && n > int64(t.Clients) {
		t.live.clients.Add(-1)
		return &policy.Refusal{Kind: "clients", Limit: int64(t.Clients), Got: n,
			Text: fmt.Sprintf("DENIED clients: this would be client %d of tenant %q, which may have %d", n, t.Name, t.Clients)}
	}
	return nil
}

func (t *Tenant) leave() { t.live.clients.Add(-1) }

// identified reports whether the certificate is one of the tenant's.
func (t *Tenant) identified(cert *x509.Certificate) bool {
	return cert != nil && slices.ContainsFunc(t.Certs, func(name string) bool { return certHas(cert, name) })
}

// certHas reports whether the certificate goes by that name.
func certHas(cert *x509.Certificate, name string) bool {
	kind, value, _ := strings.Cut(name, ":")
	switch kind {
	case "dns":
		return slices.ContainsFunc(cert.DNSNames, func(dns string) bool { return strings.EqualFold(dns, value) })
	case "email":
		return slices.Contains(cert.EmailAddresses, value)
	case "uri":
		for _, uri := range cert.URIs {
			if uri.String() == value {
				return true
			}
		}
		return false
	}
	if common, ok := strings.CutPrefix(name, "CN="); ok && !strings.Contains(common, ",") {
		return cert.Subject.CommonName == common
	}
	return cert.Subject.String() == name
}

// tenants are those of one configuration. They never change together: a reload swaps them all at once.
type tenants struct {
	all    []*Tenant
	byName map[string]*Tenant
	open   *Tenant // whose clients need nothing to show; nil: there is none
}

func newTenants(list []*Tenant, main *upstream.Pool) *tenants {
	all := &tenants{all: list, byName: map[string]*Tenant{}}
	for _, t := range list {
		if t.Pool == nil {
			t.Pool = main
		}
		all.byName[t.Name] = t
		if len(t.passwords) == 0 && len(t.Certs) == 0 && !t.Listens {
			all.open = t
		}
	}
	return all
}

// inherit has tenants that were there before keep what is theirs: who is connected, and what is known of passwords.
func (ts *tenants) inherit(old *tenants) {
	known := map[string]*credential.Credential{}
	for _, t := range old.all {
		for _, password := range t.passwords {
			known[password.Text()] = password
		}
	}
	for _, t := range ts.all {
		if before := old.byName[t.Name]; before != nil {
			t.live = before.live
			t.inheritHits(before)
		}
		for _, password := range t.passwords {
			if before := known[password.Text()]; before != nil {
				password.Inherit(before)
			}
		}
	}
}

// entrance is how a client came: what tells whose it is before it says a word.
type entrance struct {
	tenant string            // whose listener it was, empty: everybody's
	cert   *x509.Certificate // verified; nil: it showed none
}

// arriving returns the tenant whose client one is that came this way, nil if it has to authenticate first. On a tenant's own
// listener there are only that tenant's clients.
func (ts *tenants) arriving(by entrance) *Tenant {
	if by.tenant != "" {
		t := ts.byName[by.tenant]
		if t != nil && (t.identified(by.cert) || len(t.passwords) == 0 && len(t.Certs) == 0) {
			return t
		}
		return nil
	}
	for _, t := range ts.all {
		if t.identified(by.cert) {
			return t
		}
	}
	return ts.open
}

// hasUser reports whether there is a tenant whose clients log in as that user.
func (ts *tenants) hasUser(user string) bool {
	return user == "default" || slices.ContainsFunc(ts.all, func(t *Tenant) bool { return t.User == user })
}

// needPassword reports whether AUTH with the default user's password can succeed at all.
func (ts *tenants) needPassword() bool {
	return slices.ContainsFunc(ts.all, func(t *Tenant) bool { return len(t.passwords) > 0 })
}

// ruleNames are those of the tenant's rules, in their order.
func (t *Tenant) ruleNames() []string {
	if t.Rules == nil {
		return nil
	}
	return t.Rules.RuleNames()
}

// inheritHits has rules that were there before, by name, go on counting.
func (t *Tenant) inheritHits(before *Tenant) {
	old := before.ruleNames()
	for i, name := range t.ruleNames() {
		if j := slices.Index(old, name); j >= 0 {
			t.hits[i] = before.hits[j]
		}
	}
}
