package metrics

import "time"

// Text is a text in the two languages of the platform.
type Text struct {
	Zh string `yaml:"zh" json:"zh"`
	En string `yaml:"en" json:"en"`
}

// Query asks for one metric over cohorts: months of application (or of the metric's own time), both included.
type Query struct {
	Metric  string
	By      string            // "", "month" or one of the metric's dimensions: one row for each value
	From    Month             // first month
	To      Month             // last month
	Filters map[string]string // dimension -> value
}

// Month is a calendar month in the county's time zone, written 2026-07.
type Month struct{ Year, Month int }

// Result is what a query gives. It names the metric's version, so that a figure can be traced (I9).
type Result struct {
	Metric  string `json:"metric"`
	Version int    `json:"version"`
	By      string `json:"by"`
	From    string `json:"from"`
	To      string `json:"to"`
	AsOf    string `json:"as_of"` // RFC 3339; open cases are censored here
	Rows    []Row  `json:"rows"`
}

// Row is the figure of one group. A ratio has Numerator and Denominator; a survival measure has Value as the
// Kaplan-Meier median and P90 beside it, both null where the curve does not reach them.
type Row struct {
	Key         string   `json:"key"`                 // month, department, item ...; "" for the whole
	Value       *float64 `json:"value"`               // null: suppressed or not estimable
	Numerator   *float64 `json:"numerator,omitempty"` // ratio
	Denominator *float64 `json:"denominator,omitempty"`
	P90         *float64 `json:"p90,omitempty"`         // survival
	Count       int64    `json:"count"`                 // units in the group: denominator, or cases in the cohort
	Open        int64    `json:"open,omitempty"`        // survival: censored cases
	ClosedOnly  *float64 `json:"closed_only,omitempty"` // survival: the median of closed cases alone, for comparison
	State       string   `json:"state"`                 // ok, suppressed (fewer than the minimum cell), not_estimable, empty
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
