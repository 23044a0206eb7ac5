package policy

import (
	"fmt"
	"math"
	"strconv"

	"sessiongate/command"
)

// ExpiryConfig says how long a rule's keys live. An empty section leaves them as they are, which exempts them from what
// later rules say.
type ExpiryConfig struct {
	Default Duration `yaml:"default"` // for a key that a write leaves without expiry; left out: Max
	Min     Duration `yaml:"min"`     // shorter expiries are raised to this; deletions stay what they are
	Max     Duration `yaml:"max"`     // longer expiries, and none at all, are cut to this
	Jitter  Share    `yaml:"jitter"`  // of Default and of Idle, which it shortens, for each key otherwise
	Over    string   `yaml:"over"`    // what a longer expiry gets: "cut", the default, or "refuse"

	Idle        Duration `yaml:"idle"`         // each access puts the expiry back to this, which none is above
	IdleRefresh Share    `yaml:"idle_refresh"` // of Idle, during which further reads need not put it back; left out: 10%
	TouchOn     []string `yaml:"touch_on"`     // what is an access: "read", "write"; left out: both
	Lifetime    Duration `yaml:"lifetime"`     // from the first write on, whatever else is done; no expiry is beyond that
}

// empty reports whether the section sets nothing.
func (c *ExpiryConfig) empty() bool {
	return c.Default|c.Min|c.Max|c.Idle|c.Lifetime == 0 && c.Over == "" && c.IdleRefresh == Share{} && c.Jitter == Share{} && len(c.TouchOn) == 0
}

func (c *ExpiryConfig) check(report func(Problem)) {
	below := map[string]Duration{"default": c.Default, "min": c.Min, "max": c.Max, "idle": c.Idle, "lifetime": c.Lifetime}
	for _, name := range []string{"default", "min", "max", "idle", "lifetime"} {
		d := below[name]
		switch {
		case d < 0:
			report(Problem{Path: name, Value: d.String(), Text: d.String() + " is below zero", Hint: "write a duration above zero, as 30m"})
		case d > 0 && d.Milliseconds() == 0:
			report(Problem{Path: name, Value: d.String(), Text: d.String() + " is finer than a millisecond", Hint: "write a longer duration, as 30m"})
		}
	}
	more := func(path string, a Duration, than string, b Duration, hint string) {
		if a > 0 && b > 0 && a > b {
			report(Problem{Path: path, Value: below[path].String(), Text: fmt.Sprintf("%s is %s", below[path], than), Hint: hint})
		}
	}
	more("min", c.Min, "above max, "+c.Max.String(), c.Max, "lower min or raise max")
	more("default", c.Default, "above max, "+c.Max.String(), c.Max, "lower default or raise max")
	more("default", c.Min, "below min, "+c.Min.String(), c.Default, "raise default or lower min")
	c.checkIdle(report, more)
	c.checkLifetime(report, more)
	c.checkJitter(report)
	switch {
	case c.Over != "" && c.Over != "cut" && c.Over != "refuse":
		report(Problem{Path: "over", Value: c.Over, Text: fmt.Sprintf("%q is not known", c.Over), Hint: "write cut or refuse"})
	case c.Over != "" && c.Max == 0:
		report(Problem{Path: "over", Value: c.Over, Text: "is of no use without max", Hint: "add max, or remove over"})
	}
}

// expiry holds the expiry of keys between limits. All figures are milliseconds; 0 means there is no such limit.
type expiry struct {
	name     string
	initial  int64 // for a key that would have no expiry, but for jitter; 0: it may have none
	min, max int64
	persist  int64 // for a client that wants a key to have no expiry, but for jitter unless it is max; 0: it may
	refuse   int64 // what is above this is refused, instead of being cut to max; 0: nothing is
	jitter   jitter
	idle     idle
	life     *Life // nil: there is no absolute lifetime
}

var _ Rule = (*expiry)(nil)

