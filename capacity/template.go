package capacity

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Template is what a session looks like: its key, and its value or the fields of a hash. It never changes.
//
// As text it has a line for each, and random parts in ${}:
//
//	# whatever is after a # at the beginning of a line
//	key sess:${base64url:32}
//	value {"uid": ${int:1-99999}, "tz": "${choose:UTC|Europe/Brussels}", "csrf": "${hex:64}"}
//
// Several value lines follow one another without anything between. In place of values, field NAME TEXT is a field of a hash.
type Template struct {
	Name string

	source string
	key    mold
	prefix int // bytes that all keys begin with
	value  mold
	fields []hashField
}

type hashField struct {
	name  []byte
	value mold
}

// mold is a text with parts that are chosen anew for each session.
type mold []part

// part is a literal, or else something random: one of the choices, a number, or characters of an alphabet.
type part struct {
	literal  []byte
	choices  [][]byte
	number   bool
	min, max int64 // of a number; or of how many characters there are
	alphabet string
	uuid     bool
}

const (
	lowerDigits = "abcdefghijklmnopqrstuvwxyz0123456789"
	base64url   = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	anyByte     = "\xff" // stands for all 256
)

var alphabets = map[string]string{
	"az09": lowerDigits, "hex": "0123456789abcdef", "digits": "0123456789", "base64url": base64url, "base64": base64url[:62] + "+/", "bytes": anyByte,
}

// Where keys can take fewer values, sessions would overwrite one another: of 10 million sessions at 2^45 values one does, mostly.
const leastKeyBits = 45

// longestPart is how long a part can be, so that a slip of the keyboard fills no memory.
const longestPart = 1 << 20

// ParseTemplate reads a template. Errors say in which line.
func ParseTemplate(name, text string) (*Template, error) {
	t := &Template{Name: name, source: text}
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if err := t.addLine(strings.TrimSuffix(line, "\r")); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
	}
	bits := t.key.bits()
	switch {
	case t.key == nil:
		return nil, fmt.Errorf("%s: there is no key; write a line such as: key sess:${base64url:32}", name)
	case t.value == nil && t.fields == nil:
		return nil, fmt.Errorf("%s: there is no value; write a line such as: value ${az09:200}", name)
	case bits < leastKeyBits:
		return nil, fmt.Errorf("%s: keys can take only 2^%.0f values, and sessions would overwrite one another; make it 2^%d, as ${az09:10} does",
			name, math.Floor(bits), leastKeyBits)
	}
	if t.key[0].literal != nil {
		t.prefix = len(t.key[0].literal)
	}
	return t, nil
}

func (t *Template) addLine(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
		return nil
	}
	switch word {
	case "key":
		if t.key != nil {
			return errors.New("there is a key already; write one")
		}
		m, err := parseMold(rest)
		if err == nil && len(m) == 0 {
			err = errors.New("the key is empty; write it behind the word, as in: key sess:${base64url:32}")
		}
		t.key = m
		return err
	case "value":
		if t.fields != nil {
			return errors.New("a session has a value or fields, not both")
		}
		m, err := parseMold(rest)
		t.value = append(present(t.value), m...)
		return err
	case "field":
		if t.value != nil {
			return errors.New("a session has a value or fields, not both")
		}
		name, value, found := strings.Cut(rest, " ")
		if !found || name == "" {
			return errors.New("a field needs a name and a value, as in: field uid ${int:1-99999}")
		}
		m, err := parseMold(value)
		t.fields = append(t.fields, hashField{[]byte(name), m})
		return err
	}
	return fmt.Errorf("%q is not known; a line begins with key, value, field or #", word)
}

// present makes a mold that is there but empty differ from none.
func present(m mold) mold {
	if m == nil {
		return mold{}
	}
	return m
}

