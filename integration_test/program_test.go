package integration_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// gatectl runs the program to its end and returns what it prints and its exit code.
func gatectl(t testing.TB, args ...string) (out string, code int) {
	t.Helper()
	return gatectlStdin(t, "", args...)
}

// gatectlStdin is gatectl with something to read.
func gatectlStdin(t testing.TB, stdin string, args ...string) (out string, code int) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

func TestProgram_Version(t *testing.T) {
	t.Parallel()
	out, code := gatectl(t, "version")
	if code != 0 || !strings.Contains(out, "sessiongate") || !strings.Contains(out, "go1") {
		t.Errorf("version prints %q and ends with %d", out, code)
	}
	for _, args := range [][]string{{"help"}, {"--help"}, {"serve", "--help"}, {"check", "--help"}, {"explain", "--help"}} {
		if out, code := gatectl(t, args...); code != 0 || !strings.Contains(out, "sessiongate") {
			t.Errorf("%v prints %q and ends with %d", args, out, code)
		}
	}
	for _, args := range [][]string{{"nosuch"}, {"--nosuch"}, {"serve", "--nosuch"}, {"check", "--config", "/nonexistent.yaml"}} {
		if out, code := gatectl(t, args...); code == 0 || out == "" {
			t.Errorf("%v prints %q and ends with %d, want an error", args, out, code)
		}
	}
}

func TestProgram_Check(t *testing.T) {
	t.Parallel()
	good := writeFile(t, "good.yaml", "listen: 127.0.0.1:6380\nupstream: redis://127.0.0.1:6379/0\n"+namespaceApp+sizeRule)
	if out, code := gatectl(t, "check", "--config", good); code != 0 {
		t.Errorf("check of a good file ends with %d: %s", code, out)
	}
	bad := writeFile(t, "bad.yaml", `listen: 127.0.0.1:6380
upstrem: redis://127.0.0.1:6379
limits: {clients: many}
rules:
  - expiry: {min: 12h, max: 30m}
  - size: {value: 64 parsecs}
`)
	out, code := gatectl(t, "check", "--config", bad)
	if code == 0 {
		t.Error("check of a bad file ends with 0")
	}
	for _, want := range []string{
		bad + ":2:1:", "upstrem", "upstream", // did you mean
		bad + ":3:", "clients", bad + ":5:", "min", bad + ":6:", "64 parsecs",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("check doesn't say %q:\n%s", want, out)
		}
	}
	// serve takes no bad file either, and says the same.
	if served, code := gatectl(t, "serve", "--config", bad); code == 0 || !strings.Contains(served, bad+":2:1:") {
		t.Errorf("serve with a bad file ends with %d: %s", code, served)
	}
	secret := writeFile(t, "secret.yaml", "password: very-secret\nupstream: redis://:upstream-secret@127.0.0.1:notaport\n")
	if out, code := gatectl(t, "check", "--config", secret); code == 0 || strings.Contains(out, "very-secret") || strings.Contains(out, "upstream-secret") {
		t.Errorf("check ends with %d and prints %s", code, out)
	}
}

// explain tells what would be sent, without a server.
func TestProgram_Explain(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "explain.yaml", "upstream: redis://127.0.0.1:1\n"+namespaceApp+`rules:
  - name: web
    keys: ["sess:*"]
    expiry: {default: 30m, max: 12h}
    size: {value: 10}
    commands: {deny: [APPEND]}
`)
	for _, e := range []struct {
		command string
		want    []string
	}{
		{"SET sess:1 v EX 99999", []string{"> SET sess:1 v EX 99999", "= SET app:sess:1 v EX 43200", "web"}},
		{"SET sess:1 v", []string{"= SET app:sess:1 v EX 1800"}},
		{"SET other v", []string{"= SET app:other v"}},
		{"GET sess:1", []string{"GET app:sess:1"}},
		{"SET sess:1 0123456789a", []string{"! DENIED size: value of 11 bytes is above the limit of 10 (rule \"web\")"}},
		{"APPEND sess:1 v", []string{"! NOPERM", "append"}},
		{"FOO bar", []string{"! ERR unknown command 'FOO'"}},
		{"PERSIST sess:1", []string{"43200"}},
	} {
		out, code := gatectl(t, append([]string{"explain", "--config", file, "--"}, strings.Fields(e.command)...)...)
		if code != 0 && !strings.HasPrefix(e.want[0], "!") {
			t.Errorf("explain %s ends with %d", e.command, code)
		}
		for _, want := range e.want {
			if !strings.Contains(strings.ToLower(out), strings.ToLower(want)) {
				t.Errorf("explain %s doesn't say %q:\n%s", e.command, want, out)
			}
		}
	}
}

// SIGTERM and SIGINT end it in good order: what is in flight is answered.
func TestProgram_Signals(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		g := startGate(t, r.upstream())
		idle := dial(t, g.addr)
		idle.want(pong, "PING")
		g.signal(t, sig)
		idle.closed()
		eventually(t, "it ends", g.ended)
		if code := g.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("after %v it ends with %d", sig, code)
		}
	}
	// A taken port is an error that names it.
	g := startGate(t, r.upstream())
	if out, code := gatectl(t, "serve", "--listen", g.addr, "--upstream", r.url()); code == 0 || !strings.Contains(out, g.addr) {
		t.Errorf("on a port that is taken it ends with %d: %s", code, out)
	}
}

// Logs tell what happens, and never a value or a key.
func TestProgram_Log(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	g := startGate(t, r.upstream()+"password: topsecretpassword\n"+sizeRule)
	c := dial(t, g.addr)
	c.want(ok, "AUTH", "topsecretpassword")
	for range 100 {
		c.wantPrefix("-DENIED", "SET secretkey "+strings.Repeat("secretvalue", 10_000))
	}
	eventually(t, "refusals are logged", func() bool { return strings.Contains(strings.ToLower(g.out.String()), "size") })
	log := g.out.String()
	for _, secret := range []string{"secretvalue", "secretkey", "topsecretpassword"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q:\n%s", secret, tail(log, 2000))
		}
	}
	if n := strings.Count(log, "\n"); n > 40 {
		t.Errorf("100 refusals of one kind made %d lines of log", n)
	}
	if !strings.Contains(log, g.addr) {
		t.Errorf("the log doesn't say where it listens:\n%s", log)
	}
}
