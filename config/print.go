package config

import (
	"cmp"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"sessiongate/policy"
)

// String returns all of c that is set, as YAML that Load reads, with *** for secrets, or the file a secret came from.
func (c Config) String() string {
	fromFile := func(s *Secret, file string) {
		if file != "" {
			*s = ""
		}
	}
	fromFile(&c.Upstream.Password, c.Upstream.PasswordFile)
	fromFile(&c.Admin.Token, c.Admin.TokenFile)
	c.Tenants = slices.Clone(c.Tenants)
	c.Rate = c.Rate.inForce()
	for i := range c.Tenants {
		c.Tenants[i].Rate = c.Tenants[i].Rate.inForce()
		if u := c.Tenants[i].Upstream; u != nil {
			shown := *u
			fromFile(&shown.Password, shown.PasswordFile)
			c.Tenants[i].Upstream = &shown
		}
	}
	var b strings.Builder
	printFields(&b, reflect.ValueOf(c), 0)
	return b.String()
}

// inForce is the rate with the burst that it has where none is given.
func (r Rate) inForce() Rate {
	r.Burst = cmp.Or(r.Burst, r.Commands)
	return r
}

// printFields writes the settings of struct v, one a line, leaving out those without a value.
func printFields(b *strings.Builder, v reflect.Value, indent int) {
	for _, f := range fields(v) {
		if blank(f.value) && !open(v, f.name) {
			continue
		}
		v := reflect.Indirect(f.value)
		margin := strings.Repeat("  ", indent)
		switch text := printed(v); {
		case text != "":
			fmt.Fprintf(b, "%s%s: %s\n", margin, f.name, text)
		case v.Kind() == reflect.Struct:
			fmt.Fprintf(b, "%s%s:\n", margin, f.name)
			printFields(b, v, indent+1)
		default:
			fmt.Fprintf(b, "%s%s:\n", margin, f.name)
			for i := range v.Len() {
				var item strings.Builder
				printFields(&item, v.Index(i), indent+2)
				if item.Len() == 0 {
					item.WriteString("{}\n")
				}
				fmt.Fprintf(b, "%s  - %s", margin, strings.TrimLeft(item.String(), " "))
			}
		}
	}
}

// Summary returns a rule on a single line, as it could be written in the file.
func Summary(rule policy.RuleConfig) string { return flow(reflect.ValueOf(rule)) }

// flow writes v between brackets.
func flow(v reflect.Value) string {
	v = reflect.Indirect(v)
	if text := printed(v); text != "" {
		return text
	}
	var items []string
	if v.Kind() == reflect.Slice {
		for i := range v.Len() {
			items = append(items, flow(v.Index(i)))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	for _, f := range fields(v) {
		if !blank(f.value) {
			items = append(items, f.name+": "+flow(f.value))
		}
	}
	return "{" + strings.Join(items, ", ") + "}"
}

// blank tells whether nothing is written for v.
func blank(v reflect.Value) bool {
	switch {
	case scalar(v.Type()):
		return plainText(v) == ""
	case v.Kind() == reflect.Slice:
		return v.Len() == 0
	case v.Kind() == reflect.Struct:
		return saysNothing(v)
	}
	return v.IsZero()
}

// saysNothing tells whether no setting of struct v has a value.
func saysNothing(v reflect.Value) bool {
	return !slices.ContainsFunc(fields(v), func(f field) bool { return !blank(f.value) })
}

// open tells whether the setting is the password of a tenant that lets everyone in, which has to be said where there are others.
func open(v reflect.Value, name string) bool {
	t, ok := v.Interface().(Tenant)
	return ok && name == "password" && t.open() && t.User == ""
}

// printed returns how v is written on a single line, "" if it takes more. A part that is there and says nothing, as
// "expiry: {}" does, means something.
func printed(v reflect.Value) string {
	switch {
	case scalar(v.Type()):
		return word(v)
	case list(v.Type()):
		items := make([]string, v.Len())
		for i := range items {
			items[i] = word(v.Index(i))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case v.Kind() == reflect.Struct && saysNothing(v):
		return "{}"
	}
	return ""
}

func plainText(v reflect.Value) string {
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		if err != nil {
			return ""
		}
		return string(text)
	}
	return fmt.Sprint(v.Interface())
}

// word is how scalar v is written: as itself where every reader of YAML takes it for what it is, or else in quotes.
func word(v reflect.Value) string {
	text := plainText(v)
	switch v.Kind() {
	case reflect.Bool, reflect.Int:
		if text != "" {
			return text
		}
	case reflect.String:
		if other.MatchString(text) {
			return `"` + text + `"`
		}
	}
	return quoted(text)
}

// other is text that YAML takes for something else: a number, true, null.
var other = regexp.MustCompile(`(?i)^([0-9._+-]+(e[0-9+-]*)?|0[xo][0-9a-f_]*|true|false|yes|no|on|off|null)$`)

// plain is text that means itself in YAML without quotes.
var plain = regexp.MustCompile(`^[A-Za-z0-9/]([A-Za-z0-9_./:@+-]*[A-Za-z0-9_/])?$`)

func quoted(text string) string {
	if plain.MatchString(text) {
		return text
	}
	var b strings.Builder
	enc := json.NewEncoder(&b) // what JSON quotes, YAML reads
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // of a string into memory: it can't fail
	return strings.TrimSuffix(b.String(), "\n")
}
