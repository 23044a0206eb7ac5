package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// tcpPair is both ends of a connection that takes little at a time.
func tcpPair(t *testing.T) (near, far *net.TCPConn) {
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
	near, far = dialed.(*net.TCPConn), accepted.(*net.TCPConn)
	if err := errors.Join(near.SetWriteBuffer(4<<10), far.SetReadBuffer(4<<10)); err != nil {
		t.Fatal(err)
	}
	return near, far
}

func senderOn(t *testing.T, conn *net.TCPConn) *sender {
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return newSender(conn, raw)
}

// What doesn't fit into the socket goes when there is room, all of it and in order.
func TestSender_SlowReader(t *testing.T) {
	near, far := tcpPair(t)
	s := senderOn(t, near)
	const times = 40
	piece := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i%26)}, quickBytes-1000+200*i) } // up to quickBytes, and above
	failed := make(chan error, 1)
	go func() {
		for i := range times {
			if n, err := s.write(piece(i)); err != nil || n != len(piece(i)) {
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
func TestSender_Deadline(t *testing.T) {
	near, _ := tcpPair(t)
	s := senderOn(t, near)
	if err := near.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	sent := 0
	for {
		n, err := s.write(make([]byte, quickBytes))
		sent += n
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || n == quickBytes {
			t.Errorf("got %d bytes and %v, want less than %d and a timeout", n, err, quickBytes)
		}
		break
	}
	if sent == 0 {
		t.Error("nothing was sent")
	}
}

func TestSender_PeerGone(t *testing.T) {
	near, far := tcpPair(t)
	s := senderOn(t, near)
	far.Close()
	for range 1000 { // the first ones may go, before the answer that nobody is there
		if _, err := s.write([]byte("x")); err != nil {
			return
		}
	}
	t.Error("got no error from 1000 writes to who has gone")
}
