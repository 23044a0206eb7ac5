package upstream

import (
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// idle is the dedicated connections that wait for their next session.
type idle struct {
	mu     sync.Mutex
	closed bool
	conns  []*Conn // the longest idle first
}

// put keeps c unless there are limit already.
func (i *idle) put(c *Conn, limit int) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed || len(i.conns) >= limit {
		return false
	}
	i.conns = append(i.conns, c)
	return true
}

// take returns the connection most lately used, nil if there is none.
func (i *idle) take(key setKey) *Conn {
	i.mu.Lock()
	defer i.mu.Unlock()
	for n := len(i.conns) - 1; n >= 0; n-- {
		if c := i.conns[n]; c.key == key {
			i.conns = slices.Delete(i.conns, n, n+1)
			return c
		}
	}
	return nil
}

// sweep closes what has been idle since before t.
func (i *idle) sweep(t time.Time) {
	i.mu.Lock()
	n := 0
	for n < len(i.conns) && i.conns[n].since.Before(t) {
		n++
	}
	old := slices.Clone(i.conns[:n])
	i.conns = slices.Delete(i.conns, 0, n)
	i.mu.Unlock()
	for _, c := range old {
		c.discard()
	}
}

// close closes all, and takes no more.
func (i *idle) close() {
	i.mu.Lock()
	i.closed = true
	i.mu.Unlock()
	i.sweep(time.Now().Add(time.Hour))
}

const pong = "+PONG\r\n"

// lively reports whether a connection that has been idle for a while still answers: one that leads nowhere shows that by nothing
// else, and a client's command must not be what finds out.
func (c *Conn) lively() bool {
	if time.Since(c.since) < c.pool.cfg.HealthInterval {
		return true
	}
	if c.conn.SetDeadline(time.Now().Add(c.pool.opt.ReadTimeout)) != nil {
		return false
	}
	if _, err := c.conn.Write(ping); err != nil {
		return false
	}
	var reply [len(pong)]byte
	_, err := io.ReadFull(c.conn, reply[:])
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.pool.idle.sweep(time.Now()) // the others won't answer either
	}
	return err == nil && string(reply[:]) == pong && c.conn.SetDeadline(time.Time{}) == nil
}
