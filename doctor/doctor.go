// Package doctor looks at a Sessiongate from both sides and says what will hurt: as clients do, with the handshakes of many drivers, and
// at the upstream, its settings against the rules. Each finding says what was found and which line of which file puts it right.
//
// It changes nothing and shows no secret.
//
//	report := doctor.Run(ctx, doctor.Config{...})
//	report.Text(os.Stdout)
package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"sessiongate/config"
	"sessiongate/proxy"
)

// Config is what to look at.
type Config struct {
	Settings config.Config
	File     string           // of the settings; empty: there is none
	Warnings []config.Warning // about the settings
	Tenants  []*proxy.Tenant  // of the settings
	Only     string           // the tenant to look at; empty: all

	Address   string // of the Sessiongate, as its clients name it; empty: not to be asked
	Password  string // to log in with there; empty: the tenant's own, where it is not a hash
	OpenFiles uint64 // that this process may have; 0: not known
	Sample    int    // keys of each tenant to look at; 0: none
}

// Level says how bad a finding is.
type Level string

// The levels.
const (
	OK   Level = "ok"
	Note Level = "note" // worth knowing
	Warn Level = "warn" // it works, until it doesn't
	Fail Level = "FAIL" // it doesn't work
)

// Finding is one thing that was looked at.
type Finding struct {
	Level Level  `json:"level"`
	About string `json:"about"` // what was looked at: "clients", "memory", ...
	At    string `json:"at"`    // the tenant, or the upstream's address
	Found string `json:"found"`
	Fix   string `json:"fix,omitempty"` // the line to write, or the command to give
}

// Report is all findings, in the order in which they were made.
type Report struct {
	Findings []Finding
}

// patience is how long an answer may take.
const patience = 5 * time.Second

// Run looks at everything. Where ctx ends early, the report holds what was seen so far.
func Run(ctx context.Context, c Config) *Report {
	r := &Report{}
	for _, w := range c.Warnings {
		r.add(Warn, "configuration", cmp.Or(w.Origin.String(), "settings"), strings.TrimSpace(w.Path+": "+w.Text), w.Hint)
	}
	r.files(c)
	r.process(c)
	tenants := slices.DeleteFunc(slices.Clone(c.Tenants), func(t *proxy.Tenant) bool { return c.Only != "" && t.Name != c.Only })
	if c.Address != "" {
		for _, t := range tenants {
			r.clients(ctx, c, t)
		}
	}
	r.upstreams(ctx, c, tenants)
	return r
}

func (r *Report) add(level Level, about, at, found, fix string) {
	r.Findings = append(r.Findings, Finding{level, about, at, found, fix})
}

// Count is how many findings are of the level.
func (r *Report) Count(level Level) (n int) {
	for _, f := range r.Findings {
		if f.Level == level {
			n++
		}
	}
	return n
}

// Text writes a line for each finding, and a sum.
func (r *Report) Text(to io.Writer) error {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%-4s  %s (%s): %s", f.Level, f.About, f.At, f.Found)
		if f.Fix != "" {
			fmt.Fprintf(&b, "; fix: %s", f.Fix)
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%d ok, %d note, %d warn, %d FAIL\n", r.Count(OK), r.Count(Note), r.Count(Warn), r.Count(Fail))
	_, err := io.WriteString(to, b.String())
	return err
}

// JSON writes one object.
func (r *Report) JSON(to io.Writer) error {
	enc := json.NewEncoder(to)
	enc.SetEscapeHTML(false)
	sums := map[Level]int{}
	for _, level := range []Level{OK, Note, Warn, Fail} {
		sums[level] = r.Count(level)
	}
	return enc.Encode(struct {
		Findings []Finding     `json:"findings"`
		Sums     map[Level]int `json:"sums"`
	}{r.Findings, sums})
}
