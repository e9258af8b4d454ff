package metrics

import (
	"fmt"
	"strings"
)

// Compile writes the statement that creates the view metrics.<name>, with months in the given IANA time zone. definer is the
// user with whose rights readers see mart.
//
// The views of simple, ratio and derived metrics have a row for each month and combination of dimensions; their sums add up over rows. Medians do
// not, so a survival metric's view has rows for the whole county and for each dimension alone, told apart by the column by.
func Compile(d *Definition, zone, definer string) string {
	return d.view(definer, d.comment(), viewed{
		cells: func(of *Definition) string { return of.cells(zone, d.DimensionNames()) },
		curves: func() string {
			return d.survival(d.month(zone)+" AS month, "+d.sides(), d.timed(), "month, side", shownQuantiles)
		},
	})
}

// viewed is what a view is made from: the sums of a metric by month and the view's dimensions, or the curves by month and side.
type viewed struct {
	cells  func(*Definition) string
	curves func() string
}

// shownQuantiles are those of a survival metric's view.
var shownQuantiles = []float64{0.5, 0.9}

func (d *Definition) view(definer, comment string, from viewed) string {
	var columns []viewColumn
	var body string
	switch d.Kind {
	case Derived:
		columns, body = d.derivedView(from.cells)
	case Survival:
		columns, body = d.survivalView(from.curves())
	default:
		columns, body = d.sumsView(from.cells(d))
	}
	var sql strings.Builder
	fmt.Fprintf(&sql, "CREATE OR REPLACE VIEW metrics.%s\n(\n", d.Name)
	for i, c := range columns {
		comma := ","
		if i == len(columns)-1 {
			comma = ""
		}
		fmt.Fprintf(&sql, "    %s %s COMMENT %s%s\n", c.name, c.typ, quote(c.comment), comma)
	}
	fmt.Fprintf(&sql, ")\nDEFINER = `%s` SQL SECURITY DEFINER\nAS %s\nCOMMENT %s", definer, body, quote(comment))
	return sql.String()
}

type viewColumn struct{ name, typ, comment string }

// comment documents the view; it names the definition's version (I9).
func (d *Definition) comment() string {
	return fmt.Sprintf("%s (%s), version %d: %s %s Better %s. Grade %s.",
		d.Label.En, d.Label.Zh, d.Version, d.Description.En, d.Description.Zh, d.Better, d.Grade)
}

func (d *Definition) month(zone string) string {
	return fmt.Sprintf("toStartOfMonth(toDate32(assumeNotNull(%s), %s))", d.Time, quote(zone))
}

// timed keeps out what belongs to no month.
func (d *Definition) timed() string { return "(" + d.Time + ") IS NOT NULL" }

func monthColumn() viewColumn {
	return viewColumn{"month", "Date", "first day of the month of the cohort, in the county's time zone"}
}

func (d *Definition) dimensionColumn(name, more string) viewColumn {
	column := d.Dimensions[name]
	if d.From != "" {
		column += " of " + d.From
	}
	return viewColumn{name, "LowCardinality(String)", column + more}
}

// cells selects the sums of the metric for each month and combination of the named dimensions.
func (d *Definition) cells(zone string, names []string) string {
	keys, groups := []string{d.month(zone) + " AS month"}, []string{"month"}
	for _, name := range names {
		keys = append(keys, fmt.Sprintf("toLowCardinality(toString(%s)) AS %s", d.Dimensions[name], name))
		groups = append(groups, name)
	}
	return d.sums(strings.Join(keys, ", "), d.timed(), strings.Join(groups, ", "))
}

func (d *Definition) sumsView(cells string) ([]viewColumn, string) {
	columns := []viewColumn{monthColumn()}
	names := d.DimensionNames()
	for _, name := range names {
		columns = append(columns, d.dimensionColumn(name, ""))
	}
	columns = append(columns, viewColumn{"numerator", "Float64", d.Numerator + "; adds up over rows"})
	selected := []string{"numerator"}
	if d.Kind == Ratio {
		columns = append(columns, viewColumn{"denominator", "Float64", d.Denominator + "; adds up over rows"})
		selected = append(selected, "denominator")
	}
	value := viewColumn{"value", "Nullable(Float64)", fmt.Sprintf("NULL below %d units", d.MinimumCell)}
	if d.Kind == Ratio {
		value.comment = "numerator / denominator; " + value.comment + " and where the denominator is 0"
	}
	units := "what stands behind it: " + d.Units
	if d.Units == "" {
		units = "what stands behind it: the denominator"
	}
	columns = append(columns, viewColumn{"units", "Float64", units})
	selected = append(selected, "units")
	if d.Open != "" {
		columns = append(columns, viewColumn{"open", "Float64", "what will count once it has ended: " + d.Open})
		selected = append(selected, "still_open AS open")
		value.comment += fmt.Sprintf(", and where more than %g of all are open", d.MaximumOpen)
	}
	columns = append(columns, value)
	return columns, fmt.Sprintf("SELECT %s, if(units >= %d AND %s, %s, NULL) AS value\nFROM\n(\n%s\n)\nWHERE units + still_open > 0",
		strings.Join(append(append([]string{"month"}, names...), selected...), ", "), d.MinimumCell, d.estimable("units", "still_open"), d.value(), cells)
}

