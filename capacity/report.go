package capacity

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Report is what a run has found. Its JSON is for programs: fields are added, never renamed.
type Report struct {
	Version   string  `json:"version"`
	CPUs      int     `json:"cpus"` // that loader, proxy and, on the same machine, Redis share
	Upstream  string  `json:"upstream"`
	Template  string  `json:"template"`
	Namespace string  `json:"namespace"`
	TTL       float64 `json:"ttl_s"`
	Clients   int     `json:"clients"`
	Pipeline  int     `json:"pipeline"`
	Layout    string  `json:"files_layout,omitempty"`
	Complete  bool    `json:"complete"` // false: the run was interrupted
	Seconds   float64 `json:"seconds"`  // that the steps took, since the run was last resumed

	Base  Memory `json:"base"` // before the first session
	Steps []Step `json:"steps"`
	Used  Fit    `json:"used"` // of used_memory against sessions, in bytes
	RSS   Fit    `json:"rss"`  // of used_memory_rss

	Budget     int64 `json:"budget"`       // bytes
	FitsByUsed int64 `json:"fits_by_used"` // sessions in the budget, by the line
	FitsByRSS  int64 `json:"fits_by_rss"`

	Expiry []ExpiryRun `json:"expiry,omitempty"`

	Before      int64   `json:"keys_before"`
	After       int64   `json:"keys_after"` // the run has removed its own
	Remove      float64 `json:"remove_s"`
	RemoveFiles float64 `json:"remove_files_s"`
}

// Step is what was measured with so many sessions.
type Step struct {
	Sessions        int                `json:"sessions"`
	Keys            int64              `json:"keys"` // counted; fewer if some have expired by then
	Memory          Memory             `json:"memory"`
	BytesPerSession float64            `json:"bytes_per_session"` // of used_memory, above what there was before
	Load            map[string]Loaded  `json:"load"`              // by route: "direct" and "proxy"
	Read            map[string]Latency `json:"read"`              // of single reads at a steady rate
	Files           *FileStep          `json:"files,omitempty"`
}

// fit draws the lines and says how many sessions the budget holds.
func (r *Report) fit(budget int64) {
	used, rss := []point{{0, float64(r.Base.Used)}}, []point{{0, float64(r.Base.RSS)}}
	for _, s := range r.Steps {
		used = append(used, point{float64(s.Keys), float64(s.Memory.Used)})
		rss = append(rss, point{float64(s.Keys), float64(s.Memory.RSS)})
	}
	r.Used, r.RSS, r.Budget = fit(used), fit(rss), budget
	r.FitsByUsed, r.FitsByRSS = r.Used.reaches(float64(budget)), r.RSS.reaches(float64(budget))
}

// JSON writes the report as one object.
func (r *Report) JSON(to io.Writer) error {
	enc := json.NewEncoder(to)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// column is one of the table and of the CSV. Columns of what was not measured are left out.
type column struct {
	csv, head string // name with unit; heading for people
	value     func(s *Step) (exact string, short string)
}

func (r *Report) columns() []column {
	whole := func(n int64) (string, string) { return strconv.FormatInt(n, 10), number(n) }
	size := func(n int64) (string, string) { return strconv.FormatInt(n, 10), bytesText(n) }
	dec := func(x float64, digits int) (string, string) {
		text := strconv.FormatFloat(x, 'f', digits, 64)
		return text, text
	}
	list := []column{
		{"sessions", "sessions", func(s *Step) (string, string) { return whole(int64(s.Sessions)) }},
		{"keys", "", func(s *Step) (string, string) { return whole(s.Keys) }},
		{"used_memory_bytes", "used", func(s *Step) (string, string) { return size(s.Memory.Used) }},
		{"used_memory_dataset_bytes", "", func(s *Step) (string, string) { return size(s.Memory.Dataset) }},
		{"used_memory_rss_bytes", "rss", func(s *Step) (string, string) { return size(s.Memory.RSS) }},
		{"bytes_per_session", "B/session", func(s *Step) (string, string) { return dec(s.BytesPerSession, 1) }},
	}
	for _, name := range r.routes() {
		list = append(list,
			column{"load_" + name + "_per_s", name + "/s", func(s *Step) (string, string) { return whole(int64(s.Load[name].PerSecond)) }},
			column{"load_" + name + "_batch_p50_ms", "", func(s *Step) (string, string) { return dec(s.Load[name].Batch.P50, 3) }},
			column{"load_" + name + "_batch_p99_ms", "", func(s *Step) (string, string) { return dec(s.Load[name].Batch.P99, 3) }})
	}
	for _, name := range r.routes() {
		list = append(list,
			column{"read_" + name + "_p50_ms", name + " p50", func(s *Step) (string, string) { return dec(s.Read[name].P50, 3) }},
			column{"read_" + name + "_p99_ms", "p99", func(s *Step) (string, string) { return dec(s.Read[name].P99, 3) }},
			column{"read_" + name + "_p999_ms", "", func(s *Step) (string, string) { return dec(s.Read[name].P999, 3) }})
	}
	if r.Layout != "" {
		list = append(list,
			column{"files_bytes", "file bytes", func(s *Step) (string, string) { return size(s.Files.Bytes) }},
			column{"files_blocks_bytes", "on disk", func(s *Step) (string, string) { return size(s.Files.Blocks) }},
			column{"files_inodes", "inodes", func(s *Step) (string, string) { return whole(s.Files.Inodes) }},
			column{"files_create_s", "create s", func(s *Step) (string, string) { return dec(s.Files.Create, 2) }},
			column{"files_list_s", "list s", func(s *Step) (string, string) { return dec(s.Files.List, 2) }},
			column{"files_vacuum_s", "vacuum s", func(s *Step) (string, string) { return dec(s.Files.Vacuum, 2) }})
	}
	return list
}

// routes are those over which something was measured.
func (r *Report) routes() (names []string) {
	for _, name := range []string{direct, throughOne} {
		if slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Load[name].Sessions > 0 }) {
			names = append(names, name)
		}
	}
	return names
}

