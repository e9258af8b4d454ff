package metrics

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// The groups by which what a metric counts can be told apart, whatever the metric calls them.
const (
	GroupDepartment = "department"
	GroupDivision   = "division"
	GroupItem       = "item"
	GroupKind       = "kind"
	GroupChannel    = "channel"
)

// Groups are all of them, in the order of the columns of [Definition.Evidence].
var Groups = []string{GroupDepartment, GroupDivision, GroupItem, GroupKind, GroupChannel}

// divided are the views that know the division of each of their rows, though few dashboards ask for it.
var divided = []string{"mart.cases", "mart.incidents", "mart.council_decisions"}

// instead are the dimensions that say the same of what is no case: an incident has a category where a case has an item.
var instead = map[string]string{GroupItem: "category", GroupKind: "origin"}

// Group is the column that a group is told by; "" when the metric cannot tell it.
func (d *Definition) Group(name string) string {
	if column := cmp.Or(d.Dimensions[name], d.Dimensions[instead[name]]); column != "" {
		return column
	}
	if name == GroupDivision && slices.Contains(divided, d.From) {
		return "division"
	}
	return ""
}

// Evidence writes the statement for what a metric is counted from, over the months of q; q.Filters are not looked at. Only rows of
// cohort are chosen: lists of values by group, an empty one is every value. The columns are those of [Groups], then of a time applied
// (DateTime64), duration (Float64), ended and refused (UInt8), a row for each case; of a ratio month (2026-07), numerator, denominator
// (Float64) and refused (UInt8), a row for each month and groups. A row that is refused makes the whole so: see [Refuse]. The error
// is an [InputError].
func (d *Definition) Evidence(q Query, zone *time.Location, cohort map[string][]string) (sql string, args []any, err error) {
	if d.Kind != Survival && d.Kind != Ratio {
		return "", nil, &InputError{Message: fmt.Sprintf("%s is of the kind %s, of which no gain can be told", d.Name, d.Kind), Do: "name a time or a ratio"}
	}
	if !q.From.valid() || !q.To.valid() || q.To.Before(q.From) {
		return "", nil, noPeriod(q.From, q.To)
	}
	args = append(args,
		clickhouse.Named("from", instant(q.From.Start(zone))),
		clickhouse.Named("until", instant(q.To.Add(1).Start(zone))))
	where := d.filter(d.chosen(nil))
	var columns []string
	for i, name := range Groups {
		column := d.Group(name)
		if column == "" {
			columns = append(columns, "'' AS g"+name)
		} else {
			columns = append(columns, fmt.Sprintf("toString(%s) AS g%s", column, name))
		}
		if len(cohort[name]) == 0 {
			continue
		}
		if column == "" {
			return "", nil, &InputError{Message: fmt.Sprintf("%s cannot be told by %s", d.Name, name), Do: "leave it out of the cohort"}
		}
		where += fmt.Sprintf(" AND toString(%s) IN {cohort%d:Array(String)}", column, i)
		args = append(args, clickhouse.Named(fmt.Sprintf("cohort%d", i), cohort[name]))
	}
	groups, refused := strings.Join(columns, ", "), "0"
	if d.Refuse != nil {
		refused = "ifNull(" + d.Refuse.When + ", 0)"
	}
	if d.Kind == Survival {
		sql = fmt.Sprintf("SELECT %s, assumeNotNull(%s) AS applied, toFloat64(ifNull(%s, 0)) AS duration, toUInt8(%s) AS ended, toUInt8(%s) AS refused\nFROM %s\nWHERE %s AND ((%s) IS NOT NULL OR refused = 1)",
			groups, d.Time, d.Duration, d.Event, refused, d.From, where, d.Duration)
	} else {
		sql = fmt.Sprintf("SELECT %s, %s AS cohort_month, toFloat64(ifNull(%s, 0)) AS numerator, toFloat64(ifNull(%s, 0)) AS denominator, toUInt8(countIf(%s) > 0) AS refused\nFROM %s\nWHERE %s\nGROUP BY gdepartment, gdivision, gitem, gkind, gchannel, cohort_month",
			groups, d.key("month", zone), d.Numerator, d.Denominator, refused, d.From, where)
	}
	sql, args = q.AsKnown(sql, args...)
	return sql, args, nil
}
