package proxy

import (
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"sessiongate/command"
	"sessiongate/policy"
)

// observedLog counts what enforcing observed rules would do. The first of a class is logged at once, with its reason; what comes
// after it every observedEvery, as a number, and at the end of the program what is left. So the sum of all lines is how many there
// were.
type observedLog struct {
	log     *zap.Logger
	mu      sync.Mutex // a leaf, never held while anything is written
	counts  map[sighting]int
	flushed time.Time
}

// sighting is a class of what is observed.
type sighting struct{ tenant, rule, kind, verdict, command, client, library string }

const (
	// maxSightings is how many classes are told apart. Beyond that clients and commands go by the name of otherName.
	maxSightings = 4096
	otherName    = "(other)"
	// observedEvery is the distance of two lines of one class.
	observedEvery = 10 * time.Second
	// longestName is how much in bytes is kept of what a client calls itself.
	longestName = 64
)

// note counts one more of the class.
func (l *observedLog) note(class sighting, reason string) {
	l.mu.Lock()
	if l.counts == nil {
		l.counts = map[sighting]int{}
	}
	_, known := l.counts[class]
	if !known && len(l.counts) >= maxSightings {
		class.client, class.library, class.command = otherName, "", otherName
		_, known = l.counts[class]
	}
	if known {
		l.counts[class]++
	} else {
		l.counts[class] = 0 // what is logged at once is not counted
	}
	l.mu.Unlock()
	if !known {
		l.write(class, 1, zap.String("reason", reason))
	}
}

// flush logs what has been counted since the last time.
func (l *observedLog) flush(now time.Time) {
	l.mu.Lock()
	l.flushed = now
	due := map[sighting]int{}
	for class, n := range l.counts {
		if n > 0 {
			due[class], l.counts[class] = n, 0
		}
	}
	l.mu.Unlock()
	for class, n := range due {
		l.write(class, n)
	}
}

// due reports whether it is time to flush.
func (l *observedLog) due(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now.Sub(l.flushed) >= observedEvery
}

func (l *observedLog) write(c sighting, n int, more ...zap.Field) {
	l.log.Warn("observed", append([]zap.Field{zap.String("tenant", c.tenant), zap.String("rule", c.rule), zap.String("kind", c.kind),
		zap.String("verdict", c.verdict), zap.String("command", c.command), zap.String("client", c.client), zap.String("library", c.library),
		zap.Int("count", n)}, more...)...)
}

// note counts what enforcing would do with a command of this client's.
func (s *Session) note(name string, r *policy.Refusal, verdict string) {
	a := s.about.Load()
	s.srv.observed.note(sighting{s.tenant.Name, r.Rule, r.Kind, verdict, name,
		a.name[:min(len(a.name), longestName)], a.library()}, r.Text)
}

// library is what the client says of its library.
func (a *about) library() string {
	library := a.libName
	if a.libVer != "" {
		library += " " + a.libVer
	}
	return library[:min(len(library), longestName)]
}

// commandName is what is logged as the command. What is in no table might be anything, so only what looks like a name is said.
func commandName(c cmd) string {
	if c.spec != nil {
		return c.spec.Name
	}
	if name := string(c.args[0]); len(name) > 0 && len(name) <= 32 && strings.Trim(strings.ToUpper(name), "ABCDEFGHIJKLMNOPQRSTUVWXYZ._-") == "" {
		return strings.ToUpper(name)
	}
	return "(unknown)"
}

// isForeign reports whether the table has no row for the command, or only its container's.
func isForeign(c cmd) bool {
	return c.spec == nil || c.spec.Flags&command.Container != 0 && len(c.args) > 1
}
