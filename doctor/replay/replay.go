// Package replay says to a server what a client is known to say, and compares the answers with what that client needs to hear. It is for
// clients that aren't at hand: their conversations are written down as text, which anybody can check against the client's source.
//
//	conversation Lettuce 7
//	version 7.0
//
//	check connect
//	> HELLO 3 [AUTH $USER $PASSWORD]
//	> CLIENT SETINFO lib-name Lettuce
//	< {"proto" :3 "id" :* ...}
//	< +OK | -ERR
//
// Lines with > are requests, those that follow each other one write; < is what each reply has to be, in the same order. A < without a
// request awaits what the server says unasked. "on NAME" goes on over another connection, which is opened when it is first named, "close"
// closes the one of now. "< later" leaves a reply to be read by a later <, when another connection has spoken. "repeat N" sends the next
// exchange N times over, in one write. "script NAME" begins a Lua script, which ends at a line "end script". What # begins is a comment.
//
// In requests, $PASSWORD, $USER and $LOGIN (both, or the password alone for the default user) stand for what the player logs in with; what
// stands in [ ] is left out where there is no password, and the request with its reply where nothing is left. $NAME and $NAME.sha are a
// script and its SHA1, $time+60 and $ms+60000 the Unix time in a minute, $bytes*1024 that many. Quotes are those of Go.
//
// Replies are written as in match.go. The library isn't needed to know RESP by heart: a map is { }, an array [ ].
package replay

