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
			case list.name == "deny" && allowed[name]:
				report(Problem{Path: path, Value: entry, Text: fmt.Sprintf("%q is allowed too", entry), Hint: "keep it in one of the lists"})
			case len(commandsOf(entry)) > 0:
				allowed[name] = allowed[name] || list.name == "allow"
			case strings.HasPrefix(name, "@"):
				report(Problem{Path: path, Value: entry, Text: fmt.Sprintf("%q is no known category", entry), Hint: "write one that ACL CAT lists, as @write"})
			case strings.Contains(name, "."): // a module's, which may be learned later
				allowed[name] = allowed[name] || list.name == "allow"
			default:
				report(Problem{Path: path, Value: entry, Text: fmt.Sprintf("%q is no known command", entry), Hint: hintFor(name), Unknown: name})
			}
		}
	}
}

// warn reports what is denied in vain, as it ends what was begun.
func (c *AccessConfig) warn(report func(Problem)) {
	for i, entry := range c.Deny {
		for _, s := range commandsOf(entry) {
			if !ends(s) || canonical(entry) != s.RedisName() { // a category denies others besides
				continue
			}
			begins := "multi"
			if s.State == command.Unwatch {
				begins = "watch"
			}
			report(Problem{Path: fmt.Sprintf("commands.deny[%d]", i), Value: entry,
				Text: fmt.Sprintf("%q has no effect: what was begun can be ended", entry), Hint: fmt.Sprintf("deny %s instead", begins)})
		}
	}
}

// ends tells whether the command ends a transaction or a watch.
func ends(s *command.Spec) bool { return s.State == command.End || s.State == command.Unwatch }

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
	e := parseEntry(entry)
	return slices.DeleteFunc(command.All(), func(s *command.Spec) bool { return !e.matches(s) })
}

// entry is one of a list, parsed: a command's name, or categories.
type entry struct {
	name string
	cats command.Cats // 0: it is a name
	all  bool
}

func parseEntry(text string) (e entry) {
	e.name = canonical(text)
	if category, ok := strings.CutPrefix(e.name, "@"); ok {
		e.cats, _ = command.Category(category)
		e.all = category == "all"
	}
	return e
}

func (e *entry) matches(s *command.Spec) bool {
	if e.all || s.Cats&e.cats != 0 {
		return true
	}
	name, ok := strings.CutPrefix(s.RedisName(), e.name)
	return ok && (name == "" || name[0] == '|')
}

// access allows some commands and denies others.
type access struct {
	name        string
	denied      []bool // by the ID of a command that was known when the rule was made
	allow, deny []entry
}

var _ Rule = (*access)(nil)

func (c *AccessConfig) rule(name string) Rule {
	a := &access{name: name}
	for _, text := range c.Allow {
		a.allow = append(a.allow, parseEntry(text))
	}
	for _, text := range c.Deny {
		a.deny = append(a.deny, parseEntry(text))
	}
	for _, s := range command.All() {
		a.denied = append(a.denied, a.judge(s))
	}
	return a
}

// denies reports whether the command is denied. Those that came into the table after the rule was made are judged as they come.
func (a *access) denies(s *command.Spec) bool {
	if int(s.ID) < len(a.denied) {
		return a.denied[s.ID]
	}
	return a.judge(s)
}

func (a *access) judge(s *command.Spec) bool {
	among := func(list []entry) bool {
		return slices.ContainsFunc(list, func(e entry) bool { return e.matches(s) })
	}
	return among(a.deny) || len(a.allow) > 0 && s.State != command.Local && !among(a.allow)
}

// Apply refuses what is denied. A transaction or a watch that could be begun can always be ended.
func (a *access) Apply(r *Request, _ int, p *Plan) {
	if ends(r.Spec) {
		return
	}
	if a.denies(r.Spec) {
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
			return a.denies(spec)
		}
	}
	return false
}
