package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// openMemory starts a store in memory and returns a client for it.
func openMemory(t *testing.T) *redis.Client {
	t.Helper()
	m, err := startMemory()
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(&redis.Options{Addr: m.Addr(), MaxRetries: -1})
	t.Cleanup(func() {
		_ = c.Close()
		m.Close()
	})
	return c
}

// do runs a command and returns its reply.
func do(t *testing.T, c *redis.Client, args ...any) any {
	t.Helper()
	reply, err := c.Do(t.Context(), args...).Result()
	if err != nil && err != redis.Nil {
		t.Fatalf("%v: %v", args, err)
	}
	return reply
}

func TestMemory_ttl(t *testing.T) {
	c := openMemory(t)
	for range 100 {
		do(t, c, "SET", "k", "v", "EX", 1800)
		if got := do(t, c, "TTL", "k"); got != int64(1800) {
			t.Fatalf("TTL is %v right after EX 1800", got)
		}
	}
	before := do(t, c, "PTTL", "k").(int64)
	waitFor(t, "the TTL to count down", func() bool { return do(t, c, "PTTL", "k").(int64) < before-5 })

	do(t, c, "SET", "forever", "v")
	for key, want := range map[string]int64{"forever": -1, "none": -2} {
		if got := do(t, c, "TTL", key); got != want {
			t.Errorf("TTL %s is %v, want %d", key, got, want)
		}
	}
}

func TestMemory_expires(t *testing.T) {
	c := openMemory(t)
	began := time.Now()
	do(t, c, "SET", "k", "v", "PX", 50)
	waitFor(t, "the key to expire", func() bool { return do(t, c, "EXISTS", "k") == int64(0) })
	if took := time.Since(began); took < 45*time.Millisecond {
		t.Errorf("expired after %v, want 50ms", took)
	}
	now, err := c.Time(t.Context()).Result()
	if err != nil || time.Since(now).Abs() > time.Minute {
		t.Errorf("TIME is %v, error %v; want now", now, err)
	}
}

// Inside MULTI and in a script the clock runs too, and nothing waits for itself.
func TestMemory_transaction_and_script(t *testing.T) {
	c := openMemory(t)
	cmds, err := c.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
		p.Set(t.Context(), "k", "v", time.Hour)
		p.Do(t.Context(), "PTTL", "k")
		p.Do(t.Context(), "EXPIRE", "k", 1800, "LT")
		p.Do(t.Context(), "EXPIRE", "k", 60, "NX")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := cmds[2].(*redis.Cmd).Val(), int64(1); got != want {
		t.Errorf("EXPIRE LT answered %v, want %v", got, want)
	}
	if got, want := cmds[3].(*redis.Cmd).Val(), int64(0); got != want {
		t.Errorf("EXPIRE NX answered %v, want %v", got, want)
	}
	got := do(t, c, "EVAL", "redis.call('SET', KEYS[1], 'v', 'EX', 100) return redis.call('PTTL', KEYS[1])", 1, "s")
	if ms := got.(int64); ms < 99000 || ms > 100000 {
		t.Errorf("PTTL in a script is %d", ms)
	}
}

func TestMemory_about_itself(t *testing.T) {
	c := openMemory(t)
	for _, args := range [][]any{{"INFO"}, {"INFO", "server"}, {"INFO", "all"}} {
		if got := do(t, c, args...).(string); !strings.Contains(got, "redis_version:7.") {
			t.Errorf("%v is %q", args, got)
		}
	}
	if got := do(t, c, "INFO", "keyspace"); got != "" {
		t.Errorf("INFO keyspace is %q", got)
	}
	err := c.Do(t.Context(), "COMMAND", "DOCS", "GET").Err()
	if got, want := fmt.Sprint(err), "ERR unknown subcommand 'DOCS'. Try COMMAND HELP."; got != want {
		t.Errorf("COMMAND DOCS: got %s, want %s", got, want)
	}
}

// waitFor asks again until ok, for so long that only a failure takes it.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for !ok() {
		if ctx.Err() != nil {
			t.Fatalf("waited for %s in vain", what)
		}
	}
}
