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
