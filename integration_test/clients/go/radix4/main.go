// Command radix4 is github.com/mediocregopher/radix/v4.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/mediocregopher/radix/v4"
	"github.com/mediocregopher/radix/v4/resp/resp3"

	"sessiongate-clients/checks"
	"sessiongate-clients/tap"
)

var ctx = context.Background()

func main() {
	// Its pool finds out that a connection is closed by using it, and each of those may have been the one.
	checks.Run(checks.Library{Module: "github.com/mediocregopher/radix/v4", Connect: connect, RESP3: true, MayLose: 1})
}

type client struct {
	radix.Client
	dialer radix.Dialer
}

func connect(o checks.Options) (checks.Client, error) {
	dialer := radix.Dialer{AuthPass: tap.Password, SelectDB: strconv.Itoa(o.DB), Protocol: "3"}
	if o.RESP2 {
		dialer.Protocol = "2"
	}
	if o.Name != "" {
		plain := dialer
		dialer = radix.Dialer{CustomConn: func(ctx context.Context, network, addr string) (radix.Conn, error) {
			conn, err := plain.Dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return conn, conn.Do(ctx, radix.Cmd(nil, "CLIENT", "SETNAME", o.Name))
		}}
	}
	address, err := url.Parse(tap.URL)
	if err != nil {
		return nil, err
	}
	c, err := radix.PoolConfig{Dialer: dialer}.New(ctx, "tcp", address.Host)
	return client{c, dialer}, err
}

func (c client) Close() { c.Client.Close() }

func (c client) cmd(reply any, name string, args ...string) error {
	return c.Client.Do(ctx, radix.Cmd(reply, name, args...))
}

func (c client) number(name string, args ...string) (n int64, err error) {
	err = c.cmd(&n, name, args...)
	return n, err
}

// value is a reply that may be null.
func (c client) value(name string, args ...string) ([]byte, error) {
	var value []byte
	reply := radix.Maybe{Rcv: &value}
	err := c.cmd(&reply, name, args...)
	if err != nil || reply.Null {
		return nil, err
	}
	return append([]byte{}, value...), nil
}

func (c client) strings(name string, args ...string) (list []string, err error) {
	err = c.cmd(&list, name, args...)
	return list, err
}

func (c client) Set(key string, value []byte, expiry time.Duration) error {
	if expiry > 0 {
		return c.Client.Do(ctx, radix.FlatCmd(nil, "SET", key, value, "PX", expiry.Milliseconds()))
	}
	return c.Client.Do(ctx, radix.FlatCmd(nil, "SET", key, value))
}

func (c client) Get(key string) ([]byte, error) { return c.value("GET", key) }

func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }

func (c client) GetEx(key string, expiry time.Duration) ([]byte, error) {
	return c.value("GETEX", key, "EX", seconds(expiry))
}

func (c client) Expire(key string, expiry time.Duration) (bool, error) {
	n, err := c.number("EXPIRE", key, seconds(expiry))
	return n == 1, err
}

func (c client) TTL(key string) (int64, error) { return c.number("TTL", key) }

func (c client) Persist(key string) error { return c.cmd(nil, "PERSIST", key) }

func (c client) HSet(key string, fields map[string]string) error {
	return c.Client.Do(ctx, radix.FlatCmd(nil, "HSET", key, fields))
}

func (c client) HGetAll(key string) (map[string]string, error) {
	var fields map[string]string
	err := c.cmd(&fields, "HGETALL", key)
	return fields, err
}

func (c client) HDel(key, field string) (int64, error) { return c.number("HDEL", key, field) }

func (c client) Incr(key string) (int64, error) { return c.number("INCR", key) }

func (c client) IncrBy(key string, n int64) (int64, error) {
	return c.number("INCRBY", key, strconv.FormatInt(n, 10))
}

func (c client) MSet(values map[string]string) error {
	return c.Client.Do(ctx, radix.FlatCmd(nil, "MSET", values))
}

func (c client) MGet(keys ...string) (values [][]byte, err error) {
	err = c.cmd(&values, "MGET", keys...)
	return values, err
}

func (c client) Del(keys ...string) (int64, error) { return c.number("DEL", keys...) }

func (c client) RPush(key string, values ...string) (int64, error) {
	return c.number("RPUSH", append([]string{key}, values...)...)
}

