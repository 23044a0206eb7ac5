package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"sessiongate/policy"
)

// seen is one key as it is upstream.
type seen struct {
	key    string // with the namespace
	ttl    int64  // milliseconds; below zero: none
	kind   string // "string", "hash", ...; empty: not told
	bytes  int64  // in Redis's memory; below zero: not told
	idle   int64  // seconds; below zero: not told
	length int64  // of a string that may be too long; 0: it is not
	limits policy.Limits
}

// name is the key's name as the tenant calls it.
func (k *seen) name(namespace string) []byte { return []byte(k.key[len(namespace):]) }

// look measures keys, judges them, has those put right that can be, and counts.
func (w *walk) look(ctx context.Context, keys []string) error {
	all, err := w.measure(ctx, keys)
	if err != nil {
		return err
	}
	for i := range all {
		all[i].limits = w.Policy.Limits(all[i].name(w.Namespace))
	}
	if err := w.lengths(ctx, all); err != nil {
		return err
	}
	fixes := make([]*redis.Cmd, len(all))
	if w.Fix {
		if err := w.fix(ctx, all, fixes); err != nil {
			return err
		}
	}
	for i := range all {
		w.state.Sums.add(&all[i], w.Namespace, fixed(fixes[i]))
	}
	return nil
}

// measure asks for all that can be known of the keys without changing how long they have been idle.
func (w *walk) measure(ctx context.Context, keys []string) ([]seen, error) {
	type asked struct {
		ttl         *redis.DurationCmd
		kind        *redis.StatusCmd
		idle        *redis.DurationCmd
		bytes       *redis.IntCmd
		keyToAnswer string
	}
	var all []asked
	sums := &w.state.Sums
	pipe := w.client.Pipeline()
	for _, key := range keys {
		if !strings.HasPrefix(key, w.Namespace) {
			continue // what can't be, but would be somebody else's
		}
		a := asked{ttl: pipe.PTTL(ctx, key), kind: pipe.Type(ctx, key), keyToAnswer: key}
		if !sums.untold("idle") {
			a.idle = pipe.ObjectIdleTime(ctx, key)
		}
		if !sums.untold("size") {
			a.bytes = pipe.MemoryUsage(ctx, key)
		}
		all = append(all, a)
	}
	if err := run(ctx, pipe); err != nil {
		return nil, err
	}
	var list []seen
	for _, a := range all {
		k := seen{key: a.keyToAnswer, idle: -1, bytes: -1}
		ttl, err := a.ttl.Result()
		switch {
		case err != nil:
			return nil, fmt.Errorf("expiry of a key: %w", err)
		case ttl == -2:
			continue // it is gone
		case ttl < 0:
			k.ttl = -1
		default:
			k.ttl = ttl.Milliseconds()
		}
		k.kind = a.kind.Val()
		if a.idle != nil && sums.told("idle", a.idle.Err()) {
			k.idle = int64(a.idle.Val() / time.Second)
		}
		if a.bytes != nil && sums.told("size", a.bytes.Err()) {
			k.bytes = a.bytes.Val()
		}
		list = append(list, k)
	}
	return list, nil
}

// lengths asks how long strings are that take more memory than their rule lets them have bytes. The others can't be too
// long, and asking would make them look used.
func (w *walk) lengths(ctx context.Context, all []seen) error {
	pipe := w.client.Pipeline()
	asked := map[int]*redis.IntCmd{}
	for i := range all {
		if k := &all[i]; k.limits.Value > 0 && k.kind == "string" && (k.bytes < 0 || k.bytes > k.limits.Value) {
			asked[i] = pipe.StrLen(ctx, k.key)
		}
	}
	if err := run(ctx, pipe); err != nil {
		return err
	}
	for i, cmd := range asked {
		if n := cmd.Val(); n > all[i].limits.Value {
			all[i].length = n
		}
	}
	return nil
}

// cutByGrains cuts the expiry of a key that is above a maximum, ARGV[1], by whole grains, ARGV[2]: what tells the key's birth is left as
// it is. It replies whether that was needed.
const cutByGrains = `local t = redis.call('TIME')
local expiry = redis.call('PEXPIRETIME', KEYS[1])
local over = expiry - t[1] * 1000 - math.floor(t[2] / 1000) - ARGV[1]
if expiry < 0 or over <= 0 then return 0 end
return redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', expiry - math.ceil(over / ARGV[2]) * ARGV[2]))`

// fix gives keys without expiry the one that their rule begins with, and cuts those above the maximum. Redis looks again
// whether that is needed: a key that was written or gone in between is left alone, and none is made to live longer.
func (w *walk) fix(ctx context.Context, all []seen, cmds []*redis.Cmd) error {
	pipe := w.client.Pipeline()
	for i := range all {
		k := &all[i]
		switch l := &k.limits; {
		case k.noExpiry():
			cmds[i] = pipe.Do(ctx, "pexpire", k.key, l.Initial, "nx")
		case k.aboveMax() && l.Grain > 0:
			cmds[i] = pipe.Eval(ctx, cutByGrains, []string{k.key}, l.Max, l.Grain)
		case k.aboveMax():
			cmds[i] = pipe.Do(ctx, "pexpire", k.key, l.Max, "lt")
		}
	}
	if err := run(ctx, pipe); err != nil {
		return err
	}
	for _, cmd := range cmds {
		if cmd != nil && cmd.Err() != nil {
			return fmt.Errorf("set the expiry of a key: %w", cmd.Err())
		}
	}
	return nil
}

// fixed reports whether an expiry was set.
func fixed(cmd *redis.Cmd) bool {
	if cmd == nil {
		return false
	}
	n, err := cmd.Int()
	return err == nil && n == 1
}

// run sends what is in the pipeline. Errors that Redis answers are the commands' own.
func run(ctx context.Context, pipe redis.Pipeliner) error {
	if pipe.Len() == 0 {
		return nil
	}
	var answered redis.Error
	if _, err := pipe.Exec(ctx); err != nil && !errors.As(err, &answered) {
		return fmt.Errorf("look at keys: %w", err)
	}
	return nil
}

func (k *seen) noExpiry() bool { return k.ttl < 0 && k.limits.Initial > 0 }
func (k *seen) aboveMax() bool { return k.limits.Max > 0 && k.ttl > k.limits.Max }

// prefix is what the key shares with others like it: up to the last colon, or what its rule's pattern gives, if that is more.
func (k *seen) prefix(namespace string) string {
	name := k.name(namespace)
	n := max(bytes.LastIndexByte(name, ':')+1, k.limits.Literal)
	return string(name[:min(n, longestPrefix)])
}

// longestPrefix is where prefixes are cut, so that keys of any length take little memory.
const longestPrefix = 128
