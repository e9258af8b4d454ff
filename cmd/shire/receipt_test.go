package main

import (
	"math"
	"os"
	"path/filepath"
	"testing"
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