func (c client) LRange(key string) ([]string, error) { return c.strings("LRANGE", key, "0", "-1") }

func (c client) SAdd(key string, members ...string) (int64, error) {
	return c.number("SADD", append([]string{key}, members...)...)
}

func (c client) SMembers(key string) ([]string, error) { return c.strings("SMEMBERS", key) }

func (c client) Pipeline(key string, n int) ([]int64, error) {
	replies := make([]int64, n)
	pipeline := radix.NewPipeline()
	for i := range replies {
		pipeline.Append(radix.Cmd(&replies[i], "INCR", key))
	}
	return replies, c.Client.Do(ctx, pipeline)
}

func (c client) Transaction(a, b string) (replies []int64, err error) {
	pipeline := radix.NewPipeline()
	pipeline.Append(radix.Cmd(nil, "MULTI"))
	pipeline.Append(radix.Cmd(nil, "INCR", a))
	pipeline.Append(radix.Cmd(nil, "INCR", b))
	pipeline.Append(radix.Cmd(&replies, "EXEC"))
	err = c.Client.Do(ctx, pipeline)
	return replies, err
}

func (c client) Watch(key string, meanwhile func() error) (done bool, err error) {
	err = c.Client.Do(ctx, radix.WithConn(key, func(ctx context.Context, conn radix.Conn) error {
		if err := conn.Do(ctx, radix.Cmd(nil, "WATCH", key)); err != nil {
			return err
		}
		var value string
		if err := conn.Do(ctx, radix.Cmd(&value, "GET", key)); err != nil {
			return err
		}
		if err := meanwhile(); err != nil {
			return err
		}
		var replies []string
		executed := radix.Maybe{Rcv: &replies}
		pipeline := radix.NewPipeline()
		pipeline.Append(radix.Cmd(nil, "MULTI"))
		pipeline.Append(radix.Cmd(nil, "SET", key, value+"!"))
		pipeline.Append(radix.Cmd(&executed, "EXEC"))
		err := conn.Do(ctx, pipeline)
		done = !executed.Null
		return err
	}))
	return done, err
}

func (c client) Script(lua, key, argument string) (result string, err error) {
	err = c.Client.Do(ctx, radix.NewEvalScript(lua).Cmd(&result, []string{key}, argument))
	return result, err
}

func (c client) Scan(pattern string) (keys []string, err error) {
	scanner := radix.ScannerConfig{Pattern: pattern}.New(c.Client)
	for key := ""; scanner.Next(ctx, &key); {
		keys = append(keys, key)
	}
	return keys, scanner.Close()
}

func (c client) Publish(channel, message string) (int64, error) {
	return c.number("PUBLISH", channel, message)
}

func (c client) Subscribe(channel string) (<-chan string, func(), error) {
	conn, err := radix.PersistentPubSubConnConfig{Dialer: c.dialer}.New(ctx, func() (string, string, error) {
		return "tcp", tap.Addr, nil
	})
	if err != nil {
		return nil, nil, err
	}
	if err := conn.Subscribe(ctx, channel); err != nil {
		return nil, nil, err
	}
	// It is confirmed behind the library's back.
	for channels := map[string]int{}; channels[channel] == 0; {
		if err := c.cmd(&channels, "PUBSUB", "NUMSUB", channel); err != nil {
			return nil, nil, err
		}
	}
	messages := make(chan string, 10)
	reading, stop := context.WithCancel(ctx)
	go func() {
		for {
			message, err := conn.Next(reading)
			if err != nil {
				return
			}
			messages <- string(message.Message)
		}
	}()
	return messages, func() {
		stop()
		conn.Close()
	}, nil
}

func (c client) BLPop(key string) ([]byte, error) {
	var popped []string
	reply := radix.Maybe{Rcv: &popped}
	if err := c.cmd(&reply, "BLPOP", key, "1"); err != nil || reply.Null {
		return nil, err
	}
	return []byte(popped[1]), nil
}

func (c client) ServerError(err error) (string, bool) {
	var reply resp3.SimpleError
	if errors.As(err, &reply) {
		return reply.S, true
	}
	return "", false
}

func (c client) Do(args ...string) (string, error) {
	var reply any
	err := c.cmd(&reply, args[0], args[1:]...)
	switch text := reply.(type) {
	case []byte:
		return string(text), err
	case string:
		return text, err
	}
	return fmt.Sprint(reply), err
}
