package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidwall/redcon"

	"sessiongate/upstream"
)

var drivers = []string{upstream.DriverShared, upstream.DriverGoRedis}

// TestLink_owners lets many clients read values that carry their key: no reply may reach the wrong owner.
func TestLink_owners(t *testing.T) {
	s := startRedis(t)
	for _, driver := range drivers {
		for _, proto := range []int{2, 3} {
			t.Run(fmt.Sprintf("%s/RESP%d", driver, proto), func(t *testing.T) {
				p := open(t, upstream.Config{URL: s.url(), Driver: driver, Links: 2})
				var wg sync.WaitGroup
				for client := range 200 {
					wg.Go(func() { readOwn(t, p.Link(proto, 0), client) })
				}
				wg.Wait()
			})
		}
	}
}

// readOwn writes and reads keys of its own in batches of different sizes; some values are long enough to be written
// without copying.
func readOwn(t *testing.T, l upstream.Link, client int) {
	var b upstream.Batch
	for round := range 20 {
		size := 1 + (client+round)%7
		fill := client % 300
		if client%50 == 0 && round%10 == 0 {
			fill = 70 << 10
		}
		b.Req, b.Count = b.Req[:0], 2*size
		var want []string
		for i := range size {
			key := fmt.Sprintf("k:%d:%d:%d", client, round, i)
			value := key + strings.Repeat("x", fill)
			b.Req = append(b.Req, cmd("SET", key, value)...)
			b.Req = append(b.Req, cmd("GET", key)...)
			want = append(want, "+OK\r\n", bulk(value))
		}
		if err := l.Do(t.Context(), &b); err != nil {
			t.Errorf("client %d: %v", client, err)
			return
		}
		for i, got := range texts(&b) {
			if got != want[i] {
				t.Errorf("client %d, reply %d: got %.80q, want %.80q", client, i, got, want[i])
				return
			}
		}
	}
}

// Replies of every shape, for the tests below.
var shapes = []string{
	"+OK\r\n", "-ERR no\r\n", ":-12\r\n", "$-1\r\n", "$0\r\n\r\n", bulk("a\r\nb"), "*-1\r\n", "*0\r\n",
	"*3\r\n*1\r\n:1\r\n" + bulk("x") + "*0\r\n", "_\r\n", "#t\r\n", ",1.5\r\n", "(123\r\n", "!5\r\nERR x\r\n",
	"=7\r\ntxt:abc\r\n", "%1\r\n+k\r\n~2\r\n:1\r\n:2\r\n", "|1\r\n+a\r\n+b\r\n+attributed\r\n",
}

