package integration_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// witnesses are clients that know what each of their commands may be answered, whatever fails meanwhile. Everything they
// write carries their number, so that no reply of one fits another. witness_ops_test.go has what they say.
type witnesses struct {
	addr    string
	wg      sync.WaitGroup
	stopped atomic.Bool
	settled atomic.Int64 // how often nothing that was sent could still arrive
	list    []*witness

	done, failed, garbled, reconnects atomic.Int64 // replies, errors, replies with a corrupt byte, connections lost
	slowest                           atomic.Int64 // longest wait for the replies to one pipeline, in nanoseconds

	mu       sync.Mutex
	may      allowance      // which errors are in order now
	problems []string       // what must never happen
	errors   map[string]int // texts of errors since the last call of seen
	lost     []time.Time    // when the writes were acknowledged that are missing
}

// witness is one client. Only its own goroutine touches what it knows.
type witness struct {
	all     *witnesses
	id      int
	tag     string // begins all its keys, which are of one slot thus
	chance  *rand.Rand
	conn    net.Conn
	r       *bufio.Reader
	next    int          // number of the next token
	settled int64        // the witnesses' settled that it has heeded
	served  atomic.Int64 // when its last successful pipeline began, in nanoseconds since 1970

	counter  counter
	keys     [3]cell
	journal  map[string]*token
	queue    map[string]*token
	popFails int // BLPOPs that may have taken a token with them
}

// counter is what a witness knows of its counter: it has the value last, at least, and tried at most.
type counter struct {
	base, last, tried int
	acks              []ack
}

type ack struct {
	value int
	at    time.Time
}

// cell is what a witness knows of a key that it SETs: it has the value acked or one of those in doubt.
type cell struct {
	acked int
	at    time.Time
	doubt map[int]bool
}

// token is what a witness knows of one that it put in a list.
type token struct {
	acked, popped time.Time // zero if not known to be
	never         bool      // an error said that it has not been put there
}

// startWitnesses has so many clients talk to addr. Their counters are set first, and that must work.
func startWitnesses(t testing.TB, addr string, n int, seed uint64) *witnesses {
	t.Helper()
	w := &witnesses{addr: addr, errors: map[string]int{}}
	for id := 1; id <= n; id++ {
		c := &witness{
			all: w, id: id, tag: fmt.Sprintf("{w%d}", id), chance: rand.New(rand.NewPCG(seed, uint64(id))),
			counter: counter{base: id * 1_000_000_000}, journal: map[string]*token{}, queue: map[string]*token{},
		}
		c.counter.last, c.counter.tried = c.counter.base, c.counter.base
		for i := range c.keys {
			c.keys[i].doubt = map[int]bool{}
		}
		dial(t, addr).want(ok, "SET", c.tag+"counter", strconv.Itoa(c.counter.base))
		w.list = append(w.list, c)
	}
	for _, c := range w.list {
		w.wg.Go(c.run)
	}
	t.Cleanup(w.stop)
	return w
}

func (w *witnesses) stop() {
	w.stopped.Store(true)
	w.wg.Wait()
}

func (w *witnesses) problem(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.problems) < 20 {
		w.problems = append(w.problems, fmt.Sprintf("%s: ", time.Now().Format("15:04:05.000"))+fmt.Sprintf(format, args...))
	}
}

// allowance says which commands may be answered with an error.
type allowance int

const (
	nobody  allowance = iota
	waiting           // those that wait at a server for other clients: a master that is demoted unblocks them with an error
	everybody
)

// allow says which errors are in order from now on.
func (w *witnesses) allow(a allowance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.may = a
}

var digits = regexp.MustCompile(`[0-9]+`)

// error counts an error by its text, and is a problem where none is in order.
func (w *witnesses) error(command []string, text string) {
	w.failed.Add(1)
	w.mu.Lock()
	w.errors[digits.ReplaceAllString(strings.TrimSpace(text), "N")]++
	may := w.may
	w.mu.Unlock()
	if may == nobody || may == waiting && command[0] != "BLPOP" {
		w.problem("no error is in order, but %s = %s", cli(command), shorten(text))
	}
}

