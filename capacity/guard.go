package capacity

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// admit refuses to fill a Redis that is in use, unless it is told to, and one that would be full before the run is over.
func (c *Config) admit(ctx context.Context, client *redis.Client) (dbsize int64, err error) {
	if dbsize, err = client.DBSize(ctx).Result(); err != nil {
		return 0, fmt.Errorf("upstream %s: %w", c.Pool.Addr(), err)
	}
	held, err := keysHeld(ctx, client)
	switch {
	case err != nil:
		return 0, err
	case held > 0 && (c.Namespace == "" || !c.Yes):
		return 0, fmt.Errorf("the Redis at %s holds %d keys, and this is for an empty one; to fill it beside them, say so with --namespace capacity: --yes",
			c.Pool.Addr(), held)
	case held > 0:
		if err := c.emptyNamespace(ctx, client); err != nil {
			return 0, err
		}
	}
	return dbsize, c.room(ctx, client)
}

// keysHeld is how many keys there are in all databases.
func keysHeld(ctx context.Context, client *redis.Client) (sum int64, err error) {
	text, err := client.Info(ctx, "keyspace").Result()
	if err != nil {
		return 0, fmt.Errorf("keys of the upstream: %w", err)
	}
	for _, line := range strings.Split(text, "\r\n") {
		var db, keys int64
		if n, _ := fmt.Sscanf(line, "db%d:keys=%d", &db, &keys); n == 2 {
			sum += keys
		}
	}
	return sum, nil
}

var globEscape = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// emptyNamespace makes sure that the keys in the namespace will be all our own.
func (c *Config) emptyNamespace(ctx context.Context, client *redis.Client) error {
	keys := client.Scan(ctx, 0, globEscape.Replace(c.Namespace)+"*", 10_000).Iterator()
	if keys.Next(ctx) {
		return fmt.Errorf("there are keys in the namespace %q already, such as %q; take another one, or remove them", c.Namespace, keys.Val())
	}
	if err := keys.Err(); err != nil {
		return fmt.Errorf("keys of the namespace: %w", err)
	}
	return nil
}

// overhead is what a session takes in Redis beside its bytes, rather more than less.
const overhead = 200

// room refuses what can't fit: it would evict other keys, or bring the machine to swapping.
func (c *Config) room(ctx context.Context, client *redis.Client) error {
	text, err := client.Info(ctx, "memory").Result()
	if err != nil {
		return fmt.Errorf("memory of the upstream: %w", err)
	}
	used, err := infoNumber(text, "used_memory")
	if err != nil {
		return err
	}
	need := used + int64(c.total())*int64(c.Template.size(c.Namespace)+overhead)
	for _, limit := range []string{"maxmemory", "total_system_memory"} {
		if most, err := infoNumber(text, limit); err == nil && most > 0 && need > most {
			return fmt.Errorf("%d sessions would take some %s, which is above the upstream's %s of %s; make the last step smaller",
				c.total(), bytesText(need), limit, bytesText(most))
		}
	}
	return nil
}

// size is how many bytes a session has, key and content, on the average of some.
func (t *Template) size(namespace string) int {
	const sample = 200
	s, sum := newSessions(t, namespace, 1), 0
	for i := range sample {
		id, content := s.file(i)
		sum += len(namespace) + len(id) + len(content)
	}
	return (sum + sample - 1) / sample
}
