package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// upstreamCheck is the name of the matrix's own check.
const upstreamCheck = "upstream"

// checkUpstream looks into the Redis behind: every key, in whatever database, is in the namespace and will expire in time.
func checkUpstream(ctx context.Context, addr, kind string) check {
	keys, err := examine(ctx, addr)
	if err == nil && keys == 0 && kind == kindSession {
		err = errors.New("no session is left")
	}
	if err != nil {
		return check{name: upstreamCheck, outcome: failed, why: err.Error()}
	}
	return check{name: upstreamCheck}
}

// mostOffences is how many keys of a database are told one by one.
const mostOffences = 5

// examine counts the keys of all databases. Its error tells of what shouldn't be as it is.
func examine(ctx context.Context, addr string) (keys int, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	databases, err := keyspaces(ctx, addr)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, db := range databases {
		n, err := examineDatabase(ctx, addr, db)
		keys += n
		errs = append(errs, err)
	}
	return keys, errors.Join(errs...)
}

// keyspaces lists the databases that have keys.
func keyspaces(ctx context.Context, addr string) ([]int, error) {
	c := redis.NewClient(&redis.Options{Addr: addr, DisableIdentity: true})
	defer c.Close()
	info, err := c.Info(ctx, "keyspace").Result()
	if err != nil {
		return nil, err
	}
	var databases []int
	for line := range strings.Lines(info) {
		var db int
		if _, err := fmt.Sscanf(line, "db%d:", &db); err == nil {
			databases = append(databases, db)
		}
	}
	return databases, nil
}

func examineDatabase(ctx context.Context, addr string, db int) (keys int, err error) {
	c := redis.NewClient(&redis.Options{Addr: addr, DB: db, DisableIdentity: true})
	defer c.Close()
	var errs []error
	offences := 0
	scan := c.Scan(ctx, 0, "*", 1000).Iterator()
	for scan.Next(ctx) {
		key := scan.Val()
		ttl, err := c.PTTL(ctx, key).Result()
		if err != nil {
			return keys, err
		}
		if ttl == noKey {
			continue
		}
		keys++
		if why := offence(key, ttl); why != "" {
			if offences++; offences <= mostOffences {
				errs = append(errs, fmt.Errorf("key %q of database %d %s", key, db, why))
			}
		}
	}
	if more := offences - mostOffences; more > 0 {
		errs = append(errs, fmt.Errorf("and %d more", more))
	}
	return keys, errors.Join(append(errs, scan.Err())...)
}

// What go-redis makes of the replies to PTTL that are not a time.
const (
	noKey    time.Duration = -2
	noExpiry time.Duration = -1
)

// offence says what is wrong with a key, or nothing.
func offence(key string, ttl time.Duration) string {
	limit := idle
	for _, pattern := range lockKeys {
		// No "/" is special in key patterns, so none may be left for path.Match.
		if ok, _ := path.Match(pattern, strings.ReplaceAll(key, "/", "_")); ok {
			limit = maxLockTTL
		}
	}
	switch {
	case !strings.HasPrefix(key, namespace):
		return "is outside of the namespace " + namespace
	case ttl == noExpiry:
		return "has no expiry"
	case ttl > limit:
		return fmt.Sprintf("expires in %v; the rule allows %v", ttl, limit)
	}
	return ""
}
