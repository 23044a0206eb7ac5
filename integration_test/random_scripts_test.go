package integration_test

import (
	"crypto/sha1"
	"fmt"
	"strconv"
	"strings"

	"sessiongate/command"
)

// script runs a command in a script, in one of the many ways in which one can be called there.
func (s *speaker) script() step {
	text, inner := s.text()
	read := ""
	if s.IntN(8) == 0 {
		read = "_RO"
	}
	st := step{args: []string{"EVAL" + read, text}, replies: 1, alike: inner.alike}
	if s.IntN(6) == 0 && len(s.scripts) > 0 {
		st = step{args: []string{"EVALSHA" + read, s.sha()}, replies: 1, alike: sameKind}
		inner.keys = []string{s.key("s"), s.key("s")}[:s.IntN(3)]
		inner.args = []string{s.val()}
	}
	n := strconv.Itoa(len(inner.keys))
	if s.IntN(40) == 0 {
		n = pick(s.corpus, []string{"-1", "99", "x", "0"})
	}
	st.args = append(append(append(st.args, n), inner.keys...), inner.args...)
	return st
}

// loaded has a script stored, or asks for one that may be.
func (s *speaker) loaded() step {
	switch s.IntN(4) {
	case 0:
		return step{args: []string{"SCRIPT", "EXISTS", s.sha(), s.sha()}, replies: 1}
	case 1:
		return step{args: []string{"EVALSHA", s.sha(), "1", s.key("s"), s.val()}, replies: 1, alike: sameKind}
	}
	text, _ := s.text()
	s.scripts = append(s.scripts, text)
	return step{args: []string{"SCRIPT", "LOAD", text}, replies: 1}
}

// sha is the name of a script that has been loaded, or of none.
func (s *speaker) sha() string {
	if len(s.scripts) == 0 || s.IntN(5) == 0 {
		return strings.Repeat("f", 40)
	}
	return fmt.Sprintf("%x", sha1.Sum([]byte(s.scripts[len(s.scripts)-1-s.IntN(min(len(s.scripts), 20))])))
}

// inner is what a script is called with.
type inner struct {
	keys, args []string
	alike      func(got, want string) bool
}

// text makes a script of one command or two, whose keys are declared, and otherwise written in the script or computed.
func (s *speaker) text() (string, inner) {
	var in inner
	first := s.call(&in)
	switch s.IntN(12) {
	case 0:
		return "redis.call(" + first + ") return redis.call(" + s.call(&in) + ")", in
	case 1:
		return "redis.pcall(" + first + ") return {redis.pcall(" + s.call(&in) + "), 1}", inner{in.keys, in.args, sameKind}
	case 2:
		return "redis.setresp(3) return redis.call(" + first + ")", in
	case 3:
		return "local f = redis.call return f(" + first + ")", in
	case 4:
		return "local ok, e = pcall(redis.call, " + first + ") if ok then return e end return 'caught'", in
	case 5:
		return "for i = 1, 3 do redis.pcall(" + first + ") end return redis.pcall(" + first + ")", in
	case 6:
		return "return redis['pc' .. 'all'](unpack({" + first + "}))", in
	case 7:
		return "redis.call(" + first + ") return redis.error_reply('MY error')", in
	case 8:
		return "redis.call(" + first + ") error('stopped')", in
	}
	return "return redis.call(" + first + ")", in
}

// call makes the arguments of a call.
func (s *speaker) call(in *inner) string {
	line := s.sample()
	for line.waits() || holdsOrHarms[strings.ToLower(line.args[0])] || s.cluster && slotless(command.Lookup(bytesOf(line.args)), line.args) {
		line = s.sample()
	}
	if in.alike != nil || len(in.keys)+len(in.args) > 0 && alikeRandom(line.args) != nil {
		in.alike = sameKind // of two, or at some other place than alone
	} else {
		in.alike = alikeRandom(line.args)
	}
	parts := make([]string, len(line.args))
	for i, arg := range line.args {
		switch {
		case i == 0:
			parts[i] = "'" + arg + "'"
		case i < len(line.from) && line.from[i].isKey && !s.alike && s.IntN(12) == 0:
			parts[i] = luaString(arg)
		case i < len(line.from) && line.from[i].isKey:
			in.keys = append(in.keys, arg)
			parts[i] = fmt.Sprintf("KEYS[%d]", len(in.keys))
			if s.IntN(40) == 0 && !s.alike {
				parts[i] += " .. 'x'"
			}
		default:
			in.args = append(in.args, arg)
			parts[i] = fmt.Sprintf("ARGV[%d]", len(in.args))
		}
	}
	return strings.Join(parts, ", ")
}

func luaString(arg string) string {
	var b strings.Builder
	for _, c := range []byte(arg) {
		fmt.Fprintf(&b, "\\%03d", c)
	}
	return "'" + b.String() + "'"
}
