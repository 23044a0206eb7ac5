package config_test

import (
	"slices"
	"testing"

	"sessiongate/config"
)

const runningTenants = redis + `
tenants:
- {name: a, password: x, namespace: 'a:', listen: ':7000'}
- {name: b, password: y, namespace: 'b:'}
commands: {custom: [{name: my.get, keys: 1}]}
`

func TestConfig_Fixed(t *testing.T) {
	started := mustLoad(t, runningTenants)
	for _, e := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", runningTenants, nil},
		{"what can change", redis + "tenants: [{name: a, password: z, namespace: 'n:', listen: ':7000', rate: 5, clients: 3, rules: [{expiry: {max: 1h}}]}]\n" +
			"commands: {custom: [{name: MY.GET, keys: 1}, {name: my.set, keys: 1, writes: true}]}", nil},
		{"what was the short form", redis + "mode: observe\nrules: [{expiry: {max: 1h}}]\nread_only: true\ncommands: {custom: [{name: my.get, keys: 1}]}",
			[]string{"listen of the tenant a"}},
		{"all else", "listen: ':1'\nupstream: {url: 'redis://127.0.0.1:6379/1', password: p}\nlimits: {clients: 5}\ndrain: 1s\nlog: {level: warn}\nthreads: 3\n" +
			"tenants: [{name: c, password: z, namespace: 'n:', listen: ':7001'}]\ncommands: {learn: true, custom: [{name: my.get, keys: 2}]}",
			[]string{"listen", "upstream.url", "limits.clients", "commands.learn", "log.level", "threads", "drain", "commands.custom",
				"tenants[0].listen", "listen of the tenant a"}},
	} {
		if got := mustLoad(t, e.text).Fixed(started); !slices.Equal(got, e.want) {
			t.Errorf("%s: got %q, want %q", e.name, got, e.want)
		}
	}
}

func mustLoad(t *testing.T, text string) config.Config {
	t.Helper()
	c, err := load(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
