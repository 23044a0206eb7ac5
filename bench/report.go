package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// report writes the results as Markdown, one table per load. Every figure is the median of the rounds; a ratio is
// the median of the ratios within each round. Ratios to each baseline get a column.
func report(out io.Writer, rows []row, baselines []string) {
	for i, r := range rows {
		if i == 0 || r.workload.load != rows[i-1].workload.load {
			heading(out, r.workload.load, baselines)
		}
		fmt.Fprintf(out, "| %s | %s | %.0f | %.0f %% | %.3f | %.3f |", r.workload.name, r.target,
			r.median(rps), r.spread(), r.median(p50), r.median(p99))
		for _, name := range baselines {
			fmt.Fprintf(out, " %s |", r.ratio(rows, name, rps))
		}
		if r.median(proxyCPU) > 0 {
			fmt.Fprintf(out, " %.2f |", r.median(proxyCPU))
		} else {
			fmt.Fprint(out, " – |")
		}
		for _, name := range proxiesOf(baselines) {
			fmt.Fprintf(out, " %s |", r.ratio(rows, name, proxyCPU))
		}
		fmt.Fprintf(out, " %.2f |\n", r.median(redisCPU))
	}
}

func heading(out io.Writer, l load, baselines []string) {
	columns := []string{"command", "target", "requests/s", "spread", "p50 ms", "p99 ms"}
	for _, name := range baselines {
		columns = append(columns, "× "+name)
	}
	columns = append(columns, "proxy CPU us")
	for _, name := range proxiesOf(baselines) {
		columns = append(columns, "CPU × "+name)
	}
	columns = append(columns, "Redis CPU us")
	fmt.Fprintf(out, "\n### %s\n\n| %s |\n|---|---|%s\n", l, strings.Join(columns, " | "),
		strings.Repeat("---:|", len(columns)-2))
}

// proxiesOf leaves out Redis itself, which has no proxy's CPU to compare with.
func proxiesOf(baselines []string) []string {
	return slices.DeleteFunc(slices.Clone(baselines), func(name string) bool {
		return name == direct || name == direct+withTLS || name == directCluster
	})
}

func rps(s sample) float64      { return s.RPS }
func p50(s sample) float64      { return s.P50 }
func p99(s sample) float64      { return s.P99 }
func proxyCPU(s sample) float64 { return s.ProxyCPU }
func redisCPU(s sample) float64 { return s.RedisCPU }

func (r row) values(of func(sample) float64) []float64 {
	values := make([]float64, len(r.samples))
	for i, s := range r.samples {
		values[i] = of(s)
	}
	return values
}

func (r row) median(of func(sample) float64) float64 { return median(r.values(of)) }

// spread is how far the slowest and the fastest round lie apart, in percent of the median: how noisy the machine was.
func (r row) spread() float64 {
	values := r.values(rps)
	return 100 * (slices.Max(values) - slices.Min(values)) / median(values)
}

// ratio is of this row's figure to that of another target under the same workload, or a dash.
func (r row) ratio(rows []row, target string, of func(sample) float64) string {
	base := slices.IndexFunc(rows, func(other row) bool {
		return other.target == target && other.workload.String() == r.workload.String()
	})
	if base < 0 || r.median(of) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", medianRatio(r.values(of), rows[base].values(of)))
}

// medianRatio pairs the figures of the same round, which ran within seconds of each other.
func medianRatio(values, base []float64) float64 {
	ratios := make([]float64, len(values))
	for i := range values {
		ratios[i] = values[i] / base[i]
	}
	return median(ratios)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// machine says on what the figures were measured.
func machine() string {
	return fmt.Sprintf("%s, %d cores; %s; %s; %s", cpuModel(), runtime.NumCPU(), runtime.Version(),
		version("redis-server", "v="), version("nutcracker", "nutcracker-"))
}

func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// version is what a program says after mark when asked for its version.
func version(program, mark string) string {
	out, err := exec.Command(program, "--version").CombinedOutput()
	if err != nil && len(out) == 0 {
		return program + " not installed"
	}
	_, after, _ := strings.Cut(string(out), mark)
	number, _, _ := strings.Cut(strings.TrimSpace(after), "\n")
	number, _, _ = strings.Cut(number, " ")
	return program + " " + number
}

// writeJSON keeps every run, for whoever wants more than medians.
func writeJSON(path, machine string, rows []row) error {
	type jsonRow struct {
		Command           string
		Clients, Pipeline int
		Target            string
		Rounds            []sample
	}
	result := struct {
		Machine string
		Rows    []jsonRow
	}{Machine: machine}
	for _, r := range rows {
		result.Rows = append(result.Rows, jsonRow{r.workload.name, r.workload.load.clients, r.workload.load.pipeline,
			r.target, r.samples})
	}
	text, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
