package policy

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"testing"

	"sessiongate/command"
)

// Whatever arguments come, a plan must hold together, and a key must not be left with an expiry that its rule doesn't allow.
// Arguments are separated by newlines.
func FuzzDecide(f *testing.F) {
	for _, line := range []string{
		"SET sess:1 v", "SET sess:1 v EX 99999 NX", "SET sess:1 v KEEPTTL GET", "SET sess:1 v PXAT 9223372036854775807", "SET k v EX 5 EX 99999",
		"SETEX sess:1 99999 v", "PSETEX sess:1 1 v", "SETNX sess:1 v", "GETSET sess:1 v", "GETEX sess:1 PERSIST", "GETEX sess:1 EX 9223372036854775",
		"EXPIRE sess:1 99999 XX LT", "PEXPIREAT sess:1 1700000000001 NX", "PERSIST sess:1", "MSET sess:1 v sess:2 v", "MSETEX 2 sess:1 v k v EX 5",
		"COPY sess:1 sess:2 DB 5 REPLACE", "MOVE sess:1 1", "BITFIELD sess:1 SET u8 #9 1", "SETRANGE sess:1 99 v", "RESTORE sess:1 0 \x00\xc3\x05\x80aaaa",
		"SORT sess:1 BY a* GET # STORE b", "XREAD BLOCK 5 STREAMS sess:1 0", "EVAL x 1 k", "CONFIG GET *", "APPEND sess:1 v", "GETDEL sess:1",
		"XREADGROUP GROUP g c STREAMS k >", "JSON.MSET k $ v k2 $ v",
	} {
		f.Add([]byte(strings.ReplaceAll(line, " ", "\n")), uint8(0))
	}
	policies := fuzzPolicies(f)
	f.Fuzz(func(t *testing.T, text []byte, which uint8) {
		args := bytes.Split(text, []byte("\n"))
		spec := command.Lookup(args)
		if spec == nil || !spec.ArityOK(len(args)) {
			return
		}
		r := &Request{Spec: spec, Args: args, Now: testNow}
		if spec.Names != nil {
			var ok bool
			if r.Names, ok = spec.Names(args, nil); !ok {
				return
			}
		}
		p := policies[int(which)%len(policies)]
		before := bytes.Join(args, []byte("\n"))
		var plan Plan
		p.Decide(r, &plan)
		if !bytes.Equal(bytes.Join(args, []byte("\n")), before) {
			t.Errorf("the client's arguments were changed to %q", args)
		}
		checkPlan(t, r, &plan)
		if plan.Refusal == nil && plan.Guard.Kind == NoGuard {
			checkExpiry(t, p, r, &plan)
		}
	})
}

func fuzzPolicies(t testing.TB) []*Policy {
	rule := func(e ExpiryConfig) *Policy { return mustNew(t, Config{Rules: []RuleConfig{{Expiry: &e}}}) }
	return []*Policy{
		mustNew(t, full(t)),
		rule(ExpiryConfig{Default: duration(t, "30m"), Max: duration(t, "12h")}),
		rule(ExpiryConfig{Max: duration(t, "500ms")}),
		rule(ExpiryConfig{Min: duration(t, "1500ms"), Max: duration(t, "2500ms")}),
		rule(ExpiryConfig{Default: duration(t, "30m")}),
		rule(ExpiryConfig{Default: duration(t, "30m"), Max: duration(t, "12h"), Over: "refuse"}),
		rule(ExpiryConfig{Idle: duration(t, "30m")}),
		rule(ExpiryConfig{Idle: duration(t, "1500ms"), Max: duration(t, "12h"), Over: "refuse", TouchOn: []string{"read"}}),
		rule(ExpiryConfig{Idle: duration(t, "30m"), Jitter: Share{10, true}}),
		rule(ExpiryConfig{Default: duration(t, "30m"), Max: duration(t, "12h"), Jitter: Share{50, true}}),
		rule(ExpiryConfig{Idle: duration(t, "30m"), Lifetime: duration(t, "12h")}),
		mustNew(t, Config{Namespace: "a*:", Rules: []RuleConfig{
			{Keys: []string{"s*"}, Size: &SizeConfig{Key: 7, Value: 5}},
			{Keys: []string{"[j-l]*"}, Expiry: &ExpiryConfig{Max: duration(t, "1m")}},
			{Commands: &AccessConfig{Allow: []string{"@all"}, Deny: []string{"@admin"}}},
		}}),
	}
}

