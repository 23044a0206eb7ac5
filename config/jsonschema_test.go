package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"sessiongate/policy"
)

// docs/sessiongate.schema.json is made of the types of Config: their yaml tags are the names, their comments the
// descriptions. `go test ./config -run Schema -update` writes it anew.
const schemaFile = "../docs/sessiongate.schema.json"

func TestSchema(t *testing.T) {
	want := makeSchema(t)
	if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" {
		if err := os.WriteFile(schemaFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not of this configuration (%v); write it anew with: go test ./config -run Schema -update", schemaFile, err)
	}
}

// object is a JSON object.
type object = map[string]any

// schemaMaker makes the schema of each type once.
type schemaMaker struct {
	docs map[string]string // by "policy.SizeConfig" or "policy.SizeConfig.Key"
	defs object            // by a type's name
}

func makeSchema(t testing.TB) []byte {
	t.Helper()
	m := &schemaMaker{docs: map[string]string{}, defs: object{}}
	for _, dir := range []string{".", "../policy"} {
		m.readComments(t, dir)
	}
	root := m.mapping(reflect.ValueOf(Default()))
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Sessiongate"
	root["$defs"] = m.defs
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(root); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// readComments takes note of what the sources in dir say of their types and fields.
func (m *schemaMaker) readComments(t testing.TB, dir string) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			types, ok := decl.(*ast.GenDecl)
			if !ok || types.Tok != token.TYPE || strings.HasSuffix(name, "_test.go") {
				continue
			}
			for _, spec := range types.Specs {
				spec := spec.(*ast.TypeSpec)
				path := file.Name.Name + "." + spec.Name.Name
				m.docs[path] = oneLine(types.Doc.Text())
				if s, ok := spec.Type.(*ast.StructType); ok {
					for _, f := range s.Fields.List {
						for _, id := range f.Names {
							m.docs[path+"."+id.Name] = oneLine(f.Doc.Text() + " " + f.Comment.Text())
						}
					}
				}
			}
		}
	}
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// mapping is the schema of a struct, whose value holds the defaults.
func (m *schemaMaker) mapping(v reflect.Value) object {
	properties := object{}
	m.addFields(properties, v)
	schema := object{"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false}
	describe(schema, m.docs[v.Type().String()])
	return schema
}

func (m *schemaMaker) addFields(properties object, v reflect.Value) {
	for i := range v.NumField() {
		def := v.Type().Field(i)
		name, options, _ := strings.Cut(def.Tag.Get("yaml"), ",")
		if options == "inline" {
			m.addFields(properties, v.Field(i))
			continue
		}
		if !def.IsExported() || name == "-" || name == "" {
			continue
		}
		doc := m.docs[v.Type().String()+"."+def.Name]
		schema := m.value(v.Field(i), doc)
		if short, ok := strings.CutPrefix(options, "short="); ok {
			inner := reflect.Zero(elem(def.Type)).FieldByNameFunc(func(name string) bool { return strings.EqualFold(name, short) })
			schema = object{"anyOf": []any{schema, m.value(inner, "")}}
		}
		if doc == "" {
			doc = m.docs[elem(def.Type).String()]
		}
		describe(schema, doc)
		properties[name] = schema
	}
}

// elem is the type of the values in a list or behind a pointer.
func elem(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t
}

func describe(schema object, doc string) {
	if doc != "" {
		schema["description"] = doc
	}
}

// value is the schema of one setting.
func (m *schemaMaker) value(v reflect.Value, doc string) object {
	t := v.Type()
	switch {
	case t.Kind() == reflect.Pointer:
		return m.value(reflect.Zero(t.Elem()), doc)
	case scalar(t):
		schema := m.scalar(t, doc)
		if !blank(v) && !v.IsZero() {
			schema["default"] = plainValue(v)
		}
		return schema
	case t.Kind() == reflect.Slice:
		items := m.value(reflect.Zero(t.Elem()), doc)
		schema := object{"type": []string{"array", "null"}, "items": items}
		if list(t) { // a single value is a list of one
			schema = object{"anyOf": []any{schema, items}}
		}
		if v.Len() > 0 {
			var all []any
			for i := range v.Len() {
				all = append(all, plainValue(v.Index(i)))
			}
			schema["default"] = all
		}
		return schema
	}
	if m.defs[t.Name()] == nil {
		m.defs[t.Name()] = object{} // a type that holds itself would else never end
		m.defs[t.Name()] = m.mapping(v)
	}
	return object{"$ref": "#/$defs/" + t.Name()}
}

// plainValue is v as JSON has it.
func plainValue(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool()
	case reflect.Int:
		return v.Int()
	}
	return plainText(v)
}

const durationPattern = "([0-9]+(d|h|m|s|ms))+"

// texts are the schemas of types that are written as text. YAML reads some of it as numbers.
var texts = map[reflect.Type]object{
	reflect.TypeFor[policy.Duration](): {"type": "string", "pattern": "^" + durationPattern + "$"},
	reflect.TypeFor[Duration]():        {"type": []string{"string", "integer"}, "pattern": "^(0|" + durationPattern + ")$", "minimum": 0, "maximum": 0},
	reflect.TypeFor[policy.Size]():     {"type": []string{"string", "integer"}, "pattern": "^[0-9]+ *(([KkMmGg][Ii]?)?[Bb])?$", "minimum": 1},
	reflect.TypeFor[policy.Bits]():     {"type": "integer", "minimum": 0, "maximum": 1024},
	reflect.TypeFor[KeyRange]():        {"type": []string{"string", "integer"}, "pattern": `^(none|[0-9]+(\.\.-?[0-9]+)?(/[0-9]+)?)$`, "minimum": 1},
	reflect.TypeFor[Listener]():        {"type": "string", "pattern": "^((tcp://|tls://)?.*:[0-9]+|unix:///.+)$"},
	reflect.TypeFor[URL]():             {"type": "string"},
}

// quotedWords are those in a comment that a setting takes, if there are several.
var quotedWords = regexp.MustCompile(`"([^"]+)"`)

func (m *schemaMaker) scalar(t reflect.Type, doc string) object {
	schema := object{}
	if known, ok := texts[t]; ok {
		for name, value := range known {
			schema[name] = value
		}
		return schema
	}
	switch t.Kind() {
	case reflect.Bool:
		schema["type"] = "boolean"
	case reflect.Int, reflect.Int64:
		schema["type"] = "integer"
	default:
		schema["type"] = []string{"string", "number", "boolean"} // a name may be 0123, and a password true
	}
	if words := quotedWords.FindAllStringSubmatch(doc, -1); t == reflect.TypeFor[string]() && len(words) > 1 {
		var enum []any
		for _, word := range words {
			enum = append(enum, word[1])
			if x, err := strconv.ParseFloat(word[1], 64); err == nil {
				enum = append(enum, x) // TLS 1.3, which YAML takes for a number
			}
		}
		schema = object{"enum": enum}
	}
	return schema
}
