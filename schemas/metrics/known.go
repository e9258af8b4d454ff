package metrics

import (
	"fmt"
	"regexp"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// CompareKnown puts beside the figures of now what they were known to be at Query.Known: a figure that was restated.
const CompareKnown = "known"

// Restated counts the records of a dataset that have changed since the moment that a figure is compared with.
type Restated struct {
	Dataset string `json:"dataset"` // empty for records that belong to another person or organisation since
	Change  string `json:"change"`  // added, corrected, removed, or merge and split for records that were linked anew
	Records int64  `json:"records"`
}

var (
	martRead  = regexp.MustCompile(`\bFROM mart\.(\w+)`)
	martReads = regexp.MustCompile(`\b(FROM|JOIN) mart\.(\w+)`)
)

// AsKnown turns a statement over mart into one over what was known at q.Known, if it is given (I9).
func (q Query) AsKnown(sql string, args ...any) (string, []any) {
	if q.Known.IsZero() {
		return sql, args
	}
	return asKnown(sql), append(args, bindKnown(q.Known))
}

func asKnown(sql string) string {
	return martRead.ReplaceAllString(sql, "FROM known.$1(at = {known:DateTime64(6, 'UTC')})")
}

func bindKnown(at time.Time) any {
	return clickhouse.Named("known", at.UTC().Format("2006-01-02 15:04:05.000000"))
}

// ChangesQuery selects dataset, change, records (Int64): what has changed in the county's model since q.Known.
func (q Query) ChangesQuery() (string, []any) {
	return "SELECT toString(dataset), toString(change), toInt64(count()) FROM known.changes(at = {known:DateTime64(6, 'UTC')}) GROUP BY dataset, change ORDER BY dataset, change",
		[]any{bindKnown(q.Known)}
}

// ParseKnown reads when a figure shall be known: a day, which means its end in the county's time zone, or a time such as
// 2026-11-01T08:00:00+08:00. The error is an [InputError].
func ParseKnown(text string, zone *time.Location) (time.Time, error) {
	if day, err := time.ParseInLocation(time.DateOnly, text, zone); err == nil {
		return day.AddDate(0, 0, 1).Add(-time.Microsecond), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || at.Year() < 1970 || at.Year() > 2200 {
		return time.Time{}, &InputError{Message: fmt.Sprintf("%.40q is no day or time", text), Do: "write a day such as 2026-11-01, which means its end, or a time such as 2026-11-01T08:00:00+08:00"}
	}
	return at, nil
}
