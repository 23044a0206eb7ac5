package capacity

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

// sample is a report with everything in it.
func sample() *Report {
	r := &Report{Template: "seed", Clients: 4, Pipeline: 100, TTL: 60, Layout: LayoutFlat, Complete: true, Base: Memory{Used: 1 << 20, RSS: 8 << 20}}
	for i, n := range []int{1000, 5000, 20_000} {
		used := int64(1<<20 + 240*n)
		read := Latency{Count: 2000, P50: 0.05, P99: 0.2 * float64(i+1), P999: 3, Max: 9}
		r.Steps = append(r.Steps, Step{Sessions: n, Keys: int64(n), Memory: Memory{Used: used, Dataset: used, RSS: used + 8<<20}, BytesPerSession: 240,
			Load: map[string]Loaded{direct: {Sessions: n / 2, Seconds: 1, PerSecond: 300_000, Batch: read}, throughOne: {Sessions: n / 2, Seconds: 1, PerSecond: 200_000, Batch: read}},
			Read: map[string]Latency{direct: read, throughOne: read}, Files: &FileStep{Files: int64(n), Inodes: int64(n) + 1, Bytes: int64(124 * n), Blocks: int64(4096 * n), Create: 1}})
	}
	for _, jitter := range []int{0, 10} {
		r.Expiry = append(r.Expiry, ExpiryRun{Sessions: 20_000, Within: 5, Jitter: jitter, Course: []ExpirySecond{
			{-1, 20_000, Latency{Count: 1000, P50: 0.1, P99: 0.3, Max: 1}}, {0, 0, Latency{}}}})
	}
	r.fit(32e9)
	return r
}

// There is a picture of everything, as PNG that is no blank sheet and as SVG.
func TestReport_Plot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := sample().Plot(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"memory", "throughput", "expiry"} {
		text, err := os.ReadFile(filepath.Join(dir, name+".png"))
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		colours := map[any]bool{}
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x += 5 {
			for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y += 5 {
				colours[img.At(x, y)] = true
			}
		}
		if len(colours) < 10 {
			t.Errorf("%s.png has %d colours", name, len(colours))
		}
		if text, err := os.ReadFile(filepath.Join(dir, name+".svg")); err != nil || !bytes.Contains(text, []byte("</svg>")) {
			t.Errorf("%s.svg is none, error %v", name, err)
		}
	}
}
