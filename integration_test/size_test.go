package integration_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

const sizeRule = `rules:
  - name: web
    size: {key: 512, value: 64KiB}
`

// denied is the refusal of a value of n bytes.
func denied(what string, n, limit int) string {
	return fmt.Sprintf("-DENIED size: %s of %d bytes is above the limit of %d (rule \"web\")\r\n", what, n, limit)
}

// A value above the limit is not written, by whatever command, and a refused command changes nothing.
func TestSize_Writes(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	for _, ns := range []string{"", "app:"} {
		behind := dial(t, r.addr)
		behind.want(ok, "FLUSHALL")
		c := dial(t, startGate(t, r.upstream()+fmt.Sprintf("namespace: %q\n", ns)+sizeRule).addr)
		const limit = 64 << 10
		atLimit, above := strings.Repeat("x", limit), strings.Repeat("x", limit+1)
		c.want(ok, "SET", "full", atLimit, "EX", "500")
		c.want(ok, "SET", "half", atLimit[:limit/2], "EX", "500")
		c.want(bulk(atLimit), "GET", "full")

		tooLarge := denied("value", limit+1, limit)
		for _, args := range [][]string{
			{"SET", "new", above}, {"SET", "half", above, "XX", "GET"}, {"SET", "half", above, "KEEPTTL"}, {"SETEX", "new", "100", above},
			{"PSETEX", "new", "100000", above}, {"SETNX", "new", above}, {"GETSET", "half", above},
			{"MSET", "new", "small", "new2", above}, {"MSETNX", "new", "small", "new2", above},
			{"APPEND", "new", above}, {"APPEND", "full", "x"}, {"APPEND", "half", above[:limit/2+1]},
			{"SETRANGE", "new", fmt.Sprint(limit), "x"}, {"SETRANGE", "half", "1", atLimit},
			{"SETBIT", "new", fmt.Sprint(limit * 8), "1"}, {"SETBIT", "half", fmt.Sprint(limit*8 + 7), "0"},
			{"BITFIELD", "new", "SET", "u8", fmt.Sprint(limit * 8), "1"}, {"BITFIELD", "half", "INCRBY", "u8", "#" + fmt.Sprint(limit), "1"},
		} {
			c.want(tooLarge, args...)
		}
		for _, name := range []string{"new", "new2"} {
			c.want(zero, "EXISTS", name)
		}
		c.want(fmt.Sprintf(":%d\r\n", limit), "STRLEN", "full")
		c.want(fmt.Sprintf(":%d\r\n", limit/2), "STRLEN", "half")
		if ttl := behind.int("TTL", ns+"half"); ttl < 400 || ttl > 500 {
			t.Errorf("the expiry of half is %d after refused commands, want 500", ttl)
		}

		// As large as allowed is allowed.
		c.want(fmt.Sprintf(":%d\r\n", limit), "APPEND", "half", atLimit[:limit/2])
		c.want(fmt.Sprintf(":%d\r\n", limit), "SETRANGE", "half", fmt.Sprint(limit-1), "y")
		c.want(zero, "SETBIT", "bits", fmt.Sprint(limit*8-1), "1")
		c.want("*1\r\n:0\r\n", "BITFIELD", "bits2", "SET", "u8", fmt.Sprint(limit*8-8), "1")
		c.want(one, "INCR", "counter")
		c.want(bulk("1.5"), "INCRBYFLOAT", "counter", "0.5")

		// What is read back doesn't grow either: a value stored behind the gate's back can't be copied over the limit.
		behind.want(ok, "SET", ns+"large", above)
		c.wantPrefix("-DENIED size: ", "BITOP OR new large full")
		c.wantPrefix("-DENIED size: ", "APPEND large x")
		behind.want(ok, "SET", ns+"dumped", above)
		payload, err := parse(behind.do("DUMP", ns+"dumped"))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.do("RESTORE", "new", "0", payload.text); !strings.HasPrefix(got, "-DENIED size: ") {
			t.Errorf("RESTORE of a large value = %s", shorten(got))
		}
		c.want(zero, "EXISTS", "new")

		longest := strings.Repeat("k", 512)
		c.want(ok, "SET", longest, "v")
		c.want(bulk("v"), "GET", longest)
		for _, args := range [][]string{{"SET", longest + "k", "v"}, {"MSET", "new", "v", longest + "k", "v"}, {"INCR", longest + "k"}, {"RENAME", "full", longest + "k"}, {"COPY", "full", longest + "k"}} {
			c.want(denied("key", 513, 512), args...)
		}
		c.want(zero, "EXISTS", "new")
	}
}

