package upstream_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sessiongate/upstream"
)

// fakeSentinel says what the test wants of a master called "m".
type fakeSentinel struct {
	*fake
	mu       sync.Mutex
	word     string // host:port of the master
	epoch    int
	replicas []string
	asked    atomic.Int64
	subs     map[*fakeConn]bool
}

func newSentinel(t testing.TB, word string, epoch int) *fakeSentinel {
	t.Helper()
	s := &fakeSentinel{word: word, epoch: epoch, subs: map[*fakeConn]bool{}}
	s.fake = newFake(t, s.reply)
	return s
}

func (s *fakeSentinel) say(word string, epoch int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.word, s.epoch = word, epoch
}

// publish tells all subscribers.
func (s *fakeSentinel) publish(channel, payload string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.subs {
		c.say("*4\r\n" + bulk("pmessage") + bulk(channel) + bulk(channel) + bulk(payload))
	}
}

func (s *fakeSentinel) reply(c *fakeConn, args [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	flat := func(pairs ...string) string {
		text := fmt.Sprintf("*%d\r\n", len(pairs))
		for _, p := range pairs {
			text += bulk(p)
		}
		return text
	}
	node := func(addr string) string {
		host, port, _ := net.SplitHostPort(addr)
		return flat("ip", host, "port", port, "flags", "slave", "master-link-status", "ok", "config-epoch", fmt.Sprint(s.epoch))
	}
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = strings.ToLower(string(a))
	}
	switch {
	case words[0] == "psubscribe":
		for i, pattern := range args[1:] {
			c.out = append(c.out, fmt.Sprintf("*3\r\n%s%s:%d\r\n", bulk("psubscribe"), bulk(string(pattern)), i+1)...)
		}
		s.subs[c] = true
	case words[1] == "get-master-addr-by-name":
		s.asked.Add(1)
		host, port, _ := net.SplitHostPort(s.word)
		c.out = append(c.out, flat(host, port)...)
	case words[1] == "master":
		c.out = append(c.out, node(s.word)...)
	case words[1] == "replicas":
		c.out = append(c.out, fmt.Sprintf("*%d\r\n", len(s.replicas))...)
		for _, r := range s.replicas {
			c.out = append(c.out, node(r)...)
		}
	default:
		c.out = append(c.out, "*0\r\n"...)
	}
}

// fakeNode is a Redis that says its own address and, as long as it is not demoted, that it is the master.
type fakeNode struct {
	*fake
	demoted atomic.Bool
	hangs   atomic.Bool  // it takes connections, and no more
	hung    atomic.Int64 // how many, that way
	writes  atomic.Int64
	waits   atomic.Pointer[fakeConn] // in BLPOP
	letsGo  atomic.Bool              // it knows CLIENT UNBLOCK
}

func newNode(t testing.TB) *fakeNode {
	n := &fakeNode{}
	n.fake = &fake{greet: n.greet, answer: func(c *fakeConn, args [][]byte) {
		switch {
		case n.hangs.Load():
		case string(args[0]) == "ROLE" && n.demoted.Load():
			c.out = append(c.out, "*1\r\n$5\r\nslave\r\n"...)
		case string(args[0]) == "ROLE":
			c.out = append(c.out, "*1\r\n$6\r\nmaster\r\n"...)
		case n.demoted.Load():
			c.out = append(c.out, "-READONLY You can't write against a read only replica.\r\n"...)
		case string(args[0]) == "BLPOP":
			n.waits.Store(c)
		default:
			n.writes.Add(1)
			c.out = append(c.out, bulk(n.addr())...)
		}
	}}
	n.start(t)
	return n
}

func (n *fakeNode) greet(c *fakeConn, args [][]byte) string {
	switch {
	case n.hangs.Load():
	case n.letsGo.Load() && string(args[0]) == "client" && string(args[1]) == "unblock":
		n.waits.Load().say("*-1\r\n")
		return ":1\r\n"
	default:
		return manners(c, args)
	}
	if string(args[0]) == "HELLO" {
		n.hung.Add(1)
	}
	return swallowed
}

// words is an address as sentinels publish it.
func words(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return host + " " + port
}

func sentinelURL(all ...*fakeSentinel) string {
	addrs := make([]string, len(all))
	for i, s := range all {
		addrs[i] = s.addr()
	}
	return "redis-sentinel://" + strings.Join(addrs, ",") + "/0?master=m"
}

// at waits until commands are answered by the node.
func at(t *testing.T, l upstream.Link, n *fakeNode) {
	t.Helper()
	until(t, "commands go to the other master", func() bool { return do(t, l, cmd("SET", "a", "b"))[0] == bulk(n.addr()) })
}

