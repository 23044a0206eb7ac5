package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sessiongate/credential"
)

// Database is the number of a database, or the zero Database where none is given.
type Database struct {
	Given  bool
	Number int
}

// UnmarshalText reads a number.
func (d *Database) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 16)
	if err != nil {
		return fmt.Errorf("%q is not the number of a database; write one from 0 to 65535", text)
	}
	*d = Database{true, int(n)}
	return nil
}

// MarshalText returns the number, nothing where there is none.
func (d Database) MarshalText() ([]byte, error) {
	if !d.Given {
		return nil, nil
	}
	return strconv.AppendInt(nil, int64(d.Number), 10), nil
}

// nobody is the label of figures for those who are no tenant's.
const nobody = "(none)"

// tenants checks names, rules and namespaces.
func (l *ledger) tenants(c *Config) {
	if len(c.Tenants) == 0 {
		l.rules("", c.Config, c.Commands)
		l.namespace("namespace", c.Namespace)
		l.access("", c.Credentials, c.Rate)
		return
	}
	short := []string{"password", "password_file", "passwords", "namespace", "rules"}
	if c.Rate != (Rate{}) {
		short = append(short, "rate")
	}
	if c.ReadOnly {
		short = append(short, "read_only")
	}
	if c.Mode != "" {
		short = append(short, "mode")
	}
	for _, path := range short {
		if l.wrote(path) || path == "rate" {
			l.judge(path, "is given besides tenants", "move it into a tenant")
		}
	}
	for i, t := range c.Tenants {
		path := index("tenants", i)
		l.rules(path, t.Config, c.Commands)
		l.namespace(path+".namespace", t.Namespace)
		l.access(path, t.Credentials, t.Rate)
		if t.Name == "" {
			l.judge(path, "has no name", `write "name: ..."`)
		}
		if t.Name == nobody {
			l.judge(path+".name", fmt.Sprintf("%q is what figures call those who have not logged in", nobody), "give it another name")
		}
		if t.Upstream != nil {
			l.upstream(path+".upstream", *t.Upstream)
		}
		l.atLeast(path+".clients", int64(t.Clients), 0, "")
		l.certs(path, t, c)
		for j, other := range c.Tenants[:i] {
			l.apart(path, t, index("tenants", j), other, c.Upstream)
		}
	}
}

// access checks what a tenant's clients have to say, and how fast.
func (l *ledger) access(path string, p Credentials, r Rate) {
	if p.Password != "" && p.PasswordFile != "" {
		l.judge(join(path, "password_file"), "is given besides password", "keep one of them")
	}
	const fastest = 10_000_000
	switch at := join(path, "rate"); {
	case r.Commands < 0 || r.Commands > fastest:
		l.judge(join(at, "commands"), fmt.Sprintf("%d is not from 0 to %d", r.Commands, fastest), "")
	case r.Burst < 0 || r.Burst > fastest:
		l.judge(join(at, "burst"), fmt.Sprintf("%d is not from 0 to %d", r.Burst, fastest), "")
	case r.Burst > 0 && r.Commands == 0:
		l.judge(join(at, "burst"), "is of no use without commands", "write rate: {commands: ..., burst: ...}")
	}
}

// certs checks the names of client certificates.
func (l *ledger) certs(path string, t Tenant, c *Config) {
	if len(t.Cert) > 0 && c.TLS.ClientCA == "" {
		l.judge(path+".cert", "needs tls.client_ca", "name the authority whose certificates count")
	}
	for i, name := range t.Cert {
		at := index(path+".cert", i)
		kind, value, colon := strings.Cut(name, ":")
		subject := strings.Contains(kind, "=")
		known := kind == "dns" || kind == "uri" || kind == "email"
		if name == "" || !subject && (!colon || !known || value == "") {
			l.judge(at, fmt.Sprintf("%q is no name of a certificate", clip(name)),
				"write CN=app1, a whole subject as CN=app1,O=Example, dns:app1.example, uri:spiffe://..., or email:...")
			continue
		}
		for j, other := range c.Tenants {
			for k, theirs := range other.Cert {
				if earlier := index(index("tenants", j)+".cert", k); theirs == name && earlier != at {
					l.judge(at, fmt.Sprintf("%q is a certificate of %s too", clip(name), index("tenants", j)), "give each tenant its own")
					return
				}
			}
			if path == index("tenants", j) {
				break
			}
		}
	}
}

