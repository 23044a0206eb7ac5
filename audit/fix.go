package audit

import (
	"cmp"
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// cutByGrains cuts the expiry of a key that has more time left than ARGV[1], by whole grains, ARGV[2]: what tells the key's birth is
// left as it is. It replies with the new expiry, or 0 if it has changed nothing: that was not needed, or would be the key's end.
const cutByGrains = `local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local expiry = redis.call('PEXPIRETIME', KEYS[1])
local over = expiry - now - ARGV[1]
if expiry < 0 or over <= 0 then return 0 end
expiry = expiry - math.ceil(over / ARGV[2]) * ARGV[2]
if expiry <= now then return 0 end
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', expiry))
return expiry`

// fix gives keys what their rules want, as far as was asked for: births, and an expiry. Redis looks again whether that is needed: a key
// that was written or gone in between is left alone, and none is made to live longer.
func (w *walk) fix(ctx context.Context, all []seen) error {
	pipe := w.client.Pipeline()
	after := map[int]func() (int64, error){} // the expiry that a key has been given; 0: none
	expire := func(i int, ms int64, when string) {
		k, then := &all[i], all[i].now+ms
		var cmd *redis.Cmd
		if k.limits.Life.Span > 0 {
			then = k.unborn(then)
			cmd = pipe.Do(ctx, "pexpireat", k.key, then, when)
		} else {
			cmd = pipe.Do(ctx, "pexpire", k.key, ms, when)
		}
		after[i] = func() (int64, error) {
			n, err := cmd.Int64()
			return n * then, err
		}
	}
	for i := range all {
		k := &all[i]
		switch l := &k.limits; {
		case w.Adopt != nil && k.noBirth():
			// It has its birth and its expiry in one step: an expiry alone might be taken for a stamp.
			longest := int64(0)
			if w.Fix {
				longest = l.Max
			}
			after[i] = w.Adopt(ctx, pipe, k.key, l, longest).Int64
		case !w.Fix:
		case k.noExpiry():
			expire(i, l.Initial, "nx")
		case k.pastLifetime() && k.birth+l.Life.Span > k.now:
			after[i] = pipe.Eval(ctx, cutByGrains, []string{k.key}, min(l.Max, k.birth+l.Life.Span-k.now), k.grain).Int64
		case k.aboveMax() && l.Life.Span > 0:
			after[i] = pipe.Eval(ctx, cutByGrains, []string{k.key}, l.Max, cmp.Or(k.grain, l.Life.Grain)).Int64
		case k.aboveMax():
			expire(i, l.Max, "lt")
		}
	}
	if err := run(ctx, pipe); err != nil {
		return err
	}
	for i, expiry := range after {
		var err error
		if all[i].after, err = expiry(); err != nil {
			return fmt.Errorf("set the expiry of a key: %w", err)
		}
	}
	return nil
}
