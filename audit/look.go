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

	now, expiry  int64 // Unix milliseconds, by the upstream's clock; below zero: no expiry
	birth, grain int64 // Unix milliseconds, and the grain that tells it; grain 0: there is none, or no lifetime
	after        int64 // the expiry that the key was given; 0: none
}

// name is the key's name as the tenant calls it.
func (k *seen) name(namespace string) []byte { return []byte(k.key[len(namespace):]) }

// look measures keys, judges them, has those put right that can be, and counts.
func (w *walk) look(ctx context.Context, keys []string) error {
	all, err := w.measure(ctx, keys)
	if err != nil {
		return err
	}
	if err := w.lengths(ctx, all); err != nil {
		return err
	}
	if err := w.fix(ctx, all); err != nil {
		return err
	}
	for i := range all {
		w.state.Sums.add(&all[i], w.Namespace)
	}
	return nil
}

// measure asks for all that can be known of the keys without changing how long they have been idle.
func (w *walk) measure(ctx context.Context, keys []string) ([]seen, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	type asked struct {
		key    string
		limits policy.Limits
		ttl    *redis.DurationCmd
		expiry *redis.Cmd // of a key under a lifetime
		kind   *redis.StatusCmd
		idle   *redis.DurationCmd
		bytes  *redis.IntCmd
	}
	var all []asked
	sums := &w.state.Sums
	pipe := w.client.Pipeline()
	clock := pipe.Time(ctx)
	for _, key := range keys {
		if !strings.HasPrefix(key, w.Namespace) {
			continue // what can't be, but would be somebody else's
		}
		a := asked{key: key, limits: w.Policy.Limits([]byte(key[len(w.Namespace):])), ttl: pipe.PTTL(ctx, key), kind: pipe.Type(ctx, key)}
		if a.limits.Life.Span > 0 {
			a.expiry = pipe.Do(ctx, "pexpiretime", key)
		}
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
	now, err := clock.Result()
	if err != nil {
		return nil, fmt.Errorf("the upstream's clock: %w", err)
	}
	var list []seen
	for _, a := range all {
		k := seen{key: a.key, limits: a.limits, idle: -1, bytes: -1, now: now.UnixMilli()}
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
		if a.expiry != nil {
			expiry, err := a.expiry.Int64()
			if err != nil {
				return nil, fmt.Errorf("birth of a key: %w", err)
			}
			if expiry == -2 {
				continue
			}
			k.born(expiry)
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

// prefix is what the key shares with others like it: up to the last colon, or what its rule's pattern gives, if that is more.
func (k *seen) prefix(namespace string) string {
	name := k.name(namespace)
	n := max(bytes.LastIndexByte(name, ':')+1, k.limits.Literal)
	return string(name[:min(n, longestPrefix)])
}

// longestPrefix is where prefixes are cut, so that keys of any length take little memory.
const longestPrefix = 128
