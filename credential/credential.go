// Package credential knows the forms in which a password may be configured, and tells whether one that a client gives is that:
// in clear, as sha256:<hex>, or as an argon2id hash in the PHC form. It knows neither tenants nor clients.
//
//	c, err := credential.Parse("sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b")
//	ok, sure := c.Matches(credential.NewAttempt([]byte("secret")))
package credential

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strings"
	"sync/atomic"
)

const (
	sumPrefix  = "sha256:"
	slowPrefix = "$argon2"
)

// processKey makes what is remembered of passwords worthless outside of this process.
var processKey = func() (key [32]byte) {
	_, _ = rand.Read(key[:]) // it never fails
	return key
}()

// Credential is one password that is accepted. All of its methods may be called at once.
type Credential struct {
	text string
	sum  [sha256.Size]byte // of the password, where that is cheap
	slow *argon            // nil: it is

	// known is the HMAC of the password that was found to be the right one of a slow hash, so that the next client that gives it
	// costs nothing. A hash has one password, so one is all there is to remember.
	known atomic.Pointer[[sha256.Size]byte]
}

// Parse reads a password as it is configured. The error never holds the text.
func Parse(text string) (*Credential, error) {
	c := &Credential{text: text}
	digits, hashed := strings.CutPrefix(text, sumPrefix)
	switch {
	case strings.HasPrefix(text, slowPrefix):
		slow, err := parseArgon(text)
		if err != nil {
			return nil, err
		}
		c.slow = slow
	case hashed:
		sum, err := hex.DecodeString(digits)
		if err != nil || len(sum) != sha256.Size {
			return nil, errors.New("is no SHA-256: after sha256: there must be 64 hexadecimal digits")
		}
		c.sum = [sha256.Size]byte(sum)
	case text == "":
		return nil, errors.New("is empty")
	default:
		c.sum = sha256.Sum256([]byte(text))
	}
	return c, nil
}

// Same reports whether it is plain to see that both accept the same password: by text, or by SHA-256.
func (c *Credential) Same(d *Credential) bool {
	return c.text == d.text || c.slow == nil && d.slow == nil && c.sum == d.sum
}

// Inherit takes over what an older one of the same text has come to know.
func (c *Credential) Inherit(old *Credential) {
	if c.text == old.text {
		c.known.Store(old.known.Load())
	}
}

// Text is the Credential as it was configured: a secret.
func (c *Credential) Text() string { return c.text }

// Attempt is a password that a client gives.
type Attempt struct {
	password []byte
	sum, mac [sha256.Size]byte
}

// NewAttempt takes a copy of the password.
func NewAttempt(password []byte) *Attempt {
	a := &Attempt{password: bytes.Clone(password), sum: sha256.Sum256(password)}
	mac := hmac.New(sha256.New, processKey[:])
	mac.Write(password)
	mac.Sum(a.mac[:0])
	return a
}

// Matches reports whether the password is the right one, in a time that depends on neither. If it isn't sure, only Try can tell.
func (c *Credential) Matches(a *Attempt) (ok, sure bool) {
	if c.slow == nil {
		return subtle.ConstantTimeCompare(c.sum[:], a.sum[:]) == 1, true
	}
	known := c.known.Load()
	if known == nil {
		return false, false
	}
	return subtle.ConstantTimeCompare(known[:], a.mac[:]) == 1, true
}

// Try is Matches for a password that has to be hashed slowly: it takes some 50 ms of a core and many megabytes, on purpose.
func (c *Credential) Try(a *Attempt) bool {
	if ok, sure := c.Matches(a); sure {
		return ok
	}
	if subtle.ConstantTimeCompare(c.slow.hash, c.slow.of(a.password)) != 1 {
		return false
	}
	mac := a.mac
	c.known.Store(&mac)
	return true
}
