package integration_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// measured is what the tests look at of capacity's JSON.
type measured struct {
	Complete bool
	Steps    []struct {
		Sessions, Keys  int
		BytesPerSession float64 `json:"bytes_per_session"`
		Load            map[string]struct{ Sessions int }
		Read            map[string]struct{ Count int }
		Files           *struct{ Files, Inodes, Bytes, Blocks int }
	}
	Used struct {
		Slope, R2 float64
	}
	Fits   int `json:"fits_by_used"`
	Expiry []struct {
		Jitter   int     `json:"jitter_percent"`
		Gone     float64 `json:"gone_s"`
		During   struct{ Count int }
		Sessions int
	}
	Before int `json:"keys_before"`
	After  int `json:"keys_after"`
}

// capacity runs sessiongate capacity to its end, without the race detector, which is not what is measured.
func capacity(t *testing.T, upstream string, code int, args ...string) (m measured, stdout, stderr string) {
	t.Helper()
	path, err := plainProgram()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "capacity.json")
	cmd := exec.Command(path, append([]string{"capacity", "--upstream", upstream, "--json", file}, args...)...)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("capacity %q ends with %d, want %d:\n%s%s", args, got, code, &out, &log)
	}
	if text, err := os.ReadFile(file); err == nil {
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
	}
	return m, out.String(), log.String()
}

func emptyDir(t *testing.T, dir string) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left are %v, error %v", entries, err)
	}
}

