package integration_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var roundsSetting = take("SESSIONGATE_TEST_ROUNDS")

// crashRounds is how often TestCrash kills the program in each way of running it: SESSIONGATE_TEST_ROUNDS, or fifty times.
func crashRounds(t *testing.T) int {
	text := roundsSetting
	if text == "" {
		return 50
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("SESSIONGATE_TEST_ROUNDS: %v", err)
	}
	return n
}

// A program killed at any moment under writers that set an expiry in a second step, or never, leaves no key without one.
func TestCrash(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		if m.ruled {
			t.Run(m.name, func(t *testing.T) {
				t.Parallel()
				if written, immortal := crash(t, m.yaml(), crashRounds(t)); len(immortal) > 0 {
					t.Errorf("of %d keys, these have no expiry within limits: %v", written, immortal[:min(10, len(immortal))])
				} else if written < 100 {
					t.Errorf("only %d keys were written", written)
				}
			})
		}
	}
}

// Without rules the same writers do leave such keys: what TestCrash looks for is there to be found.
func TestCrash_finds(t *testing.T) {
	t.Parallel()
	if written, immortal := crash(t, "", 2); len(immortal) == 0 {
		t.Errorf("%d keys were written, and every one has an expiry", written)
	}
}

// crash kills the program again and again while writers write, and returns how many keys there are and which of them have no
// expiry, or one above 12 hours.
func crash(t *testing.T, yaml string, rounds int) (written int, immortal []string) {
	r := startRedis(t)
	direct := dial(t, r.addr)
	for round := range rounds {
		g := startPlainGate(t, r.upstream()+yaml)
		var writers sync.WaitGroup
		for id := range 6 {
			c, err := net.Dial("tcp", g.addr)
			if err != nil {
				t.Fatal(err)
			}
			writers.Go(func() { writeInSteps(c, round, id) })
		}
		before := direct.int("DBSIZE")
		eventually(t, "writers write", func() bool { return direct.int("DBSIZE") > before+20 })
		time.Sleep(rand.N(3 * time.Millisecond)) // any moment will do
		g.kill(t)
		writers.Wait()
	}
	for _, key := range direct.list("KEYS", "*") {
		written++
		if ttl := direct.int("PTTL", key); ttl <= 0 || ttl > 12*3600*1000 {
			immortal = append(immortal, fmt.Sprintf("%s (PTTL %d)", key, ttl))
		}
	}
	return written, immortal
}

// writeInSteps writes sessions as applications do until the connection breaks.
func writeInSteps(c net.Conn, round, id int) {
	defer c.Close()
	read := newConnReader(c)
	if id%2 == 1 {
		if _, err := c.Write([]byte(encode("HELLO", "3"))); err != nil {
			return
		}
		if _, err := readReply(read); err != nil {
			return
		}
	}
	for n := 0; ; n++ {
		k := fmt.Sprintf("%d:%d:%d", round, id, n)
		steps := [][]string{
			{"SET", "set:" + k, "v"}, {"EXPIRE", "set:" + k, "100"},
			{"HSET", "hash:" + k, "f", "v"}, {"EXPIRE", "hash:" + k, "999999"},
			{"SADD", "index:" + k, "m"}, {"LPUSH", "list:" + k, "e"}, {"ZADD", "zset:" + k, "1", "m"},
			{"MULTI"}, {"HSET", "tx:" + k, "f", "v"}, {"EXPIRE", "tx:" + k, "100"}, {"EXEC"},
			{"EVAL", "return redis.call('RPUSH', KEYS[1], 'e')", "1", "script:" + k},
			{"RENAME", "list:" + k, "renamed:" + k}, {"PERSIST", "hash:" + k},
		}
		if id%3 == 0 { // all at once
			var all strings.Builder
			for _, step := range steps {
				all.WriteString(encode(step...))
			}
			if _, err := c.Write([]byte(all.String())); err != nil {
				return
			}
			for range steps {
				if _, err := readReply(read); err != nil {
					return
				}
			}
			continue
		}
		for _, step := range steps {
			if _, err := c.Write([]byte(encode(step...))); err != nil {
				return
			}
			if _, err := readReply(read); err != nil {
				return
			}
		}
	}
}
