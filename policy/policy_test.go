package policy

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"sessiongate/command"
)

// The transcripts in testdata say what becomes of a command under rules:
//
//	namespace: app:
//	read_only: true
//	rules: expiry {default: 30m, max: 12h}
//	> SET sess:1 v                        # what the client sends
//	= SET sess:1 v EX 1800                # what Redis gets
//	! DENIED ...                          # or what the client gets instead
//
// Each "rules:" line is one more rule, its settings written as in the configuration; after a command they begin anew, as
// a "namespace:" line does. What Redis gets in a MULTI of the proxy's own stands between MULTI and EXEC. A check in the
// same step as the command stands before it as GUARD, the limit of what may be handed out as LIMIT. A key whose lifetime is kept
// stands as LIFE with its lifetime and what there is besides, in milliseconds: in front of a command that runs in the same step,
// behind one that leaves its expiry. The time is 1700000000 by the upstream's clock, the database 0.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { runTranscript(t, file) })
	}
}

// nothingWritten is what transcripts know of writes.
var nothingWritten = new(Written)

const testNow = 1700000000_000

func runTranscript(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var config Config
	var policy *Policy
	var plan Plan
	var sent, got string
	for i, line := range strings.Split(string(text), "\n") {
		at := fmt.Sprintf("%s:%d", file, i+1)
		line = withoutComment(line)
		head, rest, _ := strings.Cut(line, " ")
		switch head {
		case "":
		case "namespace:", "rules:", "read_only:":
			if policy != nil {
				policy, config = nil, Config{}
			}
			addSetting(t, at, &config, head, rest)
		case ">":
			if got != "" {
				t.Errorf("%s: nothing is said of what becomes of %s", at, sent)
			}
			if policy == nil {
				if policy, err = New(config); err != nil {
					t.Fatalf("%s: %v", at, err)
				}
			}
			sent, got = rest, explain(t, policy, &plan, splitWords(t, at, rest))
		case "=", "!":
			if got != line {
				t.Errorf("%s: %s\n got %s\nwant %s", at, sent, got, line)
			}
			got = ""
		default:
			t.Fatalf("%s: no such line: %s", at, line)
		}
	}
	if got != "" {
		t.Errorf("%s: nothing is said of what becomes of %s", file, sent)
	}
}

func withoutComment(line string) string {
	if strings.HasPrefix(line, "#") {
		return ""
	}
	line, _, _ = strings.Cut(line, "  #")
	return strings.TrimRight(line, " ")
}

// setting is a key and its value, which has brackets or is one word: "expiry {max: 12h}".
var setting = regexp.MustCompile(`(\w+) (\[[^\]]*\]|\{[^}]*\}|[^\s\[{]+)`)

func addSetting(t *testing.T, at string, c *Config, head, rest string) {
	t.Helper()
	switch head {
	case "namespace:":
		c.Namespace = rest
		return
	case "read_only:":
		c.ReadOnly = rest == "true"
		return
	}
	var rule RuleConfig
	text := "{" + setting.ReplaceAllString(rest, "$1: $2,") + "}"
	if err := yaml.UnmarshalWithOptions([]byte(text), &rule, yaml.Strict()); err != nil {
		t.Fatalf("%s: %s: %v", at, text, err)
	}
	c.Rules = append(c.Rules, rule)
}

// splitWords splits a command line; a word in double quotes is a Go string.
func splitWords(t *testing.T, at, line string) (args [][]byte) {
	t.Helper()
	for line = strings.TrimLeft(line, " "); line != ""; line = strings.TrimLeft(line, " ") {
		word, rest, _ := strings.Cut(line, " ")
		if line[0] == '"' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				t.Fatalf("%s: %s: %v", at, line, err)
			}
			rest = line[len(quoted):]
			word, _ = strconv.Unquote(quoted)
		}
		if n, ok := strings.CutPrefix(word, "x*"); ok && line[0] != '"' { // x*5 is xxxxx
			if count, err := strconv.Atoi(n); err == nil {
				word = strings.Repeat("x", count)
			}
		}
		args, line = append(args, []byte(word)), rest
	}
	return args
}

// request makes what the session makes of a command.
func request(t testing.TB, args [][]byte) *Request {
	t.Helper()
	spec := command.Lookup(args)
	if spec == nil {
		t.Fatalf("no such command: %q", args)
	}
	r := &Request{Spec: spec, Args: args, Now: testNow, Written: nothingWritten}
	if spec.Names != nil {
		names, ok := spec.Names(args, nil)
		if !ok {
			t.Fatalf("no names in %q", args)
		}
		r.Names = names
	}
	return r
}

