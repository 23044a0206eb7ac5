package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// packages says which Debian package has each program that this one runs.
var packages = map[string]string{
	"redis-server":    "redis-server",
	"redis-benchmark": "redis-tools",
	"nutcracker":      "nutcracker",
	"haproxy":         "haproxy",
}

// programs are those that the targets need.
func programs(targets []string) []string {
	needed := []string{"redis-server", "redis-benchmark"}
	for _, name := range targets {
		switch strings.TrimSuffix(name, withTLS) {
		case twemproxy:
			needed = append(needed, "nutcracker")
		case haproxy:
			needed = append(needed, "haproxy")
		}
	}
	return needed
}

// install gets the programs that are missing, with apt-get.
func install(ctx context.Context, programs ...string) error {
	// Debian keeps servers in sbin, which is not on every user's path.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/local/sbin:/usr/sbin"); err != nil {
		return err
	}
	var missing []string
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			if !slices.Contains(missing, packages[program]) {
				missing = append(missing, packages[program])
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	fmt.Fprintln(os.Stderr, "installing", missing)
	if err := aptGet(ctx, "update"); err != nil {
		return err
	}
	return aptGet(ctx, append([]string{"install", "-y", "--no-install-recommends"}, missing...)...)
}

func aptGet(ctx context.Context, args ...string) error {
	args = append([]string{"apt-get", "-q"}, args...)
	if os.Geteuid() != 0 {
		args = append([]string{"sudo"}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%v: %w", args, err)
	}
	return nil
}
