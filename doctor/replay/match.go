package replay

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// form is what a reply has to be:
//
//   - anything
//     +OK               a line; with spaces, +"..."
//     -ERR              an error that begins so; with spaces, -"..."
//     :5 :1..9 :*       a number
//     "text"            a string
//     /expression/      a string, a line or an error in which the regular expression finds something
//     nil               nothing, in any of the three ways that RESP has for that
//     [ ]               an array of just these; ... stands for any number of others at the end
//     >[ ]              what a RESP3 server says unasked
//     ~[ ]              a set, or an array, in any order
//     { }               pairs in any order: a map, or an array of names and values; ... lets there be others
//     ttl:60 ttl:none   a number of seconds; pttl is the same in milliseconds. Under rules that bound expiries: any that they allow
//
// Several with | between them are alternatives.
type form struct {
	kind     byte // one of * + - : " / # n [ > ~ { t
	text     string
	low      int64
	high     int64
	scale    int64 // of a ttl: units in a second
	more     bool  // ... stands at the end
	elements []form
	pattern  *regexp.Regexp
}

// slack is how many seconds a conversation may take while an expiry runs.
const slack = 20

// longestTTL is what the client matrix lets a key live under rules, in seconds.
const longestTTL = 43200

func parseForms(text string) (forms []form, err error) {
	rest := strings.TrimSpace(text)
	for {
		var f form
		if f, rest, err = parseForm(rest); err != nil {
			return nil, err
		}
		forms = append(forms, f)
		if rest = strings.TrimSpace(rest); rest == "" {
			return forms, nil
		}
		if rest[0] != '|' {
			return nil, fmt.Errorf("%q follows a reply", rest)
		}
		rest = strings.TrimSpace(rest[1:])
	}
}

func parseForm(text string) (f form, rest string, err error) {
	if text == "" {
		return f, "", fmt.Errorf("a reply is empty")
	}
	switch {
	case strings.HasPrefix(text, "["):
		return parseAggregate('[', "]", text[1:])
	case strings.HasPrefix(text, ">["), strings.HasPrefix(text, "~["):
		return parseAggregate(text[0], "]", text[2:])
	case strings.HasPrefix(text, "{"):
		return parseAggregate('{', "}", text[1:])
	case text[0] == '/':
		end := strings.IndexByte(text[1:], '/')
		if end < 0 {
			return f, "", fmt.Errorf("a / is not closed")
		}
		f = form{kind: '/', text: text[1 : 1+end]}
		f.pattern, err = regexp.Compile(f.text)
		return f, text[2+end:], err
	case text[0] == '"':
		f.kind = '"'
		f.text, rest, err = parseText(text)
		return f, rest, err
	case text[0] == '+' || text[0] == '-':
		f.kind = text[0]
		f.text, rest, err = parseText(text[1:])
		return f, rest, err
	}
	end := strings.IndexAny(text, " ]}|")
	if end < 0 {
		end = len(text)
	}
	f, err = parseAtom(text[:end])
	return f, text[end:], err
}

func parseText(text string) (value, rest string, err error) {
	if strings.HasPrefix(text, `"`) {
		quoted, err := strconv.QuotedPrefix(text)
		if err != nil {
			return "", "", fmt.Errorf("%s: a quote is not closed", text)
		}
		value, _ = strconv.Unquote(quoted)
		return value, text[len(quoted):], nil
	}
	end := strings.IndexAny(text, " ]}|")
	if end < 0 {
		end = len(text)
	}
	return text[:end], text[end:], nil
}

func parseAtom(text string) (form, error) {
	if text == "*" || text == "nil" {
		return form{kind: text[0], text: text}, nil
	}
	if digits, isSize := strings.CutPrefix(text, "#"); isSize {
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			return form{}, fmt.Errorf("%q is no number of bytes", text)
		}
		return form{kind: '#', text: text, low: n}, nil
	}
	kind, number, _ := strings.Cut(text, ":")
	f := form{kind: ':', text: text, scale: 1}
	switch kind {
	case "":
	case "pttl":
		f.scale = 1000
		f.kind = 't'
	case "ttl":
		f.kind = 't'
	default:
		return f, fmt.Errorf("%q is no reply", text)
	}
	low, high, isRange := strings.Cut(number, "..")
	switch {
	case f.kind == 't' && number == "none":
		f.low, f.high = -1, -1
		return f, nil
	case f.kind == ':' && number == "*":
		f.low, f.high = -1<<63, 1<<63-1
		return f, nil
	case !isRange:
		high = low
	}
	var err1, err2 error
	f.low, err1 = strconv.ParseInt(low, 10, 64)
	f.high, err2 = strconv.ParseInt(high, 10, 64)
	if err1 != nil || err2 != nil {
		return f, fmt.Errorf("%q is no number", text)
	}
	if f.kind == 't' {
		f.low = max(f.low-slack*f.scale, 0)
	}
	return f, nil
}

func parseAggregate(kind byte, end, text string) (f form, rest string, err error) {
	f.kind = kind
	for {
		text = strings.TrimSpace(text)
		if after, ended := strings.CutPrefix(text, end); ended {
			return f, after, nil
		}
		if after, more := strings.CutPrefix(text, "..."); more {
			f.more, text = true, after
			continue
		}
		if text == "" || f.more {
			return f, "", fmt.Errorf("a %s is missing", end)
		}
		var element form
		if element, text, err = parseForm(text); err != nil {
			return f, "", err
		}
		f.elements = append(f.elements, element)
	}
}

// matches reports whether the reply is of this form.
func (f *form) matches(v value, rules bool) bool {
	switch f.kind {
	case '*':
		return true
	case 'n':
		return v.null
	case '+':
		return v.kind == '+' && v.text == f.text
	case '-':
		return v.isError() && strings.HasPrefix(v.text, f.text)
	case '"':
		return v.isString() && v.text == f.text
	case '/':
		return (v.isString() || v.kind == '+' || v.isError()) && f.pattern.MatchString(v.text)
	case '#':
		return v.isString() && int64(len(v.text)) == f.low
	case ':':
		n, isNumber := v.number()
		return isNumber && f.low <= n && n <= f.high
	case 't':
		n, isNumber := v.number()
		if rules && isNumber {
			return 0 < n && n <= longestTTL*f.scale
		}
		return isNumber && f.low <= n && n <= f.high
	case '[':
		return v.kind == '*' && f.inOrder(v.items, rules)
	case '>':
		return v.kind == '>' && f.inOrder(v.items, rules)
	case '~':
		return (v.kind == '~' || v.kind == '*') && f.anyOrder(v.items, 1, rules)
	case '{':
		return (v.kind == '%' || v.kind == '*') && f.anyOrder(v.items, 2, rules)
	}
	return false
}

func (f *form) inOrder(items []value, rules bool) bool {
	if len(items) < len(f.elements) || len(items) > len(f.elements) && !f.more {
		return false
	}
	for i := range f.elements {
		if !f.elements[i].matches(items[i], rules) {
			return false
		}
	}
	return true
}

// anyOrder looks for the elements in groups of n.
func (f *form) anyOrder(items []value, n int, rules bool) bool {
	if len(f.elements)%n != 0 || len(items)%n != 0 || len(items) != len(f.elements) && !f.more {
		return false
	}
	taken := make([]bool, len(items))
	for i := 0; i < len(f.elements); i += n {
		group := form{elements: f.elements[i : i+n]}
		found := false
		for j := 0; j < len(items) && !found; j += n {
			if !taken[j] && group.inOrder(items[j:j+n], rules) {
				taken[j], found = true, true
			}
		}
		if !found {
			return false
		}
	}
	return true
}
