package policy

import (
	"testing"

	"sessiongate/command"
)

// A row that says how to say PERSIST with a time spares the follow-up, if the time is one of whole seconds.
func TestExpiry_PersistShape(t *testing.T) {
	spec := *command.Lookup(words("PERSIST k"))
	spec.Expiry.Becomes = &command.Shape{Word: "EXPIRE", Reply: command.Opaque}
	for _, c := range []struct {
		expiry ExpiryConfig
		sent   string // empty: as it is
		bounds int
	}{
		{ExpiryConfig{Default: duration(t, "30m"), Max: duration(t, "12h")}, "EXPIRE k 43200", 0},
		{ExpiryConfig{Default: duration(t, "30m")}, "EXPIRE k 1800", 0},
		{ExpiryConfig{Max: duration(t, "1500ms")}, "", 1},
		{ExpiryConfig{Min: duration(t, "1m")}, "", 0},
	} {
		r := request(t, words("PERSIST k"))
		r.Spec = &spec
		var plan Plan
		mustNew(t, Config{Rules: []RuleConfig{{Expiry: &c.expiry}}}).Decide(r, &plan)
		got := ""
		for i, arg := range plan.Args {
			if i > 0 {
				got += " "
			}
			got += string(arg)
		}
		if got != c.sent || len(plan.Bounds) != c.bounds {
			t.Errorf("under %+v PERSIST is sent as %q with %d follow-ups, want %q with %d", c.expiry, got, len(plan.Bounds), c.sent, c.bounds)
		}
	}
}
