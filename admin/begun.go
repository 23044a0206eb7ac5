package admin

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
)

// begun is what operators have begun that ends with the process: a hand-over in the middle of it would end it without a word.
type begun struct {
	mu      sync.Mutex // a leaf
	leaving bool       // another process is about to take over
	open    map[string]int
}

// begin takes down that something is under way until end is called. It reports why nothing may be begun.
func (a *Admin) begin(what string) (end func(), err error) {
	if a.cfg.Proxy.Draining() {
		return nil, errDraining
	}
	b := &a.begun
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.leaving {
		return nil, fail(http.StatusServiceUnavailable, "draining", "another process is about to take over: ask again in a moment")
	}
	if b.open == nil {
		b.open = map[string]int{}
	}
	b.open[what]++
	return sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.open[what]--
	}), nil
}

var errDraining = fail(http.StatusServiceUnavailable, "draining", "the program is about to end")

// What is begun.
const (
	aRevocation = "revocation"
	aPause      = "pause"
)

// Leave has nothing be begun any more that would not outlive a hand-over, until stay is called, and reports what is under way of that. It
// is for a nil Admin too, at which nobody begins anything.
func (a *Admin) Leave() (stay func(), err error) {
	if a == nil {
		return func() {}, nil
	}
	b := &a.begun
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := b.open[aRevocation]; n > 0 {
		return nil, fmt.Errorf("%d revocations are under way, which would end with this process: wait for them, or cancel them", n)
	}
	if _, paused := a.cfg.Proxy.Paused(); paused || b.open[aPause] > 0 {
		return nil, errors.New("it is paused, and the new process would not be: resume first")
	}
	b.leaving = true
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.leaving = false
	}, nil
}
