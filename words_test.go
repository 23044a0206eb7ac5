package main

import (
	"fmt"
	"testing"
)

func TestSplitLine(t *testing.T) {
	tests := []struct{ line, want string }{
		{``, `[]`},
		{"  \t ", `[]`},
		{`SET k v`, `["SET" "k" "v"]`},
		{"  SET\tk   v\r", `["SET" "k" "v"]`},
		{`SET k ""`, `["SET" "k" ""]`},
		{`SET "a b" 'c d'`, `["SET" "a b" "c d"]`},
		{`"\x00\xfFx" "\n\r\t\b\a\"\\\q"`, `["\x00\xffx" "\n\r\t\b\a\"\\q"]`},
		{`"\xzz" "\x1"`, `["xzz" "x1"]`},
		{`'it\'s' '\n'`, `["it's" "\\n"]`},
		{`a"b c"`, `["ab c"]`},
		{`ключ`, `["ключ"]`},
		{`"open`, `error`},
		{`'open`, `error`},
		{`"open\`, `error`},
		{`"a"b`, `error`},
	}
	for _, tt := range tests {
		args, err := splitLine(tt.line)
		got := fmt.Sprintf("%q", args)
		if err != nil {
			got = "error"
		}
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.line, got, tt.want)
		}
	}
}
