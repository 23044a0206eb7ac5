package integration_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sessiongate/doctor/replay"
)

// The conversations of session libraries in front of a cluster, where the matrix has a single Redis. Braces in the namespace keep a tenant's
// keys on one node, as RENAME of Spring Session needs. Those that publish are left out: how many have heard it a cluster tells of one node only, and
// when they hear it is not tied to any reply.
func TestConversations_Cluster(t *testing.T) {
	t.Parallel()
	up := startCluster(t, 3, 0, setup{})
	g := startGate(t, up.upstream()+"password: sesame\nnamespace: \"{app}:\"\nrules:\n  - {keys: [\"*\"], expiry: {default: 30m, max: 12h, idle: 30m}}\n")
	files, err := filepath.Glob("clients/wire/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	played := 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(raw); strings.Contains(text, "> PUBLISH ") || !strings.Contains(text, "conversation ") {
			continue
		}
		played++
		all, err := replay.Parse(string(raw))
		if err != nil {
			t.Fatal(err)
		}
		p := &replay.Player{Password: "sesame", Rules: true, Dial: func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", g.addr)
		}}
		client := dial(t, g.addr)
		client.want(ok, "AUTH", "sesame")
		client.want(ok, "FLUSHALL")
		for _, result := range p.Play(context.Background(), all[0]) {
			if result.Err != nil {
				t.Errorf("%s: %s: %v", all[0].Name, result.Check, result.Err)
			}
		}
	}
	if played < 6 {
		t.Errorf("%d conversations were played", played)
	}
}
