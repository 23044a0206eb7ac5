package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// EnvPrefix begins the name of every environment variable that is a setting: limits.clients is
// SESSIONGATE_LIMITS_CLIENTS.
const EnvPrefix = "SESSIONGATE_"

// envFile names the configuration file, as --config does.
const envFile = EnvPrefix + "CONFIG"

// setting is anything that can be set by one text: a scalar, a list, or a whole part of the file such as the rules.
type setting struct {
	path string
	field
}

// settings lists everything in struct v that can be set by one text, parts before what is in them.
func settings(v reflect.Value, path string) []setting {
	var all []setting
	for _, f := range fields(v) {
		at := join(path, f.name)
		all = append(all, setting{at, f})
		if f.value.Kind() == reflect.Struct && !scalar(f.value.Type()) {
			all = append(all, settings(f.value, at)...)
		}
	}
	return all
}

func envName(path string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// foreign tells whether a variable that looks like a setting was put there by something else: Kubernetes and
// Docker describe a service called "sessiongate" to its neighbours in variables of such names.
func foreign(name string) bool {
	rest := strings.TrimPrefix(name, EnvPrefix)
	return rest == "PORT" || strings.HasPrefix(rest, "PORT_") || strings.HasPrefix(rest, "SERVICE_") ||
		rest == "NAME" || strings.HasPrefix(rest, "ENV_")
}

// environment reads every SESSIONGATE_ variable into c: a part before what is in it, whatever their order.
func (l *ledger) environment(environ []string, c *Config) {
	all := settings(reflect.ValueOf(c).Elem(), "")
	known := []string{envFile}
	for _, s := range all {
		name := envName(s.path)
		known = append(known, name)
		if text, ok := lookup(environ, name); ok {
			l.set(s, text, Origin{Source: name, rank: fromEnv})
		}
	}
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, EnvPrefix) && !foreign(name) && !slices.Contains(known, name) {
			l.reportAt(Origin{Source: clip(name), rank: fromEnv}, "", "is not a setting", envHint(name, known))
		}
	}
}

// lookup returns the value of a variable, of the last one if there are several of that name.
func lookup(environ []string, name string) (text string, ok bool) {
	for _, pair := range environ {
		if value, found := strings.CutPrefix(pair, name+"="); found {
			text, ok = value, true
		}
	}
	return text, ok
}

func envHint(name string, known []string) string {
	known = slices.Clone(known)
	for i := range known {
		known[i] = strings.TrimPrefix(known[i], EnvPrefix)
	}
	if meant := closest(strings.TrimPrefix(name, EnvPrefix), known); meant != "" {
		return fmt.Sprintf("did you mean %s%s?", EnvPrefix, meant)
	}
	return "the names are those of the file, as in " + envName("limits.clients")
}

// set gives a setting the value written in text: a scalar as it is, a list with commas, anything larger as YAML.
func (l *ledger) set(s setting, text string, origin Origin) {
	v, t := s.value, s.value.Type()
	for _, inner := range fieldsOf(v) {
		if inner.name == s.short { // "upstream" is short for "upstream.url"
			l.set(setting{join(s.path, s.short), inner}, text, origin)
			return
		}
	}
	if text == "" {
		l.reportAt(origin, s.path, "is empty", "leave it out, or give it a value")
		return
	}
	if before := l.origins[s.path]; before.rank == origin.rank && before.Line == 0 && before.Source != origin.Source {
		l.reportAt(origin, s.path, "is given by "+before.Source+" too", "keep one of them")
	}
	maps.DeleteFunc(l.origins, func(path string, _ Origin) bool { return within(path, s.path) })
	l.origins[s.path] = origin
	switch {
	case scalar(t):
		l.setScalar(s.path, v, text)
	case list(t) && t.Elem() == reflect.TypeFor[Secret]() && !strings.HasPrefix(text, "[") && strings.Contains(text, "$argon2id$"):
		l.reportAt(origin, s.path, "holds an argon2id hash, and would be cut at its commas", `write a list as in YAML: ["$argon2id$..."]`)
	case list(t) && !(t.Elem() == reflect.TypeFor[Secret]() && strings.HasPrefix(text, "[")): // hashes have commas in them
		items := strings.Split(text, ",")
		v.Set(reflect.MakeSlice(t, len(items), len(items)))
		for i, item := range items {
			l.setScalar(index(s.path, i), v.Index(i), strings.TrimSpace(item))
		}
	default:
		d := document{ledger: l, source: origin.Source, rank: origin.rank}
		d.decode([]byte(text), s.path, v, s.field)
	}
}

func (l *ledger) setScalar(path string, v reflect.Value, text string) {
	if err := setText(v, text); err != nil {
		text, hint, _ := strings.Cut(err.Error(), "; ")
		l.report(path, text, hint)
	}
}

// fieldsOf is fields for a value that need not be a struct.
func fieldsOf(v reflect.Value) []field {
	if v.Kind() != reflect.Struct || scalar(v.Type()) {
		return nil
	}
	return fields(v)
}
