package config

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds on a file, so that a strange one is an error and not a program out of memory.
const (
	maxBytes  = 4 << 20 // of text
	maxDepth  = 64      // of brackets and of settings in settings
	maxColumn = 4096    // where structure may begin; indentation is depth too
	maxValues = 1 << 18 // after aliases are followed
)

// document reads YAML text into a struct, noting where each value stands.
type document struct {
	*ledger
	source  string
	rank    rank
	anchors map[string]ast.Node
	values  int // read so far
}

// decode reads text into v, a struct or a list at path. Whatever is wrong goes to the ledger; what is right is set.
func (d *document) decode(text []byte, path string, v reflect.Value, f field) {
	body, err := d.parse(text)
	if err != nil {
		d.reportAt(err.Origin, path, err.Text, err.Hint)
		return
	}
	d.value(path, Origin{}, body, v, f, 0)
}

// parse returns the one document in text.
func (d *document) parse(text []byte) (body ast.Node, problem *Error) {
	fail := func(tk *token.Token, text, hint string) *Error {
		return &Error{Origin: d.origin(tk), Text: text, Hint: hint}
	}
	defer func() {
		if r := recover(); r != nil { // the parser is not ours, and a bad file must not end a running server
			body, problem = nil, fail(nil, "is not valid YAML", "")
		}
	}()
	switch {
	case len(text) > maxBytes:
		return nil, fail(nil, fmt.Sprintf("is longer than %d MiB", maxBytes>>20), "is this the right file?")
	case !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0:
		return nil, fail(nil, "is not text in UTF-8", "is this the right file?")
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	text = bytes.ReplaceAll(text, []byte("\r"), []byte("\n")) // a line's end in YAML too
	tokens := lexer.Tokenize(string(text))
	if tk := tooDeep(tokens); tk != nil {
		return nil, fail(tk, "is nested too deep", "")
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var at yaml.Error
		if errors.As(err, &at) {
			text, hint := syntax(at.GetMessage())
			return nil, fail(at.GetToken(), text, hint)
		}
		return nil, fail(nil, "is not valid YAML", "")
	}
	return d.single(file, fail)
}

// single returns the body of file's only document and takes note of its anchors.
func (d *document) single(file *ast.File, fail func(*token.Token, string, string) *Error) (ast.Node, *Error) {
	var body ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil || doc.Body.Type() == ast.DirectiveType:
		case body != nil:
			return nil, fail(first(doc.Body), "a second document begins here", "keep one document per file")
		default:
			body = doc.Body
		}
	}
	if body == nil || body.Type() == ast.NullType {
		return nil, fail(nil, "is empty", "")
	}
	d.anchors = map[string]ast.Node{}
	ast.Walk(d, body)
	return body, nil
}

// Visit notes an anchor. It makes document an ast.Visitor.
func (d *document) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok {
		d.anchors[a.Name.GetToken().Value] = a.Value
	}
	return d
}

// tooDeep returns the token at which text is nested deeper than the parser, which recurses, should be asked to go.
func tooDeep(tokens token.Tokens) *token.Token {
	depth := 0
	for _, tk := range tokens {
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType, token.MappingValueType, token.MappingKeyType, token.TagType, token.AnchorType:
			if tk.Position.Column > maxColumn {
				return tk
			}
		}
		if depth > maxDepth {
			return tk
		}
	}
	return nil
}

// syntax puts what the parser says in other words where its own leave people guessing.
func syntax(message string) (text, hint string) {
	switch {
	case strings.Contains(message, "tab character"), strings.Contains(message, "\t"):
		return "a tab stands where only spaces may", "indent with spaces"
	case strings.Contains(message, "mapping value is not allowed"):
		return message, `put text that holds ": " in quotes`
	}
	return clip(message), ""
}
