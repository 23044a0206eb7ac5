package command

// This file holds the table's words for what a command does to expiries and to values. Those for names are in find.go.

// What it does to the expiry of the keys it writes.
var (
	keeps    = Expiry{Effect: Keeps}
	creates  = Expiry{Effect: Creates}
	clears   = Expiry{Effect: Clears}
	carries  = Expiry{Effect: Carries}
	removes  = Expiry{Effect: Removes}
	anything = Expiry{Effect: Anything}
)

// sets: argument arg is the expiry, and must be above zero.
func sets(arg int, unit Unit) Expiry { return Expiry{Effect: Sets, Arg: arg, Unit: unit} }

// moves: argument arg is the expiry, a past one deletes, flags may follow.
func moves(arg int, unit Unit) Expiry { return Expiry{Effect: Moves, Arg: arg, Unit: unit} }

// setOpts: options from argument arg on may set the expiry; without, it is cleared.
func setOpts(arg int) Expiry { return Expiry{Effect: SetOpts, Arg: arg} }

// getOpts: options from argument arg on may change the expiry; without, it stays.
func getOpts(arg int) Expiry { return Expiry{Effect: GetOpts, Arg: arg} }

// becomes: the same can be said as word, the arguments and tail, which takes EX or PX.
func (e Expiry) becomes(word, tail string, reply Reply) Expiry {
	e.Becomes = &Shape{Word: word, Tail: tail, Reply: reply}
	return e
}

// elsewhere: the written key may be in another database.
func (e Expiry) elsewhere(db DBArg) Expiry {
	e.DB = db
	return e
}

// none: no argument is a value.
var none = Values{}

// value: argument arg is stored as it is.
func value(arg int) Values { return Values{Grow: Stored, First: arg} }

// each: every step-th argument from first on is stored as it is.
func each(first, step int) Values { return Values{Grow: Stored, First: first, Step: step} }

// grows: the string gets longer in a way of its own; argument arg is the value, or the first of them.
func grows(how Grow, arg int) Values { return Values{Grow: how, First: arg} }

// plain is a row of a command that names nothing, stores nothing and may go over any connection.
func plain(arity int, flags Flags, cats Cats) row {
	return row{arity: arity, flags: flags, cats: cats}
}

// replies is plain with a reply that needs work.
func (r row) replies(how Reply) row {
	r.reply = how
	return r
}

// local is a row of a command about the client's own connection, which the proxy answers.
func local(arity int, flags Flags, cats Cats) row {
	return row{arity: arity, flags: flags, cats: cats, state: Local}
}

// pinned is plain, but leaves its mark on the connection.
func pinned(arity int, flags Flags, cats Cats) row {
	return row{arity: arity, flags: flags, cats: cats, state: Pinned}
}
