package capacity

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"
)

// progress tells how far a run is: on a terminal with a bar, else with a line now and then. Many may use it at once.
type progress struct {
	to       io.Writer
	terminal bool

	mu          sync.Mutex
	what        string
	done, total int
	began, told time.Time
	drawn       bool
}

const (
	barWidth  = 30
	drawEvery = 200 * time.Millisecond
	lineEvery = 10 * time.Second // where there is no terminal
)

// begin is for something new of which there are total.
func (p *progress) begin(what string, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what, p.done, p.total, p.began, p.told = what, 0, total, time.Now(), time.Now()
}

// tick says that n more are done.
func (p *progress) tick(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	every := lineEvery
	if p.terminal {
		every = drawEvery
	}
	now := time.Now()
	if p.to == nil || now.Sub(p.told) < every {
		return
	}
	p.told = now
	rate := float64(p.done) / now.Sub(p.began).Seconds()
	left := time.Duration(math.Round(float64(p.total-p.done)/rate)) * time.Second
	if !p.terminal {
		fmt.Fprintf(p.to, "%s: %d of %d, %.0f/s, %s left\n", p.what, p.done, p.total, rate, left)
		return
	}
	full := min(p.done*barWidth/max(p.total, 1), barWidth)
	fmt.Fprintf(p.to, "\r\033[K%s [%s%s] %3d%%  %.0f/s, %s left ", p.what, strings.Repeat("#", full), strings.Repeat(".", barWidth-full),
		100*p.done/max(p.total, 1), rate, left)
	p.drawn = true
}

// say tells something on a line of its own.
func (p *progress) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.to == nil {
		return
	}
	if p.drawn {
		fmt.Fprint(p.to, "\r\033[K")
		p.drawn = false
	}
	fmt.Fprintf(p.to, format+"\n", args...)
}
