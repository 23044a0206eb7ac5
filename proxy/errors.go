package proxy

import (
	"bytes"
	"strings"

	"github.com/tidwall/redcon"
)

// Redis's own words, which drivers parse. From redis-server 7.0.15.
const (
	errMaxClients   = "-ERR max number of clients reached\r\n"
	errNoAuth       = "NOAUTH Authentication required."
	errWrongPass    = "WRONGPASS invalid username-password pair or user is disabled."
	errNoPassword   = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
	errNoProto      = "NOPROTO unsupported protocol version"
	errProtoNumber  = "ERR Protocol version is not an integer or out of range"
	errHelloAuth    = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
	errClientName   = "ERR Client names cannot contain spaces, newlines or special characters."
	errSyntax       = "ERR syntax error"
	errNotInteger   = "ERR value is not an integer or out of range"
	errDBIndex      = "ERR DB index is out of range"
	errNested       = "ERR MULTI calls can not be nested"
	errCrossSlot    = "CROSSSLOT Keys in request don't hash to the same slot"
	errNoCluster    = "ERR This instance has cluster support disabled"
	errExecNoAuth   = "EXECABORT Transaction discarded because of: NOAUTH Authentication required."
	errNoSuchClient = "ERR No such client"
)

// appendUnknown answers as Redis answers a command it doesn't have: clients fall back on this text
// (lettuce looks for "unknown", rueidis for the command's name).
func appendUnknown(dst []byte, args [][]byte) []byte {
	text := append([]byte("ERR unknown command '"), cString(args[0], 128)...)
	text = append(text, "', with args beginning with: "...)
	start := len(text)
	for _, arg := range args[1:] {
		room := 128 - (len(text) - start)
		if room <= 0 {
			break
		}
		text = append(text, '\'')
		text = append(text, cString(arg, room)...)
		text = append(text, "' "...)
	}
	return redcon.AppendError(dst, string(text))
}

// appendUnknownSub answers as Redis answers a subcommand it doesn't have.
func appendUnknownSub(dst []byte, args [][]byte) []byte {
	return redcon.AppendError(dst, "ERR unknown subcommand '"+string(cString(args[1], 128))+"'. Try "+strings.ToUpper(string(args[0]))+" HELP.")
}

// appendWrongSub answers as Redis answers a subcommand with more arguments than it looks at.
func appendWrongSub(dst []byte, args [][]byte) []byte {
	return redcon.AppendError(dst, "ERR unknown subcommand or wrong number of arguments for '"+string(cString(args[1], 128))+"'. Try "+
		strings.ToUpper(string(args[0]))+" HELP.")
}

func appendArity(dst []byte, name string) []byte {
	return redcon.AppendError(dst, "ERR wrong number of arguments for '"+name+"' command")
}

// cString is what C's %.*s prints of b: up to the first NUL, at most n bytes.
func cString(b []byte, n int) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return b[:min(len(b), n)]
}
