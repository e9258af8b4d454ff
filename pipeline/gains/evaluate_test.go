package gains

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/schemas/metrics"
)

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		claim     Claim
		low, high float64 // of the ratio after / before
		want      Verdict
	}{
		{TimeDown, .3, .5, Shown},
		{TimeDown, .3, .501, Better},
		{TimeDown, .6, .99, Better},
		{TimeDown, .9, 1.1, NoChange},
		{TimeDown, 1.01, 1.2, Worse},
		{SpeedUp, .5, 2. / 3, Shown}, // half as much again: a third less time
		{SpeedUp, .5, .67, Better},
		{SpeedUp, 1.1, 1.2, Worse},
		{RatioDown, .4, .5, Shown},
		{RatioDown, .4, 1, NoChange},
		{RatioUp, 1.5, 2, Shown},
		{RatioUp, 1.49, 2, Better},
		{RatioUp, .5, .9, Worse},
		{RatioUp, 1.5, math.Inf(1), NotEstimable},
		{TimeDown, math.NaN(), .4, NotEstimable},
	} {
		if got := Judge(c.claim.gains(Interval{math.Sqrt(c.low * c.high), c.low, c.high})); got != c.want {
			t.Errorf("%s, ratio %v to %v: %s, want %s", c.claim, c.low, c.high, got, c.want)
		}
	}
}

func TestTextsInBothLanguages(t *testing.T) {
	check := func(name string, text metrics.Text) {
		if text.Zh == "" || text.En == "" || text.Zh == text.En {
			t.Errorf("%s has the texts %+v", name, text)
		}
	}
	for _, v := range Verdicts {
		check(string(v), v.Text())
	}
	for _, c := range Claims {
		check(string(c), c.Text())
	}
	for _, e := range []Estimator{ByDifferences, ByControlledSeries, BySeries, ByNothing} {
		check(string(e), e.Text())
	}
}

// The hash is of all that was registered, and of nothing that happens later.
func TestHash(t *testing.T) {
	v := simulate(designs[0], 1).intervention(TimeDown)
	v.RegisteredAt = time.Date(2025, 1, 1, 8, 0, 0, 0, time.FixedZone("", 8*3600))
	hash := v.Hash()
	later := v
	at := v.RegisteredAt.Add(time.Hour)
	later.SeenAt, later.RegisteredAt = &at, v.RegisteredAt.UTC()
	if later.Hash() != hash || later.Late() {
		t.Error("to look at the result changes the registration")
	}
	before := v.RegisteredAt.Add(-time.Hour)
	if later.SeenAt = &before; !later.Late() || !Evaluate(later, Data{}).Late {
		t.Error("to have looked before is forgotten")
	}
	for name, change := range map[string]func(*Intervention){
		"name": func(v *Intervention) { v.Name += "x" }, "since": func(v *Intervention) { v.Since = "2020-01-01" }, "claim": func(v *Intervention) { v.Claim = SpeedUp },
		"scope": func(v *Intervention) { v.Scope.Items = []string{"a"} }, "cohort": func(v *Intervention) { v.Cohort.Kinds = []string{"a"} },
		"window": func(v *Intervention) { v.Windows.After++ }, "time": func(v *Intervention) { v.RegisteredAt = at },
		"exclusion": func(v *Intervention) { v.Exclusions = []Exclusion{{Why: "flood"}} }, "version": func(v *Intervention) { v.MetricVersion++ },
	} {
		other := v
		if change(&other); other.Hash() == hash {
			t.Errorf("another %s has the same hash", name)
		}
	}
}

// The same data give the same result, in whatever order they come.
func TestDeterministic(t *testing.T) {
	for _, d := range designs {
		s := simulate(d, 5)
		v, data := s.intervention(TimeDown), s.times(.6)
		r := Evaluate(v, data)
		again := Evaluate(v, data)
		if !reflect.DeepEqual(r, again) {
			t.Errorf("%s: two results", d.name)
		}
		data.Units = slices.Clone(data.Units)
		slices.Reverse(data.Units)
		turned := Evaluate(v, data)
		if turned.Verdict != r.Verdict || math.Abs(turned.Ratio.Low-r.Ratio.Low) > 1e-3 || math.Abs(turned.Ratio.High-r.Ratio.High) > 1e-3 {
			t.Errorf("%s: %+v in one order, %+v in the other", d.name, r.Ratio, turned.Ratio)
		}
	}
}

