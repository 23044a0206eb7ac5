package quick

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

// tight is both ends of a connection that takes little at a time.
func tight(t *testing.T) (near, far *net.TCPConn) {
	near, far = pair(t)
	if err := errors.Join(near.SetWriteBuffer(4<<10), far.SetReadBuffer(4<<10)); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// pair is both ends of a connection.
func pair(t *testing.T) (near, far *net.TCPConn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialed, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialed.Close(); accepted.Close() })
	return dialed.(*net.TCPConn), accepted.(*net.TCPConn)
}

// What doesn't fit into the socket goes when there is room, all of it and in order.
func TestConn_SlowReader(t *testing.T) {
	near, far := tight(t)
	c := New(near)
	const times = 10
	piece := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i)}, Bytes-1000+200*i) } // up to Bytes, and above
	failed := make(chan error, 1)
	go func() {
		for i := range times {
			if n, err := c.Write(piece(i)); err != nil || n != len(piece(i)) {
				failed <- errors.Join(errors.New("short write"), err)
				return
			}
		}
		failed <- near.CloseWrite()
	}()
	got, err := io.ReadAll(far)
	if err = errors.Join(err, <-failed); err != nil {
		t.Fatal(err)
	}
	var want []byte
	for i := range times {
		want = append(want, piece(i)...)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, want %d, or others", len(got), len(want))
	}
}

// A write that waits for room ends when the deadline comes, and tells what has gone.
func TestConn_Deadline(t *testing.T) {
	near, _ := tight(t)
	c := New(near)
	if err := near.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	sent := 0
	for {
		n, err := c.Write(make([]byte, Bytes))
		sent += n
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || n == Bytes {
			t.Errorf("got %d bytes and %v, want less than %d and a timeout", n, err, Bytes)
		}
		break
	}
	if sent == 0 {
		t.Error("nothing was sent")
	}
}

// A read brings what has arrived and no more; one that is as long as Bytes tells that the next may be longer.
func TestConn_Read(t *testing.T) {
	near, far := pair(t)
	c := New(near)
	want := bytes.Repeat([]byte("0123456789abcdef"), 3*Bytes/16)
	if _, err := far.Write(want[:5]); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4*Bytes)
	if n, err := c.Read(b); n != 5 || err != nil || string(b[:5]) != "01234" {
		t.Fatalf("got %d bytes, %q, %v", n, b[:5], err)
	}
	if _, err := far.Write(want[5:]); err != nil {
		t.Fatal(err)
	}
	if err := far.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(rest, want[5:]) {
		t.Errorf("got %d bytes and %v, want %d, or others", len(rest), err, len(want)-5)
	}
}

// A read ends when its deadline comes, when the connection is closed, and when the other end is gone.
func TestConn_ReadEnds(t *testing.T) {
	near, far := pair(t)
	c := New(near)
	b := make([]byte, 10)
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(b); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %d bytes and %v, want a timeout", n, err)
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := far.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	far.Close()
	if n, err := c.Read(b); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %d bytes and %v, want a reset", n, err)
	}
	c.Close()
	if n, err := c.Read(b); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %d bytes and %v, want that it is closed", n, err)
	}
	if n, err := c.Write(b); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %d bytes and %v, want that it is closed", n, err)
	}
}

// After a long read, too, one that fails has read nothing, not -1 bytes.
func TestConn_ResetAfterLong(t *testing.T) {
	near, far := pair(t)
	c := New(near)
	b := make([]byte, 4*Bytes)
	if _, err := far.Write(b[:Bytes]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, b[:Bytes]); err != nil {
		t.Fatal(err)
	}
	c.(*Conn).long = true // whatever pieces it came in
	if err := far.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	far.Close()
	if n, err := c.Read(b); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %d bytes and %v, want a reset", n, err)
	}
}

// Errors are those of package net, to the letter.
func TestConn_Errors(t *testing.T) {
	ports, texts := regexp.MustCompile(`:\d+\b`), map[string][]string{}
	for name, spoil := range map[string]func(near, far *net.TCPConn){
		"reset":    func(_, far *net.TCPConn) { _ = far.SetLinger(0); far.Close() },
		"deadline": func(near, _ *net.TCPConn) { _ = near.SetReadDeadline(time.Unix(1, 0)) },
		"closed":   func(near, _ *net.TCPConn) { near.Close() },
		"end":      func(_, far *net.TCPConn) { _ = far.CloseWrite() },
	} {
		for _, as := range []func(net.Conn) net.Conn{New, func(c net.Conn) net.Conn { return c }} {
			near, far := pair(t)
			conn := as(near)
			spoil(near, far)
			_, err := conn.Read(make([]byte, 10))
			texts[name] = append(texts[name], ports.ReplaceAllString(err.Error(), ""))
		}
		if got, want := texts[name][0], texts[name][1]; got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// As with any net.Conn, several may write at once, and each write stays in one piece.
func TestConn_Writers(t *testing.T) {
	near, far := pair(t)
	c := New(near)
	const writers, times, length = 4, 50, 1000
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for range times {
				if _, err := c.Write(bytes.Repeat([]byte{byte('a' + w)}, length)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() { all.Wait(); _ = near.CloseWrite() }()
	got, err := io.ReadAll(far)
	if err != nil || len(got) != writers*times*length {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	for i := 0; i < len(got); i += length {
		if whole := bytes.Repeat(got[i:i+1], length); !bytes.Equal(got[i:i+length], whole) {
			t.Fatalf("a write was torn at byte %d", i)
		}
	}
}

func TestConn_Listener(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Listener(tcp)
	defer l.Close()
	dialed, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer dialed.Close()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if _, ok := accepted.(*Conn); !ok {
		t.Errorf("accepted a %T", accepted)
	}
	if _, ok := Below(accepted).(*net.TCPConn); !ok {
		t.Errorf("below it is a %T", Below(accepted))
	}
}

// What is no socket stays as it is.
func TestNew_Pipe(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	defer a.Close()
	if got := New(a); got != a || Below(got) != a {
		t.Errorf("got a %T", got)
	}
}

func TestConn_AllocatesNothing(t *testing.T) {
	near, far := pair(t)
	a, b := New(near), New(far)
	buf := make([]byte, 100)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := a.Write(buf); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Read(buf); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("a write and a read allocate %v times", n)
	}
}

func TestConn_PeerGone(t *testing.T) {
	near, far := tight(t)
	c := New(near)
	far.Close()
	for range 1000 { // the first ones may go, before the answer that nobody is there
		if _, err := c.Write([]byte("x")); err != nil {
			return
		}
	}
	t.Error("got no error from 1000 writes to who has gone")
}
