package capacity

import "fmt"

// Fit is the straight line through points, by least squares.
type Fit struct {
	Intercept float64 `json:"intercept"`
	Slope     float64 `json:"slope"`
	R2        float64 `json:"r2"` // 1: the points are on the line
}

// point is some y for a number of sessions.
type point struct{ x, y float64 }

// fit needs two points with different x at least; else it is the zero Fit.
func fit(points []point) (f Fit) {
	var mx, my, xx, xy, yy float64
	n := float64(len(points))
	for _, p := range points {
		mx, my = mx+p.x/n, my+p.y/n
	}
	for _, p := range points {
		dx, dy := p.x-mx, p.y-my
		xx, xy, yy = xx+dx*dx, xy+dx*dy, yy+dy*dy
	}
	if xx == 0 {
		return f
	}
	f.Slope = xy / xx
	f.Intercept = my - f.Slope*mx
	f.R2 = 1
	if yy > 0 {
		f.R2 = xy * xy / (xx * yy)
	}
	return f
}

// tells reports whether it says anything of what a session takes: few sessions take less than what allocators get at once, and then memory
// stays where it was, or jumps.
func (f Fit) tells() bool { return f.Slope > 0 && f.R2 >= 0.9 }

// at is the line's height.
func (f Fit) at(x float64) float64 { return f.Intercept + f.Slope*x }

// reaches is how many sessions bring the line to a height.
func (f Fit) reaches(y float64) int64 {
	if f.Slope <= 0 || y <= f.Intercept {
		return 0
	}
	return int64((y - f.Intercept) / f.Slope)
}

// String is the line as a formula, "-" if it tells nothing.
func (f Fit) String() string {
	if !f.tells() {
		return "-, it has not grown evenly: take larger steps"
	}
	return fmt.Sprintf("%s + %.1f bytes * sessions, R2 = %.6f", bytesText(int64(f.Intercept)), f.Slope, f.R2)
}

// fits shows how many sessions it says fit, "-" if it tells nothing.
func (f Fit) fits(n int64) string {
	if !f.tells() {
		return "-"
	}
	return number(n)
}
