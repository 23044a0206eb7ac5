package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidwall/redcon"

	"sessiongate/upstream"
)

// script is what a scripted upstream does once a connection is set up.
type script func(conn net.Conn)

// scripted starts an upstream that answers a handshake and then follows the script at the first other command.
func scripted(t *testing.T, do script) *upstream.Conn {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go greet(conn, do)
		}
	}()
	pool, err := upstream.Open(upstream.Config{URL: "redis://" + ln.Addr().String()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close(); _ = ln.Close() })
	conn, err := pool.Dedicated(t.Context(), 3, 0)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func greet(conn net.Conn, do script) {
	defer func() { _ = conn.Close() }()
	r := newReader(conn, testLimits)
	r.authed(true)
	for r.fill() == nil {
		var out []byte
		for args, _, ok := r.next(); ok; args, _, ok = r.next() {
			switch strings.ToUpper(string(args[0])) {
			case "HELLO":
				out = append(out, "%1\r\n$2\r\nid\r\n:7\r\n"...)
			case "CLIENT", "SELECT":
				out = redcon.AppendOK(out)
			case "PING":
				out = redcon.AppendString(out, "PONG")
			case "TIME":
				out = append(out, "*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n"...)
			default:
				do(conn)
				return
			}
		}
		_, _ = conn.Write(out)
	}
}

// newTestPump returns a pump between the script and a client.
func newTestPump(t *testing.T, client net.Conn, do script) (p *pump, told chan string) {
	t.Helper()
	told = make(chan string, 1)
	p = &pump{
		conn: scripted(t, do), client: client, writing: new(atomic.Int64), sent: new(atomic.Int64), proto: 3, output: 1 << 10,
		show:   func(dst, raw []byte) []byte { return append(dst, raw...) },
		report: func(why string) { told <- why }, crashed: func(why any) { told <- fmt.Sprint(why) },
	}
	p.lifts.Store(true)
	p.start()
	t.Cleanup(func() { p.stop(false) })
	return p, told
}

// A mistake of ours ends the client, and nothing else.
func TestPump_Panic(t *testing.T) {
	_, server := net.Pipe()
	p, told := newTestPump(t, server, func(conn net.Conn) { _, _ = io.WriteString(conn, ">1\r\n+a\r\n") })
	p.mu.Lock()
	p.show = func(_, _ []byte) []byte { panic("a mistake") }
	p.mu.Unlock()
	b := upstream.Batch{Req: []byte(wire("SUBSCRIBE", "a")), Count: 1}
	if err := p.do(context.Background(), &b, 10*time.Second, nil); !errors.Is(err, errPanic) {
		t.Errorf("got %v", err)
	}
	if why := <-told; why != "a mistake" {
		t.Errorf("told of %q", why)
	}
}

// A reply that has come is handed on, though the upstream has closed the connection behind it.
func TestPump_ReplyThenEnd(t *testing.T) {
	_, server := net.Pipe()
	p, _ := newTestPump(t, server, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "*2\r\n$1\r\nq\r\n$4\r\nelem\r\n")
	})
	b := upstream.Batch{Req: []byte(wire("BLPOP", "q", "0")), Count: 1}
	if err := p.send(context.Background(), &b, false, false); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if err := p.receive(&b); err != nil || string(b.Replies[0].Raw) != "*2\r\n$1\r\nq\r\n$4\r\nelem\r\n" {
		t.Errorf("got %v, %v", b.Replies, err)
	}
	if err := p.send(context.Background(), &b, false, false); err == nil {
		t.Error("the next batch is sent on a connection that has ended")
	}
}

