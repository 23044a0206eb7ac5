package audit

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"sessiongate/policy"
)

// Report is what an audit has found. Its JSON is for programs: fields are added, never renamed.
type Report struct {
	Tenant    string  `json:"tenant"`
	Upstream  string  `json:"upstream"`
	DB        int     `json:"db"`
	Namespace string  `json:"namespace"`
	Complete  bool    `json:"complete"` // false: the walk was interrupted
	Done      float64 `json:"done"`     // share of the keyspace that was walked through
	Seconds   float64 `json:"seconds"`  // that this took, since it was last resumed

	Keys  int64 `json:"keys"`
	Bytes int64 `json:"bytes"` // in Redis's memory

	Findings  int64 `json:"findings"`
	Fixed     int64 `json:"fixed"`
	Remaining int64 `json:"remaining"` // findings that were not fixed

	Rules      []RuleSums        `json:"rules"`
	Types      map[string]int64  `json:"types"`
	TopByKeys  []Prefix          `json:"top_by_keys"`
	TopByBytes []Prefix          `json:"top_by_bytes"`
	TTL        Histogram         `json:"ttl"`
	Age        Histogram         `json:"age"` // of keys under a lifetime that have a birth
	Idle       Histogram         `json:"idle"`
	Size       Histogram         `json:"size"`
	Untold     map[string]string `json:"untold,omitempty"` // what Redis did not tell: "idle" or "size", and why
}

func (w *walk) report(complete bool) *Report {
	s := &w.state.Sums
	r := &Report{
		Tenant: w.Tenant, Upstream: w.Upstream, DB: w.DB, Namespace: w.Namespace,
		Complete: complete, Done: 1, Seconds: time.Since(w.began).Seconds(), Keys: s.Keys, Bytes: s.Bytes,
		Types: s.Types, TopByKeys: s.ByKeys.first(w.Top), TopByBytes: s.ByBytes.first(w.Top),
		TTL: s.TTL, Age: s.Age, Idle: s.Idle, Size: s.Size, Untold: s.Untold,
	}
	if !complete {
		r.Done = w.state.done()
	}
	for i, rule := range s.Rules {
		if i < len(s.Rules)-1 || rule.Keys > 0 {
			r.Rules = append(r.Rules, rule)
		}
		r.Findings += rule.Found.sum()
		r.Fixed += rule.Fixed.sum()
	}
	r.Remaining = r.Findings - r.Fixed
	return r
}

// Table writes the report for people.
func (r *Report) Table(to io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "tenant %s, namespace %q, database %d of %s\n", r.Tenant, r.Namespace, r.DB, r.Upstream)
	fmt.Fprintf(&b, "%s in %s, looked at in %.0f s", number(r.Keys, "key", "keys"), bytesText(r.Bytes), r.Seconds)
	if !r.Complete {
		fmt.Fprintf(&b, ", at %.0f%% when it was interrupted", 100*r.Done)
	}
	fmt.Fprintf(&b, "\n\n")
	r.rules(&b)
	fmt.Fprintf(&b, "\n%s\n", r.verdict())
	prefixes(&b, "prefixes by keys", r.TopByKeys, func(n int64) string { return fmt.Sprint(n) })
	prefixes(&b, "prefixes by memory", r.TopByBytes, bytesText)
	duration := func(s int64) string {
		if s == 0 {
			return "0"
		}
		return policy.Duration(time.Duration(s) * time.Second).String()
	}
	histogram(&b, "time to live", r.TTL, duration)
	histogram(&b, "age", r.Age, duration)
	histogram(&b, "time since last use", r.Idle, duration)
	histogram(&b, "memory of a key", r.Size, func(n int64) string { return policy.Size(n).String() })
	for _, what := range slices.Sorted(maps.Keys(r.Untold)) {
		fmt.Fprintf(&b, "\nRedis does not tell the %s: %s\n", map[string]string{"idle": "time since last use", "size": "memory of a key"}[what], r.Untold[what])
	}
	_, err := io.WriteString(to, b.String())
	return err
}

