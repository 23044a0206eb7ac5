package integration_test

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// setup is what a test may want of a Sentinel or Cluster of its own. The zero setup is the plain one.
type setup struct {
	password string   // of the nodes, none if empty; sentinels ask for none
	relayed  bool     // clients reach the nodes through relays, which can fail; the nodes and sentinels among themselves don't
	lines    []string // further lines of each node's redis.conf
}

// peerAddress is where nodes and sentinels call from, so that a relay can tell them from clients.
const peerAddress = "127.0.0.2"

// auth is what stands before the addresses in a URL.
func (s setup) auth() string {
	if s.password == "" {
		return ""
	}
	return url.UserPassword("default", s.password).String() + "@"
}

// node is a redis-server with a configuration file, which it may rewrite, so that it remembers its part over a restart.
type node struct {
	*redisServer
	setup setup
	relay *relay // what clients are told to connect to; nil unless relayed
}

// newNode writes the configuration of a node that start starts.
func newNode(t testing.TB, s setup, lines ...string) *node {
	t.Helper()
	n := &node{redisServer: &redisServer{port: freePort(t)}, setup: s}
	n.addr = loopback(n.port)
	if s.relayed {
		n.relay = startRelay(t, n.addr)
	}
	dir := t.TempDir()
	all := append([]string{
		"port " + strconv.Itoa(n.port), "bind 127.0.0.1", "protected-mode no", "bind-source-addr " + peerAddress, "dir " + dir,
		"save \"\"", "appendonly yes", "appendfsync no", "repl-diskless-sync-delay 0", "repl-ping-replica-period 1",
	}, lines...)
	if s.password != "" {
		all = append(all, "requirepass "+strconv.Quote(s.password), "masterauth "+strconv.Quote(s.password))
	}
	n.args = []string{writeFile(t, "redis.conf", strings.Join(append(all, s.lines...), "\n")+"\n")}
	t.Cleanup(func() {
		if n.process != nil {
			n.kill(t)
		}
	})
	return n
}

// announce adds lines about the address that clients are told, which is known only when the node has its ports.
func (n *node) announce(t testing.TB, lines ...string) {
	t.Helper()
	f, err := os.OpenFile(n.args[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(strings.Join(lines, "\n") + "\n"); err != nil {
		t.Fatal(err)
	}
}

// shown is the address that clients are told.
func (n *node) shown() string {
	if n.relay != nil {
		return n.relay.addr
	}
	return n.addr
}

func (n *node) shownPort() string {
	_, port, _ := net.SplitHostPort(n.shown())
	return port
}

// stop freezes the node, cont lets it go on.
func (n *node) stop(t testing.TB) { n.signal(t, syscall.SIGSTOP) }
func (n *node) cont(t testing.TB) { n.signal(t, syscall.SIGCONT) }

// ask sends one command on a connection of its own, past any relay, and returns its reply. Unlike conn's methods it fails no
// test, so that it can be asked of nodes that may be down, and by any goroutine. An error reply is an error.
func (n *node) ask(args ...string) (value, error) {
	return askServer(n.addr, n.setup.password, args...)
}

func askServer(addr, password string, args ...string) (value, error) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return value{}, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience / 2))
	r := newConnReader(c)
	commands := [][]string{args}
	if password != "" {
		commands = [][]string{{"AUTH", password}, args}
	}
	var v value
	for _, command := range commands {
		if _, err := c.Write([]byte(encode(command...))); err != nil {
			return v, err
		}
		raw, err := readReply(r)
		if err != nil {
			return v, fmt.Errorf("%s to %s: %w", cli(command), addr, err)
		}
		if v, err = parse(raw); err != nil {
			return v, err
		}
		if v.kind == '-' {
			return v, errors.New(v.text)
		}
	}
	return v, nil
}

// says reports whether the reply to a command has each of the words.
func (n *node) says(line string, words ...string) bool {
	v, err := n.ask(split(line)...)
	for _, word := range words {
		if err != nil || !strings.Contains(v.text, word) {
			return false
		}
	}
	return true
}

// startAll starts servers together, which takes less time than one after the other.
func startAll(t testing.TB, servers []*redisServer) {
	t.Helper()
	for _, s := range servers {
		s.process = startProcess(t, "redis-server", nil, s.args...)
	}
	for _, s := range servers {
		s.waitFor(t)
	}
}
