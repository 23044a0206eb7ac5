package proxy

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sessiongate/policy"
)

// lives are some that rules have: 30m of 12h, 60s of 12h, 5s of 10s, a second, 10m of a year.
var lives = []policy.Life{
	{Span: 43200_000, Grain: 60_000, Codes: 128, Step: 342_858}, {Span: 43200_000, Grain: 3000, Codes: 128, Step: 342_858},
	{Span: 10_000, Grain: 250, Codes: 62, Step: 167}, {Span: 1000, Grain: 50, Codes: 12, Step: 100},
	{Span: 31536000_000, Grain: 30_000, Codes: 128, Step: 250_285_715},
}

func plainClient(t *testing.T) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Network: "unix", Addr: startPlainRedis(t), MaxRetries: -1})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// births is a script that says, for each pair of an expiry and a moment, which birth the expiry tells then, or -1. With ARGV[5]
// above 0 it makes the expiry a stamp of that age first, and says it before the birth.
var births = shortened(bornParts, `
L, G, n, q = V[1] + 0, V[2] + 0, V[3] + 0, V[4] + 0
local list = {}
for i = 6, #V, 3 do
  t = V[i+1] + 0
  local e = V[i] + 0
  if V[5] + 0 > 0 then e = stamp(e, F((t - V[i+2]) / q) * q) end
  list[#list+1] = e
  list[#list+1] = born(e) or -1
end
return list`)

// Go and Lua see the same births, in stamps of every age and in expiries that are none.
func TestBorn_SameInGoAndLua(t *testing.T) {
	c := plainClient(t)
	chance := rand.New(rand.NewPCG(1, 2))
	for _, l := range lives {
		for _, stamps := range []int{0, 1} {
			args := []any{l.Span, l.Grain, l.Codes, l.Step, stamps}
			var moments []int64
			for range 2000 {
				now := 1_700_000_000_000 + chance.Int64N(1<<40)
				ahead := chance.Int64N(chance.Int64N(30*l.Grain) + 1)
				if chance.IntN(20) == 0 {
					ahead = -now - 1 // no expiry
				}
				moments = append(moments, now)
				args = append(args, now+ahead, now, chance.Int64N(l.Span))
			}
			list, err := c.Eval(t.Context(), births, nil, args...).Int64Slice()
			if err != nil || len(list) != 2*len(moments) {
				t.Fatalf("%d replies: %v", len(list), err)
			}
			told := 0
			for i, now := range moments {
				expiry, want := list[2*i], list[2*i+1]
				birth, grain := l.Born(expiry, now)
				if grain == 0 {
					birth = -1
				} else {
					told++
				}
				if birth != want {
					t.Fatalf("%+v: an expiry of %d tells at %d the birth %d, in Lua %d", l, expiry, now, birth, want)
				}
			}
			if told == 0 || stamps == 1 && told < len(moments)/2 {
				t.Errorf("%+v: %d births in %d expiries", l, told, len(moments))
			}
			t.Logf("%+v, stamped %d: %d births in %d expiries", l, stamps, told, len(moments))
		}
	}
}

// Adopting gives a birth to keys that have none, which live no longer then and not much shorter; others are left as they are.
func TestAdopt(t *testing.T) {
	c, ctx := plainClient(t), t.Context()
	chance := rand.New(rand.NewPCG(3, 4))
	l := lives[0]
	const initial, hour = 1800_000, int64(time.Hour / time.Millisecond)
	adopt := func(key string, longest int64) int64 {
		t.Helper()
		script, args := Adopt(&l, initial, longest)
		n, err := c.Eval(ctx, script, []string{key}, args...).Int64()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	clock := func() int64 {
		t.Helper()
		now, err := c.Time(ctx).Result()
		if err != nil {
			t.Fatal(err)
		}
		return now.UnixMilli()
	}
	expiry := func(key string) int64 {
		t.Helper()
		n, err := c.Do(ctx, "PEXPIRETIME", key).Int64()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	adopted := 0
	for i := range 2000 {
		key, before := fmt.Sprint(i), clock()
		was := int64(-1)
		args := []any{"SET", key, "v"}
		if i%10 > 0 {
			was = before + 30_000 + chance.Int64N(24*hour)
			args = append(args, "PXAT", was)
		}
		longest := int64(i%2) * hour
		if err := c.Do(ctx, args...).Err(); err != nil {
			t.Fatal(err)
		}
		_, had := l.Born(was, before)
		reply, is := adopt(key, longest), expiry(key)
		after := clock()
		birth, grain := l.Born(is, after)
		switch {
		case had > 0:
			if reply != 0 || is != was {
				t.Fatalf("a key with a birth, expiry %d, was changed to %d, reply %d", was, is, reply)
			}
			continue
		case reply != is || grain == 0 || birth < before-l.Step || birth > after:
			t.Fatalf("between %d and %d a key with the expiry %d was given %d, which tells the birth %d; the reply is %d", before, after, was, is, birth, reply)
		}
		adopted++
		wanted := was
		if was < 0 {
			wanted = before + initial
		}
		if longest > 0 {
			wanted = min(wanted, before+longest)
		}
		wanted = min(wanted, birth+l.Span)
		slack := after - before
		if is > wanted+slack || wanted-is > (wanted-before)/10+slack || is > birth+l.Span || was >= 0 && is > was {
			t.Fatalf("an expiry of %d became %d, want a little below %d", was, is, wanted)
		}
		if again := adopt(key, longest); again != 0 || expiry(key) != is {
			t.Fatalf("adopted again, a key changes from %d to %d", is, again)
		}
	}
	if adopted < 1900 {
		t.Errorf("%d of 2000 keys were adopted", adopted)
	}
	if got := adopt("none", 0); got != 0 {
		t.Errorf("a key that is not there was given %d", got)
	}
	// What ends before it could tell a birth is left to end.
	left := 0
	for range 100 {
		was := clock() + 200 + chance.Int64N(1000)
		if err := c.Do(ctx, "SET", "short", "v", "PXAT", was).Err(); err != nil {
			t.Fatal(err)
		}
		got := adopt("short", 0)
		if got > was {
			t.Errorf("a key that ends at %d was given %d", was, got)
		}
		if got == 0 {
			left++
		}
	}
	if left == 0 {
		t.Error("no key was left alone")
	}
}
