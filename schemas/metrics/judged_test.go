package metrics_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/schemas/metrics"
)

// What is suppressed can never be told from the total and what is shown: at least two rows are hidden, of at least the minimum cell together, unless nothing
// is left to hide; and no row is hidden without need.
func TestSuppressionCannotBeUndone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]string{metrics.Simple, metrics.Ratio, metrics.Survival}).Draw(t, "kind")
		d := &metrics.Definition{Kind: kind, MinimumCell: rapid.IntRange(1, 12).Draw(t, "minimum")}
		var rows []metrics.Row
		for i := range rapid.IntRange(0, 8).Draw(t, "rows") {
			n := rapid.IntRange(0, 30).Draw(t, "count")
			if kind == metrics.Survival {
				value := 1.0
				rows = append(rows, d.SurvivalRow(fmt.Sprint(i), metrics.Curve{Cases: uint64(n), Closed: uint64(n / 2), Value: &value}))
				continue
			}
			rows = append(rows, d.SumsRow(fmt.Sprint(i), metrics.Sums{Numerator: float64(n / 3), Denominator: float64(n), Units: float64(n)}))
		}
		before := slices.Clone(rows)
		got := d.Suppress("department", rows)
		if !slices.EqualFunc(before, rows, func(a, b metrics.Row) bool { return a.State == b.State && a.Value == b.Value }) {
			t.Fatal("the rows that came in were changed")
		}
		small, hidden, shown, units, largest, smallest := 0, 0, 0, int64(0), int64(0), int64(1<<62)
		for i, row := range got {
			if before[i].State == metrics.StateSuppressed {
				small++
			}
			closed := row.State == metrics.StateSuppressed || kind == metrics.Survival && before[i].Open > 0 && row.Open == 0
			if kind == metrics.Survival && before[i].State != metrics.StateSuppressed && (row.Value == nil) != (before[i].Value == nil) {
				t.Fatalf("a median was hidden that nobody can subtract: %+v", row)
			}
			switch {
			case closed:
				hidden++
				units += row.Count
				if before[i].State != metrics.StateSuppressed {
					largest = max(largest, row.Count)
				}
				if row.Numerator != nil || row.Denominator != nil || row.Key != before[i].Key || row.Count != before[i].Count {
					t.Fatalf("a hidden row gives something away: %+v", row)
				}
			case row.Count > 0:
				shown++
				smallest = min(smallest, row.Count)
			}
		}
		if small == 0 && hidden > 0 {
			t.Fatal("rows were hidden without need")
		}
		if small > 0 && shown > 0 && (hidden < 2 || units < int64(d.MinimumCell)) {
			t.Fatalf("%d rows of %d units are hidden of %+v", hidden, units, got)
		}
		if largest > smallest {
			t.Fatalf("a row of %d was hidden and one of %d was not", largest, smallest)
		}
		if alone := d.Suppress("", before); !slices.EqualFunc(alone, before, func(a, b metrics.Row) bool { return a.State == b.State }) {
			t.Fatal("the whole was hidden")
		}
	})
}

// A derived figure may be small for its input's minimum cell, and not for its own: it is alone all the same.
func TestSuppressionNeedsASecondRow(t *testing.T) {
	one := 1.0
	d := &metrics.Definition{Kind: metrics.Derived, MinimumCell: 5}
	got := d.Suppress("department", []metrics.Row{{Key: "a", Count: 7, State: metrics.StateSuppressed}, {Key: "b", Count: 20, State: metrics.StateOK, Value: &one}, {Key: "c", Count: 9, State: metrics.StateOK, Value: &one}})
	if got[1].State != metrics.StateOK || got[2].State != metrics.StateSuppressed || got[2].Value != nil {
		t.Errorf("%+v", got)
	}
}

