package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sockets are the listening sockets of this process: those that it was handed, by systemd or by the process before it, and those
// that it has opened. The process after it is handed all of them.
type sockets struct {
	handed  []*socket
	ready   *os.File // where to tell the process before that this one serves; nil if there was none
	inUse   []*socket
	reuse   bool        // others may listen on the same addresses
	handOff atomic.Bool // they go on in another process
}

// socket is one of them.
type socket struct {
	net.Listener
	name    string // as in the configuration; "" if systemd has opened it
	all     *sockets
	closing atomic.Int64 // since when, Unix nanoseconds; 0: it isn't

	operators bool // for operators, not clients
}

const (
	firstHanded = 3             // descriptors 0 to 2 are the standard streams
	envNames    = "HANDED_OVER" // the names of the sockets that the process before hands over, in JSON; the pipe for ready comes next
	// backlogTime is how much longer clients are accepted that the kernel has let in already, at most.
	backlogTime = 100 * time.Millisecond
	// backlogGlance is how long none has come when the queue is taken to be empty.
	backlogGlance = 200 * time.Microsecond
)

// inherit takes what the environment says that this process was handed.
func inherit(environ []string, pid int) (*sockets, error) {
	s := &sockets{}
	if text := variable(environ, envNames); text != "" {
		var names []string
		if err := json.Unmarshal([]byte(text), &names); err != nil {
			return nil, fmt.Errorf("%s: %w", envNames, err)
		}
		for i, name := range names {
			if err := s.take(firstHanded+i, name); err != nil {
				return nil, err
			}
		}
		syscall.CloseOnExec(firstHanded + len(names))
		s.ready = os.NewFile(uintptr(firstHanded+len(names)), "ready")
		return s, nil
	}
	if variable(environ, "LISTEN_PID") != strconv.Itoa(pid) {
		return s, nil
	}
	n, err := strconv.Atoi(variable(environ, "LISTEN_FDS"))
	if err != nil {
		return nil, fmt.Errorf("LISTEN_FDS: %w", err)
	}
	for i := range n {
		if err := s.take(firstHanded+i, ""); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// variable returns the value of one; the last counts.
func variable(environ []string, name string) (value string) {
	for _, pair := range environ {
		if text, ok := strings.CutPrefix(pair, name+"="); ok {
			value = text
		}
	}
	return value
}

// take makes a listener of a descriptor.
func (s *sockets) take(fd int, name string) error {
	syscall.CloseOnExec(fd)
	file := os.NewFile(uintptr(fd), "listener")
	defer func() { _ = file.Close() }()
	l, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("descriptor %d, which this process was handed: %w", fd, err)
	}
	s.handed = append(s.handed, &socket{Listener: l, name: name, all: s})
	return nil
}

// listen returns the socket for an address: one that was handed over if there is one, else a new one.
func (s *sockets) listen(ctx context.Context, conf net.ListenConfig, network, address string) (*socket, error) {
	for i, l := range s.handed {
		if l.name == name(network, address) || l.name == "" && l.at(network, address) {
			s.handed = append(s.handed[:i], s.handed[i+1:]...)
			s.inUse = append(s.inUse, l)
			return l, nil
		}
	}
	if s.reuse && network != "unix" {
		conf.Control = reusePort
	}
	opened, err := conf.Listen(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l := &socket{Listener: opened, name: name(network, address), all: s}
	s.inUse = append(s.inUse, l)
	return l, nil
}

func name(network, address string) string { return network + " " + address }

// at reports whether the socket stands at an address.
func (l *socket) at(network, address string) bool {
	is, ok := l.Addr().(*net.TCPAddr)
	if !ok || network == "unix" {
		return l.Addr().Network() == network && l.Addr().String() == address
	}
	want, err := net.ResolveTCPAddr(network, address)
	if err != nil || want.Port != is.Port {
		return false
	}
	all := want.IP == nil || want.IP.IsUnspecified()
	return all && is.IP.IsUnspecified() || want.IP.Equal(is.IP)
}

// rest returns the addresses of what was handed over and is of no use.
func (s *sockets) rest() (addresses []string) {
	for _, l := range s.handed {
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}

// own makes this process the one that removes the files of UNIX sockets which the process before has opened, and closes what is of no use.
// Until then that process may have to go on with all of them.
func (s *sockets) own() {
	for _, l := range slices.Concat(s.inUse, s.handed) {
		if file, ok := l.Listener.(*net.UnixListener); ok && l.name != "" {
			file.SetUnlinkOnClose(true)
		}
	}
	s.closeRest()
}

func (s *sockets) closeRest() {
	for _, l := range s.handed {
		_ = l.Listener.Close()
	}
	s.handed = nil
}

// closeAll closes them at once.
func (s *sockets) closeAll() {
	for _, l := range s.inUse {
		_ = l.Listener.Close()
	}
	s.closeRest()
}

// files returns copies of the sockets, for the next process, and their names.
func (s *sockets) files() (files []*os.File, names []string, err error) {
	for _, l := range s.inUse {
		file, err := l.Listener.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			closeFiles(files)
			return nil, nil, err
		}
		files, names = append(files, file), append(names, l.name)
	}
	return files, names, nil
}

func closeFiles(files []*os.File) {
	for _, file := range files {
		_ = file.Close()
	}
}

// keepNonblocking undoes what handing a copy to another process may do to the sockets themselves: both share one mode.
func (s *sockets) keepNonblocking() {
	for _, l := range s.inUse {
		if raw, err := l.Listener.(syscall.Conn).SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { _ = syscall.SetNonblock(int(fd), true) })
		}
	}
}

// handedOver tells that another process accepts clients on them too: closing them here is the end of nothing.
func (s *sockets) handedOver() {
	s.handOff.Store(true)
	for _, l := range s.inUse {
		if file, ok := l.Listener.(*net.UnixListener); ok {
			file.SetUnlinkOnClose(false)
		}
		if l.operators { // who asks how it goes means the process that serves
			_ = l.Listener.Close()
		}
	}
}

// Accept ends after Close as soon as the kernel's queue is empty: clients that are in it already would be reset else.
func (l *socket) Accept() (net.Conn, error) {
	for looked := false; ; looked = true {
		conn, err := l.Listener.Accept()
		since := l.closing.Load()
		if err == nil || since == 0 {
			return conn, err
		}
		if looked || time.Now().UnixNano()-since > int64(backlogTime) || l.deadline(backlogGlance) != nil {
			_ = l.Listener.Close()
			return nil, net.ErrClosed
		}
	}
}

// deadline limits how long a client is waited for, from now on.
func (l *socket) deadline(d time.Duration) error {
	return l.Listener.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(d))
}

// Close is for a socket on which somebody accepts; it doesn't wait for the end of that.
func (l *socket) Close() error {
	if l.all.handOff.Load() { // the queue has another process too
		return l.Listener.Close()
	}
	l.closing.Store(time.Now().UnixNano())
	return l.deadline(0) // wakes Accept
}

// reusePort lets other processes of the same user listen on the address as well.
func reusePort(_, _ string, raw syscall.RawConn) error {
	var err error
	if failed := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }); failed != nil {
		return failed
	}
	return err
}
