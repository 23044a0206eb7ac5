package credential

import (
	"strings"
	"testing"
)

const (
	sumOfFoo   = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
	slowOfPass = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$" // the hash is made in the test
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"sesame": "", "sha256:" + strings.Repeat("0", 64): "", Hash([]byte("x")): "", "$2y$10$abc": "", sumOfFoo: "",
		"": "is empty", "sha256:12": "64 hexadecimal digits", "sha256:" + strings.Repeat("x", 64): "64 hexadecimal digits",
		"$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA":  "no argon2id hash",
		"$argon2id$v=16$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA": "no argon2id hash",
		"$argon2id$v=19$m=64,t=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA":     "no argon2id hash",
		"$argon2id$v=19$m=64,t=x,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA": "no argon2id hash",
		"$argon2id$v=19$m=64,t=1,p=1$c29t$AAAAAAAAAAAAAAAAAAAAAA":        "no argon2id hash",
		"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$=":                      "no argon2id hash",
		slowOfPass: "no argon2id hash",
		"$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA":  "m=4194304: it may be from 8 to 262144",
		"$argon2id$v=19$m=64,t=0,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA":       "t=0: it may be from 1 to 16",
		"$argon2id$v=19$m=64,t=1,p=99$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA":      "p=99: it may be from 1 to 16",
		"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA":       "",
		"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$" + strings.Repeat("A", 4000): "no argon2id hash",
	} {
		_, err := Parse(text)
		switch {
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: got %v, want %q", text, err, want)
		case err != nil && text != "" && strings.Contains(err.Error(), text):
			t.Errorf("the error shows %q", text)
		}
	}
}

func TestCredential_Matches(t *testing.T) {
	for _, text := range []string{"foo", sumOfFoo} {
		c := mustParse(t, text)
		for password, want := range map[string]bool{"foo": true, "": false, "Foo": false, "foo ": false, text: text == "foo"} {
			if ok, sure := c.Matches(NewAttempt([]byte(password))); ok != want || !sure {
				t.Errorf("%s, %q: got %v, sure %v; want %v", text, password, ok, sure, want)
			}
		}
	}
}

// A slow hash is calculated until the right password has been found, and never after.
func TestCredential_Try(t *testing.T) {
	text := Hash([]byte("foo"))
	c := mustParse(t, text)
	wrong, right := NewAttempt([]byte("bar")), NewAttempt([]byte("foo"))
	if _, sure := c.Matches(right); sure {
		t.Error("it is sure before anything was hashed")
	}
	if c.Try(wrong) {
		t.Error("the wrong password is accepted")
	}
	if _, sure := c.Matches(right); sure {
		t.Error("a failure is remembered")
	}
	if !c.Try(right) {
		t.Error("the right password is refused")
	}
	d, e := mustParse(t, text), mustParse(t, Hash([]byte("foo")))
	d.Inherit(c)
	e.Inherit(c) // another hash of the same password is another
	if _, sure := e.Matches(right); sure {
		t.Error("another hash has inherited")
	}
	for _, each := range []*Credential{c, d} {
		if ok, sure := each.Matches(right); !ok || !sure {
			t.Errorf("the right password: got %v, sure %v", ok, sure)
		}
		if ok, sure := each.Matches(wrong); ok || !sure {
			t.Errorf("the wrong password: got %v, sure %v", ok, sure)
		}
	}
}

// A hash that another program has made: argon2 of the reference implementation, with the password "password".
func TestCredential_reference(t *testing.T) {
	c := mustParse(t, "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	if !c.Try(NewAttempt([]byte("password"))) || c.Try(NewAttempt([]byte("Password"))) {
		t.Error("the reference hash is not that of its password")
	}
}

func TestCredential_Same(t *testing.T) {
	slow := Hash([]byte("foo"))
	for _, e := range []struct {
		a, b string
		want bool
	}{{"foo", "foo", true}, {"foo", sumOfFoo, true}, {"foo", "bar", false}, {slow, slow, true}, {slow, Hash([]byte("foo")), false}, {slow, "foo", false}} {
		if got := mustParse(t, e.a).Same(mustParse(t, e.b)); got != e.want {
			t.Errorf("%s and %s: got %v, want %v", e.a, e.b, got, e.want)
		}
	}
}

func mustParse(t *testing.T, text string) *Credential {
	t.Helper()
	c, err := Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}
