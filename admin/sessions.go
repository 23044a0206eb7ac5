package admin

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"sessiongate/proxy"
	"sessiongate/upstream"
)

// store is where a tenant's sessions are: one client for each node that holds a part of them, in the database in which the tenant's
// clients begin.
type store struct {
	tenant *proxy.Tenant
	pools  []*upstream.Pool
	nodes  []*redis.Client // of the pools, in their order
	own    []*redis.Client // to be closed
	stop   func() bool     // keeps the end of a context from closing them; nil: it doesn't
}

func openStore(t *proxy.Tenant) *store { return openStoreWith(t, t.StartDB() != t.Pool.DB()) }

// openOwnStore is for what takes long: its connections are its own, and end with ctx even while an upstream doesn't answer.
func openOwnStore(ctx context.Context, t *proxy.Tenant) *store {
	s := openStoreWith(t, true)
	s.stop = context.AfterFunc(ctx, s.closeOwn)
	return s
}

func openStoreWith(t *proxy.Tenant, own bool) *store {
	s := &store{tenant: t, pools: t.Pool.Masters()}
	for _, pool := range s.pools {
		client := pool.Admin()
		if own {
			opt := *client.Options()
			opt.DB, opt.PoolSize = t.StartDB(), 1
			client = redis.NewClient(&opt)
			s.own = append(s.own, client)
		}
		s.nodes = append(s.nodes, client)
	}
	return s
}

func (s *store) close() {
	if s.stop == nil || s.stop() { // else that is being done
		s.closeOwn()
	}
}

func (s *store) closeOwn() {
	for _, client := range s.own {
		_ = client.Close()
	}
}

// nodeOf is where the key is, or would be.
func (s *store) nodeOf(key []byte) int {
	if !s.tenant.Pool.Sharded() {
		return 0
	}
	return max(slices.Index(s.pools, s.tenant.Pool.NodeOf(upstream.Slot(s.tenant.Policy().Prefix(), key))), 0)
}

// unlink removes keys of one node. Each goes by itself: in a cluster they are of several slots.
func (s *store) unlink(ctx context.Context, node int, keys ...string) (removed int64, err error) {
	pipe := s.nodes[node].Pipeline()
	all := make([]*redis.IntCmd, len(keys))
	for i, key := range keys {
		all[i] = pipe.Unlink(ctx, s.upstreamName([]byte(key)))
	}
	_, err = pipe.Exec(ctx)
	for _, each := range all {
		removed += each.Val()
	}
	return removed, err
}

// upstreamName is the key's name with the namespace.
func (s *store) upstreamName(key []byte) string {
	return string(s.tenant.Policy().Prefix()) + string(key)
}

// pattern is what SCAN is told to look for.
func (s *store) pattern(match string) string { return proxy.Pattern(s.tenant.Policy().Prefix(), match) }

// scan returns the tenant's names of one page of a node's keys.
func (s *store) scan(ctx context.Context, node int, cursor uint64, match string, count int64) (keys []string, next uint64, err error) {
	names, next, err := s.nodes[node].Scan(ctx, cursor, s.pattern(match), count).Result()
	prefix := string(s.tenant.Policy().Prefix())
	for _, name := range names {
		if key, ok := strings.CutPrefix(name, prefix); ok {
			keys = append(keys, key)
		}
	}
	return keys, next, err
}

// session is what is known of one key without looking into it.
type session struct {
	name
	Type  string `json:"type"`
	Rule  string `json:"rule"`
	TTL   int64  `json:"ttl_ms"`
	Idle  *int64 `json:"idle_s"`
	Bytes *int64 `json:"bytes"`
	Born  *stamp `json:"born"`
	Age   *int64 `json:"age_s"`

	Value          *string `json:"value,omitempty"`
	ValueBase64    string  `json:"value_base64,omitempty"`
	ValueTruncated bool    `json:"value_truncated,omitempty"`
}

