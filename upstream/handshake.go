package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/redcon"

	"sessiongate/resp"
)

// handshake says how a new connection introduces itself.
type handshake struct {
	proto, db            int
	user, password, name string
	role                 *Role
	replica              bool // reads of what the node only replicates are to be answered, not redirected
}

// hello is what the upstream told about itself.
type hello struct {
	id      int64     // CLIENT ID of the connection; 0: not told
	version string    // redis_version; empty: not told
	clock   int64     // its clock, Unix microseconds; 0: not told
	asked   time.Time // when we asked for it
	told    time.Time // when we knew
}

// Refused is an error with which the upstream answered our handshake.
type Refused struct {
	Step  string // HELLO, AUTH, SELECT
	Reply string // the error reply, without the leading '-'
}

func (r *Refused) Error() string {
	switch r.code() {
	case "WRONGPASS", "NOAUTH", "NOPERM":
		return "upstream refused our credentials: " + r.Reply
	}
	return "upstream refused " + r.Step + ": " + r.Reply
}

func (r *Refused) code() string { code, _, _ := strings.Cut(r.Reply, " "); return code }

// temporary reports whether asking again may help.
func (r *Refused) temporary() bool {
	switch r.code() {
	case "LOADING", "BUSY", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN":
		return true
	}
	return strings.Contains(r.Reply, "max number of clients")
}

// step is one command of the handshake.
type step struct {
	name string
	args []string
	must bool // its failure is ours
	use  func(h *hello, reply []byte)

	role bool // it makes the connection the role's, which judges the reply
	ok   bool // only +OK will do
}

// shakeHands introduces conn in one round trip, or two with a server too old for HELLO.
func shakeHands(conn net.Conn, s handshake) (hello, error) {
	h, err := s.converse(conn, s.steps(true))
	var refused *Refused
	if errors.As(err, &refused) && refused.Step == "HELLO" && s.proto == 2 && strings.Contains(refused.Reply, "unknown command") {
		h, err = s.converse(conn, s.steps(false))
	}
	return h, err
}

func (s handshake) steps(greet bool) []step {
	var steps []step
	switch {
	case greet:
		args := []string{strconv.Itoa(s.proto)}
		if s.password != "" {
			user := s.user
			if user == "" {
				user = "default"
			}
			args = append(args, "AUTH", user, s.password)
		}
		steps = append(steps, step{name: "HELLO", args: args, must: true, use: (*hello).greeting})
	case s.password != "" && s.user != "":
		steps = append(steps, step{name: "AUTH", args: []string{s.user, s.password}, must: true})
	case s.password != "":
		steps = append(steps, step{name: "AUTH", args: []string{s.password}, must: true})
	}
	if s.db != 0 {
		steps = append(steps, step{name: "SELECT", args: []string{strconv.Itoa(s.db)}, must: true})
	}
	steps = append(steps, step{name: "CLIENT", args: []string{"SETNAME", s.name}})
	if !greet {
		steps = append(steps, step{name: "CLIENT", args: []string{"ID"}, use: (*hello).number})
	}
	if s.replica {
		steps = append(steps, step{name: "READONLY"}) // outside of a cluster it is an error, and not needed
	}
	steps = append(steps, step{name: "TIME", use: (*hello).time})
	steps = append(steps, step{name: "PING"}) // says whether it is still loading, as the others need not
	return append(steps, s.role.steps()...)
}

// converse sends all steps at once and reads their replies. The first refusal that matters is returned, after the
// replies to all steps so that the connection can be used on.
func (s handshake) converse(conn net.Conn, steps []step) (hello, error) {
	h := hello{asked: time.Now()}
	var req []byte
	for _, st := range steps {
		req = redcon.AppendArray(req, 1+len(st.args))
		req = redcon.AppendBulkString(req, st.name)
		for _, a := range st.args {
			req = redcon.AppendBulkString(req, a)
		}
	}
	if _, err := conn.Write(req); err != nil {
		return h, err
	}
	var refused error
	var buf []byte
	for i := range steps {
		st := &steps[i]
		reply, rest, err := readValue(conn, buf)
		switch {
		case refused != nil && err != nil:
			return h, refused // it said why, and hung up
		case err != nil:
			return h, err
		case st.role && refused == nil:
			refused = s.role.judge(st, reply, s.redact)
		case reply[0] != '-':
			if st.use != nil {
				st.use(&h, reply)
			}
		case (st.must || bytes.HasPrefix(reply, []byte("-LOADING"))) && refused == nil:
			refused = &Refused{Step: st.name, Reply: s.redact(reply)}
		}
		buf = rest
	}
	if refused == nil && len(buf) > 0 {
		refused = errors.New("broken framing: more replies than asked for")
	}
	return h, refused
}

// redact is the text of an error reply. Some servers quote the arguments of what they don't understand.
func (s handshake) redact(reply []byte) string {
	text := string(bytes.TrimSpace(reply[1:]))
	if s.quotesPassword(text) || strings.Contains(text, "args beginning with") {
		text, _, _ = strings.Cut(text, ",")
		if s.quotesPassword(text) {
			return "ERR (text withheld: it quotes our password)"
		}
	}
	return text
}

func (s handshake) quotesPassword(text string) bool {
	return s.password != "" && strings.Contains(text, s.password) || s.role != nil && s.role.Pass != "" && strings.Contains(text, s.role.Pass)
}

// readValue returns the next whole value and what was read beyond it; buf is what had been read before.
func readValue(conn net.Conn, buf []byte) (value, rest []byte, err error) {
	for {
		n, err := resp.Len(buf)
		if err != nil {
			return nil, nil, fmt.Errorf("not a Redis: %w", err)
		}
		if n > 0 {
			return buf[:n:n], buf[n:], nil
		}
		chunk := make([]byte, 4096)
		n, err = conn.Read(chunk)
		if n == 0 && err != nil {
			return nil, nil, err
		}
		buf = append(buf[:len(buf):len(buf)], chunk[:n]...)
	}
}

// greeting reads version and id from the reply to HELLO.
func (h *hello) greeting(reply []byte) {
	if v, ok := after(reply, "$7\r\nversion\r\n$"); ok {
		_, v, _ = bytes.Cut(v, []byte("\r\n"))
		v, _, _ = bytes.Cut(v, []byte("\r\n"))
		h.version = string(v)
	}
	if v, ok := after(reply, "$2\r\nid\r\n"); ok {
		h.number(v)
	}
}

// number reads the reply to CLIENT ID.
func (h *hello) number(reply []byte) {
	if len(reply) > 0 && reply[0] == ':' {
		line, _, _ := bytes.Cut(reply[1:], []byte("\r\n"))
		h.id, _ = strconv.ParseInt(string(line), 10, 64)
	}
}

// time reads the reply to TIME: seconds and microseconds as two strings.
func (h *hello) time(reply []byte) {
	lines := bytes.Split(reply, []byte("\r\n"))
	if len(lines) < 5 {
		return
	}
	sec, err1 := strconv.ParseInt(string(lines[2]), 10, 64)
	usec, err2 := strconv.ParseInt(string(lines[4]), 10, 64)
	if err1 == nil && err2 == nil {
		h.clock, h.told = sec*1e6+usec, time.Now()
	}
}

func after(b []byte, mark string) ([]byte, bool) {
	i := bytes.Index(b, []byte(mark))
	if i < 0 {
		return nil, false
	}
	return b[i+len(mark):], true
}
