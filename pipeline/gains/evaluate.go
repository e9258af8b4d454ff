package gains

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/shirecounty/shire/schemas/metrics"
)

// fewestClusters is how many clusters have to be on either side for their differences to tell the error of the effect.
const fewestClusters = 4

// refuting is the level of the tests that speak against a comparison.
const refuting = .05

// mostWeights bounds the weights of months by clusters that a jackknife holds (I10): 480 clusters over three years.
const mostWeights = 1 << 23

// mostUnusable: one row in so many may be unusable before nothing is said.
const mostUnusable = 10

// usable tells whether a number can be a duration or a count.
func usable(x float64) bool { return x >= 0 && !math.IsInf(x, 1) }

// study is an evaluation under way.
type study struct {
	*Result
	v        *Intervention
	zone     *time.Location
	s        *selection
	rows     []row // that the estimate rests on
	adjusted []float64
	variance float64
	typical  float64 // adjusted + typical is the logarithm of the metric
}

// Evaluate says what an intervention changed. It always gives a result: where something stands in the way, the verdict is
// [NotEstimable] and Because says what. The same data give the same result.
func Evaluate(v Intervention, d Data) *Result {
	d.Metric.setDefaults()
	if d.Zone == nil {
		d.Zone = time.UTC
	}
	e := &study{v: &v, zone: d.Zone, Result: &Result{Intervention: v, Hash: v.Hash(), Late: v.Late(), Metric: d.Metric, Verdict: NotEstimable, Estimator: ByNothing}}
	if e.Late {
		e.note("该举措在结果已被查看之后才登记。", "The intervention was registered after its result had been seen.")
	}
	if err := v.Check(); err != nil {
		return e.refuse("登记内容有误：%[1]v。", "The registration cannot be evaluated: %[1]v.", err)
	}
	if v.Claim.OfTime() != (d.Metric.Unit == Days || d.Metric.Unit == WorkingDays) {
		return e.refuse("主张（%[1]s）与指标的单位（%[2]s）不符。", "The claim %[1]s does not fit a metric in %[2]s.", v.Claim, d.Metric.Unit)
	}
	if v.Claim.OfTime() {
		e.times(d)
	} else {
		e.ratios(d)
	}
	return e.Result
}

func (e *study) refuse(zh, en string, values ...any) *Result {
	e.Because = say(zh, en, values...)
	return e.Result
}

func (e *study) note(zh, en string, values ...any) { e.Notes = append(e.Notes, say(zh, en, values...)) }

// choose sorts the candidates and accounts for them. It is false when there is nothing to compare.
func (e *study) choose(candidates []candidate) bool {
	e.s = e.v.sorting(candidates, float64(e.Metric.MinimumCell))
	s := e.s
	e.Account = Account{Given: s.given, Unusable: s.unusable, Outside: s.outside, Settling: s.settling}
	var before, after, apart int
	for i := range s.rows {
		switch s.rows[i].side() {
		case comparing:
			e.Account.Comparing++
			continue
		case scopeBefore:
			before++
		case scopeAfter:
			after++
		}
		if s.rows[i].apart {
			apart++
		}
	}
	e.Account.Scope = before + after
	if s.unusable > 0 {
		e.note("未计入的行：%[1]d 行，其时长或计数为负数或不是数字，或晚于数据截止时刻。", "Rows that do not count: %[1]d. Their duration or count is negative or no number, or they are later than the data.", s.unusable)
	}
	if s.start != 0 {
		e.From, e.Start, e.To = s.first.String(), s.start.String(), s.last.String()
	}
	switch {
	case len(candidates) == 0:
		e.refuse("没有任何数据。", "There are no data.")
	case s.unusable*mostUnusable > len(candidates):
		e.refuse("有 %.0[1]f%% 的行的时长或计数为负数或不是数字，先修正数据再评估。",
			"The durations or counts of %.0[1]f%% of the rows are negative or no numbers: mend the data first.", 100*float64(s.unusable)/float64(len(candidates)))
	case before+after == 0:
		e.refuse("举措范围内没有任何数据；请检查范围和日期。", "Nothing is in the scope and the windows of the intervention; check both.")
	case before == 0:
		e.refuse("举措开始之前的时段没有数据。", "There is nothing in scope before the start.")
	case after == 0:
		e.refuse("举措开始之后的时段没有数据。", "There is nothing in scope after the start.")
	case apart == before+after:
		e.refuse("范围内没有一类办件在前后两个时段都达到最小单元。", "No kind of case in the scope has enough cases both before the start and after it.")
	default:
		e.CaseMix = &CaseMix{LeftOut: s.leftOut, LeftOutShare: s.leftOutShare}
		if len(s.leftOut) > 0 {
			e.note("估计时未计入的办件类别：%[1]d 类，占范围内 %.0[2]f%%，不是前后两个时段都有。",
				"Kinds of cases that the estimate leaves out: %[1]d, %.0[2]f%% of the scope. They are not there in both periods.", len(s.leftOut), 100*s.leftOutShare)
		}
		return true
	}
	return false
}

