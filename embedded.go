package main

import (
	"bufio"
	"bytes"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"sessiongate/command"
)

// memory is a Redis in this process, for trying things out: miniredis with a clock that runs. It was made for tests,
// where time stands still unless the test moves it; here the time that has passed is counted off before each command.
type memory struct {
	redis *miniredis.Miniredis
	stop  chan struct{}
	done  sync.WaitGroup // the sweeper

	mu    sync.Mutex
	until time.Time                     // how far time has been counted off
	step  time.Duration                 // the least that is worth counting off
	peers map[*server.Peer]*transaction // of the connections that are open
}

// transaction tells whether a connection is between MULTI and EXEC. Only that connection's goroutine uses it.
type transaction struct{ open bool }

// sweepEvery is how often keys that nobody asks for are looked through for those that have expired.
const sweepEvery = 500 * time.Millisecond

// startMemory starts one on a loopback port of its own.
func startMemory() (*memory, error) {
	m := &memory{
		redis: miniredis.NewMiniRedis(),
		stop:  make(chan struct{}),
		until: time.Now(),
		peers: map[*server.Peer]*transaction{},
	}
	if err := m.redis.StartAddr("127.0.0.1:0"); err != nil {
		return nil, err
	}
	m.redis.Server().SetPreHook(m.before)
	m.done.Add(1)
	go m.sweep()
	return m, nil
}

// Addr is the host:port to connect to.
func (m *memory) Addr() string { return m.redis.Addr() }

// Close ends every connection and returns when nothing is left running.
func (m *memory) Close() {
	close(m.stop)
	m.done.Wait()
	m.redis.Close()
}

func (m *memory) sweep() {
	defer m.done.Done()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-tick.C:
			m.advance()
		}
	}
}

// advance counts off the time that has passed. That looks at every key, so it is done the more rarely the longer it
// takes: it costs a twentieth of the time at most, and expiry is as exact as that allows, a millisecond with few keys.
func (m *memory) advance() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	passed := now.Sub(m.until)
	if passed < m.step {
		return
	}
	m.redis.FastForward(passed)
	m.until = now
	m.step = max(time.Millisecond, 20*time.Since(now))
}

// before sees every command first, and answers those that miniredis would answer otherwise than Redis in a way that
// matters here; for the others it returns false.
func (m *memory) before(c *server.Peer, name string, args ...string) (answered bool) {
	tx := m.transaction(c)
	if tx == nil { // called by a script, under miniredis's lock
		return name == "COMMAND" && m.keysAndFlags(c, args)
	}
	m.advance()
	switch name {
	case "MULTI":
		tx.open = true
	case "EXEC", "DISCARD":
		tx.open = false
	case "TTL":
		return !tx.open && len(args) == 1 && m.ttl(c, args[0])
	case "INFO":
		return !tx.open && m.info(c, args)
	case "COMMAND":
		return !tx.open && m.command(c, args)
	}
	return false
}

// transaction returns what is known of c's connection; nil if c is a script rather than a connection. A connection
// has no context before its first command, a script is born with one.
func (m *memory) transaction(c *server.Peer) *transaction {
	m.mu.Lock()
	defer m.mu.Unlock()
	tx := m.peers[c]
	if tx == nil && c.Ctx == nil {
		tx = &transaction{}
		m.peers[c] = tx
		c.OnDisconnect(func() {
			m.mu.Lock()
			delete(m.peers, c)
			m.mu.Unlock()
		})
	}
	return tx
}

// ttl answers TTL to the nearest second, as Redis does. Miniredis rounds down, so that a key set for 1800 seconds
// would have 1799 at once.
func (m *memory) ttl(c *server.Peer, key string) bool {
	if c.Ctx == nil {
		return false
	}
	var reply bytes.Buffer
	same := server.NewPeer(bufio.NewWriter(&reply))
	same.Ctx = c.Ctx
	m.redis.Server().Dispatch(same, []string{"PTTL", key})
	same.Flush()
	ms, err := strconv.Atoi(strings.Trim(reply.String(), ":\r\n"))
	if err != nil {
		return false
	}
	if ms > 0 {
		ms = (ms + 500) / 1000
	}
	c.WriteInt(ms)
	return true
}

// info answers INFO, first of all with a version: one that has all that the rules need.
func (m *memory) info(c *server.Peer, sections []string) bool {
	section := "default"
	if len(sections) > 0 {
		section = strings.ToLower(sections[0])
	}
	switch section {
	case "clients", "stats":
		return false
	case "server", "default", "all", "everything":
		c.WriteBulk("# Server\r\nredis_version:7.0.0\r\nredis_mode:standalone\r\n")
	default:
		c.WriteBulk("")
	}
	return true
}

// keysAndFlags answers COMMAND GETKEYSANDFLAGS as far as the check of scripts needs it: what keys there are, and which are written.
func (m *memory) keysAndFlags(c *server.Peer, args []string) bool {
	if len(args) < 2 || !strings.EqualFold(args[0], "GETKEYSANDFLAGS") {
		return false
	}
	words := make([][]byte, len(args)-1)
	for i, arg := range args[1:] {
		words[i] = []byte(arg)
	}
	var names []command.Ref
	if spec := command.Lookup(words); spec != nil && spec.Names != nil {
		names, _ = spec.Names(words, nil)
	}
	c.WriteLen(len(names))
	for _, name := range names {
		flag := "access"
		if name.Kind == command.Out {
			flag = "update"
		}
		c.WriteLen(2)
		c.WriteBulk(string(words[name.Arg]))
		c.WriteLen(1)
		c.WriteBulk(flag)
	}
	return true
}

// command refuses the subcommands of COMMAND, which miniredis takes for COMMAND alone.
func (m *memory) command(c *server.Peer, args []string) bool {
	if len(args) == 0 {
		return false
	}
	c.WriteError("ERR unknown subcommand '" + strings.ToUpper(args[0]) + "'. Try COMMAND HELP.")
	return true
}