func (c *ExpiryConfig) rule(name string) Rule {
	if c.empty() {
		return nil
	}
	e := &expiry{name: name, min: c.Min.Milliseconds(), max: c.longest().Milliseconds(), jitter: c.jitter(), idle: c.sliding(), life: c.life()}
	if c.Over == "refuse" {
		e.refuse = c.Max.Milliseconds()
	}
	e.initial, e.persist = c.Default.Milliseconds(), e.max
	if e.initial == 0 {
		e.initial = e.max
	}
	if e.persist == 0 {
		e.persist = e.initial
	}
	return e
}

// Apply has the key r.Names[i], if the command writes it, left with an expiry that the rule allows: by the command's own
// arguments where they can say it, or else by a Bound. Whatever it can't read for certain gets a Bound too.
func (e *expiry) Apply(r *Request, i int, p *Plan) {
	if i == noKey {
		return
	}
	bounds := len(p.Bounds)
	if r.Names[i].Kind == command.Out {
		e.write(r, r.Names[i].Arg, p)
	}
	if e.idle.ms > 0 {
		e.access(r, i, p, bounds)
	}
	if e.life != nil {
		e.keepLife(r, i, p, bounds)
	}
}

func (e *expiry) write(r *Request, arg int, p *Plan) {
	switch r.Spec.Expiry.Effect {
	case command.Keeps:
	case command.Creates, command.Clears:
		e.written(r, arg, p)
	case command.Carries:
		e.carried(r, arg, p)
	case command.SetOpts:
		e.setOptions(r, arg, p)
	case command.GetOpts:
		e.getOptions(r, arg, p)
	case command.Sets:
		e.setsTime(r, arg, p)
	case command.Moves:
		e.movesTime(r, arg, p)
	case command.Removes:
		e.removed(r, arg, p)
	default:
		e.bound(r, arg, p)
	}
}

// bound has the key given the initial expiry if it has none, and its expiry cut to the maximum.
func (e *expiry) bound(r *Request, arg int, p *Plan) { e.follow(arg, p, e.whole(r.Args[arg])) }

// whole is the Bound that brings a key in any state between the limits.
func (e *expiry) whole(key []byte) Bound {
	b := e.anyKey()
	b.Default = e.jitter.of(b.Default, key)
	return b
}

// anyKey is the Bound for a key whose name is not known, its Default yet without jitter. To the maximum a key without expiry counts as one
// above it, so where both are the same the maximum does it alone.
func (e *expiry) anyKey() Bound {
	b := Bound{Default: e.initial, Max: e.max}
	if b.Default == b.Max && e.jitter == 0 {
		b.Default = 0
	}
	return b
}

// follow adds a Bound for the key at arg, if there is anything in it and the command is to be sent.
func (e *expiry) follow(arg int, p *Plan, b Bound) {
	if b.Default|b.Max|b.Min != 0 && p.Refusal == nil {
		b.Arg = arg
		p.Bounds = append(p.Bounds, b)
	}
}

// written is for commands that can't say an expiry. Some have a twin that can.
func (e *expiry) written(r *Request, arg int, p *Plan) {
	x := &r.Spec.Expiry
	switch {
	case e.initial == 0:
	case x.Becomes != nil && len(r.Args) == r.Spec.Arity:
		p.reshape(r, x.Becomes)
		p.addTime(e.first(r.Args[arg]))
	case x.Effect == command.Clears:
		b := e.whole(r.Args[arg])
		if b.Default > 0 {
			b.Max = 0 // the key has no expiry left that could be above it
		}
		e.follow(arg, p, b)
	default:
		e.bound(r, arg, p)
	}
}

// carried is for a key that takes its expiry from elsewhere, and may be in another database.
func (e *expiry) carried(r *Request, arg int, p *Plan) {
	db, here := r.DB, true
	switch r.Spec.Expiry.DB {
	case command.DBAtTwo:
		db, here = database(r.Args, 2, r.DB), false
	case command.DBOption:
		db, here = optionalDB(r.Args, r.DB)
	}
	if here {
		e.bound(r, arg, p)
	}
	if db != r.DB && r.DB < 0 {
		p.refuse(&Refusal{Rule: e.name, Kind: "expiry", Text: fmt.Sprintf(
			"DENIED expiry: '%s' to another database can't be followed there after SELECT in the same transaction (rule %s)",
			r.Spec.RedisName(), strconv.Quote(e.name))})
	} else if db != r.DB {
		b := e.whole(r.Args[arg])
		b.DB, b.Elsewhere = db, true
		e.follow(arg, p, b)
	}
}

