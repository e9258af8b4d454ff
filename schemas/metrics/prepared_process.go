package metrics

import (
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// How the cases of a large county went is prepared in cells: of each month, item, department and channel, each way that cases took and each activity that
// followed another, with sums that add up. A median does not add up. It is found from three things: bounds that cut the times of each way, or of
// each pair of activities, into buckets of about the same number; in each cell how many times are in each bucket; and the times themselves in the order of the
// buckets. The counts tell in which bucket of a cohort its median is, and only that bucket is read. The bounds are taken from a sample:
// whatever they are, the median is exact.

// BoundsOfTimes are enough that the times of ten million cases lie in buckets of some thousands.
const BoundsOfTimes = 200

const (
	leastBounded = 8       // in the sample; what has fewer times is one bucket
	sampledCases = 400_000 // about
)

// buckets are how many bounds make: bucket 2i-1 holds the times that are bound i, the even ones those between: what many cases share is not even read.
func buckets(bounds int) int { return 2*bounds + 1 }

// rolledUp are the cells of more than one item: so that a cohort of the whole county, or of a department, need not add up those of all items.
var rolledUp = []struct {
	level    int
	cell, by string
}{{1, "'', '', ''", ""}, {2, "'', '', channel", ", channel"}, {3, "'', department, channel", ", department, channel"}}

// level is where the cells of a cohort are.
func (q ProcessQuery) level() int {
	switch {
	case q.Item != "":
		return 0
	case q.Department != "":
		return 3
	case q.Channel != "":
		return 2
	}
	return 1
}

// timedKind is what has times whose median is asked for.
type timedKind struct {
	name string   // of its tables
	keys []string // columns
	typ  string   // of each
	rows string   // the statement that gives keys and micros of every case, with those of the cell
}

// timedKinds: ways are the variants, by a hash of 128 bits; follows are pairs of activities of which one directly followed the other.
func (p Prepared) timedKinds() []timedKind {
	return []timedKind{
		{"ways", []string{"way"}, "UInt128", "SELECT month, item, department, channel, draw, way, micros, working, waiting, untold, toUInt64(length(trace)) AS steps, extra_steps FROM " + p.Table("process", "cases")},
		{"follows", []string{"from_activity", "to_activity"}, "LowCardinality(String)", p.transitions()},
	}
}

// transitions are the rows of mart.case_transitions from the copies of the cases. nth counts a pair, and activity_nth an activity, within its case, from
// 1; of the beginning activity_nth is 0.
func (p Prepared) transitions() string {
	return `SELECT month, item, department, channel, draw, x.1 AS from_activity, x.2 AS to_activity, x.3 AS micros, x.4 AS working, x.5 AS waiting, x.6 AS untold, x.7 AS nth, x.8 AS activity_nth, x.9 AS again
FROM
(
    SELECT month, item, department, channel, draw, arrayPushFront(trace, '') AS froms, arrayPushBack(trace, '') AS tos,
        arrayJoin(arrayZip(froms, tos, arrayPushFront(step_micros, 0), arrayPushFront(step_working, 0), arrayPushFront(step_waiting, 0), arrayPushFront(step_untold, 0),
            arrayEnumerateUniq(froms, tos), arrayPushFront(arrayEnumerateUniq(trace), 0),
            arrayPushFront(arrayMap((a, next) -> a = next AND countEqual(trace, a) > 1, trace, arrayPushBack(arrayPopFront(trace), '')), 0))) AS x
    FROM ` + p.Table("process", "cases") + `
)`
}

// ProcessCases copies of mart.case_traces, in the county's time zone, what the cells are made from, so that the view is read once.
func (p Prepared) ProcessCases(zone string) string {
	step := func(seconds string) string { return "arrayMap(s -> " + micros("s") + ", " + seconds + ")" }
	return fmt.Sprintf(`CREATE TABLE %s
ENGINE = MergeTree ORDER BY month
AS SELECT toYYYYMM(began_at, %s) AS month, item_code AS item, department, channel, toUInt16(cityHash64(case_number)) AS draw,
    arrayMap(a -> toLowCardinality(a), trace) AS trace, reinterpretAsUInt128(sipHash128(t.trace)) AS way, extra_steps, %s AS micros, %s AS working, %s AS waiting, %s AS untold,
    arrayMap((a, b, c) -> %s, t.working, t.waiting, t.untold) AS step_micros, %s AS step_working, %s AS step_waiting, %s AS step_untold
FROM mart.case_traces AS t`, p.Table("process", "cases"), quote(zone), micros("t.seconds"), micros("t.working_seconds"), micros("t.waiting_seconds"), micros("t.untold_seconds"),
		micros("a + b + c"), step("t.working"), step("t.waiting"), step("t.untold"))
}

// ProcessMonths lists the months (UInt32, such as 202607) that there are cases of, the last first, and how many (UInt64).
func (p Prepared) ProcessMonths() string {
	return "SELECT month, count() FROM " + p.Table("process", "cases") + " GROUP BY month ORDER BY month DESC"
}

// ProcessTables make the tables that [Prepared.ProcessStatements] fill, and the bounds, of which each way and each pair has at most that many. cases is how
// many there are.
func (p Prepared) ProcessTables(cases uint64, bounds int) (statements []string) {
	levels := make([]string, bounds)
	for i := range levels {
		levels[i] = fmt.Sprintf("%.6f", float64(i+1)/float64(bounds+1))
	}
	for _, kind := range p.timedKinds() {
		keys, typed := strings.Join(kind.keys, ", "), strings.Join(kind.keys, " "+kind.typ+", ")+" "+kind.typ
		const cell = "month UInt32, item LowCardinality(String), department LowCardinality(String), channel LowCardinality(String)"
		sums := "cases UInt64, micros Int128, working Int128, waiting Int128, untold Int128, counts Array(UInt32)"
		if kind.name == "ways" {
			sums += ", steps UInt64, extra_steps UInt64"
		} else {
			sums += ", times UInt64, steps UInt64, activity_cases UInt64, activity_again_cases UInt64, extra_steps UInt64, again UInt64"
		}
		statements = append(statements,
			fmt.Sprintf("CREATE TABLE %s (level UInt8, %s, %s, %s)\nENGINE = MergeTree ORDER BY (level, department, item, channel, month)\nSETTINGS index_granularity = 1024", p.Table("process", kind.name), cell, typed, sums),
			fmt.Sprintf("CREATE TABLE %s (%s, %s, bucket UInt16, micros Int64)\nENGINE = MergeTree ORDER BY (%s, bucket, month, item)\nSETTINGS index_granularity = 512", p.Table("process", kind.name+"_times"), cell, typed, keys),
			fmt.Sprintf("CREATE TABLE %s\nENGINE = MergeTree ORDER BY (%s, place)\nAS SELECT %s, toUInt16(b.2) AS place, b.1 AS bound\nFROM (SELECT %s, arrayDistinct(quantilesExactLow(%s)(micros)) AS bounds\nFROM (%s)\nWHERE draw < %d\nGROUP BY %s\nHAVING count() >= %d)\nARRAY JOIN arrayZip(bounds, arrayEnumerate(bounds)) AS b",
				p.Table("process", kind.name+"_bounds"), keys, keys, keys, strings.Join(levels, ", "), kind.rows, max(65536*sampledCases/max(cases, sampledCases), 1), keys, leastBounded))
	}
	return append(statements, fmt.Sprintf("CREATE TABLE %s\nENGINE = MergeTree ORDER BY way\nSETTINGS index_granularity = 512\nAS SELECT way, any(trace) AS trace FROM %s GROUP BY way", p.Table("process", "traces"), p.Table("process", "cases")))
}

// ProcessStatements fill the tables from the cases of the months from first to last (such as 202607). bounds are those of ProcessTables.
func (p Prepared) ProcessStatements(first, last uint32, bounds int) (statements []string) {
	months := fmt.Sprintf("month BETWEEN %d AND %d", first, last)
	const cell = "month, item, department, channel"
	for _, kind := range p.timedKinds() {
		keys := strings.Join(kind.keys, ", ")
		var same []string
		for _, key := range kind.keys {
			same = append(same, "r."+key+" = b."+key)
		}
		rows := fmt.Sprintf("SELECT r.*, toUInt16(2 * b.place - (b.place > 0 AND b.bound = r.micros)) AS bucket\nFROM (%s\nWHERE %s) AS r\nASOF LEFT JOIN %s AS b ON %s AND r.micros >= b.bound",
			kind.rows, months, p.Table("process", kind.name+"_bounds"), strings.Join(same, " AND "))
		names, sums, further := "", "", ""
		add := func(column, aggregate string) {
			names, sums, further = names+", "+column, sums+", "+aggregate, further+", sum(c."+column+")"
		}
		if kind.name == "ways" {
			add("cases", "count()")
		} else {
			add("cases", "countIf(nth = 1)")
			add("times", "count()")
			add("steps", "countIf(activity_nth > 0)")
			add("activity_cases", "countIf(activity_nth = 1)")
			add("activity_again_cases", "countIf(activity_nth = 2)")
			add("extra_steps", "countIf(activity_nth > 1)")
			add("again", "sum(r.again)")
		}
		for _, column := range []string{"micros", "working", "waiting", "untold"} {
			add(column, "sum(toInt128(r."+column+"))")
		}
		names, sums, further = names+", counts", sums+fmt.Sprintf(", arraySlice(countResample(0, %d, 1)(bucket), 1, max(bucket) + 1)", buckets(bounds)), further+", sumForEach(c.counts)"
		if kind.name == "ways" {
			names, sums, further = names+", steps, extra_steps", sums+", any(r.steps), any(r.extra_steps)", further+", any(c.steps), any(c.extra_steps)"
		}
		table := p.Table("process", kind.name)
		statements = append(statements,
			fmt.Sprintf("INSERT INTO %s (%s, %s, bucket, micros)\nSELECT %s, %s, bucket, micros\nFROM (%s)\nWHERE bucket %% 2 = 0\nORDER BY %s, bucket, month, item\nSETTINGS join_algorithm = 'hash'",
				p.Table("process", kind.name+"_times"), cell, keys, cell, keys, rows, keys),
			fmt.Sprintf("INSERT INTO %s (level, %s, %s%s)\nSELECT 0, %s, %s%s\nFROM (%s) AS r\nGROUP BY %s, %s\nSETTINGS join_algorithm = 'hash'", table, cell, keys, names, cell, keys, sums, rows, cell, keys),
		)
		for _, l := range rolledUp {
			statements = append(statements, fmt.Sprintf("INSERT INTO %s (level, %s, %s%s)\nSELECT %d, month, %s, %s%s\nFROM %s AS c\nWHERE level = 0 AND %s\nGROUP BY month%s, %s",
				table, cell, keys, names, l.level, l.cell, keys, further, table, months, l.by, keys))
		}
	}
	return statements
}

// ProcessMerges make one part of each table that was filled some months at a time: a median reads a few rows of each of its parts.
func (p Prepared) ProcessMerges() (statements []string) {
	for _, kind := range p.timedKinds() {
		statements = append(statements, "OPTIMIZE TABLE "+p.Table("process", kind.name)+" FINAL", "OPTIMIZE TABLE "+p.Table("process", kind.name+"_times")+" FINAL")
	}
	return statements
}

// Prepared tells whether the question is answered by a preparation.
func (q ProcessQuery) Prepared(p Prepared) bool {
	return p.ProcessFrom > 0 && q.Known.IsZero() && q.From.number() >= p.ProcessFrom
}

// PreparedStatements are the queries of [ProcessQuery.Statements] over a preparation, with the parameters that PreparedArgs binds: the same rows. Those of
// the variants and of what followed what have columns further on, counts, from which the median is found: see [Prepared.Medians].
//
//	variants  way (as text), trace, cases, extra_steps, counts
//	follows   from_activity, to_activity, times, cases, seconds, waiting_seconds, counts
func (q ProcessQuery) PreparedStatements(p Prepared) (summary, variants, follows, rework, activities string) {
	cells := func(kind string) string { return p.cells(kind, q) }
	listed := fmt.Sprintf("\nHAVING cases >= %d", ProcessCell)
	const few = "\nLIMIT {limit:UInt32}"
	total := func(column string) string { return addedUp("c." + column) }
	summary = "SELECT toInt64(sum(c.cases)), toInt64(sum(c.steps * c.cases)), toInt64(uniqExact(way)), toInt64(sumIf(c.cases, c.extra_steps > 0)), toInt64(sum(c.extra_steps * c.cases)),\n    ifNotFinite(" +
		total("micros") + " / sum(c.cases), 0), " + total("working") + ", " + total("waiting") + ", " + total("untold") + "\nFROM " + cells("ways")
	ways := func(columns string) string {
		return "SELECT way, sum(c.cases) AS cases" + columns + "\nFROM " + cells("ways") + "\nGROUP BY way" + listed + "\nORDER BY cases DESC" + few + " WITH TIES"
	}
	variants = "SELECT toString(l.way), arrayMap(a -> toString(a), t.trace) AS trace, toInt64(l.cases) AS cases, toInt64(l.extra), l.counts\nFROM (" + ways(", any(c.extra_steps) AS extra, sumForEach(c.counts) AS counts") +
		") AS l\nINNER JOIN (SELECT way, trace FROM " + p.Table("process", "traces") + " WHERE way IN (SELECT way FROM (" + ways("") + "))) AS t ON t.way = l.way\nORDER BY cases DESC, trace" + few
	follows = "SELECT toString(c.from_activity) AS from, toString(c.to_activity) AS to, toInt64(sum(c.times)) AS times, toInt64(sum(c.cases)) AS cases, " + total("micros") + ", " + total("waiting") +
		", sumForEach(c.counts)\nFROM " + cells("follows") + "\nGROUP BY c.from_activity, c.to_activity" + listed + "\nORDER BY times DESC, from, to" + few
	rework = "SELECT toString(c.from_activity) AS activity, toInt64(sum(c.activity_again_cases)) AS cases, toInt64(sum(c.extra_steps)) AS extra, toInt64(sum(c.again))\nFROM " + cells("follows") +
		"\nGROUP BY activity" + listed + "\nORDER BY extra DESC, activity" + few
	activities = "SELECT toString(c.from_activity) AS activity, toInt64(sum(c.steps)), toInt64(sum(c.activity_cases)) AS cases, " + total("working") + ", " + total("waiting") + " AS waiting_seconds, " + total("untold") +
		"\nFROM " + cells("follows") + "\nGROUP BY activity" + listed + "\nORDER BY waiting_seconds DESC, activity" + few
	return summary, variants, follows, rework, activities
}

// cells are those of a cohort, as c.
func (p Prepared) cells(kind string, q ProcessQuery) string {
	return fmt.Sprintf("%s AS c\nWHERE level = %d AND %s", p.Table("process", kind), q.level(), q.cohort())
}

// cohort is its condition on cells, and on times.
func (q ProcessQuery) cohort() string {
	cohort := "month BETWEEN {from:UInt32} AND {until:UInt32}"
	for _, filter := range []struct{ column, value string }{{"item", q.Item}, {"department", q.Department}, {"channel", q.Channel}} {
		if filter.value != "" {
			cohort += fmt.Sprintf(" AND %[1]s = {%[1]s:String}", filter.column)
		}
	}
	return cohort
}

// PreparedArgs binds what the reader chose to PreparedStatements. The error is an [InputError].
func (q ProcessQuery) PreparedArgs(zone *time.Location) ([]any, error) {
	args, err := q.Args(zone)
	if err != nil {
		return nil, err
	}
	return append([]any{clickhouse.Named("from", fmt.Sprint(q.From.number())), clickhouse.Named("until", fmt.Sprint(q.To.number()))}, args[2:]...), nil
}
