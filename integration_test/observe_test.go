package integration_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// observedRules break about every second command of a speaker.
const observedRules = `rules:
- {name: strings, keys: ["s:*"], expiry: {default: 30m, max: 12h}, size: {value: 1000}}
- {name: strict, keys: ["h:*", "z:*"], expiry: {min: 1m, max: 1h, over: refuse}, size: {key: 3, value: 1000}}
- {name: weak, keys: ["l:*"], key_entropy: 64}
- {name: idle, keys: ["t:*"], expiry: {idle: 20m, idle_refresh: 0}}
- {name: lifetime, keys: ["x:*"], expiry: {lifetime: 2h}}
- {name: rest, expiry: {default: 30m}, commands: {deny: [dbsize, "@hyperloglog", exists, ping, watch]}}
`

// Rules that are only observed change no byte: random commands are answered as by a plain server.
func TestObserve_Differential(t *testing.T) {
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
					newDifferentialOf(t, m, m.yaml()+"mode: observe\n"+observedRules, resp, seed).run(n)
				})
			}
		}
	}
}

// observedTrial is an observing gate and an enforcing one, each before a server of its own.
type observedTrial struct {
	t     *testing.T
	gates [2]*gate
	ends  [2]end
	log   [2][]string // what a server was sent in the unit at hand
}

// end is what a test has on one of the two sides.
type end struct {
	client, behind, monitor *conn
}

func newTrial(t *testing.T, resp int) *observedTrial {
	tr := &observedTrial{t: t}
	for i, mode := range []string{"observe", "enforce"} {
		r := startRedis(t)
		tr.gates[i] = startGate(t, r.upstream()+"mode: "+mode+"\n"+observedRules)
		tr.ends[i] = end{dialRESP(t, tr.gates[i].addr, resp), dial(t, r.addr), dial(t, r.addr)}
		tr.ends[i].monitor.want(ok, "MONITOR")
	}
	return tr
}

var (
	monitored = regexp.MustCompile(`^\+[0-9.]+ \[[0-9]+ ([^\]]*)\] (.*)\r\n$`)
	// ofTheGate are commands by which it looks after its connections.
	ofTheGate = regexp.MustCompile(`(?i)^"(ping|time|hello|client|select|info|auth|reset|readonly|command|echo)"`)
)

// play brings both servers into the same state, sends the unit through both gates, and tells whether the enforcing one did anything
// else than pass it on: what it sent differs, or it refused.
func (tr *observedTrial) play(n int, u unit) (enforced bool) {
	var replies [2][]string
	for i, e := range tr.ends {
		e.behind.pipeline("FLUSHALL", "SET s:1 "+strings.Repeat("v", 2000), "SET s:2 abc", "SET k v EX 99", "HSET h:1 f "+strings.Repeat("v", 1500)+" g 1",
			"RPUSH l:1 a b", "ZADD z:1 1 m", "SADD t:1 a b", "SET x:1 "+strings.Repeat("v", 1500), "HSET h:2 f v")
		e.behind.do("PING", fmt.Sprint("begin ", n))
		e.client.want(ok, "CLIENT", "SETNAME", fmt.Sprint("unit-", n))
		var err error
		if replies[i], err = e.client.play(atOnce(u), func(string) {}); err != nil {
			tr.t.Fatalf("unit %d, %v: %v", n, u, err)
		}
		e.behind.do("PING", fmt.Sprint("end ", n))
		tr.log[i] = tr.sent(e.monitor, n)
	}
	refused := func(reply string) bool {
		return strings.Contains(reply, "-DENIED ") || strings.Contains(reply, "-NOPERM ")
	}
	return !slices.Equal(tr.log[0], tr.log[1]) || slices.ContainsFunc(replies[1], refused)
}

// sent is what clients of the gate had sent to a server in the n-th unit.
func (tr *observedTrial) sent(monitor *conn, n int) (list []string) {
	begun := false
	for {
		m := monitored.FindStringSubmatch(monitor.read())
		switch {
		case m == nil:
			tr.t.Fatal("MONITOR shows something else")
		case m[2] == fmt.Sprintf(`"PING" "begin %d"`, n):
			begun = true
		case m[2] == fmt.Sprintf(`"PING" "end %d"`, n):
			return list
		case begun && m[1] != "lua" && !ofTheGate.MatchString(m[2]):
			list = append(list, m[2])
		}
	}
}

