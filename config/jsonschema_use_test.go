package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// violations validates v as far as JSON Schema is used here, and says what is wrong where.
func violations(root, schema object, v any, path string) (list []string) {
	if ref, ok := schema["$ref"].(string); ok {
		target := root["$defs"].(object)[strings.TrimPrefix(ref, "#/$defs/")].(object)
		list = append(list, violations(root, target, v, path)...)
	}
	if any, ok := schema["anyOf"].([]any); ok {
		var all []string
		for _, each := range any {
			wrong := violations(root, each.(object), v, path)
			if len(wrong) == 0 {
				all = nil
				break
			}
			all = append(all, wrong...)
		}
		list = append(list, all...)
	}
	bad := func(what string) { list = append(list, path+": "+what) }
	if want, ok := schema["type"]; ok && !typed(want, v) {
		bad(fmt.Sprintf("%v is no %v", v, want))
		return list
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, v) {
		bad(fmt.Sprintf("%v is none of %v", v, enum))
	}
	switch v := v.(type) {
	case string:
		if pattern, ok := schema["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(v) {
			bad(v + " does not match " + pattern)
		}
	case float64:
		if low, ok := schema["minimum"].(float64); ok && v < low {
			bad("too small")
		}
		if high, ok := schema["maximum"].(float64); ok && v > high {
			bad("too large")
		}
	case []any:
		if items, ok := schema["items"].(object); ok {
			for i, item := range v {
				list = append(list, violations(root, items, item, index(path, i))...)
			}
		}
	case object:
		properties, ok := schema["properties"].(object)
		for name, value := range v {
			if each, known := properties[name].(object); known {
				list = append(list, violations(root, each, value, join(path, name))...)
			} else if ok && schema["additionalProperties"] == false {
				bad(name + " is not a setting")
			}
		}
	}
	return list
}

// typed tells whether v is of one of the types that a schema allows.
func typed(want any, v any) bool {
	if list, ok := want.([]any); ok {
		return slices.ContainsFunc(list, func(each any) bool { return typed(each, v) })
	}
	switch v := v.(type) {
	case nil:
		return want == "null"
	case bool:
		return want == "boolean"
	case float64:
		return want == "number" || want == "integer" && v == float64(int64(v))
	case string:
		return want == "string"
	case []any:
		return want == "array"
	}
	return want == "object"
}

// validate reads YAML as an editor does, and validates it by the committed schema.
func validate(t *testing.T, text string) []string {
	t.Helper()
	written, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var root object
	if err := json.Unmarshal(written, &root); err != nil {
		t.Fatal(err)
	}
	asJSON, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	var v any
	if err := json.Unmarshal(asJSON, &v); err != nil {
		t.Fatal(err)
	}
	return violations(root, root, v, "")
}

func TestSchema_good(t *testing.T) {
	names, _ := filepath.Glob("testdata/good/*.yaml")
	texts := []string{
		"upstream: redis://127.0.0.1:6379\nlisten: :7000\nrules:\n- {keys: 's:*', size: {value: 512}, expiry: {max: 1h30m}, key_entropy: 64}\nlimits:\ndrain: 0\n",
		"tls: {min_version: 1.3}\npassword: 0123\nlimits: {bulk: 64 KiB, idle: 0}\n",
		Default().String(),
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Load(Flags{File: "f"}, nil, func(name string) ([]byte, error) {
			if name == "f" {
				return text, nil
			}
			return []byte("as-long-as-a-token-is"), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text), c.String())
	}
	for _, text := range texts {
		if wrong := validate(t, text); len(wrong) > 0 {
			t.Errorf("%q in\n%s", wrong, text)
		}
	}
}

func TestSchema_bad(t *testing.T) {
	for text, want := range map[string]string{
		"upstrem: redis://h":                          ": upstrem is not a setting",
		"rules: [{sise: {value: 1KiB}}]":              "rules[0]: sise is not a setting",
		"rules: [{expiry: {defualt: 30m}}]":           "rules[0].expiry: defualt is not a setting",
		"tenants: [{name: a, rules: [{keyz: [a]}]}]":  "tenants[0].rules[0]: keyz is not a setting",
		"upstream: {url: redis://h, conect: 1s}":      "upstream: conect is not a setting",
		"limits: {client: 5}":                         "limits: client is not a setting",
		"rules: {expiry: {max: 1h}}":                  "rules: ",
		"rules: [{expiry: {max: 12x}}]":               "rules[0].expiry.max: 12x does not match",
		"rules: [{expiry: {max: 30}}]":                "rules[0].expiry.max: 30 is no string",
		"rules: [{expiry: {over: drop}}]":             "rules[0].expiry.over: drop is none of",
		"rules: [{size: {value: 64K}}]":               "rules[0].size.value: 64K does not match",
		"rules: [{key_entropy: high}]":                "rules[0].key_entropy: high is no integer",
		"drain: 30":                                   "drain: too large",
		"threads: two":                                "threads: two is no integer",
		"log: {level: verbose}":                       "log.level: verbose is none of",
		"listen: nowhere":                             "listen: ",
		"commands: {learn: maybe}":                    "commands.learn: maybe is no boolean",
		"commands: {custom: [{name: X, keys: 1..x}]}": "commands.custom[0].keys: 1..x does not match",
	} {
		if got := validate(t, text); !strings.Contains(strings.Join(got, "\n"), want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// The words that the schema takes from a comment are those that Load takes, and no others.
func TestSchema_words(t *testing.T) {
	found := 0
	for _, s := range settings(reflect.ValueOf(Default()), "") {
		words := wordsOf(t, s.path)
		for _, word := range append(words, "zzz") {
			if len(words) == 0 {
				break
			}
			found++
			_, err := Load(Flags{}, []string{envName(s.path) + "=" + word}, os.ReadFile)
			if refused := err != nil && strings.Contains(err.Error(), "is not known"); refused != (word == "zzz") {
				t.Errorf("%s: %s gives the error %v", s.path, word, err)
			}
		}
	}
	if found < 15 {
		t.Errorf("only %d words were found", found)
	}
}

// wordsOf are the texts that the schema's "enum" has for a setting.
func wordsOf(t *testing.T, path string) (words []string) {
	for _, wrong := range validate(t, nested(path)) {
		if _, after, ok := strings.Cut(wrong, "is none of ["); ok {
			for _, word := range strings.Fields(strings.TrimSuffix(after, "]")) {
				if !slices.Contains(words, word) {
					words = append(words, word)
				}
			}
		}
	}
	return words
}

// nested is a file that sets one setting to what no setting takes.
func nested(path string) string {
	steps := strings.Split(path, ".")
	return strings.Join(steps, ": {") + ": [[zzz]]" + strings.Repeat("}", len(steps)-1)
}
