package policy

import (
	"strconv"

	"sessiongate/command"
)

// This file changes a command's arguments without allocating: the plan keeps the buffers.

// take copies the request's arguments into the plan, where they can be changed. Names stay where they are.
func (p *Plan) take(r *Request) {
	if p.Args == nil {
		p.Args, p.Names = append(p.argbuf[:0], r.Args...), r.Names
		p.argbuf = p.Args
	}
}

// add appends an argument. It must follow take.
func (p *Plan) add(arg []byte) {
	p.Args = append(p.Args, arg)
	p.argbuf = p.Args
}

// addNumber appends a number.
func (p *Plan) addNumber(n int64) { p.add(p.number(n)) }

var wordEX, wordPX = []byte("EX"), []byte("PX")

// addTime appends an expiry in the words of SET.
func (p *Plan) addTime(ms int64) {
	if ms%1000 == 0 {
		p.add(wordEX)
		p.addNumber(ms / 1000)
	} else {
		p.add(wordPX)
		p.addNumber(ms)
	}
}

// reshape says the same in the words of another command.
func (p *Plan) reshape(r *Request, s *command.Shape) {
	p.take(r)
	p.Args[0] = p.words(s.Word)
	if s.Tail != "" {
		p.add(p.words(s.Tail))
	}
	p.Edit = s.Reply
}

// number returns the text of n. It is valid as long as the plan.
func (p *Plan) number(n int64) []byte {
	start := len(p.text)
	p.text = strconv.AppendInt(p.text, n, 10)
	return p.text[start:len(p.text):len(p.text)]
}

// words returns s as bytes. They are valid as long as the plan.
func (p *Plan) words(s string) []byte {
	start := len(p.text)
	p.text = append(p.text, s...)
	return p.text[start:len(p.text):len(p.text)]
}
