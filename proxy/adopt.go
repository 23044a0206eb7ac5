package proxy

import "sessiongate/policy"

// adoptParts give a birth to a key that has none: now. ARGV is the figures of a policy.Life, the expiry for a key that has none and
// the longest that a key may have, or 0. The reply is the key's expiry then, or 0 where nothing was done: the key is gone, has a
// birth, or ends too soon to tell one without living longer. The proxy's own way with such a key, settle, would round up.
const adoptParts = `
L, G, n, q, d, x = V[1] + 0, V[2] + 0, V[3] + 0, V[4] + 0, V[5] + 0, V[6] + 0
local k = KEYS[1]
local e = C('PEXPIRETIME', k)
if e < -1 or born(e) then return 0 end
local b, w = t - t % q, e
if w < 0 then w = t + d end
if x > 0 and w > t + x then w = t + x end
local u = stamp(w, b)
if u <= t or born(u) ~= b or e >= 0 and u > e then return 0 end
C('PEXPIREAT', k, ('%.0f'):format(u))
return u`

var adoptScript = shortened(bornParts, adoptParts)

// Adopt returns the script that gives a key a birth if it has none, and its arguments behind the key. initial is the expiry in
// milliseconds for a key that has none; what is above longest is cut to it, unless that is 0.
func Adopt(life *policy.Life, initial, longest int64) (script string, args []any) {
	return adoptScript, []any{life.Span, life.Grain, life.Codes, life.Step, initial, longest}
}
