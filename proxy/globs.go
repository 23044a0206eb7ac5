package proxy

import "sync"

// globs counts the clients of one tenant that are subscribed to each pattern. The upstream counts everybody's.
type globs struct {
	mu      sync.Mutex
	clients map[string]int
}

// add takes note of n more clients, or fewer if n is negative.
func (g *globs) add(pattern string, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.clients == nil {
		g.clients = map[string]int{}
	}
	if g.clients[pattern] += n; g.clients[pattern] == 0 {
		delete(g.clients, pattern)
	}
}

// count returns how many different patterns there are.
func (g *globs) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.clients)
}
