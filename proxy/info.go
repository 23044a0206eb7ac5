package proxy

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sessiongate/command"
	"sessiongate/resp"
)

// keyspaceSection is the name of INFO's section on the databases, keyspaceHead its first line.
var (
	keyspaceSection = []byte("keyspace")
	keyspaceHead    = []byte("# Keyspace\r\n")
	keysizesHead    = []byte("# Keysizes\r\n")
)

// editInfo adds Sessiongate's own section to the upstream's INFO, when all sections or this one are asked for. Under a
// namespace the keyspace section shows no database: its counts are everybody's, and the tenant's take a walk through its keys.
func editInfo(s *Session, dst, raw []byte, _ *slot) ([]byte, error) {
	return s.info(dst, raw, nil)
}

// info is editInfo, with the lines on the tenant's databases.
func (s *Session) info(dst, raw, databases []byte) ([]byte, error) {
	text, ok := resp.Bulk(raw)
	if !ok {
		return dst, errShape
	}
	info := bytes.Clone(text)
	all := bytes.Contains(info, []byte("# Server")) || len(info) == 0
	if len(s.policy.Prefix()) > 0 {
		info = withoutAddresses(withoutDatabases(info))
		info = bytes.Replace(info, keyspaceHead, append(bytes.Clone(keyspaceHead), databases...), 1)
	}
	if s.special {
		info = s.mode(info)
	}
	if all {
		if len(info) > 0 {
			info = append(info, "\r\n"...)
		}
		info = s.appendInfo(info)
	}
	return s.appendText(dst, info), nil
}

// withoutDatabases leaves out the sections that tell what each database holds (db0_distrib_strings_sizes:...), and what the
// keyspace section has below its head (db0:keys=...).
func withoutDatabases(info []byte) []byte {
	blank := []byte("\r\n\r\n")
	var kept []byte
	for section := range bytes.SplitAfterSeq(info, blank) {
		shown := bytes.HasPrefix(section, keyspaceHead)
		hidden := bytes.HasPrefix(section, keysizesHead)
		start := len(kept)
		for line := range bytes.Lines(section) {
			if ofDatabase(line) {
				hidden = true
			} else {
				kept = append(kept, line...)
			}
		}
		if hidden && !shown {
			kept = kept[:start]
		}
	}
	if bytes.HasSuffix(kept, blank) && !bytes.HasSuffix(info, blank) { // the last section is gone
		kept = kept[:len(kept)-2]
	}
	return kept
}

// ofDatabase reports whether a line of INFO is about one database: db and its number come first.
func ofDatabase(line []byte) bool { return isNumbered(line, "db") }

// isNumbered reports whether a line of INFO begins with the word and a digit.
func isNumbered(line []byte, word string) bool {
	number, ok := bytes.CutPrefix(line, []byte(word))
	return ok && len(number) > 0 && number[0] >= '0' && number[0] <= '9'
}

// hiddenFields are those lines of INFO that tell where the server is, or another that it replicates to or from, and what a client that may
// not know gets to see in each.
var hiddenFields = map[string]string{"tcp_port": "0", "executable": "", "config_file": "", "master_host": "", "master_port": "0"}

// withoutAddresses blanks those, and leaves out the lines on each replica and listener (slave0:ip=..., listener0:name=tcp,bind=...).
func withoutAddresses(info []byte) []byte {
	kept := make([]byte, 0, len(info))
	for line := range bytes.Lines(info) {
		field, _, _ := bytes.Cut(line, []byte(":"))
		blank, hidden := hiddenFields[string(field)]
		switch {
		case isNumbered(line, "slave"), isNumbered(line, "listener"):
		case hidden:
			kept = append(append(append(kept, field...), ':'), blank+"\r\n"...)
		default:
			kept = append(kept, line...)
		}
	}
	return kept
}