// checkPlan checks what a plan promises whatever the command.
func checkPlan(t *testing.T, r *Request, p *Plan) {
	if p.Refusal != nil {
		reply := p.Refusal.AppendRESP(nil)
		if len(reply) < 4 || reply[0] != '-' || bytes.IndexByte(reply, '\r') != len(reply)-2 || bytes.IndexByte(reply, '\n') != len(reply)-1 {
			t.Errorf("%q is refused by %q, which is not a line", r.Args, reply)
		}
		if p.Args != nil || len(p.Bounds) > 0 || p.Prefix != nil || p.Guard.Kind != NoGuard || p.Limit != 0 {
			t.Errorf("%q is refused and planned: %+v", r.Args, p)
		}
		return
	}
	args, names := r.Args, r.Names
	if p.Args != nil {
		args, names = p.Args, p.Names
		if len(names) != len(r.Names) {
			t.Errorf("%q has %d names after %d", r.Args, len(names), len(r.Names))
		}
	}
	for _, name := range names {
		if name.Arg < 1 || name.Arg >= len(args) || !bytes.Equal(args[name.Arg], r.Args[name.Arg]) {
			t.Errorf("%q: the name at %d is not there in %q", r.Args, name.Arg, args)
		}
	}
	for _, b := range p.Bounds {
		found := false
		for _, name := range names {
			found = found || name.Arg == b.Arg && (name.Kind == command.Out || name.Kind == command.In && b.Idle > 0)
		}
		if !found || b.Default < 0 || b.Max < 0 || b.Min < 0 || b.Default+b.Max+b.Min+b.Idle == 0 || !b.Elsewhere && b.DB != 0 ||
			b.Idle > 0 && b.Default+b.Max+b.Min > 0 {
			t.Errorf("%q is followed by %+v", r.Args, b)
		}
	}
	if (p.Guard.Kind != NoGuard || p.Limit > 0) && p.SizeRule == "" {
		t.Errorf("%q has a limit, but no rule that set it", r.Args)
	}
}

// checkExpiry runs the command, in a model of what Redis does to the expiry of one key, on a key in each possible state.
func checkExpiry(t *testing.T, p *Policy, r *Request, plan *Plan) {
	if len(r.Names) != 1 {
		return
	}
	e := &expiry{}
	if at := p.index.find(r.Args[r.Names[0].Arg], nil); at != noSet {
		for _, rule := range p.sets[at].rules {
			if x, ok := rule.(*expiry); ok {
				e = x
			}
		}
	}
	whole := e.min%1000 == 0 && e.max%1000 == 0 // or else a limit may be met by rounding
	args := r.Args
	if plan.Args != nil {
		args = plan.Args
	}
	for _, before := range []int64{missing, forever, 1000, e.initial, e.max} {
		asked, ok := model(r.Args, before)
		if !ok {
			return // no command of the model
		}
		after := before
		for _, b := range plan.Bounds {
			if b.Before {
				after = b.apply(after)
			}
		}
		after, _ = model(args, after)
		for _, b := range plan.Bounds {
			if !b.Before {
				after = b.apply(after)
			}
		}
		switch {
		case after == forever && e.initial > 0 && before != forever:
			t.Errorf("%q leaves a key without expiry, sent as %q, then %+v", r.Args, args, plan.Bounds)
		case after > e.max && e.max > 0 && before <= e.max:
			t.Errorf("%q leaves an expiry of %d, sent as %q, then %+v", r.Args, after, args, plan.Bounds)
		case (asked == missing) != (after == missing):
			t.Errorf("%q leaves %d, sent as %q: %d, then %+v", r.Args, asked, args, after, plan.Bounds)
		case asked == before && before > 0 && after != before && e.idle.ms == 0 && before >= e.min && (before <= e.max || e.max == 0) && whole:
			t.Errorf("%q should leave an expiry of %d, sent as %q: %d, then %+v", r.Args, before, args, after, plan.Bounds)
		}
	}
}

// The expiry of a key in milliseconds from now is one of these or above zero.
const (
	missing = 0
	forever = -1
)

// apply does to an expiry what the proxy will have Redis do.
func (b Bound) apply(ttl int64) int64 {
	if b.Idle > 0 && ttl != missing {
		ttl = b.Idle
	}
	if b.Default > 0 && ttl == forever {
		ttl = b.Default
	}
	if b.Max > 0 && (ttl == forever || ttl > b.Max) {
		ttl = b.Max
	}
	if b.Min > 0 && ttl > 0 && ttl < b.Min {
		ttl = b.Min
	}
	return ttl
}

