package metrics_test

import (
	"strconv"
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
	const want = "actual_compression actual_of_statutory avoidable_rate avoidable_rate_with_grants avoided_repeats citizen_time council_turnout coverage decisions_on_time_rate decisions_published_rate " +
		"incident_reopened_rate incident_time legal_time on_time_rate one_visit_rate overdue papers_spared promised_compression " +
		"promised_of_statutory rating_rate repeat_rate repeat_rate_across_departments repeat_rate_same_department satisfaction_rate sharing_answer_time sharing_on_time_rate " +
		"supplement_rate training_knowledge_gain training_practice_rate training_satisfaction_rate visits"
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
		{"unit: share", "unit: shares", `share.yaml:12: unit is "shares"; did you mean "share"?`},
		{"numerator: countIf(open)", "numerator: countIf(open)\nduration: x", `share.yaml:9: a metric of the kind ratio has no duration; leave it out; duration is of the kinds survival`},
		{"numerator: countIf(open)", "numerator: countIf(open)\nopen: countIf(open)", `share.yaml:9: open and maximum_open go together`},
		{"kind: ratio", "kind: simple", `a metric of the kind simple has no denominator`},
		{"minimum_cell: 5", "minimum_cell: 5\ncoverage: Cases", `share.yaml:15: coverage is "Cases"; name a subject of mart.coverage, such as cases`},
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

const derived = `metric: rest
version: 1
label: {zh: 甲, en: A}
description: {zh: 甲, en: A}
kind: derived
formula: 1 - share
dimensions: {department: department}
better: up
unit: share
grade: general
minimum_cell: 5
`

func TestFormulasAreAnsweredWithFileAndLine(t *testing.T) {
	for formula, want := range map[string]string{
		"1 - share": "",
		"share.numerator / (2 * share.denominator) + -1.5": "",
		"":                             "rest.yaml:6: formula is missing",
		"1 - shar":                     `rest.yaml:6: the formula refers to "shar", which is no simple metric or ratio; did you mean "share"?`,
		"1 - rest":                     `the formula refers to "rest"`,
		"1":                            "the formula refers to no metric",
		"share.count":                  `the formula cannot be read: share has no part "count"; it has numerator and denominator`,
		"1 - (share":                   "the formula cannot be read: a parenthesis is not closed",
		"1 - share)":                   `")" is not expected after "1 - share"`,
		"share +":                      "it ends where a number",
		"1..2 * share":                 `"1..2" is not a number`,
		"share; DROP TABLE x":          `";" is not expected after "share"`,
		"Share":                        `"S" is not expected here`,
		strings.Repeat("(", 300) + "1": "it is nested more than 100 deep",
	} {
		text := strings.Replace(derived, "1 - share", strconv.Quote(formula), 1)
		_, err := metrics.LoadFS(fstest.MapFS{"share.yaml": {Data: []byte(valid)}, "rest.yaml": {Data: []byte(text)}})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v\nwant %s", formula, err, want)
		}
	}
	for dimensions, want := range map[string]string{
		"{item: item}":            `share has no dimension "item"`,
		"{department: item_code}": `a derived metric takes its dimensions from what it is derived from`,
	} {
		text := strings.Replace(derived, "{department: department}", dimensions, 1)
		_, err := metrics.LoadFS(fstest.MapFS{"share.yaml": {Data: []byte(valid)}, "rest.yaml": {Data: []byte(text)}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v\nwant %s", dimensions, err, want)
		}
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
	ratio := &metrics.Definition{Kind: metrics.Ratio, MinimumCell: 5}
	watched := &metrics.Definition{Kind: metrics.Ratio, MinimumCell: 5, Open: "countIf(open)", MaximumOpen: 0.1}
	survival := &metrics.Definition{Kind: metrics.Survival, MinimumCell: 5, MinimumEvents: 3}
	tests := []struct {
		row  metrics.Row
		want string
	}{
		{ratio.SumsRow("", metrics.Sums{}), "empty"},
		{ratio.SumsRow("", metrics.Sums{Numerator: 1, Denominator: 4, Units: 4}), "suppressed"},
		{ratio.SumsRow("", metrics.Sums{Numerator: 1, Denominator: 5, Units: 5}), "ok"},
		{ratio.SumsRow("", metrics.Sums{Numerator: 1, Denominator: 0, Units: 5}), "undefined"},
		{ratio.SumsRow("", metrics.Sums{Numerator: 30, Denominator: 90, Units: 4}), "suppressed"}, // many days of few cases
		{watched.SumsRow("", metrics.Sums{Numerator: 1, Denominator: 9, Units: 9, Open: 1}), "ok"},
		{watched.SumsRow("", metrics.Sums{Numerator: 1, Denominator: 9, Units: 9, Open: 1.1}), "not_estimable"},
		{watched.SumsRow("", metrics.Sums{Open: 7}), "not_estimable"}, // nothing has ended, which is not nothing
		{survival.SurvivalRow("", metrics.Curve{}), "empty"},
		{survival.SurvivalRow("", metrics.Curve{Cases: 4, Closed: 4, Value: &half, P90: &half, ClosedOnly: &half}), "suppressed"},
		{survival.SurvivalRow("", metrics.Curve{Cases: 5, Closed: 5, ClosedOnly: &half}), "not_estimable"},
		{survival.SurvivalRow("", metrics.Curve{Cases: 5, Closed: 2, Value: &half, Lower: &half, ClosedOnly: &half}), "not_estimable"},
		{survival.SurvivalRow("", metrics.Curve{Cases: 5, Closed: 3, Value: &half, ClosedOnly: &half}), "ok"},
	}
	for i, test := range tests {
		if test.row.State != test.want {
			t.Errorf("%d: %+v, want %s", i, test.row, test.want)
		}
		if shown := test.row.Value != nil; shown != (test.want == "ok") {
			t.Errorf("%d: %+v", i, test.row)
		}
		if test.want != "ok" && (test.row.Numerator != nil || test.row.Lower != nil || test.row.P90 != nil) {
			t.Errorf("%d: %+v gives away a figure that is not shown", i, test.row)
		}
		if test.want == "suppressed" && (test.row.Denominator != nil || test.row.ClosedOnly != nil || test.row.Open != 0) {
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
