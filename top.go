package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func (p *program) topCommand() *cobra.Command {
	t := &top{p: p}
	var to reach
	c := &cobra.Command{
		Use:   "top",
		Short: "Watch a running Sessiongate: commands, latencies, refusals, slowest, tenants",
		Long: "Show what a running Sessiongate does, anew every few seconds until it is interrupted.\n" +
			"Where the output is no terminal, the views follow one another.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if t.every < 100*time.Millisecond {
				return usageError{fmt.Errorf("--interval %v is below 100ms", t.every)}
			}
			var err error
			if t.remote, err = p.remote(to); err != nil {
				return err
			}
			return t.run(cmd.Context())
		},
	}
	to.flags(c)
	c.Flags().BoolVar(&t.once, "once", false, "show one view, of one interval")
	c.Flags().DurationVar(&t.every, "interval", 2*time.Second, "`time` between two views")
	return c
}

// top shows differences between two looks at the running totals.
type top struct {
	p      *program
	remote *remote
	once   bool
	every  time.Duration
}

// These are what it reads of the API.
type (
	topLatency struct {
		Counts []int64
		Sum    float64 `json:"sum_s"`
	}
	topTenant struct {
		Tenant            string
		Clients           int64
		BytesIn           int64 `json:"bytes_in"`
		BytesOut          int64 `json:"bytes_out"`
		Verdicts          map[string]int64
		Latency           struct{ Total, Upstream topLatency }
		commands, refused int64
	}
	topCommand struct {
		Tenant, Command                            string
		Passed, Rewritten, Refused, Local, Unknown int64
	}
	topStats struct {
		Uptime   float64 `json:"uptime_s"`
		Totals   map[string]int64
		Bounds   []float64 `json:"bounds_s"`
		Tenants  []topTenant
		Commands []topCommand
	}
	topStatus struct {
		Version string
		Ready   bool
		Reasons []string
		Paused  bool
		Clients int64
	}
	topRefusal struct {
		Tenant, Rule, Kind, Command string
		Count                       int64
		Last                        time.Time
	}
	topRefusals struct{ Classes []topRefusal }
	topEntry    struct {
		Time                 time.Time
		Tenant, Command, Key string
		Total                float64 `json:"total_ms"`
		Upstream             float64 `json:"upstream_ms"`
		Client               struct{ Addr, Name string }
	}
	topSlow struct{ Entries []topEntry }
)

// topLines is how many lines a list has at most.
const topLines = 8

func (t *top) run(ctx context.Context) error {
	var before topStats
	if err := t.remote.get(ctx, "/stats", nil, &before); err != nil {
		return err
	}
	tick := time.NewTicker(t.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		view, now, err := t.view(ctx, before)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		if terminal(t.p.stdout) && !t.once {
			view = "\x1b[H\x1b[2J" + view // from the top left of an empty screen
		}
		if _, err := fmt.Fprint(t.p.stdout, view); err != nil {
			return err
		}
		if t.once {
			return nil
		}
		before = now
	}
}

// view is one look, compared with the one before.
func (t *top) view(ctx context.Context, before topStats) (string, topStats, error) {
	var now topStats
	var status topStatus
	var refusals topRefusals
	var slow topSlow
	err := t.remote.get(ctx, "/stats", nil, &now)
	for path, into := range map[string]any{"/status": &status, "/refusals": &refusals, "/slowlog?limit=100": &slow} {
		err = errors.Join(err, t.remote.get(ctx, path, nil, into))
	}
	if err != nil {
		return "", now, err
	}
	passed := now.Uptime - before.Uptime
	if passed <= 0 { // it was started anew
		before, passed = topStats{}, max(now.Uptime, 0.001)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "sessiongate %s  up %s  %d clients  %.0f commands/s  %.1f refused/s  %s\n\n", status.Version, seconds(int64(now.Uptime)),
		status.Clients, float64(now.Totals["commands"]-before.Totals["commands"])/passed, float64(now.Totals["refused"]-before.Totals["refused"])/passed, state(status))
	viewTenants(&b, now, before, passed)
	viewCommands(&b, now, before, passed)
	viewRefusals(&b, refusals)
	viewSlow(&b, slow)
	return b.String(), now, nil
}

func state(s topStatus) string {
	switch {
	case s.Paused:
		return "paused"
	case s.Ready:
		return "ready"
	}
	return "not ready: " + strings.Join(s.Reasons, ", ")
}

// columns prints a list, if it has lines.
func columns(b *strings.Builder, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, title)
	for _, line := range lines[:min(len(lines), topLines)] {
		fmt.Fprintln(w, line)
	}
	_ = w.Flush() // to memory
	b.WriteByte('\n')
}