// The word of the latest failover counts, and no server is moved to that is a replica.
func TestSentinel_Word(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			a, b, c := newNode(t), newNode(t), newNode(t)
			c.demoted.Store(true)
			one, two := newSentinel(t, a.addr(), 1), newSentinel(t, a.addr(), 1)
			two.replicas = []string{b.addr(), c.addr()}
			p := open(t, upstream.Config{URL: sentinelURL(one, two), Driver: driver})
			l := p.Link(2, 0)
			at(t, l, a)
			if p.Addr() != a.addr() {
				t.Errorf("Addr = %q, want %q", p.Addr(), a.addr())
			}
			one.say(c.addr(), 2)
			asked := one.asked.Load()
			one.publish("+switch-master", "m x 1 y 2")
			until(t, "it is asked again, and the replica with it", func() bool { return one.asked.Load() > asked+1 })
			at(t, l, a)
			two.say(b.addr(), 3)
			two.publish("+promoted-slave", "slave x x 1 @ m y 2")
			at(t, l, b)
			one.say(a.addr(), 2) // it has not heard of it
			one.publish("+sdown", "master m x 1")
			asked = one.asked.Load()
			until(t, "it has been asked", func() bool { return one.asked.Load() > asked+1 })
			at(t, l, b)
			if got := p.Replicas(); len(got) != 1 || got[0] != c.addr() {
				t.Errorf("Replicas = %q, want %q", got, c.addr())
			}
		})
	}
}

// A demoted master's reply reaches the client as it is, and has the sentinels asked at once.
func TestSentinel_ReadOnly(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			a, b := newNode(t), newNode(t)
			s := newSentinel(t, a.addr(), 1)
			p := open(t, upstream.Config{URL: sentinelURL(s), Driver: driver})
			l := p.Link(2, 0)
			at(t, l, a)
			asked := s.asked.Load()
			until(t, "it has just been asked", func() bool { return s.asked.Load() > asked })
			s.say(b.addr(), 2)
			a.demoted.Store(true)
			began := time.Now()
			if got := do(t, l, cmd("SET", "a", "b"))[0]; !strings.HasPrefix(got, "-READONLY ") && got != bulk(b.addr()) {
				t.Errorf("SET = %q, want the reply of the demoted master", got)
			}
			at(t, l, b)
			t.Logf("moved after %v", time.Since(began))
		})
	}
}

// While a failover is announced nothing new is written; what waits goes to the new master, or on to the old one if there is none.
func TestSentinel_Hold(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			a, b := newNode(t), newNode(t)
			s := newSentinel(t, a.addr(), 1)
			p := open(t, upstream.Config{URL: sentinelURL(s), Driver: driver, Hold: 2 * time.Second})
			l := p.Link(2, 0)
			at(t, l, a)
			blocked, err := p.Dedicated(t.Context(), 2, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := blocked.Write(t.Context(), cmd("BLPOP", "q", "0")); err != nil {
				t.Fatal(err)
			}
			for name, end := range map[string]func(){
				"aborted": func() { s.publish("-failover-abort-no-good-slave", "master m "+words(a.addr())) },
				"over":    func() {},
			} {
				answered := held(t, s, l, a)
				end()
				if got := <-answered; got != bulk(a.addr()) {
					t.Errorf("%s: SET = %q, want it done by the old master", name, got)
				}
			}
			answered := held(t, s, l, a)
			was := a.writes.Load()
			s.say(b.addr(), 2)
			s.publish("+promoted-slave", "slave x x 1 @ m y 2")
			if got := <-answered; got != bulk(b.addr()) {
				t.Errorf("SET = %q, want it done by the new master", got)
			}
			if n := a.writes.Load() - was; n != 0 {
				t.Errorf("%d commands reached the old master", n)
			}
			if _, err := blocked.ReadReply(nil); err == nil || !strings.HasSuffix(err.Error(), "connection lost: the master has moved") {
				t.Errorf("a blocked client gets %v", err)
			}
		})
	}
}

// held announces a failover, waits until that is heard, and sends a command.
func held(t *testing.T, s *fakeSentinel, l upstream.Link, old *fakeNode) <-chan string {
	t.Helper()
	s.publish("+try-failover", "master m "+words(old.addr()))
	answered := make(chan string, 1)
	until(t, "commands wait", func() bool { // the first may be before it is heard
		go func() { answered <- do(t, l, cmd("SET", "a", "b"))[0] }()
		select {
		case <-answered:
			return false
		case <-time.After(200 * time.Millisecond):
			return true
		}
	})
	return answered
}