// setOptions is for SET and what has its options.
func (e *expiry) setOptions(r *Request, arg int, p *Plan) {
	switch o := &p.opts; {
	case o.doubt || o.keepTTL || len(r.Names) > 1:
		e.bound(r, arg, p)
	case o.expires():
		nx := o.nx
		b := e.option(r, arg, p)
		if nx {
			b.Min = 0 // what is there already must not be prolonged
		}
		e.follow(arg, p, b)
	case e.initial > 0:
		p.take(r)
		p.addTime(e.first(r.Args[arg]))
	}
}

// getOptions is for GETEX, which leaves the key as it is without options.
func (e *expiry) getOptions(r *Request, arg int, p *Plan) {
	switch o := &p.opts; {
	case !o.any || o.persist && e.persist == 0:
	case o.doubt:
		e.bound(r, arg, p)
	case o.persist:
		p.take(r)
		p.Args = p.Args[:o.word]
		p.addTime(e.persisted(r.Args[arg]))
	default:
		e.follow(arg, p, e.option(r, arg, p))
	}
}

// option is for a time after a word of SET's or GETEX's. A time by the clock that is below the minimum is said anew, from now: a Bound
// would prolong what is there when the command leaves it alone.
func (e *expiry) option(r *Request, arg int, p *Plan) Bound {
	o := p.opts
	b, _ := e.time(r, arg, p, o.word+1, o.unit)
	byClock := o.unit == command.UnixSecs || o.unit == command.UnixMilli
	if b.Min == 0 || !byClock || r.Now == 0 {
		return b
	}
	b.Min = 0
	at, _ := parseInt(r.Args[o.word+1])
	if o.unit == command.UnixSecs {
		at *= 1000
	}
	if at-r.Now < e.min {
		p.take(r)
		p.Args = append(p.Args[:o.word], r.Args[o.word+2:]...)
		p.addTime(e.min)
		return Bound{}
	}
	return b
}

// setsTime is for SETEX.
func (e *expiry) setsTime(r *Request, arg int, p *Plan) {
	if x := &r.Spec.Expiry; x.Arg < len(r.Args) {
		b, _ := e.time(r, arg, p, x.Arg, x.Unit)
		e.follow(arg, p, b)
	}
}

// movesTime is for EXPIRE. Under its conditions it may leave the key as it was, even without expiry.
func (e *expiry) movesTime(r *Request, arg int, p *Plan) {
	x := &r.Spec.Expiry
	if x.Arg >= len(r.Args) {
		return
	}
	conditions := r.Args[x.Arg+1:]
	lowers, sure := readConditions(conditions)
	if !sure {
		e.bound(r, arg, p)
		return
	}
	b, valid := e.time(r, arg, p, x.Arg, x.Unit)
	if valid && len(conditions) > 0 {
		b.Default, b.Max = e.whole(r.Args[arg]).Default, e.max
	}
	if lowers {
		b.Min = 0
	}
	e.follow(arg, p, b)
}

// readConditions reads the conditions of EXPIRE. Under NX and LT a key's expiry can't get longer, so the minimum must not
// make it so. It is not sure of words and combinations that Redis 7 refuses.
func readConditions(args [][]byte) (lowers, sure bool) {
	var nx, xx, gt, lt bool
	for _, arg := range args {
		switch {
		case command.IsWord(arg, "NX"):
			nx = true
		case command.IsWord(arg, "XX"):
			xx = true
		case command.IsWord(arg, "GT"):
			gt = true
		case command.IsWord(arg, "LT"):
			lt = true
		default:
			return false, false
		}
	}
	return nx || lt, !(nx && (xx || gt || lt)) && !(gt && lt)
}

// removed is for PERSIST.
func (e *expiry) removed(r *Request, arg int, p *Plan) {
	persist := e.persisted(r.Args[arg])
	switch x := &r.Spec.Expiry; {
	case persist == 0:
	case x.Becomes != nil && persist%1000 == 0 && len(r.Args) == r.Spec.Arity:
		p.reshape(r, x.Becomes)
		p.addNumber(persist / 1000)
	case e.max > 0:
		e.follow(arg, p, Bound{Max: e.max})
	default:
		e.follow(arg, p, Bound{Default: persist})
	}
}

