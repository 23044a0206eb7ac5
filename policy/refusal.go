package policy

import (
	"fmt"
	"strconv"
)

// Refusal is why a command is not sent, in words for the client's developer and in figures for the operator.
type Refusal struct {
	Rule  string // display name of the rule; empty when it was not a rule but the namespace
	Kind  string // of rule, as the configuration calls it: "commands", "size", "expiry" or "namespace"
	Text  string // the error without its dash, as in `DENIED size: key of 700 bytes is above the limit of 512 (rule "web")`
	Limit int64  // what the rule allows: bytes, seconds, or milliseconds where the text says ms; 0 where there is no figure
	Got   int64  // what was asked for, in the unit of Limit
}

// Error makes a Refusal usable as a Go error.
func (r *Refusal) Error() string { return r.Text }

// AppendRESP appends the refusal as a RESP error reply. Whatever the text holds, the reply is one line of ASCII.
func (r *Refusal) AppendRESP(dst []byte) []byte {
	dst = append(dst, '-')
	for i := 0; i < len(r.Text); i++ {
		if c := r.Text[i]; c >= ' ' && c <= '~' {
			dst = append(dst, c)
		} else {
			dst = append(dst, '\\', 'x', hex[c>>4], hex[c&15])
		}
	}
	return append(dst, '\r', '\n')
}

const hex = "0123456789abcdef"

// Oversize refuses a value of got bytes, whether it was about to be stored or about to be handed out.
func Oversize(rule string, limit, got int64) *Refusal { return tooLong("value", rule, limit, got) }

func tooLong(what, rule string, limit, got int64) *Refusal {
	return &Refusal{Rule: rule, Kind: "size", Limit: limit, Got: got,
		Text: fmt.Sprintf("DENIED size: %s of %d bytes is above the limit of %d (rule %s)", what, got, limit, strconv.Quote(rule))}
}
