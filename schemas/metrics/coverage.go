package metrics

import "slices"

// Coverage says how much of what a department reports the platform has captured (归集率). A figure over half of the cases may look
// good, and be wrong. What was captured beyond what was reported does not count.
type Coverage struct {
	State      string   `json:"state"` // see the CoverageStates
	Value      *float64 `json:"value"` // captured / reported of the departments and months that were reported; null when none was
	Captured   int64    `json:"captured"`
	Reported   int64    `json:"reported"`
	Stopped    []string `json:"stopped,omitempty"`    // departments that used to deliver every month and have delivered nothing in part of the period
	Unreported []string `json:"unreported,omitempty"` // departments that have not reported part of the period
}

// The states of a [Coverage].
const (
	CoverageOK      = "ok"
	CoverageLow     = "low"     // less than LowCoverage was captured
	CoverageStopped = "stopped" // a department has stopped delivering
	CoverageUnknown = "unknown" // nobody reported: nothing can be said, which is not the same as good
)

// CoverageStates lists them.
var CoverageStates = []string{CoverageOK, CoverageLow, CoverageStopped, CoverageUnknown}

// LowCoverage is the share of what was reported below which a figure is warned of.
const LowCoverage = 0.95

// The warnings of a [Row].
const (
	WarningLowCoverage = "low_coverage" // less than LowCoverage of what was reported was captured
	WarningStopped     = "stopped"      // a department has stopped delivering, so that what it does is not in the figure
)

// Warnings lists them.
var Warnings = []string{WarningLowCoverage, WarningStopped}

// CoverageQuery selects key, captured, reported (Int64), stopped and unreported (Array(String)) from mart.coverage for a subject and a
// period, by month, by department or as a whole. Its parameters are subject, from, until (dates, until exclusive) and department, "" for all.
func CoverageQuery(by string) string {
	key := map[string]string{"month": "formatDateTime(month, '%Y-%m')", "department": "toString(department)"}[by]
	if key == "" {
		key = "''"
	}
	return `SELECT ` + key + ` AS key, toInt64(ifNull(sumIf(least(c.captured, c.reported), c.reported IS NOT NULL), 0)) AS captured, toInt64(ifNull(sum(c.reported), 0)) AS reported,
    arraySort(groupUniqArrayIf(toString(c.department), c.stopped)) AS stopped,
    arraySort(groupUniqArrayIf(toString(c.department), c.reported IS NULL AND (c.captured > 0 OR c.stopped))) AS unreported
FROM mart.coverage AS c
WHERE subject = {subject:String} AND month >= toDate32({from:String}) AND month < toDate32({until:String}) AND ({department:String} = '' OR department = {department:String})
GROUP BY key
ORDER BY key`
}

// Judge completes a coverage from its counts and lists.
func (c *Coverage) Judge() {
	c.State, c.Value = CoverageUnknown, nil
	if c.Reported > 0 {
		share := float64(c.Captured) / float64(c.Reported)
		c.State, c.Value = CoverageOK, &share
		if share < LowCoverage {
			c.State = CoverageLow
		}
	}
	if len(c.Stopped) > 0 {
		c.State = CoverageStopped
	}
}

// Add puts two coverages together.
func (c *Coverage) Add(other Coverage) {
	c.Captured += other.Captured
	c.Reported += other.Reported
	union := func(a, b []string) []string {
		return slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(a), b...))))
	}
	c.Stopped, c.Unreported = union(c.Stopped, other.Stopped), union(c.Unreported, other.Unreported)
}

// warnings are those that belong beside a figure of this coverage.
func (c Coverage) warnings() (list []string) {
	if c.Value != nil && *c.Value < LowCoverage {
		list = append(list, WarningLowCoverage)
	}
	if len(c.Stopped) > 0 {
		list = append(list, WarningStopped)
	}
	return list
}

// Cover puts coverages beside the result: the whole, and by key that of each row that has one of its own. A department that has stopped
// altogether gets a row, so that it is missed.
func (r *Result) Cover(whole Coverage, byKey map[string]Coverage) {
	r.Coverage = &whole
	present := map[string]bool{}
	for i := range r.Rows {
		row := &r.Rows[i]
		present[row.Key] = true
		if c, ok := byKey[row.Key]; ok {
			row.Coverage, row.Warnings = c.Value, c.warnings()
		}
	}
	if r.By != "department" {
		return
	}
	for _, department := range whole.Stopped {
		if c := byKey[department]; !present[department] {
			r.Rows = append(r.Rows, Row{Key: department, State: StateEmpty, Coverage: c.Value, Warnings: c.warnings()})
		}
	}
}
