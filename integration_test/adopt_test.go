package integration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The rule of sessions that end while a test waits. 427 is a grain of which three remainders
// never tell a birth.
const (
	adoptIdle, adoptLife = 8540, 12_000
	adoptGrain           = adoptIdle / 20
	adoptStep            = adoptLife/104 + 1
	adoptRules           = namespaceApp + `rules:
  - {name: short, keys: ["short:*"], expiry: {idle: 8540ms, idle_refresh: 0, lifetime: 12s}}
  - {name: long, keys: ["long:*"], expiry: {idle: 30m, lifetime: 12h}}
`
)

// Sessions that were there before their rule have no birth. They are adopted, live on for a lifetime, and no longer.
func TestAudit_Adopt(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	behind := dial(t, r.addr)
	now := time.Now().UnixMilli()
	behind.want(ok, "SET", "app:short:1", "v")
	behind.want(":1\r\n", "HSET", "app:short:2", "f", "v")
	behind.want(ok, "SET", "app:short:3", "v", "PXAT", fmt.Sprint(now+3600_000-(now+3600_000)%adoptGrain+adoptGrain-1))
	// Above the 25 minutes below which finer grains count, within the idle timeout, and at a remainder that is no stamp.
	written := now + 28*60_000 - now%60_000 + 59_999
	behind.want(ok, "SET", "app:long:written", "v", "PXAT", fmt.Sprint(written))
	behind.want(ok, "SET", "app:other", "v")
	file := writeFile(t, "sessiongate.yaml", r.upstream()+adoptRules)
	g := startGate(t, r.upstream()+adoptRules)
	c := dial(t, g.addr)
	c.want(ok, "SET", "long:born", "v")
	born := behind.int("PEXPIRETIME", "app:long:born")

	a := audit(t, file, 1)
	if short, long := a.Rules[0].Found, a.Rules[1].Found; short["no_birth"] != 3 || short["no_expiry"] != 2 || short["above_max"] != 1 || long["no_birth"] != 1 ||
		a.Findings != 7 || ages(&a) != 1 {
		t.Errorf("before, audit says %+v", a)
	}
	before := time.Now()
	a = audit(t, file, 0, "--fix", "--adopt")
	after := time.Now()
	if short, long := a.Rules[0].Fixed, a.Rules[1].Fixed; short["no_birth"] != 3 || short["no_expiry"] != 2 || short["above_max"] != 1 || long["no_birth"] != 1 || a.Remaining != 0 {
		t.Errorf("--fix --adopt says %+v", a)
	}
	if got := behind.int("PEXPIRETIME", "app:long:born"); got != born {
		t.Errorf("a key that had a birth expires at %d, want %d as before", got, born)
	}
	adopted := behind.int("PEXPIRETIME", "app:long:written")
	if int64(adopted) > written || int64(adopted) < written-2*60_000 {
		t.Errorf("a key that expired at %d does at %d, want two minutes earlier at most", written, adopted)
	}
	behind.want(":-1\r\n", "PTTL", "app:other")
	if a = audit(t, file, 0, "--adopt"); a.Findings != 0 || ages(&a) != 5 {
		t.Errorf("after --adopt audit says %+v", a)
	}
	if got := behind.int("PEXPIRETIME", "app:long:written"); got != adopted {
		t.Errorf("adopted again, a key that expired at %d does at %d", adopted, got)
	}

	// Whatever is done to them, they end at their lifetime, which is longer than they could lie idle.
	ended := func(line string) bool {
		got := c.line(line)
		if strings.HasPrefix(got, "-") {
			t.Fatalf("%s = %s", line, got)
		}
		return got == "$-1\r\n" || got == ":0\r\n"
	}
	eventually(t, "the sessions end", func() bool {
		writes := ended("SET short:1 w XX KEEPTTL") && ended("EXPIRE short:1 999")
		return ended("HGET short:2 f") && ended("GET short:3") && writes
	})
	lived := time.Since(before)
	if most := adoptLife*time.Millisecond + after.Sub(before) + time.Second; lived > most {
		t.Errorf("they have lived for %v, want %v at most", lived, most)
	}
	if least := (adoptLife - adoptStep - 3*adoptGrain) * time.Millisecond; lived < least {
		t.Errorf("they have lived for %v, want %v at least", lived, least)
	}
}

// ages is of how many keys the age is known.
func ages(a *audited) (n int64) {
	for _, bucket := range a.Age.Buckets {
		n += bucket.Keys
	}
	return n
}

// Keys can be adopted alone: then what is above the maximum stays so, until it is cut.
func TestAudit_AdoptAlone(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	behind := dial(t, r.addr)
	now := time.Now().UnixMilli()
	behind.want(ok, "SET", "app:long:1", "v")
	above := now + 7200_000 - now%60_000 + 59_999
	behind.want(ok, "SET", "app:long:2", "v", "PXAT", fmt.Sprint(above))
	file := writeFile(t, "sessiongate.yaml", r.upstream()+adoptRules)
	a := audit(t, file, 1, "--adopt")
	if long := a.Rules[1]; a.Findings != 4 || a.Remaining != 1 || long.Fixed["no_birth"] != 2 || long.Fixed["no_expiry"] != 1 || long.Fixed["above_max"] != 0 {
		t.Errorf("--adopt says %+v", a)
	}
	if got := int64(behind.int("PEXPIRETIME", "app:long:2")); got > above || got < above-2*60_000 {
		t.Errorf("a key that expired at %d does at %d", above, got)
	}
	if ttl := behind.int("PTTL", "app:long:1"); ttl > 1800_000 || ttl < 1600_000 {
		t.Errorf("a key without expiry was given %d ms", ttl)
	}
	// The rest is cut without its birth being lost.
	if a = audit(t, file, 0, "--fix"); a.Findings != 1 || a.Rules[1].Fixed["above_max"] != 1 {
		t.Errorf("--fix says %+v", a)
	}
	if a = audit(t, file, 0); a.Findings != 0 {
		t.Errorf("after both audit says %+v", a)
	}
}