// clockSlack is how far, in milliseconds, the upstream's clock may be from where Request.Now puts it.
const clockSlack = 1000

// time brings the time in argument at, for the key in argument arg, between the limits, or refuses it, and returns what is left for a Bound to do. What
// Redis refuses in any version is left alone, as is a time that deletes the key; then it is not valid.
func (e *expiry) time(r *Request, arg int, p *Plan, at int, unit command.Unit) (b Bound, valid bool) {
	n, ok := parseInt(r.Args[at])
	factor := int64(1)
	if unit == command.Seconds || unit == command.UnixSecs {
		factor = 1000
	}
	fromNow := unit == command.Seconds || unit == command.Millis
	switch {
	case !ok && mayBeInt(r.Args[at]):
		return e.whole(r.Args[arg]), true
	case !ok || n <= 0 || n > math.MaxInt64/factor:
		return Bound{}, false
	case fromNow && n*factor > math.MaxInt64-r.Now-clockSlack: // too long for Redis, as far as its clock can be told
		return e.whole(r.Args[arg]), true
	case fromNow:
		return e.span(r, p, at, n, factor), true
	}
	if left := n*factor - r.Now; e.refuse > 0 && r.Now > 0 && left > e.refuse+clockSlack {
		p.refuse(e.over((left+factor-1)/factor, factor))
		return Bound{}, false
	} else if left > 0 {
		b.Min = e.min
	}
	b.Max = e.max
	return b, true
}

// span brings n times factor milliseconds, in argument at, between the limits. A limit that is not a whole number of units
// is met by rounding to its inner side; where there is nothing on that side, a Bound goes the rest of the way.
func (e *expiry) span(r *Request, p *Plan, at int, n, factor int64) (b Bound) {
	fit := n
	switch {
	case e.refuse > 0 && n*factor > e.refuse:
		p.refuse(e.over(n, factor))
		return b
	case e.max > 0 && n*factor > e.max:
		fit = max(e.max/factor, 1) // zero would be an error, or a deletion
	case n*factor < e.min:
		fit = (e.min + factor - 1) / factor
	}
	if fit != n {
		p.take(r)
		p.Args[at] = p.number(fit)
	}
	if e.max > 0 && fit*factor > e.max {
		b.Max = e.max
	}
	if fit*factor < e.min {
		b.Min = e.min
	}
	return b
}

// over refuses n times factor milliseconds.
func (e *expiry) over(n, factor int64) *Refusal {
	limit, unit := e.refuse/1000, "s"
	if factor == 1 || e.refuse%1000 != 0 {
		n, limit, unit = n*factor, e.refuse, "ms"
	}
	return &Refusal{Rule: e.name, Kind: "expiry", Limit: limit, Got: n,
		Text: fmt.Sprintf("DENIED expiry: %d %s is above the maximum of %d %s (rule %s)", n, unit, limit, unit, strconv.Quote(e.name))}
}

// database reads the number of a database from args[at]; what no server takes for one comes back as the session's own.
func database(args [][]byte, at, own int) int {
	if at >= len(args) {
		return own
	}
	n, err := strconv.Atoi(string(args[at]))
	if err != nil || n < 0 || n > math.MaxInt32 {
		return own
	}
	return n
}

// optionalDB reads the options of COPY for the last DB. The key is written here if there is none, and perhaps if there are
// words that some server may know.
func optionalDB(args [][]byte, own int) (db int, here bool) {
	db, here = own, true
	for i := 3; i < len(args); i++ {
		switch {
		case command.IsWord(args[i], "REPLACE"):
		case command.IsWord(args[i], "DB") && i+1 < len(args):
			i++
			db = database(args, i, own)
			here = db == own
		default:
			for ; i+1 < len(args); i++ {
				if command.IsWord(args[i], "DB") {
					db = database(args, i+1, own)
				}
			}
			return db, true
		}
	}
	return db, here
}
