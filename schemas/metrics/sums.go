package metrics

import (
	"fmt"
	"strings"
)

// sums selects keys, numerator, denominator, units, still_open (Float64), one row for each group of a simple metric or a ratio. The
// denominator of a simple metric is 1.
func (d *Definition) sums(keys, where, groups string) string {
	return d.sumsWith("", keys, where, groups) + d.refusal()
}

// sumsAndRefused has instead of the refusal a column refused: how many rows would bring it about.
func (d *Definition) sumsAndRefused(keys, where, groups string) string {
	return d.sumsWith(", "+d.refused()+" AS refused", keys, where, groups)
}

func (d *Definition) sumsWith(more, keys, where, groups string) string {
	denominator, units, open := d.Denominator, d.Units, d.Open
	if d.Kind == Simple {
		denominator = "1"
	}
	if units == "" {
		units = denominator
	}
	if open == "" {
		open = "0"
	}
	return fmt.Sprintf("SELECT %s, toFloat64(ifNull(%s, 0)) AS numerator, toFloat64(ifNull(%s, 0)) AS denominator, toFloat64(ifNull(%s, 0)) AS units, toFloat64(ifNull(%s, 0)) AS still_open%s\nFROM %s\nWHERE %s\nGROUP BY %s",
		keys, d.Numerator, denominator, units, open, more, d.From, d.filter(where), groups)
}

// value is the figure over the columns of sums.
func (d *Definition) value() string {
	if d.Kind == Simple {
		return "numerator"
	}
	return quotient("numerator", "denominator")
}

// estimable is whether few enough are still open.
func (d *Definition) estimable(units, open string) string {
	if d.Open == "" {
		return "1"
	}
	return fmt.Sprintf("%s <= %g * (%s + %s)", open, d.MaximumOpen, units, open)
}

// part is the column of a derived metric that holds a sum of one of its inputs.
func part(metric, name string) string { return metric + "_" + name }

// derived selects names, then for each input its sums, then value (Nullable(Float64)), units, still_open (Float64: of the inputs the
// fewest and the most), small and unsettled (UInt8). from gives the statement of an input, which selects names and the sums.
func (d *Definition) derived(names []string, from func(*Definition) string) string {
	var inputs, columns, units, open, small, unsettled []string
	for i, input := range d.inputs {
		inputs = append(inputs, fmt.Sprintf("SELECT %s, %d AS input, numerator AS n, denominator AS d, units AS u, still_open AS o\nFROM\n(\n%s\n)",
			strings.Join(names, ", "), i, from(input)))
		for _, sum := range []string{"numerator", "denominator", "units", "open"} {
			columns = append(columns, fmt.Sprintf("sumIf(%c, input = %d) AS %s", sum[0], i, part(input.Name, sum)))
		}
		units, open = append(units, part(input.Name, "units")), append(open, part(input.Name, "open"))
		small = append(small, fmt.Sprintf("%s < %d", part(input.Name, "units"), max(input.MinimumCell, d.MinimumCell)))
		unsettled = append(unsettled, "NOT ("+input.estimable(part(input.Name, "units"), part(input.Name, "open"))+")")
	}
	value := d.formula.sql(func(metric, sum string) string {
		if sum != "" {
			return part(metric, sum)
		}
		for _, input := range d.inputs {
			if input.Name == metric && input.Kind == Simple {
				return part(metric, "numerator")
			}
		}
		return quotient(part(metric, "numerator"), part(metric, "denominator"))
	})
	return fmt.Sprintf("SELECT %s,\n    %s,\n    toNullable(toFloat64(%s)) AS value, arrayMin([%s]) AS units, arrayMax([%s]) AS still_open,\n    %s AS small, %s AS unsettled\nFROM\n(\n%s\n)\nGROUP BY %s",
		strings.Join(names, ", "), strings.Join(columns, ",\n    "), value, strings.Join(units, ", "), strings.Join(open, ", "),
		strings.Join(small, " OR "), strings.Join(unsettled, " OR "), strings.Join(inputs, "\nUNION ALL\n"), strings.Join(names, ", "))
}

func (d *Definition) filter(where string) string {
	if d.Where == "" {
		return where
	}
	return "(" + d.Where + ") AND " + where
}

func (d *Definition) refusal() string {
	if d.Refuse == nil {
		return ""
	}
	return fmt.Sprintf("\nHAVING throwIf(countIf(%s) > 0, %s) = 0", d.Refuse.When, quote(d.Name+": "+d.Refuse.Because))
}
