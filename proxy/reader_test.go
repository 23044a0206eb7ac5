package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

var testLimits = Limits{Args: 1 << 20, Bulk: 512 << 20, Request: 1 << 30}

// streamConn is a connection that delivers what an io.Reader holds.
type streamConn struct {
	net.Conn
	io.Reader
}

func (c streamConn) Read(b []byte) (int, error) { return c.Reader.Read(b) }

// readAll returns all commands in the stream, arguments joined by "|", and the error behind them.
func readAll(t testing.TB, in io.Reader, limits Limits) (got []string, err error) {
	t.Helper()
	r := newReader(streamConn{Reader: in}, limits)
	r.authed(true)
	for {
		if err := r.fill(); err != nil {
			return got, err
		}
		for args, raw, ok := r.next(); ok; args, raw, ok = r.next() {
			if raw != nil && !bytes.Equal(raw, encode(args)) {
				t.Fatalf("raw %q of %q", raw, args)
			}
			got = append(got, string(bytes.Join(args, []byte("|"))))
		}
	}
}

// encode returns the command as a client library sends it.
func encode(args [][]byte) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b
}

func wire(args ...string) string {
	var list [][]byte
	for _, a := range args {
		list = append(list, []byte(a))
	}
	return string(encode(list))
}

func TestReader_Commands(t *testing.T) {
	for _, c := range []struct {
		in, want string // commands, separated by spaces
		err      error
	}{
		{wire("GET", "a"), "GET|a", io.EOF},
		{wire("SET", "a", "") + wire("PING"), "SET|a| PING", io.EOF},
		{wire("SET", "a", "\r\n*1\r\n"), "SET|a|\r\n*1\r\n", io.EOF},
		{"*0\r\n*-1\r\n\r\n\n  \r\n" + wire("PING") + "*0\r\n", "PING", io.EOF},
		{"PING\r\nget a\nset  b\t'c d'\r\n", "PING get|a set|b|c d", io.EOF},
		{"$3 GET\r\n", "$3|GET", io.EOF},
		{wire("PING")[:9], "", io.EOF},
		{wire("PING") + "*x\r\n" + wire("PING"), "PING", errMbulkLength},
		{wire("PING") + "*1\r\n+OK\r\n", "PING", protocolError("expected '$', got '+'")},
		{"PING\r\n'x\r\n", "PING", errQuotes},
	} {
		for _, size := range []int{1, 2, 3, len(c.in)} {
			got, err := readAll(t, &piecesReader{in: []byte(c.in), size: size}, testLimits)
			if strings.Join(got, " ") != c.want || !errors.Is(err, c.err) {
				t.Errorf("%q in pieces of %d: got %q, %v; want %q, %v", c.in, size, got, err, c.want, c.err)
			}
		}
	}
}

// piecesReader delivers size bytes at a time.
type piecesReader struct {
	in   []byte
	size int
}

func (p *piecesReader) Read(b []byte) (n int, err error) {
	if len(p.in) == 0 {
		return 0, io.EOF
	}
	n = copy(b, p.in[:min(p.size, len(p.in))])
	p.in = p.in[n:]
	return n, nil
}

func TestReader_OneByte(t *testing.T) {
	big := strings.Repeat("v", 200_000)
	in := wire("SET", "a", big) + wire("GET", "a")
	got, err := readAll(t, iotest.OneByteReader(strings.NewReader(in)), testLimits)
	if len(got) != 2 || got[0] != "SET|a|"+big || got[1] != "GET|a" || !errors.Is(err, io.EOF) {
		t.Errorf("got %d commands, %v", len(got), err)
	}
}

// dialTCP returns the two ends of a TCP connection.
func dialTCP(t testing.TB) (client, server net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return pairOf(t, ln)
}

func pairOf(t testing.TB, ln net.Listener) (client, server net.Conn) {
	t.Helper()
	defer func() { _ = ln.Close() }()
	client, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close(); _ = server.Close() })
	return client, server
}

// What is still in the socket comes along with the first command, in one batch.
func TestReader_DeepPipeline(t *testing.T) {
	unix, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	for name, dial := range map[string]func() (net.Conn, net.Conn){
		"tcp":  func() (net.Conn, net.Conn) { return dialTCP(t) },
		"unix": func() (net.Conn, net.Conn) { return pairOf(t, unix) },
	} {
		t.Run(name, func(t *testing.T) {
			client, server := dial()
			one := wire("SET", "key:1", strings.Repeat("v", 100))
			const commands = 500
			send(t, client, strings.Repeat(one, commands)) // fits into the socket's buffers
			r := newReader(server, testLimits)
			r.authed(true)
			if err := r.fill(); err != nil {
				t.Fatal(err)
			}
			if got := r.buffered(); got != commands*len(one) {
				t.Errorf("buffered %d bytes, want %d", got, commands*len(one))
			}
			n := 0
			for _, raw, ok := r.next(); ok; _, raw, ok = r.next() {
				if n++; string(raw) != one {
					t.Fatalf("command %d: %q", n, raw)
				}
			}
			if n != commands {
				t.Errorf("got %d commands, want %d", n, commands)
			}
		})
	}
}

