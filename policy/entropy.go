package policy

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"

	"sessiongate/command"
)

// entropyConfig is the setting key_entropy of a rule, and the patterns that tell which part of a name is the id.
type entropyConfig struct {
	min  int      // bits
	keys []string // none: the whole name is the id
}

// mostBits is above what any session id has: 84 characters of base64url, Odoo's, have 504.
const mostBits = 1024

func (c entropyConfig) check(report func(Problem)) {
	text := strconv.Itoa(c.min)
	switch {
	case c.min < 0:
		report(Problem{Value: text, Text: text + " is below zero", Hint: "write a number of bits, as 64 or 128"})
	case c.min > mostBits:
		report(Problem{Value: text, Text: fmt.Sprintf("%d is above %d bits, which no id has", c.min, mostBits), Hint: "write a number of bits, as 64 or 128"})
	}
	for _, pattern := range c.keys {
		if g := compileGlob(pattern); g.rest == "" {
			report(Problem{Value: text, Text: fmt.Sprintf("the pattern %q leaves no room for an id", pattern), Hint: "write a * where the id stands, as in sess:*"})
		}
	}
}

// entropy refuses to create keys under ids that can be guessed.
type entropy struct {
	name  string
	min   float64 // bits
	rooms []room  // one for each pattern; none: the whole name is the id
}

// room is where a pattern leaves room for an id: after its literal beginning, and up to what it has literally after its
// first *. That is at the end of the name, or where it stands first.
type room struct {
	glob
	after []byte // empty: the id goes on to the end of the name
	ends  bool   // after stands at the end
}

func newRoom(pattern string) room {
	g := compileGlob(pattern)
	after := compileGlob(strings.TrimLeft(g.rest[star(g.rest):], "*"))
	return room{g, []byte(after.literal), after.rest == ""}
}

var _ Rule = (*entropy)(nil)

func (c entropyConfig) rule(name string) Rule {
	e := &entropy{name: name, min: float64(c.min)}
	for _, pattern := range c.keys {
		e.rooms = append(e.rooms, newRoom(pattern))
	}
	return e
}

// Apply looks at the names of keys that the command may create. Reading, changing the expiry and deleting stay free, so
// that sessions which are there already run out in peace.
func (e *entropy) Apply(r *Request, i int, p *Plan) {
	if i == noKey || r.Names[i].Kind != command.Out || p.opts.xx {
		return
	}
	switch r.Spec.Expiry.Effect {
	case command.Keeps, command.GetOpts, command.Moves, command.Removes:
		return
	}
	if bits := IDBits(e.id(r.Args[r.Names[i].Arg])); bits < e.min {
		p.refuse(&Refusal{Rule: e.name, Kind: "key_entropy", Limit: int64(e.min), Got: int64(bits),
			Text: fmt.Sprintf("DENIED key_entropy: %.1f bits are below the minimum of %d (rule %s)", min(bits, e.min-0.1), int64(e.min), strconv.Quote(e.name))})
	}
}

// id is the part of a name that the first of the rule's patterns that matches leaves open.
func (e *entropy) id(name []byte) []byte {
	for i := range e.rooms {
		if e.rooms[i].match(name) {
			return e.rooms[i].id(name)
		}
	}
	return name
}

// id is what stands in the room of a name that matches.
func (r *room) id(name []byte) []byte {
	id := name[len(r.literal):]
	if r.ends {
		return bytes.TrimSuffix(id, r.after)
	}
	if end := bytes.Index(id, r.after); end >= 0 && len(r.after) > 0 {
		return id[:end]
	}
	return id
}

// star is where the first * of a pattern stands that is one; its end if there is none.
func star(pattern string) int {
	i := 0
	for i < len(pattern) && pattern[i] != '*' {
		_, i = matchOne(pattern, i, 0)
	}
	return i
}

// longestID is how much of an id is looked at: more than any id has that is one, and few enough for a byte to count.
const longestID = 255

// logs has n*log2(n).
var logs = func() (list [longestID + 1]float64) {
	for n := 2; n <= longestID; n++ {
		list[n] = float64(n) * math.Log2(float64(n))
	}
	return list
}()

