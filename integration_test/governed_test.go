package integration_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mode is one of the four ways in which a command may be governed.
type mode struct {
	name   string
	prefix string
	ruled  bool // expiry {default: 30m, max: 12h}
	access bool // expiry {idle: 30m} or, ruled, {idle: 30m, lifetime: 12h}
}

var modes = []mode{
	{"transparent", "", false, false},
	{"namespaced", "app:", false, false},
	{"expiry", "", true, false},
	{"namespaced and expiry", "app:", true, false},
}

// accessModes are those in which accesses change expiries, and those in which a birth is kept besides.
var accessModes = []mode{
	{"idle", "", false, true},
	{"namespaced, idle and lifetime", "app:", true, true},
}

const (
	namespaceApp = "namespace: \"app:\"\n"
	expiryRule   = "rules:\n  - expiry: {default: 30m, max: 12h}\n"
	idleRule     = "rules:\n  - expiry: {idle: 30m, idle_refresh: 0}\n"
	lifetimeRule = "rules:\n  - expiry: {idle: 30m, idle_refresh: 0, lifetime: 12h}\n"
)

func (m mode) yaml() string {
	y := ""
	if m.prefix != "" {
		y += namespaceApp
	}
	switch {
	case m.access && m.ruled:
		y += lifetimeRule
	case m.access:
		y += idleRule
	case m.ruled:
		y += expiryRule
	}
	return y
}

// governed is a run of commands, and the expiry in seconds that each key has after it when the expiry rule is on.
//
// The commands go both to a plain server and through the gate; replies must be equal. A line that begins with @ is
// done behind the gate's back, its words that begin with ~ being keys. A line that begins with ? may be answered
// differently when the expiry rule is on, because a key there has an expiry that it doesn't have on a plain server.
// now+100 is a Unix time in seconds, nowms+100 one in milliseconds.
//
// Afterwards both servers must hold the same keys with the same contents, under the prefix, and foreign keys of the
// same names must be as they were. Without the expiry rule, expiries must be equal too.
type governed struct {
	name  string
	lines string
	ttl   string // "a 1800, b 100, 1/c 50": 1/ is database 1; a key made by @ needn't be listed
}

// Every command on strings and every command on keys of any type does with a namespace and with an expiry rule what it
// does without, except for what the rule is there to change.
func TestGoverned(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		for resp := 2; resp <= 3; resp++ {
			t.Run(fmt.Sprintf("%s/RESP%d", m.name, resp), func(t *testing.T) {
				t.Parallel()
				plain, behind := startRedis(t), startRedis(t)
				b := bench{
					mode: m, resp: resp,
					plain: dial(t, plain.addr), behind: dial(t, behind.addr),
					plainAddr: plain.addr, gateAddr: startGate(t, behind.upstream()+m.yaml()).addr,
				}
				for _, g := range governedCases {
					t.Run(g.name, func(t *testing.T) { b.run(t, g) })
				}
			})
		}
	}
}

// bench is a plain server, and a gate with a server behind it.
type bench struct {
	mode
	resp                int
	plain, behind       *conn // straight to the servers, not to the gate
	alone               bool  // there are no foreign keys
	plainAddr, gateAddr string
}

// foreign are names that keys outside the namespace have, so that a forgotten prefix shows.
var foreign = []string{"a", "b", "c", "l", "w1", "zz:foreign", "ap", "app", "APP:a"}

func (b bench) run(t *testing.T, g governed) {
	b.plain.t, b.behind.t = t, t
	b.plain.want(ok, "FLUSHALL")
	b.behind.want(ok, "FLUSHALL")
	if b.prefix != "" {
		for _, db := range []string{"1", "0"} {
			b.behind.want(ok, "SELECT", db)
			for _, name := range foreign {
				b.behind.want(ok, "SET", name, "foreign", "EX", "7777777")
			}
		}
	}
	direct, proxied := dialRESP(t, b.plainAddr, b.resp), dialRESP(t, b.gateAddr, b.resp)
	now := time.Now()
	planted := map[string]bool{}
	for _, line := range lines(g.lines) {
		line = strings.TrimSpace(line)
		mark := ""
		if line[0] == '@' || line[0] == '?' {
			mark, line = line[:1], line[1:]
		}
		args := split(line)
		for i, a := range args {
			args[i] = clock(now, a)
		}
		if mark == "@" {
			b.plant(args, planted)
			continue
		}
		want, got := direct.do(args...), proxied.do(args...)
		alike := alikeFor(args)
		switch {
		case mark == "?" && b.ruled:
			if got[0] != want[0] {
				t.Errorf("%s\n got %s\nwant the kind of %s", line, shorten(got), shorten(want))
			}
		case alike != nil && !alike(got, want), alike == nil && got != want:
			t.Errorf("%s\n got %s\nwant %s", shorten(line), shorten(got), shorten(want))
		}
	}
	b.compare(t, g, planted)
}

