package proxy

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"unicode/utf8"
)

// KeyForm is how a key is shown in logs: the id in it lets whoever has it be somebody else.
type KeyForm struct {
	Hashed bool   // as an HMAC alone; or else what comes before the id, and an HMAC
	Secret []byte // of the HMAC; equal keys look equal only under one
}

// shownPrefix is how long a word before the first colon may be, in bytes, to be shown: ids are longer.
const shownPrefix = 16

// Form is the key as logs show it, empty for none: "sess:#1f3a9c07b2d4". A short word before the first colon is no id;
// a key without one might be all id.
func (f KeyForm) Form(key []byte) string {
	if key == nil {
		return ""
	}
	sum := hmac.New(sha256.New, f.Secret)
	sum.Write(key)
	text := "#" + hex.EncodeToString(sum.Sum(nil)[:6])
	if f.Hashed {
		return text
	}
	prefix := key[:bytes.IndexByte(key, ':')+1]
	if len(prefix) > shownPrefix || !utf8.Valid(prefix) || bytes.ContainsFunc(prefix, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return text
	}
	return string(prefix) + text
}