// name is a key as the API shows it, which has to be UTF-8.
type name struct {
	Key    string `json:"key"`
	Base64 string `json:"key_base64,omitempty"`
}

func nameOf(key string) name {
	if utf8.ValidString(key) {
		return name{Key: key}
	}
	shown := strconv.Quote(key)
	return name{Key: shown[1 : len(shown)-1], Base64: base64.StdEncoding.EncodeToString([]byte(key))}
}

// describe asks for what is to be told of keys, and leaves out those that are gone. Nothing it asks counts as an access.
func (s *store) describe(ctx context.Context, node int, keys []string) ([]session, error) {
	type asked struct {
		key    string
		kind   *redis.StatusCmd
		ttl    *redis.DurationCmd
		expiry *redis.Cmd
		idle   *redis.DurationCmd
		bytes  *redis.IntCmd
	}
	all := make([]asked, len(keys))
	pipe := s.nodes[node].Pipeline()
	for i, key := range keys {
		up := s.upstreamName([]byte(key))
		all[i] = asked{key, pipe.Type(ctx, up), pipe.PTTL(ctx, up), pipe.Do(ctx, "pexpiretime", up), pipe.ObjectIdleTime(ctx, up), pipe.MemoryUsage(ctx, up)}
	}
	var answered redis.Error
	if len(keys) > 0 {
		if _, err := pipe.Exec(ctx); err != nil && !errors.As(err, &answered) {
			return nil, upstreamError(err)
		}
	}
	policy := s.tenant.Policy()
	rules, now := policy.RuleNames(), s.tenant.Pool.Now()
	list := []session{}
	for _, a := range all {
		ttl, err := a.ttl.Result()
		if err != nil {
			return nil, upstreamError(err)
		}
		if ttl == -2 {
			continue
		}
		one := session{name: nameOf(a.key), Type: a.kind.Val(), TTL: -1}
		if ttl >= 0 {
			one.TTL = ttl.Milliseconds()
		}
		limits := policy.Limits([]byte(a.key))
		if limits.Rule >= 0 {
			one.Rule = rules[limits.Rule]
		}
		if a.idle.Err() == nil {
			idle := int64(a.idle.Val() / time.Second)
			one.Idle = &idle
		}
		if a.bytes.Err() == nil {
			one.Bytes = new(a.bytes.Val())
		}
		if expiry, err := a.expiry.Int64(); err == nil && limits.Life.Span > 0 {
			if birth, grain := limits.Life.Born(expiry, now); grain > 0 {
				one.Born, one.Age = new(stamp(time.UnixMilli(birth))), new(max(0, (now-birth)/1000))
			}
		}
		list = append(list, one)
	}
	return list, nil
}

type sessions struct {
	Tenant   string    `json:"tenant"`
	Cursor   string    `json:"cursor"`
	Sessions []session `json:"sessions"`
}

func (a *Admin) getSessions(r *http.Request) (any, error) {
	count, err := number(r, "count", 100, 1, 1000)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	return a.sessions(r.Context(), q.Get("tenant"), q.Get("match"), q.Get("cursor"), count)
}

// sessions lists one page. The cursor says which node is walked through, and how far.
func (a *Admin) sessions(ctx context.Context, tenant, match, cursor string, count int64) (any, error) {
	t, err := a.tenant(tenant)
	if err != nil {
		return nil, err
	}
	s := openStore(t)
	defer s.close()
	node, at, ok := parseCursor(cursor)
	if !ok || node >= len(s.nodes) {
		return nil, badRequest("cursor: %q is none that was given out", cursor)
	}
	keys, next, err := s.scan(ctx, node, at, match, count)
	if err != nil {
		return nil, upstreamError(err)
	}
	list, err := s.describe(ctx, node, keys)
	if err != nil {
		return nil, err
	}
	v := sessions{Tenant: t.Name, Sessions: list}
	switch {
	case next != 0:
		v.Cursor = fmt.Sprintf("%d:%d", node, next)
	case node+1 < len(s.nodes):
		v.Cursor = fmt.Sprintf("%d:0", node+1)
	}
	return v, nil
}

