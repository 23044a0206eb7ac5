package main

import (
	"strings"
	"testing"

	"go.uber.org/zap"
)

// A new process that ends as soon as it has said that it serves has not taken over.
func TestHandOver_Dies(t *testing.T) {
	stayed := false
	s := &succession{
		p: &program{path: "/bin/sh", args: []string{"-c", "printf ready >&3; exit 3"}}, log: zap.NewNop(), sockets: &sockets{},
		leave: func() (func(), error) { return func() { stayed = true }, nil },
	}
	next, err := s.handOver(t.Context())
	if next != nil || err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("handOver = %v, %v", next, err)
	}
	if !stayed {
		t.Error("operators can begin nothing any more")
	}
}