// The report of an observing gate names exactly what an enforcing one refuses or sends otherwise.
func TestObserve_NamesWhatEnforcingDoes(t *testing.T) {
	t.Parallel()
	for _, seed := range randomSeeds(t) {
		for resp := 2; resp <= 3; resp++ {
			t.Run(fmt.Sprintf("RESP%d/seed %d", resp, seed), func(t *testing.T) {
				t.Parallel()
				tr := newTrial(t, resp)
				units := append(handmade(), randomUnits(tr, resp, seed, randomCommands(t, 600))...)
				var enforced []bool
				for n, u := range units {
					enforced = append(enforced, tr.play(n, u))
				}
				observed := tr.observed()
				count := 0
				for n, u := range units {
					commands := observed[fmt.Sprint("unit-", n)]
					if enforced[n] != (len(commands) > 0) {
						t.Errorf("%s: enforced %v, but observed %v", cliOf(u), enforced[n], commands)
					}
					for _, name := range commands {
						if !slices.ContainsFunc(u, func(s step) bool { return strings.HasPrefix(strings.ToUpper(strings.Join(s.args, " ")), name) }) {
							t.Errorf("%s: observed %s", cliOf(u), name)
						}
					}
					if enforced[n] {
						count++
					}
				}
				t.Logf("of %d units, enforcing changes %d, and observing names each of them", len(units), count)
				if count < len(units)/5 || count == len(units) {
					t.Error("that shows little")
				}
			})
		}
	}
}

func cliOf(u unit) string {
	var all []string
	for _, s := range u {
		all = append(all, cli(s.args))
	}
	return shorten(strings.Join(all, "; "))
}

// handmade are units that random commands hardly bring.
func handmade() (units []unit) {
	for _, text := range []string{
		"SET s:3 v", "SET s:3 v EX 99999", "SET s:3 v EX 60", "GET s:1", "GET s:2", "APPEND s:1 x", "APPEND s:2 x", "GETDEL s:1", "MGET s:1 x:1", "MGET s:2 x:1",
		"EXPIRE h:2 99999", "HGET h:1 f", "HGET h:1 g", "RPUSH l:1 c", "RPUSH l:9 c", "SET toolong v", "DBSIZE", "PING", "PFADD p x", "EXISTS s:1",
		"EVAL 'return 1' 0", "FUNCTION FLUSH", "NOSUCH x", "BLPOP l:1 1", "BLMOVE l:1 l:2 LEFT LEFT 1", "DUMP s:1", "DUMP x:1", "WATCH s:1;UNWATCH",
		"MULTI;SET s:3 v;EXEC", "MULTI;GET s:1;GET s:2;EXEC", "MULTI;GET s:2;EXEC", "MULTI;PFADD p x;GET s:2;EXEC", "MULTI;GET s:1;DISCARD",
		"MULTI;EXPIRE k 10;EXEC", "MULTI;NOSUCH;EXEC", "SORT l:1 ALPHA STORE s:3", "RENAME x:1 s:3", "COPY x:1 s:3", "PERSIST k", "GETEX s:2 PERSIST",
	} {
		var u unit
		for _, line := range strings.Split(text, ";") {
			u = append(u, step{args: split(line), replies: 1})
		}
		units = append(units, u)
	}
	return units
}

// randomUnits are single commands of a speaker. What the gate answers itself under rules, and is no rule's doing, is not among them.
func randomUnits(tr *observedTrial, resp int, seed uint64, n int) (units []unit) {
	avoid := named(avoidAlways + " @connection")
	for name := range holdsOrHarms {
		avoid[name] = true
	}
	behind := tr.ends[0].behind
	s := newSpeaker(seed, uint64(30+resp), resp, dialect{alike: true, avoid: avoid, limit: 1000}, readDocs(behind), dumps(behind), time.Now())
	chance := rand.New(rand.NewPCG(seed, 31))
	for len(units) < n {
		st := s.command()
		if chance.IntN(10) == 0 {
			st = s.script()
		}
		st.inline = false
		units = append(units, unit{st})
	}
	return units
}

