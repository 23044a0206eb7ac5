package policy

import (
	"fmt"
	"strings"
	"testing"
)

func BenchmarkDecide(b *testing.B) {
	p := mustNew(b, full(b))
	for _, c := range []struct{ name, line string }{
		{"GET", "GET sess:1"},
		{"SET", "SET sess:1 v"},
		{"SET_EX", "SET sess:1 v EX 99999"},
		{"HSET", "HSET sess:1 f v"},
		{"MSET_10", "MSET sess:0 v sess:1 v sess:2 v sess:3 v sess:4 v sess:5 v sess:6 v sess:7 v sess:8 v sess:9 v"},
	} {
		r := request(b, words(c.line))
		b.Run(c.name, func(b *testing.B) { benchmark(b, p, r) })
	}
}

// The cost of one command must not depend on how many rules there are for other keys: neither where a client's keys are of one kind, nor (MIX) where
// each key is of another kind than the one before.
func BenchmarkDecide_Rules(b *testing.B) {
	for _, c := range []struct{ name, line string }{{"GET", "GET class%d:1"}, {"SET", "SET class%d:1 v"}, {"MIX", "GET class%d:1"}} {
		for _, n := range []int{1, 10, 1000} {
			p := mustNew(b, manyClasses(b, n))
			requests := []*Request{request(b, words(fmt.Sprintf(c.line, n-1)))}
			for i := 1; i < 16 && c.name == "MIX"; i++ {
				requests = append(requests, request(b, words(fmt.Sprintf(c.line, i*61%n))))
			}
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				b.ReportAllocs()
				var plan Plan
				for i := 0; b.Loop(); i++ {
					p.Decide(requests[i%len(requests)], &plan)
				}
			})
		}
	}
}

// manyClasses has so many rules, each for a kind of keys.
func manyClasses(b *testing.B, n int) (c Config) {
	for i := range n {
		c.Rules = append(c.Rules, RuleConfig{Keys: []string{fmt.Sprintf("class%d:*", i)},
			Expiry: &ExpiryConfig{Default: duration(b, "30m"), Max: duration(b, "12h")}})
	}
	return c
}

func benchmark(b *testing.B, p *Policy, r *Request) {
	b.ReportAllocs()
	var plan Plan
	for b.Loop() {
		p.Decide(r, &plan)
	}
	if plan.Refusal != nil {
		b.Fatal(plan.Refusal.Text)
	}
}

// The cost of a command is linear in its arguments: ten times the keys take ten times as long.
func BenchmarkDecide_Keys(b *testing.B) {
	p := mustNew(b, Config{Rules: []RuleConfig{{Size: &SizeConfig{Value: 1000}}}})
	for _, n := range []int{8000, 80000} {
		for _, c := range []struct{ name, word, end string }{{"MSET", " k v", ""}, {"BLPOP", " k", " 0"}, {"MGET", " k", ""}} {
			r := request(b, words(c.name+strings.Repeat(c.word, n)+c.end))
			b.Run(fmt.Sprintf("%s_%d", c.name, n), func(b *testing.B) { benchmark(b, p, r) })
		}
	}
}
