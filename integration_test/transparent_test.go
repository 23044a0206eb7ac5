package integration_test

import (
	"fmt"
	"strings"
	"testing"
)

// corpusSeed and corpusLines make the corpus; it is the same in every run.
const (
	corpusSeed  = 20240607
	corpusLines = 4000
)

// corpusRedis starts a server whose replies to the corpus depend on nothing but the corpus: small hashes and sorted
// sets keep the order of insertion however long their values are, and nothing is ever slow.
func corpusRedis(t *testing.T) *redisServer {
	t.Helper()
	return startRedis(t, "--hash-max-listpack-value", "1000000000", "--zset-max-listpack-value", "1000000000",
		"--slowlog-log-slower-than", "-1")
}

// With no rules and no namespace the gate's replies are byte for byte those of the server behind it.
func TestTransparent_Corpus(t *testing.T) {
	t.Parallel()
	for _, front := range []struct{ name, yaml string }{
		{"shared", ""},
		{"go-redis", "driver: go-redis"},
		{"server itself", "none"}, // two servers agree about the corpus, so a difference is the gate's doing
	} {
		for resp := 2; resp <= 3; resp++ {
			for _, most := range []int{1, 200} {
				t.Run(fmt.Sprintf("%s/RESP%d/pipeline up to %d", front.name, resp, most), func(t *testing.T) {
					t.Parallel()
					direct, behind := corpusRedis(t), corpusRedis(t)
					addr := behind.addr
					switch front.yaml {
					case "none":
					case "":
						addr = startGate(t, behind.upstream()).addr
					default:
						addr = startGate(t, "upstream: {url: "+behind.url()+", "+front.yaml+"}\n").addr
					}
					units := newCorpus(corpusSeed, corpusLines, resp)
					compare(t, dialRESP(t, direct.addr, resp), dialRESP(t, addr, resp), units, most)
				})
			}
		}
	}
}

func dialRESP(t testing.TB, addr string, resp int) *conn {
	t.Helper()
	if resp == 3 {
		return dial3(t, addr)
	}
	return dial(t, addr)
}

// compare sends the units to both, in runs of at most `most` commands to a write, and compares every reply.
func compare(t *testing.T, direct, proxied *conn, units []unit, most int) {
	t.Helper()
	var steps []step
	for _, u := range units {
		steps = append(steps, u...)
	}
	if len(steps) < 2000 {
		t.Fatalf("the corpus has %d lines, want at least 2000", len(steps))
	}
	differences := 0
	for size := 1; len(steps) > 0; size = size%most + 1 {
		run := steps[:min(size, len(steps))]
		steps = steps[len(run):]
		var raw strings.Builder
		for _, s := range run {
			raw.WriteString(s.encode())
		}
		direct.send(raw.String())
		proxied.send(raw.String())
		for _, s := range run {
			for range s.replies {
				want := direct.read()
				got := proxied.read()
				alike := got == want
				if s.alike != nil {
					alike = s.alike(got, want)
				}
				if alike {
					continue
				}
				t.Errorf("%s\n got %s\nwant %s", shorten(strings.Join(s.args, " ")), shorten(got), shorten(want))
				if differences++; differences == 10 {
					t.Fatal("too many differences")
				}
			}
		}
	}
	// Not a byte more or less than the replies that were owed.
	same(t, direct, proxied, "PING", "the end")
}
