package clickhouse_test

import (
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/metrics"
)

const rough = `metric: rough
version: 1
label: {zh: 甲, en: A}
description: {zh: 甲, en: A}
kind: ratio
from: mart.cases
time: applied_at
numerator: countIf(open AND result IN ('a column', 'AND'))
denominator: countIf(case_number IN (SELECT case_number FROM mart.ratings WHERE score IS NOT NULL))
dimensions: {department: department}
better: up
unit: share
grade: general
minimum_cell: 5
`

func TestMetricsSpeakOfWhatThereIs(t *testing.T) {
	set, err := metrics.Load()
	if err != nil {
		t.Fatal(err)
	}
	if err := clickhouse.ReadMetrics(set); err != nil {
		t.Error(err)
	}
	for change, want := range map[[2]string]string{
		{"", ""}:                          "",
		{"mart.cases\n", "mart.case\n"}:   "the metric rough is counted over mart.case, which is no view; did you mean \"mart.cases\"?",
		{"countIf(open", "countIf(opne"}:  "the metric rough, numerator: mart.cases has no column \"opne\"; did you mean \"open\"?",
		{"score IS", "scor IS"}:           "denominator: mart.cases has no column \"scor\"",
		{": department}", ": departmnt}"}: "dimensions.department: mart.cases has no column \"departmnt\"; did you mean \"department\"?",
		{"time: applied_at", "time: ifNull(applied_at, rated_at)"}: "time: mart.cases has no column \"rated_at\"",
	} {
		err := clickhouse.ReadMetrics(loadMetrics(t, map[string]string{"rough.yaml": strings.Replace(rough, change[0], change[1], 1)}))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %s", change, err, want)
		}
	}
}

// What looks right and is not shows when the engine computes it.
func TestMetricsAreProvenByTheEngine(t *testing.T) {
	c := ready(t)
	shanghai, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	set, err := metrics.Load()
	if err != nil {
		t.Fatal(err)
	}
	if err := clickhouse.ProveMetrics(t.Context(), c, shanghai, set); err != nil {
		t.Error(err)
	}
	for _, change := range [][2]string{
		{"countIf(open", "countif_(open"},
		{"countIf(open AND", "countIf(department AND"},
		{"numerator: countIf(open AND result IN ('a column', 'AND'))", "numerator: visits"},
	} {
		set := loadMetrics(t, map[string]string{"rough.yaml": strings.Replace(rough, change[0], change[1], 1)})
		err := clickhouse.ApplyViews(t.Context(), c, zone, clickhouse.Loader, set)
		if err == nil {
			err = clickhouse.ProveMetrics(t.Context(), c, shanghai, set)
		}
		if err == nil || !strings.Contains(err.Error(), "rough") {
			t.Errorf("%q: got %v", change, err)
		}
	}
}
