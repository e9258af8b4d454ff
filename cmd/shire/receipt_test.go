package main

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/shirecounty/shire/schemas/metrics"
)

// receiptData ends the test when the folder with the public logs is not there.
func receiptData(t *testing.T) {
	t.Helper()
	dir := os.Getenv("SHIRE_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	if _, err := os.Stat(filepath.Join(dir, "receipt.csv")); err != nil {
		absent(t, "set SHIRE_DATA to the folder that holds receipt.csv: %v", err)
	}
}

// A public log of a foreign office is loaded by a contract and a county.yaml alone, and the marts hold what is published
// about it.
func TestReceiptLog(t *testing.T) {
	t.Parallel()
	needEngine(t)
	receiptData(t)
	data := filepath.Join(t.TempDir(), "data")
	shire(t, "load", "-c", filepath.Join("..", "..", "docs", "examples", "receipt", "county.yaml"), "--data", data).ok(t)
	// The trap, as a person meets it: the time of what is closed falls from 59.6 days to 7.4, and nothing has become faster.
	days := func(seconds *float64) float64 {
		if seconds == nil {
			return math.NaN()
		}
		return math.Round(*seconds/864) / 100
	}
	figure := func(by string) map[string]metrics.Row {
		var r metrics.Result
		envelopeOf(t, shire(t, "metrics", "query", "citizen_time", "--from", "2010-10", "--to", "2012-01", "--by", by, "--json", "--data", data).ok(t), &r)
		rows := map[string]metrics.Row{}
		for _, row := range r.Rows {
			rows[row.Key] = row
		}
		return rows
	}
	if whole := figure("")[""]; whole.Count != 1434 || days(whole.Value) != 52.50 || days(whole.ClosedOnly) != 50.64 {
		t.Errorf("%d cases, Kaplan-Meier %v days, closed only %v", whole.Count, days(whole.Value), days(whole.ClosedOnly))
	}
	byMonth := figure("month")
	for month, want := range map[string]struct {
		state          string
		median, closed float64
	}{"2010-10": {metrics.StateOK, 59.59, 59.58}, "2011-12": {metrics.StateNotEstimable, math.NaN(), 31.57}, "2012-01": {metrics.StateNotEstimable, math.NaN(), 7.39}} {
		row := byMonth[month]
		if got := days(row.Value); row.State != want.state || got != want.median && !(math.IsNaN(got) && math.IsNaN(want.median)) || days(row.ClosedOnly) != want.closed {
			t.Errorf("%s is %s: Kaplan-Meier %v days, closed only %v, want %+v", month, row.State, got, days(row.ClosedOnly), want)
		}
	}
	row := query(t, data, `
WITH lives AS
(
    SELECT case_number,
        arrayMap(s -> s.3, arraySort(groupArray((started_at, step, activity)))) AS variant,
        (toUnixTimestamp64Micro(assumeNotNull(max(started_at))) - toUnixTimestamp64Micro(assumeNotNull(min(started_at)))) / 1e6 AS seconds
    FROM mart.case_steps
    GROUP BY case_number
)
SELECT
    (SELECT count() FROM mart.cases), (SELECT uniqExact(case_number) FROM mart.cases), count(),
    (SELECT count() FROM mart.case_steps), (SELECT uniqExact(activity) FROM mart.case_steps), (SELECT uniqExact(handler) FROM mart.case_steps),
    uniqExact(variant), avg(seconds), max(seconds), quantileExactInclusive(0.5)(seconds),
    (SELECT count() FROM ops.quarantine)
FROM lives`)[0]
	for i, want := range []struct {
		what      string
		value     float64
		tolerance float64
	}{
		{"cases", 1434, 0}, {"case numbers", 1434, 0}, {"cases with steps", 1434, 0},
		{"steps", 8577, 0}, {"activities", 27, 0}, {"resources", 48, 0},
		{"variants", 116, 0}, {"mean duration", 467263.915, .0005}, {"longest duration", 23832541.524, .0005}, {"median duration", 2868.58, .005},
		{"quarantined rows", 0, 0},
	} {
		if got := row[i].(float64); math.Abs(got-want.value) > want.tolerance {
			t.Errorf("%s: %v, want %v", want.what, got, want.value)
		}
	}
}