func send(t testing.TB, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

// A client that says nothing has no buffer, whatever it has sent before; one that stopped in the middle has a small one.
func TestReader_Idle(t *testing.T) {
	client, server := dialTCP(t)
	r := newReader(server, testLimits)
	r.authed(true)
	send(t, client, wire("SET", "a", strings.Repeat("v", 150_000)))
	if err := r.fill(); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := r.next(); !ok {
		t.Fatal("no command")
	}
	timeout := func() {
		t.Helper()
		_ = server.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		var late net.Error
		if err := r.fill(); !errors.As(err, &late) || !late.Timeout() {
			t.Fatalf("fill: %v, want a timeout", err)
		}
		_ = server.SetReadDeadline(time.Time{})
	}
	timeout()
	if r.block != nil {
		t.Errorf("a silent client keeps a buffer of %d bytes", len(r.block.data))
	}
	one := wire("SET", "b", strings.Repeat("v", 100))
	send(t, client, strings.Repeat(one, 1000)+"*2\r\n$3\r\nGET\r\n")
	for n := 0; n < 1000; {
		if err := r.fill(); err != nil {
			t.Fatal(err)
		}
		for _, _, ok := r.next(); ok; _, _, ok = r.next() {
			n++
		}
	}
	timeout()
	if r.block == nil || len(r.block.data) > 4<<10 {
		t.Errorf("half a command: want the smallest buffer")
	}
	send(t, client, "$1\r\nb\r\n")
	if err := r.fill(); err != nil {
		t.Fatal(err)
	}
	if args, _, _ := r.next(); len(args) != 2 || string(args[1]) != "b" {
		t.Errorf("got %q", args)
	}
}

// The limits of a client that isn't authenticated end with its AUTH, for commands that have arrived with it too.
func TestReader_Authed(t *testing.T) {
	long := wire(strings.Fields("MGET 1 2 3 4 5 6 7 8 9 10")...)
	r := newReader(streamConn{Reader: strings.NewReader(wire("AUTH", "x") + long + long)}, testLimits)
	if err := r.fill(); err != nil {
		t.Fatal(err)
	}
	if args, _, _ := r.next(); string(args[0]) != "AUTH" {
		t.Fatalf("got %q", args)
	}
	r.authed(true)
	if args, _, _ := r.next(); len(args) != 11 {
		t.Fatalf("got %q", args)
	}
	r.authed(false)
	if args, _, ok := r.next(); ok {
		t.Fatalf("got %q", args)
	}
	if err := r.fill(); !errors.Is(err, errMbulkStrict) {
		t.Errorf("got %v, want %v", err, errMbulkStrict)
	}
}

func TestReader_ArgsAreCapped(t *testing.T) {
	r := newReader(streamConn{Reader: strings.NewReader(wire("SET", "a", "b") + "set c d\r\n" + wire("GET", "e"))}, testLimits)
	if err := r.fill(); err != nil {
		t.Fatal(err)
	}
	var all [][][]byte
	for args, raw, ok := r.next(); ok; args, raw, ok = r.next() {
		all = append(all, args)
		_ = append(raw, "!!!!"...)
		_ = append(args, nil)
		for _, a := range args {
			_ = append(a, "!!!!"...)
		}
	}
	if got, want := fmt.Sprintf("%s", all), "[[SET a b] [set c d] [GET e]]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestReader_Peek(t *testing.T) {
	in := wire("MULTI") + "*0\r\n" + wire("GET", "a") + "get b\r\n" + wire("EXEC") + wire("PI")[:7]
	r := newReader(streamConn{Reader: strings.NewReader(in)}, testLimits)
	if err := r.fill(); err != nil {
		t.Fatal(err)
	}
	first, _, _ := r.next()
	for range 2 {
		var seen []string
		r.peek(func(args [][]byte) bool {
			seen = append(seen, string(bytes.Join(args, []byte("|"))))
			return true
		})
		if got, want := strings.Join(seen, " "), "GET|a get|b EXEC"; got != want {
			t.Errorf("peek: got %q, want %q", got, want)
		}
	}
	n := 0
	r.peek(func([][]byte) bool { n++; return n < 2 })
	if n != 2 {
		t.Errorf("peek went on to %d commands after false", n)
	}
	if args, _, ok := r.next(); !ok || string(args[1]) != "a" || string(first[0]) != "MULTI" {
		t.Errorf("next: got %q behind %q", args, first)
	}
}

// While a client waits for a reply its command stays valid, and what it sends is kept, up to a limit.
func TestReader_Await(t *testing.T) {
	client, server := dialTCP(t)
	limits := testLimits
	limits.Request = 1 << 20
	r := newReader(server, limits)
	r.authed(true)
	send(t, client, wire("BLPOP", "list", "0"))
	if err := r.fill(); err != nil {
		t.Fatal(err)
	}
	args, _, _ := r.next()
	sent := make(chan error, 1)
	one := wire("SET", "a", strings.Repeat("v", 10_000))
	go func() {
		_, err := io.WriteString(client, strings.Repeat(one, 400))
		sent <- err
	}()
	var err error
	for err == nil {
		err = r.await()
	}
	if !errors.Is(err, errFull) || r.buffered() > 4<<20 {
		t.Errorf("got %v with %d bytes", err, r.buffered())
	}
	if got := string(bytes.Join(args, []byte(" "))); got != "BLPOP list 0" {
		t.Errorf("the command turned into %q", got)
	}
	for n := 0; n < 400; {
		if err := r.fill(); err != nil {
			t.Fatal(err)
		}
		for _, raw, ok := r.next(); ok; _, raw, ok = r.next() {
			if n++; string(raw) != one {
				t.Fatalf("command %d: %q", n, raw)
			}
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	_ = client.Close()
	if err := r.await(); !errors.Is(err, io.EOF) {
		t.Errorf("client gone: got %v, want %v", err, io.EOF)
	}
}

// A claim without data costs nothing.
func TestReader_Claims(t *testing.T) {
	for _, in := range []string{"*1048576\r\n$3\r\nGET\r\n", "*1\r\n$536870912\r\nx"} {
		r := newReader(streamConn{Reader: strings.NewReader(in)}, testLimits)
		r.authed(true)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := r.fill()
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, io.EOF) || got > 64<<10 {
			t.Errorf("%q: %v, %d bytes allocated", in, err, got)
		}
	}
}

func TestReader_SmallLimits(t *testing.T) {
	limits := Limits{Args: 3, Bulk: 10, Request: 34}
	for _, c := range []struct {
		in  string
		err error
	}{
		{wire("a", "b", "c"), io.EOF},
		{wire("a", "b", "c", "d"), errMbulkLength},
		{wire("a", "1234567890"), io.EOF},
		{wire("a", "12345678901"), errBulkLength},
		{wire("1234567890", "1234567"), io.EOF}, // 34 bytes
		{wire("1234567890", "12345678"), errRequest},
	} {
		if _, err := readAll(t, strings.NewReader(c.in), limits); !errors.Is(err, c.err) {
			t.Errorf("%q (%d bytes): got %v, want %v", c.in, len(c.in), err, c.err)
		}
	}
}

func TestReader_Closed(t *testing.T) {
	client, server := dialTCP(t)
	r := newReader(server, testLimits)
	send(t, client, wire("PING")+"*1\r\n$4\r\nPI")
	if err := r.fill(); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := r.next(); !ok {
		t.Error("no command")
	}
	_ = client.Close()
	for range 2 {
		if err := r.fill(); !errors.Is(err, io.EOF) {
			t.Errorf("got %v, want %v", err, io.EOF)
		}
	}
	_ = server.Close()
	if err := newReader(server, testLimits).fill(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("own end closed: got %v, want %v", err, net.ErrClosed)
	}
	_, server = dialTCP(t)
	_ = server.SetReadDeadline(time.Now().Add(-time.Second))
	if err := newReader(server, testLimits).fill(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want %v", err, os.ErrDeadlineExceeded)
	}
}

// FuzzReader: whatever pieces the bytes come in, the same commands and the same error come out.
func FuzzReader(f *testing.F) {
	addSeeds(f)
	limits := Limits{Args: 40, Bulk: 4000, Request: 6000}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		want, wantErr := readAll(t, bytes.NewReader(in), limits)
		got, err := readAll(t, &randomPieces{in, rand.New(rand.NewPCG(seed, 1))}, limits)
		if strings.Join(got, "\n") != strings.Join(want, "\n") || err.Error() != wantErr.Error() {
			t.Fatalf("in pieces: %q, %v\nwhole: %q, %v", got, err, want, wantErr)
		}
	})
}

// randomPieces delivers one to nine bytes at a time.
type randomPieces struct {
	in  []byte
	rnd *rand.Rand
}

func (p *randomPieces) Read(b []byte) (int, error) {
	if len(p.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.in[:min(1+p.rnd.IntN(9), len(p.in))])
	p.in = p.in[n:]
	return n, nil
}
