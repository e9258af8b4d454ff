package gains

import "github.com/shirecounty/shire/schemas/metrics"

// Result is everything that an evaluation found. Ratios are after / before of the metric; gains are in the words of the claim. What
// cannot be told is nil.
type Result struct {
	Intervention Intervention `json:"intervention"`
	Hash         string       `json:"hash"` // of the registration
	Late         bool         `json:"late"` // registered after its result had been seen
	Metric       Metric       `json:"metric"`
	AsOf         string       `json:"as_of"` // 2026-03-01
	From         string       `json:"from"`  // first month of the windows
	Start        string       `json:"start"` // first whole month of the first start
	To           string       `json:"to"`    // last month of the windows

	Verdict   Verdict      `json:"verdict"`
	Because   metrics.Text `json:"because"`
	Estimator Estimator    `json:"estimator"`
	Gain      *Interval    `json:"gain,omitempty"`
	Ratio     *Interval    `json:"ratio,omitempty"`

	Account Account  `json:"account"`
	Before  *Period  `json:"before,omitempty"`
	After   *Period  `json:"after,omitempty"`
	Raw     *float64 `json:"raw,omitempty"`         // ratio of the Kaplan-Meier medians, or of the ratios
	Closed  *float64 `json:"closed_only,omitempty"` // ratio of the medians of closed cases alone: the trap
	CaseMix *CaseMix `json:"case_mix,omitempty"`

	Months      []Month        `json:"months,omitempty"`
	TimeSeries  *TimeSeries    `json:"time_series,omitempty"`
	Differences *Differences   `json:"differences,omitempty"`
	Notes       []metrics.Text `json:"notes,omitempty"` // what a reader has to know of the data
}

// Estimator is where the interval that decides comes from.
type Estimator string

// The estimators, in the order in which they are tried.
const (
	ByDifferences      Estimator = "difference_in_differences"
	ByControlledSeries Estimator = "controlled_time_series" // of the scope less the comparison group
	BySeries           Estimator = "time_series"
	ByNothing          Estimator = "none"
)

var estimatorTexts = map[Estimator]metrics.Text{
	ByDifferences:      {Zh: "双重差分法", En: "difference-in-differences"},
	ByControlledSeries: {Zh: "有对照的中断时间序列", En: "interrupted time series less the comparison group"},
	BySeries:           {Zh: "中断时间序列", En: "interrupted time series"},
	ByNothing:          {Zh: "无", En: "none"},
}

// Text is the estimator's name.
func (e Estimator) Text() metrics.Text { return estimatorTexts[e] }

// Account is what became of the rows. Scope and Comparing add up with the rest to Given (I4).
type Account struct {
	Given     int `json:"given"`
	Unusable  int `json:"unusable"` // a duration or a count that is negative or no number
	Outside   int `json:"outside"`  // of the cohort or of the windows, or excluded
	Settling  int `json:"settling"` // in scope, while it settled in
	Scope     int `json:"scope"`
	Comparing int `json:"comparing"`
}

// Period is the scope before the start or after it.
type Period struct {
	Cases       int       `json:"cases"`
	Ended       int       `json:"ended"`
	Median      *Quantile `json:"median,omitempty"` // Kaplan-Meier
	P90         *Quantile `json:"p90,omitempty"`
	ClosedOnly  *float64  `json:"closed_only,omitempty"` // of closed cases alone
	Curve       []Step    `json:"curve,omitempty"`       // thinned for drawing
	Numerator   *float64  `json:"numerator,omitempty"`
	Denominator *float64  `json:"denominator,omitempty"`
	Value       *float64  `json:"value,omitempty"` // the ratio
}

// CaseMix is the change with the mix of cases held as it was before.
type CaseMix struct {
	Before       *float64  `json:"before,omitempty"` // median or ratio over the strata that have both periods
	After        *float64  `json:"after,omitempty"`  // the same, with the mix as before
	Ratio        *float64  `json:"ratio,omitempty"`
	LeftOut      []Stratum `json:"left_out,omitempty"` // strata without both periods, the largest first
	LeftOutShare float64   `json:"left_out_share"`     // of the scope's cases
}

// The states of a month of the scope.
const (
	MonthOK           = "ok"
	MonthYoung        = "too_young"     // its cases could not yet be watched long enough, or its ratio is not settled
	MonthNotEstimable = "not_estimable" // the curve does not come down to one half, or too few have ended
	MonthSmall        = "suppressed"    // fewer than the minimum cell
	MonthEmpty        = "empty"
)

// Month is one month of the scope.
type Month struct {
	Month      string   `json:"month"`
	State      string   `json:"state"` // any but ok is left out of the estimate
	Cases      int      `json:"cases"` // 0 where suppressed, as are all figures then
	Ended      int      `json:"ended"`
	Value      *float64 `json:"value,omitempty"`       // Kaplan-Meier median, or the ratio
	ClosedOnly *float64 `json:"closed_only,omitempty"` // beside it, of closed cases alone
	Reached    float64  `json:"reached"`               // share of the cases that the measure has reached
	Adjusted   *float64 `json:"adjusted,omitempty"`    // typical value with case mix held constant
	Expected   *float64 `json:"expected,omitempty"`    // where trend and season alone would have led
}

// TimeSeries is the interrupted time series. Intervals are of ratios after / before.
type TimeSeries struct {
	Controlled      bool     `json:"controlled"` // less the comparison group
	Before          int      `json:"before"`     // months that take part
	After           int      `json:"after"`
	Effect          Interval `json:"effect"`     // mean over the months after; this one may decide
	NeweyWest       Interval `json:"newey_west"` // the same, with Newey-West errors; shown beside it
	Step            float64  `json:"step"`       // ratio at the start
	Slope           *float64 `json:"slope,omitempty"`
	Autocorrelation float64  `json:"autocorrelation"` // as the series makes it likely, over what trend and season explain
}

// Differences is the difference-in-differences. Intervals are of ratios.
type Differences struct {
	Scope     int       `json:"scope"`     // clusters that the measure reached
	Comparing int       `json:"comparing"` // clusters that compare
	Effect    Interval  `json:"effect"`    // jackknife over clusters; this one may decide
	Freedom   float64   `json:"degrees_of_freedom"`
	Bootstrap *Interval `json:"bootstrap,omitempty"` // wild cluster bootstrap, beside it
	Trend     *Trend    `json:"trend,omitempty"`
	Placebos  []Placebo `json:"placebos,omitempty"`
	Refuted   bool      `json:"refuted"` // trends or a pretended start speak against the comparison
}

// Trend is how the scope moved against the comparison before the start, as a ratio per month.
type Trend struct {
	PerMonth Interval `json:"per_month"`
	P        float64  `json:"p"`
}

// Placebo is the effect of a start that never was, some months before the true one.
type Placebo struct {
	Earlier int      `json:"months_earlier"`
	Effect  Interval `json:"effect"`
	P       float64  `json:"p"`
}
