package config

import (
	"reflect"
	"slices"
	"strings"
)

// changeable are the parts of the configuration that a running program can change. What isn't in one of them takes a restart.
var changeable = []string{"tls", "password", "password_file", "passwords", "rate", "namespace", "rules", "mode", "read_only", "tenants", "commands.custom",
	"upstream.user", "upstream.password", "upstream.password_file", "upstream.tls", "upstream.sentinel"}

// Fixed lists the settings in which c differs from the Config that the program was started with, and which only a restart
// can change.
func (c Config) Fixed(started Config) (paths []string) {
	before := settings(reflect.ValueOf(&started).Elem(), "")
	for i, s := range settings(reflect.ValueOf(&c).Elem(), "") {
		isPart := s.value.Kind() == reflect.Struct && !scalar(s.value.Type())
		free := slices.ContainsFunc(changeable, func(part string) bool { return within(s.path, part) })
		free = free || s.path == "upstream.url" && c.Upstream.URL.place() == started.Upstream.URL.place() // but for credentials
		if !isPart && !free && !reflect.DeepEqual(s.value.Interface(), before[i].value.Interface()) {
			paths = append(paths, s.path)
		}
	}
	if c.Commands.lost(started.Commands) {
		paths = append(paths, "commands.custom")
	}
	for i, t := range c.Tenants {
		if !slices.Equal(t.Listen, started.listenersOf(t.Name)) {
			paths = append(paths, index("tenants", i)+".listen")
		}
	}
	for _, t := range started.Tenants {
		gone := !slices.ContainsFunc(c.Tenants, func(other Tenant) bool { return other.Name == t.Name })
		if gone && len(t.Listen) > 0 {
			paths = append(paths, "listen of the tenant "+t.Name)
		}
	}
	return paths
}

func (c Config) listenersOf(tenant string) []Listener {
	for _, t := range c.Tenants {
		if t.Name == tenant {
			return t.Listen
		}
	}
	return nil
}

// lost tells whether a custom command of before is no longer there, or another: what is known once stays known.
func (c Commands) lost(before Commands) bool {
	for _, each := range before.Custom {
		if !slices.ContainsFunc(c.Custom, func(now CustomCommand) bool {
			now.Name = strings.ToUpper(now.Name)
			each.Name = strings.ToUpper(each.Name)
			return now == each
		}) {
			return true
		}
	}
	return false
}
