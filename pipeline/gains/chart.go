package gains

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// A chart is drawn as SVG that stands by itself, in a page or in a file, on light and on dark ground.

// line is one line of a chart; where y is NaN it is interrupted.
type line struct {
	label string
	class string // of the style below
	x, y  []float64
	steps bool // holds its value until the next
	dots  bool
}

// axis is one side of a chart.
type axis struct {
	label    string
	from, to float64
	ticks    []float64
	text     func(float64) string
}

// mark is a vertical line.
type mark struct {
	x     float64
	label string
}

type chart struct {
	title string // for those who cannot see it
	x, y  axis
	lines []line
	marks []mark
}

const chartStyle = `.g{font:12px system-ui,"Noto Sans CJK SC","Microsoft YaHei",sans-serif;fill:#333}.g path{fill:none;stroke-width:2}.g .ax{stroke:#999;stroke-width:1}.g .gr{stroke:#e4e4e4;stroke-width:1}` +
	`.g .before,.g .expected{stroke:#777;stroke-dasharray:2 4}.g .after,.g .value{stroke:#0b62a4}.g .closed{stroke:#c2571a;stroke-dasharray:6 4}.g .mark{stroke:#2a7d2a;stroke-width:1.5}` +
	`.g circle{stroke:none}.g circle.value{fill:#0b62a4}.g circle.closed{fill:#c2571a}` +
	`@media (prefers-color-scheme:dark){.g{fill:#ddd}.g .gr{stroke:#3a3a3a}.g .before,.g .expected{stroke:#aaa}.g .after,.g .value{stroke:#6cb4ee}.g .closed{stroke:#f0935a}.g .mark{stroke:#7ccf7c}.g circle.value{fill:#6cb4ee}.g circle.closed{fill:#f0935a}}`

func (c *chart) svg() string {
	const width, height, left, right, top, bottom = 720., 320., 64., 16., 34., 52.
	px := func(x float64) float64 { return left + (x-c.x.from)/(c.x.to-c.x.from)*(width-left-right) }
	py := func(y float64) float64 { return height - bottom - (y-c.y.from)/(c.y.to-c.y.from)*(height-top-bottom) }
	var b strings.Builder
	title := html.EscapeString(c.title)
	fmt.Fprintf(&b, `<svg class="g" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s"><title>%s</title><style>%s</style>`, width, height, title, title, chartStyle)
	for _, y := range c.y.ticks {
		fmt.Fprintf(&b, `<path class="gr" d="M%.1f %.1fH%.1f"/><text x="%.1f" y="%.1f" text-anchor="end">%s</text>`, left, py(y), width-right, left-6, py(y)+4, html.EscapeString(c.y.text(y)))
	}
	for _, x := range c.x.ticks {
		fmt.Fprintf(&b, `<path class="ax" d="M%.1f %.1fv5"/><text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, px(x), height-bottom, px(x), height-bottom+18, html.EscapeString(c.x.text(x)))
	}
	fmt.Fprintf(&b, `<path class="ax" d="M%.1f %.1fV%.1fH%.1f"/>`, left, top, height-bottom, width-right)
	fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, (left+width-right)/2, height-8, html.EscapeString(c.x.label))
	for _, m := range c.marks {
		fmt.Fprintf(&b, `<path class="mark" d="M%.1f %.1fV%.1f"/><text x="%.1f" y="%.1f">%s</text>`, px(m.x), top, height-bottom, px(m.x)+4, top+12, html.EscapeString(m.label))
	}
	at := left
	for _, l := range c.lines {
		fmt.Fprintf(&b, `<path class="%s" d="%s"/>`, l.class, l.path(px, py))
		for i := range l.x {
			if l.dots && !math.IsNaN(l.y[i]) {
				fmt.Fprintf(&b, `<circle class="%s" cx="%.1f" cy="%.1f" r="3"/>`, l.class, px(l.x[i]), py(l.y[i]))
			}
		}
		fmt.Fprintf(&b, `<path class="%s" d="M%.1f 14h22"/><text x="%.1f" y="18">%s</text>`, l.class, at, at+27, html.EscapeString(l.label))
		at += 50 + textWidth(l.label)
	}
	fmt.Fprintf(&b, `<text x="%.1f" y="18" text-anchor="end">%s</text></svg>`, width-right, html.EscapeString(c.y.label))
	return b.String()
}

// path writes a line's path.
func (l *line) path(px, py func(float64) float64) string {
	var b strings.Builder
	drawn := false
	for i := range l.x {
		if math.IsNaN(l.y[i]) {
			drawn = false
			continue
		}
		x, y := px(l.x[i]), py(l.y[i])
		switch {
		case !drawn:
			fmt.Fprintf(&b, "M%.1f %.1f", x, y)
		case l.steps:
			fmt.Fprintf(&b, "H%.1fV%.1f", x, y)
		default:
			fmt.Fprintf(&b, "L%.1f %.1f", x, y)
		}
		drawn = true
	}
	return b.String()
}

// textWidth guesses how wide a text is: Chinese characters are twice as wide as Latin ones.
func textWidth(s string) (width float64) {
	for _, r := range s {
		if r >= 0x2e80 {
			width += 12
		} else {
			width += 6.4
		}
	}
	return width
}

// ticks are round values from 0 to at least the highest.
func ticks(highest float64) []float64 {
	if !(highest > 0) || math.IsInf(highest, 0) {
		return []float64{0, 1}
	}
	step := math.Pow(10, math.Floor(math.Log10(highest)))
	for _, part := range []float64{.1, .2, .5} {
		if highest/(step*part) <= 6 {
			step *= part
			break
		}
	}
	var all []float64
	for k := 0; ; k++ {
		all = append(all, float64(k)*step)
		if float64(k)*step >= highest {
			return all
		}
	}
}
