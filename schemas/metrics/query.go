package metrics

import "time"

// Text is a text in the two languages of the platform.
type Text struct {
	Zh string `yaml:"zh" json:"zh"`
	En string `yaml:"en" json:"en"`
}

// Query asks for one metric over cohorts: months of application (or of the metric's own time), both included.
type Query struct {
	Metric   string
	By       string            // "", "month" or one of the metric's dimensions: one row for each value
	From     Month             // first month
	To       Month             // last month
	Filters  map[string]string // dimension -> value
	Compare  string            // "", [ComparePrevious] or [CompareYear]: the same figures of an earlier period beside; [CompareKnown]: those of now beside those of Known
	Known    time.Time         // what was known then; zero: what is known now
	Quantile float64           // of a survival metric, between 0 and 1; 0 is the median
}

// Month is a calendar month in the county's time zone, written 2026-07.
type Month struct{ Year, Month int }

// Result is what a query gives. It names the metric's version, so that a figure can be traced (I9).
type Result struct {
	Metric   string    `json:"metric"`
	Version  int       `json:"version"`
	Grade    string    `json:"grade"`
	By       string    `json:"by"`
	From     string    `json:"from"`
	To       string    `json:"to"`
	Quantile float64   `json:"quantile,omitempty"` // of a survival metric: which one Value is
	AsOf     string    `json:"as_of"`              // RFC 3339; open cases are censored here
	Known    string    `json:"known,omitempty"`    // RFC 3339; the figure as it was known then; absent: as it is known now
	Prepared string    `json:"prepared,omitempty"` // RFC 3339; in a large county, when the figures were prepared: loads since then are not in them; absent: the figure of this moment
	Coverage *Coverage `json:"coverage,omitempty"` // of what was asked for as a whole; absent for a metric that names no subject
	Compared *Period   `json:"compared,omitempty"` // the earlier period of Row.Before
	Rows     []Row     `json:"rows"`

	Restated []Restated `json:"restated,omitzero"` // with [CompareKnown]: what has changed since; empty: nothing
}

// Period is what a figure is compared with.
type Period struct {
	From     string    `json:"from"`
	To       string    `json:"to"`
	Known    string    `json:"known,omitempty"` // RFC 3339; with [CompareKnown]
	Coverage *Coverage `json:"coverage,omitempty"`
}

// Row is the figure of one group. A ratio has Numerator and Denominator; a survival measure has Value as the
// Kaplan-Meier median (or the quantile that was asked for) and P90 beside it, both null where the curve does not reach them.
type Row struct {
	Key         string   `json:"key"`                 // month, department, item ...; "" for the whole
	Value       *float64 `json:"value"`               // null: the State says why
	Lower       *float64 `json:"lower,omitempty"`     // survival: the 95% interval of Value; where it has no upper end there is none
	Upper       *float64 `json:"upper,omitempty"`     //
	Numerator   *float64 `json:"numerator,omitempty"` // ratio
	Denominator *float64 `json:"denominator,omitempty"`
	P90         *float64 `json:"p90,omitempty"` // survival
	P90Lower    *float64 `json:"p90_lower,omitempty"`
	P90Upper    *float64 `json:"p90_upper,omitempty"`
	Count       int64    `json:"count"`                 // units in the group: what a ratio is counted over, or cases in the cohort
	Open        int64    `json:"open,omitempty"`        // units that have not ended: censored, or not counted yet
	ClosedOnly  *float64 `json:"closed_only,omitempty"` // survival: the median of closed cases alone, for comparison
	State       string   `json:"state"`                 // see the States
	Coverage    *float64 `json:"coverage,omitempty"`    // captured / reported, by month, department or for the whole
	Warnings    []string `json:"warnings,omitempty"`    // see the Warnings
	Before      *Row     `json:"before,omitempty"`      // the same group in the earlier period
	Difference  *float64 `json:"difference,omitempty"`  // Value - Before.Value, where both are there. It says nothing of chance
}

// Extent is what the county's data covers.
type Extent struct {
	First Month     // first month with cases
	Last  Month     // last complete month
	AsOf  time.Time // the latest time that any case or incident speaks of
	Empty bool      // nothing is loaded yet
}

// Label names a value of a dimension.
type Label struct {
	Key string `json:"key"`
	Zh  string `json:"zh"`
	En  string `json:"en"`
}

// Intervention is something the county did, to be marked on charts (mart.interventions).
type Intervention struct {
	Name       string `json:"name"`
	Kind       string `json:"kind"`
	Title      Text   `json:"title"`
	StartsOn   string `json:"starts_on"` // 2006-01-02
	Department string `json:"department,omitempty"`
	Item       string `json:"item,omitempty"`
	Metric     string `json:"metric,omitempty"`
	Claim      string `json:"claim,omitempty"`
}