func TestLink_splitReplies(t *testing.T) {
	all := strings.Join(shapes, "")
	f := newFake(t, func(c *fakeConn, args [][]byte) {
		if string(args[0]) == "LAST" {
			for i := range all {
				c.say(all[i : i+1])
			}
		}
	})
	l := open(t, upstream.Config{URL: f.url()}).Link(3, 0)
	req := append(bytes.Repeat(cmd("NEXT"), len(shapes)-1), cmd("LAST")...)
	for range 3 {
		b := upstream.Batch{Req: req, Count: len(shapes)}
		if err := l.Do(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		for i, got := range texts(&b) {
			if got != shapes[i] {
				t.Errorf("reply %d: got %q, want %q", i, got, shapes[i])
			}
		}
	}
}

// TestLink_anyReplies has replies of all sizes and shapes, limits and batches, several of which one owner has under way at
// once, arrive in pieces of all sizes.
func TestLink_anyReplies(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	reply := func(id, size int) string {
		text := strings.Repeat(string(rune('a'+id%26)), size)
		switch id % 4 {
		case 0:
			return "*3\r\n:1\r\n" + bulk(text) + "*1\r\n" + bulk(text[:size/2])
		case 1:
			return "+OK\r\n"
		}
		return bulk(text)
	}
	var chop atomic.Int64
	f := newFake(t, func(c *fakeConn, args [][]byte) {
		id, _ := strconv.Atoi(string(args[1]))
		size, _ := strconv.Atoi(string(args[2]))
		c.out = append(c.out, reply(id, size)...)
		for n := int(chop.Load()); len(c.out) > n; {
			c.say(string(c.out[:n]))
			c.out = c.out[n:]
		}
	})
	l := open(t, upstream.Config{URL: f.url()}).Link(2, 0).(upstream.Pipeliner)
	sizes := []int{0, 1, 5, 100, 5000, 31 << 10, 33 << 10, 70 << 10, 300 << 10}
	batches := make([]upstream.Batch, 4)
	id := 0
	for range 200 {
		chop.Store(int64(1 + rnd.IntN(100_000)))
		want := make([][]upstream.Reply, len(batches))
		for i := range batches {
			b := &batches[i]
			b.Req, b.Limits, b.Count = b.Req[:0], b.Limits[:0], 1+rnd.IntN(8)
			for range b.Count {
				size, limit := sizes[rnd.IntN(len(sizes))], int64(rnd.IntN(2)*50_000)
				id++
				b.Req = append(b.Req, cmd("GET", strconv.Itoa(id), strconv.Itoa(size))...)
				b.Limits = append(b.Limits, limit)
				r := upstream.Reply{Raw: []byte(reply(id, size))}
				if limit > 0 && int64(size) > limit && id%4 != 1 {
					r = upstream.Reply{Over: int64(size)}
				}
				want[i] = append(want[i], r)
			}
			if err := l.Start(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		for i := range batches {
			if err := l.Wait(t.Context(), &batches[i]); err != nil {
				t.Fatal(err)
			}
		}
		for i := range batches {
			for j, got := range batches[i].Replies {
				if w := want[i][j]; !bytes.Equal(got.Raw, w.Raw) || got.Over != w.Over {
					t.Fatalf("batch %d, reply %d: got %d bytes %.30q, over %d; want %d bytes %.30q, over %d",
						i, j, len(got.Raw), got.Raw, got.Over, len(w.Raw), w.Raw, w.Over)
				}
			}
		}
	}
}

func TestLink_flood(t *testing.T) {
	f := newFake(t, func(c *fakeConn, args [][]byte) {
		c.out = append(c.out, bulk(strings.Repeat("x", 1000))...)
	})
	for _, driver := range drivers {
		l := open(t, upstream.Config{URL: f.url(), Driver: driver}).Link(2, 0)
		for _, test := range []struct {
			count int
			max   int64
			want  error
		}{{3, 0, nil}, {3, 4000, nil}, {3, 3000, upstream.ErrFlood}, {1, 500, nil}, {200, 100_000, upstream.ErrFlood}} {
			b := upstream.Batch{Req: bytes.Repeat(cmd("X"), test.count), Count: test.count, Max: test.max}
			err := l.Do(t.Context(), &b)
			if !errors.Is(err, test.want) {
				t.Errorf("%s: %d replies, at most %d bytes: got %v, want %v", driver, test.count, test.max, err, test.want)
			}
			if got, want := len(b.Replies), test.count; err == nil && got != want || err != nil && got > 0 {
				t.Errorf("%s: %d replies, at most %d bytes: got %d replies", driver, test.count, test.max, got)
			}
		}
	}
}

// TestLink_capped appends to one reply: its neighbour must not change.
func TestLink_capped(t *testing.T) {
	f := newFake(t, func(c *fakeConn, args [][]byte) { c.out = append(c.out, "+one\r\n"...) })
	l := open(t, upstream.Config{URL: f.url()}).Link(2, 0)
	b := upstream.Batch{Req: bytes.Repeat(cmd("X"), 2), Count: 2}
	if err := l.Do(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	_ = append(b.Replies[0].Raw, "overwritten"...)
	if got, want := string(b.Replies[1].Raw), "+one\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLink_limits(t *testing.T) {
	long, short := strings.Repeat("l", 100<<10), "short"
	replies := map[string]string{
		"LONG": bulk(long), "SHORT": bulk(short),
		"NESTED": "*2\r\n" + bulk(short) + "*1\r\n" + bulk(long),
	}
	f := newFake(t, func(c *fakeConn, args [][]byte) { c.out = append(c.out, replies[string(args[0])]...) })
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			l := open(t, upstream.Config{URL: f.url(), Driver: driver}).Link(2, 0)
			b := upstream.Batch{
				Req:    bytes.Join([][]byte{cmd("SHORT"), cmd("LONG"), cmd("LONG"), cmd("NESTED"), cmd("SHORT"), cmd("LONG")}, nil),
				Count:  6,
				Limits: []int64{1000, 1000, 100 << 10, 99999, 5},
			}
			if err := l.Do(t.Context(), &b); err != nil {
				t.Fatal(err)
			}
			want := []upstream.Reply{
				{Raw: []byte(bulk(short))}, {Over: 100 << 10}, {Raw: []byte(bulk(long))}, {Over: 100 << 10},
				{Raw: []byte(bulk(short))}, {Raw: []byte(bulk(long))},
			}
			for i, got := range b.Replies {
				if got.Over != want[i].Over || !bytes.Equal(got.Raw, want[i].Raw) || (got.Raw == nil) != (want[i].Raw == nil) {
					t.Errorf("reply %d: got %d bytes, over %d; want %d bytes, over %d", i, len(got.Raw), got.Over, len(want[i].Raw), want[i].Over)
				}
			}
		})
	}
}

// TestLink_flatMemory reads a value far above its limit: it must leave no trace in memory.
func TestLink_flatMemory(t *testing.T) {
	s := startRedis(t)
	p := open(t, upstream.Config{URL: s.url()})
	l := p.Link(2, 0)
	do(t, l, cmd("SETRANGE", "big", "67108863", "x"))
	b := upstream.Batch{Req: cmd("GET", "big"), Count: 1, Limits: []int64{1000}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := l.Do(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got, want := b.Replies[0].Over, int64(64<<20); got != want {
		t.Errorf("Over: got %d, want %d", got, want)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("allocated %d bytes on the way", got)
	}
}

// TestLink_huge carries a value of 64 MiB both ways while others go on.
func TestLink_huge(t *testing.T) {
	s := startRedis(t)
	p := open(t, upstream.Config{URL: s.url()})
	var done atomic.Bool
	var wg sync.WaitGroup
	defer wg.Wait()
	defer done.Store(true)
	for i := range 10 {
		wg.Go(func() {
			l, key := p.Link(2, 0), fmt.Sprint("small", i)
			b := upstream.Batch{Req: append(cmd("SET", key, key), cmd("GET", key)...), Count: 2}
			for !done.Load() {
				if err := l.Do(t.Context(), &b); err != nil {
					t.Error(err)
					return
				}
				if got, want := string(b.Replies[1].Raw), bulk(key); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
		})
	}
	value := strings.Repeat("0123456789abcdef", 4<<20)
	got := do(t, p.Link(2, 0), cmd("SET", "huge", value), cmd("GET", "huge"), cmd("DEL", "huge"))
	if got[0] != "+OK\r\n" || got[1] != bulk(value) || got[2] != ":1\r\n" {
		t.Errorf("got %q, a string of %d bytes, %q", got[0], len(got[1]), got[2])
	}
}

func TestLink_pushesAreSkipped(t *testing.T) {
	push := ">2\r\n" + bulk("invalidate") + "*1\r\n" + bulk("key")
	f := newFake(t, func(c *fakeConn, args [][]byte) { c.say(push); c.say("+mine\r\n" + push) })
	l := open(t, upstream.Config{URL: f.url()}).Link(3, 0)
	for range 10 {
		if got, want := do(t, l, cmd("A"), cmd("B")), []string{"+mine\r\n", "+mine\r\n"}; got[0] != want[0] || got[1] != want[1] {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestLink_database(t *testing.T) {
	s := startRedis(t)
	for _, driver := range drivers {
		p := open(t, upstream.Config{URL: s.url() + "/4", Driver: driver})
		do(t, p.Link(2, 4), cmd("SET", "where", "four"))
		do(t, p.Link(3, 5), cmd("SET", "where", "five"))
		if got, want := do(t, p.Link(3, 4), cmd("GET", "where"))[0], bulk("four"); got != want {
			t.Errorf("%s: got %q, want %q", driver, got, want)
		}
		if got, want := do(t, p.Link(2, 5), cmd("GET", "where"))[0], bulk("five"); got != want {
			t.Errorf("%s: got %q, want %q", driver, got, want)
		}
		if got, err := p.Admin().Get(t.Context(), "where").Result(); got != "four" {
			t.Errorf("%s: Admin got %q, %v; want four", driver, got, err)
		}
	}
}

// TestLink_protocol shows that a link speaks the version it was opened for.
func TestLink_protocol(t *testing.T) {
	s := startRedis(t)
	for _, driver := range drivers {
		p := open(t, upstream.Config{URL: s.url(), Driver: driver})
		do(t, p.Link(2, 0), cmd("HSET", "h", "f", "v"))
		if got, want := do(t, p.Link(2, 0), cmd("HGETALL", "h"))[0], "*2\r\n$1\r\nf\r\n$1\r\nv\r\n"; got != want {
			t.Errorf("%s: got %q, want %q", driver, got, want)
		}
		if got, want := do(t, p.Link(3, 0), cmd("HGETALL", "h"))[0], "%1\r\n$1\r\nf\r\n$1\r\nv\r\n"; got != want {
			t.Errorf("%s: got %q, want %q", driver, got, want)
		}
	}
}

func TestLink_nothingToDo(t *testing.T) {
	p := open(t, upstream.Config{URL: "redis://127.0.0.1:1"})
	var b upstream.Batch
	if err := p.Link(2, 0).Do(t.Context(), &b); err != nil {
		t.Errorf("empty batch: %v", err)
	}
}

// TestLink_allocations needs a link that is warm.
func TestLink_allocations(t *testing.T) {
	f := newFake(t, func(c *fakeConn, args [][]byte) { c.out = redcon.AppendBulkString(c.out, "value") })
	l := open(t, upstream.Config{URL: f.url(), HealthInterval: 1e12}).Link(2, 0)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b := upstream.Batch{Req: bytes.Repeat(cmd("GET", "key"), 16), Count: 16, Limits: make([]int64, 16)}
	got := testing.AllocsPerRun(1000, func() {
		if err := l.Do(ctx, &b); err != nil {
			t.Fatal(err)
		}
	})
	if got > 0 {
		t.Errorf("got %v allocations per Do, want none", got)
	}
}

func TestBatch_Release(t *testing.T) {
	f := newFake(t, func(c *fakeConn, args [][]byte) { c.out = append(c.out, "+OK\r\n"...) })
	l := open(t, upstream.Config{URL: f.url()}).Link(2, 0)
	b := upstream.Batch{Req: cmd("X"), Count: 1}
	for range 3 {
		if err := l.Do(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		b.Release()
		if b.Req != nil || b.Replies != nil || b.Count != 0 {
			t.Errorf("something is left: %v", b)
		}
		b.Req, b.Count = cmd("X"), 1
	}
}
