package main

import (
	"context"
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

func TestParseCSV(t *testing.T) {
	const heading = `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"` + "\n"
	got, err := parseCSV([]byte(heading + `"GET key:__rand_int__","66666.67","0.382","0.128","0.375","0.479","0.591","0.679"` + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if want := (sample{RPS: 66666.67, P50: 0.375, P99: 0.591}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, bad := range []string{"", heading, heading + "GET,1,2\n", heading + "GET,x,2,3,4,5,6,7\n"} {
		if got, err := parseCSV([]byte(bad)); err == nil {
			t.Errorf("parseCSV(%q) = %+v, want an error", bad, got)
		}
	}
}

func TestMedianRatio(t *testing.T) {
	tests := []struct {
		values, base []float64
		want         float64
	}{
		{[]float64{50}, []float64{100}, 0.5},
		{[]float64{50, 90, 10}, []float64{100, 100, 10}, 0.9}, // the ratio of the medians would be 0.5
		{[]float64{1, 3}, []float64{1, 1}, 2},
	}
	for _, test := range tests {
		if got := medianRatio(test.values, test.base); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("medianRatio(%v, %v) = %v, want %v", test.values, test.base, got, test.want)
		}
	}
}

func TestCPUTime(t *testing.T) {
	const work = 20 * time.Millisecond
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for {
		now, err := cpuTime(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if now < before {
			t.Fatalf("went back from %v to %v", before, now)
		}
		if now-before > work {
			break // the test's own work counts, so this ends
		}
	}
	if got, err := cpuTime(1<<22 + 1); err == nil {
		t.Errorf("of a process that can't exist: got %v, want an error", got)
	}
}

func TestStart_namesTheLogOfAServerThatFails(t *testing.T) {
	p, err := start(context.Background(), t.TempDir(), "broken", "127.0.0.1:1", "sh", "-c", "echo no such rule >&2; exit 1")
	if err == nil {
		p.stop()
		t.Fatal("got no error")
	}
	for _, want := range []string{"start broken", "broken.log", "no such rule"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got error %q, want %q in it", err, want)
		}
	}
}

func TestReport(t *testing.T) {
	w := workload{name: "GET", load: load{50, 16}}
	rows := []row{
		{w, direct, []sample{{RPS: 1000, P50: 1, P99: 2, RedisCPU: 1.5}}},
		{w, twemproxy, []sample{{RPS: 500, P50: 1, P99: 2, ProxyCPU: 2, RedisCPU: 1}}},
		{w, withRules, []sample{{RPS: 750, P50: 1, P99: 2, ProxyCPU: 1, RedisCPU: 1}}},
	}
	var out strings.Builder
	report(&out, rows, []string{direct, twemproxy})
	for _, want := range []string{
		"### 50 clients, pipeline 16\n",
		"| GET | redis | 1000 | 0 % | 1.000 | 2.000 | 1.00 | 2.00 | – | – | 1.50 |\n",
		"| GET | sessiongate-rules | 750 | 0 % | 1.000 | 2.000 | 0.75 | 1.50 | 1.00 | 0.50 | 1.00 |\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got\n%s\nwant %q in it", out.String(), want)
		}
	}
}

// What fill writes is what redis-benchmark asks for: twelve digits for the number.
func TestAppendCommand(t *testing.T) {
	got := string(appendCommand(nil, []string{"SET", "key:" + keyNumber, "v"}, 42))
	want := "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000042\r\n$1\r\nv\r\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReportOverheads(t *testing.T) {
	w := proxyWorkloads(8)[0]
	rows := []row{
		{w, noMetrics, []sample{{RPS: 1000, ProxyCPU: 1}, {RPS: 2000, ProxyCPU: 2}}},
		{w, withRules, []sample{{RPS: 990, ProxyCPU: 1.02}, {RPS: 1960, ProxyCPU: 2}}},
	}
	var out strings.Builder
	reportOverheads(&out, rows)
	if want := "| 50 clients, pipeline 1 | SET | metrics | 1500 | 1475 | 0.985 | 1.50 | 1.51 | 1.010 | 67 % |\n"; !strings.HasSuffix(out.String(), want) || strings.Count(out.String(), "\n") != 4 {
		t.Errorf("got\n%s\nwant %q as its only line", out.String(), want)
	}
}

func TestReplaceSection(t *testing.T) {
	page := "# Page\n\nProse.\n\n<!-- measured: tls -->\nold\n<!-- end: tls -->\nMore prose.\n"
	got, err := replaceSection(page, "tls", "new\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(page, "old", "\nnew\n", 1); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if again, err := replaceSection(got, "tls", "new\n"); again != got || err != nil {
		t.Errorf("the second time: got %q, %v", again, err)
	}
	if _, err := replaceSection(page, "rules", "new"); err == nil {
		t.Error("got no error for a section that the page doesn't have")
	}
}

// The page has a place for every section.
func TestPage(t *testing.T) {
	text, err := os.ReadFile("../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, name := range sectionNames() {
		if page, err = replaceSection(page, name, ""); err != nil {
			t.Error(err)
		}
	}
}

func TestGoBenchmarks(t *testing.T) {
	got, err := goBenchmarks("BenchmarkX/1-2   \t 100\t 40.0 ns/op\t 0 B/op\t 0 allocs/op\nBenchmarkX/10-2 \t 100\t 60.0 ns/op\t 0 B/op\t 1 allocs/op\n" +
		"BenchmarkX/1 \t 100\t 60.0 ns/op\t 0 B/op\t 0 allocs/op\nBenchmarkX/10 \t 100\t 60.0 ns/op\t 0 B/op\t 1 allocs/op\nPASS\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| X/1 | 50 | 1.00 | 0 |\n", "| X/10 | 60 | 1.25 | 1 |\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant %q in it", got, want)
		}
	}
	if _, err := goBenchmarks("PASS\n"); err == nil {
		t.Error("got no error for output without results")
	}
}

// What our generator sends is what fill has written.
func TestTargetOptions(t *testing.T) {
	w := workload{args: []string{"GET", "key:" + keyNumber}, load: load{2, 1}}
	o := target{}.options(w, 100)
	for number, key := range map[int]int{0: 0, 1: 7919 % 100, 100: 0} {
		if got, want := string(o.Command(nil, number)), string(appendCommand(nil, w.args, key)); got != want {
			t.Errorf("command %d: got %q, want %q", number, got, want)
		}
	}
	if got := string(target{tenants: 2}.options(w, 100).Hello(3)); !strings.Contains(got, "secret-of-tenant1") {
		t.Errorf("client 3 of two tenants logs in with %q", got)
	}
}