func (d *Definition) derivedView(cells func(input *Definition) string) ([]viewColumn, string) {
	columns := []viewColumn{monthColumn()}
	names := append([]string{"month"}, d.DimensionNames()...)
	for _, name := range d.DimensionNames() {
		columns = append(columns, d.dimensionColumn(name, " of what it is derived from"))
	}
	selected := append([]string(nil), names...)
	for _, input := range d.inputs {
		for _, sum := range []string{"numerator", "denominator"} {
			if input.Kind == Simple && sum == "denominator" {
				continue
			}
			name := part(input.Name, sum)
			columns = append(columns, viewColumn{name, "Float64", sum + " of metrics." + input.Name + "; adds up over rows"})
			selected = append(selected, name)
		}
	}
	columns = append(columns,
		viewColumn{"units", "Float64", "what stands behind it, of the input with the fewest"},
		viewColumn{"value", "Nullable(Float64)", d.Formula + fmt.Sprintf("; NULL below %d units, where too many are open, and where something is divided by 0", d.MinimumCell)})
	return columns, fmt.Sprintf("SELECT %s, units, if(small OR unsettled, NULL, value) AS value\nFROM\n(\n%s\n)\nWHERE units + still_open > 0",
		strings.Join(selected, ", "), d.derived(names, cells))
}

// sides are the array of what the rows of a survival metric's view are of, one for each row: the dimension and its value; both are empty for the whole county.
func (d *Definition) sides() string { return d.sidesOf(d.Dimensions) }

func (d *Definition) sidesOf(columns map[string]string) string {
	sides := []string{"('', '')"}
	for _, name := range d.DimensionNames() {
		sides = append(sides, fmt.Sprintf("(%s, toString(%s))", quote(name), columns[name]))
	}
	return "arrayJoin([" + strings.Join(sides, ", ") + "]) AS side"
}

func (d *Definition) survivalView(curves string) ([]viewColumn, string) {
	columns := []viewColumn{monthColumn(),
		{"by", "LowCardinality(String)", "the dimension that this row is broken down by; empty for the whole county. Never add rows of different kinds"}}
	outer := []string{"month", "toLowCardinality(side.1) AS by"}
	for _, name := range d.DimensionNames() {
		columns = append(columns, d.dimensionColumn(name, "; empty unless by is "+name))
		outer = append(outer, fmt.Sprintf("toLowCardinality(if(side.1 = %s, side.2, '')) AS %s", quote(name), name))
	}
	number := func(name, comment string) { columns = append(columns, viewColumn{name, "Nullable(Float64)", comment}) }
	columns = append(columns,
		viewColumn{"cases", "UInt64", "units in the cohort"},
		viewColumn{"closed", "UInt64", "of these, how many have ended: " + d.Event})
	number("median", fmt.Sprintf("Kaplan-Meier median in %s; NULL below %d units, below %d ends, or where the curve does not reach one half", d.Unit, d.MinimumCell, d.MinimumEvents))
	number("median_lower", "lower end of the median's 95% interval (log-log)")
	number("median_upper", "upper end of it; NULL where the interval has none")
	number("p90", "Kaplan-Meier 90th percentile, likewise; NULL where the curve does not reach one tenth")
	number("p90_lower", "lower end of its 95% interval")
	number("p90_upper", "upper end of it; NULL where the interval has none")
	number("closed_only_median", "median of what has ended alone: biased towards the short, for comparison with the median only")
	shown := fmt.Sprintf("cases >= %d", d.MinimumCell)
	estimable := fmt.Sprintf("%s AND closed >= %d", shown, d.MinimumEvents)
	figures := ""
	for i, name := range []string{"median", "p90"} {
		figures += fmt.Sprintf("    if(%[1]s, q%[2]d, NULL) AS %[3]s, if(%[1]s AND q%[2]d IS NOT NULL, q%[2]d_lower, NULL) AS %[3]s_lower, if(%[1]s AND q%[2]d IS NOT NULL, q%[2]d_upper, NULL) AS %[3]s_upper,\n",
			estimable, i, name)
	}
	return columns, fmt.Sprintf("SELECT %s, cases, closed,\n%s    if(%s, ended_median, NULL) AS closed_only_median\nFROM\n(\n%s\n)\nWHERE cases > 0",
		strings.Join(outer, ", "), figures, shown, curves)
}
