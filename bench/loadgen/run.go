package loadgen

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"sessiongate/quick"
	"sessiongate/resp"
)

const (
	// stall ends a run in which nothing is answered any more.
	stall = 10 * time.Second
	// tick is how often a run looks whether it is to end, when nothing else happens. A garbage collection may have to wait for that.
	tick = time.Millisecond
)

// conn is one client.
type conn struct {
	fd    int
	index int32   // by which epoll knows it
	out   []byte  // not yet written
	full  bool    // the socket took no more: epoll tells when it does
	due   []int64 // when each command under way was due, in nanoseconds since the run's start, oldest first
	scan  resp.Scanner
	fresh bool // the next byte is the first of a reply
}

// run is one run of a Generator.
type run struct {
	*Generator
	plan     Plan
	start    time.Time
	schedule *rand.Rand
	next     int64 // when the next command is due
	warm     int64 // what is due from then on counts
	end      int64 // nothing is due from then on
	number   int   // of the next command
	turn     int   // the client whose turn is next
	underWay int
	last     int64 // when the last reply came
	buf      []byte
	result   Result
}

// Run puts the server under load. It ends when all replies are there, or none has come for ten seconds.
func (g *Generator) Run(ctx context.Context, p Plan) (Result, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil { // else what is due comes up to 50 us late
		return Result{}, fmt.Errorf("timer slack: %w", err)
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) }() // as it was
	r := &run{Generator: g, plan: p, start: time.Now(), schedule: rand.New(rand.NewPCG(p.Seed, p.Seed)),
		warm: int64(p.Warm), end: int64(p.Warm + p.For), buf: make([]byte, quick.Bytes)}
	r.result.Latency, r.result.Late = NewHistogram(), NewHistogram()
	for _, c := range g.conns {
		c.out, c.due, c.scan, c.fresh = c.out[:0], c.due[:0], resp.Scanner{}, true
	}
	if p.Rate == 0 {
		for _, c := range g.conns {
			if err := r.send(c, 0); err != nil {
				return r.result, err
			}
		}
	}
	err := r.loop(ctx)
	r.result.Took = time.Duration(r.last - r.warm)
	return r.result, err
}

func (r *run) now() int64 { return int64(time.Since(r.start)) }

func (r *run) loop(ctx context.Context) error {
	var events [256]unix.EpollEvent
	for {
		if err := r.sendDue(); err != nil {
			return err
		}
		now := r.now()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case now >= r.end && r.underWay == 0:
			return nil
		case r.underWay > 0 && now-r.last > int64(stall) && now > int64(stall):
			return fmt.Errorf("no reply for %v, with %d commands under way", stall, r.underWay)
		}
		n, err := r.wait(events[:])
		if err != nil {
			return fmt.Errorf("epoll: %w", err)
		}
		for _, e := range events[:n] {
			if err := r.attend(r.conns[e.Fd], e.Events); err != nil {
				return fmt.Errorf("client %d: %w", e.Fd, err)
			}
		}
	}
}

// wait waits until there is something to do: a reply, room, a command that is due. It doesn't tell Go's runtime that it waits, as everything else on this
// thread doesn't: see package quick.
func (r *run) wait(events []unix.EpollEvent) (int, error) {
	wait := int64(tick)
	switch {
	case r.options.Spin:
		wait = 0
	case r.plan.Rate > 0 && r.next < r.end:
		wait = min(wait, max(0, r.next-r.now()))
	}
	timeout := [2]int64{0, wait} // seconds and nanoseconds, on every architecture
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(r.epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)),
		uintptr(unsafe.Pointer(&timeout)), 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case unix.EINTR:
		return 0, nil
	}
	return 0, errno
}

// sendDue sends what is due by the schedule, each command by the next client in turn.
func (r *run) sendDue() error {
	if r.plan.Rate == 0 {
		return nil
	}
	for r.next < r.end && r.next <= r.now() {
		c := r.conns[r.turn]
		r.turn = (r.turn + 1) % len(r.conns)
		if err := r.send(c, r.next); err != nil {
			return err
		}
		r.next += int64(r.schedule.ExpFloat64() * float64(time.Second) / r.plan.Rate)
	}
	return nil
}

// send sends the next command, which was due then.
func (r *run) send(c *conn, due int64) error {
	c.out = r.options.Command(c.out, r.number)
	r.number++
	c.due = append(c.due, due)
	r.underWay++
	if due >= r.warm {
		_ = r.result.Late.RecordValue(r.now() - due)
	}
	return r.write(c)
}

// write writes what the socket takes; the rest waits until epoll says that there is room.
func (r *run) write(c *conn) error {
	n, err := quick.Write(uintptr(c.fd), c.out[:min(len(c.out), quick.Bytes)])
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		return err
	}
	c.out = c.out[:copy(c.out, c.out[max(n, 0):])]
	if full := len(c.out) > 0; full != c.full {
		c.full = full
		events := uint32(unix.EPOLLIN)
		if full {
			events |= unix.EPOLLOUT
		}
		return unix.EpollCtl(r.epoll, unix.EPOLL_CTL_MOD, c.fd, &unix.EpollEvent{Events: events, Fd: c.index})
	}
	return nil
}

// attend does what epoll says there is to do.
func (r *run) attend(c *conn, events uint32) error {
	if events&unix.EPOLLOUT != 0 {
		if err := r.write(c); err != nil {
			return err
		}
	}
	if events&^unix.EPOLLOUT == 0 {
		return nil
	}
	n, err := quick.Read(uintptr(c.fd), r.buf)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return nil
	case err != nil:
		return err
	case n == 0:
		return errors.New("the server has closed the connection")
	}
	return r.replies(c, r.buf[:n])
}

// replies counts the replies that end in what was read.
func (r *run) replies(c *conn, b []byte) error {
	r.last = r.now()
	for len(b) > 0 {
		if c.fresh && b[0] == resp.Error {
			r.result.Errors++
		}
		n, done, err := c.scan.Scan(b)
		if err != nil {
			return err
		}
		b, c.fresh = b[n:], done
		if !done {
			continue
		}
		if len(c.due) == 0 {
			return errors.New("a reply to nothing")
		}
		due := c.due[0]
		c.due = c.due[:copy(c.due, c.due[1:])]
		r.underWay--
		if due >= r.warm {
			_ = r.result.Latency.RecordValue(r.last - due) // a value out of range is the longest there is: runs end before that
		}
		if r.plan.Rate == 0 && r.last < r.end {
			if err := r.send(c, r.last); err != nil {
				return err
			}
		}
	}
	return nil
}
