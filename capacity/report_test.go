package capacity

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestFit(t *testing.T) {
	t.Parallel()
	line := fit([]point{{0, 100}, {10, 300}, {20, 500}})
	if line != (Fit{Intercept: 100, Slope: 20, R2: 1}) || line.reaches(1100) != 50 || line.reaches(100) != 0 {
		t.Errorf("a line is fitted by %+v", line)
	}
	if off := fit([]point{{0, 0}, {1, 1}, {2, 0}}); off.Slope != 0 || off.R2 != 0 || off.reaches(10) != 0 {
		t.Errorf("what is no line is fitted by %+v", off)
	}
	if (fit(nil) != Fit{}) || (fit([]point{{1, 1}}) != Fit{}) {
		t.Error("a point is no line")
	}
}

func TestFit_String(t *testing.T) {
	t.Parallel()
	for f, want := range map[Fit][2]string{
		{Intercept: 1 << 20, Slope: 240.6, R2: 0.9999}: {"1 MiB + 240.6 bytes * sessions, R2 = 0.999900", "1,000"},
		{Intercept: 8 << 20, Slope: 0, R2: 1}:          {"-, it has not grown evenly: take larger steps", "-"},
		{Intercept: 8 << 20, Slope: 60, R2: 0.75}:      {"-, it has not grown evenly: take larger steps", "-"},
		{}: {"-, it has not grown evenly: take larger steps", "-"},
	} {
		if got := f.String(); got != want[0] || f.fits(1000) != want[1] {
			t.Errorf("%+v is %q and %q", f, got, f.fits(1000))
		}
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", -123: "-123"} {
		if got := number(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 9999: "9999 B", 10240: "10 KiB", 1 << 20: "1 MiB", 1023 << 20: "1023 MiB", 1536 << 20: "1.5 GiB", 5 << 40: "5 TiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d bytes are %s, want %s", n, got, want)
		}
	}
}

func TestReport_CSV(t *testing.T) {
	t.Parallel()
	var csv, table bytes.Buffer
	r := sample()
	if err := r.CSV(&csv); err != nil {
		t.Fatal(err)
	}
	if err := r.Table(&table); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(csv.String()), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], "sessions,keys,used_memory_bytes,") || !strings.HasPrefix(lines[3], "20000,20000,5848576,5848576,14237184,240.0,300000,") ||
		slices.Contains(strings.Split(lines[0], ","), "") {
		t.Errorf("the CSV is\n%s", csv.String())
	}
	for _, want := range []string{"bytes * sessions, R2 = 1.000000", "a server with 32 GB for Redis holds 133,328,964 sessions", "as files (flat) 20,000 sessions", "jitter 10%: p99"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, table.String())
		}
	}
	r.Steps, r.Layout = nil, ""
	if err := r.Table(&table); err != nil {
		t.Error(err)
	}
}

func TestConfig_check(t *testing.T) {
	t.Parallel()
	good := Config{Steps: []int{10, 20}, Clients: 1, Pipeline: 1}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Config){
		"there are no steps":                       func(c *Config) { c.Steps = nil },
		"step 20 does not come after 20":           func(c *Config) { c.Steps = []int{20, 20} },
		"2000000000 sessions are above 1000000000": func(c *Config) { c.Steps = []int{2_000_000_000} },
		"0 clients are not possible":               func(c *Config) { c.Clients = 0 },
		"a pipeline of 20000 is not possible":      func(c *Config) { c.Pipeline = 20_000 },
		`"deep" is no layout of files; write flat`: func(c *Config) { c.Files, c.Layout = "x", "deep" },
		"sessions can't expire within 10ms":        func(c *Config) { c.ExpireWithin = 1e7 },
		"a run that lets sessions expire can't be": func(c *Config) { c.ExpireWithin, c.Resume = 1e9, "x" },
		"a jitter of 60% is not possible":          func(c *Config) { c.Jitter = 60 },
	} {
		c := good
		change(&c)
		if err := c.check(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := progress{to: &out, terminal: true}
	p.begin("sessions", 200)
	p.told, p.began = p.told.Add(-drawEvery), p.began.Add(-10*drawEvery)
	p.tick(50)
	p.tick(50) // too soon to draw
	p.say("done %d", 1)
	got := out.String()
	if !regexp.MustCompile(`^\r\x1b\[Ksessions \[#{7}\.{23}\]  25%  \d+/s, \d+s left \r\x1b\[Kdone 1\n$`).MatchString(got) {
		t.Errorf("a terminal gets %q", got)
	}
	out.Reset()
	p = progress{to: &out}
	p.begin("sessions", 200)
	p.tick(50)
	p.told = p.told.Add(-lineEvery)
	p.tick(50)
	if got := out.String(); !regexp.MustCompile(`^sessions: 100 of 200, \d+/s, \d+s left\n$`).MatchString(got) {
		t.Errorf("a file gets %q", got)
	}
	(&progress{}).say("to nobody")
}
