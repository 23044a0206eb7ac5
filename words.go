package main

import (
	"errors"
	"strconv"
)

var errQuotes = errors.New("a quote is not closed, or something follows it at once")

// splitLine splits a line into arguments as redis-cli does: "..." with the escapes of Go and C, '...' with \' alone.
func splitLine(line string) ([][]byte, error) {
	var args [][]byte
	for {
		for line != "" && space(line[0]) {
			line = line[1:]
		}
		if line == "" {
			return args, nil
		}
		arg, rest, err := nextWord(line)
		if err != nil {
			return nil, err
		}
		args, line = append(args, arg), rest
	}
}

func space(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// nextWord returns the first word of line, which doesn't begin with a space, and what follows it.
func nextWord(line string) (word []byte, rest string, err error) {
	word = []byte{}
	for line != "" && !space(line[0]) {
		quote := line[0]
		if quote != '"' && quote != '\'' {
			word, line = append(word, quote), line[1:]
			continue
		}
		line = line[1:]
		for {
			switch {
			case line == "":
				return nil, "", errQuotes
			case line[0] == quote:
				line = line[1:]
				if line != "" && !space(line[0]) {
					return nil, "", errQuotes
				}
				return word, line, nil
			case line[0] != '\\':
				word, line = append(word, line[0]), line[1:]
			case quote == '"':
				word, line = unescape(word, line[1:])
			case len(line) > 1 && line[1] == '\'':
				word, line = append(word, '\''), line[2:]
			default:
				word, line = append(word, '\\'), line[1:]
			}
		}
	}
	return word, line, nil
}

// unescape appends to word what the escape at the beginning of line, after its backslash, stands for. One that isn't
// known stands for the character itself.
func unescape(word []byte, line string) ([]byte, string) {
	if line == "" {
		return word, line
	}
	if line[0] == 'x' && len(line) > 2 {
		if b, err := strconv.ParseUint(line[1:3], 16, 8); err == nil {
			return append(word, byte(b)), line[3:]
		}
	}
	known := map[byte]byte{'n': '\n', 'r': '\r', 't': '\t', 'b': '\b', 'a': '\a'}
	if c, ok := known[line[0]]; ok {
		return append(word, c), line[1:]
	}
	return append(word, line[0]), line[1:]
}
