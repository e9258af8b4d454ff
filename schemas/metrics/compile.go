package metrics

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/shirecounty/shire/schemas/document"
)

// Compile writes the statement that creates the view metrics.<name>, with months in the given IANA time zone. definer is the
// user with whose rights readers see mart.
//
// A ratio's view has a row for each month and combination of dimensions; numerators and denominators add up over rows. Medians do
// not, so a survival metric's view has rows for the whole county and for each dimension alone, told apart by the column by.
func Compile(d *Definition, zone, definer string) string {
	month := fmt.Sprintf("toStartOfMonth(toDate32(assumeNotNull(%s), %s))", d.Time, quote(zone))
	columns := []viewColumn{{"month", "Date", "first day of the month of the cohort, in the county's time zone"}}
	dimension := func(name string) viewColumn {
		return viewColumn{name, "LowCardinality(String)", fmt.Sprintf("%s of %s", d.Dimensions[name], d.From)}
	}
	var body string
	if d.Kind == Ratio {
		keys, groups := []string{month + " AS month"}, []string{"month"}
		for _, name := range d.DimensionNames() {
			columns = append(columns, dimension(name))
			keys = append(keys, fmt.Sprintf("toLowCardinality(toString(%s)) AS %s", d.Dimensions[name], name))
			groups = append(groups, name)
		}
		columns = append(columns,
			viewColumn{"numerator", "Float64", d.Numerator},
			viewColumn{"denominator", "Float64", d.Denominator},
			viewColumn{"value", "Nullable(Float64)", fmt.Sprintf("numerator / denominator; NULL when the denominator is below %d", d.MinimumCell)})
		body = fmt.Sprintf("SELECT *, if(denominator >= %d, numerator / denominator, NULL) AS value\nFROM\n(\n%s\n)\nWHERE denominator > 0",
			d.MinimumCell, d.ratio(strings.Join(keys, ", "), "("+d.Time+") IS NOT NULL", strings.Join(groups, ", ")))
	} else {
		columns = append(columns, viewColumn{"by", "LowCardinality(String)", "the dimension that this row is broken down by; empty for the whole county. Never add rows of different kinds"})
		sides, outer := []string{"('', '')"}, []string{"month", "toLowCardinality(side.1) AS by"}
		for _, name := range d.DimensionNames() {
			column := dimension(name)
			column.comment += "; empty unless by is " + name
			columns = append(columns, column)
			sides = append(sides, fmt.Sprintf("(%s, toString(%s))", quote(name), d.Dimensions[name]))
			outer = append(outer, fmt.Sprintf("toLowCardinality(if(side.1 = %s, side.2, '')) AS %s", quote(name), name))
		}
		columns = append(columns,
			viewColumn{"cases", "UInt64", "units in the cohort"},
			viewColumn{"closed", "UInt64", "of these, how many have ended: " + d.Event},
			viewColumn{"median", "Nullable(Float64)", fmt.Sprintf("Kaplan-Meier median in %s; NULL below %d units, below %d ends, or where the curve does not reach one half", d.Unit, d.MinimumCell, d.MinimumEvents)},
			viewColumn{"p90", "Nullable(Float64)", "Kaplan-Meier 90th percentile, likewise; NULL where the curve does not reach one tenth"},
			viewColumn{"closed_only_median", "Nullable(Float64)", "median of what has ended alone: biased towards the short, for comparison with the median only"})
		keys := fmt.Sprintf("%s AS month, arrayJoin([%s]) AS side", month, strings.Join(sides, ", "))
		shown := fmt.Sprintf("cases >= %d", d.MinimumCell)
		estimable := fmt.Sprintf("%s AND closed >= %d", shown, d.MinimumEvents)
		body = fmt.Sprintf(`SELECT %s, cases, closed,
    if(%s, km_median, NULL) AS median, if(%s, km_p90, NULL) AS p90, if(%s, ended_median, NULL) AS closed_only_median
FROM
(
%s
)
WHERE cases > 0`, strings.Join(outer, ", "), estimable, estimable, shown,
			d.survival(keys, "("+d.Time+") IS NOT NULL", "month, side"))
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
	fmt.Fprintf(&sql, ")\nDEFINER = `%s` SQL SECURITY DEFINER\nAS %s\nCOMMENT %s", definer, body, quote(d.comment()))
	return sql.String()
}

type viewColumn struct{ name, typ, comment string }

// comment documents the view; it names the definition's version (I9).
func (d *Definition) comment() string {
	return fmt.Sprintf("%s (%s), version %d: %s %s Better %s. Grade %s.",
		d.Label.En, d.Label.Zh, d.Version, d.Description.En, d.Description.Zh, d.Better, d.Grade)
}

// ratio selects keys, numerator, denominator, one row for each group.
func (d *Definition) ratio(keys, where, groups string) string {
	return fmt.Sprintf("SELECT %s, toFloat64(%s) AS numerator, toFloat64(%s) AS denominator\nFROM %s\nWHERE %s\nGROUP BY %s%s",
		keys, d.Numerator, d.Denominator, d.From, d.filter(where), groups, d.refusal())
}

// survival selects groups, cases, closed, km_median, km_p90, ended_median, one row for each group.
//
// Ends come before censorings of the same duration, and each end leaves 1 - 1/(at risk) of the curve; the curve is kept as
// its logarithm. A percentile is the first duration at which the curve is down to what it leaves over; the tolerance covers
// the rounding of the sum.
func (d *Definition) survival(keys, where, groups string) string {
	return fmt.Sprintf(`SELECT %[1]s, cases, closed, ended_median,
    arrayCumSum(arrayMap((x, i) -> if(x.2 = 1, 0, log(1 - 1 / (cases - i + 1))), units, arrayEnumerate(units))) AS curve,
    arrayFirstIndex(s -> s <= log(0.5) + 1e-9, curve) AS at_median,
    arrayFirstIndex(s -> s <= log(0.1) + 1e-9, curve) AS at_p90,
    if(at_median = 0, NULL, units[at_median].1) AS km_median,
    if(at_p90 = 0, NULL, units[at_p90].1) AS km_p90
FROM
(
    SELECT %[2]s,
        arraySort(groupArrayIf((toFloat64(assumeNotNull(%[3]s)), toUInt8(NOT (%[4]s))), (%[3]s) IS NOT NULL)) AS units,
        length(units) AS cases,
        arrayMap(x -> x.1, arrayFilter(x -> x.2 = 0, units)) AS ended,
        length(ended) AS closed,
        if(closed = 0, NULL, arrayReduce('quantileExactInclusive(0.5)', ended)) AS ended_median
    FROM %[5]s
    WHERE %[6]s
    GROUP BY %[1]s%[7]s
)`, groups, keys, d.Duration, d.Event, d.From, d.filter(where), d.refusal())
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

// Query writes the statement for one query. What the reader chose is bound as parameters, never written into the text. Its columns
// are key, then for a ratio numerator, denominator (Float64), and for a survival metric cases, closed (UInt64), median,
// p90, closed_only_median (Nullable(Float64)), before any suppression. The error is an [InputError].
func (d *Definition) Query(q Query, zone *time.Location) (sql string, args []any, err error) {
	if !q.From.valid() || !q.To.valid() || q.To.Before(q.From) {
		return "", nil, &InputError{Message: fmt.Sprintf("the months %s to %s are no period", q.From, q.To),
			Do: "give a first and a last month such as 2026-07 and 2026-09"}
	}
	key := "''"
	switch column, known := d.Dimensions[q.By]; {
	case q.By == "":
	case q.By == "month":
		key = fmt.Sprintf("formatDateTime(toDate32(assumeNotNull(%s), %s), '%%Y-%%m')", d.Time, quote(zone.String()))
	case known:
		key = "toString(" + column + ")"
	default:
		return "", nil, d.unknownDimension(q.By, append(d.DimensionNames(), "month"))
	}
	where := fmt.Sprintf("(%s) >= {from:DateTime64(6, 'UTC')} AND (%s) < {until:DateTime64(6, 'UTC')}", d.Time, d.Time)
	args = append(args,
		clickhouse.Named("from", instant(q.From.Start(zone))),
		clickhouse.Named("until", instant(q.To.Add(1).Start(zone))))
	for i, name := range slices.Sorted(maps.Keys(q.Filters)) {
		column, known := d.Dimensions[name]
		if !known {
			return "", nil, d.unknownDimension(name, d.DimensionNames())
		}
		where += fmt.Sprintf(" AND toString(%s) = {filter%d:String}", column, i)
		args = append(args, clickhouse.Named(fmt.Sprintf("filter%d", i), q.Filters[name]))
	}
	if d.Kind == Ratio {
		return d.ratio(key+" AS key", where, "key") + "\nORDER BY key", args, nil
	}
	return "SELECT key, cases, closed, km_median AS median, km_p90 AS p90, ended_median AS closed_only_median\nFROM\n(\n" +
		d.survival(key+" AS key", where, "key") + "\n)\nORDER BY key", args, nil
}

func (d *Definition) unknownDimension(name string, valid []string) error {
	return &InputError{
		Message: fmt.Sprintf("%s has no dimension %q", d.Name, name),
		Do:      document.DidYouMean(name, valid),
	}
}

func instant(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// quote writes a string literal of ClickHouse's SQL.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