// IDBits estimates how many bits of chance a session id holds, from its looks: how it was made can't be seen. It is
// the least of
//
//	n * log2(A)           A: the smallest usual alphabet with all of its n characters
//	1.25 * u * log2(A)    u: characters that don't go on with what was there before
//	(n + d) * H           H: Shannon's entropy of its characters, in bits each; d: how many are different
//
// Alphabets are digits (10), hexadecimal in one case (16), base32 (32), letters of one case and digits (36), letters and
// digits (62), base64 or base64url (64), printable ASCII (95), bytes (256). A character goes on with what was there before
// when it is as far from the one before it as that is from its own, as in 0000, 1234 and ca86, or when it follows the
// same two characters as it did before, as in the second half of k7q2k7q2. 1.25 leaves room for those of random characters
// that do so by chance, and d for what Shannon's entropy is too low by when an id is too short to show all of its alphabet.
//
// A UUID counts as what is random in it: 122 bits in versions 3, 4, 5 and 8, 74 in version 7, 14 in the others, which
// are time and place; an id of other groups with dashes as one in base64url. No more than 255 characters are looked at.
func IDBits(id []byte) float64 {
	id = id[:min(len(id), longestID)]
	var digits [32]byte
	most := math.Inf(1)
	if uuid, ok := uuidDigits(digits[:0], id); ok {
		id, most = uuid, uuidBits(uuid[12])
	}
	n := float64(len(id))
	each := math.Log2(alphabet(id))
	return min(most, n*each, 1.25*float64(fresh(id))*each, shannon(id))
}

// Classes of characters.
const (
	digit    = 1 << iota
	hexLower // a to f
	hexUpper // A to F
	lower    // g to z
	upper    // G to Z
	wide     // + / = - _
	printable
	unprinted
	not2to7 // 0, 1, 8 and 9, which base32 lacks
)

// classes has the class of each byte.
var classes = func() (list [256]uint16) {
	for i := range list {
		c := byte(i)
		switch {
		case c == '0' || c == '1' || c == '8' || c == '9':
			list[i] = digit | not2to7
		case c >= '0' && c <= '9':
			list[i] = digit
		case c >= 'a' && c <= 'f':
			list[i] = hexLower
		case c >= 'A' && c <= 'F':
			list[i] = hexUpper
		case c >= 'a' && c <= 'z':
			list[i] = lower
		case c >= 'A' && c <= 'Z':
			list[i] = upper
		case strings.IndexByte("+/=-_", c) >= 0:
			list[i] = wide
		case c >= ' ' && c <= '~':
			list[i] = printable
		default:
			list[i] = unprinted
		}
	}
	return list
}()

// alphabet is the size of the smallest usual alphabet that holds all of id.
func alphabet(id []byte) float64 {
	var seen uint16
	for _, c := range id {
		seen |= classes[c]
	}
	only := func(allowed uint16) bool { return seen&^allowed == 0 }
	switch {
	case only(digit | not2to7):
		return 10
	case only(digit | not2to7 | hexLower), only(digit | not2to7 | hexUpper):
		return 16
	case only(digit | hexUpper | upper):
		return 32
	case only(digit | not2to7 | hexLower | lower), only(digit | not2to7 | hexUpper | upper):
		return 36
	case only(digit | not2to7 | hexLower | lower | hexUpper | upper):
		return 62
	case only(digit | not2to7 | hexLower | lower | hexUpper | upper | wide):
		return 64
	case seen&unprinted == 0:
		return 95
	}
	return 256
}

// fresh counts the characters of id that don't go on with what was there before.
func fresh(id []byte) int {
	var last [256]uint8 // by a hash of two characters: where they stood last, from 1; 0: nowhere
	n := min(len(id), 2)
	for i := 2; i < len(id); i++ {
		a, b, c := id[i-2], id[i-1], id[i]
		pair := &last[a*31+b]
		at := int(*pair)
		again := at > 0 && id[at-1] == a && id[at] == b && id[at+1] == c
		if b-a != c-b && !again {
			n++
		}
		*pair = uint8(i - 1)
	}
	return n
}

// shannon is (n + d) * H.
func shannon(id []byte) float64 {
	var counts [256]uint8
	for _, c := range id {
		counts[c]++
	}
	bits, different := logs[len(id)], 0
	for _, n := range counts {
		bits -= logs[n]
		if n > 0 {
			different++
		}
	}
	return max(bits, 0) * (1 + float64(different)/float64(max(len(id), 1))) // rounding may go below zero
}

// uuidDigits appends the 32 digits of a UUID to dst, without its dashes.
func uuidDigits(dst, id []byte) (digits []byte, ok bool) {
	if len(id) != 36 {
		return nil, false
	}
	for i, c := range id {
		switch dash := i == 8 || i == 13 || i == 18 || i == 23; {
		case dash && c == '-':
		case !dash && classes[c]&(digit|hexLower|hexUpper) != 0:
			dst = append(dst, c)
		default:
			return nil, false
		}
	}
	return dst, true
}

// uuidBits is how much of a UUID is not given by its version.
func uuidBits(version byte) float64 {
	switch version {
	case '3', '4', '5', '8':
		return 122
	case '7':
		return 74
	}
	return 14
}
