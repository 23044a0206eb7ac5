package proxy

import "strings"

// splitInline splits an inline command into its arguments as Redis does, which redcon does differently: arguments may be
// quoted from their middle on, and in double quotes there are escapes such as \n and \x41. ok is false when a quote
// isn't closed, or text follows a closing one. The arguments are copies.
func splitInline(line []byte) (args [][]byte, ok bool) {
	text := make([]byte, 0, len(line)) // all arguments, one after the other
	for {
		for len(line) > 0 && isSpace(line[0]) {
			line = line[1:]
		}
		if len(line) == 0 {
			return args, true
		}
		start := len(text)
		if text, line, ok = inlineArg(text, line); !ok {
			return nil, false
		}
		args = append(args, text[start:len(text):len(text)])
	}
}

// inlineArg appends the argument at the start of line to text and returns what is left of line.
func inlineArg(text, line []byte) (_, rest []byte, ok bool) {
	for i, c := range line {
		switch {
		case strings.IndexByte(" \n\r\t", c) >= 0: // fewer than isSpace: only at its start an argument can't have the others
			return text, line[i:], true
		case c != '"' && c != '\'':
			text = append(text, c)
			continue
		case c == '"':
			text, rest, ok = doubleQuoted(text, line[i+1:])
		default:
			text, rest, ok = singleQuoted(text, line[i+1:])
		}
		if len(rest) > 0 && !isSpace(rest[0]) {
			ok = false
		}
		return text, rest, ok
	}
	return text, nil, true
}

// singleQuoted appends what stands before the closing quote to text. The one escape is for the quote itself.
func singleQuoted(text, line []byte) (_, rest []byte, ok bool) {
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\'':
			return text, line[i+1:], true
		case c == '\\' && i+1 < len(line) && line[i+1] == '\'':
			i++
			c = '\''
		}
		text = append(text, c)
	}
	return text, nil, false
}

// doubleQuoted appends what stands before the closing quote to text, escapes resolved.
func doubleQuoted(text, line []byte) (_, rest []byte, ok bool) {
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '"':
			return text, line[i+1:], true
		case c == '\\' && i+3 < len(line) && line[i+1] == 'x' && isHex(line[i+2]) && isHex(line[i+3]):
			c = fromHex(line[i+2])<<4 | fromHex(line[i+3])
			i += 3
		case c == '\\' && i+1 < len(line):
			i++
			c = unescape(line[i])
		}
		text = append(text, c)
	}
	return text, nil, false
}

// unescape returns what a backslash and c stand for: mostly c.
func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

// isSpace is C's isspace.
func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

// fromHex returns the value of a hexadecimal digit.
func fromHex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
