package gains

import (
	"cmp"
	"math"
	"slices"
)

// Observation is a duration that ended, or one that was still going on when it was last seen.
type Observation struct {
	Duration float64
	Ended    bool
}

// Step is a duration at which units ended, and what is left of the curve after it.
type Step struct {
	Duration float64 `json:"duration"`
	AtRisk   float64 `json:"at_risk"`
	Ended    float64 `json:"ended"`
	Survival float64 `json:"survival"`
	Low      float64 `json:"low"` // 95% limits on the scale of log(-log S), with Greenwood's variance
	High     float64 `json:"high"`
}

// Curve is a Kaplan-Meier estimate: the share that lasts longer than each duration (Kaplan and Meier 1958).
type Curve struct {
	Units int
	Ended int
	Steps []Step // by duration
}

// Quantile is a quantile of a curve with its 95% interval. High is nil where the curve's upper limit does not come down so far.
type Quantile struct {
	Value float64  `json:"value"`
	Low   float64  `json:"low"`
	High  *float64 `json:"high"`
}

// z is the standard normal's 97.5% quantile.
const z = 1.959963984540054

// rounding covers what the sums and products of a curve lose; the same as in schemas/metrics.
const rounding = 1e-9

// KaplanMeier estimates the curve of the observations, as schemas/metrics does in SQL. Ends come before censorings of the same
// duration. What is infinite or no number is left out; a case that ends before it starts counts with its negative duration, as it
// does in the county's figures.
func KaplanMeier(observations []Observation) Curve {
	usable := make([]weighted, 0, len(observations))
	for _, o := range observations {
		if !math.IsNaN(o.Duration) && !math.IsInf(o.Duration, 0) {
			usable = append(usable, weighted{o, 1})
		}
	}
	return weightedCurve(usable)
}

type weighted struct {
	Observation
	weight float64
}

// weightedCurve is the curve in which each observation counts with its weight. It sorts them.
func weightedCurve(observations []weighted) Curve {
	slices.SortFunc(observations, func(a, b weighted) int { return cmp.Compare(a.Duration, b.Duration) })
	c := Curve{Units: len(observations)}
	// At risk is summed from the end, so that it is exact where weights are 1 and never falls below what ends.
	left := make([]float64, len(observations)+1)
	for i := len(observations) - 1; i >= 0; i-- {
		left[i] = left[i+1] + observations[i].weight
	}
	c.Steps = make([]Step, 0, len(observations))
	survival, variance := 1.0, 0.0
	for i := 0; i < len(observations); {
		from, ended := i, 0.0
		for ; i < len(observations) && observations[i].Duration == observations[from].Duration; i++ {
			if observations[i].Ended {
				ended += observations[i].weight
				c.Ended++
			}
		}
		if ended == 0 {
			continue
		}
		step := Step{Duration: observations[from].Duration, AtRisk: left[from], Ended: ended}
		if rest := left[from] - ended; rest > rounding*left[from] {
			survival *= rest / left[from]
			variance += ended / (left[from] * rest)
			log := math.Log(survival)
			wide := math.Exp(z * math.Sqrt(variance) / log) // below 1
			step.Survival, step.Low, step.High = survival, math.Exp(log/wide), math.Exp(log*wide)
		} else {
			survival = 0 // Greenwood's variance has no value here: the limits say nothing
			step.High = 1
			if n := len(c.Steps); n > 0 {
				step.High = c.Steps[n-1].High
			}
		}
		c.Steps = append(c.Steps, step)
	}
	return c
}

// At is the share that lasts longer than a duration.
func (c Curve) At(duration float64) float64 {
	i, found := slices.BinarySearchFunc(c.Steps, duration, func(s Step, d float64) int { return cmp.Compare(s.Duration, d) })
	if found {
		i++
	}
	if i == 0 {
		return 1
	}
	return c.Steps[i-1].Survival
}

// Quantile is the first duration at which the share q has ended, with the interval of Brookmeyer and Crowley (1982) on the scale of
// log(-log S). It is false where the curve does not come down so far.
func (c Curve) Quantile(q float64) (Quantile, bool) {
	rest := (1 - q) * (1 + rounding)
	first := func(limit func(Step) float64) (float64, bool) {
		i := slices.IndexFunc(c.Steps, func(s Step) bool { return limit(s) <= rest })
		if i < 0 {
			return 0, false
		}
		return c.Steps[i].Duration, true
	}
	value, reached := first(func(s Step) float64 { return s.Survival })
	if !reached || !(q > 0 && q < 1) {
		return Quantile{}, false
	}
	low, _ := first(func(s Step) float64 { return s.Low })
	result := Quantile{Value: value, Low: low}
	if high, reached := first(func(s Step) float64 { return s.High }); reached {
		result.High = &high
	}
	return result, true
}

// median is the curve's median where the metric's minimums let it be told.
func (m *Metric) median(c Curve) *Quantile { return m.quantile(c, .5) }

func (m *Metric) quantile(c Curve, q float64) *Quantile {
	if c.Units < m.MinimumCell || c.Ended < m.MinimumEvents {
		return nil
	}
	if value, ok := c.Quantile(q); ok {
		return &value
	}
	return nil
}

// closedOnly is the median of what has ended alone: biased towards the short while cases are open. It sorts in place.
func closedOnly(ended []float64) *float64 {
	if len(ended) == 0 {
		return nil
	}
	slices.Sort(ended)
	middle := (ended[(len(ended)-1)/2] + ended[len(ended)/2]) / 2
	return &middle
}
