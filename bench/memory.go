package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"sessiongate/bench/loadgen"
)

// memoryClients is how many clients are connected to weigh one.
const memoryClients = 5000

// memory weighs clients that have said something once and wait, and the same when each of them has had commands answered.
func (l *lab) memory(ctx context.Context) error {
	o := l.o
	fmt.Fprintf(&l.out, "%d clients; values of %d bytes. Resident memory of the process, by /proc, above what it had before; the kernel's buffers are not in it.\n\n", memoryClients, o.valueBytes)
	fmt.Fprint(&l.out, "| target | before, MiB | bytes per idle client | per busy client | Redis, per idle client | per busy client |\n|---|---:|---:|---:|---:|---:|\n")
	for _, name := range []string{direct, haproxy, twemproxy, transparent, withRules} {
		o.targets = []string{name}
		if err := l.weigh(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// weigh weighs the clients of one target, with a Redis of its own.
func (l *lab) weigh(ctx context.Context, o options) error {
	targets, stop, err := startAll(ctx, l.dir, o)
	defer stop()
	if err != nil {
		return err
	}
	t := targets[0]
	get := crossWorkloads([]load{{memoryClients, 1}}, twoWays(o.valueBytes))[1]
	if err := (runner{targets: targets, keys: o.keys}).prepare(ctx, get); err != nil {
		return err
	}
	options := t.options(get, o.keys)
	options.Hello = func(int) []byte { return []byte("*1\r\n$4\r\nPING\r\n") }

	before, err := t.resident()
	if err != nil {
		return err
	}
	g, err := loadgen.Dial(ctx, options)
	if err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	defer g.Close()
	idle, err := t.resident()
	if err != nil {
		return err
	}
	if _, err := generate(ctx, g, loadgen.Plan{For: 2 * time.Second}); err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	busy, err := t.resident()
	if err != nil {
		return err
	}
	each := func(now, then int64) int64 { return (now - then) / memoryClients }
	if t.proxy == nil {
		fmt.Fprintf(&l.out, "| %s | – | – | – | %d | %d |\n", t.name, each(idle.redis, before.redis), each(busy.redis, before.redis))
		return nil
	}
	fmt.Fprintf(&l.out, "| %s | %.1f | %d | %d | %d | %d |\n", t.name, float64(before.proxy)/(1<<20),
		each(idle.proxy, before.proxy), each(busy.proxy, before.proxy), each(idle.redis, before.redis), each(busy.redis, before.redis))
	return nil
}

// resident is the memory of a target's processes, in bytes.
type resident struct{ proxy, redis int64 }

func (t target) resident() (r resident, err error) {
	if t.proxy != nil {
		if r.proxy, err = residentMemory(t.proxy.cmd.Process.Pid); err != nil {
			return r, err
		}
	}
	r.redis, err = residentMemory(t.servers[0].cmd.Process.Pid)
	return r, err
}

// residentMemory is that of a process, in bytes.
func residentMemory(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, fmt.Errorf("memory of process %d: got %q", pid, text)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}