func TestPeriodsToCompareWith(t *testing.T) {
	month := func(s string) metrics.Month {
		m, err := metrics.ParseMonth(s)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, test := range []struct{ from, to, compare, earlierFrom, earlierTo string }{
		{"2026-01", "2026-06", "previous", "2025-07", "2025-12"},
		{"2026-03", "2026-03", "previous", "2026-02", "2026-02"},
		{"2026-01", "2026-06", "year", "2025-01", "2025-06"},
		{"2025-01", "2026-06", "year", "2023-01", "2024-06"}, // 18 months: a year before would overlap
		{"2025-01", "2025-12", "year", "2024-01", "2024-12"},
	} {
		q, ok, err := metrics.Query{From: month(test.from), To: month(test.to), Compare: test.compare}.Earlier()
		if err != nil || !ok || q.From.String() != test.earlierFrom || q.To.String() != test.earlierTo || q.Compare != "" {
			t.Errorf("%+v: %s to %s, %v, %v", test, q.From, q.To, ok, err)
		}
	}
	if _, ok, err := (metrics.Query{From: month("2026-01"), To: month("2026-01")}).Earlier(); ok || err != nil {
		t.Errorf("nothing was to be compared: %v, %v", ok, err)
	}
	if _, _, err := (metrics.Query{From: month("2026-01"), To: month("2026-01"), Compare: "yaer"}).Earlier(); err == nil ||
		err.Error() != `there is no comparison "yaer"; did you mean "year"?` {
		t.Errorf("got %v", err)
	}
	extent := func() (metrics.Extent, error) {
		return metrics.Extent{First: month("2024-01"), Last: month("2026-09")}, nil
	}
	if q, err := (metrics.Query{}).Complete(extent); err != nil || q.From.String() != "2026-07" || q.To.String() != "2026-09" {
		t.Errorf("%+v, %v", q, err)
	}
	for _, q := range []metrics.Query{{From: month("2026-02"), To: month("2026-01")}, {From: month("2001-01"), To: month("2026-01")}} {
		if _, err := q.Complete(extent); err == nil {
			t.Errorf("%s to %s was taken", q.From, q.To)
		}
	}
	if _, err := (metrics.Query{}).Complete(func() (metrics.Extent, error) { return metrics.Extent{Empty: true}, nil }); err == nil || !strings.Contains(err.Error(), "shire load") {
		t.Errorf("got %v", err)
	}
}

func TestBesideMatchesGroups(t *testing.T) {
	number := func(f float64) *float64 { return &f }
	from := metrics.Month{Year: 2026, Month: 1}
	q := metrics.Query{By: "month", From: from, To: from.Add(1)}
	now := metrics.Result{By: "month", From: "2026-01", To: "2026-02", Rows: []metrics.Row{
		{Key: "2026-01", Value: number(3), State: "ok"}, {Key: "2026-02", State: "suppressed", Count: 2}}}
	now.Beside(q, metrics.Result{From: "2025-11", To: "2025-12", Rows: []metrics.Row{
		{Key: "2025-11", Value: number(5), State: "ok"}, {Key: "2025-12", Value: number(4), State: "ok"}}})
	if a, b := now.Rows[0], now.Rows[1]; *a.Difference != -2 || *a.Before.Value != 5 || b.Difference != nil || *b.Before.Value != 4 || now.Compared.From != "2025-11" {
		t.Errorf("%+v", now)
	}
	q.By = "department"
	now = metrics.Result{By: "department", From: "2026-01", To: "2026-02", Rows: []metrics.Row{{Key: "new", Value: number(1), State: "ok"}}}
	now.Beside(q, metrics.Result{From: "2025-11", To: "2025-12", Rows: []metrics.Row{{Key: "gone", Value: number(4), State: "ok"}}})
	if len(now.Rows) != 2 || now.Rows[0].Before != nil || now.Rows[1].Key != "gone" || now.Rows[1].State != "empty" || *now.Rows[1].Before.Value != 4 || now.Rows[1].Difference != nil {
		t.Errorf("%+v", now.Rows)
	}
}