// Pushes inside a reply come before it.
func TestPump_Lifts(t *testing.T) {
	_, server := net.Pipe()
	const push = ">2\r\n+a\r\n+b\r\n"
	p, _ := newTestPump(t, server, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "+QUEUED\r\n*2\r\n"+push+":1\r\n"+push+":2\r\n"+push+"+OK\r\n")
		_, _ = io.Copy(io.Discard, conn)
	})
	b := upstream.Batch{Req: []byte(wire("EXEC")), Count: 3}
	if err := p.do(context.Background(), &b, 10*time.Second, nil); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for i, r := range b.Replies {
		got = append(p.appendPushes(got, i), r.Raw...)
	}
	if want := "+QUEUED\r\n" + push + push + "*2\r\n:1\r\n:2\r\n" + push + "+OK\r\n"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A client is closed when more pushes wait for it than is kept.
func TestPump_Output(t *testing.T) {
	client, server := net.Pipe()
	p, told := newTestPump(t, server, func(conn net.Conn) {
		_, _ = io.WriteString(conn, strings.Repeat(">2\r\n+message\r\n+"+strings.Repeat("x", 100)+"\r\n", 20))
		_, _ = io.Copy(io.Discard, conn)
	})
	b := upstream.Batch{Req: []byte(wire("ANY")), Count: 1}
	if err := p.do(context.Background(), &b, 10*time.Second, nil); !errors.Is(err, errBehind) {
		t.Errorf("got %v, want %v", err, errBehind)
	}
	if n, err := client.Read(make([]byte, 1)); err == nil {
		t.Errorf("the client is not closed, but reads %d bytes", n)
	}
	if why := <-told; !strings.Contains(why, "output limit") {
		t.Errorf("reported %q", why)
	}
}

// A client that a push can't be written to is closed, instead of being left in the middle of one.
func TestPump_ClientDoesNotRead(t *testing.T) {
	client, server := net.Pipe()
	_ = server.SetWriteDeadline(time.Unix(1, 0)) // as the sweeper does
	p, told := newTestPump(t, server, func(conn net.Conn) {
		_, _ = io.WriteString(conn, ">2\r\n+message\r\n+x\r\n")
		_, _ = io.Copy(io.Discard, conn)
	})
	if err := p.conn.Write(context.Background(), []byte(wire("ANY"))); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if n, err := client.Read(make([]byte, 1)); err == nil {
		t.Errorf("the client is not closed, but reads %d bytes", n)
	}
	if err := p.broken(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("broken by %v", err)
	}
	<-told
}

// The stamp of a session that has to wait for a push to be written is not lost with the push's own.
func TestPump_Stamps(t *testing.T) {
	client, server := net.Pipe()
	p, _ := newTestPump(t, server, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	s := editing(t, "", 3)
	s.conn, s.own, s.out = server, &own{pump: p}, []byte("+OK\r\n")
	p.writing = &s.writing
	s.srv.clock.Store(1)
	p.mu.Lock()
	written := make(chan error)
	go func() { written <- s.flush() }()
	pushed := make(chan error)
	go func() { pushed <- p.tell([]byte(">1\r\n+a\r\n")); p.mu.Unlock() }()
	if _, err := io.ReadFull(client, make([]byte, 8)); err != nil || <-pushed != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(client, make([]byte, 1)); err != nil { // so that it writes, and goes on to
		t.Fatal(err)
	}
	if s.writing.Load() == 0 {
		t.Error("the session writes without a stamp")
	}
	if _, err := io.ReadFull(client, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	if err := <-written; err != nil || s.writing.Load() != 0 {
		t.Errorf("got %v, stamp %d", err, s.writing.Load())
	}
}

// A client that another one has asked for a connection may have logged out meanwhile.
func TestSession_ExposesNobody(t *testing.T) {
	s := editing(t, "", 3)
	s.tenant = nil
	s.wanted.Store(true)
	s.expose()
	if s.wanted.Load() {
		t.Error("it is still wanted")
	}
}

func TestParseTimeout(t *testing.T) {
	for text, want := range map[string]float64{"0": 0, "1.5": 1.5, "0x1": 1, "0X1.8": 1.5, "0x1p-1": 0.5, "1e1": 10, "-0x2": -2} {
		if got, err := parseTimeout(text); got != want || err != nil {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "0x", "0xg", "1 "} {
		if got, err := parseTimeout(text); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
}
