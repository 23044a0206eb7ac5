package main

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

func TestParsePrograms(t *testing.T) {
	t.Parallel()
	d, err := parse([]byte(`
apt: [nodejs]
programs:
  - name: ioredis 6
    kind: client
    run: node ioredis.js
    apt: [netcat]
    npm: {ioredis: 6.0.0}
  - {name: express, kind: session, run: node express.js}
`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(d.Programs[0].packages(), " "), "nodejs netcat"; got != want {
		t.Errorf("packages are %q, want %q", got, want)
	}
	d.Name = "node"
	picked := pick([]*directory{d}, regexp.MustCompile(`^node/exp`))
	if len(picked) != 1 || len(picked[0].Programs) != 1 || picked[0].Programs[0].Name != "express" {
		t.Errorf("picked %+v", picked)
	}
}

func TestParseProgramsErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"apt: [a]\n", "there must be one at least"},
		{"programs:\n  - {name: a, kind: clint, run: x}\n", `kind of "a" is "clint"; it must be client or session`},
		{"programs:\n  - {name: a, kind: client}\n", `run of "a" is missing`},
		{"programs:\n  - {kind: client, run: x}\n", "programs[0].name is missing"},
		{"programs:\n  - {name: a, kind: client, run: x}\n  - {name: a, kind: client, run: x}\n", `"a" is another program's name too`},
		{"programs:\n  - {name: a, kind: client, run: x, npm: {redis: ^6}}\n", `npm.redis of "a" is "^6"`},
		{"programs:\n  - {name: a, kind: client, runs: x}\n", `[2:29] unknown field "runs"`},
	} {
		if _, err := parse([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

// What is in the tree can be read.
func TestLists(t *testing.T) {
	t.Parallel()
	if _, err := load("."); err != nil {
		t.Error(err)
	}
}
