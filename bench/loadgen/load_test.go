package loadgen

import (
	"bufio"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// serve answers each line that clients send with one, after as long as wait says.
func serve(t *testing.T, reply string, wait func(n int) time.Duration) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var clients sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		clients.Wait()
	})
	clients.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			clients.Go(func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for n := 0; ; n++ {
					if _, err := in.ReadString('\n'); err != nil {
						return
					}
					time.Sleep(wait(n))
					if _, err := c.Write([]byte(reply)); err != nil {
						return
					}
				}
			})
		}
	})
	return l.Addr().String()
}

func ping(dst []byte, _ int) []byte { return append(dst, "PING\r\n"...) }

func start(t *testing.T, o Options) *Generator {
	g, err := Dial(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

// A server that stands still once for 200 ms has kept waiting all that were due meanwhile, not just the one that it has at hand.
func TestRun_CountsFromWhenACommandWasDue(t *testing.T) {
	const still = 200 * time.Millisecond
	addr := serve(t, "$2\r\nok\r\n", func(n int) time.Duration {
		if n == 100 {
			return still
		}
		return 0
	})
	g := start(t, Options{Addr: addr, Clients: 1, Command: ping})
	r, err := g.Run(context.Background(), Plan{Rate: 1000, For: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if n := r.Latency.TotalCount(); n < 350 || n > 650 { // of a Poisson process, 500 are to be expected, give or take 22
		t.Errorf("got %d commands, want about 500", n)
	}
	if got := time.Duration(r.Latency.Max()); got < still {
		t.Errorf("the longest took %v, want at least %v", got, still)
	}
	// Some 200 of 500 were due while it stood still, half of them in its first 100 ms.
	if got := time.Duration(r.Latency.ValueAtQuantile(90)); got < still/4 {
		t.Errorf("90%% took up to %v, want at least %v: those that were kept waiting have been left out", got, still/4)
	}
}

func TestRun_ClosedLoop(t *testing.T) {
	addr := serve(t, "-ERR no\r\n", func(int) time.Duration { return 0 })
	g := start(t, Options{Addr: addr, Clients: 20, Command: ping})
	for range 2 { // the clients can be used again
		r, err := g.Run(context.Background(), Plan{Warm: 20 * time.Millisecond, For: 100 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if r.Latency.TotalCount() < 20 || r.Errors < int(r.Latency.TotalCount()) || r.Took < 50*time.Millisecond {
			t.Errorf("got %d commands with %d errors in %v, want many, all errors, in 100 ms", r.Latency.TotalCount(), r.Errors, r.Took)
		}
	}
}

// A generator that doesn't sleep keeps to its schedule as others do.
func TestRun_Spins(t *testing.T) {
	addr := serve(t, "+OK\r\n", func(int) time.Duration { return 0 })
	g := start(t, Options{Addr: addr, Clients: 4, Command: ping, Spin: true})
	r, err := g.Run(context.Background(), Plan{Rate: 1000, For: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if n := r.Latency.TotalCount(); n < 100 || n > 300 || r.Errors > 0 {
		t.Errorf("got %d commands with %d errors, want some 200", n, r.Errors)
	}
}

// A request larger than any socket's buffer goes out in parts.
func TestRun_LargeCommands(t *testing.T) {
	addr := serve(t, ":1\r\n", func(int) time.Duration { return 0 })
	large := strings.Repeat("x", 8<<20) + "\n"
	g := start(t, Options{Addr: addr, Clients: 2, Command: func(dst []byte, _ int) []byte { return append(dst, large...) }})
	r, err := g.Run(context.Background(), Plan{For: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if n := r.Latency.TotalCount(); n < 2 {
		t.Errorf("got %d replies, want some", n)
	}
}

func TestDial_RefusedGreeting(t *testing.T) {
	addr := serve(t, "-WRONGPASS no\r\n", func(int) time.Duration { return 0 })
	g, err := Dial(context.Background(), Options{Addr: addr, Clients: 1, Hello: func(int) []byte { return []byte("AUTH x\n") }})
	if err == nil {
		g.Close()
		t.Fatal("got no error")
	}
	if want := "WRONGPASS no"; !strings.Contains(err.Error(), want) {
		t.Errorf("got %q, want %q in it", err, want)
	}
}

func TestRun_ServerLeaves(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	g := start(t, Options{Addr: l.Addr().String(), Clients: 1, Command: ping})
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := g.Run(context.Background(), Plan{Rate: 100, For: time.Second}); err == nil {
		t.Error("got no error from a run against a server that has gone")
	}
}
