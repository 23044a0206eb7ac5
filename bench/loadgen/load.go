// Package loadgen puts a server that speaks RESP under load from one thread: at a rate, by a schedule that is made before the first command is sent
// (open loop), or as fast as it answers (closed loop).
//
// In an open loop the latency of a command counts from when it was due, whether or not it could be sent then, so that a server that stands still
// is seen by all that it kept waiting: coordinated omission is avoided. An epoll loop of its own, in place of a goroutine for each connection, keeps the
// generator's own lateness to some 10 us and its share of the machine small; Result.Late tells how late it was.
//
//	g, err := loadgen.Dial(ctx, loadgen.Options{Addr: addr, Clients: 50, Command: get})
//	result, err := g.Run(ctx, loadgen.Plan{Rate: 20_000, For: 5 * time.Second})
package loadgen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// dialTimeout is for one connection and the reply to its greeting.
const dialTimeout = 10 * time.Second

// Options say whom to ask what.
type Options struct {
	Addr    string
	Clients int
	Hello   func(client int) []byte             // a command that each client begins with, one line of reply to it; nil: none
	Command func(dst []byte, number int) []byte // appends the command of that number
	Spin    bool                                // don't sleep, as for clients on another machine: for a generator with a core of its own
}

// Plan is one run.
type Plan struct {
	Rate float64       // commands per second, at random times, as from many who know nothing of each other; 0: each client asks again when it has its reply
	Warm time.Duration // goes before, and isn't counted
	For  time.Duration
	Seed uint64 // of the schedule
}

// Result is what a run gave. Histograms are in nanoseconds.
type Result struct {
	Latency *hdrhistogram.Histogram // from when a command was due to its reply
	Late    *hdrhistogram.Histogram // from when it was due to when it was sent: what the generator itself adds
	Errors  int                     // replies that were errors
	Took    time.Duration           // from the first command that counts to the last reply
}

// NewHistogram is one as in a Result: 1 us to a minute, three digits.
func NewHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(time.Microsecond), int64(time.Minute), 3)
}

// Generator is the clients, connected. It is for one goroutine.
type Generator struct {
	options Options
	conns   []*conn
	epoll   int
}

// Dial connects the clients and greets for each.
func Dial(ctx context.Context, o Options) (*Generator, error) {
	g := &Generator{options: o, epoll: -1}
	var err error
	if g.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	for i := 0; err == nil && i < o.Clients; i++ {
		err = g.connect(ctx, i)
	}
	if err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

func (g *Generator) connect(ctx context.Context, i int) error {
	dialer := net.Dialer{Timeout: dialTimeout}
	nc, err := dialer.DialContext(ctx, "tcp", g.options.Addr)
	if err != nil {
		return fmt.Errorf("client %d: %w", i, err)
	}
	defer nc.Close()
	if g.options.Hello != nil {
		if err := greet(nc, g.options.Hello(i)); err != nil {
			return fmt.Errorf("client %d: %w", i, err)
		}
	}
	file, err := nc.(*net.TCPConn).File() // a descriptor of our own, which Go's poller knows nothing of
	if err != nil {
		return err
	}
	defer file.Close()
	fd, err := unix.Dup(int(file.Fd()))
	if err != nil {
		return err
	}
	g.conns = append(g.conns, &conn{fd: fd, index: int32(i)})
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	return g.watch(fd, int32(i))
}

func greet(nc net.Conn, hello []byte) error {
	if err := nc.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return err
	}
	if _, err := nc.Write(hello); err != nil {
		return err
	}
	var reply [512]byte
	n, err := nc.Read(reply[:])
	if err == nil && reply[0] == '-' {
		err = errors.New(string(reply[1:max(1, n-2)]))
	}
	return err
}

// watch has the epoll tell of fd, by the index.
func (g *Generator) watch(fd int, index int32) error {
	return unix.EpollCtl(g.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: index})
}

// Close disconnects the clients.
func (g *Generator) Close() {
	for _, c := range g.conns {
		unix.Close(c.fd)
	}
	if g.epoll >= 0 {
		unix.Close(g.epoll)
	}
	g.conns, g.epoll = nil, -1
}