import (
	"bufio"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Conversation is what one client says, and what it needs to hear.
type Conversation struct {
	Name    string
	Version string // of the client, as far as it is known
	steps   []step
	scripts map[string]string
}

// step is an exchange of requests and replies over a connection. The first one of a check names it.
type step struct {
	check string // begins here; empty: none does
	on    string // name of the connection
	close bool   // it, instead of an exchange
	line  int
	asks  []ask
	wants []want
}

// ask is a request, as words that are not yet expanded.
type ask struct {
	words []word
	line  int
}

// word is a part of a request.
type word struct {
	text     string
	quoted   bool // nothing in it stands for anything else
	optional bool // only for those who log in
}

// want is a reply that is wanted: any of the forms. All but the first are what a client puts up with.
type want struct {
	forms    []form
	optional bool // the reply to a request that is not sent without a password
	later    bool // it is read by another want
	text     string
	line     int
}

// Checks are the names of the conversation's checks, in their order.
func (c *Conversation) Checks() (names []string) {
	for _, s := range c.steps {
		if s.check != "" {
			names = append(names, s.check)
		}
	}
	return names
}

// script returns the script of that name, or its SHA1 for name.sha.
func (c *Conversation) script(name string) (text string, ok bool) {
	name, sum := strings.CutSuffix(name, ".sha")
	if text, ok = c.scripts[name]; ok && sum {
		raw := sha1.Sum([]byte(text))
		text = hex.EncodeToString(raw[:])
	}
	return text, ok
}

// Parse reads conversations.
func Parse(text string) ([]*Conversation, error) {
	p := parser{lines: bufio.NewScanner(strings.NewReader(text))}
	for p.lines.Scan() {
		p.line++
		if err := p.read(p.lines.Text()); err != nil {
			return nil, fmt.Errorf("line %d: %w", p.line, err)
		}
	}
	if err := p.end(); err != nil {
		return nil, fmt.Errorf("line %d: %w", p.line, err)
	}
	return p.all, p.lines.Err()
}

// mostTimes keeps a repetition within what fits into the buffers between two processes that first write and then read.
const mostTimes = 1000

type parser struct {
	lines *bufio.Scanner
	line  int
	all   []*Conversation
	now   *Conversation
	check string // to begin at the next step
	times int    // that the next step is played; 0: once
	on    string
	open  step
}

func (p *parser) read(line string) error {
	kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	rest = strings.TrimSpace(rest)
	if kind == "conversation" {
		if err := p.end(); err != nil {
			return err
		}
		p.now = &Conversation{Name: rest, scripts: map[string]string{}}
		p.all, p.on = append(p.all, p.now), "main"
		return nil
	}
	if p.now == nil && kind != "" && kind[0] != '#' {
		return fmt.Errorf("%q stands before the first conversation", kind)
	}
	switch kind {
	case "", "#":
		return nil
	case "version":
		p.now.Version = rest
		return nil
	case "script":
		return p.script(rest)
	case ">":
		return p.ask(rest)
	case "<":
		return p.want(rest)
	}
	if err := p.finish(); err != nil {
		return err
	}
	switch kind {
	case "check":
		p.check = rest
	case "on":
		p.on = rest
	case "repeat":
		n, err := strconv.Atoi(rest)
		if err != nil || n < 1 || n > mostTimes {
			return fmt.Errorf("repeat takes a number from 1 to %d", mostTimes)
		}
		p.times = n
	case "close":
		p.open = step{close: true, line: p.line}
		return p.finish()
	default:
		if kind[0] != '#' {
			return fmt.Errorf("%q is none of conversation, version, script, check, on, close, repeat, > and <", kind)
		}
	}
	return nil
}

// script reads up to the line "end script".
func (p *parser) script(name string) error {
	var text []string
	for p.lines.Scan() {
		p.line++
		if p.lines.Text() == "end script" {
			p.now.scripts[name] = strings.Join(text, "\n")
			return nil
		}
		text = append(text, p.lines.Text())
	}
	return fmt.Errorf("script %s has no line \"end script\"", name)
}

func (p *parser) ask(text string) error {
	if len(p.open.wants) > 0 {
		if err := p.finish(); err != nil {
			return err
		}
	}
	words, err := split(text)
	if err != nil {
		return err
	}
	for _, w := range words {
		name, variable := strings.CutPrefix(w.text, "$")
		if _, known := p.now.script(name); variable && !w.quoted && !known && !isVariable(w.text) {
			return fmt.Errorf("%s stands for nothing; scripts come before they are used", w.text)
		}
	}
	p.open.asks = append(p.open.asks, ask{words, p.line})
	return nil
}

func (p *parser) want(text string) error {
	w := want{text: text, line: p.line, later: text == "later"}
	if !w.later {
		var err error
		if w.forms, err = parseForms(text); err != nil {
			return err
		}
	}
	if i := len(p.open.wants); i < len(p.open.asks) {
		w.optional = p.open.asks[i].optional()
	}
	p.open.wants = append(p.open.wants, w)
	return nil
}

// finish ends the exchange that is under way.
func (p *parser) finish() error {
	s := p.open
	p.open = step{}
	if len(s.asks)+len(s.wants) == 0 && !s.close {
		return nil
	}
	if len(s.asks) > len(s.wants) {
		return fmt.Errorf("%d requests have %d replies", len(s.asks), len(s.wants))
	}
	s.check, s.on, p.check = p.check, p.on, ""
	if s.line = p.line; len(s.asks) > 0 {
		s.line = s.asks[0].line
	}
	if p.times > 1 {
		s.asks, s.wants = slices.Repeat(s.asks, p.times), slices.Repeat(s.wants, p.times)
	}
	p.times = 0
	if len(p.now.steps) == 0 && s.check == "" {
		s.check = "connect"
	}
	p.now.steps = append(p.now.steps, s)
	return nil
}

// end ends the conversation that is under way.
func (p *parser) end() error {
	if p.now == nil {
		return nil
	}
	if err := p.finish(); err != nil {
		return err
	}
	if p.check != "" {
		return fmt.Errorf("check %s is empty", p.check)
	}
	return nil
}

// optional reports whether nothing is left of the request where there is no password.
func (a ask) optional() bool {
	for _, w := range a.words {
		if !w.optional {
			return false
		}
	}
	return true
}