// CSV writes a line for each step, below one with the names of the columns.
func (r *Report) CSV(to io.Writer) error {
	w, columns := csv.NewWriter(to), r.columns()
	line := make([]string, len(columns))
	for i, c := range columns {
		line[i] = c.csv
	}
	if err := w.Write(line); err != nil {
		return err
	}
	for i := range r.Steps {
		for k, c := range columns {
			line[k], _ = c.value(&r.Steps[i])
		}
		if err := w.Write(line); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// Table writes the report for people.
func (r *Report) Table(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	columns := slices.DeleteFunc(r.columns(), func(c column) bool { return c.head == "" })
	for _, c := range columns {
		fmt.Fprint(w, c.head, "\t")
	}
	fmt.Fprintln(w)
	for i := range r.Steps {
		for _, c := range columns {
			_, short := c.value(&r.Steps[i])
			fmt.Fprint(w, short, "\t")
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(r.Steps) > 0 {
		r.lines(to)
	}
	for i := range r.Expiry {
		if err := r.Expiry[i].table(to); err != nil {
			return err
		}
	}
	return nil
}

// lines are what the fitted lines say.
func (r *Report) lines(to io.Writer) {
	fmt.Fprintf(to, "\ntemplate %s, %d clients, pipeline %d, ttl %.0f s; p50 and p99 are milliseconds of single reads, %d a second\n",
		r.Template, r.Clients, r.Pipeline, r.TTL, probeRate)
	fmt.Fprintf(to, "used = %s\nrss  = %s\n", r.Used, r.RSS)
	if r.Budget > 0 {
		fmt.Fprintf(to, "a server with %s for Redis holds %s sessions by used memory, %s by what the system sees;\n"+
			"one that forks to save needs room beside that for what changes meanwhile\n", budgetText(r.Budget), r.Used.fits(r.FitsByUsed), r.RSS.fits(r.FitsByRSS))
	}
	if n := len(r.Steps); r.Layout != "" && n > 0 {
		f := r.Steps[n-1].Files
		fmt.Fprintf(to, "as files (%s) %s sessions take %s on disk, %.1f times what they take in Redis; removing them took %.1f s, from Redis %.1f s\n",
			r.Layout, number(f.Files), bytesText(f.Blocks), float64(f.Blocks)/float64(max(r.Steps[n-1].Memory.Used-r.Base.Used, 1)), r.RemoveFiles, r.Remove)
	}
}

// line is the step in a line.
func (s *Step) line() string {
	var loads []string
	for _, name := range []string{direct, throughOne} {
		if l := s.Load[name]; l.Sessions > 0 {
			loads = append(loads, fmt.Sprintf("%s %s/s", name, number(int64(l.PerSecond))))
		}
	}
	return fmt.Sprintf("%s sessions: %s, %.1f bytes each; %s", number(int64(s.Sessions)), bytesText(s.Memory.Used), s.BytesPerSession, strings.Join(loads, ", "))
}

// number groups digits by threes.
func number(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// budgetText is a size as people write it who buy memory.
func budgetText(n int64) string {
	if n%1e9 == 0 {
		return strconv.FormatInt(n/1e9, 10) + " GB"
	}
	return bytesText(n)
}

// bytesText is a size in the unit that leaves three or four digits.
func bytesText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	x, i := float64(n), 0
	for ; x >= 10000 && i < len(units)-1 || x >= 1024 && i > 0 && i < len(units)-1; i++ {
		x /= 1024
	}
	if i == 0 {
		return strconv.FormatInt(n, 10) + " B"
	}
	return fmt.Sprintf("%.4g %s", x, units[i])
}
