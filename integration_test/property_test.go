package integration_test

import (
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// lawful is a tenant whose keys are held to rules, and what the rules are.
type lawful struct {
	name   string
	prefix string
	yaml   string
	max    []maxOf
	limit  int // bytes of a string; 0: any
}

// maxOf is the longest expiry of keys of a pattern; the first that matches counts.
type maxOf struct {
	pattern string
	max     time.Duration
}

var lawfulTenants = []lawful{
	{"everything", "zz9q:", "namespace: 'zz9q:'\nrules:\n  - {expiry: {default: 30m, max: 12h}, size: {value: 1KiB, key: 512}}\n",
		[]maxOf{{"*", 12 * time.Hour}}, 1024},
	{"expiry only", "", "rules:\n  - expiry: {default: 30m, max: 12h}\n", []maxOf{{"*", 12 * time.Hour}}, 0},
	{"two rules", "zz9q:", "namespace: 'zz9q:'\nrules:\n  - {keys: ['s:*', 'h:*'], expiry: {default: 10m, max: 1h}}\n  - {expiry: {max: 12h}, size: {value: 1KiB}}\n",
		[]maxOf{{"s:*", time.Hour}, {"h:*", time.Hour}, {"*", 12 * time.Hour}}, 0},
	{"idle", "", "rules:\n  - expiry: {idle: 30m}\n", []maxOf{{"*", 30 * time.Minute}}, 0},
	{"idle, each access", "zz9q:", "namespace: 'zz9q:'\nrules:\n  - {expiry: {idle: 30m, idle_refresh: 0}, size: {value: 1KiB}}\n", []maxOf{{"*", 30 * time.Minute}}, 1024},
	{"idle and lifetime", "zz9q:", "namespace: 'zz9q:'\n" + lifetimeRule, []maxOf{{"*", 30 * time.Minute}}, 0},
	{"jitter", "", "rules:\n  - {expiry: {max: 30m, jitter: 50%}}\n", []maxOf{{"*", 30 * time.Minute}}, 0},
	{"jitter, idle and lifetime", "zz9q:", "namespace: 'zz9q:'\nrules:\n  - {expiry: {idle: 30m, lifetime: 12h, jitter: 10%}}\n", []maxOf{{"*", 30 * time.Minute}}, 0},
	{"lifetime and size", "", "rules:\n  - {expiry: {default: 30m, lifetime: 12h}, size: {value: 1KiB}}\n", []maxOf{{"*", 12 * time.Hour}}, 1024},
}

// What two clients of a tenant say, whatever it is, leaves every key of the tenant within the rules, and everybody else's as
// they were; and no reply shows more than the tenant's own names.
func TestProperty(t *testing.T) {
	t.Parallel()
	n := randomCommands(t, 3000)
	for _, seed := range randomSeeds(t) {
		for _, l := range lawfulTenants {
			t.Run(fmt.Sprintf("%s/seed %d", l.name, seed), func(t *testing.T) {
				t.Parallel()
				obey(t, l, seed, n)
			})
		}
	}
}

// foreignMark is in the values of all keys that are not the tenant's, onlyForeign in the names of some.
const foreignMark, onlyForeign = "FOREIGN9VALUE", "only9foreign"

func obey(t *testing.T, l lawful, seed uint64, n int) {
	r := startRedis(t)
	obeyAt(t, l, seed, n, place{[]*conn{dial(t, r.addr)}, 16, r.upstream(), ""})
}

// place is where a gate's tenants have their keys: on one server, or on the masters of a cluster.
type place struct {
	masters  []*conn
	dbs      int
	upstream string
	avoid    string // commands that nobody says there
}

// at returns a connection to where a key is.
func (p place) at(key string) *conn {
	for _, c := range p.masters[1:] {
		if reply := c.do("EXISTS", key); reply[0] == ':' {
			return c
		}
	}
	return p.masters[0]
}

func obeyAt(t *testing.T, l lawful, seed uint64, n int, p place) {
	g := startGate(t, p.upstream+l.yaml)
	scratch := dial(t, startRedis(t).addr)
	docs, payloads := readDocs(scratch), dumps(scratch)
	before := plantForeign(p, l)
	var writer sync.WaitGroup
	ended := make(chan struct{})
	if l.prefix != "" { // somebody else writes all the while
		c := dial(t, p.masters[0].RemoteAddr().String())
		writer.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-ended:
					return
				default:
					c.do("SET", "busy9"+strconv.Itoa(i%50), foreignMark)
				}
			}
		})
	}
	// Redis 7.0 puts the invalidation that a client in RESP3 gets for another one, by REDIRECT, into the middle of its own EXEC.
	avoid := named("client|tracking " + p.avoid)
	for name := range holdsOrHarms {
		avoid[name] = l.prefix == "" // with a namespace these are refused
	}
	var wg sync.WaitGroup
	for resp := 2; resp <= 3; resp++ {
		wg.Go(func() {
			c := dialRESP(t, g.addr, resp)
			chance := rand.New(rand.NewPCG(seed, uint64(10+resp)))
			s := newSpeaker(seed, uint64(resp), resp, dialect{avoid: avoid, secret: true, limit: 1024}, docs, payloads, time.Now())
			var last []step
			var lastReplies []string
			for sent := 0; sent < n/2; {
				var steps []step
				for depth := 1 + chance.IntN(30); len(steps) < depth; {
					steps = append(steps, s.unit()...)
				}
				sent += len(steps)
				replies, err := c.play(cut(chance, steps), func(push string) { tells(t, l, seed, steps, push) })
				if err != nil {
					t.Errorf("seed %d, RESP%d, after %d commands: %v, in\n%s\nreplies %q\nbefore that\n%s\nreplies %q", seed, resp, sent, err, cliUnit(steps), replies, cliUnit(last), lastReplies)
					g.signal(t, syscall.SIGQUIT) // its log will show where everyone stands
					return
				}
				last, lastReplies = steps, replies
				for _, reply := range replies {
					if !tells(t, l, seed, steps, reply) {
						return
					}
				}
			}
		})
	}
	wg.Wait()
	close(ended)
	writer.Wait()
	judge(t, p, l, seed)
	if after := readForeign(p); l.prefix != "" && !slices.Equal(before, after) {
		t.Errorf("seed %d: foreign keys have changed:\nbefore %q\nafter  %q", seed, before, after)
	}
}

