package capacity

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The colours of the plots, which can be told apart by those who see no red or green.
var (
	blue   = color.RGBA{0x1f, 0x6f, 0xb4, 0xff}
	orange = color.RGBA{0xd9, 0x6f, 0x0e, 0xff}
	purple = color.RGBA{0x7b, 0x3f, 0x98, 0xff}
	grey   = color.RGBA{0x77, 0x77, 0x77, 0xff}
)

const (
	plotWidth = 18 * vg.Centimeter
	rowHeight = 11 * vg.Centimeter
	pngDPI    = 150
)

// Plot draws the report into a directory, each picture as PNG and as SVG: "memory", "throughput", and "expiry" if there was one.
func (r *Report) Plot(dir string) error {
	if len(r.Steps) == 0 {
		return nil
	}
	pictures := []picture{{"memory", r.memoryPlot}, {"throughput", r.throughputPlot}}
	if len(r.Expiry) > 0 {
		pictures = append(pictures, picture{"expiry", r.expiryPlot})
	}
	for _, p := range pictures {
		rows, err := p.draw()
		if err == nil {
			err = write(filepath.Join(dir, p.name), rows)
		}
		if err != nil {
			return fmt.Errorf("plot of %s: %w", p.name, err)
		}
	}
	return nil
}

// picture has one or more plots, one above the other.
type picture struct {
	name string
	draw func() ([]*plot.Plot, error)
}

func (r *Report) memoryPlot() ([]*plot.Plot, error) {
	p := newPlot(fmt.Sprintf("Memory of %s sessions: %.1f bytes each, R² = %.6f", r.Template, r.Used.Slope, r.Used.R2), "sessions", "")
	p.X.Tick.Marker = counts{}
	p.Y.Tick.Marker = sizes{}
	last := float64(r.Steps[len(r.Steps)-1].Sessions)
	fitted := plotter.XYs{{X: 0, Y: r.Used.at(0)}, {X: last, Y: r.Used.at(last)}}
	used, rss, files := plotter.XYs{{X: 0, Y: float64(r.Base.Used)}}, plotter.XYs{{X: 0, Y: float64(r.Base.RSS)}}, plotter.XYs{}
	for _, s := range r.Steps {
		x := float64(s.Sessions)
		used, rss = append(used, plotter.XY{X: x, Y: float64(s.Memory.Used)}), append(rss, plotter.XY{X: x, Y: float64(s.Memory.RSS)})
		if s.Files != nil {
			files = append(files, plotter.XY{X: x, Y: float64(s.Files.Blocks)})
		}
	}
	series := []series{
		{name: "fitted line", points: fitted, color: blue, line: true},
		{name: "Redis, used memory", points: used, color: blue, dots: true},
		{name: "Redis, as the system sees it", points: rss, color: orange, dots: true},
	}
	if len(files) > 0 {
		series = append(series, seriesOf("files, on disk ("+r.Layout+")", files, purple))
	}
	return []*plot.Plot{p}, add(p, series)
}

func (r *Report) throughputPlot() ([]*plot.Plot, error) {
	rate := newPlot(fmt.Sprintf("Sessions loaded a second, %d clients, pipeline %d", r.Clients, r.Pipeline), "sessions", "sessions a second")
	slow := newPlot(fmt.Sprintf("Latency of single reads, %d a second", probeRate), "sessions", "milliseconds")
	rate.X.Tick.Marker, rate.Y.Tick.Marker, slow.X.Tick.Marker = counts{}, counts{}, counts{}
	logarithmic(slow)
	var rates, times []series
	for i, name := range r.routes() {
		var load, p50, p99 plotter.XYs
		for _, s := range r.Steps {
			x := float64(s.Sessions)
			load = append(load, plotter.XY{X: x, Y: s.Load[name].PerSecond})
			p50, p99 = append(p50, plotter.XY{X: x, Y: s.Read[name].P50}), append(p99, plotter.XY{X: x, Y: s.Read[name].P99})
		}
		c := []color.Color{blue, orange}[i]
		rates = append(rates, seriesOf(name, load, c))
		times = append(times, seriesOf(name+", p99", p99, c), series{name: name + ", p50", points: p50, color: c, line: true, dots: true, dashed: true})
	}
	if err := add(rate, rates); err != nil {
		return nil, err
	}
	if err := add(slow, times); err != nil {
		return nil, err
	}
	rate.X.Min, slow.X.Min = 0, 0
	return []*plot.Plot{rate, slow}, nil
}

func (r *Report) expiryPlot() (rows []*plot.Plot, err error) {
	for _, e := range r.Expiry {
		p := newPlot(fmt.Sprintf("%s sessions expire, jitter %d%%: a probe's latency", number(int64(e.Sessions)), e.Jitter), "seconds from the last expiry", "milliseconds")
		logarithmic(p)
		var p50, p99, most plotter.XYs
		for _, s := range e.Course {
			if s.Latency.Count == 0 { // all waited for one reply
				continue
			}
			x := float64(s.Second)
			p50, p99 = append(p50, plotter.XY{X: x, Y: s.Latency.P50}), append(p99, plotter.XY{X: x, Y: s.Latency.P99})
			most = append(most, plotter.XY{X: x, Y: s.Latency.Max})
		}
		if err := add(p, []series{seriesOf("longest", most, grey), seriesOf("p99", p99, orange), seriesOf("p50", p50, blue)}); err != nil {
			return nil, err
		}
		rows = append(rows, p)
	}
	for _, p := range rows { // the same scale, so that they can be compared
		for _, other := range rows {
			p.X.Min, p.X.Max = min(p.X.Min, other.X.Min), max(p.X.Max, other.X.Max)
			p.Y.Min, p.Y.Max = min(p.Y.Min, other.Y.Min), max(p.Y.Max, other.Y.Max)
		}
	}
	return rows, nil
}

