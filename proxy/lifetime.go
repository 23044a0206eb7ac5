package proxy

import (
	"regexp"
	"strings"

	"github.com/tidwall/redcon"

	"sessiongate/command"
	"sessiongate/policy"
)

// A key's birth is kept in its expiry, the Unix time in milliseconds at which Redis removes it. What that leaves when divided by a
// grain tells it: the remainder is code * checks + check, where code is the birth in steps, modulo the number of codes, and
// check is computed from it, so that few remainders are a stamp. An expiry is rounded down to the next moment with the right
// remainder: by one grain, a twentieth of what was asked for at most, and seldom by two, where a coarser grain would tell another birth. Shorter expiries are stamped with finer grains, each a
// quarter of the one before, which only count as stamps of keys that end soon. Where even the finest is too coarse for that, the
// nearer moment is taken, which may be later than asked by less than a grain, but never beyond the lifetime.
//
// A living key has one birth only that its code can mean, since the codes go once around in a little more than a lifetime. An
// expiry that is no stamp is taken for one once in grain / codes times: for a rule with an idle timeout of 20 minutes or more
// once in 468, and more often when the key is about to end and finer grains count too (within 25 minutes once in 91, within
// 6 minutes once in 22). That key ends early. It can't end later than a lifetime from now, since no birth is later than now.
// A stamp made under another lifetime is mostly none under this one.
//
// Scripts are sent whole, not by their SHA1: one that Redis has forgotten would leave a write without its limit. Time is the
// upstream's own.

// bornParts are what the scripts share. L, G, n and q are the figures of a policy.Life (Span, Grain, Codes, Step), d, x, m and s
// those of a policy.Bound (Default, Max, Min, Idle). born(e) is the birth that an expiry tells, stamp(w, b) the expiry nearest to
// w that tells the birth b, and settle(k, b, e, o) gives the key k with the birth b what its Bound asks for; e is its expiry
// and o the birth that this tells.
const bornParts = `
local C, F, V = redis.call, math.floor, ARGV
local T = C('TIME')
local t = T[1] * 1000 + F(T[2] / 1000)
local L, G, n, q, d, x, m, s
local function born(e)
  if e < 0 then return end
  local g = G
  while g >= 4 * n do
    if g == G or e - t <= 100 * g then
      local k, v = F(g / n), e % g
      local c = F(v / k)
      if c < n and v % k == (7 * c + q) % k then
        local r = F(t / q)
        local a = (r - c) % n
        if a == n - 1 then a = 0 end
        return (r - a) * q
      end
    end
    g = F(g / 4)
  end
end
local function stamp(w, b)
  if w > b + L then w = b + L end
  if w <= t then return w end
  local g = G
  while w - t < 20 * g and F(g / 4) >= 4 * n do g = F(g / 4) end
  local k, c = F(g / n), b / q % n
  local e = w - (w - c * k - (7 * c + q) % k) % g
  local u = e
  while e > t and born(e) ~= b do e = e - g end
  if 2 * e < w + t then
    for i = 1, 8 do
      u = u + g
      if u > t and born(u) == b then break end
    end
    if u <= b + L then e = u end
  end
  return e
end
local function settle(k, b, e, o)
  if e < -1 then return 0 end
  local w = e
  if s > 0 then
    w = t + s
  else
    if w < 0 and d > 0 then w = t + d end
    if x > 0 and (w < 0 or w > t + x) then w = t + x end
    if w >= 0 and w < t + m then w = t + m end
    if w < 0 then w = b + L end
  end
  if w ~= e or o ~= b or w > b + L then C('PEXPIREAT', k, ('%.0f'):format(stamp(w, b))) end
  return 1
end
`

// afterParts settle all KEYS after a command that has left their births. ARGV is eight figures for each. The reply is how many of
// the keys there are.
const afterParts = `
local N = 0
for i = 1, #KEYS do
  local o, k = 8 * i - 7, KEYS[i]
  L, G, n, q, d, x, m, s = V[o] + 0, V[o+1] + 0, V[o+2] + 0, V[o+3] + 0, V[o+4] + 0, V[o+5] + 0, V[o+6] + 0, V[o+7] + 0
  local e = C('PEXPIRETIME', k)
  local b = born(e)
  N = N + settle(k, b or t - t % q, e, b)
end
return N`

