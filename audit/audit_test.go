package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"sessiongate/policy"
)

// paged is a client of a Redis in memory. There SCAN returns everything at once; this one goes through it in pages.
type paged struct {
	redis.Cmdable
	all []string
}

func store(t *testing.T) (*miniredis.Miniredis, *paged) {
	t.Helper()
	m := miniredis.RunT(t)
	c := redis.NewClient(&redis.Options{Addr: m.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = c.Close() })
	return m, &paged{Cmdable: c}
}

func (p *paged) Scan(ctx context.Context, cursor uint64, match string, count int64) *redis.ScanCmd {
	if cursor == 0 {
		all, _, err := p.Cmdable.Scan(ctx, 0, match, 0).Result()
		if err != nil {
			return redis.NewScanCmdResult(nil, 0, err)
		}
		slices.Sort(all)
		p.all = all
	}
	page := p.all[cursor:min(cursor+uint64(count), uint64(len(p.all)))]
	if cursor += uint64(len(page)); cursor == uint64(len(p.all)) {
		cursor = 0
	}
	return redis.NewScanCmdResult(page, cursor, nil)
}

func config(t *testing.T, rules ...policy.RuleConfig) Config {
	t.Helper()
	p, err := policy.New(policy.Config{Namespace: "app:", Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Tenant: "shop", Upstream: "here:6379", Namespace: "app:", Policy: p, Digest: "1", Top: 3}
	for i := range rules {
		cfg.Rules = append(cfg.Rules, rules[i].DisplayName())
	}
	return cfg
}

func web(t *testing.T) Config {
	hour := policy.Duration(time.Hour)
	return config(t,
		policy.RuleConfig{Keys: []string{"*_LOCK"}, Expiry: &policy.ExpiryConfig{}},
		policy.RuleConfig{Name: "web", Keys: []string{"sess:*"}, KeyEntropy: 30, Expiry: &policy.ExpiryConfig{Default: hour / 2, Max: hour},
			Size: &policy.SizeConfig{Key: 30, Value: 10}})
}

// fill writes keys that are wrong in each way, and some that are not. It returns what a rule's findings must be.
func fill(m *miniredis.Miniredis) Counts {
	set := func(key, value string, ttl time.Duration) {
		_ = m.Set(key, value)
		if ttl > 0 {
			m.SetTTL(key, ttl)
		}
	}
	set("app:sess:k7q2m9x4pz", "v", time.Minute)
	set("app:sess:good7q2m9x4", "0123456789", time.Hour)
	set("app:sess:never7q2m9x4", "v", 0)
	set("app:sess:long7q2m9x4", "v", 2*time.Hour)
	set("app:sess:large7q2m9x4", "0123456789a", time.Minute)
	set("app:sess:"+strings.Repeat("k7q2m9x4pz", 3), "v", time.Minute)
	set("app:sess:1", "v", 0)
	m.HSet("app:sess:hash7q2m9x4", "f", strings.Repeat("x", 100))
	m.SetTTL("app:sess:hash7q2m9x4", time.Minute)
	set("app:sess:1_LOCK", "v", 0)
	set("app:other", "v", 0)
	set("foreign:sess:1", "v", 0)
	return Counts{NoExpiry: 2, AboveMax: 1, ValueTooLarge: 1, KeyTooLong: 1, WeakID: 1}
}

func TestRun(t *testing.T) {
	m, c := store(t)
	want := fill(m)
	r, err := Run(t.Context(), c, web(t))
	if err != nil {
		t.Fatal(err)
	}
	if r.Rules[1].Found != want || r.Findings != 6 || r.Remaining != 6 || r.Rules[0].Found != (Counts{}) || r.Rules[2].Found != (Counts{}) {
		t.Errorf("found %+v", r.Rules)
	}
	if r.Keys != 10 || r.Rules[0].Keys != 1 || r.Rules[1].Keys != 8 || r.Rules[2].Keys != 1 || r.Types["hash"] != 1 || r.Types["string"] != 9 || r.TTL.Never != 4 {
		t.Errorf("counted %+v", r)
	}
	if want := []Prefix{{"sess:", 9, 0}, {"", 1, 0}}; !reflect.DeepEqual(r.TopByKeys, want) {
		t.Errorf("the largest prefixes are %v, want %v", r.TopByKeys, want)
	}
	if !r.Complete || r.Done != 1 || len(r.Untold) > 0 || r.Size.count() != 10 || r.Idle.count() != 10 {
		t.Errorf("complete %v at %v, untold %v", r.Complete, r.Done, r.Untold)
	}
	if m.TTL("app:sess:1") != 0 || m.TTL("app:sess:long7q2m9x4") != 2*time.Hour {
		t.Error("without Fix something was changed")
	}
}

// Fix gives expiries, and touches nothing else.
func TestRun_fix(t *testing.T) {
	m, c := store(t)
	fill(m)
	cfg := web(t)
	cfg.Fix = true
	r, err := Run(t.Context(), c, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if r.Rules[1].Fixed != (Counts{NoExpiry: 2, AboveMax: 1}) || r.Fixed != 3 || r.Remaining != 3 {
		t.Errorf("fixed %+v", r.Rules[1].Fixed)
	}
	for key, want := range map[string]time.Duration{
		"app:sess:1": 30 * time.Minute, "app:sess:never7q2m9x4": 30 * time.Minute, "app:sess:long7q2m9x4": time.Hour, "app:sess:k7q2m9x4pz": time.Minute,
		"app:sess:1_LOCK": 0, "app:other": 0, "foreign:sess:1": 0,
	} {
		if got := m.TTL(key); got != want {
			t.Errorf("%s expires in %v, want %v", key, got, want)
		}
	}
	if again, err := Run(t.Context(), c, cfg); err != nil || again.Findings != 3 || again.Fixed != 0 {
		t.Errorf("once more: %+v, %v", again, err)
	}
	var table bytes.Buffer
	if err := r.Table(&table); err != nil || !strings.Contains(table.String(), "6 findings: 2 keys given an expiry, 1 key cut to the maximum, 3 left\n") {
		t.Errorf("%v\n%s", err, &table)
	}
}

// interrupted runs an audit that ends after its first step, with its state in the file.
func interrupted(t *testing.T, c *paged, cfg Config) *Report {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cfg.Progress = func(Progress) { cancel() }
	r, err := Run(ctx, c, cfg)
	if !errors.Is(err, context.Canceled) || r == nil || r.Complete || r.Keys == 0 {
		t.Fatalf("interrupted: %+v, %v", r, err)
	}
	return r
}

// A walk that is gone on with comes to what one in a piece comes to.
func TestRun_resume(t *testing.T) {
	m, c := store(t)
	for i := range 95 {
		_ = m.Set(fmt.Sprintf("app:sess:k7q2m9x4p%02d", i), "v")
	}
	cfg := web(t)
	cfg.Rate = 1_000 // in steps of 200 keys
	whole, err := Run(t.Context(), c, cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Resume, cfg.Rate = filepath.Join(t.TempDir(), "state"), 50
	first := interrupted(t, c, cfg)
	if first.Keys != 10 {
		t.Errorf("the first step saw %d keys, want 10", first.Keys)
	}
	cfg.Rate = 0
	rest, err := Run(t.Context(), c, cfg)
	if err != nil {
		t.Fatal(err)
	}
	rest.Seconds, whole.Seconds = 0, 0
	if got, want := asJSON(t, rest), asJSON(t, whole); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, err := os.Stat(cfg.Resume); !os.IsNotExist(err) {
		t.Errorf("the state of a walk that is complete is still there: %v", err)
	}
	if left, _ := filepath.Glob(cfg.Resume + "*"); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The state of one walk is not gone on with in another.
func TestRun_resumeWrongFile(t *testing.T) {
	m, c := store(t)
	for i := range 50 {
		_ = m.Set(fmt.Sprint("app:", i), "v")
	}
	cfg := web(t)
	cfg.Resume, cfg.Rate = filepath.Join(t.TempDir(), "state"), 50
	interrupted(t, c, cfg)
	text, err := os.ReadFile(cfg.Resume)
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"is of the upstream here:6379, not there:6379":      func(c *Config) { c.Upstream = "there:6379" },
		"is of database 0, not 1":                           func(c *Config) { c.DB = 1 },
		`is of the namespace "app:", not "app2:"`:           func(c *Config) { c.Namespace = "app2:" },
		"was written under other rules":                     func(c *Config) { c.Digest = "2" },
		"was begun without --fix; go on so, or remove it":   func(c *Config) { c.Fix = true },
		"was begun without --adopt; go on so, or remove it": func(c *Config) { c.Adopt = adopting(policy.Life{}, 0) },
		"is damaged": func(c *Config) { c.Rules = nil },
		"is not the state of an audit": func(c *Config) {
			c.Resume += "2"
			if err := os.WriteFile(c.Resume, []byte("hello"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"is of version 0, not 2": func(c *Config) {
			c.Resume += "3"
			if err := os.WriteFile(c.Resume, []byte("{}"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		other := cfg
		change(&other)
		if r, err := Run(t.Context(), c, other); err == nil || !strings.Contains(err.Error(), want) || r != nil {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if now, _ := os.ReadFile(cfg.Resume); !bytes.Equal(now, text) {
		t.Error("the file was changed")
	}
}

// What Redis does not answer is an error, not a report in which nothing is wrong.
func TestRun_down(t *testing.T) {
	m, c := store(t)
	fill(m)
	m.SetError("LOADING Redis is loading the dataset in memory")
	if r, err := Run(t.Context(), c, web(t)); err == nil || r != nil || !strings.Contains(err.Error(), "LOADING") {
		t.Errorf("%+v, %v", r, err)
	}
}

// Under an LFU policy Redis knows no idle times. Without memory, every string of a rule with a limit is asked for its length.
func TestRun_untold(t *testing.T) {
	m, c := store(t)
	want := fill(m)
	m.Server().SetPreHook(func(p *server.Peer, name string, _ ...string) bool {
		if name == "OBJECT" || name == "MEMORY" {
			p.WriteError("ERR not told")
			return true
		}
		return false
	})
	r, err := Run(t.Context(), c, web(t))
	if err != nil {
		t.Fatal(err)
	}
	if r.Untold["idle"] != "ERR not told" || r.Untold["size"] != "ERR not told" || r.Idle.count()+r.Size.count() != 0 || r.Rules[1].Found != want {
		t.Errorf("untold %v, found %+v", r.Untold, r.Rules[1].Found)
	}
	var table bytes.Buffer
	if err := r.Table(&table); err != nil || !strings.Contains(table.String(), "Redis does not tell the time since last use: ERR not told\n") {
		t.Errorf("%v\n%s", err, &table)
	}
}

func TestRun_empty(t *testing.T) {
	_, c := store(t)
	r, err := Run(t.Context(), c, web(t))
	if err != nil || !r.Complete || r.Keys != 0 || r.Findings != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	var table bytes.Buffer
	if err := r.Table(&table); err != nil || !strings.Contains(table.String(), "nothing is wrong\n") {
		t.Errorf("%v\n%s", err, &table)
	}
}

// Memory stays bounded, and what there is much of is found.
func TestTop(t *testing.T) {
	top := newTop(mostPrefixes)
	for i := range 200_000 {
		top.add(fmt.Sprint("u", i, ":"), 1)
		if i%10 == 0 {
			top.add("sess:", 1)
		}
		if i%50 == 0 {
			top.add("cart:", 1)
		}
	}
	if len(top.list) != mostPrefixes || len(top.where) != mostPrefixes {
		t.Errorf("holds %d prefixes in %d places, want %d", len(top.list), len(top.where), mostPrefixes)
	}
	got := top.first(10)
	if len(got) != 2 || got[0].Prefix != "sess:" || got[1].Prefix != "cart:" {
		t.Fatalf("the largest are %v", got)
	}
	for i, want := range []int64{20_000, 4_000} {
		if got[i].Amount < want || got[i].Amount-got[i].Over > want || got[i].Over > 224_000/mostPrefixes {
			t.Errorf("%+v, want %d", got[i], want)
		}
	}
	var again top2
	if err := json.Unmarshal([]byte(asJSON(t, top2{top})), &again); err != nil || !reflect.DeepEqual(again.T.all(), top.all()) {
		t.Errorf("written and read it is another one: %v", err)
	}
	again.T.add("sess:", 1)
	if again.T.first(1)[0].Amount != got[0].Amount+1 {
		t.Error("read again, it can't be gone on with")
	}
}

type top2 struct{ T *top }

func TestHistogram(t *testing.T) {
	h := newHistogram("s", []int64{0, 10, 100})
	for _, n := range []int64{-1, 0, 9, 10, 99, 100, 1 << 62} {
		h.add(n)
	}
	if want := []Bucket{{0, 3}, {10, 2}, {100, 2}}; !reflect.DeepEqual(h.Buckets, want) || h.count() != 7 {
		t.Errorf("%v, want %v", h.Buckets, want)
	}
}

func TestPace(t *testing.T) {
	p := pace{rate: 1000}
	began := time.Now()
	for range 5 {
		if err := p.wait(t.Context(), 10); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("50 keys at 1000 a second took %v", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.wait(ctx, 1_000_000); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want an end", err)
	}
	if err := (&pace{}).wait(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want an end", err)
	}
}

// Whatever the namespace is called, it means itself.
func TestEscape(t *testing.T) {
	if got, want := escape(`a*b?[c]^\:`), `a\*b\?\[c\]\^\\:`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