// verdict says in a sentence what is wrong and what was done about it.
func (r *Report) verdict() string {
	switch {
	case r.Findings == 0 && !r.Complete:
		return "nothing is wrong so far"
	case r.Findings == 0:
		return "nothing is wrong"
	case r.Fixed == 0:
		return number(r.Findings, "finding", "findings")
	}
	var done Counts
	for _, rule := range r.Rules {
		done.NoExpiry += rule.Fixed.NoExpiry
		done.AboveMax += rule.Fixed.AboveMax
		done.NoBirth += rule.Fixed.NoBirth
		done.PastLifetime += rule.Fixed.PastLifetime
	}
	keys := func(n int64) string { return number(n, "key", "keys") }
	text := fmt.Sprintf("%s: %s given an expiry, %s cut to the maximum", number(r.Findings, "finding", "findings"), keys(done.NoExpiry), keys(done.AboveMax))
	if r.lives() {
		text += fmt.Sprintf(", %s given a birth, %s cut to the lifetime", keys(done.NoBirth), keys(done.PastLifetime))
	}
	return fmt.Sprintf("%s, %d left", text, r.Remaining)
}

// lives reports whether there were keys under a lifetime.
func (r *Report) lives() bool {
	return r.Age.count() > 0 || slices.ContainsFunc(r.Rules, func(rule RuleSums) bool { return rule.Found.NoBirth > 0 })
}

// rules writes the table of findings.
func (r *Report) rules(b *strings.Builder) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	lives := r.lives()
	head := []string{"rule", "keys", "memory"}
	for _, c := range (&Counts{}).list() {
		if !c.life || lives {
			head = append(head, c.title)
		}
	}
	names := make([]string, len(r.Rules))
	for i, rule := range r.Rules {
		names[i] = cmp.Or(rule.Rule, "(no rule)")
	}
	width := widest(append(names, head[0]))
	head[0] = fmt.Sprintf("%-*s", width, head[0])
	fmt.Fprintln(t, strings.Join(head, "\t")+"\t")
	for i := range r.Rules {
		rule := &r.Rules[i]
		row := []string{fmt.Sprintf("%-*s", width, names[i]), fmt.Sprint(rule.Keys), bytesText(rule.Bytes)}
		for _, c := range rule.Found.list() {
			if !c.life || lives {
				row = append(row, fmt.Sprint(c.n))
			}
		}
		fmt.Fprintln(t, strings.Join(row, "\t")+"\t")
	}
	_ = t.Flush() // into memory: it can't fail
}

func prefixes(b *strings.Builder, title string, list []Prefix, text func(int64) string) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", title)
	for _, p := range list {
		name := strings.Trim(fmt.Sprintf("%q", cmp.Or(p.Prefix, "(none)")), `"`)
		if p.Over > 0 {
			name += fmt.Sprintf("  (at least %s)", text(p.Amount-p.Over))
		}
		fmt.Fprintf(b, "  %10s  %s\n", text(p.Amount), name)
	}
}

func widest(words []string) (n int) {
	for _, word := range words {
		n = max(n, utf8.RuneCountInString(word))
	}
	return n
}

// barWidth is the longest bar of a histogram, in characters.
const barWidth = 40

// histogram writes a line for each bucket from the first that holds something to the last.
func histogram(b *strings.Builder, title string, h Histogram, text func(int64) string) {
	if h.count()+h.Never == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", title)
	most := h.Never
	first, last := len(h.Buckets), -1
	for i, bucket := range h.Buckets {
		most = max(most, bucket.Keys)
		if bucket.Keys > 0 {
			first, last = min(first, i), i
		}
	}
	line := func(label string, n int64) {
		text := fmt.Sprintf("  %14s  %10d  %s", label, n, strings.Repeat("#", int((n*barWidth+most-1)/most)))
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	if h.Never > 0 {
		line("never", h.Never)
	}
	for i := first; i <= last; i++ {
		label := text(h.Buckets[i].From) + " and more"
		if i+1 < len(h.Buckets) {
			label = text(h.Buckets[i].From) + " to " + text(h.Buckets[i+1].From)
		}
		line(label, h.Buckets[i].Keys)
	}
}

func number(n int64, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

// bytesText is a number of bytes to three digits or so.
func bytesText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	x, i := float64(n), 0
	for x >= 1000 && i < len(units)-1 {
		x, i = x/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", x, units[i])
}
