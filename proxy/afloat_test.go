package proxy

import (
	"context"
	"strings"
	"testing"

	"sessiongate/command"
	"sessiongate/policy"
)

func asCmd(words ...string) cmd {
	args := make([][]byte, len(words))
	for i, word := range words {
		args[i] = []byte(word)
	}
	return cmd{spec: command.Lookup(args), args: args}
}

// afloatSession is in a transaction that has no node.
func afloatSession(t *testing.T) *Session {
	s := onLine(t, policy.Config{}, 1, "PING")
	s.begin()
	s.sharded, s.special = true, true
	s.setAfloat(asCmd("MULTI"))
	return s
}

// However much is refused, and whatever follows, a transaction without a node stays small.
func TestAfloat_isBounded(t *testing.T) {
	s, ctx := afloatSession(t), context.Background()
	for range 1000 {
		s.drift(ctx, asCmd("CLIENT", "ID"))
	}
	for range 3000 {
		s.drift(ctx, asCmd("PUBLISH", "x", "y"))
	}
	if len(s.tx.kept) != 1 || !s.tx.failed || s.tx.size != 0 {
		t.Errorf("%d commands are kept in %d bytes after a failure", len(s.tx.kept), s.tx.size)
	}
	if n := strings.Count(string(s.out), "+QUEUED"); n != 3000 {
		t.Errorf("%d of 3000 are answered", n)
	}
	s = afloatSession(t)
	for s.tx.size < maxBatch {
		s.drift(ctx, asCmd("PUBLISH", "x", "y"))
	}
	if most := maxBatch/keptCost + 1; len(s.tx.kept) > most {
		t.Errorf("%d commands are kept, most is %d", len(s.tx.kept), most)
	}
}

// A command is counted once, though it is kept first and placed later.
func TestAfloat_isCountedOnce(t *testing.T) {
	s := afloatSession(t)
	s.drift(context.Background(), asCmd("PUBLISH", "x", "y"))
	if s.acct.counted != 2 {
		t.Errorf("MULTI and PUBLISH count as %d", s.acct.counted)
	}
	waiting := s.tx.kept
	s.tx = transaction{}
	s.begin()
	s.placeKept(waiting)
	if s.acct.counted != 2 || s.batch.Count != 2 {
		t.Errorf("they count as %d when %d are sent", s.acct.counted, s.batch.Count)
	}
}
