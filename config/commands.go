package config

import (
	"fmt"
	"strconv"
	"strings"

	"sessiongate/command"
)

// KeyRange is where the keys of a command stand, written as the number of the argument (1), a range (1..3, 1..-1 up to the last), or
// a range with steps (1..-1/2), or "none". The zero KeyRange is not written at all.
type KeyRange struct {
	Given bool
	command.KeyRange
}

const keysHint = "write the number of the argument that is a key, as 1, a range, as 1..-1, one with steps, as 1..-1/2, or none"

// maxPosition is the largest number in a KeyRange.
const maxPosition = 1000

// UnmarshalText reads the form that MarshalText writes.
func (r *KeyRange) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "none" {
		*r = KeyRange{Given: true}
		return nil
	}
	span, step, stepped := strings.Cut(s, "/")
	first, last, ranged := strings.Cut(span, "..")
	if !ranged {
		last = first
	}
	if !stepped {
		step = "1"
	}
	var numbers [3]int
	for i, word := range []string{first, last, step} {
		n, err := strconv.Atoi(word)
		if err != nil {
			return fmt.Errorf("%q says no positions of keys; %s", s, keysHint)
		}
		numbers[i] = n
	}
	k := command.KeyRange{First: numbers[0], Last: numbers[1], Step: numbers[2]}
	if k.First < 1 || k.Step < 1 || k.Last >= 0 && k.Last < k.First {
		return fmt.Errorf("%q says no positions of keys; %s", s, keysHint)
	}
	if k.First > maxPosition || k.Last > maxPosition || k.Last < -maxPosition || k.Step > maxPosition {
		return fmt.Errorf("%q has a number above %d; %s", s, maxPosition, keysHint)
	}
	*r = KeyRange{true, k}
	return nil
}

// MarshalText returns the shortest form that UnmarshalText reads.
func (r KeyRange) MarshalText() ([]byte, error) {
	switch k := r.KeyRange; {
	case k == command.KeyRange{}:
		return []byte("none"), nil
	case k.Step != 1:
		return fmt.Appendf(nil, "%d..%d/%d", k.First, k.Last, k.Step), nil
	case k.First != k.Last:
		return fmt.Appendf(nil, "%d..%d", k.First, k.Last), nil
	default:
		return fmt.Appendf(nil, "%d", k.First), nil
	}
}

// Extras are the custom commands in the command package's words.
func (c Commands) Extras() []command.Extra {
	var list []command.Extra
	for _, each := range c.Custom {
		list = append(list, command.Extra{Name: each.Name, Arity: each.Arity, Keys: each.Keys.KeyRange, Writes: each.Writes})
	}
	return list
}

// commands checks the custom commands.
func (l *ledger) commands(c *Config) {
	seen := map[string]int{}
	for i, each := range c.Commands.Custom {
		path := index("commands.custom", i)
		name := strings.ToUpper(each.Name)
		j, twice := seen[name]
		known := command.ByName(name)
		switch {
		case each.Name == "":
			l.judge(path, "has no name", `write "name: ..."`)
		case len(name) > 32 || strings.ContainsAny(name, " |\t\r\n"):
			l.judge(path+".name", fmt.Sprintf("%q is not the name of a command", each.Name), "write one word of at most 32 letters; subcommands can't be added")
		case twice:
			l.judge(path+".name", fmt.Sprintf("%q is the name of commands.custom[%d] too", each.Name, j), "keep one of them")
		case known != nil && known.Certain():
			l.judge(path+".name", fmt.Sprintf("%q is known already", each.Name), "remove it: what it does to keys is in Sessiongate's own table")
		case !each.Keys.Given:
			l.judge(path, "does not say where its keys are", keysHint)
		case each.Writes && each.Keys.First == 0:
			l.judge(path+".writes", "can't be true of a command without keys", "name the keys that it writes")
		}
		seen[name] = i
	}
}
