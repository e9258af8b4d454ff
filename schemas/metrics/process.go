package metrics

import (
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// ProcessQuery asks how the cases of a cohort went. An empty Item, Department or Channel is all of them.
type ProcessQuery struct {
	Item, Department, Channel string
	From, To                  Month // months of application, both included
	Limit                     int   // at most so many variants and transitions; 0: [ProcessLimit]

	Known time.Time // what was known then (I9); zero: now
}

// ProcessLimit is how many variants and transitions are listed when nobody says how many, and MostProcess how many at most (I10).
const (
	ProcessLimit = 50
	MostProcess  = 1000
)

// Process is how the cases of a cohort went: the ways they took, what followed what, what was done again, and where the time went. What fewer
// cases than [ProcessCell] did is counted and not listed. Seconds are wall-clock time.
type Process struct {
	Item       string `json:"item"`
	Department string `json:"department"`
	Channel    string `json:"channel"`
	From       string `json:"from"`
	To         string `json:"to"`
	AsOf       string `json:"as_of"`              // RFC 3339
	Prepared   string `json:"prepared,omitempty"` // as in [Result]
	Known      string `json:"known,omitempty"`    // as in [Result]

	Cases          int64               `json:"cases"`
	Steps          int64               `json:"steps"`
	Variants       int64               `json:"variants"`        // different ways, those that are not listed included
	Repeating      int64               `json:"repeating"`       // cases that repeat an activity
	ExtraSteps     int64               `json:"extra_steps"`     // steps that repeat an activity
	MeanSeconds    float64             `json:"mean_seconds"`    // from a case's first step to its last end that is known
	WorkingSeconds float64             `json:"working_seconds"` // added up over the cases; the three are all of the time
	WaitingSeconds float64             `json:"waiting_seconds"`
	UntoldSeconds  float64             `json:"untold_seconds"` // after steps whose end is not known: work or waiting
	ListedVariants []ProcessVariant    `json:"listed_variants"`
	Follows        []ProcessTransition `json:"follows"`
	Rework         []ProcessRework     `json:"rework"`
	Activities     []ProcessActivity   `json:"activities"`

	Restated []Restated `json:"restated,omitzero"` // with Known: what has changed in the county's records since
}

// ProcessCell is how many cases something needs to be listed.
const ProcessCell = 5

// ProcessVariant is one way that cases took.
type ProcessVariant struct {
	Trace         []string `json:"trace"` // activities in the order in which they started
	Cases         int64    `json:"cases"`
	Share         float64  `json:"share"`
	ExtraSteps    int64    `json:"extra_steps"` // of one such case
	MedianSeconds float64  `json:"median_seconds"`
}

// ProcessTransition is one activity directly following another; an empty one is the case's beginning or end.
type ProcessTransition struct {
	From           string  `json:"from"`
	To             string  `json:"to"`
	Count          int64   `json:"count"`
	Cases          int64   `json:"cases"`
	MeanSeconds    float64 `json:"mean_seconds"` // from start to start
	MedianSeconds  float64 `json:"median_seconds"`
	WaitingSeconds float64 `json:"waiting_seconds"` // added up
}

// ProcessRework is an activity that cases went through more than once.
type ProcessRework struct {
	Activity   string `json:"activity"`
	Cases      int64  `json:"cases"`
	ExtraSteps int64  `json:"extra_steps"`
	Directly   int64  `json:"directly"` // of these, right after itself
}

// ProcessActivity is where the time of an activity goes.
type ProcessActivity struct {
	Activity       string  `json:"activity"`
	Steps          int64   `json:"steps"`
	Cases          int64   `json:"cases"`
	WorkingSeconds float64 `json:"working_seconds"`
	WaitingSeconds float64 `json:"waiting_seconds"` // after it
	UntoldSeconds  float64 `json:"untold_seconds"`
}

// Statements are the queries of a process, over mart.case_traces and mart.case_transitions, with the parameters that Args binds. Their
// columns are those of the types of the same names, in order. Times are added up as whole microseconds, so that no order of the rows gives another sum.
func (q ProcessQuery) Statements() (summary, variants, follows, rework, activities string) {
	const cohort = `
WHERE began_at >= {from:DateTime64(6, 'UTC')} AND began_at < {until:DateTime64(6, 'UTC')}
    AND ({item:String} = '' OR item_code = {item:String}) AND ({department:String} = '' OR department = {department:String})
    AND ({channel:String} = '' OR channel = {channel:String})`
	listed := fmt.Sprintf("\nHAVING cases >= %d", ProcessCell)
	const few = "\nLIMIT {limit:UInt32}"
	total := func(column string) string { return addedUp(micros("t." + column)) }
	median := "quantileExactInclusive(0.5)(" + micros("t.seconds") + ") / 1e6"
	summary = `SELECT toInt64(count()), toInt64(sum(steps)), toInt64(uniqExact(trace)), toInt64(countIf(extra_steps > 0)), toInt64(sum(extra_steps)),
    ifNotFinite(` + total("seconds") + ` / count(), 0), ` + total("working_seconds") + ", " + total("waiting_seconds") + ", " + total("untold_seconds") + `
FROM mart.case_traces AS t` + cohort
	variants = `SELECT trace, toInt64(count()) AS cases, cases / (SELECT count() FROM mart.case_traces` + cohort + `), toInt64(any(extra_steps)), ` + median + `
FROM mart.case_traces AS t` + cohort + "\nGROUP BY trace" + listed + "\nORDER BY cases DESC, trace" + few
	follows = `SELECT from_activity, to_activity, toInt64(count()) AS times, toInt64(uniqExact(case_number)) AS cases, ` + total("seconds") + ` / times, ` + median + ", " + total("waiting_seconds") + `
FROM mart.case_transitions AS t` + cohort + "\nGROUP BY from_activity, to_activity" + listed + "\nORDER BY times DESC, from_activity, to_activity" + few
	rework = `SELECT activity, toInt64(count()) AS cases, toInt64(sum(times - 1)) AS extra, toInt64(sum(again))
FROM
(
    SELECT case_number, from_activity AS activity, count() AS times, countIf(to_activity = from_activity) AS again
    FROM mart.case_transitions` + cohort + ` AND position > 0
    GROUP BY case_number, activity
    HAVING times > 1
)
GROUP BY activity` + listed + "\nORDER BY extra DESC, activity" + few
	activities = `SELECT from_activity, toInt64(count()) AS steps, toInt64(uniqExact(case_number)) AS cases, ` + total("working_seconds") + ", " + total("waiting_seconds") + " AS waiting, " + total("untold_seconds") + `
FROM mart.case_transitions AS t` + cohort + " AND position > 0\nGROUP BY from_activity" + listed + "\nORDER BY waiting DESC, from_activity" + few
	if !q.Known.IsZero() {
		for _, sql := range []*string{&summary, &variants, &follows, &rework, &activities} {
			*sql = asKnown(*sql)
		}
	}
	return summary, variants, follows, rework, activities
}

// micros is a number of seconds as whole microseconds, in which the warehouse keeps time.
func micros(seconds string) string { return "toInt64(round(1e6 * (" + seconds + ")))" }

// addedUp is a sum of microseconds in seconds. A county's may be more than an Int64 holds.
func addedUp(micros string) string { return "toFloat64(sum(toInt128(" + micros + "))) / 1e6" }

// Args binds what the reader chose. The error is an [InputError].
func (q ProcessQuery) Args(zone *time.Location) ([]any, error) {
	if !q.From.valid() || !q.To.valid() || q.To.Before(q.From) {
		return nil, noPeriod(q.From, q.To)
	}
	if q.Limit < 0 || q.Limit > MostProcess {
		return nil, &InputError{Message: fmt.Sprintf("the limit %d is not between 1 and %d", q.Limit, MostProcess)}
	}
	limit := q.Limit
	if limit == 0 {
		limit = ProcessLimit
	}
	args := []any{
		clickhouse.Named("from", instant(q.From.Start(zone))), clickhouse.Named("until", instant(q.To.Add(1).Start(zone))),
		clickhouse.Named("item", q.Item), clickhouse.Named("department", q.Department), clickhouse.Named("channel", q.Channel),
		clickhouse.Named("limit", fmt.Sprint(limit)),
	}
	if !q.Known.IsZero() {
		args = append(args, bindKnown(q.Known))
	}
	return args, nil
}

func noPeriod(from, to Month) error {
	return &InputError{Message: fmt.Sprintf("the months %s to %s are no period", from, to), Do: "give a first and a last month such as 2026-07 and 2026-09"}
}