// parseMold reads a text with ${} in it. $${ stands for ${ itself.
func parseMold(text string) (m mold, err error) {
	literal := []byte{}
	flush := func() {
		if len(literal) > 0 {
			m, literal = append(m, part{literal: literal}), []byte{}
		}
	}
	for at := 0; at < len(text); {
		switch rest := text[at:]; {
		case strings.HasPrefix(rest, "$${"):
			literal, at = append(literal, "${"...), at+3
		case strings.HasPrefix(rest, "${"):
			end := strings.IndexByte(rest, '}')
			if end < 0 {
				return nil, fmt.Errorf("the ${ at character %d of the text has no }; write $${ where it stands for itself", at+1)
			}
			p, err := parsePart(rest[2:end])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", rest[:end+1], err)
			}
			if p.literal != nil {
				literal = append(literal, p.literal...)
			} else {
				flush()
				m = append(m, p)
			}
			at += end + 1
		default:
			literal, at = append(literal, rest[0]), at+1
		}
	}
	flush()
	return m, nil
}

func parsePart(text string) (part, error) {
	word, rest, _ := strings.Cut(text, ":")
	switch word {
	case "uuid":
		return part{uuid: true}, nil
	case "choose":
		p := part{}
		for _, choice := range strings.Split(rest, "|") {
			p.choices = append(p.choices, []byte(choice))
		}
		return p, nil
	case "x":
		literal, err := hex.DecodeString(strings.ReplaceAll(rest, " ", ""))
		if err != nil || len(literal) == 0 {
			return part{}, fmt.Errorf("%q are no bytes; write two hexadecimal digits for each, as ${x:80 04 95}", rest)
		}
		return part{literal: literal}, nil
	case "int":
		least, most, err := numbers(rest, math.MaxInt64-1)
		return part{number: true, min: least, max: most}, err
	}
	alphabet, known := alphabets[word]
	if !known {
		return part{}, fmt.Errorf("%q is not known; there are az09, hex, digits, base64url, base64, bytes, int, choose, uuid and x", word)
	}
	least, most, err := numbers(rest, longestPart)
	return part{alphabet: alphabet, min: least, max: most}, err
}

// numbers reads "20" or "10-30".
func numbers(text string, top int64) (least, most int64, err error) {
	a, b, both := strings.Cut(text, "-")
	if !both {
		b = a
	}
	least, err = strconv.ParseInt(a, 10, 64)
	most, err2 := strconv.ParseInt(b, 10, 64)
	if err = cmp.Or(err, err2); err != nil || least < 0 || most < least || most > top {
		return 0, 0, fmt.Errorf("%q is no number; write one from 0 to %d, or two as 10-30", text, top)
	}
	return least, most, nil
}

// bits is the entropy of the shortest text.
func (m mold) bits() (sum float64) {
	for i := range m {
		switch p := &m[i]; {
		case p.uuid:
			sum += 122
		case len(p.choices) > 0:
			sum += math.Log2(float64(len(p.choices)))
		case p.number:
			sum += math.Log2(float64(p.max-p.min) + 1)
		case p.alphabet == anyByte:
			sum += 8 * float64(p.min)
		case p.alphabet != "":
			sum += math.Log2(float64(len(p.alphabet))) * float64(p.min)
		}
	}
	return sum
}

// append appends a text of the mold to dst.
func (m mold) append(dst []byte, dice *rand.Rand) []byte {
	for i := range m {
		switch p := &m[i]; {
		case p.literal != nil:
			dst = append(dst, p.literal...)
		case p.uuid:
			dst = appendUUID(dst, dice)
		case len(p.choices) > 0:
			dst = append(dst, p.choices[dice.IntN(len(p.choices))]...)
		case p.number:
			dst = strconv.AppendInt(dst, p.min+dice.Int64N(p.max-p.min+1), 10)
		default:
			dst = p.characters(dst, dice)
		}
	}
	return dst
}

func (p *part) characters(dst []byte, dice *rand.Rand) []byte {
	n := p.min
	if p.max > p.min {
		n += dice.Int64N(p.max - p.min + 1)
	}
	for range n {
		if p.alphabet == anyByte {
			dst = append(dst, byte(dice.Uint32()))
		} else {
			dst = append(dst, p.alphabet[dice.IntN(len(p.alphabet))])
		}
	}
	return dst
}

// appendUUID appends a UUID of version 4.
func appendUUID(dst []byte, dice *rand.Rand) []byte {
	var b [16]byte
	for i := range b {
		b[i] = byte(dice.Uint32())
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	for i, end := range []int{4, 6, 8, 10, 16} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, b[[]int{0, 4, 6, 8, 10}[i]:end])
	}
	return dst
}
