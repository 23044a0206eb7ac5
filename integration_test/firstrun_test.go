package integration_test

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// redisCLI runs redis-cli and returns what it prints, without the last line end.
func redisCLI(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command("redis-cli", args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("redis-cli %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimRight(string(out), "\n")
}

// The first five minutes: no configuration, no Redis, and a session that expires.
func TestFirstRun(t *testing.T) {
	t.Parallel()
	port := strconv.Itoa(freePort(t))
	g := runGate(t, program, nil, "--listen", "127.0.0.1:"+port)
	g.waitFor(t, "tcp", "127.0.0.1:"+port)

	for _, step := range []struct{ line, want string }{
		{"set sess:1 v", "OK"},
		{"ttl sess:1", "1800"},
		{"get sess:1", "v"},
		{"-3 get sess:1", "v"},
		{"set sess:2 v ex 100", "OK"},
		{"ttl sess:2", "100"},
		{"expire sess:2 200", "1"},
		{"ttl sess:2", "200"},
		{"setnx sess:3 v", "1"},
		{"ttl sess:3", "1800"},
		{"append sess:4 v", "1"},
		{"ttl sess:4", "1800"},
		{"incr sess:5", "1"},
		{"ttl sess:5", "1800"},
		{"mset sess:6 a sess:7 b", "OK"},
		{"ttl sess:7", "1800"},
		{"getset sess:8 v", ""},
		{"ttl sess:8", "1800"},
		{"dbsize", "8"},
		{"del sess:1", "1"},
		{"ttl sess:1", "-2"},
		{"ping", "PONG"},
	} {
		got := redisCLI(t, "", append([]string{"-p", port}, strings.Fields(step.line)...)...)
		if strings.HasPrefix(step.line, "ttl ") {
			got = roundUp(got, step.want) // a second may have passed
		}
		if got != step.want {
			t.Errorf("redis-cli %s prints %q, want %q", step.line, got, step.want)
		}
	}

	// Time passes in the store in memory.
	c := dial(t, "127.0.0.1:"+port)
	c.want(ok, "SET", "short", "v", "PX", "30")
	eventually(t, "a session expires", func() bool { return c.do("GET", "short") == null })

	if log := g.out.String(); !strings.Contains(log, "memory") {
		t.Errorf("nothing printed at the start says that the store is in memory:\n%s", log)
	}
}

// roundUp returns want for a number of seconds that is a little less, and anything else as it is.
func roundUp(got, want string) string {
	g, gotErr := strconv.Atoi(got)
	w, wantErr := strconv.Atoi(want)
	if gotErr == nil && wantErr == nil && g > 0 && g <= w && g >= w-5 {
		return want
	}
	return got
}

// Settings come from the environment and from flags too, flags winning.
func TestFirstRun_EnvironmentAndFlags(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	env, flag := loopback(freePort(t)), loopback(freePort(t))
	g := runGate(t, program, []string{
		"SESSIONGATE_LISTEN=" + env, "SESSIONGATE_UPSTREAM=" + r.url(), "SESSIONGATE_NAMESPACE=env:",
	}, "serve")
	g.waitFor(t, "tcp", env)
	dial(t, env).want(ok, "SET", "a", "v")
	dial(t, r.addr).want(bulk("v"), "GET", "env:a")

	nowhere := loopback(freePort(t))
	g = runGate(t, program, []string{"SESSIONGATE_LISTEN=" + nowhere}, "serve", "--listen", flag, "--upstream", r.url())
	g.waitFor(t, "tcp", flag)
	dial(t, flag).want(bulk("v"), "GET", "env:a") // no namespace here
	if answers(nowhere) {
		t.Errorf("--listen doesn't win over SESSIONGATE_LISTEN")
	}
}