// apart reports what keeps two tenants from being told apart: a name, or keys that both could reach. Databases keep nothing
// apart: SELECT, FLUSHALL, Pub/Sub and the upstream's ACL users go across them.
func (l *ledger) apart(path string, t Tenant, otherPath string, other Tenant, common Upstream) {
	if t.Name != "" && t.Name == other.Name {
		l.judge(path+".name", fmt.Sprintf("%q is the name of %s too", clip(t.Name), otherPath), "")
	}
	if t.server(common) != other.server(common) {
		return
	}
	a, b := string(t.Namespace), string(other.Namespace)
	switch {
	case a == b:
		l.judge(path+".namespace", fmt.Sprintf("%q is the namespace of %s too", a, otherPath), "give each tenant its own")
	case strings.HasPrefix(a, b):
		l.judge(path+".namespace", fmt.Sprintf("%q lies in %q, the namespace of %s", a, b, otherPath), "no namespace may begin with another")
	case strings.HasPrefix(b, a):
		l.judge(path+".namespace", fmt.Sprintf("%q holds %q, the namespace of %s", a, b, otherPath), "no namespace may begin with another")
	}
}

// server tells upstreams apart: by address, whatever the database and the credentials.
func (t Tenant) server(common Upstream) string {
	u := common.URL
	if t.Upstream != nil {
		u = t.Upstream.URL
	}
	hosts, parsed, err := u.Split()
	if err != nil {
		return u.Reveal()
	}
	if _, many := manyHosts[parsed.Scheme]; many {
		slices.Sort(hosts)
		return strings.ToLower(strings.Join(hosts, ",")) + "?" + parsed.RawQuery
	}
	if parsed.Scheme == "unix" {
		return parsed.Path
	}
	return strings.ToLower(parsed.Hostname()) + ":" + cmp.Or(parsed.Port(), "6379")
}

// credentials checks that passwords can be used, and that what a client says in AUTH leads to one tenant.
func (l *ledger) credentials(c *Config) {
	parsed := make([]map[string]*credential.Credential, len(c.Tenants))
	if len(c.Tenants) == 0 {
		l.parse("", c.Credentials)
	}
	for i, t := range c.Tenants {
		path := index("tenants", i)
		parsed[i] = l.parse(path, t.Credentials)
		reached := len(t.Listen)+len(t.Cert) > 0
		switch {
		case len(t.Passwords) > 0 || t.Password != "" || t.PasswordFile != "":
		case t.User != "":
			l.judge(path+".user", "has no password", "write password or password_file")
		case len(c.Tenants) > 1 && !l.wrote(path+".password") && !reached:
			l.judge(path, "has no password", `write one, or password: "" to let clients in that give none`)
		}
		for j, other := range c.Tenants[:i] {
			theirs := index("tenants", j)
			if l.wrote(path+".password") && l.wrote(theirs+".password") && t.open() && other.open() {
				l.judge(path+".password", fmt.Sprintf("is empty, as that of %s is", theirs), "only one tenant can be for clients that give no password")
			}
			if cmp.Or(t.User, "default") != cmp.Or(other.User, "default") {
				continue
			}
			for at, mine := range parsed[i] {
				for _, their := range parsed[j] {
					if mine.Same(their) {
						l.judge(at, fmt.Sprintf("user and password are those of %s too", theirs), "give each tenant its own")
					}
				}
			}
		}
	}
}

// open tells whether the tenant is for clients that show nothing.
func (t Tenant) open() bool { return len(t.All())+len(t.Listen)+len(t.Cert) == 0 }

// parse reads a tenant's passwords, by the paths of where they are written.
func (l *ledger) parse(path string, p Credentials) map[string]*credential.Credential {
	all := map[string]*credential.Credential{}
	read := func(at string, s Secret) {
		c, err := credential.Parse(s.Reveal())
		if err != nil {
			l.judge(at, err.Error(), "")
			return
		}
		all[at] = c
	}
	if p.Password != "" {
		read(join(path, "password"), p.Password)
	}
	for i, s := range p.Passwords {
		read(index(join(path, "passwords"), i), s)
	}
	for i, s := range p.FromFile {
		read(index(join(path, "password_file"), i), s)
	}
	return all
}
