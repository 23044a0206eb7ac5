// Package checks are the checks that every client library goes through. A library comes as a Client: a few lines for each
// method, in which its own API is used as its manual says.
package checks

import "time"

// Options are how to connect.
type Options struct {
	DB    int
	Name  string // CLIENT SETNAME; empty: none
	RESP2 bool   // where there is a choice
}

// Library is what there is to know about a library.
type Library struct {
	Module  string // whose version is told
	Connect func(Options) (Client, error)
	RESP3   bool         // it speaks RESP3, unless told otherwise
	MayLose int          // commands that fail after its connection was closed, before it has another one
	Track   func() error // reads through its cache; nil: it has none
}

// Client is a library's client or pool, safe for concurrent use. What isn't there is nil.
type Client interface {
	Close()

	Set(key string, value []byte, expiry time.Duration) error // expiry 0: none
	Get(key string) ([]byte, error)
	GetEx(key string, expiry time.Duration) ([]byte, error)
	Expire(key string, expiry time.Duration) (bool, error)
	TTL(key string) (seconds int64, err error) // -1: no expiry
	Persist(key string) error

	HSet(key string, fields map[string]string) error
	HGetAll(key string) (map[string]string, error)
	HDel(key, field string) (int64, error)

	Incr(key string) (int64, error)
	IncrBy(key string, n int64) (int64, error)

	MSet(values map[string]string) error
	MGet(keys ...string) ([][]byte, error)
	Del(keys ...string) (int64, error)

	RPush(key string, values ...string) (int64, error)
	LRange(key string) ([]string, error) // all of it
	SAdd(key string, members ...string) (int64, error)
	SMembers(key string) ([]string, error)

	// Pipeline sends n INCRs of a key in one go and returns their replies.
	Pipeline(key string, n int) ([]int64, error)
	// Transaction increments both keys in MULTI and EXEC, and returns the replies.
	Transaction(a, b string) ([]int64, error)
	// Watch reads a key under WATCH, calls meanwhile, and appends "!" to it in a transaction. It says whether that was carried out.
	Watch(key string, meanwhile func() error) (bool, error)
	// Script runs a script by the library's own means, which send it by its hash as long as it is known.
	Script(lua string, key, argument string) (string, error)
	// Scan collects the keys that match.
	Scan(pattern string) ([]string, error)

	Publish(channel, message string) (receivers int64, err error)
	// Subscribe returns when the subscription is confirmed.
	Subscribe(channel string) (messages <-chan string, stop func(), err error)

	// BLPop waits up to a second; a nil value says that nothing came.
	BLPop(key string) ([]byte, error)

	// ServerError is the text of an error that is the library's own for an error reply.
	ServerError(error) (string, bool)

	// Do sends a command that answers text, such as CLIENT LIST.
	Do(args ...string) (string, error)
}
