package capacity

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What is built in makes sessions as the libraries store them: different ones, and the same for a number each time.
func TestTemplates(t *testing.T) {
	t.Parallel()
	keys := map[string]string{
		"seed": `^[a-z0-9]{10}$`, "odoo": `^session:[A-Za-z0-9_-]{84}$`, "django": `^:1:django\.contrib\.sessions\.cache[a-z0-9]{32}$`,
		"express": `^sess:[A-Za-z0-9_-]{32}$`, "php": `^PHPREDIS_SESSION:[0-9a-f]{32}$`,
		"spring": `^spring:session:sessions:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`,
	}
	if got := Templates(); len(got) != len(keys) {
		t.Errorf("built in are %q", got)
	}
	for name, pattern := range keys {
		template, err := LoadTemplate(name)
		if err != nil {
			t.Fatal(err)
		}
		one, two, seen := newSessions(template, "ns:", 7), newSessions(template, "ns:", 7), map[string]bool{}
		for i := range 500 {
			write, _ := one.appendWrite(nil, i, expiry{after: 60_000})
			if again, _ := two.appendWrite(nil, i, expiry{after: 60_000}); !bytes.Equal(write, again) {
				t.Fatalf("%s: session %d is %q, then %q", name, i, write, again)
			}
			id, key := one.keyOf(i)
			if !regexp.MustCompile(pattern).Match(id) || string(key) != "ns:"+string(id) || seen[string(id)] {
				t.Fatalf("%s: the key of session %d is %q", name, i, key)
			}
			seen[string(id)] = true
		}
	}
}

// The session of the report is what the report says it is.
func TestTemplates_seed(t *testing.T) {
	t.Parallel()
	template, err := LoadTemplate("seed")
	if err != nil {
		t.Fatal(err)
	}
	write, lines := newSessions(template, "", 1).appendWrite(nil, 0, expiry{after: 604_800_000})
	want := `^\*5\r\n\$3\r\nSET\r\n\$10\r\n[a-z0-9]{10}\r\n\$124\r\n\{'context': \{'tz': 'Europe/Brussels', 'lang': 'en_US'\}, ` +
		`'session_token': '[a-z0-9]{20}', 'login': 'admin', 'uid': 2\}\r\n\$2\r\nEX\r\n\$6\r\n604800\r\n$`
	if !regexp.MustCompile(want).Match(write) || lines != 1 {
		t.Errorf("a session is written as %q", write)
	}
}

func TestParseTemplate(t *testing.T) {
	t.Parallel()
	template, err := ParseTemplate("mine", "# mine\n\nkey s:${az09:20}\nvalue a$${b}=${x:00 ff}|\r\nvalue ${int:7-7}${choose:x}")
	if err != nil {
		t.Fatal(err)
	}
	if _, content := newSessions(template, "", 1).file(0); string(content) != "a${b}=\x00\xff|7x" || template.prefix != 2 {
		t.Errorf("the value is %q, keys begin with %d bytes that are the same", content, template.prefix)
	}
	for text, want := range map[string]string{
		"":                          "mine: there is no key; write a line",
		"key ${az09:10}":            "mine: there is no value; write a line",
		"key k\nvalue v":            "mine: keys can take only 2^0 values",
		"key ${digits:10}\nvalue v": "mine: keys can take only 2^33 values",
		"\nkee ${az09:10}":          `mine:2: "kee" is not known; a line begins with key, value, field or #`,
		"key a\nkey b":              "mine:2: there is a key already",
		"key ":                      "mine:1: the key is empty",
		"key ${az09:10":             "mine:1: the ${ at character 1 of the text has no }",
		"key ab${az:10}":            `mine:1: ${az:10}: "az" is not known; there are az09, hex`,
		"key ${az09:x}":             `mine:1: ${az09:x}: "x" is no number; write one from 0 to 1048576, or two as 10-30`,
		"key ${az09:9-8}":           `mine:1: ${az09:9-8}: "9-8" is no number`,
		"key ${x:0}":                `mine:1: ${x:0}: "0" are no bytes; write two hexadecimal digits`,
		"key ${az09:9999999}":       `mine:1: ${az09:9999999}: "9999999" is no number`,
		"value v\nfield a b":        "mine:2: a session has a value or fields, not both",
		"field a b\nvalue v":        "mine:2: a session has a value or fields, not both",
		"field a":                   "mine:1: a field needs a name and a value",
	} {
		if _, err := ParseTemplate("mine", text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
	}
	if _, err := LoadTemplate("no/such"); err == nil || !strings.Contains(err.Error(), "there are django, express, odoo, php, seed, spring, or a file") {
		t.Errorf("a template that is not there: %v", err)
	}
}

// A hash is written by two commands, of which the second says its expiry.
func TestSessions_hash(t *testing.T) {
	t.Parallel()
	template, err := ParseTemplate("h", "key k${uuid}\nfield a 1\nfield b ${bytes:3}")
	if err != nil {
		t.Fatal(err)
	}
	s := newSessions(template, "", 1)
	for _, e := range []struct {
		expiry expiry
		tail   string
		lines  int
	}{{expiry{}, "", 1}, {expiry{after: 5000}, "PEXPIRE", 2}, {expiry{at: func([]byte) int64 { return 5000 }}, "PEXPIREAT", 2}} {
		write, lines := s.appendWrite(nil, 3, e.expiry)
		if lines != e.lines || !strings.HasPrefix(string(write), "*6\r\n$4\r\nHSET\r\n") || e.tail != "" && !strings.Contains(string(write), "\r\n"+e.tail+"\r\n$37\r\nk") {
			t.Errorf("%+v: %d lines, %q", e.expiry, lines, write)
		}
	}
	if read := s.appendRead(nil, 3); !strings.HasPrefix(string(read), "*2\r\n$7\r\nHGETALL\r\n") {
		t.Errorf("it is read by %q", read)
	}
	if _, content := s.file(3); !regexp.MustCompile(`(?s)^a=1\nb=...\n$`).Match(content) {
		t.Errorf("as a file it is %q", content)
	}
}

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
