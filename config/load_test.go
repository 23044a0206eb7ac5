package config_test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sessiongate/config"
	"sessiongate/policy"
)

var update = flag.Bool("update", false, "write the errors that come into testdata/bad")

// files is a readFile for Load.
type files map[string]string

func (f files) read(name string) ([]byte, error) {
	text, ok := f[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return []byte(text), nil
}

// load loads a file's text under the name sessiongate.yaml.
func load(text string, environ ...string) (config.Config, error) {
	return config.Load(config.Flags{File: "sessiongate.yaml"}, environ, files{"sessiongate.yaml": text}.read)
}

const redis = "upstream: redis://127.0.0.1:6379\n"

func TestLoad(t *testing.T) {
	tests := []struct {
		name    string
		file    string // "" is none
		environ []string
		flags   config.Flags
		want    func(*config.Config)
	}{
		{name: "file", file: redis, want: func(*config.Config) {}},
		{name: "mapping", file: "upstream:\n  url: redis://127.0.0.1:6379\n  links: 3", want: func(c *config.Config) { c.Upstream.Links = 3 }},
		{name: "flow", file: "{upstream: {url: 'redis://127.0.0.1:6379', links: 3}}", want: func(c *config.Config) { c.Upstream.Links = 3 }},
		{name: "CRLF and BOM", file: "\ufeff" + strings.ReplaceAll(redis+"threads: 2\n", "\n", "\r\n"), want: func(c *config.Config) { c.Threads = 2 }},
		{name: "document markers", file: "---\n" + redis + "...\n", want: func(*config.Config) {}},
		{name: "one listener", file: redis + "listen: :7000", want: func(c *config.Config) { c.Listen = tcp(":7000") }},
		{name: "several listeners", file: redis + "listen: [':7000', 'tcp://[::1]:7001', 'unix:///s']", want: func(c *config.Config) {
			c.Listen = append(tcp(":7000", "[::1]:7001"), config.Listener{Network: "unix", Address: "/s", Mode: 0o660})
		}},
		{name: "units", file: redis + "drain: 7d\nlimits: {bulk: 64KiB, idle: 90s}", want: func(c *config.Config) {
			c.Drain, c.Limits.Bulk, c.Limits.Idle = config.Duration(168*time.Hour), 64<<10, config.Duration(90*time.Second)
		}},
		{name: "empty parts keep their defaults", file: redis + "limits:\nrules:\ntenants:\n", want: func(*config.Config) {}},
		{name: "password as it stands", file: redis + "password: 0123", want: func(c *config.Config) { c.Password = "0123" }},
		{name: "password in a block", file: redis + "password: |-\n  a: b # c\n", want: func(c *config.Config) { c.Password = "a: b # c" }},
		{name: "short form", file: redis + "namespace: 'a:'\nrules: [{keys: 's:*', expiry: {max: 12h}}]", want: func(c *config.Config) {
			c.Namespace = "a:"
			c.Rules = []policy.RuleConfig{{Keys: []string{"s:*"}, Expiry: &policy.ExpiryConfig{Max: duration(12 * time.Hour)}}}
		}},
		{name: "anchors", file: redis + "rules:\n- &a {keys: [x], expiry: &e {max: 1h}}\n- {<<: *a, keys: [y]}\n- expiry: *e", want: func(c *config.Config) {
			e := &policy.ExpiryConfig{Max: duration(time.Hour)}
			c.Rules = []policy.RuleConfig{{Keys: []string{"x"}, Expiry: e}, {Keys: []string{"y"}, Expiry: e}, {Expiry: e}}
		}},
		{name: "secret files", file: redis + "password_file: /p", want: func(c *config.Config) { c.PasswordFile, c.FromFile = "/p", []config.Secret{"hunter2"} }},

		{name: "several passwords in a file", file: redis + "password_file: /two", want: func(c *config.Config) {
			c.PasswordFile, c.FromFile = "/two", []config.Secret{"old", "new one"}
		}},
		{name: "passwords", file: redis + "passwords: [a, 0123]\nrate: 100\nread_only: true", want: func(c *config.Config) {
			c.Passwords, c.Rate.Commands, c.ReadOnly = []config.Secret{"a", "0123"}, 100, true
		}},
		{name: "passwords and rate from the environment", file: redis, environ: []string{"SESSIONGATE_PASSWORDS=a,b", "SESSIONGATE_RATE=100", "SESSIONGATE_RATE_BURST=200"},
			want: func(c *config.Config) {
				c.Passwords, c.Rate = []config.Secret{"a", "b"}, config.Rate{Commands: 100, Burst: 200}
			}},
		{name: "hashes from the environment", file: redis, environ: []string{"SESSIONGATE_PASSWORDS=['$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA', b]"},
			want: func(c *config.Config) {
				c.Passwords = []config.Secret{"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "b"}
			}},
		{name: "a tenant's upstream has its defaults", file: redis + "tenants: [{name: a, upstream: 'redis://b', db: 0, rate: 5}]", want: func(c *config.Config) {
			u := config.Default().Upstream
			u.URL = "redis://b"
			c.Tenants = []config.Tenant{{Name: "a", Upstream: &u, DB: config.Database{Given: true}, Rate: config.Rate{Commands: 5}}}
		}},

		{name: "environment", environ: []string{"PATH=/bin", "SESSIONGATE_UPSTREAM=redis://127.0.0.1:6379", "SESSIONGATE_LIMITS_CLIENTS=5"},
			want: func(c *config.Config) { c.Limits.Clients = 5 }},
		{name: "environment, every kind", environ: []string{
			"SESSIONGATE_LISTEN=:7000, :7001", "SESSIONGATE_PASSWORD=a=b", "SESSIONGATE_TLS_MIN_VERSION=1.3",
			"SESSIONGATE_UPSTREAM_HOLD=0s", "SESSIONGATE_RULES=[{expiry: {max: 1h}}]", "SESSIONGATE_UPSTREAM_URL=redis://127.0.0.1:6379",
		}, want: func(c *config.Config) {
			c.Listen, c.Password, c.TLS.MinVersion, c.Upstream.Hold = tcp(":7000", ":7001"), "a=b", "1.3", 0
			c.Rules = []policy.RuleConfig{{Expiry: &policy.ExpiryConfig{Max: duration(time.Hour)}}}
		}},
		{name: "a part, then what is in it", file: redis, environ: []string{"SESSIONGATE_LIMITS_CLIENTS=5", "SESSIONGATE_LIMITS={clients: 6, args: 7}"},
			want: func(c *config.Config) { c.Limits.Clients, c.Limits.Args = 5, 7 }},
		{name: "environment over file", file: redis + "threads: 2\nlisten: [':1', ':2']", environ: []string{"SESSIONGATE_THREADS=3", "SESSIONGATE_LISTEN=:4"},
			want: func(c *config.Config) { c.Threads, c.Listen = 3, tcp(":4") }},
		{name: "flags over environment", file: redis, environ: []string{"SESSIONGATE_UPSTREAM=redis://127.0.0.1:1", "SESSIONGATE_LISTEN=:4", "SESSIONGATE_LOG_LEVEL=warn"},
			flags: config.Flags{Upstream: "redis://127.0.0.1:6379", Listen: ":5", LogLevel: "debug"},
			want:  func(c *config.Config) { c.Listen, c.Log.Level = tcp(":5"), "debug" }},
		{name: "variables of a service that has our name", file: redis, environ: []string{
			"SESSIONGATE_PORT=tcp://127.0.0.1:6380", "SESSIONGATE_PORT_6380_TCP_ADDR=127.0.0.1", "SESSIONGATE_SERVICE_HOST=127.0.0.1",
		}, want: func(*config.Config) {}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			disk := files{"/p": "hunter2\n", "/two": "old\r\n\nnew one\n"}
			if tt.file != "" {
				tt.flags.File = "sessiongate.yaml"
				disk["sessiongate.yaml"] = tt.file
			}
			got, err := config.Load(tt.flags, tt.environ, disk.read)
			if err != nil {
				t.Fatal(err)
			}
			want := config.Default()
			want.Upstream.URL = "redis://127.0.0.1:6379"
			tt.want(&want)
			if len(got.Rules) == 0 && len(want.Rules) == 0 {
				got.Rules, want.Rules = nil, nil
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestLoad_file_named_by_environment(t *testing.T) {
	got, err := config.Load(config.Flags{}, []string{"SESSIONGATE_CONFIG=/etc/s.yaml"}, files{"/etc/s.yaml": redis + "threads: 4"}.read)
	if err != nil || got.Threads != 4 {
		t.Fatalf("got %d threads, error %v", got.Threads, err)
	}
}

// With nothing said, there is something to try out.
func TestLoad_nothing(t *testing.T) {
	got, err := config.Load(config.Flags{}, nil, files{}.read)
	if err != nil {
		t.Fatal(err)
	}
	if got.Upstream.URL != config.Memory {
		t.Errorf("upstream is %q, want %q", got.Upstream.URL.Reveal(), config.Memory)
	}
	if len(got.Rules) != 1 || got.Rules[0].Expiry.Default != duration(30*time.Minute) {
		t.Errorf("rules are %+v, want a default expiry of 30 minutes", got.Rules)
	}
}

// atDefault names the fields, also those of sections, that are the same in both.
func atDefault(def, got reflect.Value) (names []string) {
	for i := range def.NumField() {
		field := def.Type().Field(i)
		if field.Type.Kind() == reflect.Struct && field.Type.Field(0).IsExported() {
			for _, name := range atDefault(def.Field(i), got.Field(i)) {
				names = append(names, field.Name+"."+name)
			}
		} else if reflect.DeepEqual(def.Field(i).Interface(), got.Field(i).Interface()) {
			names = append(names, field.Name)
		}
	}
	return names
}

func TestLoad_full(t *testing.T) {
	text, err := os.ReadFile("testdata/good/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	disk := files{"f": string(text), "/secrets/wiki": "two\n", "/secrets/admin": "operators-token-1\n"}
	first, err := config.Load(config.Flags{File: "f"}, nil, disk.read)
	if err != nil {
		t.Fatal(err)
	}
	// No field may have been left at its default: that would be a field without a way to set it.
	for _, name := range atDefault(reflect.ValueOf(config.Default()), reflect.ValueOf(first)) {
		switch name {
		case "Config.Namespace", "Config.Rules", "Config.Mode", "Config.ReadOnly", "Rate.Commands", "Rate.Burst": // the short form
		case "Credentials.Password", "Credentials.PasswordFile", "Credentials.Passwords", "Credentials.FromFile":
		case "Upstream.PasswordFile": // beside a password
		case "Admin.Listen.Mode": // of unix://
		default:
			t.Errorf("%s is still at its default", name)
		}
	}

	// What is printed is a configuration, and the same one but for its secrets.
	disk["f"] = first.String()
	for _, secret := range []string{"one", "two", "0123"} {
		if strings.Contains(disk["f"], secret) {
			t.Errorf("the printed form shows the secret %q", secret)
		}
	}
	disk["f"] = strings.Replace(disk["f"], `password: "***"`, `password: "0123"`, 1)
	disk["f"] = strings.Replace(disk["f"], `password: "***"`, `password: one`, 1)
	second, err := config.Load(config.Flags{File: "f"}, nil, disk.read)
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, disk["f"])
	}
	if first.String() != second.String() || first.Tenants[0].Password != second.Tenants[0].Password || second.Tenants[1].FromFile[0] != "two" {
		t.Errorf("printed and read again: got\n%s\nwant\n%s", second, first)
	}
}

// Each file in testdata/bad has, in comments after "# want", the exact errors that it must bring.
func TestLoad_bad(t *testing.T) {
	names, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			body, after, _ := strings.Cut(string(text), "# want\n")
			want := strings.TrimSpace(strings.ReplaceAll("\n"+after, "\n# ", "\n"))
			_, err = load(body)
			got := fmt.Sprint(err)
			if *update {
				text := body + "# want\n# " + strings.ReplaceAll(got, "\n", "\n# ") + "\n"
				if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != want {
				t.Errorf("got\n%s\n\nwant\n%s", got, want)
			}
		})
	}
}

func TestLoad_bad_environment_and_flags(t *testing.T) {
	tests := []struct {
		environ []string
		flags   config.Flags
		want    string
	}{
		{environ: []string{"SESSIONGATE_LIMITS_CLIENTS=many"}, want: `SESSIONGATE_LIMITS_CLIENTS: limits.clients: "many" is not a whole number`},
		{environ: []string{"SESSIONGATE_LIMIT_CLIENTS=1"}, want: `SESSIONGATE_LIMIT_CLIENTS: is not a setting; did you mean SESSIONGATE_LIMITS_CLIENTS?`},
		{environ: []string{"SESSIONGATE_COLOUR=red"}, want: `SESSIONGATE_COLOUR: is not a setting; the names are those of the file, as in SESSIONGATE_LIMITS_CLIENTS`},
		{environ: []string{"SESSIONGATE_PASSWORD="}, want: `SESSIONGATE_PASSWORD: password: is empty; leave it out, or give it a value`},
		{environ: []string{"SESSIONGATE_LISTEN=:1,nowhere"}, want: `SESSIONGATE_LISTEN: listen[1]: "nowhere" is not an address to listen on; write host:port, tls://host:port or unix:///path`},
		{environ: []string{"SESSIONGATE_RULES=[{expiry: {maks: 1h}}]"}, want: `SESSIONGATE_RULES:1:12: rules[0].expiry.maks: is not a setting; did you mean "max"?`},
		{environ: []string{"SESSIONGATE_UPSTREAM=redis://a", "SESSIONGATE_UPSTREAM_URL=redis://b"},
			want: `SESSIONGATE_UPSTREAM_URL: upstream.url: is given by SESSIONGATE_UPSTREAM too; keep one of them`},
		{environ: []string{"SESSIONGATE_CONFIG=/none"}, want: `/none: can't be read: file does not exist`},
		{environ: []string{"SESSIONGATE_PASSWORD_FILE=/none"}, want: `SESSIONGATE_PASSWORD_FILE: password_file: "/none" can't be read: file does not exist`},
		{flags: config.Flags{Listen: "here"}, want: `--listen: listen[0]: "here" is not an address to listen on; write host:port, tls://host:port or unix:///path`},
		{flags: config.Flags{Upstream: "127.0.0.1:6379"}, want: `--upstream: upstream.url: "127.0.0.1:6379" is not the address of a Redis; write redis://host:port/db, rediss://host:port/db for TLS, unix:///path, or memory:// to try things out`},
		{flags: config.Flags{LogLevel: "inof"}, want: `--log-level: log.level: "inof" is not known; did you mean "info"?`},
	}
	for _, tt := range tests {
		_, err := config.Load(tt.flags, tt.environ, files{}.read)
		if got := fmt.Sprint(err); got != tt.want {
			t.Errorf("%v %+v\n got %s\nwant %s", tt.environ, tt.flags, got, tt.want)
		}
	}
}

// Files that are not configurations at all.
func TestLoad_strange(t *testing.T) {
	bomb := "rules:\n- keys: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 12 {
		bomb += fmt.Sprintf("- keys: &a%d [%s]\n", i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	merges := "limits: &a0 {clients: 1}\n"
	for i := range 12 {
		merges += fmt.Sprintf("l%d: &a%d {<<: [%s]}\n", i, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	tests := []struct{ name, text, want string }{
		{"empty", "", "sessiongate.yaml: is empty"},
		{"comments", "# nothing\n", "sessiongate.yaml: is empty"},
		{"null", "~", "sessiongate.yaml: is empty"},
		{"binary", "\x00\x01", "sessiongate.yaml: is not text in UTF-8; is this the right file?"},
		{"latin-1", "password: \xe9", "sessiongate.yaml: is not text in UTF-8; is this the right file?"},
		{"large", strings.Repeat("# comment\n", 1<<20), "sessiongate.yaml: is longer than 4 MiB; is this the right file?"},
		{"two documents", redis + "---\nlisten: :1\n", "sessiongate.yaml:3:1: a second document begins here; keep one document per file"},
		{"list", "- a", `sessiongate.yaml:1:1: must be a mapping of settings, not a list; write "name: value" lines`},
		{"word", "hunter2", `sessiongate.yaml:1:1: must be a mapping of settings, not a single value; write "name: value" lines`},
		{"tab", "limits:\n\tclients: 1\n", "sessiongate.yaml:2:1: a tab stands where only spaces may; indent with spaces"},
		{"open bracket", "listen: [a\n", "sessiongate.yaml:1:9: "},
		{"brackets", strings.Repeat("[", 1<<20), "sessiongate.yaml:1:65: is nested too deep"},
		{"dashes", strings.Repeat("- ", 1<<20), "is nested too deep"},
		{"circle", redis + "rules: &a [*a]\n", "rules[0]: must be a mapping of settings, not a list"},
		{"own alias", redis + "rules: &a *a\n", "sessiongate.yaml:2:"},
		{"merge circle", redis + "limits: &a {<<: *a}\n", "are aliases (*name) used in a circle?"},
		{"bomb", redis + bomb, "must be a single value, not a list"},
		{"merge bomb", redis + merges, "is not a setting"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(tt.text)
			if got := fmt.Sprint(err); !strings.Contains(got, tt.want) || len(got) > 4096 {
				t.Errorf("got %.300s\nwant %s", got, tt.want)
			}
		})
	}
}

// No secret shows in an error, however wrong the configuration is, nor in any print of a Config.
func TestSecrets(t *testing.T) {
	const secret = "hunter2"
	for _, text := range []string{
		"upstream: redis://:hunter2@host:port/0",
		"upstream: redis://:hunter2%zz@host/0",
		"upstream: redis://user:hunter2/x@host/0",
		"upstream: redis://user:1234/hunter2@host/0",
		"upstream: redis://user:1234#hunter2@host/0",
		"upstream: redis://user:1234?hunter2@host/0",
		"upstream: redis://user@1234/hunter2@host/0",
		"upstream: user:hunter2@host",
		"upstream: http://user:hunter2@host",
		"upstream: {url: 'redis://:hunter2@host', password: hunter2}",
		"password: {hunter2}", "password: [hunter2]", "password:hunter2", "password: \"hunter2", "password: !x hunter2", "password: 'hunter2'x",
		redis + "password: hunter2\ntenants: [{name: a, password: hunter2, namespace: a}, {name: b, password: hunter2, namespace: b}]",
		redis + "password: hunter2\nlisten: here",
	} {
		c, err := load(text)
		if err == nil {
			t.Errorf("%s: no error", text)
			continue
		}
		var each *config.Error
		if !errors.As(err, &each) {
			t.Errorf("%s: error is a %T", text, err)
		}
		for _, shown := range []string{err.Error(), c.String(), fmt.Sprintf("%v %+v %#v %s", c, c, c, c), fmt.Sprintf("%d %x %v", c.Password, c.Upstream.URL, c.Tenants)} {
			if strings.Contains(shown, secret) || strings.Contains(shown, "68756e746572") {
				t.Errorf("%s\nshows the secret in\n%s", text, shown)
			}
		}
	}
}

func tcp(addresses ...string) []config.Listener {
	var all []config.Listener
	for _, a := range addresses {
		all = append(all, config.Listener{Network: "tcp", Address: a})
	}
	return all
}

func duration(d time.Duration) policy.Duration { return policy.Duration(d) }

func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.yaml", "testdata/good/*.yaml"} {
		names, _ := filepath.Glob(pattern)
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(text))
		}
	}
	f.Add("a: &x {<<: *x}")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := load(text)
		if err == nil {
			return
		}
		lines := strings.Count(text, "\n") + strings.Count(text, "\r") + 1
		for _, each := range err.(interface{ Unwrap() []error }).Unwrap() {
			e := each.(*config.Error)
			if strings.ContainsAny(e.Error(), "\r\n") || e.Origin.Line < 0 || e.Origin.Line > lines {
				t.Errorf("%q", e)
			}
		}
	})
}
