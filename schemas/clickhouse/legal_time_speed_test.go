package clickhouse_test

import (
	"os"
	"slices"
	"testing"
	"time"
)

// TestLegalTimeAtScale measures the view over a million cases with four steps each, a tenth of them with stops; it asserts no time.
func TestLegalTimeAtScale(t *testing.T) {
	if os.Getenv("SHIRE_LONG") != "1" {
		t.Skip("set SHIRE_LONG=1 to measure")
	}
	c := ready(t)
	exec(t, c, `INSERT INTO store.cases (record_id, dataset, case_number, department, item_code, version, applied_at, accepted_at, closed_at, delivered_at, statutory_days, promised_days)
		SELECT generateUUIDv4(), 'd', toString(number), toString(number % 6), toString(number % 40), 1,
			toDateTime64('2024-03-01 01:00:00', 6, 'UTC') + number * 60 AS applied,
			applied + 3600 * (number % 50), if(number % 20 = 0, NULL, applied + 86400 * (5 + number % 30)) AS closed, closed, 20, 10
		FROM numbers(1000000)`)
	exec(t, c, `INSERT INTO store.case_steps (record_id, dataset, case_number, version, kind, activity, started_at, ended_at)
		SELECT generateUUIDv4(), 'd', toString(number % 1000000), 1,
			multiIf(number < 4000000, 'step', number < 4080000, 'supplement', 'special'), 'a',
			toDateTime64('2024-03-01 01:00:00', 6, 'UTC') + (number % 1000000) * 60 + 86400 * intDiv(number, 1000000) AS started, started + 3600 * (number % 100)
		FROM numbers(4120000)`)
	for _, query := range []string{
		"SELECT sum(legal_days), countIf(on_time = 0) FROM mart.cases",
		"SELECT count() FROM metrics.legal_time WHERE NOT ignore(*)",
		"SELECT count(), sum(visits) FROM mart.cases",
	} {
		var took []time.Duration
		for range 7 {
			start := time.Now()
			if lines := read(t, c, "formatRowNoNewline('CSV', *)", "FROM ("+query+")"); len(lines) != 1 {
				t.Fatalf("%s: %d lines", query, len(lines))
			}
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		t.Logf("%s: median %v, fastest %v", query, took[3].Round(time.Millisecond), took[0].Round(time.Millisecond))
	}
}
