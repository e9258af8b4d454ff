package gains

import "time"

// times evaluates a time.
func (e *study) times(d Data) {
	perDay := 1.
	if d.Metric.Unit == WorkingDays {
		perDay = 2. / 3 // of a year's days, rather too few than too many: 248 of 365 in 2025
	}
	candidates := make([]candidate, len(d.Units))
	for i, u := range d.Units {
		at := u.Applied.In(d.Zone)
		candidates[i] = candidate{place: place{u.Department, u.Division, u.Item, u.Kind, u.Channel},
			row:    row{month: monthOf(at), duration: u.Duration, ended: u.Ended},
			usable: usable(u.Duration) && at.Year() >= 1900 && at.Year() <= 2200}
		if d.AsOf.IsZero() || !candidates[i].usable {
			continue
		}
		candidates[i].usable = !u.Applied.After(d.AsOf)
	}
	if d.AsOf.IsZero() {
		for i, u := range d.Units {
			if candidates[i].usable && u.Duration/perDay < 100*366 {
				if last := u.Applied.Add(time.Duration(u.Duration / perDay * 24 * float64(time.Hour))); last.After(d.AsOf) {
					d.AsOf = last
				}
			}
		}
	}
	if !d.AsOf.IsZero() {
		e.AsOf = dayText(d.AsOf, d.Zone)
	}
	if !e.choose(candidates) {
		return
	}
	e.describeTimes()
	e.monthsOfTimes(d.AsOf, perDay)
	if e.Because.En != "" {
		return
	}
	floor := shortest(d.Metric.Unit)
	if before := e.Before.Median; before != nil && before.Value <= floor {
		e.refuse("举措之前的中位数已不超过 %[1]v（%[2]s 的最小计量），没有可缩短的时间。", "The median before the start is no more than %[1]v, the shortest that counts in %[2]s: there is nothing to shorten.", floor, e.Metric.Unit)
		return
	}
	a := e.s.adjust(e.rows, floor)
	if !a.settled {
		e.note("对未办结办件的期望时长在规定轮次内尚未完全稳定，影响小于 1%%。", "The expected times of open cases had not quite settled; the effect on the figures is below 1%%.")
	}
	e.adjusted, e.variance, e.typical = a.value, a.variance, a.typical
	e.decide()
}

// describeTimes gives the curves of before and after, raw and with the case mix of before.
func (e *study) describeTimes() {
	before, after := e.period(scopeBefore), e.period(scopeAfter)
	e.Before, e.After = before, after
	e.Closed = ratioOf(after.ClosedOnly, before.ClosedOnly)
	if before.Median != nil && after.Median != nil {
		e.Raw = ratioOf(&after.Median.Value, &before.Median.Value)
	}
	// Each stratum of after weighs as much as it did before.
	size := [2][]float64{make([]float64, len(e.s.strata)), make([]float64, len(e.s.strata))}
	var whole [2]float64
	of := func(r *row) int { return r.side() - scopeBefore }
	for i := range e.s.rows {
		if r := &e.s.rows[i]; r.scope && !r.apart {
			size[of(r)][r.stratum]++
			whole[of(r)]++
		}
	}
	var observations [2][]weighted
	for i := range e.s.rows {
		r := &e.s.rows[i]
		if !r.scope || r.apart {
			continue
		}
		w := weighted{Observation{r.duration, r.ended}, 1}
		if r.after {
			w.weight = size[0][r.stratum] / whole[0] * whole[1] / size[1][r.stratum]
		}
		observations[of(r)] = append(observations[of(r)], w)
	}
	for k, into := range []**float64{&e.CaseMix.Before, &e.CaseMix.After} {
		if median := e.Metric.median(weightedCurve(observations[k])); median != nil {
			*into = &median.Value
		}
	}
	e.CaseMix.Ratio = ratioOf(e.CaseMix.After, e.CaseMix.Before)
}

func (e *study) period(side int) *Period {
	var observations []Observation
	var ended []float64
	for i := range e.s.rows {
		if r := &e.s.rows[i]; r.side() == side {
			observations = append(observations, Observation{r.duration, r.ended})
			if r.ended {
				ended = append(ended, r.duration)
			}
		}
	}
	curve := KaplanMeier(observations)
	p := &Period{Cases: curve.Units, Ended: curve.Ended}
	if curve.Units < e.Metric.MinimumCell {
		return p
	}
	p.Median, p.P90, p.ClosedOnly = e.Metric.quantile(curve, .5), e.Metric.quantile(curve, .9), closedOnly(ended)
	p.Curve = thin(curve.Steps, 200)
	return p
}

