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

// Query writes the statement for one query. What the reader chose is bound as parameters, never written into the text. Its columns
// are key, then what [Definition.Scan] reads, before any suppression. The error is an [InputError].
func (d *Definition) Query(q Query, zone *time.Location) (sql string, args []any, err error) {
	if !q.From.valid() || !q.To.valid() || q.To.Before(q.From) {
		return "", nil, noPeriod(q.From, q.To)
	}
	if q.By != "" && q.By != "month" && d.Dimensions[q.By] == "" {
		return "", nil, d.unknownDimension(q.By, append(d.DimensionNames(), "month"))
	}
	quantile, err := d.quantile(q)
	if err != nil {
		return "", nil, err
	}
	args = append(args,
		clickhouse.Named("from", instant(q.From.Start(zone))),
		clickhouse.Named("until", instant(q.To.Add(1).Start(zone))))
	filters := slices.Sorted(maps.Keys(q.Filters))
	for i, name := range filters {
		if d.Dimensions[name] == "" {
			return "", nil, d.unknownDimension(name, d.DimensionNames())
		}
		args = append(args, clickhouse.Named(fmt.Sprintf("filter%d", i), q.Filters[name]))
	}
	switch d.Kind {
	case Derived:
		sql = "SELECT key, value, units, still_open, small, unsettled\nFROM\n(\n" + d.derived([]string{"key"}, func(input *Definition) string {
			return input.sums(input.key(q.By, zone)+" AS key", input.chosen(filters), "key")
		}) + "\n)"
	case Survival:
		sql = "SELECT key, cases, closed, q0, q0_lower, q0_upper, q1, q1_lower, q1_upper, ended_median\nFROM\n(\n" +
			d.survival(d.key(q.By, zone)+" AS key", d.chosen(filters), "key", []float64{quantile, 0.9}) + "\n)"
	default:
		sql = d.sums(d.key(q.By, zone)+" AS key", d.chosen(filters), "key")
	}
	sql, args = q.AsKnown(sql+"\nORDER BY key", args...)
	return sql, args, nil
}

// Columns are the names and ClickHouse types of the columns of the statement of Query.
func (d *Definition) Columns() []string {
	switch d.Kind {
	case Derived:
		return []string{"key String", "value Nullable(Float64)", "units Float64", "still_open Float64", "small UInt8", "unsettled UInt8"}
	case Survival:
		columns := []string{"key String", "cases UInt64", "closed UInt64"}
		for _, name := range []string{"q0", "q0_lower", "q0_upper", "q1", "q1_lower", "q1_upper", "ended_median"} {
			columns = append(columns, name+" Nullable(Float64)")
		}
		return columns
	}
	return []string{"key String", "numerator Float64", "denominator Float64", "units Float64", "still_open Float64"}
}

// key is the expression of what the groups are told apart by.
func (d *Definition) key(by string, zone *time.Location) string {
	switch by {
	case "":
		return "''"
	case "month":
		return fmt.Sprintf("formatDateTime(toDate32(assumeNotNull(%s), %s), '%%Y-%%m')", d.Time, quote(zone.String()))
	}
	return "toString(" + d.Dimensions[by] + ")"
}

// chosen is the condition of the period and the filters, whose values are parameters.
func (d *Definition) chosen(filters []string) string {
	where := fmt.Sprintf("(%s) >= {from:DateTime64(6, 'UTC')} AND (%s) < {until:DateTime64(6, 'UTC')}", d.Time, d.Time)
	for i, name := range filters {
		where += fmt.Sprintf(" AND toString(%s) = {filter%d:String}", d.Dimensions[name], i)
	}
	return where
}

func (d *Definition) quantile(q Query) (float64, error) {
	switch {
	case q.Quantile == 0:
		return 0.5, nil
	case d.Kind != Survival:
		return 0, &InputError{Message: d.Name + " has no quantiles", Do: "only times have: metrics of the kind survival"}
	case !(q.Quantile > 0 && q.Quantile < 1):
		return 0, &InputError{Message: fmt.Sprintf("%v is no quantile", q.Quantile), Do: "give a share between 0 and 1, such as 0.75"}
	}
	return q.Quantile, nil
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
