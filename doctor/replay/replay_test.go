package replay

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestForms(t *testing.T) {
	for _, tt := range []struct {
		form, reply string
		want        bool
	}{
		{"+OK", "+OK\r\n", true}, {"+OK", "+OKAY\r\n", false}, {"+OK", "$2\r\nOK\r\n", false}, {`+"PONG x"`, "+PONG x\r\n", true},
		{"-ERR", "-ERR unknown\r\n", true}, {`-"ERR no such key"`, "-ERR no such key\r\n", true}, {"-NOSCRIPT", "-ERR x\r\n", false}, {"-ERR", "!5\r\nERR x\r\n", true},
		{":5", ":5\r\n", true}, {":1..9", ":5\r\n", true}, {":1..4", ":5\r\n", false}, {":*", ":-5\r\n", true}, {":5", "$1\r\n5\r\n", false},
		{`"a b"`, "$3\r\na b\r\n", true}, {`"a"`, "+a\r\n", false}, {`"x"`, "=5\r\ntxt:x\r\n", true}, {`""`, "$0\r\n\r\n", true}, {`""`, "$-1\r\n", false}, {`"\x00"`, "$1\r\n\x00\r\n", true},
		{"/role:(master|slave)/", "$11\r\nrole:master\r\n", true}, {"/x/", "-x\r\n", true},
		{"#3", "$3\r\nabc\r\n", true}, {"#3", "$2\r\nab\r\n", false},
		{"nil", "$-1\r\n", true}, {"nil", "*-1\r\n", true}, {"nil", "_\r\n", true}, {"nil", "$0\r\n\r\n", false},
		{`["a" :1]`, "*2\r\n$1\r\na\r\n:1\r\n", true}, {`["a" ...]`, "*2\r\n$1\r\na\r\n:1\r\n", true}, {`["a"]`, "*2\r\n$1\r\na\r\n:1\r\n", false}, {"[]", "*0\r\n", true},
		{`["a" [] nil]`, "*3\r\n$1\r\na\r\n*0\r\n$-1\r\n", true}, {`>["a"]`, ">1\r\n$1\r\na\r\n", true}, {`["a"]`, ">1\r\n$1\r\na\r\n", false},
		{`~["a" "b"]`, "*2\r\n$1\r\nb\r\n$1\r\na\r\n", true}, {`~["a" "b"]`, "~2\r\n$1\r\nb\r\n$1\r\na\r\n", true}, {`~["a" "a"]`, "*2\r\n$1\r\nb\r\n$1\r\na\r\n", false},
		{`{"a" :1 "b" :2}`, "%2\r\n$1\r\nb\r\n:2\r\n$1\r\na\r\n:1\r\n", true}, {`{"a" :1 "b" :2}`, "*4\r\n$1\r\nb\r\n:2\r\n$1\r\na\r\n:1\r\n", true},
		{`{"a" :2 ...}`, "%2\r\n$1\r\nb\r\n:2\r\n$1\r\na\r\n:1\r\n", false}, {`{"a" :1 ...}`, "%2\r\n$1\r\nb\r\n:2\r\n$1\r\na\r\n:1\r\n", true}, {`{"a" :1}`, "%2\r\n$1\r\nb\r\n:2\r\n$1\r\na\r\n:1\r\n", false},
		{"ttl:60", ":60\r\n", true}, {"ttl:60", ":40\r\n", true}, {"ttl:60", ":39\r\n", false}, {"ttl:60", ":61\r\n", false}, {"ttl:none", ":-1\r\n", true}, {"ttl:none", ":5\r\n", false},
		{"pttl:60000", ":59000\r\n", true}, {"ttl:60", ":-1\r\n", false}, {"*", "_\r\n", true}, {"+OK | -ERR", "-ERR\r\n", true}, {":1|nil", "_\r\n", true},
	} {
		forms, err := parseForms(tt.form)
		if err != nil {
			t.Errorf("%s: %v", tt.form, err)
			continue
		}
		got := false
		for _, f := range forms {
			got = got || f.matches(parseValue([]byte(tt.reply)), false)
		}
		if got != tt.want {
			t.Errorf("%s against %q: got %v, want %v", tt.form, tt.reply, got, tt.want)
		}
	}
	under, _ := parseForms("ttl:none")
	if !under[0].matches(parseValue([]byte(":43200\r\n")), true) || under[0].matches(parseValue([]byte(":-1\r\n")), true) {
		t.Error("under rules ttl:none is not any expiry up to twelve hours")
	}
}

