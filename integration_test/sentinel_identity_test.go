package integration_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// recorders are clients that each count in a key of their own and set unique tokens, and remember what was acknowledged.
type recorders struct {
	counts [50]int
	tokens [50]map[string]string
	errs   atomic.Int64
	first  atomic.Pointer[string]
	worst  atomic.Int64 // longest wait for a reply, in nanoseconds
	acked  atomic.Int64

	stop atomic.Bool
	wg   sync.WaitGroup
}

// startRecorders runs clients against addr until end.
func startRecorders(t testing.TB, addr string) *recorders {
	l := &recorders{}
	for i := range l.counts {
		l.tokens[i] = map[string]string{}
		c := dial(t, addr)
		l.wg.Go(func() { l.client(c, i) })
	}
	return l
}

func (l *recorders) client(c *conn, i int) {
	counter := fmt.Sprint("counter:", i)
	for n := 0; !l.stop.Load(); n++ {
		if reply, ok := l.ask(c, "INCR", counter); ok {
			got, _ := strconv.Atoi(strings.TrimSpace(reply[1:]))
			if l.counts[i]++; got != l.counts[i] {
				l.wrong(fmt.Sprintf("%s is %d after %d acknowledged INCR", counter, got, l.counts[i]))
				l.counts[i] = got
			}
		}
		key, token := fmt.Sprint("token:", i, ":", n%100), fmt.Sprint(i, "-", n)
		if _, ok := l.ask(c, "SET", key, token); ok {
			l.tokens[i][key] = token
		}
	}
}

func (l *recorders) wrong(what string) {
	l.errs.Add(1)
	l.first.CompareAndSwap(nil, &what)
}

func (l *recorders) ask(c *conn, args ...string) (string, bool) {
	began := time.Now()
	if _, err := c.Write([]byte(encode(args...))); err != nil {
		l.wrong(err.Error())
		return "", false
	}
	reply, err := readReply(c.r)
	if took := int64(time.Since(began)); took > l.worst.Load() {
		l.worst.Store(took)
	}
	if err != nil || reply[0] == '-' {
		l.wrong(fmt.Sprint(reply, err))
		return "", false
	}
	l.acked.Add(1)
	return reply, true
}

// more waits until n more replies have come.
func (l *recorders) more(t testing.TB, n int64) {
	t.Helper()
	from := l.acked.Load()
	eventually(t, "commands are answered", func() bool { return l.acked.Load() >= from+n })
}

// end stops the clients and holds what was acknowledged against what is there.
func (l *recorders) end(t testing.TB, get func(args ...string) (value, error)) {
	t.Helper()
	l.stop.Store(true)
	l.wg.Wait()
	if n := l.errs.Load(); n > 0 {
		t.Errorf("%d errors, the first is %q", n, *l.first.Load())
	}
	missing := 0
	for i, n := range l.counts {
		if v, err := get("GET", fmt.Sprint("counter:", i)); err != nil || v.text != strconv.Itoa(n) {
			missing++
			t.Errorf("counter %d is %q (%v), want %d", i, v.text, err, n)
		}
		for key, token := range l.tokens[i] {
			if v, err := get("GET", key); err != nil || v.text != token {
				missing++
			}
		}
	}
	if missing > 0 {
		t.Errorf("%d acknowledged writes are missing", missing)
	}
	t.Logf("%d commands acknowledged, %d errors, %d missing, longest stall %v", l.acked.Load(), l.errs.Load(), missing, time.Duration(l.worst.Load()))
}

// A planned failover costs time, no error and no acknowledged write, whatever the driver.
func TestSentinel_PlannedFailover(t *testing.T) {
	for _, driver := range []string{"shared", "go-redis"} {
		t.Run(driver, func(t *testing.T) {
			s := startSentinel(t, setup{password: "open: se/same"})
			g := startGate(t, fmt.Sprintf("upstream: {url: %q, driver: %s, hold: 10s}\n", s.url(), driver))
			l := startRecorders(t, g.addr)
			l.more(t, 500)
			s.failover(t)
			l.more(t, 500)
			s.settle(t)
			s.failover(t)
			l.more(t, 500)
			s.settle(t)
			l.end(t, s.master(t).ask)
			if worst := time.Duration(l.worst.Load()); worst >= 10*time.Second {
				t.Errorf("longest stall %v, want it below the hold", worst)
			}
		})
	}
}
