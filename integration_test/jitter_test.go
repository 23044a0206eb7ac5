package integration_test

import (
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// jittered is how many milliseconds a key has under a rule with 30 minutes and a jitter of 10%.
func jittered(key string) int {
	sum := sha1.Sum([]byte(key))
	return 1_800_000 - int(180_000*uint64(binary.BigEndian.Uint32(sum[:]))>>32)
}

// However a key is written, jitter gives it the same expiry: by the proxy's own words, behind a command, from within a script that
// declares the key or not, and by audit.
func TestJitter(t *testing.T) {
	t.Parallel()
	for _, space := range []string{"", namespaceApp} {
		for _, rule := range []string{"default: 30m, max: 12h", "max: 30m", "idle: 30m", "idle: 30m, lifetime: 12h"} {
			t.Run(space+rule, func(t *testing.T) {
				t.Parallel()
				r := startRedis(t)
				yaml := r.upstream() + space + "rules:\n  - expiry: {" + rule + ", jitter: 10%}\n"
				g := startGate(t, yaml)
				c, direct, prefix := dial(t, g.addr), dial(t, r.addr), ""
				if space != "" {
					prefix = "app:"
				}
				for i := range 5 {
					for name, line := range map[string]string{
						"set": "SET %s v", "hash": "HSET %s f v", "list": "RPUSH %s v", "setnx": "SETNX %s v",
						"declared": `EVAL "return redis.call('SET', KEYS[1], 'v')" 1 %s`,
						"computed": `EVAL "return redis.call('HSET', KEYS[1] .. '', 'f', 'v')" 1 %s`,
						"other":    `EVAL "return redis.call('SET', string.sub(KEYS[1], 1, -2), 'v')" 1 %s+`,
					} {
						key := fmt.Sprintf("%s:%d", name, i)
						if got := c.line(fmt.Sprintf(line, key)); strings.HasPrefix(got, "-") {
							t.Fatalf("%s: %s", line, got)
						}
						slack := 5000
						if strings.Contains(rule, "lifetime") {
							slack += 60_000 // which keeps the birth in the expiry's last digits
						}
						if got, want := direct.int("PTTL", prefix+key), jittered(key); got > want+slack-5000 || got < want-slack {
							t.Errorf("%s has %d ms, want %d", key, got, want)
						}
					}
				}
				left := prefix + "left:1"
				direct.want(ok, "SET", left, "v")
				file := writeFile(t, "sessiongate.yaml", yaml)
				audit(t, file, 0, "--fix", "--adopt")
				if got, want := direct.int("PTTL", left), jittered("left:1"); got > want || got < want-65_000 {
					t.Errorf("audit has given a key %d ms, want %d", got, want)
				}
			})
		}
	}
}
