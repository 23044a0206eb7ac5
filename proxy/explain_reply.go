package proxy

import (
	"fmt"
	"strings"

	"sessiongate/command"
	"sessiongate/policy"
)

// editWords say what the editor of each kind of reply does.
var editWords = [...]string{
	command.KeyArray:     "names lose the namespace",
	command.OneKey:       "the name loses the namespace",
	command.CursorKeys:   "names lose the namespace",
	command.FirstIsKey:   "the name loses the namespace",
	command.Streams:      "names lose the namespace",
	command.NameCounts:   "names lose the namespace",
	command.OKIsOne:      "OK becomes 1, and null becomes 0",
	command.CommandTable: "commands that the tenant may not call are left out",
	command.ServerInfo:   "a section about Sessiongate is added",
	command.ScriptNames:  "names lose the namespace",
	command.PerKey:       "a value above the limit of its own key is refused",
	command.Payload:      "a payload of a value above the limit is refused",
	command.ScriptSum:    "the SHA1 is that of the client's script",
}

// replyWords say how the reply to the command that was just sent is edited.
func (s *Session) replyWords(p *policy.Policy) string {
	var words []string
	sl := &s.slots[len(s.slots)-1]
	if sl.wrapped > 0 {
		words = append(words, "of EXEC's array only the command's own reply is shown")
	}
	if int(sl.edit) < len(editWords) && editWords[sl.edit] != "" {
		words = append(words, editWords[sl.edit])
	}
	if sl.spec.State == command.Subscribe && len(p.Prefix()) > 0 {
		words = append(words, "channels lose the namespace")
	}
	if sl.limit > 0 {
		words = append(words, fmt.Sprintf("a value above %d bytes is discarded, and refused", sl.limit))
	}
	if len(p.Prefix()) > 0 {
		words = append(words, "errors lose the namespace")
	}
	if len(words) == 0 {
		return "passes unchanged"
	}
	return strings.Join(words, "; ")
}
