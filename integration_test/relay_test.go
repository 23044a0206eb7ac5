package integration_test

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// relay stands between the gate and a server and fails as it is told to. It carries what peers of the server say (nodes and
// sentinels call from peerAddress) without a fault.
type relay struct {
	addr, target string
	listener     net.Listener
	wg           sync.WaitGroup
	dropped      atomic.Int64 // bytes

	mu     sync.Mutex
	conns  map[net.Conn]bool // both ends of each connection; whether it is a peer's
	fault  fault
	over   chan struct{} // closed when the fault gives way to the next one
	left   int           // bytes of replies until at
	closed bool
}

// fault is what a relay does to the bytes of clients. The zero fault carries them.
type fault struct {
	kind  faultKind
	at    int           // resetAt, corruptAt: so many bytes of replies go before it
	delay time.Duration // lag: of every piece
}

type faultKind int

const (
	noFault   faultKind = iota
	stall               // nothing goes either way; all of it arrives when the fault is over, as after lost packets
	drop                // what is said either way is lost; when the fault is over the connection is reset
	mute                // new connections are accepted and hear nothing, old ones go on; half-open
	refuse              // all connections are reset, new ones at once
	lag                 // every piece comes late
	resetAt             // a connection is reset in the middle of a reply
	corruptAt           // one byte of a reply gets another highest bit, which no reply of these tests has
	double              // every piece of a reply comes twice, which no network does: to test the tests
)

func (k faultKind) String() string {
	return []string{"none", "stall", "drop", "mute", "refuse", "lag", "reset", "corrupt", "double"}[k]
}

func startRelay(t testing.TB, target string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", loopback(freePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: l.Addr().String(), target: target, listener: l, conns: map[net.Conn]bool{}, over: make(chan struct{})}
	r.wg.Go(r.accept)
	t.Cleanup(r.close)
	return r
}

func (r *relay) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.listener.Close()
	r.set(fault{})
	r.mu.Lock()
	for c := range r.conns {
		rst(c)
	}
	r.mu.Unlock()
	r.wg.Wait()
}

// set begins another fault, or none.
func (r *relay) set(f fault) {
	r.mu.Lock()
	before := r.fault.kind
	r.fault, r.left = f, f.at
	close(r.over)
	r.over = make(chan struct{})
	r.mu.Unlock()
	if before == drop || f.kind == refuse {
		r.reset()
	}
}

// reset ends the connections that clients have, with a RST.
func (r *relay) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c, peer := range r.conns {
		if !peer {
			rst(c)
		}
	}
}

// struck reports whether what is to happen once has happened.
func (r *relay) struck() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.left < 0
}

func rst(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

func (r *relay) current() (fault, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fault, r.over
}

func (r *relay) accept() {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.wg.Go(func() { r.carry(c) })
	}
}

func (r *relay) keep(c net.Conn, peer bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.conns[c] = peer
	}
	return !r.closed
}

func (r *relay) forget(c net.Conn) {
	c.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}

func (r *relay) carry(client net.Conn) {
	defer r.forget(client)
	peer := client.RemoteAddr().(*net.TCPAddr).IP.String() == peerAddress
	if !r.keep(client, peer) {
		return
	}
	if f, over := r.current(); !peer && f.kind == refuse {
		rst(client)
		return
	} else if !peer && f.kind == mute {
		<-over
		rst(client)
		return
	}
	server, err := net.DialTimeout("tcp", r.target, time.Second)
	if err != nil {
		rst(client)
		return
	}
	defer r.forget(server)
	if !r.keep(server, peer) {
		return
	}
	var ways sync.WaitGroup
	ways.Go(func() { r.pump(server, client, peer, false) })
	ways.Go(func() { r.pump(client, server, peer, true) })
	ways.Wait()
}

// pump carries one way until either end is closed, and closes the other then.
func (r *relay) pump(to, from net.Conn, peer, replies bool) {
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		piece, whole := buf[:n], true
		if !peer {
			piece, whole = r.spoil(piece, replies)
		}
		if _, err := to.Write(piece); err != nil {
			return
		}
		if !whole {
			rst(to)
			rst(from)
			return
		}
	}
}

// spoil does to a piece what the fault says. If the connection ends with it, it isn't whole.
func (r *relay) spoil(piece []byte, replies bool) (out []byte, whole bool) {
	for {
		f, over := r.current()
		switch f.kind {
		case stall:
			<-over
			continue // there may be another fault by now
		case drop:
			r.dropped.Add(int64(len(piece)))
			return nil, true
		case lag:
			late := time.NewTimer(f.delay)
			defer late.Stop()
			select {
			case <-late.C:
			case <-over:
			}
		case double:
			if replies {
				return append(piece[:len(piece):len(piece)], piece...), true
			}
		case resetAt, corruptAt:
			if replies {
				return r.spoilAt(piece, f.kind)
			}
		}
		return piece, true
	}
}

// spoilAt counts bytes of replies down; what is due happens once.
func (r *relay) spoilAt(piece []byte, kind faultKind) ([]byte, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.left
	r.left -= len(piece)
	switch {
	case at < 0 || at >= len(piece):
		return piece, true
	case kind == resetAt:
		return piece[:at], false
	}
	piece[at] ^= 0x80
	return piece, true
}
