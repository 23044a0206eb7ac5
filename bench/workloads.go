package main

import (
	"fmt"
	"strings"
)

// keyNumber stands in a command for the number of a key; redis-benchmark puts a random one there.
const keyNumber = "__rand_int__"

// load is how redis-benchmark sends: so many clients, each with so many commands under way.
type load struct {
	clients, pipeline int
}

func (l load) String() string { return fmt.Sprintf("%d clients, pipeline %d", l.clients, l.pipeline) }

// workload is one command under one load.
type workload struct {
	name string // of the command
	load load
	args []string // the command as sent
	fill []string // the command that makes a key for it, sent once per key before the first round

	requests, keys int // 0: as many as the runner has
}

// String is what -only matches.
func (w workload) String() string { return w.name + ", " + w.load.String() }

// crossWorkloads is every command under every load, the loads outermost.
func crossWorkloads(loads []load, commands []workload) []workload {
	var all []workload
	for _, l := range loads {
		for _, w := range commands {
			w.load = l
			if w.fill == nil {
				w.fill = w.args
			}
			all = append(all, w)
		}
	}
	return all
}

// proxyWorkloads compares proxies: what nearly all of a session store's traffic is.
func proxyWorkloads(valueBytes int) []workload {
	value := strings.Repeat("x", valueBytes)
	key := "key:" + keyNumber
	set := []string{"SET", key, value}
	return crossWorkloads([]load{{50, 1}, {50, 16}, {500, 1}}, []workload{
		{name: "SET", args: set},
		{name: "GET", args: []string{"GET", key}, fill: set},
	})
}

// followUpWorkloads has one command for each way in which a rule makes Redis do more than the client asked for:
// an option added (SET, GETEX), an argument changed (SETEX, EXPIRE), EXPIRE sent after it in a MULTI (HSET, SADD,
// INCR), a script whose writes are checked within (EVAL), or nothing (GET). Under idle a GET is sent as GETEX, and an HGETALL
// followed by EXPIRE, unless that was done a moment ago.
func followUpWorkloads(valueBytes int) []workload {
	value := strings.Repeat("x", valueBytes)
	key := "key:" + keyNumber
	set := []string{"SET", key, value}
	return crossWorkloads([]load{{50, 1}, {50, 16}}, []workload{
		{name: "SET", args: set},
		{name: "SETEX", args: []string{"SETEX", key, "3600", value}},
		{name: "GET", args: []string{"GET", key}, fill: set},
		{name: "HGETALL", args: []string{"HGETALL", key}, fill: []string{"HSET", key, "field", value}},
		{name: "GETEX", args: []string{"GETEX", key, "EX", "3600"}, fill: set},
		{name: "EXPIRE", args: []string{"EXPIRE", key, "3600"}, fill: set},
		{name: "INCR", args: []string{"INCR", key}},
		{name: "HSET", args: []string{"HSET", key, "field", value}},
		{name: "SADD", args: []string{"SADD", key, "member"}},
		{name: "EVAL", args: []string{"EVAL", "return redis.call('SET', KEYS[1], ARGV[1])", "1", key, value}},
	})
}
