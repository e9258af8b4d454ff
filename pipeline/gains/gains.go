// Package gains tells whether something that a county did (改革举措) made a figure better, by how much, and whether that is
// shown. It reads rows of cases or of counts and knows neither the warehouse nor the portal.
//
// A time is estimated with its open cases as censored (Kaplan-Meier), case mix is held constant, and one interval decides one of
// five verdicts. Which estimator that interval comes from is fixed by the data that there are, never by how it comes out:
//
//  1. difference-in-differences, where at least four clusters (departments or townships) are in scope and four compare, and
//     neither the trends before the start nor a pretended start speak against the comparison (panel.go);
//  2. else an interrupted time series of the scope, less that of the comparison group where there is one (series.go);
//  3. else nothing: a comparison of before with after alone cannot tell a gain from a season or a trend.
//
// docs/evaluation.md explains the estimators in plain words and gives their coverage in simulated counties.
package gains

import (
	"time"

	"github.com/shirecounty/shire/schemas/metrics"
)

// Unit is one case as the evaluator sees it. It holds nothing of the person it is about (I7).
type Unit struct {
	Applied    time.Time // which cohort it belongs to
	Duration   float64   // in the metric's unit; of an open case, how long it has lasted
	Ended      bool      // else it is open: censored at Duration
	Department string
	Division   string // township or other division
	Item       string
	Kind       string
	Channel    string
}

// Count is what one month of one group adds to a ratio.
type Count struct {
	Month       metrics.Month
	Numerator   float64
	Denominator float64
	Department  string
	Division    string
	Item        string
	Kind        string
	Channel     string
}

// The units of times.
const (
	Days        = "days"
	WorkingDays = "working_days"
)

// Metric is what of a metric's definition the evaluator needs.
type Metric struct {
	Name          string       `json:"name"`
	Version       int          `json:"version"`
	Label         metrics.Text `json:"label"`
	Unit          string       `json:"unit"`           // Days or WorkingDays for a time, "share" (or visits, points) for a ratio
	MinimumCell   int          `json:"minimum_cell"`   // fewer units are not shown; 5 when 0
	MinimumEvents int          `json:"minimum_events"` // with fewer ends a median is not estimable; 5 when 0
	// Settles is how many days after a month's end all that its ratio counts has happened: the longest promised time for an on-time rate.
	// Months younger than that take no part, since what is quick is in them first. 0 for what is told at once.
	Settles int `json:"settles"`
}

// Data is what an evaluation is made of: Units for a time, Counts for a ratio.
type Data struct {
	Metric Metric
	AsOf   time.Time      // until when the data tell; when zero, for times, the latest day that a case speaks of
	Zone   *time.Location // whose months count; UTC when nil
	Units  []Unit
	Counts []Count
}

func (m *Metric) setDefaults() {
	if m.MinimumCell < 1 {
		m.MinimumCell = 5
	}
	if m.MinimumEvents < 1 {
		m.MinimumEvents = 5
	}
}

// month counts months from the year 0, so that they can be subtracted.
type month int

func monthOf(t time.Time) month        { return month(t.Year()*12 + int(t.Month()) - 1) }
func monthIndex(m metrics.Month) month { return month(m.Year*12 + m.Month - 1) }
func (m month) calendar() metrics.Month {
	return metrics.Month{Year: int(m) / 12, Month: int(m)%12 + 1}
}
func (m month) String() string                 { return m.calendar().String() }
func (m month) end(z *time.Location) time.Time { return (m + 1).calendar().Start(z) }
