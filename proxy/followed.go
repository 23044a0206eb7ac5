package proxy

import (
	"strconv"

	"github.com/tidwall/redcon"

	"sessiongate/command"
	"sessiongate/policy"
)

// What follows a guarded command is part of the guard's script: a command that is refused or fails changes no expiry. Each step is
// four more ARGV behind the command's: key, milliseconds, condition or nothing, and database, empty for the session's; then comes their
// number. Keys that have a lifetime are settled by the script of lifetime.go, which is within this one.

const (
	// The slow log keeps 128 bytes of a script: what this is the head of must begin within them.
	followedHead = `local steps = {}
for i = 4*tonumber(table.remove(ARGV)),1,-1 do steps[i] = table.remove(ARGV) end
local function run()
`
	followedTail = `
end
local answer = run()
if type(answer) == 'table' and answer.err then return answer end
for i = 1, #steps, 4 do
  if steps[i+3] ~= '' then redis.call('SELECT', steps[i+3]) end
  if steps[i+2] == '' then redis.pcall('PEXPIRE', steps[i], steps[i+1])
  else redis.pcall('PEXPIRE', steps[i], steps[i+1], steps[i+2]) end
end
return answer`
)

// followed are the guards with steps behind them, followedWithin those that keep births besides.
var followed, followedWithin = withSteps(guards), withSteps(withinScripts)

func withSteps(scripts [len(guards)]string) [len(guards)]string {
	for kind, script := range scripts {
		scripts[kind] = followedHead + script + followedTail
	}
	return scripts
}

// stepsOf calls f for each EXPIRE that bounds ask for. Those in the session's database come first.
func stepsOf(bounds []policy.Bound, f func(b *policy.Bound, ms int64, flag string)) {
	for _, elsewhere := range [...]bool{false, true} {
		for i := range bounds {
			b := &bounds[i]
			if b.Elsewhere != elsewhere || b.Before || b.Life != nil {
				continue
			}
			for _, step := range expiresOf(b) {
				if step.ms > 0 {
					f(b, step.ms, step.flag)
				}
			}
		}
	}
}

func countSteps(bounds []policy.Bound) (n int) {
	stepsOf(bounds, func(*policy.Bound, int64, string) { n++ })
	return n
}

// stepWords is how many arguments a step takes.
const stepWords = 4

// stepArgs is how many arguments n steps take.
func stepArgs(n int) int {
	if n == 0 {
		return 0
	}
	return stepWords*n + 1
}

// appendSteps writes those arguments.
func appendSteps(dst []byte, args [][]byte, p *policy.Plan, n int) []byte {
	if n == 0 {
		return dst
	}
	stepsOf(p.Bounds, func(b *policy.Bound, ms int64, flag string) {
		dst = appendName(dst, p.Prefix, args[b.Arg], command.Out)
		dst = appendBulkInt(dst, ms)
		dst = redcon.AppendBulkString(dst, flag)
		db := ""
		if b.Elsewhere {
			db = strconv.Itoa(b.DB)
		}
		dst = redcon.AppendBulkString(dst, db)
	})
	return appendBulkInt(dst, int64(n))
}