// seen returns the errors since the last call, in words.
func (w *witnesses) seen() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var parts []string
	for text, n := range w.errors {
		parts = append(parts, fmt.Sprintf("%d × %s", n, text))
	}
	w.errors = map[string]int{}
	slices.Sort(parts)
	if len(parts) == 0 {
		return "no errors"
	}
	return strings.Join(parts, "; ")
}

func (w *witnesses) missing(at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost = append(w.lost, at)
}

// losses returns when the writes were acknowledged that have been found missing since the last call.
func (w *witnesses) losses() []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	lost := w.lost
	w.lost = nil
	return lost
}

// recovered waits until every client has been served by a pipeline that began after since, and returns when the last was.
func (w *witnesses) recovered(t testing.TB, since time.Time) time.Time {
	t.Helper()
	eventually(t, "every client is served again", func() bool {
		for _, c := range w.list {
			if c.served.Load() < since.UnixNano() {
				return false
			}
		}
		return true
	})
	return time.Now()
}

// finish stops the clients and holds what they know against what is there.
func (w *witnesses) finish(t testing.TB) {
	t.Helper()
	w.stop()
	for _, c := range w.list {
		c.verify(t)
	}
	w.report(t)
}

func (w *witnesses) report(t testing.TB) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.problems {
		t.Error(p)
	}
}

func (c *witness) run() {
	defer func() {
		if c.conn != nil {
			c.conn.Close()
		}
	}()
	for !c.all.stopped.Load() {
		if c.conn == nil {
			conn, err := net.Dial("tcp", c.all.addr)
			if err != nil {
				c.all.problem("the gate doesn't accept: %v", err)
				return
			}
			c.conn, c.r = conn, bufio.NewReader(conn)
		}
		if settled := c.all.settled.Load(); settled > c.settled && c.settle() {
			c.settled = settled
		}
		c.play(c.wishes())
		pause := time.NewTimer(time.Duration(c.chance.IntN(3000)) * time.Microsecond) // so that a slow machine has time for the server
		<-pause.C
	}
}

// settle counts once more; what has not been counted by then never will be. It reports whether it could.
func (c *witness) settle() bool {
	before := c.counter.last
	c.play([]wish{c.incr()})
	if c.conn == nil || c.counter.last == before {
		return false
	}
	c.counter.tried = c.counter.last
	return true
}

// wish is a command with what is to be learned of its reply. An empty reply is one that never came or says nothing, notRun is
// an error that says that the command has not run.
type wish struct {
	args  []string
	judge func(reply string) bool
}

const notRun = "-has not run"

// play sends a pipeline and judges its replies. Judges are told before that they are on their way.
func (c *witness) play(wishes []wish) {
	var raw strings.Builder
	for _, w := range wishes {
		raw.WriteString(encode(w.args...))
	}
	begin := time.Now()
	c.conn.SetDeadline(begin.Add(4 * patience))
	_, err := c.conn.Write([]byte(raw.String()))
	served := true
	for _, w := range wishes {
		reply := ""
		if err == nil {
			if reply, err = readReply(c.r); err != nil {
				reply = ""
				c.lose(w.args, err)
			}
		}
		served = c.hear(w, reply) && served
	}
	c.all.slowest.Store(max(c.all.slowest.Load(), time.Since(begin).Nanoseconds()))
	if err != nil {
		c.conn.Close()
		c.conn = nil
	} else if served {
		c.served.Store(begin.UnixNano())
	}
}

func (c *witness) lose(command []string, err error) {
	c.all.reconnects.Add(1)
	c.all.error(command, "connection lost: "+withoutPorts(err.Error()))
}

func withoutPorts(text string) string {
	if at := strings.LastIndex(text, ": "); at >= 0 {
		return text[at+2:]
	}
	return text
}

// hear judges one reply and reports whether the command was served.
func (c *witness) hear(w wish, reply string) bool {
	switch {
	case reply == "":
	case strings.ContainsFunc(reply, func(r rune) bool { return r > '~' }):
		c.all.garbled.Add(1)
		reply = ""
	case reply[0] == '-':
		c.all.error(w.args, reply)
		if strings.Contains(reply, "has not run") {
			w.judge(notRun)
			return false
		}
		reply = ""
	default:
		c.all.done.Add(1)
	}
	if !w.judge(reply) {
		c.all.problem("client %d: %s = %s", c.id, cli(w.args), shorten(reply))
	}
	return reply != ""
}
