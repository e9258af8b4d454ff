package metrics

// The states of a [Row]: how its Value is to be read.
const (
	StateOK           = "ok"
	StateSuppressed   = "suppressed"    // fewer units than the minimum cell, or a cell by which such a one could be told: nothing but the number of units is given
	StateNotEstimable = "not_estimable" // the curve does not come down to one half, too few have ended, or too many are open
	StateUndefined    = "undefined"     // something is divided by zero
	StateEmpty        = "empty"         // nothing there
)

// States lists them.
var States = []string{StateOK, StateSuppressed, StateNotEstimable, StateUndefined, StateEmpty}

// Sums are what a group of a simple metric or a ratio adds up to.
type Sums struct{ Numerator, Denominator, Units, Open float64 }

// Curve is what Kaplan-Meier says of a group. Value is the quantile that was asked for.
type Curve struct {
	Cases, Closed           uint64
	Value, Lower, Upper     *float64
	P90, P90Lower, P90Upper *float64
	ClosedOnly              *float64
}

// Scan reads one row of the statement of [Definition.Query] and judges it. scan is that of the driver's row.
func (d *Definition) Scan(scan func(...any) error) (Row, error) {
	var key string
	switch d.Kind {
	case Survival:
		var c Curve
		err := scan(&key, &c.Cases, &c.Closed, &c.Value, &c.Lower, &c.Upper, &c.P90, &c.P90Lower, &c.P90Upper, &c.ClosedOnly)
		return d.SurvivalRow(key, c), err
	case Derived:
		var value *float64
		var units, open float64
		var small, unsettled uint8
		err := scan(&key, &value, &units, &open, &small, &unsettled)
		return derivedRow(key, value, units, open, small == 1, unsettled == 1), err
	default:
		var s Sums
		err := scan(&key, &s.Numerator, &s.Denominator, &s.Units, &s.Open)
		return d.SumsRow(key, s), err
	}
}

// SumsRow judges one group of a simple metric or a ratio.
func (d *Definition) SumsRow(key string, s Sums) Row {
	var value *float64
	if s.Denominator != 0 {
		v := s.Numerator / s.Denominator
		value = &v
	}
	row := derivedRow(key, value, s.Units, s.Open, s.Units < float64(d.MinimumCell), d.Open != "" && s.Open > d.MaximumOpen*(s.Units+s.Open))
	if d.Kind == Ratio && row.State == StateOK {
		row.Numerator, row.Denominator = &s.Numerator, &s.Denominator
	}
	return row
}

func derivedRow(key string, value *float64, units, open float64, small, unsettled bool) Row {
	row := Row{Key: key, Count: int64(units)}
	switch {
	case units == 0 && open == 0:
		row.State = StateEmpty
		return row
	case small && !(units == 0 && unsettled):
		row.State = StateSuppressed
		return row
	}
	row.Open = int64(open)
	switch {
	case unsettled:
		row.State = StateNotEstimable
	case value == nil:
		row.State = StateUndefined
	default:
		row.State, row.Value = StateOK, value
	}
	return row
}

// SurvivalRow judges one group of a survival metric. What is not estimable still shows the median of what has ended, for
// comparison: the difference is the artefact of open cases.
func (d *Definition) SurvivalRow(key string, c Curve) Row {
	row := Row{Key: key, Count: int64(c.Cases)}
	switch {
	case c.Cases == 0:
		row.State = StateEmpty
		return row
	case c.Cases < uint64(d.MinimumCell):
		row.State = StateSuppressed
		return row
	}
	row.Open, row.ClosedOnly = int64(c.Cases-c.Closed), c.ClosedOnly
	if c.Value == nil || c.Closed < uint64(d.MinimumEvents) {
		row.State = StateNotEstimable
		return row
	}
	row.State, row.Value, row.Lower, row.Upper = StateOK, c.Value, c.Lower, c.Upper
	if c.P90 != nil {
		row.P90, row.P90Lower, row.P90Upper = c.P90, c.P90Lower, c.P90Upper
	}
	return row
}
