package gains

import (
	"math"
	"time"

	"github.com/shirecounty/shire/schemas/metrics"
)

// A ratio is compared on a logarithmic scale too. What is expected of a row is its denominator times its stratum's ratio before the
// start, so that a shift of the mix changes what is expected and not the level. Levels of groups and of months are
// fitted by Poisson's quasi-likelihood, which bears months with no event; about that fit the level of a row is linear in its count.

// ratios evaluates a ratio.
func (e *study) ratios(d Data) {
	candidates := make([]candidate, len(d.Counts))
	for i, c := range d.Counts {
		usable := usable(c.Numerator) && usable(c.Denominator) && c.Denominator > 0 && validMonth(c.Month)
		candidates[i] = candidate{place: place{c.Department, c.Division, c.Item, c.Kind, c.Channel},
			row: row{month: monthIndex(c.Month), num: c.Numerator, den: c.Denominator}, usable: usable}
	}
	if !d.AsOf.IsZero() {
		e.AsOf = dayText(d.AsOf, d.Zone)
	}
	if !e.choose(candidates) {
		return
	}
	if e.Metric.Settles > 0 && d.AsOf.IsZero() {
		e.refuse("这个比率要过 %[1]d 天才有定数，但没有给出数据截止时刻。", "The ratio is settled %[1]d days after a month's end, and the data do not say until when they reach.", e.Metric.Settles)
		return
	}
	e.describeRatios()
	e.monthsOfRatios(d.AsOf)
	if len(e.rows) > 0 && !e.expectRatios() {
		e.refuse("举措开始之前范围内的分子为零，无法计算比率的变化。", "Before the start the scope's numerator is zero: a change of the ratio cannot be told.")
		return
	}
	e.decide()
}

func validMonth(m metrics.Month) bool {
	return m.Year >= 1900 && m.Year <= 2200 && m.Month >= 1 && m.Month <= 12
}

func (e *study) describeRatios() {
	var num, den [2]float64
	strata := [2][]row{make([]row, len(e.s.strata)), make([]row, len(e.s.strata))}
	for i := range e.s.rows {
		r := &e.s.rows[i]
		if !r.scope {
			continue
		}
		of := r.side() - scopeBefore
		num[of] += r.num
		den[of] += r.den
		if !r.apart {
			strata[of][r.stratum].num += r.num
			strata[of][r.stratum].den += r.den
		}
	}
	for of, into := range []**Period{&e.Before, &e.After} {
		p := &Period{Cases: int(min(den[of], 1e15))}
		if den[of] >= float64(e.Metric.MinimumCell) {
			value := num[of] / den[of]
			p.Numerator, p.Denominator, p.Value = &num[of], &den[of], &value
		}
		*into = p
	}
	e.Raw = ratioOf(e.After.Value, e.Before.Value)
	var sums [2]float64
	var whole float64
	for k := range e.s.strata {
		b, a := strata[0][k], strata[1][k]
		if b.den > 0 && a.den > 0 {
			sums[0] += b.num
			sums[1] += b.den * a.num / a.den
			whole += b.den
		}
	}
	if whole > 0 {
		before, after := sums[0]/whole, sums[1]/whole
		e.CaseMix.Before, e.CaseMix.After = &before, &after
		e.CaseMix.Ratio = ratioOf(&after, &before)
	}
}