func (s *Session) appendInfo(dst []byte) []byte {
	srv := s.srv
	srv.mu.Lock()
	clients := len(srv.sessions)
	srv.mu.Unlock()
	tenant := ""
	if s.tenant != nil {
		tenant = s.tenant.Name
	}
	counts := &srv.Counts
	return fmt.Appendf(dst, "# Sessiongate\r\nsessiongate_version:%s\r\nsessiongate_uptime_in_seconds:%d\r\nsessiongate_tenant:%s\r\n"+
		"sessiongate_connected_clients:%d\r\nsessiongate_total_connections_received:%d\r\nsessiongate_rejected_connections:%d\r\n"+
		"sessiongate_total_commands_processed:%d\r\nsessiongate_refused_commands:%d\r\nsessiongate_withheld_replies:%d\r\n"+
		"sessiongate_failed_logins:%d\r\nsessiongate_reloads:%d\r\nsessiongate_failed_reloads:%d\r\n",
		srv.cfg.Version, int(time.Since(srv.started).Seconds()), tenant, clients, counts.Connections.Load(), counts.Rejected.Load(),
		counts.Commands.Load(), counts.Refused.Load(), counts.Withheld.Load(),
		counts.FailedLogins.Load(), counts.Reloads.Load(), counts.FailedReloads.Load())
}

// editCommandTable narrows what the upstream says about its commands to those that the tenant may call. The reply is a map of
// names to descriptions (COMMAND DOCS in RESP3), or an array: of names (COMMAND LIST), of descriptions that begin with a name
// (COMMAND; COMMAND INFO, where null stands for what is not there), or of names and descriptions in turn (COMMAND DOCS in RESP2).
func editCommandTable(s *Session, dst, raw []byte, sl *slot) ([]byte, error) {
	if _, ok := header(raw); !ok { // a number or a text
		return append(dst, raw...), nil
	}
	kept, per := [][]byte(nil), 1
	if raw[0] == resp.Map {
		kept, per = s.narrowMap(raw), 2
	} else {
		holes := sl.spec.Flags&command.Container == 0 // COMMAND INFO name ...: every name keeps its place
		kept = s.narrowArray(raw, holes)
	}
	dst = append(dst, raw[0])
	dst = strconv.AppendInt(dst, int64(len(kept)/per), 10)
	dst = append(dst, "\r\n"...)
	for _, elem := range kept {
		dst = append(dst, elem...)
	}
	return dst, nil
}

// narrowMap keeps the pairs whose name is that of a command the tenant may call.
func (s *Session) narrowMap(raw []byte) (kept [][]byte) {
	var name []byte
	for elem := range elems(raw) {
		switch {
		case name == nil:
			name = elem
			continue
		case s.lets(name):
			kept = append(kept, name, elem)
		}
		name = nil
	}
	return kept
}

// narrowArray keeps names, and descriptions, of commands that the tenant may call; with holes, null stands for the others.
func (s *Session) narrowArray(raw []byte, holes bool) (kept [][]byte) {
	var name []byte // the element before, if it is a name: its description may follow
	for elem := range elems(raw) {
		_, described := header(elem)
		mine := name != nil && s.lets(name)
		if mine {
			kept = append(kept, name)
		}
		switch {
		case !described && isNull(elem):
			kept, name = append(kept, elem), nil
		case !described:
			name = elem
			continue
		case mine, name == nil && s.lets(elem):
			kept = append(kept, elem)
		case name == nil && holes:
			kept = append(kept, s.nullArray())
		}
		name = nil
	}
	if name != nil && s.lets(name) {
		kept = append(kept, name)
	}
	return kept
}

func (s *Session) nullArray() []byte {
	if s.proto == 3 {
		return []byte("_\r\n")
	}
	return []byte("*-1\r\n")
}

// lets reports whether the tenant may call the command that elem names or describes.
func (s *Session) lets(elem []byte) bool {
	text, ok := resp.Bulk(elem)
	if !ok {
		text = firstWord(elem)
	}
	spec := command.ByName(string(text))
	return spec != nil && s.may(spec)
}

// may reports whether the tenant may call the command; a container, if any of its subcommands.
func (s *Session) may(spec *command.Spec) bool {
	if spec.Flags&command.Container != 0 && !s.policy.Governs(spec) {
		return slices.ContainsFunc(command.All(), func(sub *command.Spec) bool {
			return strings.HasPrefix(sub.Name, spec.Name+" ") && s.may(sub)
		})
	}
	return (s.policy.Governs(spec) || s.composes(spec) != nil) && !s.policy.Denies(spec)
}
