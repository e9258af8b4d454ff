package metrics

import "fmt"

// Viewed is how a figure is asked for in SQL over the rows of a view in metrics, whatever they are grouped by: what somebody writes who has
// the views and no program of ours, such as a dashboard.
type Viewed struct {
	View  string // metrics.<name>
	Value string // an aggregate, Nullable(Float64)
	Units string // an aggregate: how many units stand behind it
	Shown string // an aggregate: whether they are enough, and few enough are open
}

// Viewed tells how to ask for the figure over its view; of a derived metric with one input over that one's view, which alone says how many are
// open. ok is false for a survival metric: medians do not add up over rows, and its view has a row for each figure.
func (d *Definition) Viewed() (v Viewed, ok bool) {
	of, cell := d, d.MinimumCell
	var value string
	switch {
	case d.Kind == Survival:
		return Viewed{}, false
	case d.Kind == Derived && len(d.inputs) == 1:
		of = d.inputs[0]
		cell = max(cell, of.MinimumCell)
		value = d.formula.sql(func(_, sum string) string {
			if sum != "" {
				return "sum(" + sum + ")"
			}
			return of.summed()
		})
	case d.Kind == Derived:
		value = d.formula.sql(func(metric, sum string) string {
			if sum != "" {
				return "sum(" + part(metric, sum) + ")"
			}
			for _, input := range d.inputs {
				if input.Name == metric && input.Kind == Simple {
					return "sum(" + part(metric, "numerator") + ")"
				}
			}
			return quotient("sum("+part(metric, "numerator")+")", "sum("+part(metric, "denominator")+")")
		})
	default:
		value = d.summed()
	}
	shown := fmt.Sprintf("sum(units) >= %d", cell)
	if of.Open != "" {
		shown += fmt.Sprintf(" AND sum(open) <= %g * (sum(units) + sum(open))", of.MaximumOpen)
	}
	return Viewed{View: "metrics." + of.Name, Value: "toNullable(toFloat64(" + value + "))", Units: "sum(units)", Shown: shown}, true
}

// summed is the figure of a simple metric or a ratio over the rows of its view.
func (d *Definition) summed() string {
	if d.Kind == Simple {
		return "sum(numerator)"
	}
	return quotient("sum(numerator)", "sum(denominator)")
}
