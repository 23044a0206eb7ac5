package upstream

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestCluster_tell(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	pools := map[string]*Pool{}
	made := func(v ...viewed) *topology {
		return view(v).topology(func(addr string) *Pool {
			if pools[addr] == nil {
				pools[addr] = &Pool{opt: &redis.Options{Addr: addr}}
			}
			return pools[addr]
		})
	}
	at := func(master string, slots ...[2]int) viewed { return viewed{slots: slots, master: master} }
	c := &cluster{pool: &Pool{log: zap.New(core), opt: &redis.Options{}}}
	c.pool.place.Store(&place{addr: "seed:1"})
	want := func(what string, lines ...string) {
		t.Helper()
		all := logs.TakeAll()
		if len(all) != len(lines) {
			t.Fatalf("%s: %d lines", what, len(all))
		}
		for i, entry := range all {
			f := entry.ContextMap()
			if got := fmt.Sprint(entry.Message, f["from"], f["to"], f["masters"]); got != lines[i] {
				t.Errorf("%s: %s", what, got)
			}
		}
	}
	c.tell(made(at("a:1", [2]int{0, 99}), at("b:1", [2]int{100, Slots - 1})))
	c.tell(made(at("a:1", [2]int{0, 99}), at("b:1", [2]int{100, Slots - 1})))
	want("at first, and while nothing moves")
	over := made(at("c:1", [2]int{0, 99}), at("b:1", [2]int{100, Slots - 1}))
	c.tell(over)
	c.tell(over)
	want("a replica has taken over", "cluster: slots have moved[a:1] [c:1] [c:1 0-99 b:1 100-16383]")
	moved := over.with(100, pools["c:1"])
	c.tell(moved)
	want("soon after")
	c.toldAt = c.toldAt.Add(-tellEvery - time.Second)
	c.tell(moved)
	want("later", "cluster: slots have moved[b:1] [c:1] [c:1 0-100 b:1 101-16383]")
	c.toldAt = time.Time{}
	var odd [][2]int
	for slot := 1; slot < 40; slot += 2 {
		odd = append(odd, [2]int{slot, slot})
	}
	c.tell(made(at("c:1", odd...)))
	want("in pieces", "cluster: slots have moved[c:1 b:1] [] [c:1 1-1,3-3,5-5,7-7,9-9,11-11,13-13,15-15,...]")
}