// observed ends the observing gate and returns which commands of which client its log names, as the program sums it up.
func (tr *observedTrial) observed() map[string][]string {
	tr.t.Helper()
	g := tr.gates[0]
	g.signal(tr.t, syscall.SIGTERM)
	<-g.done
	out, code := gatectlStdin(tr.t, g.out.String(), "observe", "--json")
	var report struct {
		Findings []struct{ Client, Command string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 0 {
		tr.t.Fatalf("observe ends with %d, %v: %s", code, err, shorten(out))
	}
	all := map[string][]string{}
	for _, f := range report.Findings {
		all[f.Client] = append(all[f.Client], f.Command)
	}
	return all
}

// Rules in force and rules observed, beside each other, in transactions, scripts and blocking commands; by redis-cli and as the
// log has it.
func TestObserve_BesideRulesInForce(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+`namespace: "app:"
rules:
- {name: strings, keys: ["s:*"], mode: observe, expiry: {max: 1h}, size: {value: 4}}
- {name: rest, expiry: {max: 2h}, commands: {deny: [dbsize]}}
`)
	c, behind := dial(t, g.addr), dial(t, r.addr)
	c.want(ok, "CLIENT", "SETNAME", "cart")
	c.want(ok, "CLIENT", "SETINFO", "LIB-NAME", "redis-py")
	if got := redisCLI(t, "set s:1 longer\nset k v\nttl s:1\nttl k\nappend s:1 x\n", "-p", port(g.addr)); got != "OK\nOK\n-1\n7200\n7" {
		t.Errorf("redis-cli prints %q", got)
	}
	c.wantPrefix("-NOPERM", "DBSIZE")
	c.want(bulk("longerx"), "GET", "s:1")
	for _, got := range [][2]string{
		{c.pipeline("MULTI", "GET s:1", "HSET h f v", "APPEND s:2 long", "APPEND s:2 er", "EXEC")[5], "*4\r\n" + bulk("longerx") + ":1\r\n:4\r\n:6\r\n"},
		{c.do("MGET", "s:1", "k"), "*2\r\n" + bulk("longerx") + bulk("v")},
		{c.do("EVAL", "return redis.call('SET', KEYS[1], 'long value')", "1", "s:3"), ok},
		{c.do("BLMOVE", "s:none", "l", "LEFT", "LEFT", "0.01"), "*-1\r\n"},
	} {
		if got[0] != got[1] {
			t.Errorf("got %q, want %q", got[0], got[1])
		}
	}
	behind.want(":-1\r\n", "TTL", "app:s:2")
	behind.want(":7200\r\n", "TTL", "app:h")
	g.signal(t, syscall.SIGTERM)
	<-g.done
	out, _ := gatectlStdin(t, g.out.String(), "observe", "--json")
	var report struct {
		Findings []struct {
			Client, Library, Rule, Kind, Command, Verdict string
			Count                                         int
		}
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var got []string
	for _, f := range report.Findings {
		got = append(got, fmt.Sprint(f.Client, " ", f.Library, " ", f.Rule, " ", f.Kind, " ", f.Command, " ", f.Verdict, " ", f.Count))
	}
	slices.Sort(got)
	want := []string{
		"  strings expiry APPEND rewrite 1", "  strings size APPEND refuse 1", "  strings size SET refuse 1",
		"cart redis-py strings expiry APPEND rewrite 2", "cart redis-py strings expiry EVAL rewrite 1", "cart redis-py strings script EVAL rewrite 1",
		"cart redis-py strings size APPEND refuse 1", "cart redis-py strings size APPEND rewrite 1",
		"cart redis-py strings size GET refuse 2", "cart redis-py strings size MGET refuse 1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("observed\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if strings.Contains(g.out.String(), "longer") {
		t.Error("the log has a value")
	}
}

// A rule that was observed is enforced by a reload, with clients connected, and the other way round.
func TestObserve_Reload(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	rule := "rules: [{name: web, expiry: {max: 1h}}]\n"
	g := startChanging(t, r.upstream(), "mode: observe\n"+rule)
	c, behind := dial(t, g.addr), dial(t, r.addr)
	for _, e := range []struct{ yaml, ttl string }{{"", ":-1\r\n"}, {rule, ":3600\r\n"}, {"mode: observe\n" + rule, ":-1\r\n"}} {
		if e.yaml != "" {
			g.reload(e.yaml)
		}
		c.want(ok, "SET", "k", "v")
		behind.want(e.ttl, "TTL", "k")
	}
	if n := g.logged(`"observed"`); n != 1 {
		t.Errorf("%d lines about what is observed, want 1: the class is known", n)
	}
}
