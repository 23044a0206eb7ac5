package proxy

import (
	"strings"
	"testing"
	"time"

	"sessiongate/command"
	"sessiongate/policy"
)

// What explain says of a command, with rules and namespace.
func TestExplain(t *testing.T) {
	hour := policy.Duration(time.Hour)
	p, err := policy.New(policy.Config{Namespace: "app:", Rules: []policy.RuleConfig{
		{Name: "web", Keys: []string{"s:*"}, Expiry: &policy.ExpiryConfig{Max: hour}, Size: &policy.SizeConfig{Value: 10}, Commands: &policy.AccessConfig{Deny: []string{"incr"}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	const ns = "errors lose the namespace"
	for _, c := range []struct{ line, verdict, sent, reply string }{
		{"GET k", "rewrite", "GET app:k", ns},
		{"GET s:1", "rewrite", "LIMIT 10 | GET app:s:1", "a value above 10 bytes is discarded, and refused; " + ns},
		{"SETNX s:1 v", "rewrite", "SET app:s:1 v NX EX 3600", "OK becomes 1, and null becomes 0; " + ns},
		{"HSET s:1 f v", "rewrite", "MULTI | HSET app:s:1 f v | EXPIRE app:s:1 3600 LT | EXEC",
			"of EXEC's array only the command's own reply is shown; " + ns},
		{"SCAN 0", "rewrite", "SCAN 0 MATCH app:*", "names lose the namespace; " + ns},
		{"KEYS *", "local", "", "made up of the replies to several commands upstream"},
		{"SUBSCRIBE c", "rewrite", "SUBSCRIBE app:c", "channels lose the namespace; " + ns},
		{"INCR s:1", "refuse", "", ""},
		{"CONFIG RESETSTAT", "refuse", "", ""},
		{"PING", "local", "", ""},
		{"DBSIZE", "local", "", "made up of the replies to several commands upstream"},
	} {
		var args [][]byte
		for _, word := range strings.Fields(c.line) {
			args = append(args, []byte(word))
		}
		e := Explain(p, args, 1700000000_000)
		if e.Verdict != c.verdict || strings.Join(e.Sent, " | ") != c.sent || e.Reply != c.reply || (e.Reason != "") != (c.verdict == "refuse") {
			t.Errorf("%s: %+v", c.line, e)
		}
		for i, line := range strings.Split(strings.TrimSuffix(e.String(), "\n"), "\n") {
			if !strings.ContainsRune(">=!#", rune(line[0])) || (i == 0) != (line[0] == '>') {
				t.Errorf("%s: a transcript has no line as %q", c.line, line)
			}
		}
	}
}

// Without rules and namespace a command goes as it is, and so does its reply, but that of INFO.
func TestExplain_Transparent(t *testing.T) {
	p, err := policy.New(policy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ line, reply string }{
		{"SET k v", "passes unchanged"},
		{"INFO", "a section about Sessiongate is added"},
	} {
		var args [][]byte
		for _, word := range strings.Fields(c.line) {
			args = append(args, []byte(word))
		}
		if e := Explain(p, args, 0); e.Verdict != "forward" || strings.Join(e.Sent, " | ") != c.line || e.Reply != c.reply {
			t.Errorf("%s: %+v", c.line, e)
		}
	}
}

// An editor without words would be one that explain keeps silent about.
func TestExplain_EveryEditor(t *testing.T) {
	for kind, edit := range editors {
		if words := ""; edit != nil {
			if kind < len(editWords) {
				words = editWords[kind]
			}
			if words == "" {
				t.Errorf("replies of kind %d are edited, but explain does not say how", command.Reply(kind))
			}
		}
	}
}
