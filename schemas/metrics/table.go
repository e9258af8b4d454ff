package metrics

import (
	"strconv"
	"strings"
)

// Table is the result as text: one row for each row, every one with the metric's version and the moment as of which it holds (I9). The
// first column is what the rows are told apart by.
func (r Result) Table(d *Definition) (header []string, rows [][]string) {
	by := r.By
	if by == "" {
		by = "whole"
	}
	header = []string{by, "value", "unit", "numerator", "denominator", "p90", "count", "open", "closed_only", "state", "from", "to", "metric", "version", "as_of",
		"lower", "upper", "p90_lower", "p90_upper", "coverage", "warnings", "grade"}
	if r.Compared != nil {
		header = append(header, "before", "before_state", "difference", "before_from", "before_to")
	}
	for _, row := range r.Rows {
		line := []string{row.Key, figure(row.Value), d.Unit, figure(row.Numerator), figure(row.Denominator), figure(row.P90), strconv.FormatInt(row.Count, 10),
			strconv.FormatInt(row.Open, 10), figure(row.ClosedOnly), row.State, r.From, r.To, r.Metric, strconv.Itoa(r.Version), r.AsOf,
			figure(row.Lower), figure(row.Upper), figure(row.P90Lower), figure(row.P90Upper), figure(row.Coverage), strings.Join(row.Warnings, " "), r.Grade}
		if r.Compared != nil {
			before := Row{State: StateEmpty}
			if row.Before != nil {
				before = *row.Before
			}
			line = append(line, figure(before.Value), before.State, figure(row.Difference), r.Compared.From, r.Compared.To)
		}
		rows = append(rows, line)
	}
	return header, rows
}

func figure(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'g', -1, 64)
}