// tells reports a reply that shows what is not the tenant's to know.
func tells(t *testing.T, l lawful, seed uint64, steps []step, reply string) bool {
	for _, secret := range []string{"zz9q", foreignMark, onlyForeign, "busy9"} {
		if l.prefix != "" && strings.Contains(reply, secret) {
			t.Errorf("seed %d: a reply has %q: %q, to one of\n%s", seed, secret, shorten(reply), cliUnit(steps))
			return false
		}
	}
	return true
}

// plantForeign makes keys that are nobody's business, of the same names that the tenant uses, of other names, and of names that
// begin as the tenant's do but for a letter.
func plantForeign(p place, l lawful) []string {
	if l.prefix == "" {
		return nil
	}
	for db := range min(2, p.dbs) {
		p.choose(db)
		for _, kind := range []string{"s", "b", "h", "l", "t", "z", "x", "p", "g"} {
			for i := 1; i <= 4; i++ {
				key := fmt.Sprintf("%s:%d", kind, i)
				p.at(key).want(ok, "SET", key, foreignMark, "EX", "7777777")
			}
		}
		for _, name := range []string{onlyForeign, "zz9r:s:1", "zz9", "theirs:s:1", ""} {
			p.at(name).want(ok, "SET", name, foreignMark)
		}
		p.at(onlyForeign+"set").want(one, "SADD", onlyForeign+"set", foreignMark)
	}
	return readForeign(p)
}

// choose selects a database on every server.
func (p place) choose(db int) {
	for _, c := range p.masters {
		if p.dbs > 1 {
			c.want(ok, "SELECT", strconv.Itoa(db))
		}
	}
}

// readForeign reads all keys but the tenant's and those that are written meanwhile, with their expiries.
func readForeign(p place) (list []string) {
	for db := range min(2, p.dbs) {
		p.choose(db)
		for _, c := range p.masters {
			for _, key := range c.list("KEYS", "*") {
				if !strings.HasPrefix(key, "zz9q:") && !strings.HasPrefix(key, "busy9") {
					list = append(list, fmt.Sprintf("%d/%s %s %s", db, key, c.do("DUMP", key), c.do("PEXPIRETIME", key)))
				}
			}
		}
	}
	slices.Sort(list)
	return list
}

// judge holds the tenant's keys against its rules.
func judge(t *testing.T, p place, l lawful, seed uint64) {
	t.Helper()
	keys := 0
	for db := range p.dbs {
		p.choose(db)
		for _, c := range p.masters {
			keys += judgeKeys(t, c, l, seed, db)
		}
	}
	if keys == 0 {
		t.Logf("seed %d: there are no keys at the end", seed)
	}
}

// judgeKeys looks at the keys in one database of one server and counts them.
func judgeKeys(t *testing.T, c *conn, l lawful, seed uint64, db int) (keys int) {
	t.Helper()
	for _, key := range c.list("KEYS", "*") {
		bare, mine := strings.CutPrefix(key, l.prefix)
		if !mine {
			continue
		}
		keys++
		var max time.Duration
		for _, m := range l.max {
			if matched, _ := path.Match(m.pattern, strings.ReplaceAll(bare, "/", "|")); matched || m.pattern == "*" {
				max = m.max
				break
			}
		}
		ttl := time.Duration(c.int("PTTL", key)) * time.Millisecond
		if ttl == -2*time.Millisecond { // it has just expired
			continue
		}
		if ttl <= 0 || ttl > max {
			t.Errorf("seed %d: key %q of database %d has an expiry of %v, the maximum is %v", seed, key, db, ttl, max)
		}
		if c.do("TYPE", key) == "+string\r\n" {
			if size := c.int("STRLEN", key); l.limit > 0 && size > l.limit {
				t.Errorf("seed %d: key %q of database %d has %d bytes, the limit is %d", seed, key, db, size, l.limit)
			}
		}
	}
	return keys
}