// decide estimates from the adjusted rows and gives the verdict.
func (e *study) decide() {
	if len(e.rows) == 0 {
		e.refuse("没有一个月份可以估计。", "Not one month is estimable.")
		return
	}
	if e.variance < 1e-9 {
		e.refuse("同类办件的数值完全相同，没有误差可言：像是填写的而不是记录的。", "Nothing varies within a kind and a month, so that no error can be told: the values look filled in rather than recorded.")
		return
	}
	e.differences()
	e.series()
	var ratio *Interval
	switch d := e.Differences; {
	case d != nil && !d.Refuted:
		e.Estimator, ratio = ByDifferences, &d.Effect
	case e.TimeSeries != nil && e.TimeSeries.Controlled:
		e.Estimator, ratio = ByControlledSeries, &e.TimeSeries.Effect
	case e.TimeSeries != nil:
		e.Estimator, ratio = BySeries, &e.TimeSeries.Effect
	case d != nil:
		e.refuse("对照组在举措开始之前就与范围内走势不同，而月份又不够做时间序列：前后各自的数字不能说明变化由举措引起。",
			"The comparison group moved otherwise before the start, and there are too few months for a time series: figures of before and after alone do not tell what made the change.")
		return
	default:
		e.refuse("对照的部门不足（两边各至少 %[1]d 个），可估计的月份也不足（开始前至少 %[2]d 个、开始后至少 %[3]d 个）：单凭前后对比分不清成效和季节、趋势。",
			"There are too few departments to compare (%[1]d on either side are needed) and too few estimable months (%[2]d before the start and %[3]d after it are needed): before and after alone cannot tell a gain from a season or a trend.",
			fewestClusters, fewestBefore, fewestAfter)
		return
	}
	gain := e.v.Claim.gains(*ratio)
	if !gain.finite() {
		e.Estimator = ByNothing
		e.refuse("估计没有得到有限的区间。", "The estimate gives no finite interval.")
		return
	}
	e.Ratio, e.Gain, e.Verdict = ratio, &gain, Judge(gain)
	e.Because = verdictSentence(e.Verdict, e.Estimator, gain)
}

func verdictSentence(v Verdict, by Estimator, gain Interval) metrics.Text {
	text := intervalText(gain)
	text.Zh = by.Text().Zh + "：改善 " + text.Zh + "。"
	text.En = "By " + by.Text().En + " the gain is " + text.En + ". "
	why := map[Verdict]metrics.Text{
		Shown:    {Zh: "区间的下限不低于 50%。", En: "Its lower end is at least 50%."},
		Better:   {Zh: "整个区间都在改善一侧，但下限低于 50%。", En: "All of it is better than no change, but its lower end is below 50%."},
		NoChange: {Zh: "区间包含零：数据不能说明有变化，也不能说明没有变化。", En: "It holds zero: the data show no change, which is not to say that there was none."},
		Worse:    {Zh: "整个区间都在变差一侧。", En: "All of it is worse than no change."},
	}[v]
	return metrics.Text{Zh: text.Zh + why.Zh, En: text.En + why.En}
}

