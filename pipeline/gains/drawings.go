package gains

import (
	"html/template"
	"math"
	"strconv"
)

// charts draws the curves of before and after, the monthly figure with that of closed cases beside it, and the level with the case
// mix held against what it would have been.
func (w *writer) charts() (sections []Section) {
	add := func(file, heading, text string, c chart) {
		sections = append(sections, Section{Heading: heading, Text: text, Charts: []Chart{{File: file + ".svg", Alt: heading, SVG: template.HTML(c.svg())}}})
	}
	if w.Before != nil && w.After != nil && len(w.Before.Curve) > 0 && len(w.After.Curve) > 0 {
		heading := w.say("多少办件过了多久还没有办结", "How many cases last longer than this")
		c := chart{title: heading, x: axis{label: w.unit()}, y: axis{to: 1, ticks: []float64{0, .25, .5, .75, 1}, text: func(y float64) string { return percentage(y, math.Round) }}}
		longest := 0.
		for _, l := range []struct {
			label, class string
			p            *Period
		}{{w.say("之前", "before"), "before", w.Before}, {w.say("之后", "after"), "after", w.After}} {
			drawn := line{label: l.label, class: l.class, steps: true, x: []float64{0}, y: []float64{1}}
			for _, s := range l.p.Curve {
				drawn.x, drawn.y = append(drawn.x, max(s.Duration, 0)), append(drawn.y, s.Survival)
				if s.Survival > .03 { // the last few would push all others to the left
					longest = max(longest, s.Duration)
				}
			}
			c.lines = append(c.lines, drawn)
		}
		c.x.span(longest)
		for i := range c.lines {
			c.lines[i].cut(c.x.to)
		}
		add("curves", heading, w.say("Kaplan-Meier 曲线；未办结的办件作删失处理。", "Kaplan-Meier curves; open cases are censored."), c)
	}
	if len(w.Months) == 0 {
		return sections
	}
	heading := w.say("逐月的指标", "The figure by month")
	text := w.say("没有实线的月份不参与估计：", "Months without a solid line take no part: ")
	lines := []line{w.monthly(w.say("指标", "figure"), "value", func(m *Month) *float64 {
		if m.State != MonthOK {
			return nil
		}
		return m.Value
	})}
	if w.Intervention.Claim.OfTime() {
		lines[0].label = w.say("中位数（Kaplan-Meier）", "median (Kaplan-Meier)")
		lines = append(lines, w.monthly(w.say("只看已办结", "closed cases alone"), "closed", func(m *Month) *float64 { return m.ClosedOnly }))
		text += w.say("观察时间不够，或办结太少。临近截止时只看已办结的会自行下降，那不是成效。", "their cases could not be watched long enough, or too few have ended. Closed cases alone fall by themselves towards the end; that is no gain.")
	} else {
		text += w.say("数量少于最小单元，或结果尚未定数。", "they have too few units, or their ratio is not settled.")
	}
	c := w.byMonth(heading, lines...)
	if w.Intervention.Claim.OfTime() {
		c.lines[1].dots = false
	}
	add("months", heading, text, c)
	adjusted := w.monthly(w.say("结构固定后", "case mix held"), "value", func(m *Month) *float64 { return m.Adjusted })
	expected := w.monthly(w.say("若无举措", "without the measure"), "expected", func(m *Month) *float64 { return m.Expected })
	expected.dots = false
	if !adjusted.empty() && !expected.empty() {
		heading := w.say("与没有举措时相比", "Against what it would have been")
		add("expected", heading, w.say("办件结构固定后的典型水平；虚线由下面的估计推出。", "The typical level with the case mix held; the dotted line follows from the estimate below."), w.byMonth(heading, adjusted, expected))
	}
	return sections
}

func (w *writer) unit() string {
	switch w.Metric.Unit {
	case Days:
		return w.say("天", "days")
	case WorkingDays:
		return w.say("工作日", "working days")
	default:
		return ""
	}
}

func (w *writer) monthly(label, class string, of func(*Month) *float64) line {
	l := line{label: label, class: class, dots: true}
	for i := range w.Months {
		y := math.NaN()
		if value := of(&w.Months[i]); value != nil {
			y = *value
		}
		l.x, l.y = append(l.x, float64(i)), append(l.y, y)
	}
	return l
}

func (l *line) empty() bool {
	for _, y := range l.y {
		if !math.IsNaN(y) {
			return false
		}
	}
	return true
}

// cut ends a line of steps at x.
func (l *line) cut(x float64) {
	for i := range l.x {
		if l.x[i] > x {
			l.x, l.y = append(l.x[:i], x), append(l.y[:i], l.y[i-1])
			return
		}
	}
}

func (w *writer) byMonth(title string, lines ...line) chart {
	c := chart{title: title, lines: lines, y: axis{label: w.unit()}, x: axis{from: -.5, to: float64(len(w.Months)) - .5, text: func(x float64) string { return w.Months[int(x)].Month }}}
	highest := 0.
	for _, l := range lines {
		for _, y := range l.y {
			if !math.IsNaN(y) {
				highest = max(highest, y)
			}
		}
	}
	c.y.span(highest)
	if w.Metric.Unit != Days && w.Metric.Unit != WorkingDays {
		c.y.text = func(y float64) string { return percentage(y, math.Round) }
	}
	every := max(1, (len(w.Months)+7)/8)
	for i := 0; i < len(w.Months); i += every {
		c.x.ticks = append(c.x.ticks, float64(i))
	}
	for i := range w.Months {
		if w.Months[i].Month == w.Start {
			c.marks = append(c.marks, mark{float64(i) - .5, w.say("开始", "start")})
		}
	}
	return c
}

func (a *axis) span(highest float64) {
	a.ticks = ticks(highest)
	a.to = a.ticks[len(a.ticks)-1]
	a.text = func(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) }
}