// thin keeps about n steps, the first and the last among them.
func thin(steps []Step, n int) []Step {
	if len(steps) <= n {
		return steps
	}
	kept := make([]Step, 0, n)
	for i := range n {
		kept = append(kept, steps[i*(len(steps)-1)/(n-1)])
	}
	return kept
}

// monthsOfTimes tells which months can be estimated and keeps their rows. A month counts once its last case could be watched for as
// long as three quarters of the cases took before the start: a rule that looks at the calendar, not at how the month came out.
func (e *study) monthsOfTimes(asOf time.Time, perDay float64) {
	n := e.s.months()
	type watched struct {
		observations []Observation
		ended        []float64
		reached      int
	}
	months := [2][]watched{make([]watched, n), make([]watched, n)} // comparing, scope
	var early [2][]Observation
	of := func(r *row) int {
		if r.scope {
			return 1
		}
		return 0
	}
	for i := range e.s.rows {
		r := &e.s.rows[i]
		at := &months[of(r)][r.month-e.s.first]
		at.observations = append(at.observations, Observation{r.duration, r.ended})
		if r.ended {
			at.ended = append(at.ended, r.duration)
		}
		if r.after {
			at.reached++
		}
		if r.month < e.s.start {
			early[of(r)] = append(early[of(r)], Observation{r.duration, r.ended})
		}
	}
	long := 0.
	for of, observations := range early {
		q, ok := KaplanMeier(observations).Quantile(.75)
		if ok {
			long = max(long, q.Value)
		} else if of == 1 {
			e.refuse("举措开始之前的办件，到数据截止时办结的还不到四分之三，无法判断多久算看全。",
				"Of the cases from before the start, fewer than three quarters have ended: what a case takes cannot be told.")
			return
		}
	}
	e.Months = make([]Month, n)
	var use [2][]bool
	young := 0
	for of := range months {
		use[of] = make([]bool, n)
		for i := range n {
			at := &months[of][i]
			m := e.s.first + month(i)
			curve := KaplanMeier(at.observations)
			follow := asOf.Sub(m.end(e.zone)).Hours() / 24 * perDay
			median := e.Metric.median(curve)
			shown := Month{Month: m.String(), Cases: curve.Units, Ended: curve.Ended, State: MonthOK}
			switch {
			case curve.Units == 0:
				shown.State = MonthEmpty
			case curve.Units < e.Metric.MinimumCell:
				shown.State, shown.Cases, shown.Ended = MonthSmall, 0, 0
			case median == nil:
				shown.State = MonthNotEstimable
			case follow < long && curve.Ended < curve.Units:
				shown.State = MonthYoung
			}
			use[of][i] = shown.State == MonthOK
			if of == 0 {
				continue
			}
			if curve.Units >= e.Metric.MinimumCell {
				shown.ClosedOnly = closedOnly(at.ended)
				shown.Reached = float64(at.reached) / float64(curve.Units)
			}
			if median != nil {
				shown.Value = &median.Value
			}
			if shown.State == MonthYoung || shown.State == MonthNotEstimable {
				young++
			}
			e.Months[i] = shown
		}
	}
	if young > 0 {
		e.note("不参与估计的月份：%[1]d 个，其办件观察时间不够或办结太少；只看已办结的会显得快。",
			"Months left out: %[1]d. Their cases could not be watched long enough, or too few have ended; closed cases alone would make them look fast.", young)
	}
	for i := range e.s.rows {
		if r := e.s.rows[i]; !r.apart && use[of(&r)][r.month-e.s.first] {
			e.rows = append(e.rows, r)
		}
	}
	var before, after bool
	for i := range e.rows {
		before, after = before || e.rows[i].side() == scopeBefore, after || e.rows[i].side() == scopeAfter
	}
	if !before || !after {
		e.refuse("举措开始前或开始后没有一个月份可以估计：办结的太少，或观察时间不够。",
			"Before the start, or after it, not one month is estimable: too few cases have ended, or they could not be watched long enough.")
	}
}