// A value above the limit that something else stored is not handed out, and asking for it changes nothing but an expiry.
func TestSize_Reads(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	for _, yaml := range []string{sizeRule, namespaceApp + sizeRule, namespaceApp + strings.Replace(sizeRule, "rules:\n  - ", "rules:\n  - expiry: {default: 30m, max: 12h}\n    ", 1)} {
		for resp := 2; resp <= 3; resp++ {
			behind := dial(t, r.addr)
			behind.want(ok, "FLUSHALL")
			c := dialRESP(t, startGate(t, r.upstream()+yaml).addr, resp)
			ns := ""
			if strings.Contains(yaml, "namespace") {
				ns = "app:"
			}
			large := strings.Repeat("y", 80211)
			behind.want(ok, "SET", ns+"large", large, "EX", "5000")
			behind.want(ok, "SET", ns+"small", "v", "EX", "5000")
			refusal := denied("value", 80211, 65536)
			for _, line := range []string{
				"GET large", "GETEX large", "GETEX large EX 77", "GETDEL large", "GETSET large v", "SET large v GET", "SET large v XX GET EX 77",
				"MGET small large", "GETRANGE large 0 -1", "SUBSTR large 0 80210",
			} {
				c.wantLine(refusal, line)
				behind.want(":80211\r\n", "STRLEN", ns+"large")
				if ttl := behind.int("TTL", ns+"large"); line == "GETEX large EX 77" { // the one change that a read may make
					behind.want(one, "EXPIRE", ns+"large", "5000")
				} else if ttl < 4900 || ttl > 5000 {
					t.Errorf("after %s the expiry is %d, want 5000", line, ttl)
					behind.want(ok, "SET", ns+"large", large, "EX", "5000")
				}
			}
			// Replies before and after a refused one are in their places.
			got := c.pipeline("GET small", "GET large", "GET small", "STRLEN large", "GET large", "PING")
			want := []string{bulk("v"), refusal, bulk("v"), ":80211\r\n", refusal, pong}
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("reply %d of the pipeline is %s, want %s", i, shorten(got[i]), shorten(want[i]))
				}
			}
			c.wantLine(bulk("yyy"), "GETRANGE large 0 2")
			c.wantLine(one, "DEL large")
		}
	}
}

// The limit holds when many clients write at once: it is checked where the value is, not before.
func TestSize_Race(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"rules:\n  - size: {value: 1000}\n")
	behind := dial(t, r.addr)
	const clients, rounds, piece = 20, 40, 7
	var writers sync.WaitGroup
	for range clients {
		c := dial(t, g.addr)
		writers.Go(func() {
			for range rounds {
				c.do("APPEND", "k", strings.Repeat("x", piece))
			}
		})
	}
	writers.Wait()
	if got, want := behind.int("STRLEN", "k"), 1000/piece*piece; got != want {
		t.Errorf("after %d APPENDs of %d bytes there are %d, want %d", clients*rounds, piece, got, want)
	}
}

// A value of 200 MiB streams past and is thrown away; it never stands in memory.
func TestSize_FlatMemory(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startPlainGate(t, r.upstream()+sizeRule)
	c, behind := dial(t, g.addr), dial(t, r.addr)
	const size = 200 << 20
	behind.want(fmt.Sprintf(":%d\r\n", size), "SETRANGE", "huge", fmt.Sprint(size-1), "x")
	c.want(pong, "PING")
	before := rss(t, g.pid())
	for range 3 {
		c.want(denied("value", size, 65536), "GET", "huge")
	}
	if grown := rss(t, g.pid()) - before; grown > 32<<20 {
		t.Errorf("refusing a value of 200 MiB took %d MiB", grown>>20)
	}
}