// A mix that shifts towards quick cases is no gain.
func TestCaseMixIsHeld(t *testing.T) {
	var d Data
	d.Metric = Metric{Name: "citizen_time", Unit: Days}
	d.AsOf = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := simulate(designs[1], 3)
	for m := range 36 {
		for i := range 60 {
			u := Unit{Applied: time.Date(2023, 1, 1+i%28, 0, 0, 0, 0, time.UTC).AddDate(0, m, 0), Ended: true, Department: "hall", Item: "slow", Duration: 30 * math.Exp(.3*s.random.NormFloat64())}
			if quick := m < 24 && i%5 == 0 || m >= 24 && i%5 != 0; quick {
				u.Item, u.Duration = "quick", u.Duration/6
			}
			if watched := d.AsOf.Sub(u.Applied).Hours() / 24; u.Duration > watched {
				u.Duration, u.Ended = watched, false
			}
			d.Units = append(d.Units, u)
		}
	}
	v := Intervention{Name: "mix", Since: "2025-01-01", Claim: TimeDown, Windows: Windows{Before: 24, After: 12}}
	r := Evaluate(v, d)
	if *r.Raw > .4 || math.Abs(*r.CaseMix.Ratio-1) > .2 || r.Verdict != NoChange {
		t.Errorf("raw %v, case mix held %v, %s: %s", *r.Raw, *r.CaseMix.Ratio, r.Verdict, r.Because.En)
	}
	// What is there in one period alone is named and left out.
	for m := range 12 {
		for range 20 {
			d.Units = append(d.Units, Unit{Applied: time.Date(2025, 1+time.Month(m), 3, 0, 0, 0, 0, time.UTC), Ended: true, Department: "hall", Item: "new", Duration: 1})
		}
	}
	r = Evaluate(v, d)
	if len(r.CaseMix.LeftOut) != 1 || r.CaseMix.LeftOut[0].Item != "new" || math.Abs(*r.CaseMix.LeftOut[0].Share-240./2400) > 1e-9 || r.Verdict != NoChange {
		t.Errorf("left out %+v, %s", r.CaseMix.LeftOut, r.Verdict)
	}
}

// A comparison group that was moving away before the start does not decide.
func TestTrendsRefuteTheComparison(t *testing.T) {
	s := simulate(designs[0], 8)
	data := s.times(1)
	for i := range data.Units {
		u := &data.Units[i]
		if slices.Contains(s.scope, u.Department) && u.Ended {
			u.Duration *= math.Exp(-.04 * u.Applied.Sub(s.begin).Hours() / 24 / 30)
		}
	}
	r := Evaluate(s.intervention(TimeDown), data)
	if r.Differences == nil || !r.Differences.Refuted || r.Estimator == ByDifferences {
		t.Errorf("%s decides: %+v", r.Estimator, r.Differences)
	}
	if r.Verdict == Shown || r.Verdict == Worse {
		t.Errorf("a trend is taken for a gain: %s", r.Because.En)
	}
}

// Settling months, exclusions and the cohort are left out, and every row is accounted for (I4).
func TestAccount(t *testing.T) {
	s := simulate(designs[0], 9)
	v, data := s.intervention(TimeDown), s.times(.5)
	v.Windows.Settling = 2
	v.Exclusions = []Exclusion{{Where: Where{Items: []string{"heavy"}}, From: "2023-05", To: "2023-06", Why: "flood"}}
	v.Cohort.Channels = []string{"window"}
	data.Units = append(data.Units, Unit{Duration: math.NaN()}, Unit{Applied: data.AsOf, Duration: -1})
	r := Evaluate(v, data)
	a := r.Account
	if a.Given != len(data.Units) || a.Unusable != 2 || a.Settling == 0 || a.Outside == 0 || a.Unusable+a.Outside+a.Settling+a.Scope+a.Comparing != a.Given {
		t.Errorf("%+v", a)
	}
	if r.Ratio == nil || r.Ratio.Low > .5 || r.Ratio.High < .5 {
		t.Errorf("ratio %+v", r.Ratio)
	}
}