func TestParse_Refuses(t *testing.T) {
	for text, want := range map[string]string{
		"> GET a":                               "line 1: \">\" stands before",
		"conversation a\n> GET a":               "1 requests have 0 replies",
		"conversation a\ncheck b":               "check b is empty",
		"conversation a\nscript b\nreturn 1\n":  "script b has no line",
		"conversation a\n> EVAL $none 0\n< *":   "line 2: $none stands for nothing",
		"conversation a\n> GET \"a\n< *":        "a quote is not closed",
		"conversation a\n> AUTH [ a\n< *":       "a [ is not closed",
		"conversation a\n> PING\n< [ +PONG":     "a ] is missing",
		"conversation a\n> PING\n< PONG":        `"PONG" is no reply`,
		"conversation a\n> PING\n< +PONG +PONG": "follows a reply",
		"conversation a\n> PING\n< :x":          "is no number",
		"conversation a\nrepeat 0":              "a number from 1",
		"conversation a\n> PING\n< #x":          "no number of bytes",
		"conversation a\nexpect PONG":           `"expect" is none of`,
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// echo answers every request with what is next on the list, and hangs up behind the last.
func echo(t *testing.T, replies ...string) (p *Player, heard func() string) {
	said := make(chan string, 1)
	p = &Player{Patience: 5 * time.Second, Dial: func(context.Context) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			text, r := "", bufio.NewReader(theirs)
			for _, reply := range replies {
				for want := 1; want > 0; {
					line, err := r.ReadString('\n')
					if err != nil {
						break
					}
					text += line
					switch line[0] {
					case '*':
						want = int(line[1]-'0') * 2
					default:
						want--
					}
				}
				_, _ = io.WriteString(theirs, reply)
			}
			said <- text
		}()
		return ours, nil
	}}
	return p, func() string { return <-said }
}

const marker = "$29\r\nno more replies than requests\r\n"

func TestPlay(t *testing.T) {
	all, err := Parse("conversation a\nscript s\nreturn 1\nend script\ncheck log in\n> [AUTH $LOGIN]\n< +OK\n> HELLO 3 [AUTH $USER $PASSWORD]\n< +OK | -ERR\ncheck script\n> EVALSHA $s.sha 0\n< :1\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		password string
		replies  []string
		heard    string
		failed   string
	}{
		{"", []string{"+OK\r\n", ":1\r\n", marker}, "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n*3\r\n$7\r\nEVALSHA\r\n$40\r\ne0e1f9fabfc9d4800c877a703b823ac0578ff8db\r\n$1\r\n0\r\n", ""},
		{"pw", []string{"+OK\r\n", "-ERR no\r\n", ":1\r\n", marker}, "*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$2\r\npw\r\n", ""},
		{"", []string{"+OK\r\n", ":2\r\n", marker}, "", "line 12: EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0 is answered :2, want :1"},
		{"", []string{"+OK\r\n", ":1\r\n", ":1\r\n"}, "", "a reply too many"},
		{"", []string{"+OK\r\n"}, "", "the connection is lost"},
		{"pw", []string{"-WRONGPASS\r\n", "+OK\r\n", ":1\r\n", marker}, "", "AUTH *** is answered -WRONGPASS"},
		{"pw", []string{"-ERR unknown command, with args beginning with: 'pw'\r\n", "+OK\r\n", ":1\r\n", marker}, "", "beginning with: '***'"},
		{"pw", []string{"*2\r\n+pw\r\n:1\r\n", "+OK\r\n", ":1\r\n", marker}, "", "is answered [+*** :1]"},
	} {
		p, heard := echo(t, tt.replies...)
		p.Password = tt.password
		results := p.Play(context.Background(), all[0])
		if len(results) != 2 || results[0].Check != "log in" || results[1].Check != "script" {
			t.Fatalf("got %+v", results)
		}
		if err := errors.Join(results[0].Err, results[1].Err); (err == nil) != (tt.failed == "") || err != nil && !strings.Contains(err.Error(), tt.failed) {
			t.Errorf("%q: got %v, want %q", tt.replies, err, tt.failed)
		}
		if got := heard(); !strings.HasPrefix(got, tt.heard) {
			t.Errorf("%q: heard %q, want %q", tt.replies, got, tt.heard)
		}
	}
	p, _ := echo(t, "-ERR no\r\n", ":1\r\n", marker)
	if got := p.Play(context.Background(), all[0]); len(got[0].Tolerated) != 1 || got[0].Tolerated[0] != "HELLO 3: -ERR no" {
		t.Errorf("tolerated: %+v", got)
	}
}
