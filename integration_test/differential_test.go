package integration_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// Random commands are answered through the gate with the same bytes as by a plain server, without rules, and with a
// namespace where that has nothing to do with the answer.
func TestDifferential(t *testing.T) {
	t.Parallel()
	n := randomCommands(t, 3000)
	for _, seed := range randomSeeds(t) {
		for _, m := range modes {
			if m.ruled {
				continue
			}
			for resp := 2; resp <= 3; resp++ {
				t.Run(fmt.Sprintf("%s/RESP%d/seed %d", m.name, resp, seed), func(t *testing.T) {
					t.Parallel()
					newDifferential(t, m, resp, seed).run(n)
				})
			}
		}
	}
}

// differential is a plain server, and a gate with a server behind it, that are told the same.
type differential struct {
	bench
	t               *testing.T
	seed            uint64
	chance          *rand.Rand
	speaker         *speaker
	direct, proxied *conn
	queued          []step          // since MULTI
	others          []*conn         // the other nodes, where a cluster is behind
	legal           func(unit) unit // what may be said of a unit; nil: all of it
}

// avoidAlways are left out of comparisons, and avoidNamespaced are those with a namespace: what is about the whole server
// is refused there, or tells of the tenant only.
const (
	avoidAlways     = "client|tracking client|getredir client|trackinginfo client|caching client|no-evict client|unblock function|dump command|docs command|list command|info @cluster time lolwut command"
	avoidNamespaced = "@server function|load function|delete function|flush function|list function|stats function|restore function|kill script|kill script|flush client|getredir client|trackinginfo pubsub|numpat eval script|load script|exists"
)

func newDifferential(t *testing.T, m mode, resp int, seed uint64) *differential {
	t.Helper()
	return newDifferentialOf(t, m, m.yaml(), resp, seed)
}

// newDifferentialOf is newDifferential for a gate of another configuration that should make no difference.
func newDifferentialOf(t *testing.T, m mode, yaml string, resp int, seed uint64) *differential {
	t.Helper()
	plain, behind := startRedis(t, serverArgs("--")...), startRedis(t, serverArgs("--")...)
	return newDifferentialWith(t, m, resp, seed, plain, behind.addr, startGate(t, behind.upstream()+yaml).addr, "")
}

// serverArgs are the settings of servers that are to answer alike, as arguments or as lines of a file.
func serverArgs(dashes string) []string {
	return []string{dashes + "hash-max-listpack-value", "1000000000", dashes + "zset-max-listpack-value", "1000000000",
		dashes + "slowlog-log-slower-than", "-1", dashes + "rdbcompression", "no"}
}

// newDifferentialWith compares a plain server with a gate, behind which is the server at the address behind. The commands in
// avoidToo are left out besides.
func newDifferentialWith(t *testing.T, m mode, resp int, seed uint64, plain *redisServer, behind, gate, avoidToo string) *differential {
	t.Helper()
	d := &differential{
		t: t, seed: seed, chance: rand.New(rand.NewPCG(seed, 2)),
		bench: bench{mode: m, resp: resp, plain: dial(t, plain.addr), behind: dial(t, behind), plainAddr: plain.addr, gateAddr: gate},
	}
	avoid := named(avoidAlways + " " + avoidToo)
	for name := range holdsOrHarms {
		avoid[name] = true
	}
	if m.prefix != "" {
		for name := range named(avoidNamespaced) {
			avoid[name] = true
		}
	}
	d.speaker = newSpeaker(seed, uint64(resp), resp, dialect{alike: true, avoid: avoid, limit: 1000}, readDocs(d.plain), dumps(d.plain), time.Now())
	return d
}

// dumps returns payloads for RESTORE, of every type but streams, which hold times.
func dumps(c *conn) []string {
	c.pipeline("SET s "+strings.Repeat("p", 50), "SET n 10", "RPUSH l 1 2 "+strings.Repeat("e", 70), "SADD t 1 2 3", "ZADD z 1 m1 2.5 m2", "HSET h f1 1 f2 v",
		"SET big "+strings.Repeat("b", 70_000), "RPUSH lbig "+strings.Repeat("b", 70_000))
	list := []string{"", "garbage"}
	for _, key := range []string{"s", "n", "l", "t", "z", "h", "big", "lbig"} {
		v, _ := parse(c.do("DUMP", key))
		list = append(list, v.text)
	}
	c.want(ok, "FLUSHALL")
	return list
}