// infoNumber is a figure of INFO memory.
func infoNumber(t *testing.T, c *conn, field string) int {
	t.Helper()
	_, rest, _ := strings.Cut(c.do("INFO", "memory"), "\n"+field+":")
	line, _, _ := strings.Cut(rest, "\r\n")
	n, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Steps are measured, drawn and removed, and a session takes what it takes when redis-cli writes it.
func TestCapacity(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	files, out := t.TempDir(), t.TempDir()
	m, table, _ := capacity(t, r.url(), 0, "--steps", "2k,4k,10k", "--files", files, "--out", out, "--pipeline", "50")
	if len(m.Steps) != 3 || !m.Complete || m.Used.R2 < 0.99 || m.Fits < 50_000_000 || m.Before != 0 || m.After != 0 {
		t.Errorf("capacity says %+v", m)
	}
	last := 0
	for i, n := range []int{2000, 4000, 10_000} {
		s := m.Steps[i]
		if s.Sessions != n || s.Keys != n || s.Load["direct"].Sessions+s.Load["proxy"].Sessions != n-last || s.Load["proxy"].Sessions < (n-last)/3 ||
			s.Read["direct"].Count < 100 || s.Read["proxy"].Count < 100 || s.Files.Files != n || s.Files.Inodes != n+1 || s.Files.Bytes != n*124 || s.Files.Blocks < n*512 {
			t.Errorf("step %d: %+v, files %+v", i, s, s.Files)
		}
		last = n
	}
	if !strings.Contains(table, "bytes * sessions, R2 = 0.9") && !strings.Contains(table, "R2 = 1.0") {
		t.Errorf("the table is\n%s", table)
	}
	for _, name := range []string{"capacity.csv", "capacity.json", "memory.png", "memory.svg", "throughput.png", "throughput.svg"} {
		if info, err := os.Stat(filepath.Join(out, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	emptyDir(t, files)
	if got := dial(t, r.addr).do("DBSIZE"); got != zero {
		t.Errorf("after that there are %q keys", got)
	}
	if got, want := m.Steps[2].BytesPerSession, byRedisCLI(t, 10_000); math.Abs(got-want) > want/20 {
		t.Errorf("a session takes %.1f bytes, written by redis-cli %.1f", got, want)
	} else {
		t.Logf("a session takes %.1f bytes, written by redis-cli %.1f", got, want)
	}
}

// byRedisCLI is what sessions of the seed template take that redis-cli writes, in bytes each.
func byRedisCLI(t *testing.T, n int) float64 {
	r := startRedis(t)
	c := dial(t, r.addr)
	before := infoNumber(t, c, "used_memory")
	random := func(n int) string {
		text := make([]byte, n)
		for i := range text {
			text[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[rand.IntN(36)]
		}
		return string(text)
	}
	var lines strings.Builder
	for range n {
		fmt.Fprintf(&lines, `SET %s "{'context': {'tz': 'Europe/Brussels', 'lang': 'en_US'}, 'session_token': '%s', 'login': 'admin', 'uid': 2}" EX 604800`+"\n", random(10), random(20))
	}
	cli := exec.Command("redis-cli", "-p", strconv.Itoa(r.port))
	cli.Stdin = strings.NewReader(lines.String())
	if out, err := cli.CombinedOutput(); err != nil || strings.Contains(string(out), "ERR") {
		t.Fatalf("redis-cli: %v, %.200s", err, out)
	}
	last := 0
	eventually(t, "the memory stays what it is", func() bool {
		was := last
		last = infoNumber(t, c, "used_memory")
		return was == last
	})
	return float64(last-before) / float64(n)
}

// What would hurt somebody is refused before anything is written.
func TestCapacity_refusals(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	c := dial(t, r.addr)
	c.want(ok, "SET", "theirs", "v")
	c.want(ok, "SET", "ns*:theirs", "v")
	files := t.TempDir()
	for want, args := range map[string][]string{
		"holds 2 keys, and this is for an empty one; to fill it beside them, say so with --namespace capacity: --yes": {"--steps", "10"},
		"holds 2 keys, and":      {"--steps", "10", "--yes"},
		"holds 2 keys, and this": {"--steps", "10", "--namespace", "mine:"},
		`there are keys in the namespace "ns*:" already, such as "ns*:theirs"`: {"--steps", "10", "--namespace", "ns*:", "--yes"},
		"files: they would take some":                                          {"--steps", "900M", "--files", files},
		"above the upstream's":                                                 {"--steps", "900M", "--namespace", "mine:", "--yes"},
	} {
		if _, _, log := capacity(t, r.url(), 1, args...); !strings.Contains(log, want) {
			t.Errorf("%q: %s, want %s", args, log, want)
		}
	}
	for want, args := range map[string][]string{
		"--steps: \"1x\" is no number of sessions": {"--steps", "1x"}, "there are django, express": {"--template", "none"}, "--budget:": {"--budget", "x"},
		"--ttl:": {"--ttl", "x"}, "--expire-within:": {"--expire-within", "5"}, "--jitter:": {"--jitter", "80%"},
	} {
		if _, _, log := capacity(t, r.url(), 2, args...); !strings.Contains(log, want) {
			t.Errorf("%q: %s, want %s", args, log, want)
		}
	}
	if _, _, log := capacity(t, "memory://", 2, "--steps", "10"); !strings.Contains(log, "the store in memory is no Redis to measure") {
		t.Errorf("the store in memory: %s", log)
	}
	c.want(":2\r\n", "DBSIZE")
	c.want(ok, "CONFIG", "SET", "maxmemory", "3mb", "maxmemory-policy", "allkeys-lru")
	if _, _, log := capacity(t, r.url(), 1, "--steps", "100k", "--namespace", "mine:", "--yes"); !strings.Contains(log, "which is above the upstream's maxmemory of 3072 KiB") &&
		!strings.Contains(log, "maxmemory of 3 MiB") {
		t.Errorf("a full Redis: %s", log)
	}
	c.want(":2\r\n", "DBSIZE")
	emptyDir(t, files)
}

// Beside other keys, in a database behind a password, through a proxy with a namespace: only its own keys go.
func TestCapacity_besideOthers(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--requirepass", "top")
	url := "redis://:top@" + r.addr + "/3"
	g := startGate(t, "upstream: "+url+"\n"+namespaceApp)
	c := dial(t, r.addr)
	c.want(ok, "AUTH", "top")
	c.want(ok, "SELECT", "3")
	c.want(ok, "MSET", "theirs", "v", "app:mine:theirs", "v")
	for _, template := range []string{"spring", "django"} {
		m, _, _ := capacity(t, url, 0, "--steps", "1k,3k", "--template", template, "--namespace", "mine:", "--yes", "--proxy", "redis://"+g.addr, "--ttl", "1h")
		if m.Steps[1].Keys != 3000 || m.Steps[1].Load["proxy"].Sessions != 1000 || m.Before != 2 || m.After != 2 {
			t.Errorf("%s: %+v", template, m)
		}
		c.want(":2\r\n", "DBSIZE")
	}
	c.want(":2\r\n", "EXISTS", "theirs", "app:mine:theirs")
	other := startRedis(t)
	if _, _, log := capacity(t, other.url(), 1, "--steps", "1k", "--proxy", "redis://"+g.addr); !strings.Contains(log, "leads to another Redis") {
		t.Errorf("a proxy that leads elsewhere: %s", log)
	}
	c.want(":2\r\n", "DBSIZE")
}

// Ctrl-C removes what was written.
func TestCapacity_interrupted(t *testing.T) {
	t.Parallel()
	r, files := startRedis(t), t.TempDir()
	c := dial(t, r.addr)
	c.want(ok, "SET", "theirs", "v")
	p := startCapacity(t, "capacity", "--upstream", r.url(), "--steps", "2k,2M", "--namespace", "mine:", "--yes", "--files", files)
	eventually(t, "the second step has begun", func() bool { return c.int("DBSIZE") > 4001 })
	p.signal(t, syscall.SIGINT)
	<-p.done
	log := p.out.String()
	if code := p.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(log, "interrupt") || !strings.Contains(log, "there were 1 keys before, and there are 1") ||
		!strings.Contains(log, "used = ") {
		t.Errorf("it ends with %d and\n%s", code, log)
	}
	c.want(":1\r\n", "DBSIZE")
	emptyDir(t, files)
}

// A run that can be resumed goes on where it was, and then removes what it wrote before.
func TestCapacity_resumed(t *testing.T) {
	t.Parallel()
	r, files, state := startRedis(t), t.TempDir(), filepath.Join(t.TempDir(), "state")
	c := dial(t, r.addr)
	args := []string{"--steps", "2k,60k", "--resume", state, "--files", files, "--files-layout", "sharded"}
	p := startCapacity(t, append([]string{"capacity", "--upstream", r.url()}, append(args, "--pipeline", "1", "--clients", "1")...)...)
	eventually(t, "the second step has begun", func() bool { return c.int("DBSIZE") > 2500 })
	p.signal(t, syscall.SIGINT)
	<-p.done
	if code, log := p.cmd.ProcessState.ExitCode(), p.out.String(); code != 1 || !strings.Contains(log, "what was written stays") {
		t.Errorf("it ends with %d and\n%s", code, log)
	}
	if n := c.int("DBSIZE"); n < 2500 || n > 60_000 {
		t.Errorf("%d keys stay", n)
	}
	if _, _, log := capacity(t, r.url(), 1, append(args, "--template", "php")...); !strings.Contains(log, "is the state of another run") {
		t.Errorf("with another template: %s", log)
	}
	m, _, log := capacity(t, r.url(), 0, args...)
	if len(m.Steps) != 2 || m.Steps[1].Keys != 60_000 || m.Steps[1].Files.Files != 60_000 || !strings.Contains(log, "going on after 2,000 sessions") || m.After != 0 {
		t.Errorf("%+v\n%s", m, log)
	}
	c.want(zero, "DBSIZE")
	emptyDir(t, files)
	if _, err := os.Stat(state); !os.IsNotExist(err) {
		t.Errorf("the state is still there: %v", err)
	}
}

// Sessions that expire together are watched, without jitter and with it.
func TestCapacity_expiry(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	m, table, _ := capacity(t, r.url(), 0, "--steps", "3k", "--proxy", "off", "--expire-within", "6s", "--jitter", "50%")
	if len(m.Expiry) != 2 || m.Expiry[0].Jitter != 0 || m.Expiry[1].Jitter != 50 || m.Expiry[1].Sessions != 3000 || m.Expiry[1].During.Count < 1500 || m.Expiry[1].Gone > 60 {
		t.Errorf("expiry: %+v", m.Expiry)
	}
	if !strings.Contains(table, "jitter 50%: p99") {
		t.Errorf("the table is\n%s", table)
	}
	dial(t, r.addr).want(zero, "DBSIZE")
}

func startCapacity(t *testing.T, args ...string) *process {
	t.Helper()
	path, err := plainProgram()
	if err != nil {
		t.Fatal(err)
	}
	return startProcess(t, path, nil, args...)
}