// explain returns the line of the transcript that says what becomes of a command.
func explain(t *testing.T, p *Policy, plan *Plan, args [][]byte) string {
	t.Helper()
	r := request(t, args)
	p.Decide(r, plan)
	if plan.Refusal != nil {
		return "! " + strings.TrimSuffix(string(plan.Refusal.AppendRESP(nil)[1:]), "\r\n")
	}
	names := r.Names
	if plan.Args != nil {
		args, names = plan.Args, plan.Names
	}
	var steps []string
	switch {
	case plan.Replica && plan.Nearest:
		steps = append(steps, "NEAREST")
	case plan.Replica:
		steps = append(steps, "REPLICA")
	}
	if plan.Limit > 0 {
		steps = append(steps, fmt.Sprintf("LIMIT %d", plan.Limit))
	}
	if plan.Each {
		steps = append(steps, "LIMIT each")
	}
	if kind := [...]string{"", "append", "keys", "after", "source", "field"}[plan.Guard.Kind]; kind != "" {
		steps = append(steps, fmt.Sprintf("GUARD %s %d", kind, plan.Guard.Limit))
	}
	words := make([]string, len(args))
	for i := range args {
		words[i] = shown(args[i])
	}
	for _, name := range names {
		words[name.Arg] = shown(append(bytes.Clone(plan.Prefix), args[name.Arg]...))
	}
	var written, behind []string
	for _, b := range plan.Bounds {
		switch {
		case plan.Within && b.Life != nil && !b.Before:
			steps = append(steps, boundSteps(b, words[b.Arg])...)
		case b.Before:
			written = append(written, boundSteps(b, words[b.Arg])...)
		default:
			behind = append(behind, boundSteps(b, words[b.Arg])...)
		}
	}
	written = append(append(written, strings.Join(words, " ")), behind...)
	if len(written) > 1 && !plan.Loose {
		written = append(append([]string{"MULTI"}, written...), "EXEC")
	}
	return "= " + strings.Join(append(steps, written...), " | ")
}

func boundSteps(b Bound, key string) (steps []string) {
	if b.Elsewhere {
		steps = append(steps, fmt.Sprintf("SELECT %d", b.DB))
	}
	life := ""
	if b.Life != nil {
		life = fmt.Sprintf("LIFE %s %d", key, b.Life.Span)
		if b.Carried {
			life += " CARRIED"
		}
	}
	for _, s := range []struct {
		ms   int64
		flag string
	}{{b.Default, " NX"}, {b.Max, " LT"}, {b.Min, " GT"}, {b.Idle, ""}} {
		switch {
		case s.ms == 0:
		case life != "":
			life += strings.TrimRight(fmt.Sprintf(" %d%s", s.ms, s.flag), " ")
		case s.ms%1000 == 0:
			steps = append(steps, fmt.Sprintf("EXPIRE %s %d%s", key, s.ms/1000, s.flag))
		default:
			steps = append(steps, fmt.Sprintf("PEXPIRE %s %d%s", key, s.ms, s.flag))
		}
	}
	if life != "" {
		steps = append(steps, life)
	}
	if b.Elsewhere {
		steps = append(steps, "SELECT 0")
	}
	return steps
}

func shown(arg []byte) string {
	if len(arg) > 40 && len(bytes.Trim(arg, "x")) == 0 {
		return fmt.Sprintf("x*%d", len(arg))
	}
	if s := string(arg); s == "" || strings.ContainsAny(s, " \"\\|#") || strconv.Quote(s) != `"`+s+`"` {
		return strconv.Quote(s)
	}
	return string(arg)
}

