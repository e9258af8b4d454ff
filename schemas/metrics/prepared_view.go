package metrics

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// CompilePrepared is [Compile] over a preparation: the same columns and the same rows, as they were when it began. ok is false when the metric, or one that it is
// derived from, is not prepared.
func CompilePrepared(d *Definition, p Prepared, began time.Time, definer string) (sql string, ok bool) {
	if !d.prepared(p) {
		return "", false
	}
	at := began.Format(time.RFC3339)
	comment := fmt.Sprintf("%s Prepared: loads up to %s are in it (预先计算，截至该时刻的加载已计入).", d.comment(), at)
	return d.view(definer, comment, viewed{
		cells:  func(of *Definition) string { return of.preparedCells(p, d.DimensionNames()) },
		curves: func() string { return d.preparedMonths(p) },
	}), true
}

// prepared tells whether the metric can be told from a preparation.
func (d *Definition) prepared(p Prepared) bool {
	return !slices.ContainsFunc(append([]*Definition{d}, d.inputs...), func(of *Definition) bool {
		return of.Kind != Derived && !slices.Contains(p.Metrics, of.Name)
	})
}

// preparedCells is cells over the sums of a preparation. What is refused is, as there, what is asked for.
func (d *Definition) preparedCells(p Prepared, names []string) string {
	groups := strings.Join(append([]string{"month"}, names...), ", ")
	denominator, units := "sum(s.denominator)", "sum(s.units)"
	if d.Kind == Simple {
		denominator = "toFloat64(1)"
		if d.Units == "" {
			units = denominator
		}
	}
	return fmt.Sprintf("SELECT %s, sum(s.numerator) AS numerator, %s AS denominator, %s AS units, sum(s.still_open) AS still_open\nFROM %s AS s\nGROUP BY %[1]s%[5]s",
		groups, denominator, units, p.Table("sums", d.Name), d.preparedRefusal("HAVING", "sum(s.refused)"))
}

const monthsColumns = "month, side, cases, closed, q0, q0_lower, q0_upper, q1, q1_lower, q1_upper, ended_median"

// A group is one row. It is a group so that what is refused is looked at after the months that somebody asks for, and before anything else that they ask.
func (d *Definition) preparedMonths(p Prepared) string {
	columns := strings.Split(monthsColumns, ", ")
	for i, name := range columns[2:] {
		columns[i+2] = fmt.Sprintf("any(m.%[1]s) AS %[1]s", name)
	}
	return fmt.Sprintf("SELECT %s\nFROM %s AS m\nGROUP BY month, side%s", strings.Join(columns, ", "), p.Table("months", d.Name), d.preparedRefusal("HAVING", "sum(m.refused)"))
}

// MonthsQuery tells of how many lives (UInt64) the curves of each month (such as 202607, UInt32) are.
func (d *Definition) MonthsQuery(p Prepared) string {
	return "SELECT toYYYYMM(month) AS m, sum(n) FROM " + p.Table("lives", d.Name) + " GROUP BY m ORDER BY m DESC"
}

// MonthsAtOnce is of how many lives the months are that one [Definition.MonthsStatement] computes, if it is of more than one.
func (d *Definition) MonthsAtOnce() uint64 { return mostUnits / uint64(1+len(d.Dimensions)) }

// MonthsTable makes the table of a survival metric from which its view reads, and MonthsStatement computes it from the lives for the months from first to last.
func (d *Definition) MonthsTable(p Prepared) string {
	return fmt.Sprintf("CREATE TABLE %s\nENGINE = MergeTree ORDER BY month\nEMPTY AS %s", p.Table("months", d.Name), d.monthsOf(p, "1"))
}

// MonthsStatement is told of with [Definition.MonthsTable].
func (d *Definition) MonthsStatement(p Prepared, first, last uint32) string {
	return fmt.Sprintf("INSERT INTO %s (%s, refused)\n%s", p.Table("months", d.Name), monthsColumns, d.monthsOf(p, fmt.Sprintf("toYYYYMM(month) BETWEEN %d AND %d", first, last)))
}

func (d *Definition) monthsOf(p Prepared, where string) string {
	columns := maps.Clone(d.Dimensions)
	for name := range columns {
		columns[name] = name
	}
	return fmt.Sprintf("SELECT %s, refused\nFROM\n(\n%s\n)", monthsColumns, d.preparedSurvival(p, "month, "+d.sidesOf(columns), where, "month, side", shownQuantiles))
}
