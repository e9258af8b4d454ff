package metrics

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// What a metric of a large county is computed from beforehand. A simple metric or a ratio is the quotient of sums that add up, so its sums for each
// month and combination of dimensions answer every question. Curves do not add up: of a survival metric the lives are kept, how many of each
// duration, and beside them the curves of the periods that dashboards offer.
//
// A preparation has a number, which ends the names of its tables in the database prepared.

// CurveLengths are the periods, in months, whose curves are computed beforehand: those that the portal offers. Each month is one of them.
var CurveLengths = []int{1, 3, 6, 12}

// curveDimensions are what the curves are broken down by and filtered for, alone and together: the filters of the portal.
var curveDimensions = []string{"department", "item"}

// Prepared is a preparation to read figures from.
type Prepared struct {
	Number  uint64
	Metrics []string // that are prepared

	ProcessFrom uint32 // the first month, such as 202607, of which it is prepared how cases went; [AllMonths]; 0: of none
}

// AllMonths is [Prepared.ProcessFrom] when how cases went is prepared of every month that there are cases of.
const AllMonths = 1

// layout changes when the tables of a preparation do: those of another program are not read.
const layout = "5"

// Table is the name of a table of the preparation.
func (p Prepared) Table(kind, name string) string {
	return fmt.Sprintf("prepared.%s_%s_%d", kind, name, p.Number)
}

// Instead reads what a statement over mart asks from the copies of the named views.
func (p Prepared) Instead(sql string, views ...string) string {
	return martReads.ReplaceAllStringFunc(sql, func(read string) string {
		part := martReads.FindStringSubmatch(read)
		if !slices.Contains(views, part[2]) {
			return read
		}
		return part[1] + " " + p.Table("view", part[2])
	})
}