// differences estimates by difference-in-differences where there are clusters enough.
func (e *study) differences() {
	p := e.panel()
	if len(p.cells)*p.clusters > mostWeights {
		e.note("部门或乡镇有 %[1]d 个，超过双重差分所能处理的数量；请检查该字段，或改用更粗的划分。",
			"%[1]d clusters are more than a difference-in-differences can hold: check the field, or choose larger clusters.", p.clusters)
		return
	}
	in, compare := p.sides()
	if in < fewestClusters || compare < fewestClusters {
		if e.Account.Comparing > 0 || e.s.staged {
			e.note("有对照，但范围内 %[1]d 个、对照 %[2]d 个部门，少于双重差分所需的各 %[3]d 个。",
				"There is a comparison group, but %[1]d clusters in scope and %[2]d to compare are fewer than the %[3]d that a difference-in-differences needs on either side.", in, compare, fewestClusters)
		}
		return
	}
	effect, ok := p.jackknife(p.effect)
	if !ok || !effect.t().exp().finite() {
		return
	}
	d := &Differences{Scope: in, Comparing: compare, Effect: effect.t().exp(), Freedom: effect.df}
	if b := p.bootstrap(effect).exp(); b.finite() {
		d.Bootstrap = &b
	}
	if trend, ok := p.jackknife(p.trend); ok && trend.t().exp().finite() {
		d.Trend = &Trend{trend.t().exp(), trend.p()}
		d.Refuted = trend.p() < refuting
	}
	d.Placebos = p.placebos()
	for _, placebo := range d.Placebos {
		d.Refuted = d.Refuted || placebo.P < refuting/float64(len(d.Placebos))
	}
	if d.Trend == nil && d.Placebos == nil {
		return // a comparison that nothing can speak against is none
	}
	e.Differences = d
	for m, y := range p.without() {
		e.expect(m, y)
	}
	if d.Refuted {
		e.note("举措开始之前的走势或安慰剂日期不支持对照，双重差分不用于结论。",
			"Trends before the start, or a pretended start, speak against the comparison: the difference-in-differences does not decide.")
	}
}

// panel gathers the adjusted rows by cluster and month.
func (e *study) panel() *panel {
	p := &panel{months: e.s.months(), clusters: len(e.s.clusters), variance: e.variance}
	type key struct {
		cluster int
		scope   bool
		month   month
	}
	groups, cells := map[key]int{}, map[key]int{}
	for i := range e.rows {
		r := &e.rows[i]
		k := key{r.cluster, r.scope, r.month}
		at, known := cells[k]
		if !known {
			g := key{cluster: r.cluster, scope: r.scope}
			if _, known := groups[g]; !known {
				groups[g] = len(groups)
			}
			_, full := e.v.start(e.s.clusters[r.cluster])
			at, cells[k] = len(p.cells), len(p.cells)
			p.cells = append(p.cells, cell{group: groups[g], cluster: r.cluster, month: int(r.month - e.s.first),
				treated: r.after, scope: r.scope, start: int(full - e.s.first)})
		}
		c, w := &p.cells[at], e.weight(r)
		c.w += w
		c.y += w * (e.adjusted[i] - c.y) / c.w
	}
	p.groups = len(groups)
	slices.SortFunc(p.cells, func(a, b cell) int { return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.month, b.month)) })
	return p
}

// weight is how many cases, or expected events of a ratio, a row stands for.
func (e *study) weight(r *row) float64 {
	if r.den > 0 {
		return r.expected
	}
	return 1
}

// sides counts the clusters that the measure reached with another to compare with, and those that compare.
func (p *panel) sides() (in, compare int) {
	reached, rest := make([]bool, p.months), make([]bool, p.months)
	for i := range p.cells {
		if c := &p.cells[i]; c.treated {
			reached[c.month] = true
		} else {
			rest[c.month] = true
		}
	}
	ins, compares := map[int]bool{}, map[int]bool{}
	for i := range p.cells {
		switch c := &p.cells[i]; {
		case c.treated && rest[c.month]:
			ins[c.cluster] = true
		case !c.treated && reached[c.month]:
			compares[c.cluster] = true
		}
	}
	return len(ins), len(compares)
}

