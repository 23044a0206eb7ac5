package capacity

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

// at is the line's height.
func (f Fit) at(x float64) float64 { return f.Intercept + f.Slope*x }

// reaches is how many sessions bring the line to a height.
func (f Fit) reaches(y float64) int64 {
	if f.Slope <= 0 || y <= f.Intercept {
		return 0
	}
	return int64((y - f.Intercept) / f.Slope)
}
