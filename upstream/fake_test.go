package upstream_test

import (
	"crypto/tls"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/tidwall/redcon"
)

// fake is a server that answers handshakes, health checks and PINGs like a Redis; for everything else it does what
// the test says. It reads and answers in batches, so that it is no drag on benchmarks.
type fake struct {
	answer func(c *fakeConn, args [][]byte)                // does what the test says
	greet  func(c *fakeConn, args [][]byte) (reply string) // replies to the rest; nil: manners
	tls    *tls.Config                                     // nil: plain
	at     string                                          // where to listen; empty: anywhere

	ln net.Listener

	mu    sync.Mutex
	conns map[*fakeConn]struct{}
	wg    sync.WaitGroup
}

// swallowed is a greeting that is none: nothing is answered at all.
const swallowed = "swallowed"

// fakeConn is one connection of a fake, seen from the server.
type fakeConn struct {
	net.Conn
	out []byte // replies not yet written
}

// newFake starts a fake that calls answer for each command.
func newFake(t testing.TB, answer func(c *fakeConn, args [][]byte)) *fake {
	t.Helper()
	return (&fake{answer: answer}).start(t)
}

func (f *fake) start(t testing.TB) *fake {
	t.Helper()
	if f.at == "" {
		f.at = "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", f.at)
	if err != nil {
		t.Fatal(err)
	}
	f.ln = ln
	if f.tls != nil {
		f.ln = tls.NewListener(ln, f.tls)
	}
	if f.greet == nil {
		f.greet = manners
	}
	f.conns = map[*fakeConn]struct{}{}
	f.wg.Go(f.accept)
	t.Cleanup(f.stop)
	return f
}

func (f *fake) addr() string { return f.ln.Addr().String() }
func (f *fake) url() string  { return "redis://" + f.addr() }

func (f *fake) accept() {
	for {
		conn, err := f.ln.Accept()
		if err != nil {
			return
		}
		c := &fakeConn{Conn: conn}
		f.mu.Lock()
		f.conns[c] = struct{}{}
		f.mu.Unlock()
		f.wg.Go(func() { f.serve(c) })
	}
}

func (f *fake) serve(c *fakeConn) {
	defer c.Close()
	var in []byte
	var argbuf [][]byte
	chunk := make([]byte, 64<<10)
	for {
		n, err := c.Read(chunk)
		if err != nil {
			return
		}
		in = append(in, chunk[:n]...)
		rest := in
		for {
			complete, args, _, left, err := redcon.ReadNextCommand(rest, argbuf)
			if err != nil {
				return
			}
			if !complete {
				break
			}
			argbuf, rest = args, left
			if reply := f.greet(c, args); reply == swallowed {
				continue
			} else if reply != "" {
				c.out = append(c.out, reply...)
			} else {
				f.answer(c, args)
			}
		}
		in = in[:copy(in, rest)]
		if c.flush() != nil {
			return
		}
	}
}

// manners are the replies to what no test is about.
func manners(_ *fakeConn, args [][]byte) string {
	switch string(args[0]) {
	case "HELLO", "hello":
		return "%2\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$2\r\nid\r\n:7\r\n"
	case "CLIENT", "client", "SELECT", "select":
		return "+OK\r\n"
	case "PING", "ping":
		return "+PONG\r\n"
	case "TIME", "time":
		return "*2\r\n$10\r\n1700000000\r\n$6\r\n000000\r\n"
	case "INFO", "info":
		return "$20\r\nredis_version:7.0.0\n\r\n"
	}
	return ""
}

func (c *fakeConn) flush() error {
	_, err := c.Write(c.out)
	c.out = c.out[:0]
	return err
}

// cut closes all connections.
func (f *fake) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		c.Close()
		delete(f.conns, c)
	}
}

func (f *fake) stop() {
	f.ln.Close()
	f.cut()
	f.wg.Wait()
}

// say writes now, whatever is still to be answered.
func (c *fakeConn) say(s string) { _, _ = c.Write([]byte(s)) }

// cmd is a command as bytes.
func cmd(args ...string) []byte {
	b := redcon.AppendArray(nil, len(args))
	for _, a := range args {
		b = redcon.AppendBulkString(b, a)
	}
	return b
}

// bulk is a string as bytes.
func bulk(s string) string { return "$" + strconv.Itoa(len(s)) + "\r\n" + s + "\r\n" }
