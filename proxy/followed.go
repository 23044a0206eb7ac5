package proxy

import (
	"strconv"

	"github.com/tidwall/redcon"

	"sessiongate/command"
	"sessiongate/policy"
)

// What follows a guarded command is part of the guard's script: a command that is refused or fails changes no expiry. Each step is
// four more ARGV behind the command's: key, milliseconds, condition, and database, empty for the session's; then comes their number.

const (
	followedHead = `local steps = {}
for i = 4 * tonumber(table.remove(ARGV)), 1, -1 do steps[i] = table.remove(ARGV) end
local function run()
`
	followedTail = `
end
local answer = run()
if type(answer) == 'table' and answer.err then return answer end
for i = 1, #steps, 4 do
  if steps[i+3] ~= '' then redis.call('SELECT', steps[i+3]) end
  redis.pcall('PEXPIRE', steps[i], steps[i+1], steps[i+2])
end
return answer`
)

// followed are the guards with steps behind them.
var followed = func() (scripts [len(guards)]string) {
	for kind, script := range guards {
		scripts[kind] = followedHead + script + followedTail
	}
	return scripts
}()

// stepsOf calls f for each EXPIRE that bounds ask for. Those in the session's database come first.
func stepsOf(bounds []policy.Bound, f func(b *policy.Bound, ms int64, flag string)) {
	for _, elsewhere := range [...]bool{false, true} {
		for i := range bounds {
			b := &bounds[i]
			if b.Elsewhere != elsewhere {
				continue
			}
			for _, step := range [...]struct {
				ms   int64
				flag string
			}{{b.Default, "NX"}, {b.Max, "LT"}, {b.Min, "GT"}} {
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

// stepArgs is how many arguments n steps take.
func stepArgs(n int) int {
	if n == 0 {
		return 0
	}
	return 4*n + 1
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
