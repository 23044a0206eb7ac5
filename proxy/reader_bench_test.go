package proxy

import (
	"net"
	"strings"
	"testing"
)

// loopConn delivers the same bytes again and again, piece bytes at a time.
type loopConn struct {
	net.Conn
	data  []byte
	at    int
	piece int
}

func (c *loopConn) Read(b []byte) (n int, err error) {
	n = copy(b, c.data[c.at:min(c.at+c.piece, len(c.data))])
	if c.at += n; c.at == len(c.data) {
		c.at = 0
	}
	return n, nil
}

// BenchmarkReader reads without sockets; an operation is one command.
func BenchmarkReader(b *testing.B) {
	var many []string
	for range 100_000 {
		many = append(many, "argument")
	}
	get, set := wire("GET", "sess:0123456789"), wire("SET", "sess:0123456789", strings.Repeat("v", 200))
	for _, bench := range []struct {
		name, in string
		piece    int
	}{
		{"GET", get, len(get)},
		{"GET_x16", strings.Repeat(get, 16), 16 * len(get)},
		{"SET_200B", set, len(set)},
		{"SET_200B_x16", strings.Repeat(set, 16), 16 * len(set)},
		{"SET_1MiB_in_1460B", wire("SET", "a", strings.Repeat("v", 1<<20)), 1460},
		{"SET_16MiB_in_1460B", wire("SET", "a", strings.Repeat("v", 16<<20)), 1460},
		{"100000_args", wire(many...), 64 << 10},
		{"inline", "GET sess:0123456789\r\n", 21},
	} {
		b.Run(bench.name, func(b *testing.B) {
			r := newReader(&loopConn{data: []byte(bench.in), piece: bench.piece}, testLimits)
			r.authed(true)
			commands := strings.Count(bench.in, "GET") + strings.Count(bench.in, "SET")
			b.SetBytes(int64(len(bench.in) / max(commands, 1)))
			b.ReportAllocs()
			for n := 0; n < b.N; {
				if err := r.fill(); err != nil {
					b.Fatal(err)
				}
				for _, _, ok := r.next(); ok; _, _, ok = r.next() {
					n++
				}
			}
		})
	}
}

// BenchmarkReaderTCP reads a pipeline of 16 from a socket, which falls silent after each.
func BenchmarkReaderTCP(b *testing.B) {
	client, server := dialTCP(b)
	r := newReader(server, testLimits)
	r.authed(true)
	batch := []byte(strings.Repeat(wire("GET", "sess:0123456789"), 16))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Write(batch); err != nil {
			b.Fatal(err)
		}
		if err := r.fill(); err != nil {
			b.Fatal(err)
		}
		for _, _, ok := r.next(); ok; _, _, ok = r.next() {
		}
	}
}
