package credential

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// What Hash asks of a machine: the least that OWASP's Password Storage Cheat Sheet names for argon2id. A proxy is not
// the place for more: whoever connects first waits for it.
const (
	hashMemory  = 19 << 10 // KiB
	hashTime    = 2
	hashThreads = 1
	hashSalt    = 16 // bytes
	hashLength  = 32 // bytes
)

// What a configured hash may ask of a machine.
const (
	maxMemory  = 256 << 10 // KiB
	maxTime    = 16
	maxThreads = 16
	maxBytes   = 64 // of the salt, and of the hash
)

// argon is an argon2id hash with what it was made with.
type argon struct {
	memory, time uint32 // KiB, passes
	threads      uint8
	salt, hash   []byte
}

var errForm = errors.New("is no argon2id hash: want $argon2id$v=19$m=...,t=...,p=...$salt$hash, as `sessiongate hash` prints it")

// parseArgon reads the PHC form, $argon2id$v=19$m=19456,t=2,p=1$salt$hash, with salt and hash in base64 without padding.
func parseArgon(text string) (*argon, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != "v=19" {
		return nil, errForm
	}
	a := &argon{}
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return nil, errForm
	}
	for i, cost := range []struct {
		name     string
		min, max uint64
		set      func(uint64)
	}{
		{"m", 8, maxMemory, func(n uint64) { a.memory = uint32(n) }},
		{"t", 1, maxTime, func(n uint64) { a.time = uint32(n) }},
		{"p", 1, maxThreads, func(n uint64) { a.threads = uint8(n) }},
	} {
		digits, ok := strings.CutPrefix(costs[i], cost.name+"=")
		n, err := strconv.ParseUint(digits, 10, 32)
		switch {
		case !ok || err != nil:
			return nil, errForm
		case n < cost.min || n > cost.max:
			return nil, fmt.Errorf("asks argon2id for %s=%d: it may be from %d to %d", cost.name, n, cost.min, cost.max)
		}
		cost.set(n)
	}
	var errSalt, errHash error
	a.salt, errSalt = base64.RawStdEncoding.DecodeString(parts[4])
	a.hash, errHash = base64.RawStdEncoding.DecodeString(parts[5])
	if errSalt != nil || errHash != nil || len(a.salt) < 8 || len(a.hash) < 16 || len(a.salt) > maxBytes || len(a.hash) > maxBytes {
		return nil, errForm
	}
	return a, nil
}

// of hashes a password in the same way.
func (a *argon) of(password []byte) []byte {
	return argon2.IDKey(password, a.salt, a.time, a.memory, a.threads, uint32(len(a.hash)))
}

// Hash returns an argon2id hash of the password under a random salt, in the form that Parse reads.
func Hash(password []byte) string {
	a := argon{memory: hashMemory, time: hashTime, threads: hashThreads, salt: make([]byte, hashSalt), hash: make([]byte, hashLength)}
	_, _ = rand.Read(a.salt) // it never fails
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, a.memory, a.time, a.threads, encode(a.salt), encode(a.of(password)))
}
