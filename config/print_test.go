package config_test

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"sessiongate/config"
)

// What --print shows is a whole configuration: read again, with the secrets put back, it is the one that it was printed of.
func TestConfig_String_roundTrip(t *testing.T) {
	texts := map[string]string{
		"nothing set": redis,
		"tenants":     "upstream: redis://127.0.0.1:6379\ntenants: [{name: a, password: '', namespace: 'a:'}, {name: b, password: x, namespace: 'b:', rules: []}]",
		"rules": redis + `namespace: "größe:{#\\"
rules:
  - {keys: ["*_LOCK", "#x", "- y", "a: b", "null", "~", "true", "0123", "é\u2028\x7f\n\t", "'"], expiry: {}}
  - {name: "0x10", keys: ["a*"], size: {key: 512}, commands: {deny: [flushall, "config|get", "@geo"]}}
  - {keys: [b], size: {value: 1500KB}, commands: {allow: ["@all"]}}
  - {keys: ["x?"], expiry: {default: 1h30m, min: 1ms, max: 7d, over: refuse}}
  - {key_entropy: 64}
`,
		"zeroes": redis + "threads: 0\ndrain: 0\nlimits: {idle: 0s, login: 0, write: 0, keepalive: 0, accept_rate: 0}\nupstream: {url: 'redis://:x@h/1', hold: 0}",
		"odd":    "upstream: {url: 'unix:///run/r.sock', password: 'p #'}\npassword: \" \"\nlisten: ['[::1]:0', 'unix:///a b#c?mode=0600']\ncommands: {custom: [{name: X, keys: none}, {name: Y, keys: 1..-1/2, arity: -3, writes: true}]}",
	}
	texts["zeroes"] = strings.TrimPrefix(texts["zeroes"], redis)
	if full, err := os.ReadFile("testdata/good/full.yaml"); err == nil {
		texts["full"] = string(full)
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			disk := files{"f": text, "/secrets/wiki": "two\n", "/secrets/admin": "operators-token-1\n"}
			first, err := config.Load(config.Flags{File: "f"}, nil, disk.read)
			if err != nil {
				t.Fatal(err)
			}
			disk["f"] = first.String()
			second, err := config.Load(config.Flags{File: "f"}, nil, disk.read)
			if err != nil {
				t.Fatalf("%v\nin\n%s", err, disk["f"])
			}
			putBack(reflect.ValueOf(&second).Elem(), reflect.ValueOf(&first).Elem())
			if !reflect.DeepEqual(first, second) {
				t.Errorf("printed\n%s\nread again and printed\n%s", first, second)
			}
		})
	}
}

// putBack gives got the secrets of want, and makes an empty list none: there is no difference in meaning.
func putBack(got, want reflect.Value) {
	switch got.Kind() {
	case reflect.Pointer:
		if !got.IsNil() && !want.IsNil() {
			putBack(got.Elem(), want.Elem())
		}
	case reflect.Struct:
		for i := range got.NumField() {
			putBack(got.Field(i), want.Field(i))
		}
	case reflect.Slice:
		if got.Len() == 0 && want.Len() == 0 {
			got.SetZero()
			want.SetZero()
		}
		for i := range min(got.Len(), want.Len()) {
			putBack(got.Index(i), want.Index(i))
		}
	case reflect.String:
		if strings.Contains(got.String(), "***") {
			got.SetString(want.String())
		}
	}
}

// Every setting that has a default is printed, so that one sees what is in force.
func TestConfig_String_complete(t *testing.T) {
	c, err := load(redis)
	if err != nil {
		t.Fatal(err)
	}
	printed := c.String()
	for _, want := range []string{
		"listen: [127.0.0.1:6380]", "min_version: \"1.2\"", "require_client_cert: false", "driver: shared", "acl: manage", "links: 1", "hold: 5s",
		"connect_timeout: 5s", "read_timeout: 5s", "clients: 10000", "accept_rate: 0", "args: 1048576", "bulk: 512MiB", "request: 1GiB", "output: 1GiB",
		"idle: 0", "login: 1m", "write: 1m", "keepalive: 5m", "level: info", "format: auto", "threads: 0", "drain: 30s", "learn: false", "insecure: false",
	} {
		if !strings.Contains(printed, want) {
			t.Errorf("there is no %s in\n%s", want, printed)
		}
	}
}
