package policy

import (
	"slices"
	"strconv"
	"sync"
	"testing"
)

func TestRecent(t *testing.T) {
	var x Recent
	const idle, window = 1800_000, 180_000
	a, b := recentKey(1, 0, []byte("a"), idle), recentKey(1, 0, []byte("b"), idle)
	if x.within(a, 0, window) || x.within(a, 1000, window) {
		t.Error("an empty Recent knows a key")
	}
	x.Note(a, 1000)
	for _, c := range []struct {
		key  uint64
		tick int64
		want bool
	}{
		{a, 1000, true}, {a, 1000 + window - 1, true}, {a, 1000 + window, false}, {a, 990, true}, {b, 1000, false},
		{recentKey(2, 0, []byte("a"), idle), 1000, false}, // another namespace
		{recentKey(1, 1, []byte("a"), idle), 1000, false}, // another database
		{recentKey(1, 0, []byte("a"), idle+1), 1000, false},
	} {
		if got := x.within(c.key, c.tick, window); got != c.want {
			t.Errorf("key %x at %d: %v, want %v", c.key, c.tick, got, c.want)
		}
	}
	// Of a command that was sent before the key was forgotten nobody knows whether it came after what changed the expiry.
	x.Forget(a, 2000)
	x.Note(a, 1999)
	x.Note(a, 2000)
	if x.within(a, 2001, window) {
		t.Error("a key is known although it was forgotten later")
	}
	x.Note(a, 2001)
	if !x.within(a, 2001, window) {
		t.Error("a key is not known although it was noted after it was forgotten")
	}
	// A place that another key has taken meanwhile may have had something to forget.
	other := a ^ 1<<40
	x.Note(other, 3000)
	x.Note(a, 2500)
	if x.within(a, 3000, window) || !x.within(other, 3000, window) {
		t.Error("an older entry has taken the place of a newer one")
	}
	// Ticks wrap around, and what is from long before keeps nobody out.
	x.Note(a, 1<<32+200_000)
	if !x.within(a, 1<<32+200_010, window) {
		t.Error("a key is not known after 49 days")
	}
	x.Note(a, 1<<32-200_000+1<<32)
	x.Note(a, 1<<32+5+1<<32)
	if !x.within(a, 1<<32+5+1<<32, window) {
		t.Error("a key is not known where ticks wrap around")
	}
}

// Many use it at once, and none sees what another has forgotten before it was noted.
func TestRecent_Concurrent(t *testing.T) {
	var x Recent
	var wg sync.WaitGroup
	for who := range 4 {
		wg.Go(func() {
			for i := range int64(5000) {
				key := recentKey(0, 0, strconv.AppendInt(nil, int64(who), 10), 1)
				x.Note(key, 2*i+1)
				x.Forget(key, 2*i+2)
				if x.within(key, 2*i+2, 1000) {
					t.Errorf("key %d is known at %d", who, i)
					return
				}
				x.within(recentKey(0, 0, []byte("x"), 1), i, 1000)
			}
		})
	}
	wg.Wait()
}

