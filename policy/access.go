package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sessiongate/command"
)

// AccessConfig says which commands may be used on a rule's keys or, in a rule for every key, at all. An entry is a command
// ("get"), a subcommand ("config|get"), a command with all its subcommands ("client"), or a category as in Redis's ACLs
// ("@write", "@all").
type AccessConfig struct {
	Allow []string `yaml:"allow"` // if there are any, no other command may be used; those that set up a connection always may
	Deny  []string `yaml:"deny"`  // these may not, allowed or not
}

// check reports what stands in the lists and is no command, or stands in both.
func (c *AccessConfig) check(report func(Problem)) {
	if len(c.Allow)+len(c.Deny) == 0 {
		report(Problem{Text: "sets nothing", Hint: "add allow or deny"})
	}
	allowed := make(map[string]bool)
	for _, list := range []struct {
		name    string
		entries []string
	}{{"allow", c.Allow}, {"deny", c.Deny}} {
		for i, entry := range list.entries {
			path, name := fmt.Sprintf("%s[%d]", list.name, i), canonical(entry)
			switch {
			case len(commandsOf(entry)) > 0 && list.name == "deny" && allowed[name]:
				report(Problem{Path: path, Value: entry, Text: fmt.Sprintf("%q is allowed too", entry), Hint: "keep it in one of the lists"})
			case len(commandsOf(entry)) > 0:
				allowed[name] = allowed[name] || list.name == "allow"
			case strings.HasPrefix(name, "@"):
				report(Problem{Path: path, Value: entry, Text: fmt.Sprintf("%q is no known category", entry), Hint: "write one that ACL CAT lists, as @write"})
			default:
				report(Problem{Path: path, Value: entry, Text: fmt.Sprintf("%q is no known command", entry), Hint: hintFor(name)})
			}
		}
	}
}

// canonical is the form of an entry as Redis writes names: "config|get".
func canonical(entry string) string {
	return strings.ToLower(strings.Join(strings.Fields(strings.ReplaceAll(entry, "|", " ")), "|"))
}

// hintFor says how the name of a command is written, by the example of the one that was perhaps meant.
func hintFor(name string) string {
	meant, longest := "", 2
	for _, s := range command.All() {
		other := s.RedisName()
		if n := min(len(other), len(name)); n > longest && other[:n] == name[:n] {
			meant, longest = other, n
		}
	}
	if meant != "" {
		return fmt.Sprintf("did you mean %q?", meant)
	}
	return `write a command's name, as "get", a subcommand's, as "config|get", or a category, as "@write"`
}

// commandsOf lists the commands that an entry stands for.
func commandsOf(entry string) []*command.Spec {
	name := canonical(entry)
	if category, ok := strings.CutPrefix(name, "@"); ok {
		cats, ok := command.Category(category)
		if !ok {
			return nil
		}
		return slices.DeleteFunc(command.All(), func(s *command.Spec) bool { return s.Cats&cats == 0 && category != "all" })
	}
	return slices.DeleteFunc(command.All(), func(s *command.Spec) bool {
		return s.RedisName() != name && !strings.HasPrefix(s.RedisName(), name+"|")
	})
}

// access allows some commands and denies others.
type access struct {
	name   string
	denied []bool // by a command's ID
}

var _ Rule = (*access)(nil)

func (c *AccessConfig) rule(name string) Rule {
	a := &access{name: name, denied: make([]bool, command.Len())}
	if len(c.Allow) > 0 {
		for id := range a.denied { // those of commands too that are learned later
			a.denied[id] = true
		}
		for _, s := range command.All() {
			a.denied[s.ID] = s.State != command.Local
		}
		for _, entry := range c.Allow {
			a.mark(entry, false)
		}
	}
	for _, entry := range c.Deny {
		a.mark(entry, true)
	}
	return a
}

func (a *access) mark(entry string, denied bool) {
	for _, s := range commandsOf(entry) {
		a.denied[s.ID] = denied
	}
}

// Apply refuses what is denied. A transaction or a watch that could be begun can always be ended.
func (a *access) Apply(r *Request, _ int, p *Plan) {
	if r.Spec.State == command.End || r.Spec.State == command.Unwatch {
		return
	}
	if a.denied[r.Spec.ID] {
		p.refuse(&Refusal{Rule: a.name, Kind: "commands",
			Text: fmt.Sprintf("NOPERM this rule does not allow the '%s' command (rule %s)", r.Spec.RedisName(), strconv.Quote(a.name))})
	}
}

// Denies reports whether the rule for commands without keys, or for every key, denies the command, or a read-only tenant's lack of rights does.
func (p *Policy) Denies(spec *command.Spec) bool {
	if p.readOnly != nil && p.readOnly.changes(spec) != "" {
		return true
	}
	if p.keyless == nil {
		return false
	}
	for _, rule := range p.keyless.rules {
		if a, ok := rule.(*access); ok {
			return a.denied[spec.ID]
		}
	}
	return false
}
