package proxy

import (
	"strconv"

	"github.com/tidwall/redcon"

	"sessiongate/command"
	"sessiongate/policy"
)

// A guard is a check that must hold in the same step as the command, so both run as one script. KEYS are the names of
// the command, ARGV is: the limit, what stands before and after the actual size in the refusal, then the command.
// STRLEN of another type is an error, which is left to the command itself to report.
var guards = [...]string{
	policy.GuardAppend: `local n = redis.pcall('STRLEN', KEYS[1])
if type(n) == 'number' and n + #ARGV[#ARGV] > tonumber(ARGV[1]) then
  return redis.error_reply(ARGV[2] .. (n + #ARGV[#ARGV]) .. ARGV[3])
end
return redis.pcall(unpack(ARGV, 4))`,

	policy.GuardKeys: `for _, key in ipairs(KEYS) do
  local n = redis.pcall('STRLEN', key)
  if type(n) == 'number' and n > tonumber(ARGV[1]) then return redis.error_reply(ARGV[2] .. n .. ARGV[3]) end
end
return redis.pcall(unpack(ARGV, 4))`,

	policy.GuardAfter: `local old = redis.pcall('GET', KEYS[1])
local reply = redis.pcall(unpack(ARGV, 4))
local n = redis.pcall('STRLEN', KEYS[1])
if type(n) == 'number' and n > tonumber(ARGV[1]) then
  if old then redis.call('SET', KEYS[1], old, 'KEEPTTL') else redis.call('DEL', KEYS[1]) end
  return redis.error_reply(ARGV[2] .. n .. ARGV[3])
end
return reply`,

	policy.GuardSource: `local n = redis.pcall('STRLEN', KEYS[1])
if type(n) == 'number' and n > tonumber(ARGV[1]) then return redis.error_reply(ARGV[2] .. n .. ARGV[3]) end
return redis.pcall(unpack(ARGV, 4))`,

	policy.GuardField: `local old = redis.pcall('HGET', KEYS[1], ARGV[6])
local reply = redis.pcall(unpack(ARGV, 4))
local n = redis.pcall('HSTRLEN', KEYS[1], ARGV[6])
if type(n) == 'number' and n > tonumber(ARGV[1]) then
  if old then redis.call('HSET', KEYS[1], ARGV[6], old) else redis.call('HDEL', KEYS[1], ARGV[6]) end
  return redis.error_reply(ARGV[2] .. n .. ARGV[3])
end
return reply`,
}

// appendScripted writes the command inside the script of its guard, of what its keys' births need, or of both; what follows a guard is
// in there too.
func appendScripted(dst []byte, args [][]byte, names []command.Ref, p *policy.Plan) []byte {
	keys, more, follow := 0, 0, 0
	for _, name := range names {
		if name.Kind <= command.Out {
			keys++
		}
	}
	if p.Guard.Kind != policy.NoGuard {
		more, follow = 3, countSteps(p.Bounds)
	}
	if p.Within {
		more += countWithin(p)
	}
	dst = redcon.AppendArray(dst, 3+keys+more+len(args)+stepArgs(follow))
	dst = redcon.AppendBulkString(dst, "EVAL")
	dst = redcon.AppendBulkString(dst, scriptFor(p.Guard.Kind, p.Within, follow > 0))
	dst = appendBulkInt(dst, int64(keys))
	for _, name := range names {
		if name.Kind <= command.Out {
			dst = appendName(dst, p.Prefix, args[name.Arg], name.Kind)
		}
	}
	if p.Guard.Kind != policy.NoGuard {
		dst = appendBulkInt(dst, p.Guard.Limit)
		dst = redcon.AppendBulkString(dst, deniedSize)
		dst = redcon.AppendBulkString(dst, " bytes is above the limit of "+strconv.FormatInt(p.Guard.Limit, 10)+" (rule "+strconv.Quote(p.SizeRule)+")")
	}
	dst = appendArgs(dst, args, 0, names, p.Prefix)
	if p.Within {
		dst = appendWithin(dst, names, p)
	}
	return appendSteps(dst, args, p, follow)
}

// deniedSize is what stands before the actual size in a refusal.
const deniedSize = "DENIED size: value of "

// scriptFor is the script of a guard, with what keeps births around the command, and steps behind it.
func scriptFor(kind policy.GuardKind, within, follow bool) string {
	switch {
	case within && follow:
		return followedWithin[kind]
	case within:
		return withinScripts[kind]
	case follow:
		return followed[kind]
	}
	return guards[kind]
}
