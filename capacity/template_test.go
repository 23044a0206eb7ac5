package capacity

import (
	"bytes"
	"regexp"
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
