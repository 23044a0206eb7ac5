package admin

import (
	"bufio"
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// splitter is a listener that hands on connections which speak HTTP, and has those answered beside it that speak RESP: no request of
// HTTP begins with a star.
type splitter struct {
	net.Listener
	admin *Admin
	http  chan net.Conn
	done  chan struct{} // closed by Close
	once  sync.Once
	slots chan struct{} // one for each connection

	mu   sync.Mutex // a leaf
	open []*limited // the oldest first
}

// sniffTimeout is how long a client may take to say its first byte.
const sniffTimeout = 10 * time.Second

func (a *Admin) split(ln net.Listener) *splitter {
	s := &splitter{Listener: ln, admin: a, http: make(chan net.Conn), done: make(chan struct{}), slots: make(chan struct{}, maxConns)}
	a.wg.Go(s.run)
	return s
}

// run accepts until the listener is closed.
func (s *splitter) run() {
	pause := time.Duration(0)
	for {
		select {
		case s.slots <- struct{}{}:
		default: // beyond that many, who comes takes the place of one who has not shown a credential, or waits in the kernel's queue
			s.evict()
			select {
			case s.slots <- struct{}{}:
			case <-s.done:
				return
			}
		}
		conn, err := s.Listener.Accept()
		if err == nil {
			pause = 0
			admitted := s.admit(conn)
			s.admin.wg.Go(func() { s.sort(admitted) })
			continue
		}
		<-s.slots
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		select {
		case <-s.done:
			return
		case <-time.After(pause):
		}
	}
}

// admit counts a connection until it is closed.
func (s *splitter) admit(conn net.Conn) *limited {
	c := &limited{Conn: conn}
	c.free = sync.OnceFunc(func() {
		s.mu.Lock()
		s.open = slices.DeleteFunc(s.open, func(o *limited) bool { return o == c })
		s.mu.Unlock()
		<-s.slots
	})
	s.mu.Lock()
	s.open = append(s.open, c)
	s.mu.Unlock()
	return c
}

// evict ends the oldest connection that has shown no credential. Whoever serves it closes it.
func (s *splitter) evict() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.open, func(c *limited) bool { return !c.proven.Load() && !c.evicted }); i >= 0 {
		s.open[i].evicted = true
		_ = s.open[i].below().Close()
	}
}

// sort finds out what a connection speaks.
func (s *splitter) sort(conn *limited) {
	stop := make(chan struct{})
	defer close(stop)
	s.admin.wg.Go(func() { // a client that says nothing must not keep the program from ending
		select {
		case <-s.done:
			_ = conn.SetReadDeadline(time.Unix(1, 0))
		case <-stop:
		}
	})
	in := bufio.NewReader(conn)
	_ = conn.SetReadDeadline(time.Now().Add(sniffTimeout))
	first, err := in.Peek(1)
	if err != nil {
		_ = conn.Close()
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	if first[0] == '*' {
		s.admin.serveRESP(conn, in, s.done)
		return
	}
	select {
	case s.http <- conn.read(in):
	case <-s.done:
		_ = conn.Close()
	}
}

// Accept returns the next connection that speaks HTTP.
func (s *splitter) Accept() (net.Conn, error) {
	select {
	case conn := <-s.http:
		return conn, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

// Close ends run, and whoever speaks RESP.
func (s *splitter) Close() error {
	var err error
	s.once.Do(func() {
		close(s.done)
		err = s.Listener.Close()
	})
	return err
}

// limited is a connection that counts among maxConns until it is closed.
type limited struct {
	net.Conn
	free    func()
	proven  atomic.Bool // a credential was shown on it, or it needs none
	evicted bool        // guarded by the splitter's mu
}

// below is what TLS goes over: closing that waits for nobody.
func (c *limited) below() net.Conn {
	if t, ok := c.Conn.(*tls.Conn); ok {
		return t.NetConn()
	}
	return c.Conn
}

func (c *limited) Close() error {
	defer c.free()
	return c.Conn.Close()
}

// read returns the connection with what was read ahead before the rest.
func (c *limited) read(in *bufio.Reader) net.Conn {
	return &peeked{c, in}
}

type peeked struct {
	*limited
	in *bufio.Reader
}

func (c *peeked) Read(b []byte) (int, error) { return c.in.Read(b) }

// state is what TLS has verified, nil where it isn't spoken.
func (c *limited) state() *tls.ConnectionState {
	if t, ok := c.Conn.(*tls.Conn); ok {
		return new(t.ConnectionState())
	}
	return nil
}
