// Command redigo is github.com/gomodule/redigo.
package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/gomodule/redigo/redis"

	"sessiongate-clients/checks"
	"sessiongate-clients/tap"
)

func main() {
	// A pool without TestOnBorrow hands a closed connection out once.
	checks.Run(checks.Library{Module: "github.com/gomodule/redigo", Connect: connect, MayLose: 1})
}

type client struct{ pool *redis.Pool }

func connect(o checks.Options) (checks.Client, error) {
	c := client{&redis.Pool{MaxIdle: 5, Dial: func() (redis.Conn, error) {
		return redis.DialURL(tap.URL, redis.DialDatabase(o.DB), redis.DialClientName(o.Name))
	}}}
	_, err := c.do("PING")
	return c, err
}

func (c client) Close() { c.pool.Close() }

// do sends one command through a connection of the pool.
func (c client) do(name string, args ...any) (any, error) {
	conn := c.pool.Get()
	defer conn.Close()
	return conn.Do(name, args...)
}

// orNil turns the library's ErrNil into no value.
func orNil(value []byte, err error) ([]byte, error) {
	if errors.Is(err, redis.ErrNil) {
		return nil, nil
	}
	return value, err
}

func (c client) Set(key string, value []byte, expiry time.Duration) error {
	args := redis.Args{key, value}
	if expiry > 0 {
		args = args.Add("PX", expiry.Milliseconds())
	}
	_, err := c.do("SET", args...)
	return err
}

func (c client) Get(key string) ([]byte, error) { return orNil(redis.Bytes(c.do("GET", key))) }

func (c client) GetEx(key string, expiry time.Duration) ([]byte, error) {
	return orNil(redis.Bytes(c.do("GETEX", key, "PX", expiry.Milliseconds())))
}

func (c client) Expire(key string, expiry time.Duration) (bool, error) {
	return redis.Bool(c.do("EXPIRE", key, int(expiry.Seconds())))
}

func (c client) TTL(key string) (int64, error) { return redis.Int64(c.do("TTL", key)) }

func (c client) Persist(key string) error {
	_, err := c.do("PERSIST", key)
	return err
}

func (c client) HSet(key string, fields map[string]string) error {
	_, err := c.do("HSET", redis.Args{key}.AddFlat(fields)...)
	return err
}

func (c client) HGetAll(key string) (map[string]string, error) {
	return redis.StringMap(c.do("HGETALL", key))
}

func (c client) HDel(key, field string) (int64, error) {
	return redis.Int64(c.do("HDEL", key, field))
}

func (c client) Incr(key string) (int64, error) { return redis.Int64(c.do("INCR", key)) }

func (c client) IncrBy(key string, n int64) (int64, error) {
	return redis.Int64(c.do("INCRBY", key, n))
}

func (c client) MSet(values map[string]string) error {
	_, err := c.do("MSET", redis.Args{}.AddFlat(values)...)
	return err
}

func (c client) MGet(keys ...string) ([][]byte, error) {
	return redis.ByteSlices(c.do("MGET", redis.Args{}.AddFlat(keys)...))
}

func (c client) Del(keys ...string) (int64, error) {
	return redis.Int64(c.do("DEL", redis.Args{}.AddFlat(keys)...))
}

func (c client) RPush(key string, values ...string) (int64, error) {
	return redis.Int64(c.do("RPUSH", redis.Args{key}.AddFlat(values)...))
}

func (c client) LRange(key string) ([]string, error) {
	return redis.Strings(c.do("LRANGE", key, 0, -1))
}

func (c client) SAdd(key string, members ...string) (int64, error) {
	return redis.Int64(c.do("SADD", redis.Args{key}.AddFlat(members)...))
}

func (c client) SMembers(key string) ([]string, error) { return redis.Strings(c.do("SMEMBERS", key)) }

func (c client) Pipeline(key string, n int) ([]int64, error) {
	conn := c.pool.Get()
	defer conn.Close()
	for range n {
		if err := conn.Send("INCR", key); err != nil {
			return nil, err
		}
	}
	if err := conn.Flush(); err != nil {
		return nil, err
	}
	replies := make([]int64, n)
	for i := range replies {
		var err error
		if replies[i], err = redis.Int64(conn.Receive()); err != nil {
			return nil, err
		}
	}
	return replies, nil
}

func (c client) Transaction(a, b string) ([]int64, error) {
	conn := c.pool.Get()
	defer conn.Close()
	conn.Send("MULTI")
	conn.Send("INCR", a)
	conn.Send("INCR", b)
	return redis.Int64s(conn.Do("EXEC"))
}

func (c client) Watch(key string, meanwhile func() error) (bool, error) {
	conn := c.pool.Get()
	defer conn.Close()
	if _, err := conn.Do("WATCH", key); err != nil {
		return false, err
	}
	value, err := redis.String(conn.Do("GET", key))
	if err != nil {
		return false, err
	}
	if err := meanwhile(); err != nil {
		return false, err
	}
	conn.Send("MULTI")
	conn.Send("SET", key, value+"!")
	reply, err := conn.Do("EXEC")
	return reply != nil, err
}

func (c client) Script(lua, key, argument string) (string, error) {
	conn := c.pool.Get()
	defer conn.Close()
	return redis.String(redis.NewScript(1, lua).Do(conn, key, argument))
}

func (c client) Scan(pattern string) (keys []string, err error) {
	for cursor := "0"; ; {
		reply, err := redis.Values(c.do("SCAN", cursor, "MATCH", pattern))
		if err != nil {
			return nil, err
		}
		var page []string
		if _, err := redis.Scan(reply, &cursor, &page); err != nil {
			return nil, err
		}
		if keys = append(keys, page...); cursor == "0" {
			return keys, nil
		}
	}
}

func (c client) Publish(channel, message string) (int64, error) {
	return redis.Int64(c.do("PUBLISH", channel, message))
}

func (c client) Subscribe(channel string) (<-chan string, func(), error) {
	s := redis.PubSubConn{Conn: c.pool.Get()}
	if err := s.Subscribe(channel); err != nil {
		return nil, nil, err
	}
	if err, failed := s.Receive().(error); failed {
		return nil, nil, err
	}
	messages := make(chan string, 10)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			switch got := s.Receive().(type) {
			case redis.Message:
				messages <- string(got.Data)
			case redis.Subscription:
				if got.Count == 0 {
					return
				}
			case error:
				return
			}
		}
	}()
	return messages, func() {
		s.Unsubscribe()
		<-ended
		s.Close()
	}, nil
}

func (c client) BLPop(key string) ([]byte, error) {
	popped, err := redis.ByteSlices(c.do("BLPOP", key, 1))
	if errors.Is(err, redis.ErrNil) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return popped[1], nil
}

func (c client) ServerError(err error) (string, bool) {
	var reply redis.Error
	return fmt.Sprint(err), errors.As(err, &reply)
}

func (c client) Do(args ...string) (string, error) {
	reply, err := c.do(args[0], redis.Args{}.AddFlat(args[1:])...)
	if text, ok := reply.([]byte); ok {
		return string(text), err
	}
	return fmt.Sprint(reply), err
}
