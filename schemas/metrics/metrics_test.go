package metrics_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/shirecounty/shire/schemas/metrics"
)

func load(t *testing.T) metrics.Set {
	t.Helper()
	set, err := metrics.Load()
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestLoadNamesEveryMetric(t *testing.T) {
	got := strings.Join(load(t).Names(), " ")
	const want = "citizen_time incident_time legal_time on_time_rate papers_spared rating_rate repeat_rate " +
		"repeat_rate_across_departments repeat_rate_same_department satisfaction_rate supplement_rate"
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

const valid = `metric: share
version: 1
label: {zh: 甲, en: A}
description: {zh: 甲, en: A}
kind: ratio
from: mart.cases
time: applied_at
numerator: countIf(open)
denominator: count()
dimensions: {department: department}
better: up
unit: share
grade: general
minimum_cell: 5
`

func TestLoadAnswersMistakesWithFileAndLine(t *testing.T) {
	tests := []struct{ old, new, want string }{
		{"kind: ratio", "kind: ration", `share.yaml:5: kind is "ration"; did you mean "ratio"?`},
		{"from: mart.cases", "from: store.cases", `share.yaml:6: from is "store.cases"; name a view in mart`},
		{"better: up", "beter: up", `share.yaml:11: "beter" is not a key here; did you mean "better"?`},
		{"numerator: countIf(open)\n", "", "numerator is missing"},
		{"metric: share", "metric: Share", "name the file after it"},
		{"version: 1", "version: 0", "share.yaml:2: the version is missing"},
		{"{department: department}", "{month: applied_at}", `the dimension "month" cannot be the column "applied_at"`},
		{"{department: department}", "{department: 'x; DROP TABLE y'}", "share.yaml:10:"},
		{"unit: share", "unit: seconds", `share.yaml:12: unit is "seconds"`},
		{"minimum_cell: 5", "minimum_cell: 0", "share.yaml:14: minimum_cell is missing"},
		{"better: up", "better: up\nbeside: shares", `share.yaml:12: there is no metric "shares"; did you mean "share"?`},
	}
	for _, test := range tests {
		text := strings.Replace(valid, test.old, test.new, 1)
		_, err := metrics.LoadFS(fstest.MapFS{"share.yaml": {Data: []byte(text)}})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %v\nwant %s", test.new, err, test.want)
		}
	}
	if _, err := metrics.LoadFS(fstest.MapFS{"share.yaml": {Data: []byte(valid)}}); err != nil {
		t.Error(err)
	}
}

func TestQueriesNameTheNearestValidWord(t *testing.T) {
	set := load(t)
	if _, err := set.Get("repeat_rat"); err == nil || err.Error() != `there is no metric "repeat_rat"; did you mean "repeat_rate"?` {
		t.Errorf("got %v", err)
	}
	d, err := set.Get("repeat_rate")
	if err != nil {
		t.Fatal(err)
	}
	march := metrics.Month{Year: 2026, Month: 3}
	tests := []struct {
		query metrics.Query
		want  string
	}{
		{metrics.Query{From: march, To: march, By: "materail"}, `repeat_rate has no dimension "materail"; did you mean "material"?`},
		{metrics.Query{From: march, To: march, Filters: map[string]string{"channel": "x"}}, `repeat_rate has no dimension "channel"; valid are: department, issuer, item, material`},
		{metrics.Query{From: march, To: march.Add(-1)}, "the months 2026-03 to 2026-02 are no period; give a first and a last month such as 2026-07 and 2026-09"},
		{metrics.Query{}, "the months 0000-00 to 0000-00 are no period; give a first and a last month such as 2026-07 and 2026-09"},
	}
	for _, test := range tests {
		if _, _, err := d.Query(test.query, time.UTC); err == nil || err.Error() != test.want {
			t.Errorf("got %v\nwant %s", err, test.want)
		}
	}
	// A chosen value is never part of the text.
	sql, args, err := d.Query(metrics.Query{From: march, To: march, Filters: map[string]string{"department": "sentinel"}}, time.UTC)
	if err != nil || strings.Contains(sql, "sentinel") || len(args) != 3 {
		t.Errorf("%s\n%v, %v", sql, args, err)
	}
}

func TestRowsSayHowTheyAreToBeRead(t *testing.T) {
	half := 0.5
	d := &metrics.Definition{MinimumCell: 5, MinimumEvents: 3}
	tests := []struct {
		row  metrics.Row
		want string
	}{
		{d.RatioRow("", 0, 0), "empty"},
		{d.RatioRow("", 1, 4), "suppressed"},
		{d.RatioRow("", 1, 5), "ok"},
		{d.SurvivalRow("", 0, 0, nil, nil, nil), "empty"},
		{d.SurvivalRow("", 4, 4, &half, &half, &half), "suppressed"},
		{d.SurvivalRow("", 5, 5, nil, nil, &half), "not_estimable"},
		{d.SurvivalRow("", 5, 2, &half, nil, &half), "not_estimable"},
		{d.SurvivalRow("", 5, 3, &half, nil, &half), "ok"},
	}
	for i, test := range tests {
		if test.row.State != test.want {
			t.Errorf("%d: %+v, want %s", i, test.row, test.want)
		}
		if shown := test.row.Value != nil; shown != (test.want == "ok") {
			t.Errorf("%d: %+v", i, test.row)
		}
		if test.want == "suppressed" && (test.row.Numerator != nil || test.row.Denominator != nil || test.row.ClosedOnly != nil || test.row.Open != 0) {
			t.Errorf("%d: %+v shows more than the number of units", i, test.row)
		}
	}
}

func TestMonths(t *testing.T) {
	m, err := metrics.ParseMonth("2026-12")
	if err != nil || m.String() != "2026-12" || m.Add(1) != (metrics.Month{Year: 2027, Month: 1}) || m.Add(-12).String() != "2025-12" {
		t.Errorf("%v, %v", m, err)
	}
	for _, bad := range []string{"", "2026", "2026-13", "2026-7", "2026-07-01"} {
		if _, err := metrics.ParseMonth(bad); err == nil {
			t.Errorf("%q was taken for a month", bad)
		}
	}
	shanghai := time.FixedZone("", 8*60*60)
	if got := m.Start(shanghai).UTC().String(); got != "2026-11-30 16:00:00 +0000 UTC" {
		t.Errorf("starts at %s", got)
	}
}
