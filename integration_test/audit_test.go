package integration_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// audited is what the test looks at of audit's JSON.
type audited struct {
	Complete                                bool
	Done                                    float64
	Keys, Bytes, Findings, Fixed, Remaining int64
	Rules                                   []struct {
		Rule         string
		Keys         int64
		Found, Fixed map[string]int64
	}
	TopByKeys []struct {
		Prefix string
		Amount int64
	} `json:"top_by_keys"`
	TTL, Age, Idle, Size struct {
		Never   int64
		Buckets []struct{ From, Keys int64 }
	}
	Untold map[string]string
}

// audit runs sessiongate audit --json to its end.
func audit(t *testing.T, file string, code int, args ...string) (a audited) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"audit", "--config", file, "--json", "--rate", "0"}, args...)...)
	out, err := cmd.Output()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("audit %q ends with %d, want %d: %v", args, got, code, err)
	}
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatalf("audit %q prints %s: %v", args, out, err)
	}
	return a
}

const auditRules = namespaceApp + `rules:
  - {name: locks, keys: ["*_LOCK"], expiry: {}}
  - name: web
    keys: ["sess:*"]
    expiry: {default: 30m, max: 12h}
    size: {key: 60, value: 100}
    key_entropy: 64
`

// goodID is the i-th of some ids of 32 hexadecimal digits.
func goodID(i int) string { return fmt.Sprintf("5f4dcc3b5aa765d61d8327deb882%04x", 0x1357+i*0x11) }

func TestAudit(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	c := dial(t, r.addr)
	for i := range 3000 {
		c.send(encode("SET", "app:sess:"+goodID(i), "v", "EX", "600"))
	}
	for range 3000 {
		c.read()
	}
	bad := "app:sess:bad" + goodID(0)
	for _, line := range []string{
		"SET " + bad + "1 v", "HSET " + bad + "2 f v", "RPUSH " + bad + "3 v", "SET " + bad + "4 v EX 99999", // no expiry, no expiry, no expiry, above
		"SET app:sess:7xk2m9qp4a v EX 60", "SET app:sess:" + strings.Repeat(goodID(7), 2) + " v EX 60", // weak, long
		"SET " + bad + "5 " + strings.Repeat("x", 101) + " EX 60", "SET " + bad + "6 " + strings.Repeat("x", 100) + " EX 60", // large, not
		"SET app:sess:1_LOCK v", "SET app:other v", "SET foreign v", "SET app v", // no business of the rule
	} {
		if got := c.line(line); strings.HasPrefix(got, "-") {
			t.Fatalf("%s = %s", line, got)
		}
	}
	file := writeFile(t, "sessiongate.yaml", r.upstream()+auditRules)
	found := map[string]int64{"no_expiry": 3, "above_max": 1, "no_birth": 0, "past_lifetime": 0, "value_too_large": 1, "key_too_long": 1, "weak_id": 1}
	a := audit(t, file, 1)
	if !a.Complete || a.Done != 1 || a.Keys != 3010 || a.Findings != 7 || a.Remaining != 7 || a.Bytes < 3010*50 || a.TTL.Never != 5 || len(a.Untold) > 0 {
		t.Errorf("audit says %+v", a)
	}
	if w := a.Rules[1]; w.Rule != "web" || w.Keys != 3008 || fmt.Sprint(w.Found) != fmt.Sprint(found) {
		t.Errorf("of the rule it says %+v, want %v", w, found)
	}
	if a.TopByKeys[0].Prefix != "sess:" || a.TopByKeys[0].Amount != 3009 {
		t.Errorf("the largest prefix is %+v", a.TopByKeys)
	}
	a = audit(t, file, 1, "--fix")
	if a.Fixed != 4 || a.Remaining != 3 || a.Rules[1].Fixed["no_expiry"] != 3 || a.Rules[1].Fixed["above_max"] != 1 {
		t.Errorf("--fix says %+v", a)
	}
	for _, key := range []string{"1", "2", "3"} {
		wantTTL(t, c, bad+key, 1800)
	}
	wantTTL(t, c, bad+"4", 43200)
	wantTTL(t, c, "app:sess:7xk2m9qp4a", 60)
	for _, key := range []string{"app:sess:1_LOCK", "app:other", "foreign", "app"} {
		c.want(":-1\r\n", "TTL", key)
	}
	if got := c.int("DBSIZE"); got != 3012 {
		t.Errorf("there are %d keys after --fix, want 3012", got)
	}
	if a = audit(t, file, 1); a.Findings != 3 || a.Rules[1].Found["no_expiry"] != 0 || a.Rules[1].Found["above_max"] != 0 {
		t.Errorf("after --fix audit says %+v", a)
	}
	c.want(":3\r\n", "DEL", "app:sess:7xk2m9qp4a", "app:sess:"+strings.Repeat(goodID(7), 2), bad+"5")
	if a = audit(t, file, 0); a.Findings != 0 {
		t.Errorf("when nothing is wrong audit says %+v", a)
	}
	if a = audit(t, file, 0, "--db", "1"); a.Keys != 0 || !a.Complete {
		t.Errorf("of an empty database audit says %+v", a)
	}
	if out, code := gatectl(t, "audit", "--config", file); code != 0 || !strings.Contains(out, "nothing is wrong\n") || !strings.Contains(out, "time to live\n") {
		t.Errorf("audit ends with %d and prints\n%s", code, out)
	}
}