// clock turns now+100 and nowms+100 into Unix times.
func clock(now time.Time, word string) string {
	if after, found := strings.CutPrefix(word, "now+"); found {
		n, _ := strconv.ParseInt(after, 10, 64)
		return strconv.FormatInt(now.Unix()+n, 10)
	}
	if after, found := strings.CutPrefix(word, "nowms+"); found {
		n, _ := strconv.ParseInt(after, 10, 64)
		return strconv.FormatInt(now.UnixMilli()+n, 10)
	}
	return word
}

// plant runs a command at both servers behind the gate's back.
func (b bench) plant(args []string, planted map[string]bool) {
	bare, prefixed := slices.Clone(args), slices.Clone(args)
	for i, a := range args {
		if name, found := strings.CutPrefix(a, "~"); found {
			bare[i], prefixed[i] = name, b.prefix+name
			planted[name] = true
		}
	}
	b.plain.do(bare...)
	b.behind.do(prefixed...)
}

// compare looks at what is in the two servers after a case.
func (b bench) compare(t *testing.T, g governed, planted map[string]bool) {
	t.Helper()
	wantTTL := map[string]int{}
	for _, entry := range strings.Split(g.ttl, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			space := strings.LastIndex(entry, " ")
			wantTTL[entry[:space]], _ = strconv.Atoi(entry[space+1:])
		}
	}
	for _, db := range []string{"1", "0"} {
		b.plain.want(ok, "SELECT", db)
		b.behind.want(ok, "SELECT", db)
		wantKeys := b.plain.list("KEYS", "*")
		if got := b.ownKeys(t); !slices.Equal(got, wantKeys) {
			t.Errorf("keys in database %s are %q, want %q", db, got, wantKeys)
			continue
		}
		for _, name := range wantKeys {
			if got, want := b.behind.do("DUMP", b.prefix+name), b.plain.do("DUMP", name); got != want {
				t.Errorf("%s holds %s, want %s", name, shorten(got), shorten(want))
			}
			want := b.plain.int("TTL", name)
			if b.ruled {
				label := name
				if db == "1" {
					label = "1/" + name
				}
				listed := false
				if want, listed = wantTTL[label]; !listed {
					if !planted[name] {
						t.Errorf("the case doesn't say what the expiry of %s is", label)
					}
					continue
				}
				delete(wantTTL, label)
			}
			if got := b.behind.int("TTL", b.prefix+name); got > want+1 || got < want-5 {
				t.Errorf("%s expires in %d s, want %d", name, got, want)
			}
		}
	}
	if b.ruled && len(wantTTL) > 0 {
		t.Errorf("missing keys: %v", wantTTL)
	}
}

// ownKeys returns the keys in the gate's server that are not foreign, without the prefix, and checks the foreign ones.
func (b bench) ownKeys(t *testing.T) []string {
	t.Helper()
	own := []string{}
	untouched := 0
	for _, name := range b.behind.list("KEYS", "*") {
		if b.prefix == "" {
			own = append(own, name)
			continue
		}
		if bare, found := strings.CutPrefix(name, b.prefix); found {
			own = append(own, bare)
			continue
		}
		untouched++
		if !slices.Contains(foreign, name) {
			t.Errorf("key %q is outside the namespace", name)
			continue
		}
		b.behind.want(bulk("foreign"), "GET", name)
		if ttl := b.behind.int("TTL", name); ttl < 7777777-300 || ttl > 7777777 {
			t.Errorf("foreign key %s expires in %d s now", name, ttl)
		}
	}
	if b.prefix != "" && !b.alone && untouched != len(foreign) {
		t.Errorf("%d foreign keys are left of %d", untouched, len(foreign))
	}
	return own
}