// placebos pretends that the measure had started earlier, and looks at the months before the true start alone.
func (p *panel) placebos() (found []Placebo) {
	const step, most, fewest = 3, 4, 3
	earliest := p.months
	for i := range p.cells {
		if c := &p.cells[i]; c.scope {
			earliest = min(earliest, c.start)
		}
	}
	for k := 1; k <= most && earliest-k*step >= fewest; k++ {
		pretended := &panel{groups: p.groups, months: p.months, clusters: p.clusters, variance: p.variance}
		for _, c := range p.cells {
			if !c.treated {
				c.treated = c.scope && c.month >= c.start-k*step
				pretended.cells = append(pretended.cells, c)
			}
		}
		if effect, ok := pretended.jackknife(pretended.effect); ok && effect.t().exp().finite() {
			found = append(found, Placebo{k * step, effect.t().exp(), effect.p()})
		}
	}
	return found
}

// series estimates by interrupted time series where there are months enough.
func (e *study) series() {
	scope, compare := e.points()
	less := make([]point, 0, len(scope))
	for _, at := range scope {
		i, found := slices.BinarySearchFunc(compare, at.month, func(c point, m int) int { return cmp.Compare(c.month, m) })
		if found {
			at.y -= compare[i].y
			at.variance += compare[i].variance
			at.base = compare[i].y
			less = append(less, at)
		}
	}
	for _, try := range []struct {
		points     []point
		controlled bool
	}{{less, true}, {scope, false}} {
		r, ok := regress(try.points)
		if !ok {
			continue
		}
		m, ok := r.mixture()
		if !ok {
			continue
		}
		robust, ok := r.neweyWest()
		effect := m.interval()
		if !ok || !effect.exp().finite() || !robust.exp().finite() {
			continue
		}
		e.TimeSeries = r.timeSeries(m, effect, robust, try.controlled)
		if e.Differences == nil || e.Differences.Refuted {
			for _, p := range r.without(m) {
				e.expect(p.month, p.y)
			}
		}
		return
	}
}

func (r *regression) timeSeries(m mixture, effect, robust Interval, controlled bool) *TimeSeries {
	t := &TimeSeries{Controlled: controlled, Effect: effect.exp(), NeweyWest: robust.exp()}
	coefficients, autocorrelation := m.mean()
	t.Autocorrelation = autocorrelation
	t.Step = math.Exp(coefficients[r.effect[0]])
	if r.slope {
		perMonth := coefficients[r.effect[1]] / seasonal
		slope := math.Exp(perMonth)
		t.Slope, t.Step = &slope, t.Step*math.Exp(-perMonth*r.meanSlope)
	}
	for _, p := range r.points {
		if p.level > 0 {
			t.After++
		} else {
			t.Before++
		}
	}
	return t
}

// without is the series as trend and season alone would have led it.
func (r *regression) without(m mixture) []point {
	coefficients, _ := m.mean()
	points := slices.Clone(r.points)
	for i := range points {
		points[i].y = points[i].base
		for c, value := range coefficients {
			if !slices.Contains(r.effect, c) {
				points[i].y += value * r.x.At(i, c)
			}
		}
	}
	return points
}

// expect notes what a month of the scope would have been like without the measure.
func (e *study) expect(month int, y float64) {
	level := math.Exp(y + e.typical)
	e.Months[month].Expected = &level
}

// points are the monthly series of the scope and of the comparison.
func (e *study) points() (scope, compare []point) {
	type sum struct{ y, w, level, slope float64 }
	sums := [2][]sum{make([]sum, e.s.months()), make([]sum, e.s.months())}
	for i := range e.rows {
		r := &e.rows[i]
		of := 0
		if r.scope {
			of = 1
		}
		at, w := &sums[of][r.month-e.s.first], e.weight(r)
		at.w += w
		at.y += w * e.adjusted[i]
		if r.after {
			at.level += w
			at.slope += w * float64(r.since)
		}
	}
	series := [2][]point{}
	for of := range sums {
		for m, at := range sums[of] {
			if at.w > 0 {
				series[of] = append(series[of], point{month: m, y: at.y / at.w, variance: e.variance / at.w, level: at.level / at.w, slope: at.slope / at.w})
			}
		}
	}
	for _, p := range series[1] {
		level := math.Exp(p.y + e.typical)
		e.Months[p.month].Adjusted = &level
	}
	return series[1], series[0]
}

// ratioOf divides where that says something.
func ratioOf(after, before *float64) *float64 {
	if after == nil || before == nil || *before <= 0 {
		return nil
	}
	ratio := *after / *before
	return &ratio
}

func dayText(t time.Time, zone *time.Location) string { return t.In(zone).Format(time.DateOnly) }