// start puts both servers and both connections back to the beginning.
func (d *differential) start() {
	for _, c := range []*conn{d.direct, d.proxied} {
		if c != nil {
			c.Close()
		}
	}
	for _, c := range append([]*conn{d.plain, d.behind}, d.others...) {
		c.want(ok, "FLUSHALL")
		c.want(ok, "SCRIPT", "FLUSH")
		c.want(ok, "FUNCTION", "FLUSH")
	}
	d.alone = d.others != nil
	if d.prefix != "" && !d.alone {
		for _, db := range []string{"1", "0"} {
			d.behind.want(ok, "SELECT", db)
			for _, name := range foreign {
				d.behind.want(ok, "SET", name, "foreign", "EX", "7777777")
			}
		}
	}
	d.direct, d.proxied = dialRESP(d.t, d.plainAddr, d.resp), dialRESP(d.t, d.gateAddr, d.resp)
	d.queued = nil
}

func (d *differential) run(n int) {
	d.t.Logf("seed %d", d.seed)
	d.start()
	var history []unit
	for sent := 0; sent < n; {
		var steps []step
		begin := len(history)
		for depth := 1 + d.chance.IntN(40); len(steps) < depth; {
			u := d.speaker.unit()
			if d.legal != nil {
				u = d.legal(u)
			}
			history = append(history, u)
			steps = append(steps, u...)
		}
		if fault := d.try(steps, cut(d.chance, steps)); fault != "" {
			d.report(fault, sent, history, begin)
			return
		}
		sent += len(steps)
	}
	d.proxied.t, d.direct.t = d.t, d.t
	same(d.t, d.direct, d.proxied, "PING", "the end")
	d.compareStores()
}

// try plays a pipeline to both and returns the first difference.
func (d *differential) try(steps []step, parts []part) string {
	want, wantErr := d.direct.play(parts, func(string) {})
	got, gotErr := d.proxied.play(parts, func(string) {})
	at := 0
	for _, s := range steps {
		for range s.replies {
			if at == len(want) {
				return fmt.Sprintf("%s: plain server: %v", cli(s.args), wantErr)
			}
			if at == len(got) {
				return fmt.Sprintf("%s: gate: %v\nwant %s", cli(s.args), gotErr, shorten(want[at]))
			}
			if !d.same(s, got[at], want[at]) {
				return fmt.Sprintf("%s\n got %s\nwant %s", cli(s.args), shorten(got[at]), shorten(want[at]))
			}
			at++
		}
	}
	return ""
}

// same compares replies; EXEC's by what the commands are that were queued.
func (d *differential) same(s step, got, want string) bool {
	if want == "+QUEUED\r\n" {
		d.queued = append(d.queued, s)
		return got == want
	}
	name := strings.ToUpper(s.args[0])
	if name != "EXEC" && name != "DISCARD" || len(s.args) > 1 {
		return alikeReplies(s, got, want)
	}
	queued := d.queued
	d.queued = nil
	wantEach, gotEach := elements(want), elements(got)
	if len(wantEach) != len(queued) || len(gotEach) != len(queued) || len(queued) == 0 {
		return got == want
	}
	for i, q := range queued {
		if !alikeReplies(q, gotEach[i], wantEach[i]) {
			return false
		}
	}
	return true
}

func alikeReplies(s step, got, want string) bool {
	return got == want || s.alike != nil && s.alike(got, want)
}

// report fails the test with what led to the fault.
func (d *differential) report(fault string, index int, history []unit, begin int) {
	d.t.Errorf("seed %d, after %d commands: %s", d.seed, index, fault)
	fails := func(units []unit) bool {
		d.start()
		for _, u := range units {
			if f := d.try(u, atOnce(u)); f != "" {
				fault = f
				return true
			}
		}
		return false
	}
	shorter := shrink(history, fails)
	if shorter == nil {
		d.t.Log("not again when pipelines are not cut; the last commands were:")
		shorter = history[begin:]
	} else if single := shrink(singly(shorter), fails); single != nil {
		shorter = single
	} else {
		d.t.Log("each line in one write:")
	}
	for _, u := range shorter {
		d.t.Log(cliUnit(u))
	}
	d.t.Logf("then: %s", fault)
}

// compareStores looks at what is in the two servers in the end.
func (d *differential) compareStores() {
	dbs := []string{"1", "0"}
	if d.others != nil {
		dbs = dbs[1:] // a cluster has no others
	}
	for _, db := range dbs {
		d.plain.want(ok, "SELECT", db)
		d.behind.want(ok, "SELECT", db)
		want := d.plain.list("KEYS", "*")
		if got := d.ownKeys(d.t); !slices.Equal(got, want) {
			d.t.Errorf("keys in database %s are %q, want %q", db, got, want)
			continue
		}
		for _, key := range want {
			for _, ask := range []string{"TYPE", "PEXPIRETIME", "DUMP"} {
				want, got := d.plain.do(ask, key), d.behind.do(ask, d.prefix+key)
				if ask == "DUMP" && want != got && len(want) == len(got) || ask == "PEXPIRETIME" && within(60_000)(got, want) {
					continue
				}
				if got != want {
					d.t.Errorf("%s %q in database %s is %s, want %s", ask, key, db, shorten(got), shorten(want))
				}
			}
		}
	}
}
