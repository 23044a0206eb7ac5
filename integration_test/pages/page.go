package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// block is a fenced block of a page.
type block struct {
	line       int    // of its fence, from 1
	lang, file string // file: what a block of code is saved as
	options    map[string]string
	text       []string
}

// step is a command of a transcript, and what it prints.
type step struct {
	line   int
	text   string
	want   []string
	asRoot bool
}

// readPage returns the fenced blocks of a page, in order.
func readPage(path string) ([]block, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parsePage(string(data))
}

func parsePage(text string) ([]block, error) {
	var blocks []block
	var open *block
	fence := ""
	for i, line := range strings.Split(text, "\n") {
		switch {
		case open != nil && strings.TrimRight(line, " ") == fence:
			blocks, open = append(blocks, *open), nil
		case open != nil:
			open.text = append(open.text, line)
		case strings.HasPrefix(line, "```"):
			info := strings.TrimLeft(line, "`")
			fence = line[:len(line)-len(info)]
			b, err := newBlock(i+1, info)
			if err != nil {
				return nil, err
			}
			open = &b
		}
	}
	if open != nil {
		return nil, fmt.Errorf("%d: the block has no end", open.line)
	}
	return blocks, nil
}

// newBlock reads what stands behind the backquotes: a language, then the name of a file, or options of a transcript.
func newBlock(line int, info string) (block, error) {
	b := block{line: line, options: map[string]string{}}
	words := strings.Fields(info)
	if len(words) == 0 {
		return b, fmt.Errorf("%d: the block has no language; a diagram or a sample is text", line)
	}
	b.lang, words = words[0], words[1:]
	switch {
	case b.lang == "text":
		return b, nil
	case b.lang != "console":
		if len(words) != 1 {
			return b, fmt.Errorf("%d: a block of code has the name of its file behind the language, as in %s example.%s", line, b.lang, b.lang)
		}
		b.file = words[0]
		return b, nil
	}
	for _, word := range words {
		name, value, hasValue := strings.Cut(word, "=")
		known := name == "fails" && !hasValue || (name == "background" || name == "unrunnable") && value != ""
		if !known {
			return b, fmt.Errorf("%d: %q is no option of a transcript; they are fails, background=PORT, unrunnable=REASON", line, word)
		}
		b.options[name] = value
	}
	return b, nil
}

// ports are those on which a block in the background accepts connections.
func (b *block) ports() []string {
	if list := b.options["background"]; list != "" {
		return strings.Split(list, ",")
	}
	return nil
}

// installs reports whether the block installs packages of the system.
func (b block) installs() bool {
	return b.lang == "console" && slices.ContainsFunc(b.text, func(line string) bool { return strings.Contains(line, "apt-get ") })
}

// steps takes a transcript apart. A block that begins with the prompt "# " is root's throughout; elsewhere a line like that
// is output, but before apt-get.
func (b *block) steps() ([]step, error) {
	root := len(b.text) > 0 && strings.HasPrefix(b.text[0], "# ")
	var steps []step
	for i := 0; i < len(b.text); i++ {
		line := b.text[i]
		isRoot := strings.HasPrefix(line, "# ") && (root || strings.HasPrefix(line, "# apt-get "))
		if !isRoot && !strings.HasPrefix(line, "$ ") {
			if len(steps) == 0 {
				return nil, fmt.Errorf("%d: a transcript begins with a command, \"$ ...\"", b.line)
			}
			last := &steps[len(steps)-1]
			last.want = append(last.want, line)
			continue
		}
		s := step{line: b.line + 1 + i, text: line[2:], asRoot: isRoot}
		for strings.HasSuffix(s.text, `\`) && i+1 < len(b.text) {
			i++
			s.text += "\n" + b.text[i]
		}
		steps = append(steps, s)
	}
	if len(steps) == 0 {
		return nil, fmt.Errorf("%d: the transcript is empty", b.line)
	}
	if b.ports() != nil && len(steps) != 1 {
		return nil, fmt.Errorf("%d: a block in the background is one command", b.line)
	}
	return steps, nil
}