func mustNew(t testing.TB, c Config) *Policy {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func words(line string) (args [][]byte) {
	for _, w := range strings.Fields(line) {
		args = append(args, []byte(w))
	}
	return args
}

func duration(t testing.TB, text string) (d Duration) {
	t.Helper()
	if err := d.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return d
}

// full is a policy with all kinds of rules on.
func full(t testing.TB) Config {
	return Config{Namespace: "app:", Rules: []RuleConfig{
		{Keys: []string{"*_LOCK"}, Expiry: &ExpiryConfig{}},
		{Name: "web", Keys: []string{"sess:*"},
			Expiry:   &ExpiryConfig{Default: duration(t, "30m"), Min: duration(t, "1m"), Max: duration(t, "12h")},
			Size:     &SizeConfig{Key: 512, Value: 64 << 10},
			Commands: &AccessConfig{Deny: []string{"@dangerous"}}},
	}}
}

func TestPolicy_DecideAllocates(t *testing.T) {
	p := mustNew(t, full(t))
	for _, line := range []string{
		"GET sess:1", "SET sess:1 v", "SET sess:1 v EX 99999", "SET sess:1 v NX GET PX 5", "SETEX sess:1 99999 v", "SETNX sess:1 v",
		"GETSET sess:1 v", "GETEX sess:1 PERSIST", "HSET sess:1 f v", "EXPIRE sess:1 99999 GT", "EXPIREAT sess:1 1800000000", "PERSIST sess:1",
		"APPEND sess:1 v", "RENAME sess:1 sess:2", "MGET sess:1 sess:2", "DEL sess:1", "TTL other", "PING",
		"MSET sess:0 v sess:1 v sess:2 v sess:3 v sess:4 v sess:5 v sess:6 v sess:7 v sess:8 v sess:9_LOCK v",
	} {
		r := request(t, words(line))
		var plan Plan
		if got := testing.AllocsPerRun(100, func() { p.Decide(r, &plan) }); got != 0 {
			t.Errorf("%s: %v allocations, want none", line, got)
		}
		if plan.Refusal != nil {
			t.Errorf("%s: %s", line, plan.Refusal.Text)
		}
	}
}

func TestPolicy_DecideAllocates_Access(t *testing.T) {
	for _, e := range []ExpiryConfig{{Idle: duration(t, "30m")}, {Idle: duration(t, "30m"), Lifetime: duration(t, "12h")}} {
		p := mustNew(t, Config{Namespace: "app:", Rules: []RuleConfig{{Expiry: &e}}})
		for _, line := range []string{"GET s", "HGETALL s", "MGET s x", "SET s v", "HSET s f v", "EXPIRE s 99", "RENAME s x", "EVAL x 1 s", "COPY s x"} {
			r := request(t, words(line))
			r.Recent = &Recent{}
			var plan Plan
			if got := testing.AllocsPerRun(100, func() { p.Decide(r, &plan) }); got != 0 {
				t.Errorf("%s: %v allocations, want none", line, got)
			}
		}
	}
}

func TestPolicy_Transparent(t *testing.T) {
	p := mustNew(t, Config{})
	if !p.Transparent() {
		t.Error("without rules and namespace a policy is not transparent")
	}
	for _, line := range []string{"SET k v", "SETNX k v", "GETSET k v", "HSET k f v", "KEYS *", "PERSIST k", "BLPOP k 0", "INFO", "COMMAND"} {
		plan := Plan{Limit: 7, Args: words("left over"), Bounds: []Bound{{Max: 1}}}
		p.Decide(request(t, words(line)), &plan)
		if plan.Refusal != nil || plan.Args != nil || plan.Prefix != nil || len(plan.Bounds) > 0 || plan.Guard.Kind != NoGuard || plan.Edit != command.Opaque || plan.Limit != 0 {
			t.Errorf("%s: the plan is %+v, want an empty one", line, plan)
		}
	}
	for _, c := range []Config{{Namespace: "a"}, {Rules: []RuleConfig{{Expiry: &ExpiryConfig{Max: 1e9}}}}} {
		if mustNew(t, c).Transparent() {
			t.Errorf("%+v is transparent", c)
		}
	}
}

func TestPolicy_Edit(t *testing.T) {
	ruled := Config{Rules: []RuleConfig{{Expiry: &ExpiryConfig{Max: 1e9}}}}
	spaced := ruled
	spaced.Namespace = "app:"
	for _, c := range []struct {
		line          string
		ruled, spaced command.Reply
	}{
		{"GET k", command.Value, command.Value},
		{"SET k v", command.Value, command.Value},
		{"SETNX k v", command.OKIsOne, command.OKIsOne},
		{"GETSET k v", command.Value, command.Value},
		{"PERSIST k", command.Opaque, command.Opaque},
		{"KEYS *", command.Opaque, command.KeyArray},
		{"RANDOMKEY", command.Opaque, command.OneKey},
		{"SCAN 0", command.Opaque, command.CursorKeys},
		{"LMPOP 1 k LEFT", command.Opaque, command.FirstIsKey},
		{"XREAD STREAMS k 0", command.Opaque, command.Streams},
		{"COMMAND COUNT", command.CommandTable, command.CommandTable},
		{"INFO", command.ServerInfo, command.ServerInfo},
	} {
		var plan Plan
		if mustNew(t, ruled).Decide(request(t, words(c.line)), &plan); plan.Edit != c.ruled {
			t.Errorf("%s under rules: edit %d, want %d", c.line, plan.Edit, c.ruled)
		}
		if mustNew(t, spaced).Decide(request(t, words(c.line)), &plan); plan.Edit != c.spaced {
			t.Errorf("%s in a namespace: edit %d, want %d", c.line, plan.Edit, c.spaced)
		}
	}
}

func TestPolicy_RuleName(t *testing.T) {
	p := mustNew(t, Config{Rules: []RuleConfig{
		{Keys: []string{"s:*"}, Expiry: &ExpiryConfig{Max: 1e9}},
		{Name: "rest", Expiry: &ExpiryConfig{Max: 1e9}},
	}})
	for line, want := range map[string]string{"GET s:1": "s:*", "MGET x s:1": "rest", "DBSIZE": "rest", "KEYS s:*": "rest"} {
		if got := p.RuleName(request(t, words(line))); got != want {
			t.Errorf("%s belongs to %q, want %q", line, got, want)
		}
	}
}