// Looking does not make a session look used: what reads are to idle timeouts and to eviction, audit is not.
func TestAudit_LeavesIdleTimesAlone(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	c := dial(t, r.addr)
	c.want(ok, "SET", "app:sess:"+goodID(1), strings.Repeat("x", 90), "EX", "600")
	eventually(t, "the key has been idle for two seconds", func() bool { return c.int("OBJECT", "IDLETIME", "app:sess:"+goodID(1)) >= 2 })
	file := writeFile(t, "sessiongate.yaml", r.upstream()+strings.Replace(auditRules, "value: 100", "value: 64KiB", 1))
	if a := audit(t, file, 0, "--fix"); a.Keys != 1 || a.Idle.Buckets[0].Keys != 0 {
		t.Errorf("audit says %+v", a)
	}
	if got := c.int("OBJECT", "IDLETIME", "app:sess:"+goodID(1)); got < 2 {
		t.Errorf("after audit the key has been idle for %d s", got)
	}
}

// An audit that is interrupted says what it has, and goes on where it was.
func TestAudit_Resume(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	c := dial(t, r.addr)
	const keys = 2000
	for i := range keys {
		c.send(encode("SET", "app:sess:"+goodID(i), "v"))
	}
	for range keys {
		c.read()
	}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	file, state := writeFile(t, "sessiongate.yaml", r.upstream()+auditRules), filepath.Join(t.TempDir(), "state")
	p := startProcess(t, path, nil, "audit", "--config", file, "--rate", "500", "--resume", state)
	eventually(t, "it looks at keys", func() bool { return strings.Contains(c.line("INFO commandstats"), "cmdstat_pttl:") })
	p.signal(t, syscall.SIGINT)
	eventually(t, "it ends", p.ended)
	if out := p.out.String(); p.cmd.ProcessState.ExitCode() != 2 || !strings.Contains(out, "when it was interrupted") || !strings.Contains(out, "findings") ||
		!strings.Contains(out, "the same command goes on from there") {
		t.Errorf("it ends with %d and prints\n%s", p.cmd.ProcessState.ExitCode(), out)
	}
	other := writeFile(t, "sessiongate.yaml", r.upstream()+strings.Replace(auditRules, "app:", "app2:", 1))
	if out, code := gatectl(t, "audit", "--config", other, "--resume", state); code != 2 || !strings.Contains(out, `is of the namespace "app:", not "app2:"`) {
		t.Errorf("with the state of another it ends with %d and prints\n%s", code, out)
	}
	if out, code := gatectl(t, "audit", "--config", file, "--resume", state, "--fix"); code != 2 || !strings.Contains(out, "was begun without --fix") {
		t.Errorf("with --fix it ends with %d and prints\n%s", code, out)
	}
	if out, code := gatectl(t, "audit", "--config", file, "--resume", state, "--adopt"); code != 2 || !strings.Contains(out, "was begun without --adopt") {
		t.Errorf("with --adopt it ends with %d and prints\n%s", code, out)
	}
	if a := audit(t, file, 1, "--resume", state); !a.Complete || a.Keys < keys || a.Findings != a.Keys { // SCAN may show one twice
		t.Errorf("the rest: %+v", a)
	}
	if _, err := os.Stat(state); !os.IsNotExist(err) {
		t.Errorf("the state is still there: %v", err)
	}
}

// What cannot be looked at is said, with an exit code of its own.
func TestAudit_Fails(t *testing.T) {
	t.Parallel()
	nowhere := writeFile(t, "sessiongate.yaml", "upstream: redis://"+loopback(freePort(t))+"\n")
	for _, args := range [][]string{
		{"--config", nowhere}, {"--config", "/nonexistent.yaml"}, {"--config", nowhere, "--tenant", "x"}, {"--config", nowhere, "--rate", "-1"}, {"--upstream", "memory://"},
	} {
		if out, code := gatectl(t, append([]string{"audit"}, args...)...); code != 2 || out == "" {
			t.Errorf("audit %q ends with %d and prints %q", args, code, out)
		}
	}
}
