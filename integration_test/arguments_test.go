package integration_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// A password in the arguments, where everyone on the machine can read it by ps, is blotted out at once.
func TestArguments_password(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--requirepass", "argument-secret")
	addr := loopback(freePort(t))
	g := runGate(t, program, nil, "--listen", addr, "--upstream", "redis://:argument-secret@"+r.addr)
	g.waitFor(t, "tcp", addr)
	dial(t, addr).want(ok, "SET", "a", "b")
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", g.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(args), "argument-secret") || strings.Contains(g.out.String(), "argument-secret") {
		t.Errorf("the password is shown by ps or in the log: %q", args)
	}
}
