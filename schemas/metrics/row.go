package metrics

// The states of a [Row]: how its Value is to be read.
const (
	StateOK           = "ok"
	StateSuppressed   = "suppressed"    // fewer units than the minimum cell: nothing but their number is given
	StateNotEstimable = "not_estimable" // the curve does not come down to one half, or too few have ended
	StateEmpty        = "empty"         // nothing there
)

// RatioRow judges one group of a ratio.
func (d *Definition) RatioRow(key string, numerator, denominator float64) Row {
	row := Row{Key: key, Count: int64(denominator)}
	switch {
	case denominator == 0:
		row.State = StateEmpty
	case denominator < float64(d.MinimumCell):
		row.State = StateSuppressed
	default:
		value := numerator / denominator
		row.State, row.Value, row.Numerator, row.Denominator = StateOK, &value, &numerator, &denominator
	}
	return row
}

// SurvivalRow judges one group of a survival metric. What is not estimable still shows the median of what has ended, for
// comparison: the difference is the artefact of open cases.
func (d *Definition) SurvivalRow(key string, cases, closed uint64, median, p90, closedOnly *float64) Row {
	row := Row{Key: key, Count: int64(cases)}
	switch {
	case cases == 0:
		row.State = StateEmpty
		return row
	case cases < uint64(d.MinimumCell):
		row.State = StateSuppressed
		return row
	}
	row.Open, row.ClosedOnly = int64(cases-closed), closedOnly
	if median == nil || closed < uint64(d.MinimumEvents) {
		row.State = StateNotEstimable
		return row
	}
	row.State, row.Value, row.P90 = StateOK, median, p90
	return row
}