// monthsOfRatios keeps the rows of the months that have enough units and are settled.
func (e *study) monthsOfRatios(asOf time.Time) {
	n := e.s.months()
	young := 0
	settled := func(m month) bool {
		return e.Metric.Settles <= 0 || !m.end(e.zone).AddDate(0, 0, e.Metric.Settles).After(asOf)
	}
	e.Months = make([]Month, n)
	type sum struct{ num, den, reached float64 }
	sums := [2][]sum{make([]sum, n), make([]sum, n)}
	of := func(r *row) int {
		if r.scope {
			return 1
		}
		return 0
	}
	for i := range e.s.rows {
		r := &e.s.rows[i]
		at := &sums[of(r)][r.month-e.s.first]
		at.num += r.num
		at.den += r.den
		if r.after {
			at.reached += r.den
		}
	}
	enough := func(s sum) bool { return s.den >= float64(e.Metric.MinimumCell) }
	for i, at := range sums[1] {
		m := Month{Month: (e.s.first + month(i)).String(), Cases: int(min(at.den, 1e15)), State: MonthOK}
		switch {
		case at.den == 0:
			m.State = MonthEmpty
		case !enough(at):
			m.State, m.Cases = MonthSmall, 0
		default:
			value := at.num / at.den
			m.Value, m.Reached = &value, at.reached/at.den
			if !settled(e.s.first + month(i)) {
				m.State = MonthYoung
				young++
			}
		}
		e.Months[i] = m
	}
	if young > 0 {
		e.note("不参与估计的月份：%[1]d 个，其结果尚未定数；先办完的会显得好。",
			"Months left out: %[1]d. What they count has not all happened yet; what comes first would make them look good.", young)
	}
	for i := range e.s.rows {
		if r := e.s.rows[i]; !r.apart && settled(r.month) && enough(sums[of(&r)][r.month-e.s.first]) {
			e.rows = append(e.rows, r)
		}
	}
}

// expectRatios fits what is expected of each row and its level about that. Rows of which nothing is expected are left out. It is
// false when nothing is expected of the scope.
func (e *study) expectRatios() bool {
	// The strata's ratios over what the measure has not reached.
	type sum struct{ num, den float64 }
	strata := make([]sum, len(e.s.strata))
	for i := range e.rows {
		if r := &e.rows[i]; !r.after {
			strata[r.stratum].num += r.num
			strata[r.stratum].den += r.den
		}
	}
	var typical sum
	kept := e.rows[:0]
	for _, r := range e.rows {
		if at := strata[r.stratum]; at.num > 0 {
			r.expected = r.den * at.num / at.den
			kept = append(kept, r)
		}
		if r.side() == scopeBefore {
			typical.num += r.num
			typical.den += r.den
		}
	}
	e.rows = kept
	if typical.num == 0 {
		return false
	}
	// Levels of clusters x scope, of months, and one of all that the measure has reached. A level for each of its months would give the
	// months that happen to be high more weight.
	sets := []struct {
		level []float64
		of    func(*row) int
	}{
		{make([]float64, 2*len(e.s.clusters)), func(r *row) int { return 2*r.cluster + min(r.side(), 1) }},
		{make([]float64, e.s.months()), func(r *row) int { return int(r.month - e.s.first) }},
		{make([]float64, 2), func(r *row) int { return r.side() / scopeAfter }},
	}
	fitted := make([]float64, len(e.rows))
	for i := range e.rows {
		fitted[i] = e.rows[i].expected
	}
	for range 100 {
		moved := 0.
		for _, set := range sets {
			seen, expected := make([]float64, len(set.level)), make([]float64, len(set.level))
			for i := range e.rows {
				seen[set.of(&e.rows[i])] += e.rows[i].num
				expected[set.of(&e.rows[i])] += fitted[i]
			}
			for k := range set.level {
				// Half an event keeps the level of what had none off nothing, which has no logarithm.
				by := (seen[k] + .5) / (expected[k] + .5)
				moved = max(moved, math.Abs(math.Log(by)))
				set.level[k] = by
			}
			for i := range e.rows {
				fitted[i] *= set.level[set.of(&e.rows[i])]
			}
		}
		if moved < 1e-6 {
			break
		}
	}
	e.adjusted = make([]float64, len(e.rows))
	e.variance = 0
	var spread, whole float64
	for i := range e.rows {
		r := &e.rows[i]
		rest := (r.num - fitted[i]) / fitted[i]
		e.adjusted[i] = math.Log(fitted[i]/r.expected) + rest
		spread += rest * rest * fitted[i]
		whole++
		r.expected = fitted[i]
	}
	e.variance = spread / max(whole, 1)
	e.typical = math.Log(typical.num / typical.den)
	return true
}