func viewTenants(b *strings.Builder, now, before topStats, passed float64) {
	was := map[string]topTenant{}
	for _, t := range before.Tenants {
		was[t.Tenant] = t
	}
	for i := range now.Tenants {
		t := &now.Tenants[i]
		for verdict, n := range t.Verdicts {
			t.commands += n - was[t.Tenant].Verdicts[verdict]
		}
		t.refused = t.Verdicts["refused"] - was[t.Tenant].Verdicts["refused"]
	}
	slices.SortStableFunc(now.Tenants, func(a, b topTenant) int { return cmp.Compare(b.commands, a.commands) })
	var lines []string
	for _, t := range now.Tenants {
		old := was[t.Tenant]
		lines = append(lines, fmt.Sprintf("%s\t%d\t%.0f\t%.1f\t%s\t%s\t%s\t%s\t%s\t%s", owner(t.Tenant), t.Clients, float64(t.commands)/passed, float64(t.refused)/passed,
			quantile(now.Bounds, t.Latency.Total, old.Latency.Total, 0.5), quantile(now.Bounds, t.Latency.Total, old.Latency.Total, 0.99),
			quantile(now.Bounds, t.Latency.Upstream, old.Latency.Upstream, 0.5), quantile(now.Bounds, t.Latency.Upstream, old.Latency.Upstream, 0.99),
			bytesText(int64(float64(t.BytesIn-old.BytesIn)/passed)), bytesText(int64(float64(t.BytesOut-old.BytesOut)/passed))))
	}
	columns(b, "TENANT\tCLIENTS\tCOMMANDS/S\tREFUSED/S\tP50\tP99\tUPSTREAM P50\tP99\tIN/S\tOUT/S", lines)
}

// quantile is the bound below which a share of what came between two looks lies.
func quantile(bounds []float64, now, before topLatency, share float64) string {
	counts, total := slices.Clone(now.Counts), int64(0)
	for i := range counts {
		if i < len(before.Counts) {
			counts[i] -= before.Counts[i]
		}
		total += counts[i]
	}
	if total <= 0 {
		return "-"
	}
	rank, seen := int64(math.Ceil(share*float64(total))), int64(0)
	for i, n := range counts {
		if seen += n; seen >= rank && i < len(bounds) {
			return "<" + time.Duration(bounds[i]*float64(time.Second)).String()
		}
	}
	return ">" + time.Duration(bounds[len(bounds)-1]*float64(time.Second)).String()
}

func (c topCommand) sum() int64 { return c.Passed + c.Rewritten + c.Refused + c.Local + c.Unknown }

func viewCommands(b *strings.Builder, now, before topStats, passed float64) {
	was := map[[2]string]topCommand{}
	for _, c := range before.Commands {
		was[[2]string{c.Tenant, c.Command}] = c
	}
	busy := slices.Clone(now.Commands)
	for i := range busy {
		c := &busy[i]
		old := was[[2]string{c.Tenant, c.Command}]
		c.Passed -= old.Passed
		c.Rewritten -= old.Rewritten
		c.Refused -= old.Refused
		c.Local -= old.Local
		c.Unknown -= old.Unknown
	}
	busy = slices.DeleteFunc(busy, func(c topCommand) bool { return c.sum() == 0 })
	slices.SortStableFunc(busy, func(a, b topCommand) int { return cmp.Compare(b.sum(), a.sum()) })
	var lines []string
	for _, c := range busy {
		line := owner(c.Tenant) + "\t" + c.Command
		for _, n := range []int64{c.sum(), c.Passed, c.Rewritten, c.Refused, c.Local, c.Unknown} {
			line += fmt.Sprintf("\t%.0f", float64(n)/passed)
		}
		lines = append(lines, line)
	}
	columns(b, "TENANT\tCOMMAND\tCALLS/S\tPASSED\tREWRITTEN\tREFUSED\tLOCAL\tUNKNOWN", lines)
}

func viewRefusals(b *strings.Builder, r topRefusals) {
	slices.SortStableFunc(r.Classes, func(a, b topRefusal) int { return b.Last.Compare(a.Last) })
	var lines []string
	for _, c := range r.Classes {
		lines = append(lines, fmt.Sprintf("%s\t%s\t%s\t%s\t%d\t%s ago", owner(c.Tenant), shown(c.Rule), c.Kind, c.Command, c.Count, ago(c.Last)))
	}
	columns(b, "REFUSED OF\tRULE\tKIND\tCOMMAND\tTIMES\tLAST", lines)
}

func viewSlow(b *strings.Builder, s topSlow) {
	slices.SortStableFunc(s.Entries, func(a, b topEntry) int { return cmp.Compare(b.Total, a.Total) })
	var lines []string
	for _, e := range s.Entries {
		lines = append(lines, fmt.Sprintf("%s\t%s\t%s\t%.1fms\t%.1fms\t%s ago\t%s", owner(e.Tenant), e.Command, shown(e.Key), e.Total, e.Upstream,
			ago(e.Time), shown(cmp.Or(e.Client.Name, e.Client.Addr))))
	}
	columns(b, "SLOWEST OF\tCOMMAND\tKEY\tTOTAL\tUPSTREAM\tWHEN\tCLIENT", lines)
}

func ago(t time.Time) string { return seconds(max(0, int64(time.Since(t).Seconds()))) }

// owner shows a tenant. Clients that have not authenticated have none.
func owner(tenant string) string { return cmp.Or(shown(tenant), "(none)") }
