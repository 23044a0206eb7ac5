package admin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/redcon"
	"go.uber.org/zap"
)

// What one command in RESP may be. There are few, and they are short.
const (
	maxWords   = 256
	maxWord    = 16 << 10 // bytes
	maxCommand = 64 << 10 // bytes, of all words
	respIdle   = 10 * time.Minute
	// nobodysWords is how many words one may send who has to show a credential and has not: as many as Redis takes then.
	nobodysWords = 10
	// respLogin is how long one may be silent who has shown no credential.
	respLogin = 10 * time.Second
	// respRest is how long a command may take to arrive whose first byte has.
	respRest = 5 * time.Second
	// respWrite is how long a client may take to take an answer.
	respWrite = 30 * time.Second
)

var errProtocol = errors.New("ERR Protocol error")

// operator is a connection that speaks RESP.
type operator struct {
	admin    *Admin
	conn     *limited
	in       *bufio.Reader
	admitted bool   // has shown a credential, or has come with one
	who      string // for logs
	quit     bool
}

// serveRESP answers commands until the client leaves or done is closed.
func (a *Admin) serveRESP(conn *limited, in *bufio.Reader, done <-chan struct{}) {
	defer conn.Close()
	o := &operator{admin: a, conn: conn, in: in, who: remoteHost(conn.RemoteAddr().String())}
	if state := conn.state(); a.cfg.MTLS && state != nil && len(state.VerifiedChains) > 0 {
		o.admitted, o.who = true, state.VerifiedChains[0][0].Subject.String()+" at "+o.who
	}
	defer func() {
		if p := recover(); p != nil {
			a.cfg.Proxy.Counts.Panics.Add(1)
			a.cfg.Log.Error("admin: a connection ended by a panic", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
		}
	}()
	for !o.quit {
		idle := respLogin
		if o.may(secrets) == nil {
			idle = respIdle
			conn.proven.Store(true)
		}
		_ = conn.SetReadDeadline(time.Now().Add(idle))
		select {
		case <-done:
			return
		default:
		}
		words, err := o.read()
		if err != nil {
			if errors.Is(err, errProtocol) {
				_ = o.write(redcon.AppendError(nil, err.Error()))
			}
			return
		}
		if len(words) == 0 {
			continue
		}
		_ = conn.SetReadDeadline(time.Time{})
		ctx, cancel := context.WithCancel(a.ctx)
		reply := o.answer(ctx, words)
		cancel()
		if o.write(reply) != nil {
			return
		}
	}
}

func (o *operator) write(b []byte) error {
	_ = o.conn.SetWriteDeadline(time.Now().Add(respWrite))
	_, err := o.conn.Write(b)
	return err
}

// read reads one command, whose first byte may take its time.
func (o *operator) read() ([]string, error) {
	if _, err := o.in.Peek(1); err != nil {
		return nil, err
	}
	_ = o.conn.SetReadDeadline(time.Now().Add(respRest))
	most := maxWords
	if o.may(figures) != nil {
		most = nobodysWords
	}
	return readCommand(o.in, most)
}

// readCommand reads one command as clients send it: an array of bulk strings, so many at most.
func readCommand(in *bufio.Reader, most int) ([]string, error) {
	n, err := readLength(in, '*', most)
	if err != nil {
		return nil, err
	}
	words, size := make([]string, 0, max(n, 0)), 0
	for range n {
		length, err := readLength(in, '$', maxWord)
		if err != nil {
			return nil, err
		}
		if size += length; length < 0 || size > maxCommand {
			return nil, errProtocol
		}
		word := make([]byte, length+2)
		if _, err := io.ReadFull(in, word); err != nil {
			return nil, err
		}
		if string(word[length:]) != "\r\n" {
			return nil, errProtocol
		}
		words = append(words, string(word[:length]))
	}
	return words, nil
}

// longestLine is how long the head of an array or a string may be.
const longestLine = 32

func readLength(in *bufio.Reader, kind byte, most int) (int, error) {
	var line []byte
	for {
		c, err := in.ReadByte()
		if err != nil {
			return 0, err
		}
		if line = append(line, c); c == '\n' {
			break
		}
		if len(line) > longestLine {
			return 0, errProtocol
		}
	}
	if line[0] != kind || !bytes.HasSuffix(line, []byte("\r\n")) {
		return 0, errProtocol
	}
	n, err := strconv.Atoi(string(line[1 : len(line)-2]))
	if err != nil || n > most {
		return 0, errProtocol
	}
	return n, nil
}

// answer answers one command: those with which drivers greet a server, and ours.
func (o *operator) answer(ctx context.Context, words []string) []byte {
	switch name := strings.ToUpper(words[0]); name {
	case "SESSIONGATE":
		return o.sessiongate(ctx, words[1:])
	case "AUTH":
		if len(words) != 2 && len(words) != 3 {
			return redcon.AppendError(nil, "ERR wrong number of arguments for 'auth' command")
		}
		if errText := o.login(words[len(words)-1]); errText != "" {
			return redcon.AppendError(nil, errText)
		}
		return redcon.AppendOK(nil)
	case "HELLO":
		return o.hello(words[1:])
	case "PING":
		return redcon.AppendString(nil, "PONG")
	case "QUIT":
		o.quit = true
		return redcon.AppendOK(nil)
	case "CLIENT", "SELECT":
		return redcon.AppendOK(nil)
	case "COMMAND":
		return redcon.AppendArray(nil, 0)
	}
	return redcon.AppendError(nil, "ERR this is the admin address, which knows SESSIONGATE; try SESSIONGATE HELP")
}

// login takes the token.
func (o *operator) login(token string) (errText string) {
	switch {
	case o.admin.cfg.Token == "":
		return "ERR there is no token configured"
	case !o.admin.isToken(token):
		o.admin.failed(o.who)
		_ = sleep(o.admin.ctx, wrongTokenDelay)
		return "WRONGPASS invalid token"
	}
	o.admitted = true
	return ""
}

// wrongTokenDelay keeps a guesser waiting.
const wrongTokenDelay = 200 * time.Millisecond

// hello answers HELLO [2|3 [AUTH user token] [SETNAME name]]. Replies are the same in both versions.
func (o *operator) hello(args []string) []byte {
	proto := 2
	if len(args) > 0 {
		switch args[0] {
		case "2":
		case "3":
			proto = 3
		default:
			return redcon.AppendError(nil, "NOPROTO unsupported protocol version")
		}
		args = args[1:]
	}
	for len(args) > 0 {
		switch word := strings.ToUpper(args[0]); {
		case word == "AUTH" && len(args) >= 3:
			if errText := o.login(args[2]); errText != "" {
				return redcon.AppendError(nil, errText)
			}
			args = args[3:]
		case word == "SETNAME" && len(args) >= 2:
			args = args[2:]
		default:
			return redcon.AppendError(nil, "ERR syntax error in HELLO")
		}
	}
	fields := []string{"server", "sessiongate", "version", o.admin.cfg.Version, "mode", "standalone", "role", "admin"}
	var b []byte
	if proto == 3 {
		b = append(b, '%')
		b = strconv.AppendInt(b, int64(len(fields)/2+1), 10)
		b = append(b, "\r\n"...)
	} else {
		b = redcon.AppendArray(b, len(fields)+2)
	}
	b = redcon.AppendInt(redcon.AppendBulkString(b, "proto"), int64(proto))
	for _, field := range fields {
		b = redcon.AppendBulkString(b, field)
	}
	return b
}

// may reports why the client may not do that, nil if it may.
func (o *operator) may(to access) error {
	if o.admitted {
		return nil
	}
	if err := o.admin.admit(o.who, false, "", to); err != nil {
		return err
	}
	return nil
}
