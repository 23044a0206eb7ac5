package main

import (
	"context"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"

	"sessiongate/bench/loadgen"
)

// Servers share all cores but the last one, which what puts them under load has for itself, as if it ran on another machine: else the scheduler's choice
// of who has to share a core is most of what is measured. On one core all share that.

// cores are those that this program may use.
var cores = func() (all []int) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil
	}
	for i := 0; len(all) < set.Count(); i++ {
		if set.IsSet(i) {
			all = append(all, i)
		}
	}
	return all
}()

// apart is whether there is a core for what puts servers under load.
func apart() bool { return len(cores) > 1 }

// serverCores is how many cores servers have.
func serverCores() int { return max(1, len(cores)-1) }

// onServers calls f, which starts a server, on the servers' cores.
func onServers(f func() error) error { return on(cores[:max(0, len(cores)-1)], f) }

// onLoad calls f, which puts servers under load or starts a program that does, on the core for that.
func onLoad(f func() error) error { return on(cores[max(0, len(cores)-1):], f) }

// generate has the generator make a run on the core for load.
func generate(ctx context.Context, g *loadgen.Generator, plan loadgen.Plan) (r loadgen.Result, err error) {
	err = onLoad(func() error {
		r, err = g.Run(ctx, plan)
		return err
	})
	return r, err
}

// on calls f on a thread that runs on those cores only, as do the processes that it starts.
func on(chosen []int, f func() error) error {
	if !apart() {
		return f()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var set, before unix.CPUSet
	for _, core := range chosen {
		set.Set(core)
	}
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("which cores there are: %w", err)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("choose cores: %w", err)
	}
	defer func() { _ = unix.SchedSetaffinity(0, &before) }() // as it was, so that it can't fail
	return f()
}
