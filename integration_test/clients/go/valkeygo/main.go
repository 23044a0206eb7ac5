// Command valkeygo is github.com/valkey-io/valkey-go; with -cache it tracks what it reads, and keeps it in its client-side cache.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/valkey-io/valkey-go"

	"sessiongate-clients/checks"
	"sessiongate-clients/tap"
)

var (
	ctx    = context.Background()
	caches = slices.Contains(os.Args, "-cache")
)

func main() {
	lib := checks.Library{Module: "github.com/valkey-io/valkey-go", Connect: connect, RESP3: true}
	if caches {
		lib.Track = track
	}
	checks.Run(lib)
}

type client struct{ valkey.Client }

func connect(o checks.Options) (checks.Client, error) {
	options, err := valkey.ParseURL(tap.URL)
	if err != nil {
		return nil, err
	}
	options.SelectDB, options.ClientName = o.DB, o.Name
	options.AlwaysRESP2 = o.RESP2
	options.DisableCache = o.RESP2 || !caches
	c, err := valkey.NewClient(options)
	return client{c}, err
}

// orNil turns the library's Nil into no value.
func orNil(value []byte, err error) ([]byte, error) {
	if valkey.IsValkeyNil(err) {
		return nil, nil
	}
	return value, err
}

func (c client) Set(key string, value []byte, expiry time.Duration) error {
	set := c.B().Set().Key(key).Value(valkey.BinaryString(value))
	if expiry > 0 {
		return c.Client.Do(ctx, set.Ex(expiry).Build()).Error()
	}
	return c.Client.Do(ctx, set.Build()).Error()
}

func (c client) Get(key string) ([]byte, error) {
	return orNil(c.Client.Do(ctx, c.B().Get().Key(key).Build()).AsBytes())
}

func (c client) GetEx(key string, expiry time.Duration) ([]byte, error) {
	return orNil(c.Client.Do(ctx, c.B().Getex().Key(key).Ex(expiry).Build()).AsBytes())
}

func (c client) Expire(key string, expiry time.Duration) (bool, error) {
	return c.Client.Do(ctx, c.B().Expire().Key(key).Seconds(int64(expiry.Seconds())).Build()).AsBool()
}

func (c client) TTL(key string) (int64, error) {
	return c.Client.Do(ctx, c.B().Ttl().Key(key).Build()).AsInt64()
}

func (c client) Persist(key string) error {
	return c.Client.Do(ctx, c.B().Persist().Key(key).Build()).Error()
}

func (c client) HSet(key string, fields map[string]string) error {
	set := c.B().Hset().Key(key).FieldValue()
	for field, value := range fields {
		set = set.FieldValue(field, value)
	}
	return c.Client.Do(ctx, set.Build()).Error()
}

func (c client) HGetAll(key string) (map[string]string, error) {
	return c.Client.Do(ctx, c.B().Hgetall().Key(key).Build()).AsStrMap()
}

func (c client) HDel(key, field string) (int64, error) {
	return c.Client.Do(ctx, c.B().Hdel().Key(key).Field(field).Build()).AsInt64()
}

func (c client) Incr(key string) (int64, error) {
	return c.Client.Do(ctx, c.B().Incr().Key(key).Build()).AsInt64()
}

func (c client) IncrBy(key string, n int64) (int64, error) {
	return c.Client.Do(ctx, c.B().Incrby().Key(key).Increment(n).Build()).AsInt64()
}

func (c client) MSet(values map[string]string) error {
	set := c.B().Mset().KeyValue()
	for key, value := range values {
		set = set.KeyValue(key, value)
	}
	return c.Client.Do(ctx, set.Build()).Error()
}

func (c client) MGet(keys ...string) ([][]byte, error) {
	values, err := c.Client.Do(ctx, c.B().Mget().Key(keys...).Build()).ToArray()
	got := make([][]byte, len(values))
	for i, value := range values {
		var err2 error
		got[i], err2 = orNil(value.AsBytes())
		err = errors.Join(err, err2)
	}
	return got, err
}

func (c client) Del(keys ...string) (int64, error) {
	return c.Client.Do(ctx, c.B().Del().Key(keys...).Build()).AsInt64()
}

func (c client) RPush(key string, values ...string) (int64, error) {
	return c.Client.Do(ctx, c.B().Rpush().Key(key).Element(values...).Build()).AsInt64()
}