// Hash tells whether two programs mean the same by their metrics in a time zone.
func (s Set) Hash(zone string) string {
	h := sha256.New()
	fmt.Fprintln(h, layout)
	for _, d := range s.All() {
		fmt.Fprintln(h, Compile(d, zone, "definer"), d.Refuse)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Expressions are the SQL of the definition: columns of From, and views that are asked beside it.
func (d *Definition) Expressions() []string {
	list := []string{d.From, d.Where, d.Time, d.Numerator, d.Denominator, d.Units, d.Open, d.Duration, d.Event}
	if d.Refuse != nil {
		list = append(list, d.Refuse.When)
	}
	return append(list, slices.Collect(maps.Values(d.Dimensions))...)
}

// PrepareStatement makes the table of a metric from which its questions are answered; "" for a derived one, which is computed from the sums of its
// inputs.
func (d *Definition) PrepareStatement(p Prepared, zone string) string {
	switch d.Kind {
	case Derived:
		return ""
	case Survival:
		return d.livesTable(p, zone)
	}
	return d.sumsTable(p, zone)
}

func (d *Definition) monthAndDimensions(zone string) (keys string, groups []string) {
	columns, groups := []string{d.month(zone) + " AS month"}, []string{"month"}
	for _, name := range d.DimensionNames() {
		columns = append(columns, fmt.Sprintf("toLowCardinality(toString(%s)) AS %s", d.Dimensions[name], name))
		groups = append(groups, name)
	}
	return strings.Join(columns, ", "), groups
}

func (d *Definition) refused() string {
	if d.Refuse == nil {
		return "toUInt64(0)"
	}
	return "toUInt64(countIf(" + d.Refuse.When + "))"
}

func (d *Definition) sumsTable(p Prepared, zone string) string {
	keys, groups := d.monthAndDimensions(zone)
	return fmt.Sprintf("CREATE TABLE %s\nENGINE = MergeTree ORDER BY (%s)\nAS %s", p.Table("sums", d.Name), strings.Join(groups, ", "),
		d.sumsAndRefused(keys, d.timed(), strings.Join(groups, ", ")))
}

// livesTable keeps durations in halves of the unit, so that days that are counted by halves are whole numbers. Whoever prepares drops a metric whose
// durations are finer (LivesQuery).
func (d *Definition) livesTable(p Prepared, zone string) string {
	keys, groups := d.monthAndDimensions(zone)
	return fmt.Sprintf(`CREATE TABLE %s
ENGINE = MergeTree ORDER BY (%s, halves, censored)
AS SELECT %s, toInt64(round(2 * toFloat64(ifNull(%[4]s, 0)))) AS halves, toUInt8(NOT (%[5]s)) AS censored,
    toUInt64(countIf((%[4]s) IS NOT NULL)) AS n, %[6]s AS refused, toUInt64(countIf(ifNull(2 * toFloat64(%[4]s) != halves, 0))) AS finer
FROM %[7]s
WHERE %[8]s
GROUP BY %[2]s, halves, censored`, p.Table("lives", d.Name), strings.Join(groups, ", "), keys, d.Duration, d.Event, d.refused(), d.From, d.filter(d.timed()))
}

// LivesQuery counts (UInt64) the lives that a preparation has of a survival metric, and those that are finer than what it can hold.
func (d *Definition) LivesQuery(p Prepared) string {
	return "SELECT sum(n), sum(finer) FROM " + p.Table("lives", d.Name)
}

// curveSides are the subsets of the curve's dimensions that the metric has.
func (d *Definition) curveSides() [][]string {
	sides := [][]string{{}}
	for _, name := range curveDimensions {
		if d.Dimensions[name] == "" {
			continue
		}
		for _, side := range slices.Clone(sides) {
			sides = append(sides, append(slices.Clone(side), name))
		}
	}
	return sides
}

// mostUnits is how many units one statement that computes curves sorts, if it has to be for one month no more (I10): it holds them in some fifteen arrays of 8 bytes.
const mostUnits = 8_000_000

// CurveStatements compute the curves of a survival metric from its lives, of the periods that end from first to last. lives is how many there are.
func (d *Definition) CurveStatements(p Prepared, first, last Month, lives uint64) []string {
	var sides []string
	for _, side := range d.curveSides() {
		parts := []string{quote(strings.Join(side, ","))}
		for _, name := range curveDimensions {
			if slices.Contains(side, name) {
				parts = append(parts, "toString("+name+")")
			} else {
				parts = append(parts, "''")
			}
		}
		sides = append(sides, "("+strings.Join(parts, ", ")+")")
	}
	dimensions := strings.Join(curveDimensions, ", ")
	statements := []string{fmt.Sprintf(`CREATE TABLE %s
(
    months UInt8, until Date, side LowCardinality(String), %s LowCardinality(String), cases UInt64, closed UInt64,
    q0 Nullable(Float64), q0_lower Nullable(Float64), q0_upper Nullable(Float64), q1 Nullable(Float64), q1_lower Nullable(Float64), q1_upper Nullable(Float64),
    ended_median Nullable(Float64), refused UInt64
)
ENGINE = MergeTree ORDER BY (months, side, until, %s)`, p.Table("curves", d.Name), strings.Join(curveDimensions, " LowCardinality(String), "), dimensions)}
	all := last.since(first) + 1
	for _, months := range CurveLengths {
		ofPeriod := lives/uint64(all)*uint64(months*len(sides)) + 1
		step := int(min(max(mostUnits/ofPeriod, 1), uint64(all)))
		for begin := first; !last.Before(begin); begin = begin.Add(step) {
			end := begin.Add(step - 1)
			if last.Before(end) {
				end = last
			}
			// A life counts in each period that its month belongs to: those that end from its month on.
			keys := fmt.Sprintf("arrayJoin(arrayFilter(m -> m BETWEEN toDate('%s-01') AND toDate('%s-01'), arrayMap(i -> addMonths(month, i), range(%d)))) AS until, arrayJoin([%s]) AS of",
				begin, end, months, strings.Join(sides, ", "))
			where := fmt.Sprintf("month >= toDate('%s-01') AND month <= toDate('%s-01')", begin.Add(1-months), end)
			statements = append(statements, fmt.Sprintf("INSERT INTO %s\nSELECT %d, until, of.1, of.2, of.3, cases, closed, q0, q0_lower, q0_upper, q1, q1_lower, q1_upper, ended_median, refused\nFROM\n(\n%s\n)",
				p.Table("curves", d.Name), months, d.preparedSurvival(p, keys, where, "until, of", []float64{0.5, 0.9})))
		}
	}
	return statements
}

// preparedSurvival is survival over the lives of a preparation, and beside it how many of them are refused.
func (d *Definition) preparedSurvival(p Prepared, keys, where, groups string, quantiles []float64) string {
	// A unit is four times its duration, and one more when it is censored: whole numbers sort many times faster than pairs.
	return survivalOf(lifetable{
		units:    "arraySort(groupArrayArray(arrayWithConstant(n, 2 * halves + censored)))",
		duration: func(x string) string { return "((" + x + " - bitAnd(" + x + ", 1)) / 4)" },
		censored: func(x string) string { return "bitAnd(" + x + ", 1)" },
		none:     "toInt64(1)",
		from:     p.Table("lives", d.Name), where: where, more: ", sum(l.refused) AS refused", as: " AS l",
	}, keys, groups, quantiles)
}

// PreparedQuery is Query over a preparation: the same rows. ok is false when it is not prepared.
func (d *Definition) PreparedQuery(q Query, zone *time.Location, p Prepared) (sql string, args []any, ok bool, err error) {
	if _, _, err := d.Query(q, zone); err != nil { // the same questions are at fault
		return "", nil, false, err
	}
	if !d.prepared(p) || !q.Known.IsZero() {
		return "", nil, false, nil
	}
	args = []any{clickhouse.Named("from", q.From.String()+"-01"), clickhouse.Named("until", q.To.String()+"-01")}
	filters := slices.Sorted(maps.Keys(q.Filters))
	where := "month >= toDate({from:String}) AND month <= toDate({until:String})"
	chosen := ""
	for i, name := range filters {
		args = append(args, clickhouse.Named(fmt.Sprintf("filter%d", i), q.Filters[name]))
		chosen += fmt.Sprintf(" AND %s = {filter%d:String}", name, i)
	}
	key := preparedKey(q.By, "month")
	switch {
	case d.Kind == Derived:
		sql = "SELECT key, value, units, still_open, small, unsettled\nFROM\n(\n" + d.derived([]string{"key"}, func(input *Definition) string {
			return input.preparedSums(p, key, where+chosen)
		}) + "\n)"
	case d.Kind != Survival:
		sql = d.preparedSums(p, key, where+chosen)
	default:
		const columns = "cases, closed, q0, q0_lower, q0_upper, q1, q1_lower, q1_upper, ended_median"
		if side, months, is := d.curve(q, filters); is {
			sql = fmt.Sprintf("SELECT %s AS key, %s\nFROM %s AS c\nWHERE months = %d AND side = %s AND until >= toDate({from:String}) AND until <= toDate({until:String})%s\nGROUP BY ALL%s",
				preparedKey(q.By, "until"), columns, p.Table("curves", d.Name), months, quote(side), chosen, d.preparedRefusal("HAVING", "max(c.refused)"))
			if q.By != "month" { // the period's last month names its curve
				args[0] = clickhouse.Named("from", q.To.String()+"-01")
			}
			break
		}
		quantile, err := d.quantile(q)
		if err != nil {
			return "", nil, false, err
		}
		sql = fmt.Sprintf("SELECT key, %s\nFROM\n(\n%s\n)%s", columns, d.preparedSurvival(p, key+" AS key", where+chosen, "key", []float64{quantile, 0.9}),
			d.preparedRefusal("WHERE", "refused"))
	}
	return sql + "\nORDER BY key", args, true, nil
}

func preparedKey(by, month string) string {
	switch by {
	case "":
		return "''"
	case "month":
		return "formatDateTime(" + month + ", '%Y-%m')"
	}
	return "toString(" + by + ")"
}

// curve tells whether a question is answered by a curve: of which side and period.
func (d *Definition) curve(q Query, filters []string) (side string, months int, is bool) {
	used := slices.Clone(filters)
	if q.By != "" && q.By != "month" {
		if slices.Contains(used, q.By) {
			return "", 0, false
		}
		used = append(used, q.By)
	}
	slices.SortFunc(used, func(a, b string) int { return slices.Index(curveDimensions, a) - slices.Index(curveDimensions, b) })
	months = q.To.since(q.From) + 1
	if q.By == "month" {
		months = 1
	}
	is = (q.Quantile == 0 || q.Quantile == 0.5) && slices.Contains(CurveLengths, months) &&
		slices.ContainsFunc(d.curveSides(), func(s []string) bool { return slices.Equal(s, used) })
	return strings.Join(used, ","), months, is
}

func (d *Definition) preparedRefusal(clause, refused string) string {
	if d.Refuse == nil {
		return ""
	}
	return fmt.Sprintf("\n"+clause+" throwIf(%s > 0, %s) = 0", refused, quote(d.Name+": "+d.Refuse.Because))
}

// preparedSums adds up the sums of a preparation.
func (d *Definition) preparedSums(p Prepared, key, where string) string {
	denominator := "sum(s.denominator)"
	if d.Kind == Simple {
		denominator = "toFloat64(1)"
	}
	units := "sum(s.units)"
	if d.Kind == Simple && d.Units == "" {
		units = denominator
	}
	return fmt.Sprintf("SELECT %s AS key, sum(s.numerator) AS numerator, %s AS denominator, %s AS units, sum(s.still_open) AS still_open\nFROM %s AS s\nWHERE %s\nGROUP BY key%s",
		key, denominator, units, p.Table("sums", d.Name), where, d.preparedRefusal("HAVING", "sum(s.refused)"))
}
