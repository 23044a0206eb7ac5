// Command goredis9 is github.com/redis/go-redis/v9.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"sessiongate-clients/checks"
	"sessiongate-clients/tap"
)

var ctx = context.Background()

func main() {
	checks.Run(checks.Library{Module: "github.com/redis/go-redis/v9", Connect: connect, RESP3: true})
}

type client struct{ *redis.Client }

func connect(o checks.Options) (checks.Client, error) {
	options, err := redis.ParseURL(tap.URL)
	if err != nil {
		return nil, err
	}
	options.DB, options.ClientName = o.DB, o.Name
	if o.RESP2 {
		options.Protocol = 2
	}
	c := client{redis.NewClient(options)}
	return c, c.Client.Ping(ctx).Err()
}

func (c client) Close() { c.Client.Close() }

// orNil turns the library's Nil into no value.
func orNil(value []byte, err error) ([]byte, error) {
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return value, err
}

func (c client) Set(key string, value []byte, expiry time.Duration) error {
	return c.Client.Set(ctx, key, value, expiry).Err()
}

func (c client) Get(key string) ([]byte, error) { return orNil(c.Client.Get(ctx, key).Bytes()) }

func (c client) GetEx(key string, expiry time.Duration) ([]byte, error) {
	return orNil(c.Client.GetEx(ctx, key, expiry).Bytes())
}

func (c client) Expire(key string, expiry time.Duration) (bool, error) {
	return c.Client.Expire(ctx, key, expiry).Result()
}

func (c client) TTL(key string) (int64, error) {
	ttl, err := c.Client.TTL(ctx, key).Result()
	if ttl < 0 {
		return int64(ttl), err // -1 and -2 are no times
	}
	return int64(ttl / time.Second), err
}

func (c client) Persist(key string) error { return c.Client.Persist(ctx, key).Err() }

func (c client) HSet(key string, fields map[string]string) error {
	return c.Client.HSet(ctx, key, fields).Err()
}

func (c client) HGetAll(key string) (map[string]string, error) {
	return c.Client.HGetAll(ctx, key).Result()
}

func (c client) HDel(key, field string) (int64, error) {
	return c.Client.HDel(ctx, key, field).Result()
}

func (c client) Incr(key string) (int64, error) { return c.Client.Incr(ctx, key).Result() }

func (c client) IncrBy(key string, n int64) (int64, error) {
	return c.Client.IncrBy(ctx, key, n).Result()
}

func (c client) MSet(values map[string]string) error { return c.Client.MSet(ctx, values).Err() }

func (c client) MGet(keys ...string) ([][]byte, error) {
	values, err := c.Client.MGet(ctx, keys...).Result()
	got := make([][]byte, len(values))
	for i, value := range values {
		if text, ok := value.(string); ok {
			got[i] = []byte(text)
		}
	}
	return got, err
}

func (c client) Del(keys ...string) (int64, error) { return c.Client.Del(ctx, keys...).Result() }

func anys(values []string) []any {
	list := make([]any, len(values))
	for i, value := range values {
		list[i] = value
	}
	return list
}

func (c client) RPush(key string, values ...string) (int64, error) {
	return c.Client.RPush(ctx, key, anys(values)...).Result()
}

func (c client) LRange(key string) ([]string, error) {
	return c.Client.LRange(ctx, key, 0, -1).Result()
}

func (c client) SAdd(key string, members ...string) (int64, error) {
	return c.Client.SAdd(ctx, key, anys(members)...).Result()
}

func (c client) SMembers(key string) ([]string, error) { return c.Client.SMembers(ctx, key).Result() }

func (c client) Pipeline(key string, n int) ([]int64, error) {
	return numbers(c.Client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for range n {
			p.Incr(ctx, key)
		}
		return nil
	}))
}

func (c client) Transaction(a, b string) ([]int64, error) {
	return numbers(c.Client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Incr(ctx, a)
		p.Incr(ctx, b)
		return nil
	}))
}

func numbers(replies []redis.Cmder, err error) ([]int64, error) {
	var all []int64
	for _, reply := range replies {
		all = append(all, reply.(*redis.IntCmd).Val())
	}
	return all, err
}

func (c client) Watch(key string, meanwhile func() error) (bool, error) {
	err := c.Client.Watch(ctx, func(tx *redis.Tx) error {
		value, err := tx.Get(ctx, key).Result()
		if err != nil {
			return err
		}
		if err := meanwhile(); err != nil {
			return err
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Set(ctx, key, value+"!", 0)
			return nil
		})
		return err
	}, key)
	if errors.Is(err, redis.TxFailedErr) {
		return false, nil
	}
	return err == nil, err
}

func (c client) Script(lua, key, argument string) (string, error) {
	return redis.NewScript(lua).Run(ctx, c.Client, []string{key}, argument).Text()
}

func (c client) Scan(pattern string) (keys []string, err error) {
	scan := c.Client.Scan(ctx, 0, pattern, 0).Iterator()
	for scan.Next(ctx) {
		keys = append(keys, scan.Val())
	}
	return keys, scan.Err()
}

func (c client) Publish(channel, message string) (int64, error) {
	return c.Client.Publish(ctx, channel, message).Result()
}

func (c client) Subscribe(channel string) (<-chan string, func(), error) {
	s := c.Client.Subscribe(ctx, channel)
	if _, err := s.Receive(ctx); err != nil {
		return nil, nil, err
	}
	messages := make(chan string, 10)
	go func() {
		for message := range s.Channel() {
			messages <- message.Payload
		}
	}()
	return messages, func() { s.Close() }, nil
}

func (c client) BLPop(key string) ([]byte, error) {
	popped, err := c.Client.BLPop(ctx, time.Second, key).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []byte(popped[1]), nil
}

func (c client) ServerError(err error) (string, bool) {
	if reply, ok := err.(redis.Error); ok {
		return reply.Error(), true
	}
	return "", false
}

func (c client) Do(args ...string) (string, error) {
	reply, err := c.Client.Do(ctx, anys(args)...).Result()
	return fmt.Sprint(reply), err
}
