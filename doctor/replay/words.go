package replay

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// split splits a request into words.
func split(text string) (words []word, err error) {
	optional := false
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		switch {
		case text[0] == '[' && !optional:
			optional, text = true, text[1:]
			continue
		case text[0] == ']' && optional:
			optional, text = false, text[1:]
			continue
		}
		w := word{optional: optional}
		if text[0] == '"' {
			quoted, err := strconv.QuotedPrefix(text)
			if err != nil {
				return nil, fmt.Errorf("%s: a quote is not closed", text)
			}
			text = text[len(quoted):]
			w.text, _ = strconv.Unquote(quoted)
			w.quoted = true
		} else {
			end := strings.IndexAny(text, " \t")
			if end < 0 {
				end = len(text)
			}
			if optional {
				if close := strings.IndexByte(text[:end], ']'); close >= 0 {
					end = close
				}
			}
			w.text, text = text[:end], text[end:]
		}
		words = append(words, w)
	}
	if optional {
		return nil, fmt.Errorf("a [ is not closed")
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("a request is empty")
	}
	return words, nil
}

// moment is a time in the future, in seconds or milliseconds.
var moment = regexp.MustCompile(`^\$(time|ms)\+([0-9]+)$`)

// bulk is so many bytes, up to a hundred million.
var bulk = regexp.MustCompile(`^\$bytes\*([0-9]{1,8})$`)

func isVariable(text string) bool {
	return text == "$USER" || text == "$PASSWORD" || text == "$LOGIN" || moment.MatchString(text) || bulk.MatchString(text)
}

// expand returns the arguments of a request; none: it is not to be sent.
func (p *Player) expand(c *Conversation, a ask) (args []string) {
	for _, w := range a.words {
		name, variable := strings.CutPrefix(w.text, "$")
		switch {
		case w.optional && p.Password == "":
		case w.quoted || !variable:
			args = append(args, w.text)
		case w.text == "$USER":
			args = append(args, p.user())
		case w.text == "$PASSWORD":
			args = append(args, p.Password)
		case w.text == "$LOGIN" && p.user() == "default":
			args = append(args, p.Password)
		case w.text == "$LOGIN":
			args = append(args, p.user(), p.Password)
		case bulk.MatchString(w.text):
			n, _ := strconv.Atoi(bulk.FindStringSubmatch(w.text)[1])
			args = append(args, strings.Repeat("x", n))
		case moment.MatchString(w.text):
			parts := moment.FindStringSubmatch(w.text)
			plus, _ := strconv.ParseInt(parts[2], 10, 64)
			now := time.Now().Unix()
			if parts[1] == "ms" {
				now = time.Now().UnixMilli()
			}
			args = append(args, strconv.FormatInt(now+plus, 10))
		default:
			text, _ := c.script(name)
			args = append(args, text)
		}
	}
	return args
}

func (p *Player) user() string {
	if p.User == "" {
		return "default"
	}
	return p.User
}
