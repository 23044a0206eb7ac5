package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// supervisor is systemd, if it started this process with Type=notify: it wants to be told how the process does, in datagrams to a
// socket that the environment names. Without it, telling does nothing.
type supervisor struct {
	socket string
	doing  string        // what it is told that the process does
	every  time.Duration // between signs of life; 0: it wants none
}

// supervised returns who the environment says is to be told.
func supervised(environ []string, pid int) supervisor {
	s := supervisor{socket: variable(environ, "NOTIFY_SOCKET")}
	us, err := strconv.ParseInt(variable(environ, "WATCHDOG_USEC"), 10, 64)
	whose := variable(environ, "WATCHDOG_PID")
	if err == nil && s.socket != "" && (whose == "" || whose == strconv.Itoa(pid)) {
		s.every = time.Duration(us) * time.Microsecond / 3 // a third, so that one more process fits in at a hand-over
	}
	return s
}

// tell sends lines of the form NAME=value. That fails only if there is nobody, who then can't be told.
func (s supervisor) tell(lines ...string) {
	if s.socket == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.socket, Net: "unixgram"}) // a name that begins with @ is abstract
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = conn.Write([]byte(strings.Join(lines, "\n")))
}

// serving tells that clients are served by this process.
func (s supervisor) serving() { s.tell("READY=1", "STATUS="+s.doing) }

// stopping tells that the end has begun.
func (s supervisor) stopping() { s.tell("STOPPING=1", "STATUS=Clients finish what is under way") }

// reloading tells that serving is to follow.
func (s supervisor) reloading() {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // can't fail with this clock
	s.tell("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000))
}

// replaced tells that another process serves instead of this one.
func (s supervisor) replaced(by *os.Process) { s.tell(fmt.Sprintf("MAINPID=%d", by.Pid)) }

// watchdog gives signs of life until done, as long as the server has any.
func (s supervisor) watchdog(done <-chan struct{}, alive func() bool) {
	if s.every <= 0 {
		return
	}
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		if alive() {
			s.tell("WATCHDOG=1")
		}
		select {
		case <-tick.C:
		case <-done:
			return
		}
	}
}
