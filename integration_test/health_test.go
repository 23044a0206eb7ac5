package integration_test

import (
	"fmt"
	"testing"
)

// A gate that has as many clients as it may is alive, and so is one whose admin address speaks TLS.
func TestHealth_Alive(t *testing.T) {
	t.Parallel()
	r, ca := startRedis(t), newAuthority(t)
	full := startGate(t, "limits: {clients: 1}\n"+r.upstream())
	eventually(t, "a client has the only place", func() bool { return dial(t, full.addr).do("PING") == pong })
	if out, code := gatectl(t, "health", "--listen", full.addr, "--upstream", r.url()); code != 0 {
		t.Errorf("at the limit of clients: ends with %d: %s", code, out)
	}

	cert, key := ca.issue("server")
	mine, mineKey := ca.issue("operator")
	admin := loopback(freePort(t))
	conf := writeFile(t, "sessiongate.yaml", fmt.Sprintf("listen: %s\n%sadmin: {listen: %s, tls: {cert: %s, key: %s, client_ca: %s}}\n",
		loopback(freePort(t)), r.upstream(), admin, cert, key, ca.file))
	g := runGate(t, program, nil, "--config", conf)
	g.waitFor(t, "tcp", admin)
	eventually(t, "it is ready", func() bool { _, code := gatectl(t, "health", "--config", conf, "--ready"); return code == 0 })
	for _, args := range [][]string{
		{"health", "--config", conf},
		{"health", "--config", conf, "--ready"},
		{"clients", "--admin", "https://" + admin, "--ca", ca.file, "--cert", mine, "--key", mineKey},
	} {
		if out, code := gatectl(t, args...); code != 0 {
			t.Errorf("%q ends with %d: %s", args, code, out)
		}
	}
}