func parseCursor(text string) (node int, cursor uint64, ok bool) {
	if text == "" || text == "0" {
		return 0, 0, true
	}
	left, right, ok := strings.Cut(text, ":")
	n, err := strconv.ParseUint(left, 10, 16)
	if err != nil || !ok {
		return 0, 0, false
	}
	cursor, err = strconv.ParseUint(right, 10, 64)
	return int(n), cursor, err == nil
}

// keyOf reads which key is meant.
func keyOf(q url.Values) ([]byte, error) {
	return decodeKey(q.Get("key"), q.Get("key_base64"))
}

func decodeKey(plain, encoded string) ([]byte, error) {
	switch {
	case plain != "" && encoded != "":
		return nil, badRequest("key: is given besides key_base64; keep one of them")
	case encoded != "":
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, badRequest("key_base64: is not base64")
		}
		return key, nil
	case plain == "":
		return nil, badRequest("key: is missing")
	}
	return []byte(plain), nil
}

// maxValue is how much of a value is shown, in bytes.
const maxValue = 64 << 10

func (a *Admin) getSession(r *http.Request) (any, error) {
	q := r.URL.Query()
	key, err := keyOf(q)
	if err != nil {
		return nil, err
	}
	withValue := q.Get("value") == "1"
	if withValue && !a.cfg.ShowValues {
		return nil, fail(http.StatusForbidden, "forbidden", "values are not shown: admin.show_values is not set")
	}
	return a.session(r.Context(), q.Get("tenant"), key, withValue)
}

func (a *Admin) session(ctx context.Context, tenant string, key []byte, withValue bool) (any, error) {
	t, err := a.tenant(tenant)
	if err != nil {
		return nil, err
	}
	s := openStore(t)
	defer s.close()
	node := s.nodeOf(key)
	list, err := s.describe(ctx, node, []string{string(key)})
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fail(http.StatusNotFound, "no_such_session", "there is no such session")
	}
	one := list[0]
	if withValue && one.Type == "string" {
		text, err := s.nodes[node].GetRange(ctx, s.upstreamName(key), 0, maxValue).Result()
		if err != nil {
			return nil, upstreamError(err)
		}
		one.show(text)
	}
	return object{"tenant": t.Name, "session": one}, nil
}

// show puts a value, or its beginning, into s.
func (s *session) show(text string) {
	if len(text) > maxValue {
		text, s.ValueTruncated = text[:maxValue], true
	}
	if utf8.ValidString(text) {
		s.Value = &text
	} else {
		s.ValueBase64 = base64.StdEncoding.EncodeToString([]byte(text))
	}
}

func (a *Admin) getSessionCount(r *http.Request) (any, error) {
	q := r.URL.Query()
	return a.countSessions(r.Context(), q.Get("tenant"), q.Get("match"))
}

func (a *Admin) countSessions(ctx context.Context, tenant, match string) (any, error) {
	t, err := a.tenant(tenant)
	if err != nil {
		return nil, err
	}
	s := openStore(t)
	defer s.close()
	total := int64(0)
	for node, client := range s.nodes {
		if len(t.Policy().Prefix()) == 0 && (match == "" || match == "*") {
			n, err := client.DBSize(ctx).Result()
			if err != nil {
				return nil, upstreamError(err)
			}
			total += n
			continue
		}
		for cursor := uint64(0); ; {
			keys, next, err := s.scan(ctx, node, cursor, match, 1000)
			if err != nil {
				return nil, upstreamError(err)
			}
			total += int64(len(keys))
			if cursor = next; cursor == 0 {
				break
			}
		}
	}
	if match == "" {
		match = "*"
	}
	return object{"tenant": t.Name, "match": match, "count": total}, nil
}
