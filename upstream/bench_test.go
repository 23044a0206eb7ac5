package upstream_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"sessiongate/upstream"
)

// BenchmarkDo measures one command on its way through a link and back: ns/op is per command, not per batch.
func BenchmarkDo(b *testing.B) {
	value := []byte(bulk(strings.Repeat("v", 200)))
	f := newFake(b, func(c *fakeConn, args [][]byte) { c.out = append(c.out, value...) })
	real := startRedis(b)
	setup(b, real.url())
	for _, server := range []struct{ name, url string }{{"loopback", f.url()}, {"redis", real.url()}} {
		for _, driver := range []string{upstream.DriverShared, upstream.DriverGoRedis} {
			for _, clients := range []int{1, 50} {
				for _, batch := range []int{1, 16} {
					b.Run(fmt.Sprintf("%s/%s/clients=%d/batch=%d", server.name, driver, clients, batch), func(b *testing.B) {
						benchDo(b, server.url, driver, clients, batch)
					})
				}
			}
		}
	}
}

// setup stores the value that the benchmark reads.
func setup(b *testing.B, url string) {
	p := open(b, upstream.Config{URL: url})
	batch := upstream.Batch{Req: cmd("SET", "key", strings.Repeat("v", 200)), Count: 1}
	if err := p.Link(2, 0).Do(b.Context(), &batch); err != nil {
		b.Fatal(err)
	}
}

func benchDo(b *testing.B, url, driver string, clients, size int) {
	p := open(b, upstream.Config{URL: url, Driver: driver})
	req := bytes.Repeat(cmd("GET", "key"), size)
	ctx, cancel := context.WithCancel(context.Background()) // as a session's: it can be cancelled
	defer cancel()
	var wg sync.WaitGroup
	run := func(rounds int) {
		for i := range clients {
			n := rounds / clients
			if i < rounds%clients {
				n++
			}
			wg.Go(func() {
				l := p.Link(2, 0)
				batch := upstream.Batch{Req: req, Count: size}
				for u := range size {
					batch.Units = append(batch.Units, upstream.Unit{Slot: (i + u) * 5461 % upstream.Slots, End: (u + 1) * len(req) / size, Count: 1})
				}
				for range n {
					if err := l.Do(ctx, &batch); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	run(clients * 4) // connects, and grows the buffers
	b.ReportAllocs()
	b.ResetTimer()
	run(max(b.N/size, 1))
}

// BenchmarkRouted compares a routed link with a plain one: what a batch costs on its way to one node of a cluster that has only that
// one, and to three.
func BenchmarkRouted(b *testing.B) {
	value := []byte(bulk(strings.Repeat("v", 200)))
	answer := func(_ int, c *fakeConn, args [][]byte) { c.out = append(c.out, value...) }
	one, three := newFakeCluster(b, 1, answer), newFakeCluster(b, 3, answer)
	one.deaf.Store(true)
	three.deaf.Store(true)
	for _, to := range []struct{ name, url string }{{"plain", one.nodes[0].url()}, {"routed", one.url()}, {"routed to 3", three.url()}} {
		for _, clients := range []int{1, 50} {
			for _, batch := range []int{1, 16} {
				b.Run(fmt.Sprintf("%s/clients=%d/batch=%d", to.name, clients, batch), func(b *testing.B) {
					benchDo(b, to.url, upstream.DriverShared, clients, batch)
				})
			}
		}
	}
}