// model returns the expiry of a key after a command, as Redis 7.0 has it at the time testNow. An error changes nothing.
func model(args [][]byte, ttl int64) (after int64, known bool) {
	words := make([]string, len(args))
	for i := range args {
		words[i] = string(args[i])
	}
	option := func(s string) string { s, _, _ = strings.Cut(s, "\x00"); return strings.ToUpper(s) }
	switch name := strings.ToUpper(words[0]); name {
	case "SET":
		return modelSet(words[3:], option, ttl), true
	case "GETEX":
		return modelGetEx(words[2:], option, ttl), true
	case "SETEX", "PSETEX":
		if at, ok := modelTime(words[2], map[string]string{"SETEX": "EX", "PSETEX": "PX"}[name]); ok && at > 0 {
			return max(at-testNow, missing), true
		}
		return ttl, true
	case "GET", "HGETALL", "TTL":
		return ttl, true
	case "SETNX":
		if ttl == missing {
			return forever, true
		}
		return ttl, true
	case "GETSET", "MSET":
		return forever, true
	case "APPEND", "INCR", "HSET", "LPUSH", "SADD":
		if ttl == missing {
			return forever, true
		}
		return ttl, true
	case "PERSIST":
		if ttl > 0 {
			return forever, true
		}
		return ttl, true
	case "EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT":
		unit := map[string]string{"EXPIRE": "EX", "PEXPIRE": "PX", "EXPIREAT": "EXAT", "PEXPIREAT": "PXAT"}[name]
		return modelExpire(words[2], unit, words[3:], option, ttl), true
	}
	return 0, false
}

// modelTime returns the Unix time in milliseconds that a number with an option stands for.
func modelTime(text, option string) (at int64, ok bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != text {
		return 0, false
	}
	if option == "EX" || option == "EXAT" {
		if n > math.MaxInt64/1000 || n < math.MinInt64/1000 { // out of range
			return 0, false
		}
		n *= 1000
	}
	if option == "EX" || option == "PX" {
		if n > math.MaxInt64-testNow {
			return 0, false
		}
		return n + testNow, true
	}
	return n, true
}

func modelSet(words []string, option func(string) string, ttl int64) int64 {
	var nx, xx, keep bool
	unit, number := "", ""
	for i := 0; i < len(words); i++ {
		switch word := option(words[i]); word {
		case "NX":
			nx = true
		case "XX":
			xx = true
		case "GET":
		case "KEEPTTL":
			keep = true
			if unit != "" {
				return ttl
			}
		case "EX", "PX", "EXAT", "PXAT":
			if i+1 == len(words) || keep || unit != "" && unit != word {
				return ttl
			}
			unit, number = word, words[i+1]
			i++
		default:
			return ttl
		}
	}
	at, ok := modelTime(number, unit)
	switch {
	case nx && xx, unit != "" && (!ok || at <= 0 || (unit == "EX" || unit == "PX") && at <= testNow):
		return ttl
	case nx && ttl != missing, xx && ttl == missing:
		return ttl
	case unit != "":
		return max(at-testNow, missing)
	case keep && ttl != missing:
		return ttl
	}
	return forever
}

func modelGetEx(words []string, option func(string) string, ttl int64) int64 {
	unit, number, persist := "", "", false
	for i := 0; i < len(words); i++ {
		switch word := option(words[i]); word {
		case "PERSIST":
			persist = true
			if unit != "" {
				return ttl
			}
		case "EX", "PX", "EXAT", "PXAT":
			if i+1 == len(words) || persist || unit != "" && unit != word {
				return ttl
			}
			unit, number = word, words[i+1]
			i++
		default:
			return ttl
		}
	}
	at, ok := modelTime(number, unit)
	switch {
	case ttl == missing, unit != "" && (!ok || at <= 0 || (unit == "EX" || unit == "PX") && at <= testNow):
		return ttl
	case unit != "":
		return max(at-testNow, missing)
	case persist:
		return forever
	}
	return ttl
}

func modelExpire(number, unit string, words []string, option func(string) string, ttl int64) int64 {
	var nx, xx, gt, lt bool
	for _, word := range words {
		switch option(word) {
		case "NX":
			nx = true
		case "XX":
			xx = true
		case "GT":
			gt = true
		case "LT":
			lt = true
		default:
			return ttl
		}
	}
	at, ok := modelTime(number, unit)
	left := at - testNow
	switch {
	case !ok, nx && (xx || gt || lt), gt && lt, ttl == missing:
		return ttl
	case nx && ttl != forever, xx && ttl == forever, gt && (ttl == forever || left <= ttl), lt && ttl != forever && left >= ttl:
		return ttl
	}
	return max(left, missing)
}