func (c client) LRange(key string) ([]string, error) {
	return c.Client.Do(ctx, c.B().Lrange().Key(key).Start(0).Stop(-1).Build()).AsStrSlice()
}

func (c client) SAdd(key string, members ...string) (int64, error) {
	return c.Client.Do(ctx, c.B().Sadd().Key(key).Member(members...).Build()).AsInt64()
}

func (c client) SMembers(key string) ([]string, error) {
	return c.Client.Do(ctx, c.B().Smembers().Key(key).Build()).AsStrSlice()
}

func (c client) Pipeline(key string, n int) ([]int64, error) {
	commands := make(valkey.Commands, n)
	for i := range commands {
		commands[i] = c.B().Incr().Key(key).Build()
	}
	replies := make([]int64, n)
	for i, reply := range c.DoMulti(ctx, commands...) {
		var err error
		if replies[i], err = reply.AsInt64(); err != nil {
			return nil, err
		}
	}
	return replies, nil
}

func (c client) Transaction(a, b string) (replies []int64, err error) {
	err = c.Dedicated(func(d valkey.DedicatedClient) error {
		results := d.DoMulti(ctx, d.B().Multi().Build(), d.B().Incr().Key(a).Build(), d.B().Incr().Key(b).Build(), d.B().Exec().Build())
		var err error
		replies, err = results[len(results)-1].AsIntSlice()
		return err
	})
	return replies, err
}

func (c client) Watch(key string, meanwhile func() error) (done bool, err error) {
	err = c.Dedicated(func(d valkey.DedicatedClient) error {
		if err := d.Do(ctx, d.B().Watch().Key(key).Build()).Error(); err != nil {
			return err
		}
		value, err := d.Do(ctx, d.B().Get().Key(key).Build()).ToString()
		if err != nil {
			return err
		}
		if err := meanwhile(); err != nil {
			return err
		}
		results := d.DoMulti(ctx, d.B().Multi().Build(), d.B().Set().Key(key).Value(value+"!").Build(), d.B().Exec().Build())
		err = results[len(results)-1].Error()
		if valkey.IsValkeyNil(err) {
			return nil
		}
		done = err == nil
		return err
	})
	return done, err
}

func (c client) Script(lua, key, argument string) (string, error) {
	return valkey.NewLuaScript(lua).Exec(ctx, c.Client, []string{key}, []string{argument}).ToString()
}

func (c client) Scan(pattern string) (keys []string, err error) {
	for cursor := uint64(0); ; {
		page, err := c.Client.Do(ctx, c.B().Scan().Cursor(cursor).Match(pattern).Build()).AsScanEntry()
		if err != nil {
			return nil, err
		}
		keys, cursor = append(keys, page.Elements...), page.Cursor
		if cursor == 0 {
			return keys, nil
		}
	}
}

func (c client) Publish(channel, message string) (int64, error) {
	return c.Client.Do(ctx, c.B().Publish().Channel(channel).Message(message).Build()).AsInt64()
}

func (c client) Subscribe(channel string) (<-chan string, func(), error) {
	d, stop := c.Dedicate()
	messages, subscribed := make(chan string, 10), make(chan struct{}, 1)
	ended := d.SetPubSubHooks(valkey.PubSubHooks{
		OnMessage: func(m valkey.PubSubMessage) { messages <- m.Message },
		OnSubscription: func(s valkey.PubSubSubscription) {
			if s.Kind == "subscribe" {
				subscribed <- struct{}{}
			}
		},
	})
	if err := d.Do(ctx, d.B().Subscribe().Channel(channel).Build()).Error(); err != nil {
		return nil, nil, err
	}
	select {
	case <-subscribed:
		return messages, stop, nil
	case err := <-ended:
		return nil, nil, err
	}
}

func (c client) BLPop(key string) ([]byte, error) {
	popped, err := c.Client.Do(ctx, c.B().Blpop().Key(key).Timeout(1).Build()).AsStrSlice()
	if valkey.IsValkeyNil(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []byte(popped[1]), nil
}

func (c client) ServerError(err error) (string, bool) {
	if reply, ok := valkey.IsValkeyErr(err); ok {
		return reply.Error(), true
	}
	return "", false
}

func (c client) Do(args ...string) (string, error) {
	reply, err := c.Client.Do(ctx, c.B().Arbitrary(args...).Build()).ToAny()
	return fmt.Sprint(reply), err
}