// withinParts run a command and settle some of its KEYS, by the births that they had before. ARGV is the command, then for each of
// those keys eight figures, which of the KEYS it is, and 1 if it may have come from elsewhere, with an older birth, or 2 more than the
// number of another database that it has gone to; last how many they are. The reply is the command's.
const withinParts = `
local N = V[#V] + 0
local P, O = {}, #V - N * 10
for i = 1, N * 10 do P[i] = V[O+i-1] + 0 end
for i = O, #V do V[i] = nil end
local E, B = {}, {}
for i = 1, N do
  local o = 10 * i
  L, G, n, q = P[o-9], P[o-8], P[o-7], P[o-6]
  if P[o] < 2 then
    local e = C('PEXPIRETIME', KEYS[P[o-1]])
    E[i], B[i] = e, e > -2 and born(e)
  end
end
local reply = RUN
if type(reply) == 'table' and reply.err then return reply end
for i = 1, N do
  local o = 10 * i
  local k = KEYS[P[o-1]]
  L, G, n, q, d, x, m, s = P[o-9], P[o-8], P[o-7], P[o-6], P[o-5], P[o-4], P[o-3], P[o-2]
  if P[o] > 1 then C('SELECT', P[o] - 2) end
  local e, b = C('PEXPIRETIME', k), B[i]
  local o = e == E[i] and b
  if P[10*i] > 0 then
    o = born(e)
    b = b and o and math.min(b, o) or b or o
  end
  settle(k, b or t - t % q, e, o)
end
return reply`

// spaces are those that Lua does without. A shorter script is a cheaper one: Redis hashes its text each time.
var spaces = regexp.MustCompile(` ?([=+\-*/%<>~,(){}\[\]#]+) ?`)

func shortened(parts ...string) string {
	return spaces.ReplaceAllString(strings.Join(strings.Fields(strings.Join(parts, " ")), " "), "$1")
}

// afterScript goes behind a command, withinScripts around one, with a guard or without.
var (
	afterScript   = shortened(bornParts, afterParts)
	withinScripts = func() (list [len(guards)]string) {
		for kind, guard := range guards {
			run := "redis.pcall(unpack(V))"
			if guard != "" {
				run = "(function() " + guard + " end)()"
			}
			before, after, _ := strings.Cut(withinParts, "RUN")
			list[kind] = shortened(bornParts, before) + run + " " + shortened(after)
		}
		return list
	}()
)

// isWithin reports whether a Bound is met in one step with its command.
func isWithin(p *policy.Plan, b *policy.Bound) bool {
	return p.Within && b.Life != nil && !b.Before
}

// appendFigures writes the eight figures of a Bound.
func appendFigures(dst []byte, b *policy.Bound) []byte {
	for _, n := range b.Figures() {
		dst = appendBulkInt(dst, n)
	}
	return dst
}

// figures is how many a Bound has, birthWords how many arguments appendWithin writes for one.
const figures, birthWords = 8, figures + 2

// appendWithin writes what withinScripts expect behind the command.
func appendWithin(dst []byte, names []command.Ref, p *policy.Plan) []byte {
	n := 0
	for _, elsewhere := range [...]bool{false, true} { // the script doesn't come back from another database
		for i := range p.Bounds {
			b := &p.Bounds[i]
			if b.Elsewhere != elsewhere || !isWithin(p, b) {
				continue
			}
			dst = appendBulkInt(appendFigures(dst, b), int64(keyNumber(names, b.Arg)))
			origin := int64(0)
			switch {
			case elsewhere:
				origin = int64(2 + b.DB)
			case b.Carried:
				origin = 1
			}
			dst = appendBulkInt(dst, origin)
			n++
		}
	}
	return appendBulkInt(dst, int64(n))
}

// countWithin is how many arguments appendWithin writes.
func countWithin(p *policy.Plan) int {
	n := 1
	for i := range p.Bounds {
		if isWithin(p, &p.Bounds[i]) {
			n += birthWords
		}
	}
	return n
}

// keyNumber tells which of the keys among the names, which are in the order of arguments, stands at arg. Lua counts from 1.
func keyNumber(names []command.Ref, arg int) int {
	n := 0
	for _, name := range names {
		if name.Kind <= command.Out {
			if n++; name.Arg == arg {
				break
			}
		}
	}
	return n
}

// appendSettle writes the script that settles the keys of those Bounds for which it is there.
func appendSettle(dst, prefix []byte, args [][]byte, bounds []policy.Bound, is func(b *policy.Bound) bool) (text []byte, sent bool) {
	keys := 0
	for i := range bounds {
		if is(&bounds[i]) {
			keys++
		}
	}
	if keys == 0 {
		return dst, false
	}
	dst = redcon.AppendArray(dst, 3+keys+figures*keys)
	dst = redcon.AppendBulkString(dst, "EVAL")
	dst = redcon.AppendBulkString(dst, afterScript)
	dst = appendBulkInt(dst, int64(keys))
	for i := range bounds {
		if b := &bounds[i]; is(b) {
			dst = appendName(dst, prefix, args[b.Arg], command.Out)
		}
	}
	for i := range bounds {
		if b := &bounds[i]; is(b) {
			dst = appendFigures(dst, b)
		}
	}
	return dst, true
}