// What cannot be told is said in a sentence of both languages.
func TestNotEstimable(t *testing.T) {
	s := simulate(designs[0], 4)
	times := s.times(.5)
	counts := s.counts(.5)
	v := s.intervention(TimeDown)
	ratio := s.intervention(RatioDown)
	with := func(v Intervention, change func(*Intervention)) Intervention { change(&v); return v }
	units := func(change func(*Unit)) Data {
		d := times
		d.Units = slices.Clone(times.Units)
		for i := range d.Units {
			change(&d.Units[i])
		}
		return d
	}
	tally := func(change func(*Count)) Data {
		d := counts
		d.Counts = slices.Clone(counts.Counts)
		for i := range d.Counts {
			change(&d.Counts[i])
		}
		return d
	}
	one := func(v *Intervention) { v.Windows = Windows{Before: 6, After: 6} }
	for name, c := range map[string]struct {
		v    Intervention
		d    Data
		says string
	}{
		"nothing at all":           {v, Data{Metric: times.Metric}, "no data"},
		"no counts":                {ratio, Data{Metric: counts.Metric}, "no data"},
		"an empty scope":           {with(v, func(v *Intervention) { v.Scope.Departments = []string{"nowhere"} }), times, "Nothing is in the scope"},
		"an empty period before":   {with(v, func(v *Intervention) { v.Since, v.Starts = "2023-01-01", nil }), times, "before the start"},
		"an empty period after":    {with(v, func(v *Intervention) { v.Since, v.Starts = "2026-05-01", nil }), times, "after the start"},
		"all censored":             {v, units(func(u *Unit) { u.Ended = false }), "three quarters"},
		"no durations":             {v, units(func(u *Unit) { u.Duration = math.NaN() }), "mend the data"},
		"negative durations":       {v, units(func(u *Unit) { u.Duration = -3 }), "mend the data"},
		"infinite durations":       {v, units(func(u *Unit) { u.Duration = math.Inf(1) }), "mend the data"},
		"no time taken":            {v, units(func(u *Unit) { u.Duration = 0 }), "nothing to shorten"},
		"one cluster, short":       {with(v, func(v *Intervention) { one(v); v.Starts = nil }), units(func(u *Unit) { u.Department = s.scope[0] }), "too few departments"},
		"nothing varies, short":    {with(v, one), units(func(u *Unit) { u.Duration, u.Ended = 10, true }), "Nothing varies"},
		"division by zero":         {ratio, tally(func(c *Count) { c.Denominator = 0 }), "mend the data"},
		"nobody knows when":        {ratio, func() Data { d := counts; d.AsOf, d.Metric.Settles = time.Time{}, 30; return d }(), "until when"},
		"a numerator of nothing":   {ratio, tally(func(c *Count) { c.Numerator = 0 }), "numerator is zero"},
		"months that are none":     {ratio, tally(func(c *Count) { c.Month.Month = 13 }), "mend the data"},
		"counts that are none":     {ratio, tally(func(c *Count) { c.Numerator = math.NaN() }), "mend the data"},
		"a claim of another kind":  {ratio, times, "does not fit"},
		"a claim of no kind":       {with(v, func(v *Intervention) { v.Claim = "" }), times, "claim"},
		"no start":                 {with(v, func(v *Intervention) { v.Since = "soon" }), times, "since"},
		"no windows":               {with(v, func(v *Intervention) { v.Windows = Windows{} }), times, "windows"},
		"everything is excluded":   {with(v, func(v *Intervention) { v.Exclusions = []Exclusion{{Why: "all"}} }), times, "Nothing is in the scope"},
		"an exclusion with no why": {with(v, func(v *Intervention) { v.Exclusions = []Exclusion{{}} }), times, "reason"},
		"no kind in both periods": {v, units(func(u *Unit) {
			u.Item = u.Applied.Format("2006-01")
		}), "No kind of case"},
	} {
		r := Evaluate(c.v, c.d)
		if r.Verdict != NotEstimable || r.Because.En == "" || r.Because.Zh == "" || !strings.Contains(r.Because.En, c.says) {
			t.Errorf("%s: %s: %s", name, r.Verdict, r.Because.En)
		}
		if r.Gain != nil || r.Ratio != nil || r.Estimator != ByNothing {
			t.Errorf("%s: has an estimate", name)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever comes in, a result comes out that can be sent on.
func TestAnyInput(t *testing.T) {
	number := rapid.OneOf(rapid.Float64Range(0, 100), rapid.Float64(), rapid.SampledFrom([]float64{0, -1, math.NaN(), math.Inf(1), math.Inf(-1), 1e308, 5e-324}))
	name := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h", ""})
	day := rapid.Custom(func(t *rapid.T) time.Time {
		return time.Date(2023, 1, rapid.IntRange(-100, 1200).Draw(t, "day"), 0, 0, 0, 0, time.UTC)
	})
	verdicts := map[Verdict]int{}
	rapid.Check(t, func(t *rapid.T) {
		ordinary := rapid.IntRange(0, 3).Draw(t, "ordinary") > 0 // else anything may be anything
		value := number
		if ordinary {
			value = rapid.Float64Range(0, 60)
		}
		var d Data
		claim := rapid.SampledFrom(Claims).Draw(t, "claim")
		d.Metric = Metric{Unit: "share", Settles: rapid.IntRange(-1, 60).Draw(t, "settles"), MinimumCell: rapid.IntRange(-1, 8).Draw(t, "minimum")}
		if claim.OfTime() {
			d.Metric.Unit = rapid.SampledFrom([]string{Days, WorkingDays}).Draw(t, "unit")
		}
		if rapid.Bool().Draw(t, "as of") {
			d.AsOf = time.Date(2023, 1, 1200+rapid.IntRange(-10, 300).Draw(t, "until"), 0, 0, 0, 0, time.UTC)
		}
		n := rapid.SampledFrom([]int{4000, 1000, 100, 10, 1, 0}).Draw(t, "rows")
		window := rapid.SampledFrom([]int{18, 12, 6, 1, 24})
		if !ordinary {
			claim = rapid.SampledFrom(append(slices.Clone(Claims), "other")).Draw(t, "any claim")
			d.Metric.Unit = rapid.SampledFrom([]string{Days, WorkingDays, "share", ""}).Draw(t, "any unit")
			window = rapid.IntRange(-1, 300)
		}
		random := simulate(designs[1], rapid.Uint64Range(0, 1000).Draw(t, "seed")).random
		for range n {
			u := Unit{Applied: time.Date(2023, 1, random.IntN(1200), 0, 0, 0, 0, time.UTC), Duration: random.ExpFloat64() * 20, Ended: random.IntN(4) > 0,
				Department: string(rune('a' + random.IntN(9))), Item: string(rune('a' + random.IntN(2)))}
			d.Units = append(d.Units, u)
			d.Counts = append(d.Counts, Count{Month: metrics.MonthOf(u.Applied), Numerator: float64(random.IntN(4)), Denominator: float64(1 + random.IntN(9)), Department: u.Department, Item: u.Item})
		}
		for range rapid.IntRange(0, 20).Draw(t, "odd rows") {
			d.Units = append(d.Units, Unit{Applied: day.Draw(t, "applied"), Duration: value.Draw(t, "duration"), Ended: rapid.Bool().Draw(t, "ended"), Department: name.Draw(t, "department"), Item: name.Draw(t, "item")})
			d.Counts = append(d.Counts, Count{Month: metrics.Month{Year: rapid.IntRange(-1, 2026).Draw(t, "year"), Month: rapid.IntRange(-1, 14).Draw(t, "month")},
				Numerator: value.Draw(t, "numerator"), Denominator: value.Draw(t, "denominator"), Department: name.Draw(t, "department"), Item: name.Draw(t, "item")})
		}
		since := day.Draw(t, "since")
		if ordinary {
			since = time.Date(2023, 1, 200+random.IntN(800), 0, 0, 0, 0, time.UTC)
		}
		v := Intervention{Name: "any", Since: since.Format(time.DateOnly), Claim: claim, Scope: Where{Departments: rapid.SliceOfN(name, 0, 6).Draw(t, "scope")},
			Windows: Windows{window.Draw(t, "before"), window.Draw(t, "after"), max(0, rapid.IntRange(-6, 3).Draw(t, "settling"))}}
		if rapid.Bool().Draw(t, "staged") {
			v.Starts = map[string]string{name.Draw(t, "cluster"): day.Draw(t, "own start").Format(time.DateOnly)}
		}
		r := Evaluate(v, d)
		verdicts[r.Verdict]++
		if !slices.Contains(Verdicts, r.Verdict) || r.Because.En == "" || r.Because.Zh == "" {
			t.Fatalf("%q: %+v", r.Verdict, r.Because)
		}
		if a := r.Account; r.AsOf != "" && a.Unusable+a.Outside+a.Settling+a.Scope+a.Comparing != a.Given {
			t.Fatalf("not every row is accounted for: %+v", a) // I4
		}
		if (r.Verdict == NotEstimable) != (r.Gain == nil) || r.Gain != nil && !(r.Gain.Low <= r.Gain.Value && r.Gain.Value <= r.Gain.High) {
			t.Fatalf("%s: %+v", r.Verdict, r.Gain)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Fatal(err)
		}
		for _, language := range []string{Chinese, English} {
			page, err := r.Report(language).HTML()
			if err != nil || strings.Contains(page, "NaN") || strings.Contains(page, "+Inf") {
				t.Fatalf("the report has a figure that is none: %v", err)
			}
		}
	})
	t.Log(verdicts)
	if verdicts[NoChange]+verdicts[Better]+verdicts[Worse]+verdicts[Shown] == 0 {
		t.Error("nothing of what came in could be estimated")
	}
}

// A field that holds something else than departments does not fill the memory (I10).
func TestTooManyClusters(t *testing.T) {
	s := simulate(designs[0], 6)
	v, d := s.intervention(TimeDown), s.times(.5)
	for i := range d.Units {
		if u := &d.Units[i]; !slices.Contains(s.scope, u.Department) {
			u.Department = fmt.Sprintf("case %d", i)
		}
	}
	for i := range 5000 {
		d.Units = append(d.Units, Unit{Applied: s.begin.AddDate(0, i%30, i%27), Duration: float64(1 + i%40), Ended: true, Department: fmt.Sprintf("other case %d", i)})
	}
	r := Evaluate(v, d)
	if r.Differences != nil || !slices.ContainsFunc(r.Notes, func(n metrics.Text) bool { return strings.Contains(n.En, "check the field") }) {
		t.Errorf("%+v", r.Notes)
	}
}

// Fewer than the minimum cell are not told of (I7).
func TestSmallCells(t *testing.T) {
	s := simulate(designs[1], 2)
	v, d := s.intervention(TimeDown), s.times(.5)
	kept := d.Units[:0]
	few := 0
	for _, u := range d.Units {
		if monthOf(u.Applied) == monthOf(s.begin) {
			if few++; few > 4 {
				continue
			}
		}
		kept = append(kept, u)
	}
	d.Units = append(kept, Unit{Applied: s.begin.AddDate(0, 3, 0), Duration: 1, Ended: true, Department: s.scope[0], Item: "rare"})
	r := Evaluate(v, d)
	if m := r.Months[0]; m.State != MonthSmall || m.Cases != 0 || m.Ended != 0 || m.Value != nil || m.ClosedOnly != nil {
		t.Errorf("%+v", m)
	}
	if last := r.CaseMix.LeftOut[len(r.CaseMix.LeftOut)-1]; last.Item != "rare" || last.Share != nil {
		t.Errorf("%+v", last)
	}
}

// To look while cases are open says the same as to wait until all have ended.
func TestOpenCasesAreExpected(t *testing.T) {
	random := simulate(designs[1], 12).random
	var waited, early Data
	early.Metric = Metric{Name: "citizen_time", Unit: Days}
	waited.Metric = early.Metric
	early.AsOf, waited.AsOf = time.Date(2025, 8, 1, 0, 0, 0, 0, time.UTC), time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
	open := 0
	for m := range 30 {
		for i := range 300 {
			u := Unit{Applied: time.Date(2023, 1, 1+i%28, 0, 0, 0, 0, time.UTC).AddDate(0, m, 0), Ended: true, Department: "hall", Duration: math.Exp(3 + 1.5*random.NormFloat64())}
			waited.Units = append(waited.Units, u)
			if watched := early.AsOf.Sub(u.Applied).Hours() / 24; u.Duration > watched {
				u.Duration, u.Ended = watched, false
				open++
			}
			early.Units = append(early.Units, u)
		}
	}
	v := Intervention{Name: "open", Since: "2025-01-01", Claim: TimeDown, Windows: Windows{Before: 24, After: 6}}
	a := Evaluate(v, early)
	young := 0
	for _, m := range a.Months {
		if m.State == MonthYoung {
			young++
		}
	}
	if young == 0 || open < 30 {
		t.Fatalf("%d young months and %d open cases: nothing is tested", young, open)
	}
	// The same months for both, of which some have open cases.
	v.Windows.After -= young
	b := Evaluate(v, waited)
	if math.Abs(math.Log(a.Ratio.Value/b.Ratio.Value)) > .03 || a.Verdict != NoChange {
		t.Errorf("%+v while cases are open, %+v when all have ended", a.Ratio, b.Ratio)
	}
}

// A ratio that falls to nothing is better, and has an interval.
func TestRatioOfNothing(t *testing.T) {
	s := simulate(designs[0], 3)
	d := s.counts(1)
	for i := range d.Counts {
		if c := &d.Counts[i]; slices.Contains(s.scope, c.Department) && monthIndex(c.Month) >= monthOf(s.begin)+simulatedBefore-7 {
			c.Numerator = 0
		}
	}
	if r := Evaluate(s.intervention(RatioDown), d); r.Verdict != Shown {
		t.Errorf("%s: %s", r.Verdict, r.Because.En)
	}
}
