package proxy

import (
	"github.com/tidwall/redcon"

	"sessiongate/command"
	"sessiongate/policy"
)

// This file writes what goes before and behind a command, in the same MULTI, to bound the expiry of its keys.

// hasCompany reports whether commands of ours go before or behind the command.
func hasCompany(p *policy.Plan) bool {
	for i := range p.Bounds {
		if !isInScript(p, &p.Bounds[i]) {
			return true
		}
	}
	return false
}

// isInScript reports whether a Bound is met in one step with the command, by the script in which that travels.
func isInScript(p *policy.Plan, b *policy.Bound) bool {
	return !b.Before && (p.Guard.Kind != policy.NoGuard || p.Within && b.Life != nil)
}

// isSettled reports whether a Bound's key is settled together with others by one script, isBefore and isBehind whether by that before
// or behind the command.
func isSettled(b *policy.Bound) bool { return b.Life != nil && !b.Elsewhere }
func isBefore(b *policy.Bound) bool  { return isSettled(b) && b.Before }
func isBehind(b *policy.Bound) bool  { return isSettled(b) && !b.Before }

// appendBounds writes the commands that go before the command, or behind it, and returns how many that were: first one script for
// the keys that have a lifetime, then the EXPIRE commands for the others.
func appendBounds(dst []byte, r *policy.Request, p *policy.Plan, before bool) ([]byte, int) {
	args, n := r.Args, 0
	if p.Args != nil {
		args = p.Args
	}
	is := isBehind
	if before {
		is = isBefore
	}
	if before || !p.Within {
		var sent bool
		if dst, sent = appendSettle(dst, p.Prefix, args, p.Bounds, is); sent {
			n++
		}
	}
	for i := range p.Bounds {
		b := &p.Bounds[i]
		if b.Before != before || isInScript(p, b) || isSettled(b) {
			continue
		}
		if b.Elsewhere {
			dst = appendSelect(dst, b.DB)
		}
		if b.Life != nil {
			dst, _ = appendSettle(dst, p.Prefix, args, p.Bounds[i:i+1], func(*policy.Bound) bool { return true })
		} else {
			dst = appendExpires(dst, p.Prefix, args[b.Arg], b)
		}
		if b.Elsewhere {
			dst = appendSelect(dst, r.DB)
		}
		n += commandsOf(b)
	}
	return dst, n
}

// commandsOf is how many commands a Bound takes that is not settled together with others.
func commandsOf(b *policy.Bound) (n int) {
	for _, step := range expiresOf(b) {
		if step.ms > 0 {
			n++
		}
	}
	if b.Life != nil {
		n = 1
	}
	if b.Elsewhere {
		n += 2
	}
	return n
}

// expire is one EXPIRE, if it has a time, under a condition or none.
type expire struct {
	ms   int64
	flag string
}

func expiresOf(b *policy.Bound) [4]expire {
	return [...]expire{{b.Default, "NX"}, {b.Max, "LT"}, {b.Min, "GT"}, {b.Idle, ""}}
}

func appendExpires(dst, prefix, key []byte, b *policy.Bound) []byte {
	for _, step := range expiresOf(b) {
		if step.ms > 0 {
			dst = appendExpire(dst, prefix, key, step.ms, step.flag)
		}
	}
	return dst
}

func appendSelect(dst []byte, db int) []byte {
	dst = append(dst, "*2\r\n$6\r\nSELECT\r\n"...)
	return appendBulkInt(dst, int64(db))
}

// appendExpire writes EXPIRE in seconds, or PEXPIRE when ms isn't whole seconds.
func appendExpire(dst, prefix, key []byte, ms int64, flag string) []byte {
	args := 4
	if flag == "" {
		args = 3
	}
	dst = redcon.AppendArray(dst, args)
	if ms%1000 == 0 {
		dst = append(dst, "$6\r\nEXPIRE\r\n"...)
		ms /= 1000
	} else {
		dst = append(dst, "$7\r\nPEXPIRE\r\n"...)
	}
	dst = appendName(dst, prefix, key, command.Out)
	dst = appendBulkInt(dst, ms)
	if flag == "" {
		return dst
	}
	return redcon.AppendBulkString(dst, flag)
}
