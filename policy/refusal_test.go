package policy

import "testing"

func TestRefusal_AppendRESP(t *testing.T) {
	for _, c := range []struct {
		refusal *Refusal
		want    string
	}{
		{Oversize("web", 65536, 80211), "-DENIED size: value of 80211 bytes is above the limit of 65536 (rule \"web\")\r\n"},
		{tooLong("key", "web", 512, 700), "-DENIED size: key of 700 bytes is above the limit of 512 (rule \"web\")\r\n"},
		{Oversize("a\r\n+OK\x00\"\xff", 1, 2), "-DENIED size: value of 2 bytes is above the limit of 1 (rule \"a\\r\\n+OK\\x00\\\"\\xff\")\r\n"},
		{Oversize("é", 1, 2), "-DENIED size: value of 2 bytes is above the limit of 1 (rule \"\\xc3\\xa9\")\r\n"},
		{&Refusal{Text: "a\r\nb"}, "-a\\x0d\\x0ab\r\n"},
	} {
		if got := string(c.refusal.AppendRESP([]byte("before"))); got != "before"+c.want {
			t.Errorf("%q, want %q", got, "before"+c.want)
		}
	}
}

func TestRefusal_Figures(t *testing.T) {
	p := mustNew(t, Config{Rules: []RuleConfig{{Name: "web", Expiry: &ExpiryConfig{Max: duration(t, "12h"), Over: "refuse"},
		Size: &SizeConfig{Key: 10, Value: 4}, Commands: &AccessConfig{Deny: []string{"keys"}}}}})
	for _, c := range []struct {
		line string
		want Refusal
	}{
		{"SET k v EX 99999", Refusal{Rule: "web", Kind: "expiry", Limit: 43200, Got: 99999}},
		{"SET k v PX 99999000", Refusal{Rule: "web", Kind: "expiry", Limit: 43200000, Got: 99999000}},
		{"SET k value", Refusal{Rule: "web", Kind: "size", Limit: 4, Got: 5}},
		{"SET keykeykeykey v", Refusal{Rule: "web", Kind: "size", Limit: 10, Got: 12}},
		{"KEYS *", Refusal{Rule: "web", Kind: "commands"}},
	} {
		var plan Plan
		p.Decide(request(t, words(c.line)), &plan)
		if plan.Refusal == nil {
			t.Errorf("%s is not refused", c.line)
			continue
		}
		got := *plan.Refusal
		if got.Text = ""; got != c.want {
			t.Errorf("%s: %+v, want %+v", c.line, got, c.want)
		}
		if plan.Args != nil || plan.Prefix != nil || len(plan.Bounds) > 0 || plan.Guard.Kind != NoGuard || plan.Limit != 0 {
			t.Errorf("%s: a refused command has a plan: %+v", c.line, plan)
		}
	}
}
