package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// value reads n into v. A problem with a block of settings is shown at its key, any other at the value itself.
func (d *document) value(path string, key Origin, n ast.Node, v reflect.Value, f field, depth int) {
	n = d.resolve(path, n)
	if n == nil {
		return
	}
	d.origins[path] = key
	if key.Line == 0 || !below(n) {
		d.origins[path] = d.origin(first(n))
	}
	if d.exhausted(path, depth) {
		return
	}
	if v.Kind() == reflect.Pointer {
		if n.Type() == ast.NullType {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		if u, ok := v.Interface().(interface{ fill() }); ok { // it has other defaults than zero
			u.fill()
		}
		v = v.Elem()
	}
	switch {
	case scalar(v.Type()):
		d.scalar(path, n, v)
	case v.Kind() == reflect.Struct:
		d.mapping(path, n, v, f, depth)
	case v.Kind() == reflect.Slice:
		d.sequence(path, n, v, depth)
	default:
		panic("config: a setting of type " + v.Type().String())
	}
}

// exhausted counts one more value and tells whether that is one too many; the first time it says so.
func (d *document) exhausted(path string, depth int) bool {
	if depth <= maxDepth {
		d.values++
	} else if d.values <= maxValues {
		d.values = maxValues + 1
	}
	if d.values == maxValues+1 {
		d.values++
		d.report(path, "is nested too deep or repeated too often", "are aliases (*name) used in a circle?")
	}
	return d.values > maxValues
}

// resolve follows anchors and aliases to what they stand for; nil if there is no such thing.
func (d *document) resolve(path string, n ast.Node) ast.Node {
	for range maxDepth {
		switch t := n.(type) {
		case *ast.AnchorNode:
			n = t.Value
		case *ast.AliasNode:
			name := t.Value.GetToken().Value
			if n = d.anchors[name]; n == nil {
				d.reportAt(d.origin(t.Start), path, fmt.Sprintf("there is no anchor &%s for *%s", name, name), `put text that begins with * in quotes`)
				return nil
			}
		case *ast.TagNode:
			d.reportAt(d.origin(t.Start), path, "has the tag "+t.Start.Value, "leave tags out; put text in quotes")
			return nil
		case nil:
			return nil
		default:
			return n
		}
	}
	d.reportAt(d.origin(first(n)), path, "is an alias of itself", "")
	return nil
}

func (d *document) scalar(path string, n ast.Node, v reflect.Value) {
	text := ""
	switch t := n.(type) {
	case *ast.NullNode:
		d.report(path, "has no value", "write one, or leave the setting out")
		return
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
		d.report(path, "must be a single value, not "+kind(n), "")
		return
	case *ast.LiteralNode:
		text = t.Value.Value
	default: // strings, and numbers as they were written: a password may be 0123
		text = n.GetToken().Value
	}
	if err := setText(v, text); err != nil {
		text, hint, _ := strings.Cut(err.Error(), "; ")
		d.report(path, text, hint)
	}
}

func (d *document) sequence(path string, n ast.Node, v reflect.Value, depth int) {
	v.SetZero()
	switch t := n.(type) {
	case *ast.NullNode:
	case *ast.SequenceNode:
		v.Set(reflect.MakeSlice(v.Type(), len(t.Values), len(t.Values)))
		for i, item := range t.Values {
			d.value(index(path, i), Origin{}, item, v.Index(i), field{}, depth+1)
		}
	case *ast.MappingNode, *ast.MappingValueNode:
		d.report(path, "must be a list", `put "- " before each item`)
	default: // a single value is a list of one
		if !list(v.Type()) {
			d.report(path, "must be a list, not "+kind(n), "")
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		d.scalar(path, n, v.Index(0))
	}
}

func (d *document) mapping(path string, n ast.Node, v reflect.Value, f field, depth int) {
	var entries []*ast.MappingValueNode
	switch t := n.(type) {
	case *ast.NullNode: // every setting in it is commented out
		return
	case *ast.MappingNode:
		entries = t.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{t}
	default:
		for _, inner := range fields(v) {
			if inner.name == f.short && n.Type() != ast.SequenceType {
				d.value(join(path, f.short), Origin{}, n, inner.value, inner, depth+1)
				return
			}
		}
		d.report(path, "must be a mapping of settings, not "+kind(n), `write "name: value" lines`)
		return
	}
	seen := map[string]bool{}
	for _, e := range d.merged(path, entries, depth) {
		d.entry(path, e, v, seen, depth)
	}
}

// merged puts the entries that "<<" brings in after those written out, which win over them.
func (d *document) merged(path string, entries []*ast.MappingValueNode, depth int) []mapEntry {
	var own, brought []mapEntry
	for _, e := range entries {
		if d.exhausted(path, depth) {
			break
		}
		if e.Key.Type() != ast.MergeKeyType {
			own = append(own, mapEntry{e, false})
			continue
		}
		from := []ast.Node{e.Value}
		if s, ok := d.resolve(path, e.Value).(*ast.SequenceNode); ok {
			from = s.Values
		}
		for _, n := range from {
			var inner []*ast.MappingValueNode
			switch t := d.resolve(path, n).(type) {
			case nil:
			case *ast.MappingNode:
				inner = t.Values
			case *ast.MappingValueNode:
				inner = []*ast.MappingValueNode{t}
			default:
				d.reportAt(d.origin(e.Key.GetToken()), path, "<< must name a mapping, not "+kind(t), "")
			}
			for _, m := range d.merged(path, inner, depth+1) {
				brought = append(brought, mapEntry{m.MappingValueNode, true})
			}
		}
	}
	return append(own, brought...)
}

// mapEntry is one "name: value" of a mapping.
type mapEntry struct {
	*ast.MappingValueNode
	brought bool // in by "<<"
}

func (d *document) entry(path string, e mapEntry, v reflect.Value, seen map[string]bool, depth int) {
	key := e.Key.GetToken()
	if k, ok := e.Key.(*ast.MappingKeyNode); ok {
		key = k.Value.GetToken()
	}
	at := join(path, key.Value)
	switch {
	case e.brought && seen[key.Value]:
		return
	case seen[key.Value]:
		d.reportAt(d.origin(key), at, "is given twice", "")
		return
	}
	seen[key.Value] = true
	for _, f := range fields(v) {
		if f.name == key.Value {
			d.value(at, d.origin(key), e.Value, f.value, f, depth+1)
			return
		}
	}
	d.reportAt(d.origin(key), join(path, clip(key.Value)), "is not a setting", cmp.Or(nestedHint(key.Value, v), unknownHint(key.Value, names(v))))
}

// nestedHint says how a setting inside others is written, if key is its path, as messages and manuals call it; or else nothing.
func nestedHint(key string, v reflect.Value) string {
	parts := strings.Split(key, ".")
	for _, part := range parts {
		inner := fieldsOf(v)
		i := slices.IndexFunc(inner, func(f field) bool { return f.name == part })
		if i < 0 {
			return ""
		}
		if v = inner[i].value; v.Kind() == reflect.Pointer {
			v = reflect.New(v.Type().Elem()).Elem()
		}
	}
	return "write " + strings.Join(parts, ": {") + ": ..." + strings.Repeat("}", len(parts)-1)
}

// unknownHint says which of the names was meant, or what there is.
func unknownHint(word string, names []string) string {
	if meant := closest(word, names); meant != "" {
		return fmt.Sprintf("did you mean %q?", meant)
	}
	return "there are " + strings.Join(names, ", ")
}

// clip keeps a name that came from outside to a length and to characters that fit on a line.
func clip(s string) string {
	if len(s) > 64 {
		s = strings.ToValidUTF8(s[:64], "") + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, s)
}

// origin is where tk stands.
func (d *document) origin(tk *token.Token) Origin {
	o := Origin{Source: d.source, rank: d.rank}
	if tk != nil {
		o.Line, o.Column = tk.Position.Line, tk.Position.Column
	}
	return o
}

// first returns the token where a reader sees n begin.
func first(n ast.Node) *token.Token {
	switch t := n.(type) {
	case *ast.MappingNode:
		if !t.IsFlowStyle && len(t.Values) > 0 {
			return first(t.Values[0])
		}
		return t.Start
	case *ast.MappingValueNode:
		return first(t.Key)
	case *ast.LiteralNode:
		return t.Start
	case nil:
		return nil
	}
	return n.GetToken()
}

// below tells whether n begins on a line under its key, or is not there at all.
func below(n ast.Node) bool {
	switch t := n.(type) {
	case *ast.MappingNode:
		return !t.IsFlowStyle
	case *ast.SequenceNode:
		return !t.IsFlowStyle
	case *ast.MappingValueNode, *ast.NullNode:
		return true
	}
	return false
}

func kind(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	}
	return "a single value"
}
