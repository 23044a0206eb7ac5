package proxy

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"sessiongate/credential"
	"sessiongate/policy"
	"sessiongate/upstream"
)

// plainTenant is an open tenant called t.
func plainTenant(p *policy.Policy, pool *upstream.Pool) *Tenant {
	t, err := NewTenant(TenantConfig{Name: "t", Rules: p, Pool: pool})
	if err != nil {
		panic(err)
	}
	return t
}

// someTenants are tenants as configured, in front of no upstream.
func someTenants(t *testing.T, configs ...TenantConfig) *tenants {
	t.Helper()
	var list []*Tenant
	for _, c := range configs {
		tenant, err := NewTenant(c)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, tenant)
	}
	return newTenants(list, nil)
}

func nameOf(t *Tenant) string {
	if t == nil {
		return ""
	}
	return t.Name
}

func TestTenants_find(t *testing.T) {
	slow := credential.Hash([]byte("slow"))
	all := someTenants(t,
		TenantConfig{Name: "a", Passwords: []string{"one", "two"}},
		TenantConfig{Name: "b", Passwords: []string{"sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"}}, // foo
		TenantConfig{Name: "c", User: "carl", Passwords: []string{"one", slow}},
		TenantConfig{Name: "open"},
		TenantConfig{Name: "own", Listens: true, Passwords: []string{"three"}},
	)
	for _, e := range []struct{ listener, user, password, want, unsure string }{
		{"", "default", "one", "a", ""}, {"", "default", "two", "a", ""}, {"", "default", "foo", "b", ""}, {"", "carl", "one", "c", "c"},
		{"", "default", "slow", "", ""}, {"", "carl", "slow", "", "c"}, {"", "carl", "two", "", "c"}, {"", "nobody", "one", "", ""},
		{"", "default", "", "", ""}, {"", "Carl", "one", "", ""}, {"", "default", "three", "own", ""},
		{"own", "default", "three", "own", ""}, {"own", "default", "one", "", ""}, {"own", "carl", "one", "", ""},
	} {
		got, unsure := all.find(entrance{tenant: e.listener}, []byte(e.user), credential.NewAttempt([]byte(e.password)))
		names := ""
		for _, each := range unsure {
			names += each.Name
		}
		if nameOf(got) != e.want || names != e.unsure {
			t.Errorf("%+v: got %q, unsure %q", e, nameOf(got), names)
		}
	}
	if !all.needPassword() || !all.hasUser("carl") || all.hasUser("nobody") {
		t.Error("users or passwords are missing")
	}
}

func TestTenants_arriving(t *testing.T) {
	cert := func(cn string) *x509.Certificate {
		id, _ := url.Parse("spiffe://x/" + cn)
		return &x509.Certificate{Subject: pkix.Name{CommonName: cn, Organization: []string{"Acme"}}, DNSNames: []string{cn + ".example"},
			EmailAddresses: []string{cn + "@example"}, URIs: []*url.URL{id}}
	}
	all := someTenants(t,
		TenantConfig{Name: "cn", Certs: []string{"CN=app1"}},
		TenantConfig{Name: "subject", Certs: []string{"CN=app2,O=Acme"}, Passwords: []string{"x"}},
		TenantConfig{Name: "dns", Certs: []string{"dns:APP3.example"}},
		TenantConfig{Name: "email", Certs: []string{"email:app4@example", "uri:spiffe://x/app5"}},
		TenantConfig{Name: "listener", Listens: true},
		TenantConfig{Name: "listener and password", Listens: true, Passwords: []string{"y"}},
		TenantConfig{Name: "listener and cert", Listens: true, Certs: []string{"CN=app6"}},
		TenantConfig{Name: "open"},
	)
	for _, e := range []struct{ listener, cn, want string }{
		{"", "", "open"}, {"", "stranger", "open"}, {"", "app1", "cn"}, {"", "app2", "subject"}, {"", "app3", "dns"}, {"", "app4", "email"},
		{"", "app5", "email"}, {"", "app6", "listener and cert"}, {"listener", "", "listener"}, {"listener", "app1", "listener"},
		{"listener and password", "", ""}, {"listener and password", "app1", ""}, {"listener and cert", "", ""},
		{"listener and cert", "app1", ""}, {"listener and cert", "app6", "listener and cert"}, {"no such", "app1", ""},
	} {
		by := entrance{tenant: e.listener}
		if e.cn != "" {
			by.cert = cert(e.cn)
		}
		if got := nameOf(all.arriving(by)); got != e.want {
			t.Errorf("%+v: got %q", e, got)
		}
	}
}