// A read whose key is known to have been put back goes as it is, and allocates nothing; what creates, or says an expiry, does not.
func TestIdle_Recent(t *testing.T) {
	p := mustNew(t, Config{Namespace: "app:", Rules: []RuleConfig{{Expiry: &ExpiryConfig{Idle: duration(t, "30m")}}}})
	recent := &Recent{}
	decide := func(line string, tick int64) (*Request, *Plan) {
		r, plan := request(t, words(line)), &Plan{}
		r.Recent, r.Tick = recent, tick
		p.Decide(r, plan)
		return r, plan
	}
	land := func(plan *Plan, tick int64) {
		for _, m := range plan.Marks {
			if m.Back {
				recent.Note(m.Key, tick)
			} else {
				recent.Forget(m.Key, tick)
			}
		}
	}
	for _, line := range []string{"GET s", "HGETALL s", "HDEL s f", "GETEX s", "STRLEN s", "MGET s s"} {
		recent.Forget(recentKey(p.salt, 0, []byte("s"), 1800_000), 1)
		_, plan := decide(line, 100)
		if plan.Args == nil && len(plan.Bounds) == 0 || len(plan.Marks) == 0 {
			t.Errorf("%s puts back nothing", line)
		}
		land(plan, 100)
		r, plan := decide(line, 100+179_999)
		if plan.Args != nil || len(plan.Bounds) > 0 || len(plan.Marks) > 0 {
			t.Errorf("%s puts the expiry back within a tenth of idle: %q %+v", line, plan.Args, plan.Bounds)
		}
		if n := testing.AllocsPerRun(100, func() { p.Decide(r, plan) }); n > 0 {
			t.Errorf("%s: %v allocations", line, n)
		}
		if _, plan = decide(line, 100+180_000); plan.Args == nil && len(plan.Bounds) == 0 {
			t.Errorf("%s puts back nothing after a tenth of idle", line)
		}
	}
	for _, line := range []string{"HSET s f v", "APPEND s v", "SET s v KEEPTTL"} {
		if _, plan := decide(line, 101); len(plan.Bounds) != 1 || plan.Bounds[0].Idle != 1800_000 {
			t.Errorf("%s, which may create a key, is followed by %+v", line, plan.Bounds)
		}
	}
	for line, back := range map[string]bool{
		"SET s v": true, "SET s v EX 1800": true, "SET s v EX 99999 NX": true, "SETEX s 1800 v": true, "SETNX s v": true, "SET s v PX 1800000": true,
		"SET s v EX 60": false, "SET s v GET": false, "SET s v PXAT 1800000000000": false, "EXPIRE s 1800": false, "PERSIST s": false, "GETEX s EX 60": false,
		"RENAME x s": false, "COPY x s": false, "MSET s v": false, "EVAL x 1 s": false, "GETSET s v": false, "RESTORE s 0 x": false, "SUNIONSTORE s x": false,
	} {
		_, plan := decide(line, 200)
		i := slices.IndexFunc(plan.Marks, func(m Mark) bool { return m.Key == recentKey(p.salt, 0, []byte("s"), 1800_000) })
		if i < 0 || plan.Marks[i].Back != back {
			t.Errorf("%s tells Recent %+v, want a key that is put back: %v", line, plan.Marks, back)
		}
	}
}

// What a key is told of that comes to be in another database is told of that one.
func TestIdle_RecentElsewhere(t *testing.T) {
	p := mustNew(t, Config{Rules: []RuleConfig{{Expiry: &ExpiryConfig{Idle: duration(t, "30m")}}}})
	for _, line := range []string{"COPY x s DB 3", "MOVE s 3"} {
		r, plan := request(t, words(line)), Plan{}
		r.Recent = &Recent{}
		p.Decide(r, &plan)
		if !slices.Contains(plan.Marks, Mark{Key: recentKey(p.salt, 3, []byte("s"), 1800_000)}) {
			t.Errorf("%s tells Recent %+v, and nothing of s in database 3", line, plan.Marks)
		}
	}
}

func TestIdle_Sessions(t *testing.T) {
	p := mustNew(t, Config{Rules: []RuleConfig{{Expiry: &ExpiryConfig{Idle: duration(t, "30m")}}}})
	var plan Plan
	r := request(t, words("GET s"))
	r.Watching = true
	if p.Decide(r, &plan); plan.Args != nil || len(plan.Bounds) > 0 {
		t.Errorf("a client that watches changes what it reads: %q %+v", plan.Args, plan.Bounds)
	}
	r = request(t, words("GET s"))
	r.Tracking = true
	if p.Decide(r, &plan); plan.Args != nil || len(plan.Bounds) != 1 || !plan.Bounds[0].Before {
		t.Errorf("of a client that tracks a read is sent as %q, with %+v", plan.Args, plan.Bounds)
	}
}

func TestShare(t *testing.T) {
	for text, want := range map[string]string{"10%": "10%", "0": "0%", "0%": "0%", "50%": "50%"} {
		var s Share
		if err := s.UnmarshalText([]byte(text)); err != nil || s.String() != want {
			t.Errorf("%s: %q, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "10", "51%", "-1%", "1.5%", "x%", "%", "99999%", "10 %"} {
		var s Share
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as %q", text, s)
		}
	}
}
