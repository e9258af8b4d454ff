package warehouse_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/metrics"
)

// listedEvents: behind a figure stand its events; behind a suppressed one there is nothing to see.
func listedEvents(t *testing.T, f *warehouse.Figures) {
	of := func(metric, department string, m int) metrics.EventsQuery {
		q := metrics.EventsQuery{Query: metrics.Query{Metric: metric, From: metrics.Month{Year: 2025, Month: m}, To: metrics.Month{Year: 2025, Month: m}}}
		if department != "" {
			q.Filters = map[string]string{"department": department}
		}
		return q
	}
	list := func(q metrics.EventsQuery) metrics.Events {
		t.Helper()
		e, err := f.Events(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := list(of("citizen_time", "hall", 6))
	if len(e.Rows) != 6 || e.More || e.Figure.Count != 6 || e.Figure.Coverage == nil || e.Of != "citizen_time" || e.View != "mart.cases" || e.AsOf == "" {
		t.Errorf("%+v", e)
	}
	for i, row := range e.Rows { // delivered after 0 to 5 hours
		if *row.Duration != float64(5-i)*3600 || !*row.Ended || row.Fields[0] != fmt.Sprint("hallJune ", 5-i) || row.At != "2025-06-10T01:00:00Z" {
			t.Errorf("%d: %+v", i, row)
		}
	}
	q := of("citizen_time", "hall", 6)
	q.Skip, q.Limit = 2, 3
	if e := list(q); len(e.Rows) != 3 || !e.More || e.Rows[0].Fields[0] != "hallJune 3" {
		t.Errorf("the second page: %+v", e)
	}
	// I7: one case of tiny is too few to count, and to list.
	if e := list(of("citizen_time", "tiny", 6)); len(e.Rows) != 0 || e.Figure.State != metrics.StateSuppressed {
		t.Errorf("a suppressed figure: %+v", e)
	}
	if e := list(of("citizen_time", "", 9)); len(e.Rows) != 0 || e.Figure.State != metrics.StateEmpty {
		t.Errorf("an empty figure: %+v", e)
	}
	if e, of := list(of("actual_compression", "hall", 6)), "actual_of_statutory"; e.Of != of || e.Metric != "actual_compression" {
		t.Errorf("a derived figure: %+v", e)
	}
	for _, change := range []func(*metrics.EventsQuery){
		func(q *metrics.EventsQuery) { q.Limit = metrics.MostEvents + 1 },
		func(q *metrics.EventsQuery) { q.Skip = metrics.DeepestEvents },
		func(q *metrics.EventsQuery) { q.Skip = -1 },
		func(q *metrics.EventsQuery) { q.Part = "half" },
		func(q *metrics.EventsQuery) { q.Filters["shoe"] = "42" },
		func(q *metrics.EventsQuery) { q.Metric = "nothing" },
	} {
		q := of("citizen_time", "hall", 6)
		change(&q)
		if _, err := f.Events(t.Context(), q); !errors.As(err, new(*metrics.InputError)) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}
