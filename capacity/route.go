package capacity

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/tidwall/redcon"

	"sessiongate/resp"
)

// route is a way to Redis.
type route struct {
	name string // direct or proxy
	opt  *redis.Options
}

const (
	direct     = "direct"
	throughOne = "proxy"
)

// patience is how long a connection may take to open, or a reply to come: of a Redis that saves, or of one that expires millions of keys.
const patience = 60 * time.Second

// wire is one connection. One goroutine uses it.
type wire struct {
	net.Conn
	in     *bufio.Reader
	unhook func() bool
}

// dial opens a connection, which is closed at the latest when ctx ends.
func (r *route) dial(ctx context.Context) (*wire, error) {
	conn, err := r.opt.Dialer(ctx, r.opt.Network, r.opt.Addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.name, err)
	}
	w := &wire{Conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}
	w.unhook = context.AfterFunc(ctx, func() { _ = conn.Close() })
	if err := w.greet(r.opt); err != nil {
		w.close()
		return nil, fmt.Errorf("%s: %w", r.name, err)
	}
	return w, nil
}

func (w *wire) close() {
	w.unhook()
	_ = w.Close()
}

// greet logs in and selects the database.
func (w *wire) greet(opt *redis.Options) error {
	if opt.Password != "" {
		auth := redcon.AppendBulkString(redcon.AppendArray(nil, 2), "AUTH")
		if opt.Username != "" {
			auth = redcon.AppendBulkString(redcon.AppendBulkString(redcon.AppendArray(nil, 3), "AUTH"), opt.Username)
		}
		if err := w.lines(redcon.AppendBulkString(auth, opt.Password), 1); err != nil {
			return err
		}
	}
	if opt.DB == 0 {
		return nil
	}
	return w.lines(appendInt(redcon.AppendBulkString(redcon.AppendArray(nil, 2), "SELECT"), int64(opt.DB)), 1)
}

// lines sends commands whose replies are n lines, and reads those. A reply that is an error ends it.
func (w *wire) lines(commands []byte, n int) error {
	if err := w.send(commands); err != nil {
		return err
	}
	for range n {
		line, err := w.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if line[0] == '-' {
			return fmt.Errorf("the reply is %s", strings.TrimSpace(string(line[1:])))
		}
	}
	return nil
}

func (w *wire) send(commands []byte) error {
	if err := w.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := w.Write(commands)
	return err
}

// ask sends one command and reads its reply.
func (w *wire) ask(command []byte) error {
	if err := w.send(command); err != nil {
		return err
	}
	if first, err := w.in.Peek(1); err != nil {
		return err
	} else if first[0] == '-' {
		line, err := w.in.ReadString('\n')
		if err == nil {
			err = fmt.Errorf("the reply is %s", strings.TrimSpace(line[1:]))
		}
		return err
	}
	var scanner resp.Scanner
	for done := false; !done; {
		if _, err := w.in.Peek(1); err != nil {
			return err
		}
		more, err := w.in.Peek(w.in.Buffered())
		if err != nil {
			return err
		}
		n := 0
		if n, done, err = scanner.Scan(more); err != nil {
			return err
		}
		if _, err := w.in.Discard(n); err != nil {
			return err
		}
	}
	return nil
}
