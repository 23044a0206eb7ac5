package proxy

import (
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"sessiongate/command"
)

// Only commands whose keys are certain, and which do nothing but read or write them, are learned.
func TestCertain(t *testing.T) {
	got := certain(map[string]*redis.CommandInfo{
		"my.set":    {Name: "my.set", Arity: -3, Flags: []string{"write", "module"}, FirstKeyPos: 1, LastKeyPos: 1, StepCount: 1},
		"my.mget":   {Name: "my.mget", Arity: -2, Flags: []string{"readonly", "fast"}, FirstKeyPos: 1, LastKeyPos: -1, StepCount: 1},
		"my.odd":    {Name: "my.odd", Arity: -2, Flags: []string{"module"}, FirstKeyPos: 2, LastKeyPos: 2, StepCount: 1},
		"my.list":   {Name: "my.list", Arity: 1, Flags: []string{"readonly"}},
		"my.move":   {Name: "my.move", Arity: -2, Flags: []string{"write", "movablekeys"}, FirstKeyPos: 1, LastKeyPos: 1, StepCount: 1},
		"my.admin":  {Name: "my.admin", Arity: -2, Flags: []string{"admin"}, FirstKeyPos: 1, LastKeyPos: 1, StepCount: 1},
		"my.wait":   {Name: "my.wait", Arity: -2, Flags: []string{"write", "blocking"}, FirstKeyPos: 1, LastKeyPos: 1, StepCount: 1},
		"my.script": {Name: "my.script", Arity: -2, Flags: []string{"noscript"}, FirstKeyPos: 1, LastKeyPos: 1, StepCount: 1},
		"my.speak":  {Name: "my.speak", Arity: -2, Flags: []string{"pubsub"}, FirstKeyPos: 1, LastKeyPos: 1, StepCount: 1},
	})
	want := []command.Extra{
		{Name: "my.mget", Arity: -2, Keys: command.KeyRange{First: 1, Last: -1, Step: 1}, Learned: true},
		{Name: "my.odd", Arity: -2, Keys: command.KeyRange{First: 2, Last: 2, Step: 1}, Writes: true, Learned: true},
		{Name: "my.set", Arity: -3, Keys: command.KeyRange{First: 1, Last: 1, Step: 1}, Writes: true, Learned: true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