func TestTenants_inherit(t *testing.T) {
	slow := credential.Hash([]byte("slow"))
	old := someTenants(t, TenantConfig{Name: "a", Passwords: []string{slow}, Clients: 1}, TenantConfig{Name: "gone"})
	if old.all[0].admit() != nil || old.all[0].admit() == nil {
		t.Fatal("a tenant of one client should take one")
	}
	attempt := credential.NewAttempt([]byte("slow"))
	old.all[0].passwords[0].Try(attempt)
	now := someTenants(t, TenantConfig{Name: "a", Passwords: []string{"other", slow}, Clients: 2}, TenantConfig{Name: "new"})
	now.inherit(old)
	if ok, _ := now.all[0].passwords[1].Matches(attempt); !ok {
		t.Error("the password has to be hashed again")
	}
	if now.all[0].admit() != nil || now.all[0].admit() == nil {
		t.Error("the client of before is not counted")
	}
	if now.all[1].live == old.all[1].live {
		t.Error("another tenant's clients are counted")
	}
}

// The delay grows with each failure, whoever's connection it is, and is forgotten.
func TestSuspects_note(t *testing.T) {
	g, now := newSuspects(), time.Unix(1700000000, 0)
	var got []time.Duration
	for range 8 {
		delay, due, _ := g.note("1.2.3.4", now)
		if due != (len(got) == 0) {
			t.Errorf("failure %d: in the log is %v", len(got), due)
		}
		got = append(got, delay)
	}
	want := []time.Duration{100e6, 200e6, 400e6, 800e6, 1600e6, 3200e6, 3200e6, 3200e6}
	if !slices.Equal(got, want) {
		t.Errorf("delays are %v, want %v", got, want)
	}
	if delay, due, _ := g.note("1.2.3.5", now); delay != firstDelay || !due {
		t.Errorf("another address waits %v", delay)
	}
	if delay, due, held := g.note("1.2.3.4", now.Add(forgetAfter+time.Second)); delay != firstDelay || !due || held != 7 {
		t.Errorf("after a while: %v, in the log is %v with %d before", delay, due, held)
	}
	for i := range 3 * maxSuspects {
		g.note(fmt.Sprint(i), now)
	}
	if len(g.by) > maxSuspects {
		t.Errorf("%d addresses are remembered", len(g.by))
	}
}

// A password that has to be hashed is found; nothing waits longer than its client.
func TestSuspects_try(t *testing.T) {
	g := newSuspects()
	all := someTenants(t, TenantConfig{Name: "a", Passwords: []string{credential.Hash([]byte("right"))}})
	wrong, right := credential.NewAttempt([]byte("wrong")), credential.NewAttempt([]byte("right"))
	if got, err := g.try(t.Context(), "x", all.all, wrong); got != nil || err != nil {
		t.Errorf("wrong: got %v, %v", nameOf(got), err)
	}
	for range 10 {
		g.note("bad", time.Now())
	}
	ctx, leave := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := g.try(ctx, "bad", all.all, wrong) // put off by its delay
		ended <- err
	}()
	if got, err := g.try(t.Context(), "x", all.all, right); nameOf(got) != "a" || err != nil {
		t.Errorf("right: got %v, %v", nameOf(got), err)
	}
	leave()
	if err := <-ended; err != errGone {
		t.Errorf("when its client has left: %v", err)
	}
}

func TestMeter(t *testing.T) {
	var m meter
	r := Rate{Commands: 10, Burst: 3}
	now := int64(1700000000) * int64(time.Second)
	takes := func(n int) (taken int) {
		for range n {
			if m.take(r, now) {
				taken++
			}
		}
		return taken
	}
	for _, e := range []struct {
		after   time.Duration
		n, want int
	}{{0, 5, 3}, {50 * time.Millisecond, 5, 0}, {50 * time.Millisecond, 5, 1}, {200 * time.Millisecond, 5, 2}, {time.Hour, 50, 3}} {
		now += int64(e.after)
		if got := takes(e.n); got != e.want {
			t.Errorf("after %v: %d of %d, want %d", e.after, got, e.n, e.want)
		}
	}
	if got := m.recent(now); got != 50 {
		t.Errorf("%d in the last second, want 50", got)
	}
	now += int64(time.Second)
	takes(1)
	if got := m.recent(now); got != 36 {
		t.Errorf("%d in the last second, want 36", got)
	}
}

// A bucket that another rate has emptied far into the future is an empty one of the new rate.
func TestMeter_RateChanges(t *testing.T) {
	var m meter
	now := int64(1e18)
	slow, fast := Rate{Commands: 1, Burst: 60}, Rate{Commands: 1000, Burst: 10}
	for m.take(slow, now) {
	}
	if m.take(fast, now) {
		t.Error("a token at once, from an empty bucket")
	}
	now += int64(time.Second) / 1000
	if !m.take(fast, now) || m.take(fast, now) {
		t.Error("a millisecond later there should be one token")
	}
}
