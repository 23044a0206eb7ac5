package integration_test

import (
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkLatency_Pipeline runs 10,000 commands pipelined by one client over a network that takes 1 ms to the server
// and 1 ms back, once directly and once through the gate, and reports how fast the gate is in relation. It fails
// below 0.7. Speed depends on the machine, so this is no test: make latency.
func BenchmarkLatency_Pipeline(b *testing.B) {
	const commands = 10_000
	r := startRedis(b)
	far := delayed(b, r.addr, time.Millisecond)
	g := startPlainGate(b, "upstream: redis://"+far+"\n")
	for _, addr := range []string{far, g.addr} { // warm up
		pipelined(b, addr, commands)
	}
	var direct, proxied []time.Duration // taking turns, so that whatever else the machine does falls on both
	for b.Loop() {
		direct = append(direct, pipelined(b, far, commands))
		proxied = append(proxied, pipelined(b, g.addr, commands))
	}
	slices.Sort(direct)
	slices.Sort(proxied)
	without, with := direct[len(direct)/2], proxied[len(proxied)/2]
	ratio := float64(without) / float64(with)
	b.ReportMetric(ratio, "ratio")
	b.ReportMetric(float64(without.Microseconds())/1000, "direct-ms")
	b.ReportMetric(float64(with.Microseconds())/1000, "gate-ms")
	if ratio < 0.7 {
		b.Errorf("the gate runs at %.2f of the speed without it, want at least 0.7", ratio)
	}
}

// pipelined sends n SETs and GETs at once and returns how long it takes until the last reply is here.
func pipelined(b *testing.B, addr string, n int) time.Duration {
	b.Helper()
	raw := strings.Repeat(encode("SET", "key", strings.Repeat("v", 200))+encode("GET", "key"), n/2)
	want := (len(ok) + len(bulk(strings.Repeat("v", 200)))) * (n / 2)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	start := time.Now()
	go io.WriteString(c, raw)
	if _, err := io.CopyN(io.Discard, c, int64(want)); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

// delayed is a network of its own in front of addr: bytes arrive as fast as they came, but later.
func delayed(t testing.TB, addr string, delay time.Duration) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", addr)
			if err != nil {
				client.Close()
				continue
			}
			go delay1(server, client, delay)
			go delay1(client, server, delay)
		}
	}()
	return l.Addr().String()
}

// delay1 copies one direction. Whatever arrives is written `delay` after it came.
func delay1(dst, src net.Conn, delay time.Duration) {
	type packet struct {
		due  time.Time
		data []byte
	}
	packets := make(chan packet, 1<<16)
	go func() {
		defer dst.Close()
		for p := range packets {
			<-time.After(time.Until(p.due))
			if _, err := dst.Write(p.data); err != nil {
				break
			}
		}
		for range packets { // so that the other side is never stuck
		}
	}()
	defer close(packets)
	for {
		buf := make([]byte, 64<<10)
		n, err := src.Read(buf)
		if n > 0 {
			packets <- packet{time.Now().Add(delay), buf[:n]}
		}
		if err != nil {
			return
		}
	}
}
