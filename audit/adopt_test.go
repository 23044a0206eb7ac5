package audit

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"sessiongate/policy"
)

// adopting stands for the script that main has from proxy: it stamps at the grain of aging's rule.
func adopting(l policy.Life, stamp int64) Adopt {
	return func(ctx context.Context, pipe redis.Pipeliner, key string, limits *policy.Limits, longest int64) *redis.Cmd {
		if limits.Life != l {
			return pipe.Do(ctx, "fail")
		}
		return pipe.Eval(ctx, `redis.call('PEXPIREAT', KEYS[1], ARGV[1]) return ARGV[1] + 0`, []string{key}, stamp)
	}
}

// stamp is an expiry not after latest that tells the birth at that step.
func stamp(l policy.Life, latest, step int64) int64 {
	checks, code := l.Grain/l.Codes, step%l.Codes
	rest := code*checks + (7*code+l.Step)%checks
	return latest - ((latest-rest)%l.Grain+l.Grain)%l.Grain
}

// aging fills a store with keys under a lifetime: three without birth, of which two have no expiry and one too long a one, one
// past its lifetime, one beyond it, and one that is four hours old.
func aging(t *testing.T) (m *miniredis.Miniredis, c *paged, cfg Config, l policy.Life, now int64) {
	t.Helper()
	m, c = store(t)
	at := time.UnixMilli(1_800_000_000_000)
	now = at.UnixMilli()
	m.SetTime(at)
	cfg = config(t, policy.RuleConfig{Name: "web", Keys: []string{"sess:*"},
		Expiry: &policy.ExpiryConfig{Idle: policy.Duration(30 * time.Minute), Lifetime: policy.Duration(12 * time.Hour)}})
	l = cfg.Policy.Limits([]byte("sess:")).Life
	steps := now / l.Step
	for key, expiry := range map[string]int64{
		"never1": 0, "never2": 0, "none": now + 7200_000 - (now+7200_000)%l.Grain + l.Grain - 1,
		"old": stamp(l, now+1800_000, steps-4*3600_000/l.Step), "beyond": stamp(l, now+1800_000, steps-125), "past": stamp(l, now+1800_000, steps-126),
	} {
		_ = m.Set("app:sess:"+key, "v")
		if expiry > 0 {
			m.SetTTL("app:sess:"+key, time.Duration(expiry-now)*time.Millisecond)
		}
	}
	_ = m.Set("app:other", "v")
	return m, c, cfg, l, now
}

// Under a lifetime keys have births and ages.
func TestRun_lifetime(t *testing.T) {
	m, c, cfg, _, _ := aging(t)
	r, err := Run(t.Context(), c, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Counts{NoExpiry: 2, AboveMax: 1, NoBirth: 3, PastLifetime: 2}); r.Rules[0].Found != want || r.Remaining != 8 {
		t.Errorf("found %+v, want %+v", r.Rules[0].Found, want)
	}
	if r.Age.count() != 3 || r.Age.Buckets[10] != (Bucket{3 * 3600, 2}) || r.Age.Buckets[11].Keys != 1 {
		t.Errorf("ages %+v", r.Age)
	}
	var table bytes.Buffer
	if err := r.Table(&table); err != nil || !strings.Contains(table.String(), "no birth  past lifetime") || !strings.Contains(table.String(), "\nage\n") {
		t.Errorf("%v\n%s", err, &table)
	}
	if m.TTL("app:sess:never1") != 0 {
		t.Error("without Fix and Adopt something was changed")
	}
}

// What Fix and Adopt do alone and together is counted by what is no longer wrong.
func TestRun_adopt(t *testing.T) {
	for _, c := range []struct {
		fix, adopt bool
		want       Counts
		text       string
	}{
		{true, false, Counts{NoExpiry: 2, AboveMax: 1}, "2 keys given an expiry, 1 key cut to the maximum, 0 keys given a birth, 1 key cut to the lifetime, 4 left\n"},
		{false, true, Counts{NoExpiry: 2, AboveMax: 1, NoBirth: 3}, "2 keys given an expiry, 1 key cut to the maximum, 3 keys given a birth, 0 keys cut to the lifetime, 2 left\n"},
		{true, true, Counts{NoExpiry: 2, AboveMax: 1, NoBirth: 3}, "2 keys given an expiry, 1 key cut to the maximum, 3 keys given a birth, 1 key cut to the lifetime, 1 left\n"},
	} {
		t.Run(fmt.Sprintf("fix %v, adopt %v", c.fix, c.adopt), func(t *testing.T) {
			m, client, cfg, l, now := aging(t)
			cfg.Fix = c.fix
			if c.adopt {
				cfg.Adopt = adopting(l, stamp(l, now+1800_000, now/l.Step))
			}
			if c.fix {
				c.want.PastLifetime = 1
			}
			old := m.TTL("app:sess:old")
			r, err := Run(t.Context(), client, cfg)
			if err != nil {
				t.Fatal(err)
			}
			var table bytes.Buffer
			if err := r.Table(&table); err != nil || !strings.Contains(table.String(), "8 findings: "+c.text) || r.Rules[0].Fixed != c.want {
				t.Errorf("%v, fixed %+v, want %+v\n%s", err, r.Rules[0].Fixed, c.want, &table)
			}
			if m.TTL("app:sess:old") != old || m.TTL("app:other") != 0 {
				t.Error("what is as it should be was changed")
			}
			// The next one finds what was left.
			cfg.Fix, cfg.Adopt = false, nil
			if again, err := Run(t.Context(), client, cfg); err != nil || again.Findings != r.Remaining {
				t.Errorf("%v: once more there are %d findings, want %d", err, again.Findings, r.Remaining)
			}
		})
	}
}
