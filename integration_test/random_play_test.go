package integration_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The tests of random commands can be made longer, or be repeated, by these variables of the environment. The program would
// take them for settings of its own, so they are taken out of it.
var seedSetting, commandsSetting = take("SESSIONGATE_TEST_SEED"), take("SESSIONGATE_TEST_COMMANDS")

func take(name string) string {
	defer os.Unsetenv(name)
	return os.Getenv(name)
}

// randomSeeds are the seeds of a test of random commands: those in SESSIONGATE_TEST_SEED, with commas, or one that is always the
// same.
func randomSeeds(t *testing.T) []uint64 {
	t.Helper()
	words := strings.FieldsFunc(seedSetting, func(r rune) bool { return r == ',' || r == ' ' })
	if len(words) == 0 {
		return []uint64{1}
	}
	var seeds []uint64
	for _, word := range words {
		seed, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			t.Fatalf("SESSIONGATE_TEST_SEED: %v", err)
		}
		seeds = append(seeds, seed)
	}
	return seeds
}

// randomCommands is how many commands a test of random commands sends for each seed: SESSIONGATE_TEST_COMMANDS, or n.
func randomCommands(t *testing.T, n int) int {
	t.Helper()
	if commandsSetting == "" {
		return n
	}
	n, err := strconv.Atoi(commandsSetting)
	if err != nil || n < 1 {
		t.Fatalf("SESSIONGATE_TEST_COMMANDS: %q is not a number of commands", commandsSetting)
	}
	return n
}

// part is what a client sends of a pipeline before it waits for the replies to the commands that are whole by then.
type part struct {
	writes  []string
	replies int
}

// cut divides a pipeline at random bytes.
func cut(r *rand.Rand, steps []step) []part {
	var raw strings.Builder
	ends := make([]int, len(steps))
	for i, s := range steps {
		raw.WriteString(s.encode())
		ends[i] = raw.Len()
	}
	text := raw.String()
	places := []int{len(text)}
	for range r.IntN(4) {
		places = append(places, r.IntN(len(text)+1))
	}
	slices.Sort(places)
	var parts []part
	var p part
	sent, done := 0, 0
	for i, place := range places {
		p.writes = append(p.writes, text[sent:place])
		sent = place
		if i < len(places)-1 && r.IntN(2) == 0 {
			continue
		}
		for ; done < len(steps) && ends[done] <= sent; done++ {
			p.replies += steps[done].replies
		}
		parts = append(parts, p)
		p = part{}
	}
	return parts
}

// atOnce has a pipeline sent in one write.
func atOnce(steps []step) []part {
	var raw strings.Builder
	n := 0
	for _, s := range steps {
		raw.WriteString(s.encode())
		n += s.replies
	}
	return []part{{[]string{raw.String()}, n}}
}

// singly makes each step a unit of its own.
func singly(units []unit) []unit {
	var list []unit
	for _, u := range units {
		for _, s := range u {
			list = append(list, unit{s})
		}
	}
	return list
}

// play sends a pipeline in parts and returns the replies. What the server says unasked goes to hear.
func (c *conn) play(parts []part, hear func(string)) (replies []string, err error) {
	c.SetDeadline(time.Now().Add(patience))
	for _, p := range parts {
		written := make(chan error, 1)
		go func() { written <- c.writeAll(p.writes) }()
		for range p.replies {
			reply, err := c.reply(hear)
			if err != nil {
				return replies, fmt.Errorf("after %d replies: %w (so far %s)", len(replies), err, shorten(reply))
			}
			replies = append(replies, reply)
		}
		if err := <-written; err != nil {
			return replies, err
		}
	}
	return replies, nil
}

func (c *conn) writeAll(writes []string) error {
	for _, w := range writes {
		if _, err := c.Write([]byte(w)); err != nil {
			return err
		}
	}
	return nil
}

// reply reads the next reply to a command.
func (c *conn) reply(hear func(string)) (string, error) {
	for {
		reply, err := readReply(c.r)
		if err != nil || !unasked(reply) {
			return reply, err
		}
		hear(reply)
	}
}

// unasked reports whether the bytes are no reply to a command. No value in these tests is one of the words here.
func unasked(reply string) bool {
	if reply[0] != '>' && reply[0] != '*' {
		return false
	}
	v, err := parse(reply)
	return err == nil && len(v.elems) > 1 &&
		slices.Contains([]string{"message", "pmessage", "smessage", "invalidate"}, v.elems[0].text)
}

