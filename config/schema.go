package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// The types of Config, with their yaml tags, are the one description of the settings: the file, the environment,
// the flags and the printed form all follow it. A tag is the setting's name, then options:
//
//	inline     the fields of this struct stand among those of the struct around it
//	short=url  a single value in place of the mapping sets the field "url"

// field is one setting in a struct.
type field struct {
	name  string
	short string
	value reflect.Value
}

// fields lists the settings of struct v in the order they are declared.
func fields(v reflect.Value) []field {
	var all []field
	for i := range v.NumField() {
		def := v.Type().Field(i)
		name, options, _ := strings.Cut(def.Tag.Get("yaml"), ",")
		switch {
		case options == "inline":
			all = append(all, fields(v.Field(i))...)
		case !def.IsExported() || name == "-" || name == "":
		default:
			short, _ := strings.CutPrefix(options, "short=")
			all = append(all, field{name, short, v.Field(i)})
		}
	}
	return all
}

// names lists what may stand in struct v.
func names(v reflect.Value) []string {
	var all []string
	for _, f := range fields(v) {
		all = append(all, f.name)
	}
	return all
}

// scalar tells whether a value of this type is written as one word or number.
func scalar(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return true
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Slice, reflect.Map, reflect.Pointer:
		return false
	}
	return true
}

// list tells whether a value of this type is a list of scalars.
func list(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && !scalar(t) && scalar(t.Elem())
}

// setText reads text into the scalar v. The error says what is wrong with the text and may hold it.
func setText(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		v.SetBool(text == "true")
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		v.SetInt(n)
	case reflect.Float64:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number", text)
		}
		v.SetFloat(x)
	default:
		panic("config: a setting of type " + v.Type().String())
	}
	return nil
}
