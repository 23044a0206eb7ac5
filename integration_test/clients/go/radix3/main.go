// Command radix3 is github.com/mediocregopher/radix/v3.
package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/mediocregopher/radix/v3"
	"github.com/mediocregopher/radix/v3/resp/resp2"

	"sessiongate-clients/checks"
	"sessiongate-clients/tap"
)

func main() {
	// Its pool finds out that a connection is closed by using it, and each of those may have been the one.
	checks.Run(checks.Library{Module: "github.com/mediocregopher/radix/v3", Connect: connect, MayLose: 1})
}

type client struct {
	radix.Client
	dial radix.ConnFunc
}

func connect(o checks.Options) (checks.Client, error) {
	dial := func(network, addr string) (radix.Conn, error) {
		options := []radix.DialOpt{radix.DialSelectDB(o.DB)}
		if tap.Password != "" {
			options = append(options, radix.DialAuthPass(tap.Password))
		}
		conn, err := radix.Dial(network, addr, options...)
		if err != nil || o.Name == "" {
			return conn, err
		}
		return conn, conn.Do(radix.Cmd(nil, "CLIENT", "SETNAME", o.Name))
	}
	c, err := radix.NewPool("tcp", tap.Addr, 4, radix.PoolConnFunc(dial))
	return client{c, dial}, err
}

func (c client) Close() { c.Client.Close() }

func (c client) cmd(reply any, name string, args ...string) error {
	return c.Client.Do(radix.Cmd(reply, name, args...))
}

func (c client) number(name string, args ...string) (n int64, err error) {
	err = c.cmd(&n, name, args...)
	return n, err
}

// value is a reply that may be null.
func (c client) value(name string, args ...string) ([]byte, error) {
	var value []byte
	reply := radix.MaybeNil{Rcv: &value}
	err := c.cmd(&reply, name, args...)
	if err != nil || reply.Nil {
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
		return c.Client.Do(radix.FlatCmd(nil, "SET", key, value, "PX", expiry.Milliseconds()))
	}
	return c.Client.Do(radix.FlatCmd(nil, "SET", key, value))
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
	return c.Client.Do(radix.FlatCmd(nil, "HSET", key, fields))
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
	var flat []string
	for key, value := range values {
		flat = append(flat, key, value)
	}
	return c.Client.Do(radix.Cmd(nil, "MSET", flat...))
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
	commands := make([]radix.CmdAction, n)
	for i := range replies {
		commands[i] = radix.Cmd(&replies[i], "INCR", key)
	}
	return replies, c.Client.Do(radix.Pipeline(commands...))
}

func (c client) Transaction(a, b string) (replies []int64, err error) {
	err = c.Client.Do(radix.Pipeline(
		radix.Cmd(nil, "MULTI"),
		radix.Cmd(nil, "INCR", a),
		radix.Cmd(nil, "INCR", b),
		radix.Cmd(&replies, "EXEC"),
	))
	return replies, err
}

func (c client) Watch(key string, meanwhile func() error) (done bool, err error) {
	err = c.Client.Do(radix.WithConn(key, func(conn radix.Conn) error {
		if err := conn.Do(radix.Cmd(nil, "WATCH", key)); err != nil {
			return err
		}
		var value string
		if err := conn.Do(radix.Cmd(&value, "GET", key)); err != nil {
			return err
		}
		if err := meanwhile(); err != nil {
			return err
		}
		var replies []string
		executed := radix.MaybeNil{Rcv: &replies}
		err := conn.Do(radix.Pipeline(
			radix.Cmd(nil, "MULTI"),
			radix.Cmd(nil, "SET", key, value+"!"),
			radix.Cmd(&executed, "EXEC"),
		))
		done = !executed.Nil
		return err
	}))
	return done, err
}

func (c client) Script(lua, key, argument string) (result string, err error) {
	err = c.Client.Do(radix.NewEvalScript(1, lua).Cmd(&result, key, argument))
	return result, err
}

func (c client) Scan(pattern string) (keys []string, err error) {
	scanner := radix.NewScanner(c.Client, radix.ScanOpts{Command: "SCAN", Pattern: pattern})
	for key := ""; scanner.Next(&key); {
		keys = append(keys, key)
	}
	return keys, scanner.Close()
}

func (c client) Publish(channel, message string) (int64, error) {
	return c.number("PUBLISH", channel, message)
}

func (c client) Subscribe(channel string) (<-chan string, func(), error) {
	conn, err := radix.PersistentPubSubWithOpts("tcp", tap.Addr, radix.PersistentPubSubConnFunc(c.dial))
	if err != nil {
		return nil, nil, err
	}
	received := make(chan radix.PubSubMessage, 10)
	if err := conn.Subscribe(received, channel); err != nil {
		return nil, nil, err
	}
	messages := make(chan string, 10)
	go func() {
		for message := range received {
			messages <- string(message.Message)
		}
	}()
	return messages, func() {
		conn.Close()
		close(received)
	}, nil
}

func (c client) BLPop(key string) ([]byte, error) {
	var popped []string
	reply := radix.MaybeNil{Rcv: &popped}
	if err := c.cmd(&reply, "BLPOP", key, "1"); err != nil || reply.Nil {
		return nil, err
	}
	return []byte(popped[1]), nil
}

func (c client) ServerError(err error) (string, bool) {
	var reply resp2.Error
	if errors.As(err, &reply) {
		return reply.E.Error(), true
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