func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.Padding = 3 * vg.Millimeter
	p.BackgroundColor = color.White
	for _, style := range []*text.Style{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle} {
		style.Font.Variant = "Sans"
	}
	p.Legend.Top, p.Legend.Left, p.Legend.Padding, p.Legend.XOffs = true, true, vg.Millimeter, 2*vg.Millimeter
	p.Add(plotter.NewGrid())
	return p
}

// logarithmic gives a plot an axis for latencies, which are apart by powers of ten.
func logarithmic(p *plot.Plot) {
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
}

// leastShown is the smallest latency on a logarithmic axis, in milliseconds. Zero has no place there.
const leastShown = 0.001

// series is points with a name.
type series struct {
	name               string
	points             plotter.XYs
	color              color.Color
	line, dots, dashed bool
}

func seriesOf(name string, points plotter.XYs, c color.Color) series {
	return series{name: name, points: points, color: c, line: true, dots: true}
}

func add(p *plot.Plot, list []series) error {
	_, powers := p.Y.Scale.(plot.LogScale)
	for _, s := range list {
		if len(s.points) == 0 {
			continue
		}
		for i := range s.points {
			if powers {
				s.points[i].Y = max(s.points[i].Y, leastShown)
			}
		}
		line, dots, err := plotter.NewLinePoints(s.points)
		if err != nil {
			return err
		}
		line.Color, line.Width = s.color, vg.Points(1.2)
		if s.dashed {
			line.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
		}
		dots.Color, dots.Shape, dots.Radius = s.color, draw.CircleGlyph{}, vg.Points(2.5)
		var thumbs []plot.Thumbnailer
		if s.line {
			p.Add(line)
			thumbs = append(thumbs, line)
		}
		if s.dots {
			p.Add(dots)
			thumbs = append(thumbs, dots)
		}
		p.Legend.Add(s.name, thumbs...)
	}
	if powers { // whole powers, and room for the legend above
		p.Y.Min, p.Y.Max = math.Pow(10, math.Floor(math.Log10(p.Y.Min))), math.Pow(10, math.Ceil(math.Log10(p.Y.Max))+1)
	} else {
		p.Y.Min, p.Y.Max = 0, p.Y.Max*1.35
	}
	return nil
}

// counts marks an axis with numbers such as 200k and 1.5M.
type counts struct{}

func (counts) Ticks(least, most float64) []plot.Tick {
	return labelled(plot.DefaultTicks{}.Ticks(least, most), func(x float64) string {
		for _, unit := range []struct {
			size float64
			name string
		}{{1e6, "M"}, {1e3, "k"}} {
			if x >= unit.size {
				return strconv.FormatFloat(x/unit.size, 'g', 4, 64) + unit.name
			}
		}
		return strconv.FormatFloat(x, 'g', 4, 64)
	})
}

// sizes marks an axis in MB or GB: powers of 1000, as the marks of an axis are.
type sizes struct{}

func (sizes) Ticks(least, most float64) []plot.Tick {
	unit, name := 1e6, " MB"
	if most >= 2e9 {
		unit, name = 1e9, " GB"
	}
	return labelled(plot.DefaultTicks{}.Ticks(least, most), func(x float64) string { return strconv.FormatFloat(x/unit, 'g', 4, 64) + name })
}

func labelled(ticks []plot.Tick, text func(x float64) string) []plot.Tick {
	for i := range ticks {
		if ticks[i].Label != "" {
			ticks[i].Label = text(ticks[i].Value)
		}
	}
	return ticks
}

// write draws the rows into two files.
func write(path string, rows []*plot.Plot) error {
	height := rowHeight * vg.Length(len(rows))
	png := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(plotWidth, height), vgimg.UseDPI(pngDPI), vgimg.UseBackgroundColor(color.White))}
	svg := vgsvg.NewWith(vgsvg.UseWH(plotWidth, height), vgsvg.EmbedFonts(true))
	for _, canvas := range []struct {
		vg.CanvasSizer
		io.WriterTo
		ending string
	}{{png, png, ".png"}, {svg, svg, ".svg"}} {
		grid := make([][]*plot.Plot, len(rows))
		for i := range rows {
			grid[i] = rows[i : i+1]
		}
		tiles := draw.Tiles{Rows: len(rows), Cols: 1, PadX: 4 * vg.Millimeter, PadY: 6 * vg.Millimeter, PadTop: 3 * vg.Millimeter,
			PadBottom: 3 * vg.Millimeter, PadLeft: 3 * vg.Millimeter, PadRight: 6 * vg.Millimeter}
		for i, row := range plot.Align(grid, tiles, draw.New(canvas.CanvasSizer)) {
			rows[i].Draw(row[0])
		}
		if err := save(path+canvas.ending, canvas); err != nil {
			return err
		}
	}
	return nil
}

func save(path string, content io.WriterTo) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err = content.WriteTo(f); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
