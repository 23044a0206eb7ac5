package replay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/tidwall/redcon"
)

// Player plays conversations with a server. It may be used for several, one after the other.
type Player struct {
	Dial     func(ctx context.Context) (net.Conn, error)
	User     string // empty: default
	Password string // empty: nobody logs in

	OneByOne bool          // await each reply before the next request, where the client doesn't
	Rules    bool          // the server bounds expiries: see ttl in match.go
	Patience time.Duration // for a reply; 0: 10 s
}

// Result is how a check went.
type Result struct {
	Check     string
	Err       error    // what is not as the client needs it
	Tolerated []string // what it puts up with, as "command: reply"
}

// Play plays the conversation. There is a result for each of its checks, in their order.
func (p *Player) Play(ctx context.Context, c *Conversation) (all []Result) {
	t := &take{Player: p, conversation: c, conns: map[string]*conn{}}
	defer t.hangUp()
	for _, s := range c.steps {
		if s.check != "" {
			all = append(all, Result{Check: s.check})
		}
		now := &all[len(all)-1]
		if err := t.step(ctx, s, now); err != nil && now.Err == nil {
			now.Err = err
		}
	}
	if last := &all[len(all)-1]; last.Err == nil {
		last.Err = t.surplus()
	}
	return all
}

// take is a conversation under way.
type take struct {
	*Player
	conversation *Conversation
	conns        map[string]*conn
	lost         error // a connection has failed: nothing after that tells anything
}

func (t *take) hangUp() {
	for _, c := range t.conns {
		_ = c.Close()
	}
}

func (t *take) patience() time.Duration {
	if t.Patience == 0 {
		return 10 * time.Second
	}
	return t.Patience
}

func (t *take) conn(ctx context.Context, name string) (*conn, error) {
	if c := t.conns[name]; c != nil {
		return c, nil
	}
	ctx, cancel := context.WithTimeout(ctx, t.patience())
	defer cancel()
	raw, err := t.Dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, r: bufio.NewReader(raw)}
	t.conns[name] = c
	return c, nil
}

// step plays one exchange. Its replies are all read, whatever they are, so that the next ones are those of the next.
func (t *take) step(ctx context.Context, s step, now *Result) error {
	if t.lost != nil {
		return t.lost
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.close {
		if c := t.conns[s.on]; c != nil {
			delete(t.conns, s.on)
			return c.Close()
		}
		return nil
	}
	c, err := t.conn(ctx, s.on)
	if err != nil {
		t.lost = err
		return err
	}
	if err = t.exchange(c, s, now); errors.Is(err, errLost) {
		t.lost = err
	}
	return err
}

var errLost = errors.New("the connection is lost")

// exchange sends the requests of a step and compares the replies.
func (t *take) exchange(c *conn, s step, now *Result) (wrong error) {
	var raw []byte
	said := make([][]string, len(s.asks))
	for i, ask := range s.asks {
		said[i] = t.expand(t.conversation, ask)
		if raw = appendRequest(raw, said[i]); t.OneByOne {
			if err := c.write(raw, t.patience()); err != nil {
				return fmt.Errorf("%w: %w", errLost, err)
			}
			raw = raw[:0]
			if err := t.compare(c, s.wants[i], said[i], now); errors.Is(err, errLost) {
				return err
			} else if wrong == nil {
				wrong = err
			}
		}
	}
	if err := c.write(raw, t.patience()); err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	for i, w := range s.wants {
		if i < len(said) && t.OneByOne {
			continue
		}
		var args []string
		if i < len(said) {
			args = said[i]
		}
		if err := t.compare(c, w, args, now); errors.Is(err, errLost) {
			return err
		} else if wrong == nil {
			wrong = err
		}
	}
	return wrong
}

// compare reads a reply, unless its request was not sent.
func (t *take) compare(c *conn, w want, args []string, now *Result) error {
	if w.later || w.optional && t.Password == "" {
		return nil
	}
	got, err := c.read(t.patience())
	var slow net.Error
	switch {
	case errors.As(err, &slow) && slow.Timeout():
		return fmt.Errorf("%w: line %d: nothing comes within %v, want %s", errLost, w.line, t.patience(), w.text)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: line %d: %s is answered by hanging up", errLost, w.line, t.shown(args))
	case err != nil:
		return fmt.Errorf("%w: line %d: %w", errLost, w.line, err)
	}
	for i := range w.forms {
		if w.forms[i].matches(got, t.Rules) {
			if i > 0 {
				now.Tolerated = append(now.Tolerated, t.shown(args)+": "+got.without(t.Password).String())
			}
			return nil
		}
	}
	return fmt.Errorf("line %d: %s is answered %s, want %s", w.line, t.shown(args), got.without(t.Password), w.text)
}

// shown is a request for people, without passwords.
func (t *take) shown(args []string) string {
	if len(args) == 0 {
		return "silence"
	}
	words := make([]string, len(args))
	for i, arg := range args {
		if words[i] = shortened(arg); t.Password != "" && strings.Contains(arg, t.Password) {
			words[i] = "***"
		} else if strings.ContainsAny(arg, " \r\n\x00") {
			words[i] = shortened(fmt.Sprintf("%q", arg))
		}
	}
	return strings.Join(words, " ")
}

// surplus looks whether there are more replies than there were requests, over the first connection.
func (t *take) surplus() error {
	c := t.conns["main"]
	if c == nil {
		return nil
	}
	const marker = "no more replies than requests"
	if err := c.write(appendRequest(nil, []string{"ECHO", marker}), t.patience()); err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	got, err := c.read(t.patience())
	if err == nil && got.text != marker {
		err = fmt.Errorf("there is a reply too many: %s", got.without(t.Password))
	}
	return err
}

func (c *conn) write(raw []byte, patience time.Duration) error {
	if len(raw) == 0 {
		return nil
	}
	_ = c.SetWriteDeadline(time.Now().Add(patience))
	_, err := c.Write(raw)
	return err
}

func appendRequest(dst []byte, args []string) []byte {
	if len(args) == 0 {
		return dst
	}
	dst = redcon.AppendArray(dst, len(args))
	for _, arg := range args {
		dst = redcon.AppendBulkString(dst, arg)
	}
	return dst
}