// cli writes a command as redis-cli takes it.
func cli(args []string) string {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = a
		if len(a) > 300 {
			words[i] = fmt.Sprintf("%s...(%d bytes)", cliWord(a[:20]), len(a))
		} else if a == "" || strings.ContainsFunc(a, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\'' || r == '\\' }) {
			words[i] = cliWord(a)
		}
	}
	return strings.Join(words, " ")
}

func cliUnit(u unit) string {
	lines := make([]string, len(u))
	for i, s := range u {
		lines[i] = cli(s.args)
	}
	return strings.Join(lines, " | ")
}

func cliWord(a string) string {
	var b strings.Builder
	for _, c := range []byte(a) {
		switch {
		case c == '"' || c == '\\':
			b.WriteString("\\" + string(c))
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, "\\x%02x", c)
		default:
			b.WriteByte(c)
		}
	}
	return `"` + b.String() + `"`
}

// shrinking bounds the search for a short way to a fault.
const shrinking = 20 * time.Second

// shrink takes out of a history that ends in a fault what is not needed for it. fails replays a history from the start.
func shrink[T any](history []T, fails func([]T) bool) []T {
	deadline := time.Now().Add(shrinking)
	last := len(history)
	for n := 1; ; n *= 4 {
		if time.Now().After(deadline) {
			return nil
		}
		if tail := history[max(0, last-n):]; fails(tail) {
			history = tail
			break
		} else if len(tail) == last {
			return nil // not every time
		}
	}
	for size := max(1, len(history)/2); ; {
		shorter := false
		for at := 0; at < len(history) && time.Now().Before(deadline); {
			if rest := slices.Delete(slices.Clone(history), at, min(at+size, len(history))); fails(rest) {
				history, shorter = rest, true
			} else {
				at += size
			}
		}
		if size == 1 && !shorter || time.Now().After(deadline) {
			return history
		}
		size = max(1, size/2)
	}
}

// alikeRandom is alikeFor, for commands too that are answered by chance, by the clock or by what a process is.
func alikeRandom(args []string) func(got, want string) bool {
	name := strings.ToLower(args[0])
	switch name {
	case "client", "xinfo", "acl", "memory", "function", "command", "latency", "slowlog", "script", "config":
		if len(args) > 1 {
			name += " " + strings.ToLower(args[1])
		}
	}
	switch name {
	case "dbsize", // which counts keys that have expired until the server finds out
		"hrandfield", "zrandmember", "srandmember", "randomkey", "time", "lastsave", "info", "role", "lolwut", "hello", "memory usage",
		"memory stats", "memory doctor", "client id", "client info", "client list", "acl genpass", "acl log",
		"latency doctor", "latency histogram", "latency latest", "command count", "config get":
		return sameKind
	case "xpending", "xinfo stream", "xinfo consumers":
		return sameShape
	case "function list", "function stats", "command getkeysandflags":
		return sameElements
	case "sort", "sort_ro": // a set has no order, and elements may weigh the same
		return sameElements
	}
	return alikeFor(args)
}

// sameKind compares errors, and otherwise no more than what kind of reply it is.
func sameKind(got, want string) bool {
	if want[0] == '-' {
		return got == want
	}
	return got[0] == want[0]
}

// sameShape compares all but numbers.
func sameShape(got, want string) bool {
	return withoutNumbers(got) == withoutNumbers(want)
}

func withoutNumbers(reply string) string {
	v, err := parse(reply)
	if err != nil {
		return reply
	}
	return v.withoutNumbers().sorted()
}

func (v value) withoutNumbers() value {
	if v.kind == ':' {
		v.text = "n"
	}
	elems := slices.Clone(v.elems)
	for i, e := range elems {
		elems[i] = e.withoutNumbers()
	}
	v.elems = elems
	return v
}

// elements returns the bytes of each element of an array.
func elements(raw string) []string {
	v, _ := parse(raw)
	_, rest, _ := strings.Cut(raw, "\r\n")
	var list []string
	for range v.elems {
		_, after, err := parseValue(rest)
		if err != nil {
			return nil
		}
		list = append(list, rest[:len(rest)-len(after)])
		rest = after
	}
	return list
}
