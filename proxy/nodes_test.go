package proxy

import (
	"strconv"
	"testing"
)

func TestCursor(t *testing.T) {
	for _, c := range []cursor{{}, {own: 1, node: 0, share: 7}, {own: 1<<cursorOwn - 1, node: 511, share: 1<<cursorShare - 1}} {
		n := c.pack()
		if got := unpackCursor(n); got != c || int64(n) < 0 {
			t.Errorf("%+v is %d and comes back as %+v", c, n, got)
		}
	}
	at := cursor{share: 5}
	var visited []int
	for nodes := 3; ; {
		visited = append(visited, at.node)
		n, err := at.after([]byte("$1\r\n0\r\n"), nodes)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		at = unpackCursor(n)
	}
	if len(visited) != 3 || at.share != 5 {
		t.Errorf("visited %v, share %d", visited, at.share)
	}
	big := strconv.FormatUint(1<<cursorOwn, 10)
	if _, err := at.after([]byte("$"+strconv.Itoa(len(big))+"\r\n"+big+"\r\n"), 3); err == nil {
		t.Error("a node's cursor that has no room is let through")
	}
}

func TestMayNotify(t *testing.T) {
	for name, want := range map[string]bool{
		"__keyevent@0__:expired": true, "__keyspace@0__:app:*": true, "__key*__:*": true, "*": true, "?_keyevent*": true, "_*": true,
		"app:*": false, "app:__keyevent*": false, "__key": false, "__keyx*": false, "": false,
	} {
		if got := mayNotify([]byte(name), true); got != want {
			t.Errorf("pattern %q: %v, want %v", name, got, want)
		}
	}
	if mayNotify([]byte("*"), false) || !mayNotify([]byte("__keyspace@0__:*"), false) {
		t.Error("a channel is taken for a pattern")
	}
}

func TestOfOneNode(t *testing.T) {
	for raw, want := range map[string]bool{
		"*3\r\n$7\r\nmessage\r\n$22\r\n__keyevent@0__:expired\r\n$1\r\na\r\n":             true,
		"*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$14\r\n__keyevent@0__\r\n":                     false,
		"*3\r\n$8\r\nsmessage\r\n$1\r\nx\r\n$1\r\na\r\n":                                  true,
		"*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$22\r\n__keyevent@0__:expired\r\n$1\r\na\r\n": true,
		"*4\r\n$8\r\npmessage\r\n$14\r\n__keyevent@0__\r\n$1\r\nx\r\n$1\r\na\r\n":         false,
		">4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$18\r\n__keyspace@0__:a:b\r\n$3\r\nset\r\n":   true,
	} {
		if got := ofOneNode([]byte(raw)); got != want {
			t.Errorf("%q: %v, want %v", raw, got, want)
		}
	}
}
